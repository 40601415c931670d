//! How fast a replica pushes: never faster than the relay has said.

use super::Replica;
use crate::{
    limits::{PUSHES_PER_SECOND, STRIDE_BYTES},
    rate::{Bucket, Cost, Rates},
};

/// What may be pushed, and when.
#[derive(Debug, Default)]
pub(super) struct Pace {
    rates: Rates,
    bucket: Bucket,
    /// In milliseconds since 1970, both: as far as time was told, and when there is room again.
    now: u64,
    until: u64,
}

impl Pace {
    /// Lets time pass. Where it runs backwards, what was reckoned with it is of no use.
    pub(super) fn pass(&mut self, now: u64) {
        if now < self.now {
            (self.bucket, self.until) = (Bucket::default(), 0);
        }
        self.now = now;
    }

    /// Takes what the relay says of the rates.
    pub(super) fn set_rates(&mut self, rates: Rates) {
        self.rates = rates;
        self.until = 0;
    }

    /// Takes what the relay says of the buckets: how long they take to be full.
    pub(super) fn set_debt(&mut self, debt: Bucket) {
        let now = self.now * 1_000;
        self.bucket = Bucket {
            mutations: now.saturating_add(debt.mutations),
            bytes: now.saturating_add(debt.bytes),
        };
    }

    /// How many of so many mutations may be pushed now. Few are kept back until there are more, so that
    /// not each has a frame of its own.
    pub(super) fn room(&mut self, waiting: u64) -> Option<u64> {
        if self.now < self.until {
            return None;
        }
        let rate = self.rates.mutations;
        let room = rate.room(self.bucket.mutations, self.now * 1_000);
        let wanted = (rate.per_second / PUSHES_PER_SECOND).max(1).min(rate.burst).min(waiting);
        if room < wanted {
            self.wait(rate.time(wanted - room));
            return None;
        }
        Some(room)
    }

    /// Most bytes of one push.
    pub(super) fn push_bytes(&self) -> usize {
        usize::try_from(self.rates.bytes.burst).unwrap_or(STRIDE_BYTES).min(STRIDE_BYTES)
    }

    /// Takes what a push costs; `false` when it has to wait.
    pub(super) fn take(&mut self, mutations: u64, bytes: usize) -> bool {
        let cost = Cost { mutations, bytes: bytes as u64 };
        match self.rates.take(self.bucket, cost, self.now * 1_000, 0) {
            Ok(bucket) => self.bucket = bucket,
            Err(time) => {
                self.wait(time);
                return false;
            }
        }
        true
    }

    fn wait(&mut self, micros: u64) {
        self.until = self.now + micros.div_ceil(1_000).max(1);
    }
}

impl Replica {
    /// When a push that was held back may go.
    pub(super) fn pace_deadline(&self) -> Option<u64> {
        (self.may_push() && self.pace.now < self.pace.until).then_some(self.pace.until)
    }
}
