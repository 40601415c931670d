//! What has been settled for each replica, so that a repeat is harmless and answered the same.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use super::Trouble;
use crate::{
    id::{ReplicaId, Seq, Turn},
    limits::LEDGER_CACHE_MAX,
    mutation::{Condition, Outcome},
    storage::Storage,
    wire,
};

/// One replica's account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Outcomes up to this turn are known to the replica and forgotten here.
    pub acked: Turn,
    /// Outcomes of the turns after `acked`, without gaps.
    pub outcomes: Vec<Outcome>,
    /// Stands for the token's subject that pushed first.
    pub subject: Option<u64>,
    /// The birth stamp that the replica came with, in milliseconds since 1970.
    pub birth: Option<u64>,
    /// When the last turn was settled, in milliseconds since 1970.
    pub at: u64,
}

wire::fields!(Entry { acked, outcomes, subject, birth, at });

impl Entry {
    /// The newest settled turn.
    pub(super) fn settled(&self) -> Turn {
        Turn(self.acked.0 + self.unacked())
    }

    /// How many outcomes are kept.
    pub(super) fn unacked(&self) -> u64 {
        u64::try_from(self.outcomes.len()).unwrap_or(u64::MAX)
    }

    /// Whether an acknowledgement up to `acked` lets something be forgotten.
    pub(super) fn has_news_of(&self, acked: Turn) -> bool {
        acked > self.acked && !self.outcomes.is_empty()
    }

    /// Forgets the outcomes that the replica says it knows.
    pub(super) fn ack(&mut self, acked: Turn) {
        let known = acked.min(self.settled()).0.saturating_sub(self.acked.0);
        self.outcomes.drain(..usize::try_from(known).unwrap_or(0).min(self.outcomes.len()));
        self.acked.0 += known;
    }

    /// Notes the outcome of the next turn.
    pub(super) fn settle(&mut self, outcome: Outcome, now: u64) {
        self.outcomes.push(outcome);
        self.at = now;
    }

    /// The outcomes that the replica has not acknowledged.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = (Turn, Outcome)> {
        (self.acked.0 + 1..).map(Turn).zip(self.outcomes.iter().copied())
    }

    /// Turns a condition on a turn of this replica into one on the seq that it took. A turn that took
    /// none, or that the replica has acknowledged, wrote nothing that the condition could mean.
    pub(super) fn place_in_order(&self, condition: Condition, current: Turn) -> Condition {
        match condition {
            Condition::Mine(turn) if turn != current => {
                let mut outcomes = self.outcomes();
                let found = outcomes.find(|(settled, _)| *settled == turn);
                let seq = found.and_then(|(_, outcome)| outcome.seq());
                Condition::Seq(seq.unwrap_or(Seq::ZERO))
            }
            Condition::None
            | Condition::Seq(_)
            | Condition::Absent
            | Condition::Present
            | Condition::Mine(_) => condition,
        }
    }
}

/// The accounts in use, read when first asked for and written once in a group of inputs.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: BTreeMap<ReplicaId, Entry>,
    dirty: BTreeSet<ReplicaId>,
}

impl Ledger {
    /// Finds a replica's account without opening one.
    pub(super) fn find<S: Storage>(
        &mut self,
        storage: &S,
        replica: &ReplicaId,
    ) -> Result<Option<&Entry>, Trouble<S::Error>> {
        if !self.entries.contains_key(replica) {
            let Some(bytes) = storage.entry(replica)? else {
                return Ok(None);
            };
            let entry = Trouble::read(&bytes)?;
            self.entries.insert(*replica, entry);
        }
        Ok(self.entries.get(replica))
    }

    /// Gives a replica's account for writing, opening it where there is none.
    pub(super) fn of<S: Storage>(
        &mut self,
        storage: &S,
        replica: &ReplicaId,
    ) -> Result<&mut Entry, Trouble<S::Error>> {
        self.find(storage, replica)?;
        self.dirty.insert(*replica);
        Ok(self.entries.entry(*replica).or_default())
    }

    /// Lets go of everything that is written.
    pub(super) fn forget(&mut self) {
        self.entries.retain(|replica, _| self.dirty.contains(replica));
    }

    /// Writes what has changed. When many accounts have gathered all are let go: who pushes again
    /// has his read again.
    pub(super) fn write<S: Storage>(&mut self, storage: &mut S) -> Result<(), Trouble<S::Error>> {
        for replica in core::mem::take(&mut self.dirty) {
            if let Some(entry) = self.entries.get(&replica) {
                storage.put_entry(&replica, entry.at, &wire::encode_stored(entry))?;
            }
        }
        if self.entries.len() > LEDGER_CACHE_MAX {
            self.entries.clear();
        }
        Ok(())
    }
}
