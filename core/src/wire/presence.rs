//! What is said of presence.

use alloc::{boxed::Box, vec::Vec};

/// What others show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Whether nobody but these shows anything; else these have changed.
    pub is_whole: bool,
    /// Each session once.
    pub shown: Vec<Shown>,
}

/// What one session shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The session: a name in public, for as long as its connection lives.
    pub who: u64,
    /// JSON; `None` for nothing any more.
    pub state: Option<Box<str>>,
}
