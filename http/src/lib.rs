//! The HTTP interface of a relay: what a request asks for, whether it may, and what it is answered.
//!
//! Pure like the core: no clock, no dice, no IO. A shell carries requests through three steps, and
//! every shell so answers the same:
//!
//! 1. [`enter`] takes the [`Head`] of a request, method, URL and headers, and lets it in or gives the
//!    [`Denial`] to answer with;
//! 2. [`Visit::admit`] looks at the body as far as the datastore's id stands in it, and gives the
//!    [`Pass`] to that datastore;
//! 3. [`answer`] gives what is [`Todo`] with the authority of that datastore: an answer at once, a
//!    read, a write for the shell's next group commit, or what only the shell can do.
//!
//! Whatever is answered, [`share`] says which headers let pages of other origins read it.
//!
//! Nothing here may panic, whatever comes in: a panic would reset every object of the isolate.
//!
//! # Example
//!
//! ```
//! use neap_http::{Denial, Head, Settings, enter};
//!
//! let settings = Settings::read(|_| None, |complaint| panic!("{complaint}"));
//! let no_headers = |_| Ok::<_, ()>(None);
//! let head = Head::read("GET", "https://relay.example/v1/health", no_headers).unwrap();
//! let Err(Denial::Answer(health)) = enter(&settings, &head, 0) else { panic!() };
//! assert_eq!(health.status(), 200);
//! ```
#![forbid(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::todo,
    clippy::unimplemented,
    clippy::unreachable,
    clippy::unwrap_used
)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

mod admit;
mod answer;
mod archive;
mod body;
mod call;
mod changes;
mod datastores;
mod door;
mod head;
mod input;
mod json;
mod mutations;
mod once;
mod openapi;
mod pools;
mod query;
mod records;
mod route;
mod settings;

pub use answer::Answer;
pub use archive::{Exporter, Importer, Piece};
pub use body::Incoming;
pub use call::{Answers, Outcome, Read, Request, Todo, Write, answer};
pub use door::{Denial, Pass, Visit, enter, renew, share};
pub use head::Head;
pub use json::Object;
pub use neap_core::rate::{Buckets, Rate, Rates};
pub use settings::Settings;

/// The subprotocol of the sockets.
pub const PROTOCOL: &str = "neap.v1";

/// A text on a socket that begins so brings another token of its bearer, for [`renew`].
pub const TOKEN: &str = "token ";

/// A longer text on a socket brings no token.
pub const TEXT_BYTES_MAX: usize = TOKEN.len() + neap_core::limits::TOKEN_BYTES_MAX;
