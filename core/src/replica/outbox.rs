//! Mutations that the authority has not answered, and what they make of the view.

use alloc::{boxed::Box, collections::VecDeque, rc::Rc, vec::Vec};

use super::{
    index::{Index, Slots, hash_of},
    table::Collection,
};
use crate::{
    id::Turn,
    mutation::{Condition, Op},
    wire,
};

/// Where a pending mutation stands among all: they are shown in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ordinal(u64);

impl Ordinal {
    /// The ordinal that follows.
    pub(super) const fn next(self) -> Ordinal {
        Ordinal(self.0 + 1)
    }
}

/// A key of a collection.
pub(super) type Place = (Collection, Rc<str>);

/// What a pending mutation makes of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) place: Place,
    /// The record that is shown, or `None`.
    pub(super) data: Option<Box<str>>,
}

/// A mutation without an answer.
#[derive(Debug)]
pub(super) struct Pending {
    /// Whose: the place in the list of authors.
    pub(super) author: usize,
    pub(super) turn: Turn,
    /// As encoded by [`wire::encode_ops`].
    pub(super) bytes: Box<[u8]>,
    /// Each key that its ops speak of, once.
    places: Vec<Place>,
    /// What it makes of them as things stand; nothing where it is predicted to be refused.
    effects: Vec<Shown>,
    /// Whether its effects depend on what was there before.
    pub(super) depends: bool,
}

impl Pending {
    pub(super) fn new(author: usize, turn: Turn, bytes: Box<[u8]>) -> Self {
        Pending { author, turn, bytes, places: Vec::new(), effects: Vec::new(), depends: true }
    }

    /// Its ops. The bytes were encoded here or checked when they were restored.
    pub(super) fn ops(&self) -> Vec<Op<'_>> {
        wire::decode_ops(&self.bytes).unwrap_or_default()
    }

    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }

    pub(super) fn effects(&self) -> &[Shown] {
        &self.effects
    }
}

/// A condition on a turn that has no seq yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    author: usize,
    turn: Turn,
    who: Ordinal,
}

/// A pending mutation that speaks of a key, and which of its effects is on that key.
#[derive(Clone, Copy, Debug)]
struct Link {
    ordinal: Ordinal,
    effect: Option<usize>,
}

/// All pending mutations that speak of a key, in order.
#[derive(Debug)]
struct Chain {
    place: Place,
    links: Vec<Link>,
}

/// The pending mutations of this replica and of those that it listens for.
#[derive(Debug)]
pub(super) struct Outbox {
    /// Entries by ordinal; a settled one leaves a hole until it is at the front.
    entries: VecDeque<Option<Pending>>,
    first: u64,
    chains: Slots<Chain>,
    index: Index,
    seed: u64,
    /// Who waits for the seq of which turn, in the order of authors and turns: conditions on an own
    /// turn that is still pending.
    waiting: VecDeque<Waiting>,
}

impl Outbox {
    pub(super) fn new(seed: u64) -> Self {
        Outbox {
            entries: VecDeque::new(),
            first: 0,
            chains: Slots::default(),
            index: Index::default(),
            seed,
            waiting: VecDeque::new(),
        }
    }

    /// The ordinal that the next entry will have.
    pub(super) fn next(&self) -> Ordinal {
        Ordinal(self.first + self.entries.len() as u64)
    }

    fn index(&self, ordinal: Ordinal) -> usize {
        usize::try_from(ordinal.0.wrapping_sub(self.first)).unwrap_or(usize::MAX)
    }

    pub(super) fn get(&self, ordinal: Ordinal) -> Option<&Pending> {
        self.entries.get(self.index(ordinal))?.as_ref()
    }

    fn get_mut(&mut self, ordinal: Ordinal) -> Option<&mut Pending> {
        let index = self.index(ordinal);
        self.entries.get_mut(index)?.as_mut()
    }

    /// All entries, in order.
    pub(super) fn ordinals(&self) -> impl Iterator<Item = Ordinal> {
        let held = self.entries.iter().zip(self.first..);
        held.filter(|(entry, _)| entry.is_some()).map(|(_, ordinal)| Ordinal(ordinal))
    }

