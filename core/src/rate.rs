//! How fast somebody may write: token buckets, kept as the moment at which each is full again, so that
//! they need no timer, and a full bucket is none.

use alloc::collections::BTreeMap;

use crate::limits::RATE_PAYERS_MAX;

/// Microseconds of a second.
const SECOND: u64 = 1_000_000;
/// More units at once are counted as so many.
const UNITS_MAX: u64 = 1 << 40;

/// So much a second, and a burst of so much at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Units a second, at least one.
    pub per_second: u64,
    /// Units at once, at least one.
    pub burst: u64,
}

impl Rate {
    /// The burst is so many seconds' worth, where it is left out.
    const BURST_S: u64 = 20;

    /// Reads `1000` or, with the burst, `1000:20000`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Rate> {
        let number = |text: &str| text.trim().parse().ok().filter(|number: &u64| *number > 0);
        match text.split_once(':') {
            Some((rate, burst)) => Some(Rate { per_second: number(rate)?, burst: number(burst)? }),
            None => {
                let per_second = number(text)?;
                Some(Rate { per_second, burst: per_second.saturating_mul(Self::BURST_S) })
            }
        }
    }

    /// How many microseconds an empty bucket takes to gather so much.
    #[must_use]
    pub fn time(self, units: u64) -> u64 {
        units.min(UNITS_MAX) * SECOND / self.per_second.max(1)
    }

    /// What is in a bucket that is full again at `full_at`, both in microseconds since 1970.
    #[must_use]
    pub fn room(self, full_at: u64, now: u64) -> u64 {
        let left = self.time(self.burst).saturating_sub(full_at.saturating_sub(now));
        // No more than a burst's worth of units and a second, so no product is too large.
        left * self.per_second / SECOND
    }

    /// When a bucket that is full again at `full_at` will be after this. What is more than a burst
    /// counts as one, or it would never pass.
    pub(crate) fn take(self, full_at: u64, units: u64, now: u64, slack: u64) -> Result<u64, u64> {
        let last = now.saturating_add(self.time(self.burst)).saturating_add(slack);
        // Only a clock that was set back can bring it beyond that, which is nobody's debt.
        let full_at = if full_at > last { now } else { full_at };
        let after = full_at.max(now).saturating_add(self.time(units.min(self.burst)));
        if after <= last { Ok(after) } else { Err(after - last) }
    }

    fn share(self, among: u64) -> Rate {
        let part = |units: u64| (units / among.max(1)).max(1);
        Rate { per_second: part(self.per_second), burst: part(self.burst) }
    }
}

/// How fast one client may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Mutations.
    pub mutations: Rate,
    /// Bytes of frames, or of bodies.
    pub bytes: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        Rates {
            mutations: Rate { per_second: 1_000, burst: 20_000 },
            bytes: Rate { per_second: 4 << 20, burst: 64 << 20 },
        }
    }
}

impl Rates {
    /// Gives what a bucket is after this, at the moment `now`, in microseconds since 1970. It may be
    /// overdrawn by what comes back in `slack` microseconds.
    ///
    /// # Errors
    /// The microseconds after which it would not be too fast.
    pub fn take(&self, bucket: Bucket, cost: Cost, now: u64, slack: u64) -> Result<Bucket, u64> {
        let mutations = self.mutations.take(bucket.mutations, cost.mutations, now, slack);
        let bytes = self.bytes.take(bucket.bytes, cost.bytes, now, slack);
        match (mutations, bytes) {
            (Ok(mutations), Ok(bytes)) => Ok(Bucket { mutations, bytes }),
            (mutations, bytes) => Err(mutations.err().max(bytes.err()).unwrap_or(0)),
        }
    }

    /// What each of so many may take, so that together they take no more than this.
    #[must_use]
    pub fn share(&self, among: u64) -> Rates {
        Rates { mutations: self.mutations.share(among), bytes: self.bytes.share(among) }
    }
}

/// What is to be taken from a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Mutations.
    pub mutations: u64,
    /// Bytes.
    pub bytes: u64,
}

/// When a client's buckets are full again, in microseconds since 1970; in a frame from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// That for mutations.
    pub mutations: u64,
    /// That for bytes.
    pub bytes: u64,
}

impl Bucket {
    /// How long it takes from `now` until they are full.
    #[must_use]
    pub fn debt(self, now: u64) -> Bucket {
        Bucket {
            mutations: self.mutations.saturating_sub(now),
            bytes: self.bytes.saturating_sub(now),
        }
    }

    fn full_at(self) -> u64 {
        self.mutations.max(self.bytes)
    }
}

/// The buckets of those who wrote lately: a bounded number, in memory alone.
#[derive(Clone, Debug, Default)]
pub struct Buckets {
    all: BTreeMap<u64, Bucket>,
}

impl Buckets {
    /// A client's bucket.
    #[must_use]
    pub fn of(&self, payer: u64) -> Bucket {
        self.all.get(&payer).copied().unwrap_or_default()
    }

    /// Takes from a client's bucket, as [`Rates::take`].
    ///
    /// # Errors
    /// The microseconds after which it would not be too fast; then nothing was taken.
    pub fn take(
        &mut self,
        rates: &Rates,
        payer: u64,
        cost: Cost,
        now: u64,
        slack: u64,
    ) -> Result<(), u64> {
        let bucket = rates.take(self.of(payer), cost, now, slack)?;
        self.make_room(now);
        self.all.insert(payer, bucket);
        Ok(())
    }

