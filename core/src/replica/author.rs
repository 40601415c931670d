//! Whose mutations a replica shows.

use alloc::{collections::VecDeque, vec::Vec};

use super::{outbox::Ordinal, sibling::Awaited};
use crate::{
    id::{ReplicaId, Seq, Turn},
    wire,
};

/// A replica whose mutations this machine shows: itself first, then its siblings.
#[derive(Debug)]
pub(super) struct Author {
    pub(super) id: ReplicaId,
    pub(super) generation: u64,
    pub(super) birth: Option<u64>,
    /// Newest turn that has an outcome.
    pub(super) settled: Turn,
    /// Newest turn that the relay has called settled in its welcome.
    pub(super) known: Turn,
    /// Newest turn that the shell knows to be settled on its disk.
    pub(super) saved: Turn,
    /// Newest turn that was minted, as far as is known here.
    pub(super) minted: Turn,
    /// Newest turn whose outbox entry is on the disk.
    pub(super) durable: Turn,
    /// Newest turn that the disk has had an entry for, though the entry may be of another life by now.
    pub(super) stored: Turn,
    /// Newest turn that was taken back from a disk, and not minted in this life.
    pub(super) inherited: Turn,
    /// Newest turn that was pushed in this connection.
    pub(super) pushed: Turn,
    /// Where the turns after `settled` stand in the outbox.
    pub(super) queue: VecDeque<Ordinal>,
    /// Seqs of settled turns that pending conditions speak of.
    pub(super) placed: Vec<Placed>,
    /// What a sibling has told of its outcomes, until this replica holds their effects.
    pub(super) awaited: Vec<Awaited>,
}

/// The seq of a settled turn. Conditions of stored mutations still speak of the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) turn: Turn,
    /// Zero where it took none.
    pub(super) seq: Seq,
    /// The last turn with such a condition.
    pub(super) until: Turn,
}

wire::fields!(Placed { turn, seq, until });

impl Author {
    /// One of whom nothing is known but its id.
    pub(super) const fn new(id: ReplicaId) -> Self {
        Author {
            id,
            generation: 1,
            birth: None,
            settled: Turn::ZERO,
            known: Turn::ZERO,
            saved: Turn::ZERO,
            minted: Turn::ZERO,
            durable: Turn::ZERO,
            stored: Turn::ZERO,
            inherited: Turn::ZERO,
            pushed: Turn::ZERO,
            queue: VecDeque::new(),
            placed: Vec::new(),
            awaited: Vec::new(),
        }
    }
}