    /// Appends an entry that shows nothing yet.
    pub(super) fn append(
        &mut self,
        mut entry: Pending,
        collection: impl Fn(&str) -> Collection,
    ) -> Ordinal {
        let ordinal = self.next();
        let mut places: Vec<Place> = Vec::new();
        let mut depends = false;
        for op in entry.ops() {
            let (name, key) = op.place();
            let place: Place = (collection(name), key.into());
            let slot = self.open_chain(&place);
            if let Some(Chain { links, .. }) = self.chains.get_mut(slot)
                && links.last().is_none_or(|link| link.ordinal != ordinal)
            {
                links.push(Link { ordinal, effect: None });
                places.push(place);
            }
            depends |= !matches!(op, Op::Set { only_if: Condition::None, .. });
            if let Condition::Mine(turn) = op.only_if()
                && turn != entry.turn
            {
                let waiting = Waiting { author: entry.author, turn, who: ordinal };
                let rank = self.waiting.partition_point(|other| *other < waiting);
                self.waiting.insert(rank, waiting);
            }
        }
        entry.depends = depends;
        entry.places = places;
        self.entries.push_back(Some(entry));
        ordinal
    }

    /// Sets what an entry shows.
    pub(super) fn show(&mut self, ordinal: Ordinal, effects: Vec<Shown>) {
        let Some(entry) = self.get_mut(ordinal) else {
            return;
        };
        let before = core::mem::replace(&mut entry.effects, effects);
        for shown in &before {
            self.link(&shown.place, ordinal, None);
        }
        let Some(entry) = self.get(ordinal) else {
            return;
        };
        let places: Vec<Place> = entry.effects.iter().map(|shown| shown.place.clone()).collect();
        for (effect, place) in places.iter().enumerate() {
            self.link(place, ordinal, Some(effect));
        }
    }

    fn link(&mut self, place: &Place, ordinal: Ordinal, effect: Option<usize>) {
        let Some(Chain { links, .. }) = self.chain_mut(place) else { return };
        // Mostly the newest entry is the one that changes.
        if let Some(link) = links.iter_mut().rev().find(|link| link.ordinal == ordinal) {
            link.effect = effect;
        }
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, ordinal: Ordinal) -> Option<Pending> {
        let index = self.index(ordinal);
        let entry = self.entries.get_mut(index)?.take()?;
        for place in &entry.places {
            let Some(Chain { links, .. }) = self.chain_mut(place) else { continue };
            links.retain(|link| link.ordinal != ordinal);
            if links.is_empty() {
                self.drop_chain(place);
            }
        }
        while let Some(None) = self.entries.front() {
            self.entries.pop_front();
            self.first += 1;
        }
        Some(entry)
    }

    /// Gives an entry other ops, with the same keys.
    pub(super) fn rewrite(&mut self, ordinal: Ordinal, change: impl Fn(Condition) -> Condition) {
        let Some(entry) = self.get_mut(ordinal) else {
            return;
        };
        let ops: Vec<Op<'_>> =
            entry.ops().iter().map(|op| op.under(change(op.only_if()))).collect();
        let bytes = wire::encode_ops(&ops);
        entry.bytes = bytes.into();
    }

