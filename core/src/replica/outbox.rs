//! Mutations that the authority has not answered, and what they make of the view.

use alloc::{boxed::Box, collections::VecDeque, rc::Rc, vec::Vec};
use core::{ops::Range, str};

use smallvec::SmallVec;

use super::{
    chains::{Chains, Link, link_of, split},
    table::Collection,
};
use crate::{
    id::Turn,
    mutation::{Condition, Op},
    order::order,
    wire,
};

mod ground;

use ground::Undo;

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

/// What a mutation makes of keys: the record that is there afterwards, or none.
pub(super) type Effects = Vec<(Place, Option<Box<str>>)>;

/// What a pending mutation shows under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shown {
    /// What was there before.
    Nothing,
    /// No record.
    Gone,
    /// The record that lies here in the mutation's bytes.
    Within(Range<usize>),
    /// This record.
    Own(Box<str>),
}

/// A key that a pending mutation speaks of.
#[derive(Clone, Debug)]
struct Touch {
    /// The slot of the key's chain.
    chain: usize,
    shown: Shown,
    /// The hash of what the app saw there before the mutation, which it changes; zero once the order has had the same there.
    ground: u32,
}

/// A mutation without an answer.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Whose: the place in the list of authors.
    pub(super) author: usize,
    pub(super) turn: Turn,
    /// As encoded by [`wire::encode_ops`].
    pub(super) bytes: Box<[u8]>,
    /// Each key that its ops speak of, once.
    touches: SmallVec<[Touch; 1]>,
    /// Whether its effects depend on what was there before.
    pub(super) depends: bool,
    /// Whether it adds to a pool.
    pub(super) adds: bool,
    /// Whether the order had something else beneath it than the app saw, or it came to change more.
    is_overtaken: bool,
}

impl Pending {
    /// Its ops. The bytes were encoded here or checked when they were restored.
    pub(super) fn ops(&self) -> Vec<Op<'_>> {
        wire::decode_ops(&self.bytes).unwrap_or_default()
    }

    /// What it shows by one of its touches: `None` where that is what was there before.
    fn shown(&self, touch: usize) -> Option<Option<&str>> {
        match &self.touches.get(touch)?.shown {
            Shown::Nothing => None,
            Shown::Gone => Some(None),
            Shown::Within(range) => {
                Some(self.bytes.get(range.clone()).and_then(|data| str::from_utf8(data).ok()))
            }
            Shown::Own(data) => Some(Some(data)),
        }
    }
}

/// A condition on a turn that has no seq yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    author: usize,
    turn: Turn,
    who: Ordinal,
}

/// What [`Outbox::prepare`] got ready.
#[derive(Debug)]
pub(super) struct Prepared {
    shown: Vec<Shown>,
    /// The keys under which those behind may find something else.
    pub(super) moved: Vec<Place>,
}

/// The pending mutations of this replica and of those that it listens for.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Entries by ordinal; a settled one leaves a hole until it is at the front.
    entries: VecDeque<Option<Pending>>,
    first: u64,
    chains: Chains,
    /// Who waits for the seq of which turn, in the order of authors and turns: conditions on an own
    /// turn that is still pending.
    waiting: VecDeque<Waiting>,
    /// Which entries undo which.
    undos: Vec<Undo>,
}

