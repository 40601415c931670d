//! Giving way to the order: what it says is taken, what it settles leaves the outbox, and what is
//! still pending is decided anew on top. Effect and settlement are one step, so the view never
//! flickers.

use alloc::{collections::BinaryHeap, vec::Vec};
use core::cmp::Reverse;

use super::{
    Event, Origin, Replica,
    author::Placed,
    event::event_of,
    outbox::{Ordinal, Outbox, Pending},
    table::{Collection, Held},
};
use crate::{
    id::{Seq, Turn},
    mutation::{Condition, Outcome},
    wire::{Changes, Settled},
};

/// Keys whose ground has moved, by the pending mutations that now have to be decided anew.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    ordinals: BinaryHeap<Reverse<Ordinal>>,
}

impl Unsettled {
    /// Notes a pending mutation that shows nothing yet.
    pub(super) fn add(&mut self, ordinal: Ordinal) {
        self.ordinals.push(Reverse(ordinal));
    }
}

impl Replica {
    /// Takes what the order says of a key; nothing said is a tombstone.
    pub(super) fn confirm(
        &mut self,
        collection: Collection,
        key: &str,
        held: Held<'_>,
        unsettled: &mut Unsettled,
    ) {
        self.mark(collection, key);
        let name = self.names.name(collection);
        if held.data.is_empty() {
            self.table.remove(collection, name, key);
        } else {
            self.table.put(collection, name, key, held);
        }
        self.unsettle((collection, key), Outbox::START, unsettled);
    }

    /// The ground under a key has moved: notes the first pending mutation from `start` on that depends on it. Those behind it
    /// follow if it shows something else by then; behind one that shows the same whatever was there, nothing has moved.
    pub(super) fn unsettle(
        &self,
        place: (Collection, &str),
        start: Ordinal,
        unsettled: &mut Unsettled,
    ) {
        unsettled.ordinals.extend(self.outbox.first_to_decide(place, start).map(Reverse));
    }

    /// Whether a frame makes sense here: its rows can be read, and the outcomes follow on those that
    /// are known, without gaps, for turns that were minted. What does not make sense changes nothing.
    pub(super) fn makes_sense(&self, changes: &Changes<'_>, settled: &[Settled]) -> bool {
        let mut known: Vec<Turn> = self.authors.iter().map(|author| author.settled).collect();
        if let Some(mine) = known.first_mut() {
            *mine = self.acknowledged(settled).max(*mine);
        }
        let follows = |Settled { author: place, turn, .. }: &Settled| {
            let place = usize::from(*place);
            let (Some(known), Some(author)) = (known.get_mut(place), self.authors.get(place))
            else {
                return false;
            };
            let fits = *turn <= known.next() && *turn <= author.minted;
            *known = *turn.max(known);
            fits
        };
        let mut told = settled.iter().filter(|told| !self.is_foreign(told));
        changes.check().is_ok() && told.all(follows)
    }

    /// Whether an outcome is that of another life of this replica, which has read its disk: what was never there was never pushed.
    pub(super) fn is_foreign(&self, told: &Settled) -> bool {
        told.author == 0
            && told.turn > self.kept()
            && (self.ceiling.is_some() || told.turn <= self.minted())
    }

    /// The newest of its turns whose outcome another life of its id has acknowledged, so that the ledger
    /// tells it no more: settled when this one was welcomed, and before those that are told.
    pub(super) fn acknowledged(&self, settled: &[Settled]) -> Turn {
        let told = settled.iter().find(|told| told.author == 0).map(|told| told.turn.before());
        let known = self.authors.first().map_or(Turn::ZERO, |me| me.known);
        told.map_or(known, |told| told.min(known))
    }

    /// Takes the outcomes of turns, which follow on those that are known.
    pub(super) fn settle(&mut self, settled: &[Settled], unsettled: &mut Unsettled) {
        for told in settled {
            if self.is_foreign(told) {
                self.ceiling = Some(self.kept());
                continue;
            }
            let Settled { author: place, turn, outcome } = told;
            let place = usize::from(*place);
            let Some(author) = self.authors.get_mut(place) else {
                continue;
            };
            if *turn <= author.settled {
                continue;
            }
            author.settled = *turn;
            author.pushed = author.pushed.max(*turn);
            let ordinal = author.queue.pop_front();
            if let Some(ordinal) = ordinal {
                self.finish(place, *turn, *outcome, ordinal, unsettled);
            }
        }
    }

