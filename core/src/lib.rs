//! The two machines of Neap: an [`Authority`](authority::Authority) that takes mutations in the
//! order of their arrival, numbers, stores and tells them, and a [`Replica`](replica::Replica) that
//! shows its app's edits at once and gives way to that order.
//!
//! Both are pure: no clock, no randomness, no sockets, no disk. They take inputs and give outputs; a
//! shell around each carries frames and stores bytes. *What is stored stands before the frame that
//! reveals it*, on both sides. One function, [`mutation::resolve`], decides mutations on both sides:
//! over storage at the authority, over the view at the replica. So what a replica predicts differs
//! from what the authority decides only where somebody else arrived first.
//!
//! `SPEC.md` beside this crate numbers the rules; each test names those that it shows.
//!
//! # Example
//!
//! ```
//! use neap_core::{
//!     authority::{Admission, Authority, Moment, Output, Settings},
//!     datastore::Options,
//!     id::{Epoch, ReplicaId, Seq},
//!     mutation::Condition,
//!     replica::{OpKind, Replica},
//!     storage::MemoryStorage,
//! };
//!
//! let moment = Moment { now: 1_000, dice: Epoch([7; 8]) };
//! let mut authority = Authority::load(MemoryStorage::new(), Settings::default()).unwrap();
//! let (id, spare) = (ReplicaId([1; 16]), ReplicaId([2; 16]));
//! let mut replica = Replica::new(id, spare, 42, Options::default());
//!
//! // Offline, the edit is visible at once.
//! let task = r#"{"id":"milk","done":false}"#;
//! let turn = replica.mutate(OpKind::Set, "tasks", "milk", task, Condition::None).unwrap();
//! assert_eq!(replica.get("tasks", "milk"), Some(task));
//! assert_eq!(replica.pending(), 1);
//!
//! // Its shell stores the outbox, connects, and carries frames until nothing is left to say.
//! replica.durable(turn);
//! replica.connected(moment.now);
//! authority.connect(0, Admission::OPEN, moment.now);
//! loop {
//!     let mut quiet = true;
//!     while let Some(frame) = replica.take_frame() {
//!         quiet = false;
//!         authority.receive(0, &frame, moment).unwrap();
//!     }
//!     for output in authority.commit().unwrap() {
//!         if let Output::Send { frame, .. } = output {
//!             replica.received(&frame, moment.now).unwrap();
//!         }
//!     }
//!     replica.info_saved();
//!     if quiet {
//!         break;
//!     }
//! }
//! assert_eq!(replica.pending(), 0);
//! assert_eq!(replica.confirmed("tasks", "milk"), Some((Seq(1), task)));
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod authority;
pub mod datastore;
pub mod id;
pub mod limits;
pub mod mutation;
mod order;
pub mod pool;
pub mod rate;
pub mod record;
pub mod replica;
mod sip;
pub mod storage;
pub mod store;
mod stride;
pub mod value;
pub mod wire;
