//! What an authority counts and tells about itself.

use super::Authority;
use crate::{datastore::Counts, mutation::Outcome, storage::Storage};

/// What holds for a datastore and its connections at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Live records.
    pub records: u64,
    /// Bytes of live records, collections and keys included.
    pub bytes: u64,
    /// Tombstones kept.
    pub tombstones: u64,
    /// Open connections.
    pub sockets: u64,
    /// Those that have a pool open.
    pub members: u64,
    /// What has happened so far.
    pub counts: Counts,
}

impl<S: Storage> Authority<S> {
    /// Counts what there is at the moment `now`, in milliseconds since 1970; `None` where there is no
    /// datastore. Reads no row.
    #[must_use]
    pub fn stats(&self, now: u64) -> Option<Stats> {
        let meta = self.alive(now)?;
        let members = self.sessions.values().filter(|session| !session.pools.is_empty());
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Some(Stats {
            records: meta.totals.records,
            bytes: meta.totals.bytes,
            tombstones: meta.totals.tombstones,
            sockets: number(self.session_count()),
            members: number(members.count()),
            counts: meta.counts,
        })
    }

    /// How many sessions there are.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Counts an outcome, in memory: it is written with the next change, which writes meta anyway.
    pub(super) fn count(&mut self, outcome: Outcome) {
        let Some(meta) = &mut self.meta else { return };
        match outcome {
            Outcome::Accepted(_) | Outcome::Added(_) | Outcome::Unchanged => {
                meta.counts.mutations += 1
            }
            Outcome::Refused(_) => meta.counts.refusals += 1,
        }
    }
}
