//! Taking own mutations back: what they stand on is what the app saw when it made them, unless others come in between.

use super::{Event, Replica, confirm::Unsettled, outbox::Ordinal, table::Collection};
use crate::{
    id::{Seq, Turn},
    mutation::{Condition, Outcome},
    wire::Settled,
};

impl Replica {
    /// The mutation that was begun undoes an own one: it will be refused where others have come in between. Gives false
    /// where they are known to have, or the mutation is not pending any more, or somebody else's by now.
    pub fn undo(&mut self, turn: Turn) -> bool {
        let Some(ordinal) = self.own(turn) else { return false };
        if let Some(draft) = &mut self.draft {
            draft.undoes = Some(ordinal);
        }
        !self.outbox.has_moved(ordinal, &self.table, false)
    }

    /// Where the own pending mutation stands whose outcome is told.
    fn told(&self, told: &Settled) -> Option<Ordinal> {
        if self.is_foreign(told) { None } else { self.own(told.turn) }
    }

    /// Where an own pending mutation stands.
    pub(super) fn own(&self, turn: Turn) -> Option<Ordinal> {
        let me = self.authors.first()?;
        let place = turn.0.checked_sub(me.settled.0 + 1)?;
        me.queue.get(usize::try_from(place).ok()?).copied()
    }

    /// An own mutation comes in the order now, and changes this key.
    pub(super) fn look_beneath(&mut self, told: &Settled, place: (Collection, &str)) {
        if let Some(ordinal) = self.told(told) {
            self.outbox.look_beneath(ordinal, place, &self.table);
        }
    }

    /// Pages bring what is there at last, and not what was right before own mutations. But where nobody else has come in since
    /// what is held, they came as they stand here.
    pub(super) fn look_beneath_all(&mut self, settled: &[Settled]) {
        let mut seq = self.seq;
        for told in settled {
            let Some(ordinal) = self.told(told) else { continue };
            let is_next = match told.outcome {
                Outcome::Accepted(at) => {
                    seq = seq.next();
                    at == seq
                        && self.outbox.shows(ordinal)
                        && self.outbox.stands(ordinal, &self.table)
                }
                Outcome::Added(_) => true,
                // What it shows may be beneath those that follow.
                Outcome::Unchanged | Outcome::Refused(_) => !self.outbox.shows(ordinal),
            };
            if !is_next {
                break;
            }
        }
    }

    /// What undoes a mutation will be refused.
    pub(super) fn let_fail(&mut self, ordinal: Ordinal, unsettled: &mut Unsettled) {
        if let Some(undo) = self.outbox.undo_of(ordinal) {
            self.outbox.rewrite(undo, &|_| Condition::Seq(Seq::ZERO));
            unsettled.add(undo);
        }
    }

    /// An own mutation has an outcome. Unless it stands on what the app saw, it cannot be taken back.
    pub(super) fn let_stand(
        &mut self,
        turn: Turn,
        outcome: Outcome,
        ordinal: Ordinal,
        unsettled: &mut Unsettled,
    ) {
        let is_overtaken = self.outbox.is_overtaken(ordinal);
        if outcome.seq().is_some() && !is_overtaken {
            return;
        }
        self.let_fail(ordinal, unsettled);
        if outcome.seq().is_some() && turn > self.inherited() {
            self.events.push_back(Event::Overtaken(turn));
        }
    }
}
