//! Records in memory, a thousand in one allocation: each by itself would cost a tenth more memory, and a replica would
//! not come back from a disk by copying.

use alloc::vec::Vec;
use core::str;

use super::table::{Collection, Held};
use crate::{
    id::Seq,
    wire::{BadFrame, Reader, place_within, put_varints},
};

mod page;

pub(super) use page::Page;

/// No block lies there.
const FREE: u32 = u32::MAX;

/// Room is made for so many bytes at least, or an eighth of what is there.
const STRIDE: usize = 8 * 1024;

/// The blocks of some slots, one behind the other; it is stored as a page of a checkpoint.
#[derive(Debug, Default)]
pub(super) struct Slab {
    bytes: Vec<u8>,
    /// Where the block of each slot begins.
    starts: Vec<u32>,
    /// By their numbers in the blocks.
    collections: Vec<Collection>,
    /// Bytes of blocks that are in no slot any more.
    dead: usize,
    /// Whether it has changed since it was last stored.
    pub(super) is_dirty: bool,
}

/// A record as it lies in a slab: five numbers, which are its collection's, its seq, the place of its key within the data
/// and the lengths of both, then the data. Places count from 1; where it is 0 the key stands before the data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    pub(super) collection: Collection,
    /// The collection's in this slab.
    number: usize,
    pub(super) seq: Seq,
    key: &'a [u8],
    data: &'a [u8],
    size: usize,
}

/// Bytes of the numbers of a block, at most.
const HEAD_MAX: usize = 5 + 8 + 3 + 3 + 5;

impl<'a> Block<'a> {
    fn take(from: &mut Reader<'a>, collections: &[Collection]) -> Result<Self, BadFrame> {
        let whole = from.rest().len();
        let (number, seq) = (from.varint()?, Seq(from.varint()?));
        let number = usize::try_from(number).map_err(|_| BadFrame)?;
        let collection = *collections.get(number).ok_or(BadFrame)?;
        let (counted, key, data) = (from.length()?, from.length()?, from.length()?);
        let apart = from.bytes(if counted == 0 { key } else { 0 })?;
        let data = from.bytes(data)?;
        let key = match counted.checked_sub(1) {
            Some(place) => data.get(place..place + key).ok_or(BadFrame)?,
            None => apart,
        };
        Ok(Block { collection, number, seq, key, data, size: whole - from.rest().len() })
    }

    pub(super) fn key(&self) -> &'a str {
        str::from_utf8(self.key).unwrap_or("")
    }

    pub(super) fn held(&self) -> Held<'a> {
        Held { seq: self.seq, data: str::from_utf8(self.data).unwrap_or("") }
    }

    pub(super) fn is(&self, collection: Collection, key: &str) -> bool {
        self.collection == collection && self.key == key.as_bytes()
    }
}

impl Slab {
    /// Starts with room for so many bytes.
    pub(super) fn with_room(bytes: usize) -> Self {
        Slab { bytes: Vec::with_capacity(bytes), ..Slab::default() }
    }

    /// The room that another one as large would take, with a little more.
    pub(super) fn usual(&self) -> usize {
        self.bytes.len() + self.bytes.len() / 32
    }

