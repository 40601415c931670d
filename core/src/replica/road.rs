//! The road to the relay, as a replica has come to know it: how much to put on it, and how long to wait.

use alloc::vec::Vec;

use crate::{
    id::Turn,
    limits::{FLYING_MAX, PATIENCE_DOUBLINGS_MAX, RESEND_MS, STRIDE_BYTES},
    stride::stride_after,
};

/// What a replica has learned of the road to the relay, which outlives a connection.
#[derive(Debug)]
pub(super) struct Road {
    /// How often the time was doubled in which outcomes may come.
    up: u32,
    /// The same for pages.
    down: u32,
    /// Pushes that are on their way, by their last turns, with their sizes.
    flying: Vec<(Turn, usize)>,
    /// How many may be.
    flying_max: u64,
}

impl Default for Road {
    fn default() -> Self {
        Road { up: 0, down: 0, flying: Vec::new(), flying_max: 1 }
    }
}

impl Road {
    /// Whether one more push may go.
    pub(super) fn has_room(&self) -> bool {
        (self.flying.len() as u64) < self.flying_max
    }

    pub(super) fn took(&mut self, last: Turn, bytes: usize) {
        self.flying.push((last, bytes));
    }

    /// Nothing of what was sent is on its way any more.
    pub(super) fn is_cut(&mut self) {
        self.flying.clear();
    }

    /// Outcomes up to a turn have come, so long after those before.
    pub(super) fn landed(&mut self, settled: Turn, ms: u64) {
        self.flying.retain(|(last, _)| *last > settled);
        self.flying_max = stride_after(self.flying_max, ms, 1..=FLYING_MAX);
        if ms < RESEND_MS {
            self.up = 0;
        }
    }

    /// A page has come, so long after what was before.
    pub(super) fn turned(&mut self, ms: u64) {
        if ms < RESEND_MS {
            self.down = 0;
        }
    }

    /// All pages are there.
    pub(super) fn is_at_head(&mut self) {
        self.down = 0;
    }

    pub(super) fn was_silent_down(&mut self) {
        self.down = (self.down + 1).min(PATIENCE_DOUBLINGS_MAX);
    }

    pub(super) fn was_silent_up(&mut self) {
        self.up = (self.up + 1).min(PATIENCE_DOUBLINGS_MAX);
        self.flying_max = 1;
    }

    /// Whether little is on its way.
    pub(super) fn is_nearly_clear(&self) -> bool {
        self.flying.iter().map(|(_, bytes)| bytes).sum::<usize>() <= 2 * STRIDE_BYTES
    }

    /// How long outcomes may take, in milliseconds.
    pub(super) fn patience_up(&self) -> u64 {
        RESEND_MS << self.up
    }

    /// How long a page may take, in milliseconds.
    pub(super) fn patience_down(&self) -> u64 {
        RESEND_MS << self.down
    }
}
