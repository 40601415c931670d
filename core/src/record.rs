//! Records as the order knows them, and the digest over all of them.

use crate::{
    id::{Seq, from_hex, hex},
    sip::sip,
};
use alloc::{boxed::Box, string::String};

/// What the order last said of a key: a record, or a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Name of the collection.
    pub collection: Box<str>,
    /// Value of the record's primary field.
    pub key: Box<str>,
    /// Seq of the mutation that wrote it.
    pub seq: Seq,
    /// The record as minified JSON; `None` for a tombstone.
    pub data: Option<Box<str>>,
}

impl Row {
    /// Gives the row's part of the digest: nothing for a tombstone.
    #[must_use]
    pub fn hash(&self) -> Digest {
        self.data.as_ref().map_or(Digest::EMPTY, |data| {
            Digest::of(&self.collection, &self.key, self.seq, data.as_bytes())
        })
    }
}

/// The 128-bit wrapping sum of a hash over (collection, key, seq, data) of all live records. Two
/// replicas with one digest hold the same records; which one wrote first makes no difference to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// The digest of no records.
    pub const EMPTY: Digest = Digest([0; 16]);

    /// Hashes one live record: SipHash-1-3 with 128 bits and zero keys over lengths and bytes.
    #[must_use]
    pub fn of(collection: &str, key: &str, seq: Seq, data: &[u8]) -> Digest {
        // Lengths part the texts, so that no two different records feed the same bytes.
        let lengths = (collection.len() as u64) << 32 | key.len() as u64;
        let [lengths, seq] = [lengths, seq.0].map(u64::to_le_bytes);
        Digest(sip(1, [0, 0], &[&lengths, &seq, collection.as_bytes(), key.as_bytes(), data]))
    }

    /// Adds a record's hash.
    pub fn add(&mut self, hash: Digest) {
        *self = Digest(self.number().wrapping_add(hash.number()).to_le_bytes());
    }

    /// Takes a record's hash away again.
    pub fn remove(&mut self, hash: Digest) {
        *self = Digest(self.number().wrapping_sub(hash.number()).to_le_bytes());
    }

    /// Gives the digest as 32 hex digits, as the public interfaces show it.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }

    /// Reads 32 hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Digest> {
        from_hex(text).map(Digest)
    }

    fn number(self) -> u128 {
        u128::from_le_bytes(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [DI1] The digest is a sum: order does not matter, and what is taken away leaves no trace.
    #[test]
    fn di1_digest_is_a_sum_without_order() {
        let one = Digest::of("a", "b", Seq(1), b"{}");
        let other = Digest::of("a", "b", Seq(2), b"{}");
        let mut forth = Digest::EMPTY;
        forth.add(one);
        forth.add(other);
        let mut back = Digest::EMPTY;
        back.add(other);
        back.add(one);
        assert_eq!(forth, back);
        forth.remove(one);
        assert_eq!(forth, other);
        assert_ne!(one, other);
        assert_ne!(Digest::of("ab", "c", Seq(1), b""), Digest::of("a", "bc", Seq(1), b""));
    }
}