impl Outbox {
    pub(super) fn new(seed: u64) -> Self {
        Outbox { chains: Chains::new(seed), ..Outbox::default() }
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

    /// Appends a mutation, which shows nothing yet.
    pub(super) fn append(
        &mut self,
        author: usize,
        turn: Turn,
        bytes: Box<[u8]>,
        mut collection: impl FnMut(&str) -> Collection,
    ) -> Ordinal {
        let mut entry = Pending { author, turn, bytes, ..Pending::default() };
        let ordinal = self.next();
        let mut places: SmallVec<[Place; 1]> = SmallVec::new();
        let (mut depends, mut adds) = (false, false);
        for op in entry.ops() {
            let (name, key) = op.place();
            places.push((collection(name), key.into()));
            let is_plain = matches!(op, Op::Set { only_if: Condition::None, .. } | Op::Add { .. });
            adds |= op.is_addition();
            if let Condition::Mine(awaited) = op.only_if()
                && awaited != turn
            {
                let waiting = Waiting { author, turn: awaited, who: ordinal };
                let rank = self.waiting.partition_point(|other| *other < waiting);
                self.waiting.insert(rank, waiting);
            }
            depends |= !is_plain;
        }
        (entry.depends, entry.adds) = (depends, adds);
        for place in places {
            self.touch(&mut entry, ordinal, place, Shown::Nothing);
        }
        self.entries.push_back(Some(entry));
        ordinal
    }

    /// Appends unconditional sets, which show the records that lie in their bytes whatever was there
    /// before; each of `records` stands `shift` bytes further back.
    pub(super) fn append_sets(
        &mut self,
        author: usize,
        turn: Turn,
        bytes: Box<[u8]>,
        shift: usize,
        records: Vec<(Place, Range<usize>)>,
    ) -> Ordinal {
        let mut entry = Pending { author, turn, bytes, ..Pending::default() };
        let ordinal = self.next();
        for (place, Range { start, end }) in records {
            self.touch(&mut entry, ordinal, place, Shown::Within(start + shift..end + shift));
        }
        self.entries.push_back(Some(entry));
        ordinal
    }

    fn touch(&mut self, entry: &mut Pending, ordinal: Ordinal, place: Place, shown: Shown) {
        let slot = self.chains.open(place);
        let Some(links) = self.chains.links_mut(slot) else { return };
        let known = links.last().filter(|link| link.ordinal == ordinal);
        if let Some(touch) = known.and_then(|link| entry.touches.get_mut(link.touch)) {
            touch.shown = shown;
            return;
        }
        links.push(Link { ordinal, touch: entry.touches.len() });
        entry.touches.push(Touch { chain: slot, shown, ground: 0 });
    }

    /// The keys that an entry speaks of.
    pub(super) fn places_of(&self, ordinal: Ordinal) -> Vec<Place> {
        let touches = self.get(ordinal).map_or(&[][..], |entry| &entry.touches);
        touches.iter().filter_map(|touch| self.place(touch)).collect()
    }

    fn place(&self, touch: &Touch) -> Option<Place> {
        self.chains.at(touch.chain).map(|(place, _)| place.clone())
    }

    /// What an entry would show by each of its touches, given its effects.
    fn arrange(&self, ordinal: Ordinal, effects: Effects) -> Vec<Shown> {
        let count = self.get(ordinal).map_or(0, |entry| entry.touches.len());
        let mut all = alloc::vec![Shown::Nothing; count];
        for ((collection, key), data) in effects {
            let link = link_of(self.chains.links((collection, &key)), ordinal);
            if let Some(shown) = link.and_then(|link| all.get_mut(link.touch)) {
                *shown = data.map_or(Shown::Gone, Shown::Own);
            }
        }
        all
    }

    /// Gets ready to let an entry show these effects. Where it shows nothing of its own, what moves beneath it moves for those
    /// behind it too.
    pub(super) fn prepare(&self, ordinal: Ordinal, effects: Effects) -> Prepared {
        let shown = self.arrange(ordinal, effects);
        let Some(entry) = self.get(ordinal) else { return Prepared { shown, moved: Vec::new() } };
        let differs = |(touch, new): (usize, &Shown)| {
            let new = match new {
                Shown::Nothing | Shown::Within(_) => None,
                Shown::Gone => Some(None),
                Shown::Own(data) => Some(Some(&**data)),
            };
            let place = entry.touches.get(touch).and_then(|touch| self.place(touch));
            place.filter(|_| new.is_none() || entry.shown(touch) != new)
        };
        let moved = shown.iter().enumerate().filter_map(differs).collect();
        Prepared { shown, moved }
    }

    /// Lets an entry show what was prepared.
    pub(super) fn show(&mut self, ordinal: Ordinal, prepared: Prepared) {
        let Some(entry) = self.get_mut(ordinal) else { return };
        for (touch, shown) in entry.touches.iter_mut().zip(prepared.shown) {
            touch.shown = shown;
        }
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, ordinal: Ordinal) -> Option<Pending> {
        let index = self.index(ordinal);
        let entry = self.entries.get_mut(index)?.take()?;
        self.undos.retain(|pair| pair.undo != ordinal);
        for touch in &entry.touches {
            self.chains.unlink(touch.chain, ordinal);
        }
        while let Some(None) = self.entries.front() {
            self.entries.pop_front();
            self.first += 1;
        }
        Some(entry)
    }

    /// Gives an entry other ops, with the same keys.
    pub(super) fn rewrite(&mut self, ordinal: Ordinal, change: &dyn Fn(Condition) -> Condition) {
        let Some(entry) = self.get_mut(ordinal) else {
            return;
        };
        let ops: Vec<Op<'_>> =
            entry.ops().iter().map(|op| op.under(change(op.only_if()))).collect();
        let bytes = wire::encode_ops(&ops);
        entry.bytes = bytes.into();
    }

    /// Makes the first author's entries up to `last` another author's.
    pub(super) fn hand_over(&mut self, last: Turn, author: usize) {
        for entry in self.entries.iter_mut().flatten() {
            if entry.author == 0 && entry.turn <= last {
                entry.author = author;
            }
        }
        for waiting in &mut self.waiting {
            if waiting.author == 0 && waiting.turn <= last {
                waiting.author = author;
            }
        }
        let mixed = core::mem::take(&mut self.waiting);
        let sorted = order(mixed.len(), &|one, other| mixed.get(one).cmp(&mixed.get(other)));
        self.waiting = sorted.into_iter().filter_map(|place| mixed.get(place).copied()).collect();
    }

    /// Counts an author's turns from `before` on, also in the conditions that speak of them.
    pub(super) fn renumber(&mut self, author: usize, before: Turn) {
        let shift = |turn: Turn| Turn(turn.0.saturating_sub(before.0));
        let own: Vec<Ordinal> = self
            .ordinals()
            .filter(|ordinal| self.get(*ordinal).is_some_and(|entry| entry.author == author))
            .collect();
        for ordinal in own {
            self.rewrite(ordinal, &|condition| match condition {
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
        let start = self.waiting.partition_point(|waiting| waiting.author < author);
        let is_due = |waiting: &&Waiting| (waiting.author, waiting.turn) <= (author, turn);
        let due = self.waiting.iter().skip(start).take_while(is_due);
        let mut due: Vec<Ordinal> = due.map(|waiting| waiting.who).collect();
        for _ in &due {
            self.waiting.remove(start);
        }
        // Many ops of one mutation may wait for the same turn.
        due.dedup();
        due
    }

    /// The newest entry before `end` that has an effect on a key, and what it shows.
    pub(super) fn newest(
        &self,
        place: (Collection, &str),
        end: Ordinal,
    ) -> Option<(&Pending, Option<&str>)> {
        self.newest_of(self.chains.links(place), end)
    }

    fn newest_of(&self, links: &[Link], end: Ordinal) -> Option<(&Pending, Option<&str>)> {
        split(links, end).0.iter().rev().find_map(|link| self.effect(link))
    }

    fn effect(&self, link: &Link) -> Option<(&Pending, Option<&str>)> {
        let entry = self.get(link.ordinal)?;
        Some((entry, entry.shown(link.touch)?))
    }

    /// The first entry at `start` or after it that speaks of a key, if what it makes of it depends on what is there.
    pub(super) fn first_to_decide(
        &self,
        place: (Collection, &str),
        start: Ordinal,
    ) -> Option<Ordinal> {
        let first = split(self.chains.links(place), start).1.first()?.ordinal;
        self.get(first).filter(|entry| entry.depends).map(|_| first)
    }

    /// Whether any entry speaks of a key.
    pub(super) fn speaks_of(&self, place: (Collection, &str)) -> bool {
        !self.chains.links(place).is_empty()
    }

    /// Whether any entry adds to a pool.
    pub(super) fn adds_to(&self, pool: Collection) -> bool {
        self.chains.places().any(|place| place.0 == pool)
    }

    /// All keys that entries speak of, in no order.
    pub(super) fn places(&self) -> Vec<Place> {
        self.chains.places().cloned().collect()
    }

    /// The very first ordinal there may be.
    pub(super) const START: Ordinal = Ordinal(0);
}
