//! Which pending mutations speak of which key.

use smallvec::SmallVec;

use super::{
    index::{Index, Slots, hash_of},
    outbox::{Ordinal, Place},
    table::Collection,
};

/// A pending mutation that speaks of a key, and by which of its touches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) ordinal: Ordinal,
    pub(super) touch: usize,
}

/// The links of a chain before an ordinal, and those from it on.
pub(super) fn split(links: &[Link], ordinal: Ordinal) -> (&[Link], &[Link]) {
    links.split_at(links.partition_point(|link| link.ordinal < ordinal))
}

/// The link of a mutation.
pub(super) fn link_of(links: &[Link], ordinal: Ordinal) -> Option<Link> {
    split(links, ordinal).1.first().filter(|link| link.ordinal == ordinal).copied()
}

/// All pending mutations that speak of a key, in order.
#[derive(Debug)]
struct Chain {
    place: Place,
    links: SmallVec<[Link; 1]>,
}

impl Chain {
    fn is_at(&self, place: (Collection, &str)) -> bool {
        self.place.0 == place.0 && *self.place.1 == *place.1
    }
}

/// The chains of all keys that pending mutations speak of, each in a slot of its own.
#[derive(Debug, Default)]
pub(super) struct Chains {
    slots: Slots<Chain>,
    index: Index,
    seed: u64,
}

impl Chains {
    pub(super) fn new(seed: u64) -> Self {
        Chains { seed, ..Chains::default() }
    }

    /// All keys, in no order.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.slots.iter().map(|chain| &chain.place)
    }

    /// What speaks of a key, oldest first.
    pub(super) fn links(&self, place: (Collection, &str)) -> &[Link] {
        if self.slots.is_empty() {
            return &[];
        }
        let slot = self.find(self.hash(place), place).and_then(|slot| self.slots.get(slot));
        slot.map_or(&[], |chain| &chain.links)
    }

    /// The key of a slot, and what speaks of it, oldest first.
    pub(super) fn at(&self, slot: usize) -> Option<(&Place, &[Link])> {
        self.slots.get(slot).map(|chain| (&chain.place, &chain.links[..]))
    }

    pub(super) fn links_mut(&mut self, slot: usize) -> Option<&mut SmallVec<[Link; 1]>> {
        self.slots.get_mut(slot).map(|chain| &mut chain.links)
    }

    /// The slot of a key's chain, which is opened where there is none.
    pub(super) fn open(&mut self, place: Place) -> usize {
        let hash = self.hash((place.0, &place.1));
        let next = self.slots.next();
        let open = self.index.claim(hash, next, &is_of(&self.slots, (place.0, &place.1)));
        open.unwrap_or_else(|| self.slots.insert(Chain { place, links: SmallVec::new() }))
    }

    /// Takes a mutation out of a slot's chain, and an empty chain out of the slots.
    pub(super) fn unlink(&mut self, slot: usize, ordinal: Ordinal) {
        let Some(Chain { place, links }) = self.slots.get_mut(slot) else { return };
        let before = split(links, ordinal).0.len();
        if before < links.len() {
            links.remove(before);
        }
        if links.is_empty() {
            let hash = hash_of(self.seed, place.0.0, &place.1);
            self.index.remove(hash, &|other| other == slot);
            self.slots.take(slot);
        }
    }

    fn hash(&self, (collection, key): (Collection, &str)) -> u32 {
        hash_of(self.seed, collection.0, key)
    }

    fn find(&self, hash: u32, place: (Collection, &str)) -> Option<usize> {
        self.index.find(hash, &is_of(&self.slots, place))
    }
}

/// Whether a slot holds the chain of a key.
fn is_of(slots: &Slots<Chain>, place: (Collection, &str)) -> impl Fn(usize) -> bool {
    move |slot| slots.get(slot).is_some_and(|chain| chain.is_at(place))
}
