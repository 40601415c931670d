//! One sort for all: the standard library's is compiled anew for each type, at 3 to 11 KB each in the
//! browser, so everything is sorted by its places.

use alloc::vec::Vec;
use core::cmp::Ordering;

/// The places of `count` things, in the order that `compare` gives; equal ones stay as they stand.
pub(crate) fn order(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    places.sort_unstable_by(|one, other| compare(*one, *other).then(one.cmp(other)));
    places
}
