//! The text that a ping is answered with, without waking the authority: what its sessions can hold
//! against what they have heard.

use alloc::{format, string::String};

use crate::{
    datastore::Meta,
    id::{Epoch, Seq},
};

/// How far a datastore has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pong {
    /// This incarnation.
    pub epoch: Epoch,
    /// The newest seq.
    pub head: Seq,
    /// How many items were ever added to pools.
    pub added: u64,
}

impl Pong {
    /// How far a stored state has come.
    #[must_use]
    pub const fn of(meta: &Meta) -> Pong {
        Pong { epoch: meta.epoch, head: meta.head, added: meta.added }
    }

    /// Writes the text.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{}:{}:{}", self.epoch.to_hex(), self.head.0, self.added)
    }

    /// Reads the text; another one says nothing.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Pong> {
        let mut parts = text.split(':');
        let epoch = Epoch::from_hex(parts.next()?)?;
        let head = Seq(parts.next()?.parse().ok()?);
        Some(Pong { epoch, head, added: parts.next()?.parse().ok()? })
    }
}