    /// Counts an author's turns from `before` on, also in the conditions that speak of them.
    pub(super) fn renumber(&mut self, author: usize, before: Turn) {
        let shift = |turn: Turn| Turn(turn.0.saturating_sub(before.0));
        let own: Vec<Ordinal> = self
            .ordinals()
            .filter(|ordinal| self.get(*ordinal).is_some_and(|entry| entry.author == author))
            .collect();
        for ordinal in own {
            self.rewrite(ordinal, |condition| match condition {
                Condition::Mine(turn) => Condition::Mine(shift(turn)),
                Condition::None | Condition::Seq(_) | Condition::Absent | Condition::Present => {
                    condition
                }
            });
            if let Some(entry) = self.get_mut(ordinal) {
                entry.turn = shift(entry.turn);
            }
        }
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.author == author) {
            waiting.turn = shift(waiting.turn);
        }
    }

    /// Who waits for the seqs of an author's turns up to `turn`; they wait no longer.
    pub(super) fn take_waiting(&mut self, author: usize, turn: Turn) -> Vec<Ordinal> {
        let is_before = |waiting: &Waiting| waiting.author < author;
        let is_due = |waiting: &Waiting| (waiting.author, waiting.turn) <= (author, turn);
        let start = self.waiting.partition_point(is_before);
        let end = self.waiting.partition_point(is_due);
        self.waiting.drain(start..end.max(start)).map(|waiting| waiting.who).collect()
    }

    /// The newest entry before `end` that has an effect on a key, and that effect.
    pub(super) fn newest(
        &self,
        place: (Collection, &str),
        end: Ordinal,
    ) -> Option<(&Pending, &Shown)> {
        let links = &self.chain(place)?.links;
        let earlier = links.iter().rev().filter(|link| link.ordinal < end);
        earlier.filter_map(|link| self.effect(link)).next()
    }

    fn effect(&self, link: &Link) -> Option<(&Pending, &Shown)> {
        let entry = self.get(link.ordinal)?;
        Some((entry, entry.effects.get(link.effect?)?))
    }

    /// All entries that speak of a key and stand at `start` or after it.
    pub(super) fn since(&self, place: (Collection, &str), start: Ordinal) -> Vec<Ordinal> {
        let links = self.chain(place).map_or(&[][..], |chain| &chain.links);
        links.iter().map(|link| link.ordinal).filter(|ordinal| *ordinal >= start).collect()
    }

    /// Whether any entry speaks of a key.
    pub(super) fn speaks_of(&self, place: (Collection, &str)) -> bool {
        !self.chains.is_empty() && self.chain(place).is_some()
    }

    /// All keys that entries speak of, in no order.
    pub(super) fn places(&self) -> Vec<Place> {
        self.chains.iter().map(|chain| chain.place.clone()).collect()
    }

    /// The very first ordinal there may be.
    pub(super) const START: Ordinal = Ordinal(0);

    fn hash(&self, place: (Collection, &str)) -> u64 {
        hash_of(self.seed, place.0, place.1)
    }

    fn slot(&self, place: (Collection, &str)) -> Option<usize> {
        let is_it = |slot: usize| self.chains.get(slot).is_some_and(|chain| chain.is_at(place));
        self.index.find(self.hash(place), &is_it)
    }

    fn chain(&self, place: (Collection, &str)) -> Option<&Chain> {
        self.chains.get(self.slot(place)?)
    }

    /// The slot of a key's chain, which is opened where there is none.
    fn open_chain(&mut self, place: &Place) -> usize {
        let at = (place.0, &*place.1);
        if let Some(slot) = self.slot(at) {
            return slot;
        }
        let hash = self.hash(at);
        let slot = self.chains.insert(Chain { place: place.clone(), links: Vec::new() });
        let (chains, seed) = (&self.chains, self.seed);
        self.index.insert(hash, slot, &|slot| {
            let place = chains.get(slot).map(|chain| &chain.place);
            place.map_or(0, |place| hash_of(seed, place.0, &place.1))
        });
        slot
    }

    fn chain_mut(&mut self, place: &Place) -> Option<&mut Chain> {
        self.chains.get_mut(self.slot((place.0, &place.1))?)
    }

    fn drop_chain(&mut self, place: &Place) {
        let at = (place.0, &*place.1);
        let chains = &self.chains;
        let is_it = |slot: usize| chains.get(slot).is_some_and(|chain| chain.is_at(at));
        if let Some(slot) = self.index.remove(hash_of(self.seed, at.0, at.1), &is_it) {
            self.chains.take(slot);
        }
    }
}

impl Chain {
    fn is_at(&self, place: (Collection, &str)) -> bool {
        self.place.0 == place.0 && *self.place.1 == *place.1
    }
}
