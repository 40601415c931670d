//! Records in memory: one allocation each, in slots that make the pages of a stored snapshot.

use alloc::{boxed::Box, vec::Vec};
use core::str;

use super::index::{Index, Slots, hash_of};
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

/// Bytes before the key: seq, collection, length of the key.
const HEAD: usize = 8 + 4 + 2;

/// A record in one block: seq, collection, length of the key, key, data. No data is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Block(Box<[u8]>);

impl Block {
    fn new(collection: Collection, key: &str, held: Held<'_>) -> Self {
        let mut bytes = Vec::with_capacity(HEAD + key.len() + held.data.len());
        bytes.extend_from_slice(&held.seq.0.to_le_bytes());
        bytes.extend_from_slice(&collection.0.to_le_bytes());
        bytes.extend_from_slice(&u16::try_from(key.len()).unwrap_or(0).to_le_bytes());
        bytes.extend_from_slice(key.as_bytes());
        bytes.extend_from_slice(held.data.as_bytes());
        Block(bytes.into())
    }

    fn part<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0.get(at..at + N).and_then(|part| part.try_into().ok()).unwrap_or([0; N])
    }

    fn seq(&self) -> Seq {
        Seq(u64::from_le_bytes(self.part(0)))
    }

    fn collection(&self) -> Collection {
        Collection(u32::from_le_bytes(self.part(8)))
    }

    fn texts(&self) -> (&[u8], &[u8]) {
        let len = usize::from(u16::from_le_bytes(self.part(12)));
        let texts = self.0.get(HEAD..).unwrap_or(&[]);
        texts.split_at(len.min(texts.len()))
    }

    fn key(&self) -> &str {
        str::from_utf8(self.texts().0).unwrap_or("")
    }

    fn data(&self) -> &str {
        str::from_utf8(self.texts().1).unwrap_or("")
    }

    fn held(&self) -> Held<'_> {
        Held { seq: self.seq(), data: self.data() }
    }

    fn is(&self, collection: Collection, key: &str) -> bool {
        self.collection() == collection && self.texts().0 == key.as_bytes()
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
    slots: Slots<Block>,
    index: Index,
    seed: u64,
    counts: Vec<usize>,
    digest: Digest,
    page_records: usize,
    /// Which pages of so many slots have changed since they were last encoded.
    dirty: Vec<bool>,
}

impl Table {
    /// Starts empty. The seed keeps strangers from choosing keys that collide.
    pub(super) fn new(seed: u64, page_records: usize) -> Self {
        Table {
            slots: Slots::default(),
            index: Index::default(),
            seed,
            counts: Vec::new(),
            digest: Digest::EMPTY,
            page_records,
            dirty: Vec::new(),
        }
    }

    fn slot(&self, hash: u64, collection: Collection, key: &str) -> Option<usize> {
        let is_it =
            |slot: usize| self.slots.get(slot).is_some_and(|block| block.is(collection, key));
        self.index.find(hash, &is_it)
    }

