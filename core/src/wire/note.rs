//! What siblings tell each other, from tab to tab. Shells carry it, as they carry frames.

use alloc::vec::Vec;

use super::{BadFrame, Settled, decode_stored, encode_stored};
use crate::id::{Epoch, Seq, Turn};

/// What one sibling tells all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// Whether it wants to be told everything.
    pub asks: bool,
    /// Its [`ReplicaId`](crate::id::ReplicaId).
    pub id: &'a [u8],
    /// The id under which it was known before, if it has another one now.
    pub was: &'a [u8],
    /// The life of the datastore in which `settled` counts.
    pub epoch: Option<Epoch>,
    /// Whoever holds everything up to this seq holds the effects of `settled`.
    pub at: Seq,
    /// Outcomes, in order of turns.
    pub settled: Vec<Settled>,
    /// The newest turn that has an outcome.
    pub acked: Turn,
    /// The newest turn that there is.
    pub minted: Turn,
    /// Turn of the first mutation of `block`.
    pub first: Turn,
    /// Mutations that are on its disk and have no outcome, as in a [`Push`](super::Push).
    pub block: &'a [u8],
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
