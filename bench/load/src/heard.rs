//! What all readers have heard, and when.

use std::collections::HashMap;

use hdrhistogram::Histogram;

use crate::{
    Trouble,
    peer::{News, Span},
};

/// What all readers have heard.
pub struct Heard {
    /// Mutations that stood in frames, or that Neap's order has led over.
    pub mutations: u64,
    /// Rows of Neap that stood in frames.
    told: u64,
    /// From the intended moment to the reader, in microseconds, where frames carry moments and no order.
    latencies: Histogram<u64>,
    /// Steps along Neap's order, each with the moment in which a reader took it.
    steps: Vec<(u64, Span)>,
}

/// What was delivered, each with its latency.
pub struct Delivered {
    /// Not told by themselves, as a later mutation of the same record stood in the same frame.
    pub merged: u64,
    /// Came by pages to readers that had been left behind.
    pub paged: u64,
    pub latencies: Histogram<u64>,
}

impl Heard {
    pub fn new() -> Result<Heard, Trouble> {
        Ok(Heard { mutations: 0, told: 0, latencies: Histogram::new(3)?, steps: Vec::new() })
    }

    pub fn take(&mut self, news: News, now: u64) {
        self.told += news.rows;
        if let Some(span) = news.span {
            self.mutations += span.to - span.from;
            self.steps.push((now, span));
        }
        self.mutations += news.moments.len() as u64;
        for moment in news.moments {
            let _ = self.latencies.record(now.saturating_sub(moment).max(1));
        }
    }

    /// Tells what was delivered when `placed` says which seqs the mutations took. A seq that nobody has claimed
    /// counts as nothing: when it was due is not known.
    pub fn resolve(&self, placed: impl IntoIterator<Item = (u64, u64)>) -> Delivered {
        let moments: HashMap<u64, u64> = placed.into_iter().collect();
        let mut latencies = self.latencies.clone();
        let (mut ordered, mut paged) = (0, 0_u64);
        for (now, span) in &self.steps {
            for moment in (span.from + 1..=span.to).filter_map(|seq| moments.get(&seq)) {
                let _ = latencies.record(now.saturating_sub(*moment).max(1));
                ordered += 1;
                paged += u64::from(span.is_paged);
            }
        }
        Delivered { merged: u64::saturating_sub(ordered, self.told), paged, latencies }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newer_one_stands_for_is_delivered_too() -> Result<(), Trouble> {
        let mut heard = Heard::new()?;
        let told = |rows, from, to, is_paged| News {
            rows,
            span: Some(Span { from, to, is_paged }),
            ..News::default()
        };
        heard.take(told(1, 0, 1, false), 1_100);
        // A page of two rows for five mutations, the last of which nobody has claimed.
        heard.take(told(2, 1, 6, true), 2_000);
        // Pages before the last show nothing yet.
        heard.take(News::default(), 2_000);
        assert_eq!(heard.mutations, 6);
        let done = heard.resolve((1..=5).map(|seq| (seq, 1_000)));
        assert_eq!((done.latencies.len(), done.merged, done.paged), (5, 2, 4));
        assert_eq!((done.latencies.min(), done.latencies.max()), (100, 1_000));
        Ok(())
    }

    #[test]
    fn without_an_order_what_is_told_counts() -> Result<(), Trouble> {
        let mut heard = Heard::new()?;
        heard.take(News { moments: vec![1, 2], ..News::default() }, 4);
        assert_eq!(heard.mutations, 2);
        let done = heard.resolve([]);
        assert_eq!((done.latencies.len(), done.merged, done.paged), (2, 0, 0));
        assert_eq!((done.latencies.min(), done.latencies.max()), (2, 3));
        Ok(())
    }
}
