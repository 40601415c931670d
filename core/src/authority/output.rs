//! What goes into an authority beside frames, and what comes out of it.

use alloc::{boxed::Box, vec::Vec};

use super::SessionId;
use crate::{
    id::Epoch,
    wire::{self, Close},
};

/// What the shell knows and the core may not find out by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since 1970.
    pub now: u64,
    /// Fresh random bytes, the epoch of a datastore that is created now.
    pub dice: Epoch,
}

/// What the shell must do, in this order, once the transaction has been committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a frame to these sessions.
    Send {
        /// Receivers.
        to: Vec<SessionId>,
        /// The same bytes for all of them.
        frame: Box<[u8]>,
    },
    /// Keep these bytes with the session, so that
    /// [`Authority::restore`](super::Authority::restore) can have them after a sleep.
    Remember {
        /// Which session.
        session: SessionId,
        /// What to keep in place of what was kept before.
        bytes: Vec<u8>,
    },
    /// Close the connection; its session is gone already.
    Close {
        /// Which session.
        session: SessionId,
        /// Why.
        why: Close,
    },
}

/// Our own fault, or the disk's: the transaction must be rolled back and the authority opened anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble<E> {
    /// Storage failed.
    Storage(E),
    /// A stored value cannot be read.
    Corrupt,
    /// A stored value is of another format: another version of this code wrote it. Nothing was touched.
    Foreign,
}

impl<E> Trouble<E> {
    /// Reads a stored value.
    pub(super) fn read<'a, T: wire::Layout<'a>>(bytes: &'a [u8]) -> Result<T, Trouble<E>> {
        let unread = if wire::is_foreign(bytes) { Trouble::Foreign } else { Trouble::Corrupt };
        wire::decode_stored(bytes).map_err(|_| unread)
    }
}

impl<E> From<E> for Trouble<E> {
    fn from(error: E) -> Self {
        Trouble::Storage(error)
    }
}
