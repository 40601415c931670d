//! How fast one client may write: token buckets, kept as the moment at which each is full again.

use std::collections::HashMap;

use neap_core::limits::RATE_PAYERS_MAX;

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

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

    /// How long an empty bucket takes to gather so much.
    fn time(self, units: u64) -> u64 {
        let time = u128::from(units).saturating_mul(u128::from(SECOND));
        let time = time.checked_div(u128::from(self.per_second)).unwrap_or(u128::MAX);
        u64::try_from(time).unwrap_or(u64::MAX)
    }

    /// When a bucket that is full again at `full_at` will be after this. What is more than a burst
    /// counts as one, or it would never pass.
    fn take(self, full_at: u64, units: u64, now: u64) -> Result<u64, u64> {
        let after = full_at.max(now).saturating_add(self.time(units.min(self.burst)));
        let last = now.saturating_add(self.time(self.burst));
        if after <= last { Ok(after) } else { Err(after.saturating_sub(last)) }
    }
}

/// How fast one client may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Mutations.
    pub mutations: Rate,
    /// Bytes of bodies.
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

/// The buckets of those who wrote lately: a bounded number, in memory alone, since a full bucket and
/// none are the same.
#[derive(Clone, Debug, Default)]
pub struct Buckets {
    /// By client: when its buckets are full again, in nanoseconds since 1970.
    all: HashMap<u64, Bucket>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    mutations: u64,
    bytes: u64,
}

impl Bucket {
    fn full_at(self) -> u64 {
        self.mutations.max(self.bytes)
    }
}

impl Buckets {
    /// Takes what a mutation of so many bytes costs a client at the moment `now`, in milliseconds since
    /// 1970.
    ///
    /// # Errors
    /// The whole seconds after which it would not be too fast; then nothing was taken.
    pub(crate) fn take(
        &mut self,
        rates: &Rates,
        payer: u64,
        bytes: usize,
        now: u64,
    ) -> Result<(), u64> {
        let now = now.saturating_mul(1_000_000);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let bucket = self.all.get(&payer).copied().unwrap_or_default();
        let mutations = rates.mutations.take(bucket.mutations, 1, now);
        let bytes = rates.bytes.take(bucket.bytes, bytes, now);
        match (mutations, bytes) {
            (Ok(mutations), Ok(bytes)) => {
                self.make_room(now);
                self.all.insert(payer, Bucket { mutations, bytes });
                Ok(())
            }
            (mutations, bytes) => {
                let wait = mutations.err().max(bytes.err()).unwrap_or(0);
                Err(wait.div_ceil(SECOND).max(1))
            }
        }
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
        for _ in 0..20 {
            assert_eq!(buckets.take(&SLOW, 1, 10, 1_000), Ok(()));
        }
        assert_eq!(buckets.take(&SLOW, 1, 10, 1_000), Err(1));
        assert_eq!(buckets.take(&SLOW, 2, 10, 1_000), Ok(()), "another client has its own");
        assert_eq!(buckets.take(&SLOW, 1, 10, 1_099), Err(1));
        assert_eq!(buckets.take(&SLOW, 1, 10, 1_100), Ok(()));
        assert_eq!(buckets.take(&SLOW, 1, 10, 1_100), Err(1));
    }

    #[test]
    fn bytes_count_too_and_more_than_a_burst_passes_alone() {
        let mut buckets = Buckets::default();
        assert_eq!(buckets.take(&SLOW, 1, 9_000, 1_000), Ok(()));
        assert_eq!(buckets.take(&SLOW, 1, 2_500, 1_000), Err(3));
        assert_eq!(buckets.take(&SLOW, 1, 2_500, 3_500), Ok(()));
    }

    #[test]
    fn the_number_of_buckets_is_bounded() {
        let mut buckets = Buckets::default();
        for payer in 0..5_000 {
            let _ = buckets.take(&SLOW, payer, 10, 1_000);
            assert!(buckets.all.len() <= RATE_PAYERS_MAX);
        }
    }
}
