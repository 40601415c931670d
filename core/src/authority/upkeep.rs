//! What an authority forgets in time: tombstones beyond the history that is kept, and replicas that
//! have been away too long.

use super::{Authority, Trouble};
use crate::{
    datastore::Kind,
    limits::{LEDGER_MS, PRUNE_MAX, SWEEP_MS},
    storage::{Pruned, Storage},
};

impl<S: Storage> Authority<S> {
    /// When [`upkeep`](Self::upkeep) wants to be called, in milliseconds since 1970, if ever. The
    /// shell calls it from an alarm, never in the way of a write.
    #[must_use]
    pub fn upkeep_due(&self) -> Option<u64> {
        let Some(meta) = &self.meta else { return self.import_due() };
        if self.excess(meta.totals.tombstones) > 0 || !meta.draining.is_empty() {
            return Some(0);
        }
        // Nothing that is temporary outlives what its ledger remembers.
        (meta.info.kind == Kind::Permanent).then(|| meta.swept_at.saturating_add(SWEEP_MS))
    }

    /// Tombstones to remove: none before a tenth more than the history has gathered, so that a steady
    /// stream of deletes costs one pass now and then.
    fn excess(&self, tombstones: u64) -> u64 {
        let history = self.settings.history;
        if tombstones > history + history / 10 { tombstones - history } else { 0 }
    }

    /// Forgets a bounded number of things. There is more to do when
    /// [`upkeep_due`](Self::upkeep_due) still says so after [`commit`](Self::commit).
    ///
    /// # Errors
    /// When storage fails.
    pub fn upkeep(&mut self, now: u64) -> Result<(), Trouble<S::Error>> {
        let Some(meta) = self.alive(now) else { return Ok(()) };
        let (kind, swept_at) = (meta.info.kind, meta.swept_at);
        let excess = self.excess(meta.totals.tombstones).min(PRUNE_MAX);
        if excess > 0
            && let Some(Pruned { count, up_to }) = self.storage.prune(excess)?
            && let Some(meta) = &mut self.meta
        {
            meta.totals.tombstones = meta.totals.tombstones.saturating_sub(count);
            meta.horizon = meta.horizon.max(up_to);
            self.meta_is_dirty = true;
        }
        self.erase_drained()?;
        if kind == Kind::Permanent && now >= swept_at.saturating_add(SWEEP_MS) {
            let floor = now.saturating_sub(LEDGER_MS + SWEEP_MS);
            self.ledger.forget();
            let has_forgotten = self.storage.forget_entries(floor)?;
            if let Some(meta) = &mut self.meta {
                // Whoever is unknown to a ledger that has forgotten nobody was never there.
                if has_forgotten {
                    meta.ledger_floor = meta.ledger_floor.max(floor);
                }
                meta.swept_at = now;
                self.meta_is_dirty = true;
            }
        }
        Ok(())
    }
}