    /// What is held of a key.
    pub(super) fn get(&self, collection: Collection, key: &str) -> Option<Held<'_>> {
        let slot = self.slot(hash_of(self.seed, collection, key), collection, key)?;
        self.slots.get(slot).map(Block::held)
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
        let block = Block::new(collection, key, held);
        let hash = hash_of(self.seed, collection, key);
        if let Some(slot) = self.slot(hash, collection, key) {
            let before = self.slots.replace(slot, block);
            self.touch(slot);
            if let Some(before) = before {
                self.subtract(name, &before);
            }
            return;
        }
        let slot = self.slots.insert(block);
        self.touch(slot);
        self.enter(hash, slot, collection);
    }

    /// Counts and indexes what has come into a slot.
    fn enter(&mut self, hash: u64, slot: usize, collection: Collection) {
        if self.counts.len() <= collection.index() {
            self.counts.resize(collection.index() + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(collection.index()) {
            *count += 1;
        }
        self.index.insert(hash, slot);
    }

    /// Begins to take back the page that follows those taken back so far: its records come into the
    /// slots that it was made of, so that it need not be stored again. What they add to the digest may be
    /// told with it.
    pub(super) fn begin_page(&mut self, told: Option<Digest>) {
        self.digest.add(told.unwrap_or_default());
        self.slots.pad(self.dirty.len() * self.page_records);
        self.dirty.push(false);
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
        let other = self.slot(hash, collection, key).and_then(|slot| self.slots.get(slot));
        if let Some(other) = other {
            if other.seq() >= held.seq {
                if let Some(dirty) = self.dirty.last_mut() {
                    *dirty = true;
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
        let slot = self.slots.append(Block::new(collection, key, held));
        self.enter(hash, slot, collection);
    }

    /// Removes what is held of a key.
    pub(super) fn remove(&mut self, collection: Collection, name: &str, key: &str) {
        let slots = &self.slots;
        let is_it = |slot: usize| slots.get(slot).is_some_and(|block| block.is(collection, key));
        let hash = hash_of(self.seed, collection, key);
        let Some(slot) = self.index.remove(hash, &is_it) else { return };
        let taken = self.slots.take(slot);
        self.touch(slot);
        if let Some(count) = self.counts.get_mut(collection.index()) {
            *count -= 1;
        }
        if let Some(block) = taken {
            self.subtract(name, &block);
        }
    }

    fn subtract(&mut self, name: &str, block: &Block) {
        self.digest.remove(digest_of(name, block.key(), block.held()));
    }

    fn touch(&mut self, slot: usize) {
        let page = slot / self.page_records;
        if self.dirty.len() <= page {
            self.dirty.resize(page + 1, false);
        }
        if let Some(dirty) = self.dirty.get_mut(page) {
            *dirty = true;
        }
    }

    /// Visits everything that is held, in the order of slots.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Collection, &str, Held<'_>)> {
        self.slots.iter().map(|block| (block.collection(), block.key(), block.held()))
    }

    /// How many pages a snapshot has.
    pub(super) fn page_count(&self) -> usize {
        self.dirty.len()
    }

    /// A page that has changed since it was last read by [`Table::page`].
    pub(super) fn dirty_page(&self) -> Option<usize> {
        self.dirty.iter().position(|dirty| *dirty)
    }

    /// The rows of a page, in the order of their seqs, and what they add to the digest; it counts as
    /// unchanged from here on.
    pub(super) fn page<'a>(
        &'a mut self,
        page: usize,
        names: &'a Names,
    ) -> (Vec<RowRef<'a>>, Digest) {
        if let Some(dirty) = self.dirty.get_mut(page) {
            *dirty = false;
        }
        let blocks = self.slots.part(page * self.page_records, self.page_records);
        let mut digest = Digest::EMPTY;
        let take = |block: &'a Block| {
            let row = row_of(block, names);
            digest.add(digest_of(row.collection, row.key, block.held()));
            row
        };
        let rows: Vec<_> = blocks.map(take).collect();
        let seq = |place: usize| rows.get(place).map(|row| row.seq);
        let sorted = order(rows.len(), &|one, other| seq(one).cmp(&seq(other)));
        (sorted.into_iter().filter_map(|place| rows.get(place).copied()).collect(), digest)
    }
}

/// What is added to the digest with what is held of a key: nothing with a tombstone or the item of a pool.
fn digest_of(name: &str, key: &str, held: Held<'_>) -> Digest {
    if held.data.is_empty() || is_pool(name) {
        return Digest::EMPTY;
    }
    Digest::of(name, key, held.seq, held.data.as_bytes())
}

fn row_of<'a>(block: &'a Block, names: &'a Names) -> RowRef<'a> {
    let Held { seq, data } = block.held();
    let collection = names.name(block.collection());
    RowRef { collection, key: block.key(), seq, data: Some(data).filter(|data| !data.is_empty()) }
}
