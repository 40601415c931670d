//! What siblings tell each other, from tab to tab. Shells carry it, as they carry frames.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{BadFrame, decode_stored, encode_stored};
use crate::{
    id::{Epoch, ReplicaId, Seq, Turn},
    mutation::Outcome,
};

/// What one sibling tells all others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Note<'a> {
    /// Wants to hear what is pending.
    Ask,
    /// Has mutations on its disk that have no outcome.
    #[serde(borrow)]
    Pending(Backlog<'a>),
    /// Has heard outcomes.
    Settled(Verdicts),
}

/// Mutations without an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backlog<'a> {
    /// Whose.
    pub id: ReplicaId,
    /// Under which id they were told before.
    pub was: Option<ReplicaId>,
    /// The newest turn that has an outcome.
    pub settled: Turn,
    /// The newest turn that there is.
    pub minted: Turn,
    /// Turn of the first mutation.
    pub first: Turn,
    /// The mutations, as in a [`Push`](super::Push).
    #[serde(borrow)]
    pub block: &'a [u8],
}

/// Outcomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdicts {
    /// Whose.
    pub id: ReplicaId,
    /// The life of the datastore in which they were decided.
    pub epoch: Option<Epoch>,
    /// Whoever holds everything up to this seq holds their effects.
    pub at: Seq,
    /// Which turns, in order, and what became of them.
    pub outcomes: Vec<(Turn, Outcome)>,
}

/// Encodes a note.
#[must_use]
pub fn encode_note(note: &Note<'_>) -> Vec<u8> {
    encode_stored(note)
}

/// Decodes a note.
///
/// # Errors
/// When the bytes are none, or one of another version of this code.
pub fn decode_note(bytes: &[u8]) -> Result<Note<'_>, BadFrame> {
    decode_stored(bytes)
}
