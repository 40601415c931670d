//! Under which id a replica goes on, and what becomes of its pending mutations when it is another.

use super::{Event, Phase, Reconnect, Replica, confirm::Unsettled};
use crate::{
    id::Turn,
    mutation::{Outcome, Reason, Refusal},
};

impl Replica {
    /// Goes on under the spare id, with what is pending renumbered.
    pub(super) fn change_identity(&mut self) {
        let spare = self.spare;
        let Some(me) = self.authors.first_mut() else {
            return;
        };
        let before = me.settled;
        let left = self.left.max(self.handed).max(me.stored);
        self.left = if self.is_alone { Turn::ZERO } else { Turn(left.0.saturating_sub(before.0)) };
        self.handed = Turn::ZERO;
        self.siblings.renamed(me.id);
        // The session that stands speaks for the old id: nothing may be said in it any more.
        self.phase = Phase::Offline;
        (self.hello_is_due, self.next_is_due) = (false, None);
        me.id = spare;
        me.known = Turn::ZERO;
        me.birth = None;
        me.generation = 1;
        me.minted = Turn(me.minted.0 - before.0);
        (me.settled, me.saved, me.pushed) = (Turn::ZERO, Turn::ZERO, Turn::ZERO);
        (me.durable, me.stored) = (Turn::ZERO, Turn::ZERO);
        me.inherited = Turn(me.inherited.0.saturating_sub(before.0));
        me.placed.clear();
        self.ceiling = None;
        self.blocked = Turn::ZERO;
        self.outbox.renumber(0, before);
        self.events.retain(|event| *event != Event::Renumbered);
        self.events.push_back(Event::Renumbered);
    }

    /// The disk has the id under which the replica goes on, and nothing under the one before.
    pub(super) fn moved(&mut self) {
        self.left = Turn::ZERO;
        self.siblings.moved(self.is_alone);
    }

    /// The disk will never have the id under which the replica goes on: what may lie there under the one before, whoever
    /// reads it delivers, and this one hears nothing of it.
    pub(super) fn leave(&mut self) {
        let left = core::mem::take(&mut self.left);
        self.refuse_up_to(left);
    }

    /// The disk that holds the outbox can be written no more. Whoever reads it later will deliver what
    /// is on it, and mint the turns that follow anew: so this replica delivers the same turns, and goes
    /// on under another id with everything that came too late for the disk. The spare id may be on the
    /// disk too: [`set_spare`](Self::set_spare) gives another one before this is called.
    ///
    /// # Errors
    /// [`Reconnect::NewIdentity`] when that id is taken at once.
    pub fn forsake_disk(&mut self) -> Result<(), Reconnect> {
        self.leave();
        self.ceiling = self.authors.first().map(|me| me.stored);
        self.is_alone = true;
        self.outgrow()
    }

    /// The newest turn that another life of this replica can have read on its disk.
    pub(super) fn kept(&self) -> Turn {
        let stored = self.authors.first().map_or(Turn::ZERO, |me| me.stored.max(me.settled));
        self.ceiling.unwrap_or(stored)
    }

    /// Takes another id once all that another life has read on the disk is settled.
    pub(super) fn outgrow(&mut self) -> Result<(), Reconnect> {
        if self.ceiling.is_none_or(|ceiling| self.settled() < ceiling) {
            return Ok(());
        }
        self.change_identity();
        // What was not on that disk then never comes there.
        self.left = Turn::ZERO;
        Err(Reconnect::NewIdentity)
    }

    /// Refuses what is pending up to a turn, since nobody can tell what became of it.
    pub(super) fn refuse_up_to(&mut self, turn: Turn) {
        self.settle_up_to(turn, Turn::ZERO);
    }

    /// Settles what is pending up to a turn of which another life of this replica has acknowledged the outcome, so that the
    /// ledger tells it no more. That life has told its app; of what was made in this one nobody can tell any more.
    pub(super) fn settle_told_elsewhere(&mut self, turn: Turn) {
        self.settle_up_to(turn, self.inherited());
    }

    /// The newest of its turns that another life of it has made.
    pub(super) fn inherited(&self) -> Turn {
        self.authors.first().map_or(Turn::ZERO, |me| me.inherited)
    }

    fn settle_up_to(&mut self, turn: Turn, inherited: Turn) {
        let mut unsettled = Unsettled::default();
        while let Some(me) = self.authors.first_mut().filter(|me| me.settled < turn)
            && let Some(ordinal) = me.queue.pop_front()
        {
            me.settled = me.settled.next();
            let turn = me.settled;
            let refusal = Refusal { reason: Reason::OutcomeUnknown, op: 0 };
            let outcome =
                if turn <= inherited { Outcome::Unchanged } else { Outcome::Refused(refusal) };
            self.finish(0, turn, outcome, ordinal, &mut unsettled);
        }
        self.rebase(unsettled);
    }
}
