//! Lives of the datastore that are over, and what it was that happened in them. They have no order but the
//! relay's word.

use alloc::vec::Vec;

use super::{Event, Phase, Replica, author::Author};
use crate::{id::Seq, mutation::Condition};

impl Replica {
    /// Lets go of a life that is over: conditions on its seqs can never hold again, so what is
    /// pending has to be stored anew, and only then may it be pushed to the new one.
    pub(super) fn outlive(&mut self) {
        self.is_stale = true;
        self.staging = None;
        self.let_go_of_seqs();
        self.rebase_all();
        if let Some(me) = self.authors.first_mut().filter(|me| !me.queue.is_empty()) {
            me.durable = me.settled;
            self.blocked = me.settled;
            self.events.push_back(Event::Renumbered);
        }
    }

    /// Conditions on seqs hold no more: those of the life that they speak of are over, or nobody knows which life that is.
    pub(super) fn let_go_of_seqs(&mut self) {
        let ordinals: Vec<_> = self.outbox.ordinals().collect();
        for ordinal in ordinals {
            self.outbox.rewrite(ordinal, &|condition| match condition {
                Condition::Seq(_) => Condition::Seq(Seq::ZERO),
                Condition::None | Condition::Absent | Condition::Present | Condition::Mine(_) => {
                    condition
                }
            });
        }
    }

    /// The relay is asked for what has come since, and so in which life it is.
    pub(super) fn ask_for_life(&mut self) {
        self.siblings.asked += 1;
    }

    /// Asks it where a sibling has told of the end of something in another life.
    pub(super) fn ask_of_other_lives(&mut self) {
        let epoch = self.epoch();
        let is_open = |author: &Author| author.awaited.iter().any(|one| one.epoch != epoch);
        if self.phase == Phase::Live && self.authors.iter().any(is_open) {
            self.ask_again();
        }
    }

    /// The relay, last asked, has brought this replica to `head`, and so said in which life it is. What siblings told before
    /// that of another one is of a life that is over: what is left of its effects is held there. What was told since may be
    /// of a life to come.
    pub(super) fn outlive_siblings(&mut self, head: Seq) {
        let (epoch, asked) = (self.epoch(), self.siblings.asked);
        for author in &mut self.authors {
            for one in &mut author.awaited {
                if one.epoch != epoch && one.heard < asked {
                    (one.epoch, one.at) = (epoch, head);
                    one.settled.clear();
                }
            }
        }
    }
}
