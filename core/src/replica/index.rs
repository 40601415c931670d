//! A hash index over a list. Everything in the replica that is looked up by key uses this one type:
//! the browser build pays for a hash table once.

use alloc::{vec, vec::Vec};

use crate::sip::sip_half;

/// A place, and what of its hash is kept.
#[derive(Clone, Copy, Debug)]
struct Cell {
    hash: u32,
    place: u32,
}

const FREE: Cell = Cell { hash: 0, place: u32::MAX };

impl Cell {
    const fn is_free(self) -> bool {
        self.place == u32::MAX
    }
}

/// Cells that are kept when everything is taken out.
const KEPT: usize = 256;

/// Finds places in a list by the hash of what stands there. Each lies in the cell that its hash names, or
/// in the next one that is free; a quarter of the cells is.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// None, or a power of two.
    cells: Vec<Cell>,
    held: usize,
}

impl Index {
    /// The place of what has this hash and satisfies `is_it`.
    pub(super) fn find(&self, hash: u32, is_it: &dyn Fn(usize) -> bool) -> Option<usize> {
        self.place(self.seek(hash, is_it))
    }

    /// Takes in a place, unless what has this hash and satisfies `is_it` has one, which it gives then.
    pub(super) fn claim(
        &mut self,
        hash: u32,
        place: usize,
        is_it: &dyn Fn(usize) -> bool,
    ) -> Option<usize> {
        if (self.held + 1) * 4 > self.cells.len() * 3 {
            self.grow();
        }
        let at = self.seek(hash, is_it);
        let found = self.place(at);
        if found.is_none() {
            self.held += 1;
            self.set(at, Cell { hash, place: narrow(place) });
        }
        found
    }

    fn grow(&mut self) {
        let larger = vec![FREE; (self.cells.len() * 2).max(8)];
        for cell in core::mem::replace(&mut self.cells, larger) {
            if !cell.is_free() {
                self.set(self.seek(cell.hash, &|_| false), cell);
            }
        }
    }

    /// Takes out the place of what has this hash and satisfies `is_it`.
    pub(super) fn remove(&mut self, hash: u32, is_it: &dyn Fn(usize) -> bool) -> Option<usize> {
        let mut hole = self.seek(hash, is_it);
        let found = self.place(hole)?;
        self.held -= 1;
        // What was displaced moves up, or it would not be found behind a free cell.
        let mask = self.cells.len() - 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let cell = self.cells.get(at).copied().filter(|cell| !cell.is_free());
            let Some(cell) = cell else { break };
            let way = at.wrapping_sub(wide(cell.hash)) & mask;
            if way >= at.wrapping_sub(hole) & mask {
                self.set(hole, cell);
                hole = at;
            }
        }
        self.set(hole, FREE);
        Some(found)
    }

    /// Takes out everything.
    pub(super) fn clear(&mut self) {
        self.held = 0;
        self.cells.truncate(KEPT);
        self.cells.fill(FREE);
    }

    /// The cell of what has this hash and satisfies `is_it`, or else the first free one on the way.
    fn seek(&self, hash: u32, is_it: &dyn Fn(usize) -> bool) -> usize {
        let mut at = wide(hash);
        loop {
            at &= self.cells.len().wrapping_sub(1);
            let Some(cell) = self.cells.get(at) else { return 0 };
            if cell.is_free() || cell.hash == hash && is_it(wide(cell.place)) {
                return at;
            }
            at += 1;
        }
    }

    fn place(&self, at: usize) -> Option<usize> {
        let cell = self.cells.get(at).filter(|cell| !cell.is_free())?;
        Some(wide(cell.place))
    }

    fn set(&mut self, at: usize, cell: Cell) {
        if let Some(place) = self.cells.get_mut(at) {
            *place = cell;
        }
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

    /// The slot that the next thing comes into.
    pub(super) fn next(&self) -> usize {
        self.free.last().copied().unwrap_or(self.list.len())
    }

    /// Puts a thing into a free slot.
    pub(super) fn insert(&mut self, thing: T) -> usize {
        if let Some(slot) = self.free.pop() {
            self.replace(slot, thing);
            return slot;
        }
        self.list.push(Some(thing));
        self.list.len() - 1
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

    pub(super) fn is_empty(&self) -> bool {
        self.list.len() == self.free.len()
    }
}

/// Hashes a key of a collection, which `of` stands for. The seed keeps strangers from choosing keys that collide. Half of a
/// hash is enough to choose cells and to tell keys apart.
pub(super) fn hash_of(seed: u64, of: u32, key: &str) -> u32 {
    let [a, b, c, d, ..] = sip_half(1, [seed, of.into()], &[key.as_bytes()]);
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against a plain list, with hashes that collide more often than not.
    #[test]
    fn finds_what_is_held() {
        let hash = |place: usize| (place % 37) as u32 * 0x1_0003;
        let mut index = Index::default();
        let mut held = vec![false; 1_000];
        let mut dice = 7_usize;
        for _ in 0..20_000 {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let place = (dice >> 33) % held.len();
            let is_it = |other: usize| other == place;
            assert_eq!(index.find(hash(place), &is_it), held[place].then_some(place));
            if held[place] {
                assert_eq!(index.remove(hash(place), &is_it), Some(place));
            } else {
                assert_eq!(index.remove(hash(place), &is_it), None);
                assert_eq!(index.claim(hash(place), place, &is_it), None);
                assert_eq!(index.claim(hash(place), 7_000, &is_it), Some(place));
            }
            held[place] = !held[place];
        }
        index.clear();
        assert!((0..held.len()).all(|place| index.find(hash(place), &|_| true).is_none()));
    }
}
