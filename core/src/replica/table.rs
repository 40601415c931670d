//! Records in memory, in slots that make the pages of a checkpoint.

use alloc::{boxed::Box, vec::Vec};

use super::{
    index::{Index, hash_of},
    slab::{Block, Page, Slab},
};
use crate::{id::Seq, pool::is_pool, record::Digest, wire::BadFrame};

/// A collection by its place in [`Names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Collection(pub(super) u32);

impl Collection {
    pub(super) fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// The collections that a replica has heard of, in the order in which it did.
#[derive(Debug, Default)]
pub(super) struct Names {
    list: Vec<Box<str>>,
    index: Index,
}

/// Names are hashed as keys of no collection.
fn hash_of_name(name: &str) -> u32 {
    hash_of(0, 0, name)
}

impl Names {
    /// Finds a collection that was heard of.
    pub(super) fn find(&self, name: &str) -> Option<Collection> {
        if let [only] = self.list.as_slice() {
            return (**only == *name).then_some(Collection(0));
        }
        let is_it = |place: usize| self.list.get(place).is_some_and(|known| **known == *name);
        let place = self.index.find(hash_of_name(name), &is_it)?;
        u32::try_from(place).ok().map(Collection)
    }

    /// Finds a collection or takes it in.
    pub(super) fn intern(&mut self, name: &str) -> Collection {
        if let Some(known) = self.find(name) {
            return known;
        }
        let place = self.list.len();
        self.list.push(name.into());
        self.index.claim(hash_of_name(name), place, &|_| false);
        Collection(u32::try_from(place).unwrap_or(u32::MAX))
    }

    pub(super) fn name(&self, collection: Collection) -> &str {
        self.list.get(collection.index()).map_or("", |name| name)
    }
}

/// What a table says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held<'a> {
    pub(super) seq: Seq,
    /// Empty for a tombstone, which only a table of staged rows holds.
    pub(super) data: &'a str,
}

/// What a table knows of a collection.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// How many records there are.
    records: usize,
    /// The hash of its name under the table's seed: numbers differ from one replica to the next.
    hash: Option<u32>,
}

/// Records by collection and key.
#[derive(Debug)]
pub(super) struct Table {
    /// Each has `page_records` slots, which are counted through.
    slabs: Vec<Slab>,
    /// Slots that were left or given back.
    free: Vec<usize>,
    index: Index,
    seed: u64,
    /// By the numbers of collections.
    tallies: Vec<Tally>,
    digest: Digest,
    page_records: usize,
}

impl Table {
    /// Starts empty. The seed keeps strangers from choosing keys that collide.
    pub(super) fn new(seed: u64, page_records: usize) -> Self {
        Table {
            slabs: Vec::new(),
            free: Vec::new(),
            index: Index::default(),
            seed,
            tallies: Vec::new(),
            digest: Digest::EMPTY,
            page_records,
        }
    }

