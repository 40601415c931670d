//! The road to the relay, as a replica has come to know it: how much to put on it, and how long to wait.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use crate::{
    id::Turn,
    limits::{FLYING_BYTES, PATIENCE_DOUBLINGS_MAX, RESEND_MS, STRIDE_BYTES, STRIDE_BYTES_MIN},
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
    /// How many bytes of them may be.
    stride: u64,
    /// The shortest time that a Welcome has taken, in milliseconds: how far it is.
    way: u64,
}

impl Default for Road {
    fn default() -> Self {
        Road { up: 0, down: 0, flying: Vec::new(), stride: *STRIDES.start(), way: u64::MAX }
    }
}

const STRIDES: RangeInclusive<u64> = STRIDE_BYTES_MIN as u64..=FLYING_BYTES;

impl Road {
    /// How many bytes the next push may have; nothing where none may go.
    pub(super) fn room(&self) -> Option<usize> {
        let piece = usize::try_from(self.stride).unwrap_or(STRIDE_BYTES).min(STRIDE_BYTES);
        let flying: usize = self.flying.iter().map(|(_, bytes)| bytes).sum();
        (flying == 0 || (flying + piece) as u64 <= self.stride).then_some(piece)
    }

    pub(super) fn took(&mut self, last: Turn, bytes: usize) {
        self.flying.push((last, bytes));
    }

    /// Nothing of what was sent is on its way any more.
    pub(super) fn is_cut(&mut self) {
        self.flying.clear();
    }

    /// Welcome has come, so long after the connection stood.
    pub(super) fn greeted(&mut self, ms: u64) {
        self.way = self.way.min(ms);
    }

    /// Outcomes up to a turn have come, so long after those before.
    pub(super) fn landed(&mut self, settled: Turn, ms: u64) {
        self.flying.retain(|(last, _)| *last > settled);
        self.stride = stride_after(self.stride, ms.saturating_sub(self.way), STRIDES);
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
        self.stride = *STRIDES.start();
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
