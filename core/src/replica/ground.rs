//! The ground that own mutations stand on: what their keys hold before them in the order. Who takes a mutation back wants
//! this to be there again. It need not be what the app saw when it made the mutation: others may come in between.

use super::{Change, Event, Replica, Watch, outbox::Ordinal};
use crate::{id::Seq, limits::HISTORY_MAX, wire::Settled};

impl Replica {
    /// Tells of the ground of an own pending mutation, and of what that makes of it, as long as it may be taken back.
    pub(super) fn tell_ground(&mut self, ordinal: Ordinal) {
        let Some(entry) = self.outbox.get(ordinal) else { return };
        if entry.author > 0 || entry.adds || ordinal < self.outbox.newest_ones(HISTORY_MAX) {
            return;
        }
        let turn = entry.turn;
        for (place, key) in self.outbox.places_of(ordinal) {
            let [before, after] = [ordinal, ordinal.next()]
                .map(|end| self.shown_before(end, place, &key).map(Into::into));
            let collection = self.names.name(place).into();
            let change = Change { collection, key, before, after, watch: Watch::Records };
            self.events.push_back(Event::Ground(turn, Some(change)));
        }
    }

    /// Whether what the oldest own mutation shows stands on what siblings have pending, which may be ordered after it.
    pub(super) fn stands_on_siblings(&self) -> bool {
        let is_there = |front: &Ordinal| {
            let places = self.outbox.places_of(*front);
            places.iter().any(|(place, key)| self.outbox.newest((*place, key), *front).is_some())
        };
        self.authors.len() > 1
            && self.authors.first().and_then(|me| me.queue.front()).is_some_and(is_there)
    }

    /// Pages bring what is at last, and not what was between the seq that is held and those of own mutations: others may have
    /// written there. Nor can be told what stands on what came to another end than was shown.
    pub(super) fn lose_grounds(&mut self, settled: &[Settled]) {
        let known = self.settled();
        let is_alone = self.authors.iter().skip(1).all(|author| author.queue.is_empty());
        let mut sure = is_alone.then_some(self.seq);
        for told in settled.iter().filter(|told| told.author == 0 && told.turn > known) {
            sure = sure.map(Seq::next).filter(|seq| told.outcome.seq() == Some(*seq));
            if sure.is_none() {
                self.events.push_back(Event::Ground(told.turn, None));
            }
        }
    }
}