    /// How many slots it has had a use for.
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// What stands from the beginning of a slot's block on.
    fn reader(&self, slot: usize) -> Option<Reader<'_>> {
        let start = usize::try_from(*self.starts.get(slot)?).ok()?;
        self.bytes.get(start..).map(Reader::new)
    }

    pub(super) fn get(&self, slot: usize) -> Option<Block<'_>> {
        Block::take(&mut self.reader(slot)?, &self.collections).ok()
    }

    /// A collection's number in the blocks.
    fn number(&mut self, collection: Collection) -> u64 {
        let known = self.collections.iter().position(|known| *known == collection);
        let number = known.unwrap_or_else(|| {
            self.collections.push(collection);
            self.collections.len() - 1
        });
        number as u64
    }

    /// Puts a record into a slot, in place of what was there.
    pub(super) fn put(&mut self, slot: usize, collection: Collection, key: &str, held: Held<'_>) {
        self.take(slot);
        let most = HEAD_MAX + key.len() + held.data.len();
        if self.bytes.capacity() - self.bytes.len() < most {
            // Not twice as much as is there, as lists grow: most slabs are full.
            let room = most + STRIDE.max(self.bytes.len() / 8);
            let mut bytes = Vec::with_capacity(self.bytes.len() + room);
            bytes.extend_from_slice(&self.bytes);
            self.bytes = bytes;
        }
        let start = u32::try_from(self.bytes.len()).unwrap_or(FREE);
        let place = place_within(held.data, key);
        let (counted, apart) = place.map_or((0, key), |place| (place + 1, ""));
        let lengths = [counted, key.len(), held.data.len()].map(|length| length as u64);
        let [counted, key_length, data_length] = lengths;
        let numbers = [self.number(collection), held.seq.0, counted, key_length, data_length];
        put_varints(&mut self.bytes, numbers);
        self.bytes.extend_from_slice(apart.as_bytes());
        self.bytes.extend_from_slice(held.data.as_bytes());
        if self.starts.len() <= slot {
            self.starts.resize(slot + 1, FREE);
        }
        if let Some(place) = self.starts.get_mut(slot) {
            *place = start;
        }
    }

    /// Frees a slot.
    pub(super) fn take(&mut self, slot: usize) {
        let Some(Block { size, .. }) = self.get(slot) else { return };
        if let Some(start) = self.starts.get_mut(slot) {
            *start = FREE;
        }
        self.dead += size;
        if self.dead > STRIDE && self.dead > self.bytes.len() / 3 {
            self.compact();
        }
    }

    /// Lets go of blocks that are in no slot any more, and of collections without blocks.
    pub(super) fn compact(&mut self) {
        if self.dead == 0 {
            return;
        }
        let mut live = Slab::with_room((self.bytes.len() + STRIDE).saturating_sub(self.dead));
        live.starts.resize(self.starts.len(), FREE);
        live.is_dirty = self.is_dirty;
        for slot in 0..self.starts.len() {
            if let Some(block) = self.get(slot) {
                live.put(slot, block.collection, block.key(), block.held());
            }
        }
        *self = live;
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String, vec};

    use super::*;

    fn blocks(slab: &Slab) -> impl Iterator<Item = Block<'_>> {
        (0..slab.len()).filter_map(|slot| slab.get(slot))
    }

    /// Against a plain list, with keys within and apart, and so many rewrites that it is compacted again and again.
    #[test]
    fn holds_what_was_put_and_little_else() {
        let mut slab = Slab::default();
        let mut held = vec![None::<(Seq, String, String)>; 64];
        let mut dice = 7_usize;
        for seq in 1..20_000 {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let slot = (dice >> 33) % held.len();
            let key = format!("key {}", dice >> 50);
            let data = match dice >> 61 {
                0 => String::new(),
                1 => "{}".into(),
                kind => format!(r#"{{"id":"{key}","text":"{}"}}"#, "é".repeat(kind * 40)),
            };
            held[slot] = if (dice >> 40).is_multiple_of(5) {
                slab.take(slot);
                None
            } else {
                slab.put(slot, Collection(3), &key, Held { seq: Seq(seq), data: &data });
                Some((Seq(seq), key, data))
            };
            let live: usize = blocks(&slab).map(|block| block.size).sum();
            assert!(slab.bytes.len() <= (live * 3 / 2).max(live + STRIDE) + 1);
        }
        for (slot, expected) in held.iter().enumerate() {
            let found = slab
                .get(slot)
                .map(|block| (block.seq, block.key().into(), block.held().data.into()));
            assert_eq!(found, *expected);
            if let Some((_, key, _)) = expected {
                assert!(slab.get(slot).is_some_and(|block| block.is(Collection(3), key)));
                assert!(!slab.get(slot).is_some_and(|block| block.is(Collection(4), key)));
            }
        }
        assert_eq!(blocks(&slab).count(), held.iter().flatten().count());
    }
}
