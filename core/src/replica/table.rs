//! Records in memory, in slots that make the pages of a stored snapshot.

use alloc::{boxed::Box, vec::Vec};

use super::{
    index::{Index, hash_of},
    slab::{Block, Slab},
};
use crate::{id::Seq, order::order, pool::is_pool, record::Digest, wire::RowRef};

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
fn hash_of_name(name: &str) -> u64 {
    hash_of(0, Collection(0), name)
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
        self.index.insert(hash_of_name(name), place);
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

/// Records by collection and key.
#[derive(Debug)]
pub(super) struct Table {
    /// Each has `page_records` slots, which are counted through.
    slabs: Vec<Slab>,
    /// Slots that were left or given back.
    free: Vec<usize>,
    index: Index,
    seed: u64,
    counts: Vec<usize>,
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
            counts: Vec::new(),
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

    fn slot(&self, hash: u64, collection: Collection, key: &str) -> Option<usize> {
        let is_it = |slot: usize| self.block(slot).is_some_and(|block| block.is(collection, key));
        self.index.find(hash, &is_it)
    }

    /// What is held of a key.
    pub(super) fn get(&self, collection: Collection, key: &str) -> Option<Held<'_>> {
        let slot = self.slot(hash_of(self.seed, collection, key), collection, key)?;
        self.block(slot).map(|block| block.held())
    }

    /// How many records of a collection there are.
    pub(super) fn count(&self, collection: Collection) -> usize {
        self.counts.get(collection.index()).copied().unwrap_or(0)
    }

    /// Over all records; the items of pools are none.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// Writes a record in place of what was held of its key. `name` is the collection's.
    pub(super) fn put(&mut self, collection: Collection, name: &str, key: &str, held: Held<'_>) {
        self.digest.add(digest_of(name, key, held));
        let hash = hash_of(self.seed, collection, key);
        let slot = match self.slot(hash, collection, key) {
            Some(slot) => {
                self.subtract(name, slot);
                slot
            }
            None => {
                let slot = self.free.pop().unwrap_or_else(|| self.next_slot());
                self.enter(hash, slot, collection);
                slot
            }
        };
        if let Some((slab, slot)) = self.touch(slot) {
            slab.put(slot, collection, key, held);
        }
    }

    /// The slot behind all that have had a use.
    fn next_slot(&mut self) -> usize {
        let is_full = |slab: &Slab| slab.len() >= self.page_records;
        if self.slabs.last().is_none_or(is_full) {
            let room = self.slabs.last().map_or(0, Slab::usual);
            self.begin_slab(Slab::with_room(room));
        }
        let used = self.slabs.last().map_or(0, Slab::len);
        (self.slabs.len() - 1) * self.page_records + used
    }

    fn begin_slab(&mut self, slab: Slab) {
        let slots = self.slabs.len() * self.page_records;
        let used = self.slabs.last().map_or(self.page_records, Slab::len);
        for slot in slots + used - self.page_records..slots {
            self.free.push(slot);
        }
        self.slabs.push(slab);
    }

    /// Counts and indexes what comes into a slot.
    fn enter(&mut self, hash: u64, slot: usize, collection: Collection) {
        if self.counts.len() <= collection.index() {
            self.counts.resize(collection.index() + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(collection.index()) {
            *count += 1;
        }
        self.index.insert(hash, slot);
    }

    /// Begins to take back the page that follows those taken back so far, of so many bytes: its records come into the
    /// slots that it was made of, so that it need not be stored again. What they add to the digest may be
    /// told with it.
    pub(super) fn begin_page(&mut self, bytes: usize, told: Option<Digest>) {
        self.digest.add(told.unwrap_or_default());
        self.begin_slab(Slab::with_room(bytes));
    }

    /// Takes back a record of the page that was begun. Pages may have been stored at different moments,
    /// so an older one of the same key may be there, or a newer one; then a stored page is stale.
    pub(super) fn take_back(
        &mut self,
        collection: Collection,
        name: &str,
        key: &str,
        held: Held<'_>,
        is_told: bool,
    ) {
        let hash = hash_of(self.seed, collection, key);
        let slot = self.slot(hash, collection, key);
        if let Some(other) = slot.and_then(|slot| self.block(slot)) {
            if other.seq >= held.seq {
                if let Some(last) = self.slabs.last_mut() {
                    last.is_dirty = true;
                }
                if is_told {
                    self.digest.remove(digest_of(name, key, held));
                }
                return;
            }
            self.remove(collection, name, key);
        }
        if !is_told {
            self.digest.add(digest_of(name, key, held));
        }
        let slot = self.next_slot();
        if let Some(last) = self.slabs.last_mut() {
            last.put(slot % self.page_records, collection, key, held);
        }
        self.enter(hash, slot, collection);
    }

    /// Removes what is held of a key.
    pub(super) fn remove(&mut self, collection: Collection, name: &str, key: &str) {
        let hash = hash_of(self.seed, collection, key);
        let block = |slot| block_of(&self.slabs, self.page_records, slot);
        let is_it = |slot: usize| block(slot).is_some_and(|block| block.is(collection, key));
        let Some(slot) = self.index.remove(hash, &is_it) else { return };
        self.subtract(name, slot);
        if let Some((slab, slot)) = self.touch(slot) {
            slab.take(slot);
        }
        self.free.push(slot);
        if let Some(count) = self.counts.get_mut(collection.index()) {
            *count -= 1;
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

    /// How many pages a snapshot has.
    pub(super) fn page_count(&self) -> usize {
        self.slabs.len()
    }

    /// A page that has changed since it was last read by [`Table::page`].
    pub(super) fn dirty_page(&self) -> Option<usize> {
        self.slabs.iter().position(|slab| slab.is_dirty)
    }

    /// The rows of a page, in the order of their seqs, and what they add to the digest; it counts as
    /// unchanged from here on.
    pub(super) fn page<'a>(
        &'a mut self,
        page: usize,
        names: &'a Names,
    ) -> (Vec<RowRef<'a>>, Digest) {
        let mut digest = Digest::EMPTY;
        let Some(slab) = self.slabs.get_mut(page) else { return (Vec::new(), digest) };
        slab.is_dirty = false;
        let take = |block: Block<'a>| {
            let row = row_of(block, names);
            digest.add(digest_of(row.collection, row.key, block.held()));
            row
        };
        let rows: Vec<_> = slab.blocks().map(take).collect();
        let seq = |place: usize| rows.get(place).map(|row| row.seq);
        let sorted = order(rows.len(), &|one, other| seq(one).cmp(&seq(other)));
        (sorted.into_iter().filter_map(|place| rows.get(place).copied()).collect(), digest)
    }
}

fn block_of(slabs: &[Slab], page_records: usize, slot: usize) -> Option<Block<'_>> {
    slabs.get(slot / page_records)?.get(slot % page_records)
}

/// What is added to the digest with what is held of a key: nothing with a tombstone or the item of a pool.
fn digest_of(name: &str, key: &str, held: Held<'_>) -> Digest {
    if held.data.is_empty() || is_pool(name) {
        return Digest::EMPTY;
    }
    Digest::of(name, key, held.seq, held.data.as_bytes())
}

fn row_of<'a>(block: Block<'a>, names: &'a Names) -> RowRef<'a> {
    let Held { seq, data } = block.held();
    let collection = names.name(block.collection);
    RowRef { collection, key: block.key(), seq, data: Some(data).filter(|data| !data.is_empty()) }
}
