//! A hash index over a list. Everything in the replica that is looked up by key uses this one type:
//! the browser build pays for a hash table once.

use alloc::vec::Vec;
use core::hash::Hasher;

use hashbrown::HashTable;
use siphasher::sip128::{Hasher128, SipHasher13};

use super::table::Collection;

/// Finds places in a list by the hash of what stands there.
#[derive(Debug, Default)]
pub(super) struct Index {
    places: HashTable<u32>,
}

impl Index {
    /// The place of what has this hash and satisfies `is_it`.
    pub(super) fn find(&self, hash: u64, is_it: &dyn Fn(usize) -> bool) -> Option<usize> {
        self.places.find(hash, |place| is_it(wide(*place))).copied().map(wide)
    }

    /// Takes in a place that is not there yet. `rehash` tells the hash of any place.
    pub(super) fn insert(&mut self, hash: u64, place: usize, rehash: &dyn Fn(usize) -> u64) {
        self.places.insert_unique(hash, narrow(place), |place| rehash(wide(*place)));
    }

    /// Takes out the place of what has this hash and satisfies `is_it`.
    pub(super) fn remove(&mut self, hash: u64, is_it: &dyn Fn(usize) -> bool) -> Option<usize> {
        let found = self.places.find_entry(hash, |place| is_it(wide(*place))).ok()?;
        Some(wide(found.remove().0))
    }

    /// Takes out everything.
    pub(super) fn clear(&mut self) {
        self.places.clear();
    }
}

fn wide(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// No list here outgrows 2^32: it would not fit the memory of a page.
fn narrow(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// Things in slots that keep their places; those that were taken out leave room for others.
#[derive(Debug)]
pub(super) struct Slots<T> {
    list: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots { list: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slots<T> {
    #[inline(always)]
    pub(super) fn get(&self, slot: usize) -> Option<&T> {
        self.list.get(slot)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut T> {
        self.list.get_mut(slot)?.as_mut()
    }

    /// Puts a thing into a free slot.
    pub(super) fn insert(&mut self, thing: T) -> usize {
        if let Some(slot) = self.free.pop() {
            self.replace(slot, thing);
            return slot;
        }
        self.append(thing)
    }

    /// Puts a thing behind all slots.
    pub(super) fn append(&mut self, thing: T) -> usize {
        self.list.push(Some(thing));
        self.list.len() - 1
    }

    /// Leaves slots free until there are `count`.
    pub(super) fn pad(&mut self, count: usize) {
        self.free.extend(self.list.len()..count);
        self.list.resize_with(self.list.len().max(count), || None);
    }

    /// Puts a thing in place of another one.
    pub(super) fn replace(&mut self, slot: usize, thing: T) -> Option<T> {
        self.list.get_mut(slot)?.replace(thing)
    }

    /// Takes a thing out.
    pub(super) fn take(&mut self, slot: usize) -> Option<T> {
        let thing = self.list.get_mut(slot)?.take();
        if thing.is_some() {
            self.free.push(slot);
        }
        thing
    }

    /// All things, in the order of their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.list.iter().flatten()
    }

    /// The things in the `count` slots from `start` on.
    pub(super) fn part(&self, start: usize, count: usize) -> impl Iterator<Item = &T> {
        self.list.iter().skip(start).take(count).flatten()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.len() == self.free.len()
    }
}

/// Hashes a key of a collection. The seed keeps strangers from choosing keys that collide.
pub(super) fn hash_of(seed: u64, collection: Collection, key: &str) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(seed, u64::from(collection.0));
    hasher.write(key.as_bytes());
    hasher.finish128().h1
}
