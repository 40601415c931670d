//! In which life of the datastore a replica is, and what it makes of what its siblings told of another one.

use std::rc::Rc;

use neap_core::id::Seq;

use super::{client::Client, naive::Cond};

impl Client {
    /// Whether its records, or what it was welcomed in before it had any, are of another life than it has been welcomed in.
    pub(super) fn is_stale(&self) -> bool {
        let (epoch, before) = (self.replica.epoch(), self.records.or(self.welcomed));
        before != epoch && epoch.is_some() && before.is_some()
    }

    /// It asks the relay for what has come since, and so for its life.
    pub(super) fn asks(&mut self) {
        self.asked += 1;
        self.is_asking = true;
    }

    /// The relay has brought it to the head: what it was told before it asked, of another life, is over.
    pub(super) fn hears_life(&mut self, head: Seq) {
        let epoch = self.replica.epoch();
        for one in self.tabs.iter_mut().flat_map(|tab| &mut tab.awaited) {
            if one.epoch != epoch && one.heard < self.asked {
                one.of_old = one.of_old.or(one.epoch);
                (one.epoch, one.at, one.settled) = (epoch, head, Vec::new());
            }
        }
        (self.is_asking, self.held) = (false, Seq(u64::MAX));
    }

    /// In another life no condition on a seq of the old one holds, whoever made it.
    pub(super) fn tabs_outlive(&mut self) {
        for (_, entry) in self.tabs.iter_mut().flat_map(|tab| &mut tab.queue) {
            let mut ops = (*entry.ops).clone();
            for op in ops.iter_mut().filter(|op| matches!(op.cond, Cond::At(_))) {
                op.cond = Cond::Never;
            }
            entry.ops = Rc::new(ops);
        }
    }
}