    /// Takes an answered mutation out of the outbox.
    pub(super) fn finish(
        &mut self,
        author: usize,
        turn: Turn,
        outcome: Outcome,
        ordinal: Ordinal,
        unsettled: &mut Unsettled,
    ) {
        self.place_conditions(author, turn, outcome, unsettled);
        if author == 0 {
            self.let_stand(turn, outcome, ordinal, unsettled);
        }
        let Some(entry) = self.take_out(ordinal, unsettled) else {
            return;
        };
        if entry.adds {
            if !matches!(outcome, Outcome::Refused(_))
                && self.keep_accepted(author, &entry.ops(), unsettled)
            {
                self.note_unseen(author, &entry.bytes);
            }
            self.tell_finished(&entry.ops());
        }
        if author == 0 {
            self.siblings.settled(turn, outcome);
            self.events.push_back(event_of(turn, outcome, entry.bytes));
        }
    }

    /// Takes a mutation out of the outbox.
    pub(super) fn take_out(
        &mut self,
        ordinal: Ordinal,
        unsettled: &mut Unsettled,
    ) -> Option<Pending> {
        let places = self.outbox.places_of(ordinal);
        for (collection, key) in &places {
            self.mark(*collection, key);
        }
        let entry = self.outbox.remove(ordinal)?;
        for (collection, key) in &places {
            self.unsettle((*collection, key), ordinal, unsettled);
        }
        Some(entry)
    }

    /// Conditions on a turn become conditions on the seq that it took. A turn that took none wrote
    /// nothing that such a condition could mean.
    fn place_conditions(
        &mut self,
        author: usize,
        turn: Turn,
        outcome: Outcome,
        unsettled: &mut Unsettled,
    ) {
        if let Some(author) = self.authors.get_mut(author) {
            author.placed.retain(|placed| placed.until > turn);
        }
        let waiting = self.outbox.take_waiting(author, turn);
        let until =
            waiting.iter().filter_map(|ordinal| Some(self.outbox.get(*ordinal)?.turn)).max();
        let Some(until) = until else {
            return;
        };
        let seq = outcome.seq().unwrap_or(Seq::ZERO);
        for ordinal in waiting {
            self.outbox.rewrite(ordinal, &|condition| match condition {
                Condition::Mine(awaited) if awaited == turn => Condition::Seq(seq),
                Condition::None
                | Condition::Seq(_)
                | Condition::Absent
                | Condition::Present
                | Condition::Mine(_) => condition,
            });
            unsettled.ordinals.push(Reverse(ordinal));
        }
        if let Some(author) = self.authors.get_mut(author) {
            author.placed.push(Placed { turn, seq, until });
        }
    }

    /// Decides anew what depends on ground that has moved, earliest first; each change moves the
    /// ground for those after it.
    pub(super) fn rebase(&mut self, mut unsettled: Unsettled) {
        let mut decided = None;
        while let Some(Reverse(ordinal)) = unsettled.ordinals.pop() {
            if decided.replace(ordinal) == Some(ordinal) {
                continue;
            }
            let Some(prepared) = self.decide(ordinal) else { continue };
            let moved = prepared.moved.clone();
            for (collection, key) in &moved {
                self.mark(*collection, key);
            }
            self.outbox.show(ordinal, prepared);
            for (collection, key) in &moved {
                self.unsettle((*collection, key), ordinal.next(), &mut unsettled);
            }
        }
        self.report(Origin::Remote);
    }

    /// Decides everything pending anew.
    pub(super) fn rebase_all(&mut self) {
        let depends =
            |ordinal: &Ordinal| self.outbox.get(*ordinal).is_some_and(|entry| entry.depends);
        let ordinals = self.outbox.ordinals().filter(depends).map(Reverse).collect();
        self.rebase(Unsettled { ordinals });
    }

    /// Decides every pending mutation anew, also those that depend on nothing: nothing shows yet.
    pub(super) fn show_all(&mut self) {
        let ordinals: Vec<Ordinal> = self.outbox.ordinals().collect();
        for ordinal in ordinals {
            if let Some(prepared) = self.decide(ordinal) {
                self.outbox.show(ordinal, prepared);
            }
        }
    }

    /// Conditions of stored mutations on turns that have been settled since they were stored.
    pub(super) fn place_restored_conditions(&mut self, settled: Turn, placed: &[Placed]) {
        for ordinal in self.outbox.take_waiting(0, settled) {
            self.outbox.rewrite(ordinal, &|condition| match condition {
                Condition::Mine(turn) if turn <= settled => {
                    let found = placed.iter().find(|placed| placed.turn == turn);
                    Condition::Seq(found.map_or(Seq::ZERO, |placed| placed.seq))
                }
                Condition::None
                | Condition::Seq(_)
                | Condition::Absent
                | Condition::Present
                | Condition::Mine(_) => condition,
            });
        }
    }

    /// Notes that a digest was not what it must be: tries once in a connection to start again, then
    /// says so.
    pub(super) fn diverged(&mut self) {
        if self.healing {
            self.events.push_back(Event::Trouble("diverged"));
            return;
        }
        self.healing = true;
        self.ask_from_start();
    }
}
