//! How much may travel next, going by how long the last took. Both sides learn their road by it: an authority for pages, a
//! replica for pushes.

use core::ops::RangeInclusive;

use crate::limits::{QUICK_MS, SLOW_MS};

/// Twice as much, half, or the same, within bounds.
pub(crate) fn stride_after(stride: u64, ms: u64, bounds: RangeInclusive<u64>) -> u64 {
    if ms < QUICK_MS {
        (stride * 2).min(*bounds.end())
    } else if ms > SLOW_MS {
        (stride / 2).max(*bounds.start())
    } else {
        stride
    }
}