    /// Takes from a client's bucket what it has had already: where that is more than there is, nothing is left.
    pub fn charge(&mut self, rates: &Rates, payer: u64, cost: Cost, now: u64) {
        let bucket = self.of(payer);
        let after = |rate: Rate, full_at, units| {
            let taken = rate.take(full_at, units, now, 0);
            taken.unwrap_or_else(|_| now.saturating_add(rate.time(rate.burst)))
        };
        self.make_room(now);
        let mutations = after(rates.mutations, bucket.mutations, cost.mutations);
        let bytes = after(rates.bytes, bucket.bytes, cost.bytes);
        self.all.insert(payer, Bucket { mutations, bytes });
    }

    /// Forgets the full buckets when there are too many and, where none is full, the fullest.
    fn make_room(&mut self, now: u64) {
        if self.all.len() < RATE_PAYERS_MAX {
            return;
        }
        self.all.retain(|_, bucket| bucket.full_at() > now);
        if self.all.len() >= RATE_PAYERS_MAX {
            let fullest = self.all.iter().min_by_key(|(_, bucket)| bucket.full_at());
            if let Some(payer) = fullest.map(|(payer, _)| *payer) {
                self.all.remove(&payer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Rates = Rates {
        mutations: Rate { per_second: 10, burst: 20 },
        bytes: Rate { per_second: 1_000, burst: 5_000 },
    };

    fn take(buckets: &mut Buckets, payer: u64, bytes: u64, ms: u64) -> Result<(), u64> {
        buckets.take(&SLOW, payer, Cost { mutations: 1, bytes }, ms * 1_000, 0)
    }

    #[test]
    fn what_was_had_already_is_charged_and_no_more_than_all() {
        let mut buckets = Buckets::default();
        let charge = |buckets: &mut Buckets, mutations, ms: u64| {
            buckets.charge(&SLOW, 1, Cost { mutations, bytes: 0 }, ms * 1_000);
        };
        charge(&mut buckets, 15, 0);
        assert_eq!((0..9).filter(|_| take(&mut buckets, 1, 0, 0).is_ok()).count(), 5);
        charge(&mut buckets, 500, 1_000);
        assert_eq!(
            take(&mut buckets, 1, 0, 1_000),
            Err(100_000),
            "nothing is left, and nothing owed"
        );
        assert_eq!(take(&mut buckets, 1, 5_000, 1_100), Ok(()), "of the bytes all is there");
        assert_eq!(take(&mut buckets, 2, 0, 1_000), Ok(()));
    }

    #[test]
    fn a_rate_is_written_with_its_burst_or_without() {
        assert_eq!(Rate::parse("1000"), Some(Rate { per_second: 1_000, burst: 20_000 }));
        assert_eq!(Rate::parse(" 10:30 "), Some(Rate { per_second: 10, burst: 30 }));
        for bad in ["", "0", "5:0", "x", "1:2:3", "-1", "1.5", ":", "7:"] {
            assert_eq!(Rate::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_burst_passes_then_only_the_rate_does() {
        let mut buckets = Buckets::default();
        for taken in 0..20 {
            let full_at = buckets.of(1).mutations;
            assert_eq!(SLOW.mutations.room(full_at, 1_000_000), 20 - taken);
            assert_eq!(take(&mut buckets, 1, 10, 1_000), Ok(()));
        }
        assert_eq!(take(&mut buckets, 1, 10, 1_000), Err(100_000));
        assert_eq!(take(&mut buckets, 2, 10, 1_000), Ok(()), "another client has its own");
        assert_eq!(take(&mut buckets, 1, 10, 1_099), Err(1_000));
        assert_eq!(take(&mut buckets, 1, 10, 1_100), Ok(()));
        assert_eq!(take(&mut buckets, 1, 10, 1_100), Err(100_000));
        let one = Cost { mutations: 1, bytes: 0 };
        assert_eq!(buckets.take(&SLOW, 1, one, 1_100_000, 100_000), Ok(()), "with slack");
    }

    #[test]
    fn bytes_count_too_and_more_than_a_burst_passes_alone() {
        let mut buckets = Buckets::default();
        assert_eq!(take(&mut buckets, 1, 9_000, 1_000), Ok(()));
        assert_eq!(take(&mut buckets, 1, 2_500, 1_000), Err(2_500_000));
        assert_eq!(take(&mut buckets, 1, 2_500, 3_500), Ok(()));
    }

    #[test]
    fn a_clock_that_was_set_back_is_no_debt() {
        let mut buckets = Buckets::default();
        for _ in 0..20 {
            assert_eq!(take(&mut buckets, 1, 10, 60_000), Ok(()));
        }
        for _ in 0..20 {
            assert_eq!(take(&mut buckets, 1, 10, 1_000), Ok(()));
        }
        assert_eq!(take(&mut buckets, 1, 10, 1_000), Err(100_000));
    }

    #[test]
    fn the_number_of_buckets_is_bounded() {
        let mut buckets = Buckets::default();
        for payer in 0..5_000 {
            let _ = take(&mut buckets, payer, 10, 1_000);
            assert!(buckets.all.len() <= RATE_PAYERS_MAX);
        }
    }

    #[test]
    fn no_number_is_too_large() {
        let most = Rate { per_second: u64::MAX, burst: u64::MAX };
        let rates = Rates { mutations: most, bytes: most }.share(3);
        let cost = Cost { mutations: u64::MAX, bytes: u64::MAX };
        let mut bucket = Bucket::default();
        for _ in 0..3 {
            bucket = rates.take(bucket, cost, 1, 0).unwrap_or(bucket);
            assert!(rates.bytes.room(bucket.bytes, 1) <= rates.bytes.burst);
        }
    }
}