    fn block(&self, slot: usize) -> Option<Block<'_>> {
        block_of(&self.slabs, self.page_records, slot)
    }

    /// The slab of a slot, which is about to change.
    fn touch(&mut self, slot: usize) -> Option<(&mut Slab, usize)> {
        let slab = self.slabs.get_mut(slot / self.page_records)?;
        slab.is_dirty = true;
        Some((slab, slot % self.page_records))
    }

    fn tally(&self, collection: Collection) -> Tally {
        self.tallies.get(collection.index()).copied().unwrap_or_default()
    }

    /// The hash of a key; nothing where nothing is held of its collection.
    fn hash(&self, collection: Collection, key: &str) -> Option<u32> {
        Some(hash_of(self.seed, self.tally(collection).hash?, key))
    }

    /// Counts records that come into a collection.
    fn count_in(&mut self, collection: Collection, name: &str, records: usize) {
        if self.tallies.len() <= collection.index() {
            self.tallies.resize(collection.index() + 1, Tally::default());
        }
        if let Some(tally) = self.tallies.get_mut(collection.index()) {
            tally.records += records;
            tally.hash.get_or_insert_with(|| hash_of(self.seed, 0, name));
        }
    }

    /// What is held of a key.
    pub(super) fn get(&self, collection: Collection, key: &str) -> Option<Held<'_>> {
        let is_it = speaks_of(&self.slabs, self.page_records, (collection, key));
        let slot = self.index.find(self.hash(collection, key)?, &is_it)?;
        self.block(slot).map(|block| block.held())
    }

    /// How many records of a collection there are.
    pub(super) fn count(&self, collection: Collection) -> usize {
        self.tally(collection).records
    }

    /// Over all records; the items of pools are none.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// Writes a record in place of what was held of its key. `name` is the collection's.
    pub(super) fn put(&mut self, collection: Collection, name: &str, key: &str, held: Held<'_>) {
        self.digest.add(digest_of(name, key, held));
        self.count_in(collection, name, 0);
        let Some(hash) = self.hash(collection, key) else { return };
        let next = self.next_slot();
        let place = (collection, key);
        let slot = self.index.claim(hash, next, &speaks_of(&self.slabs, self.page_records, place));
        if let Some(slot) = slot {
            self.subtract(name, slot);
        } else {
            self.free.pop();
            if next / self.page_records >= self.slabs.len() {
                let room = self.slabs.last().map_or(0, Slab::usual);
                self.begin_slab(Slab::with_room(room));
            }
            self.count_in(collection, name, 1);
        }
        if let Some((slab, slot)) = self.touch(slot.unwrap_or(next)) {
            slab.put(slot, collection, key, held);
        }
    }

    /// The slot that the next record comes into: a free one, or the one behind all that have had a use.
    fn next_slot(&self) -> usize {
        let behind = || {
            let last = self.slabs.last()?;
            Some((self.slabs.len() - 1) * self.page_records + last.len())
        };
        self.free.last().copied().or_else(behind).unwrap_or(0)
    }

    fn begin_slab(&mut self, slab: Slab) {
        let slots = self.slabs.len() * self.page_records;
        let used = self.slabs.last().map_or(self.page_records, Slab::len);
        for slot in slots + used - self.page_records..slots {
            self.free.push(slot);
        }
        self.slabs.push(slab);
    }

    /// Takes back the page that follows those taken back so far: its records come into the slots behind them, so that
    /// it need not be stored again. Pages may have been stored at different moments, so an older record of the same
    /// key may be there, or a newer one; then a stored page is stale.
    pub(super) fn take_back(&mut self, bytes: Vec<u8>, names: &mut Names) -> Result<(), BadFrame> {
        let place = self.slabs.len();
        let Page { slab, mut hashes, seed, digest, counts } = Page::decode(bytes, place, names)?;
        if slab.len() > self.page_records {
            return Err(BadFrame);
        }
        if place == 0 {
            self.seed = seed;
        }
        self.digest.add(digest);
        for (collection, records) in counts {
            self.count_in(collection, names.name(collection), records);
        }
        if seed != self.seed {
            // Another tab's.
            let hash =
                |slot| slab.get(slot).and_then(|block| self.hash(block.collection, block.key()));
            hashes = (0..slab.len()).map(|slot| hash(slot).unwrap_or(0)).collect();
        }
        self.begin_slab(slab);
        for (slot, hash) in (place * self.page_records..).zip(hashes) {
            let block = |slot| block_of(&self.slabs, self.page_records, slot);
            let is_it = |other: usize| {
                let same =
                    |(one, other): (Block<'_>, Block<'_>)| one.is(other.collection, other.key());
                block(other).zip(block(slot)).is_some_and(same)
            };
            if let Some(other) = self.index.claim(hash, slot, &is_it) {
                self.keep_newer(other, slot, hash, names);
            }
        }
        Ok(())
    }

    /// Of two slots that speak of the same key, the first of which is in the index, only the newer one counts.
    fn keep_newer(&mut self, one: usize, other: usize, hash: u32, names: &Names) {
        let seq = |slot| self.block(slot).map(|block| block.seq);
        let mut older = other;
        if seq(one) < seq(other) {
            older = one;
            self.index.remove(hash, &|slot| slot == one);
            self.index.claim(hash, other, &|_| false);
        }
        let Some(Block { collection, .. }) = self.block(older) else { return };
        self.vacate(older, collection, names.name(collection));
    }

    /// Removes what is held of a key.
    pub(super) fn remove(&mut self, collection: Collection, name: &str, key: &str) {
        let Some(hash) = self.hash(collection, key) else { return };
        let place = (collection, key);
        let slot = self.index.remove(hash, &speaks_of(&self.slabs, self.page_records, place));
        if let Some(slot) = slot {
            self.vacate(slot, collection, name);
        }
    }

    /// Frees a slot that is in the index no more.
    fn vacate(&mut self, slot: usize, collection: Collection, name: &str) {
        self.subtract(name, slot);
        if let Some((slab, slot)) = self.touch(slot) {
            slab.take(slot);
        }
        self.free.push(slot);
        if let Some(tally) = self.tallies.get_mut(collection.index()) {
            tally.records = tally.records.saturating_sub(1);
        }
    }

    /// Takes what a slot holds out of the digest.
    fn subtract(&mut self, name: &str, slot: usize) {
        let hash = self.block(slot).map(|block| digest_of(name, block.key(), block.held()));
        self.digest.remove(hash.unwrap_or_default());
    }

    /// Visits everything that is held, in the order of slots.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Collection, &str, Held<'_>)> {
        let slots = 0..self.slabs.len() * self.page_records;
        slots.filter_map(|slot| {
            let block = self.block(slot)?;
            Some((block.collection, block.key(), block.held()))
        })
    }

    /// How many pages a checkpoint has.
    pub(super) fn page_count(&self) -> usize {
        self.slabs.len()
    }

    /// A page that has changed since it was last read by [`Table::page`].
    pub(super) fn dirty_page(&self) -> Option<usize> {
        self.slabs.iter().position(|slab| slab.is_dirty)
    }

    /// Encodes a page; it counts as unchanged from here on.
    pub(super) fn page(&mut self, page: usize, names: &Names) -> Vec<u8> {
        let Some(slab) = self.slabs.get_mut(page) else { return Vec::new() };
        slab.is_dirty = false;
        slab.compact();
        let Some(slab) = self.slabs.get(page) else { return Vec::new() };
        let hash = |collection, key: &str| self.hash(collection, key).unwrap_or(0);
        Page::encode(slab, page, names, self.seed, &hash)
    }
}

fn block_of(slabs: &[Slab], page_records: usize, slot: usize) -> Option<Block<'_>> {
    slabs.get(slot / page_records)?.get(slot % page_records)
}

/// Whether a slot speaks of a key.
fn speaks_of(
    slabs: &[Slab],
    page_records: usize,
    (collection, key): (Collection, &str),
) -> impl Fn(usize) -> bool {
    move |slot| block_of(slabs, page_records, slot).is_some_and(|block| block.is(collection, key))
}

/// What is added to the digest with what is held of a key: nothing with a tombstone or the item of a pool.
pub(super) fn digest_of(name: &str, key: &str, held: Held<'_>) -> Digest {
    if held.data.is_empty() || is_pool(name) {
        return Digest::EMPTY;
    }
    Digest::of(name, key, held.seq, held.data.as_bytes())
}
