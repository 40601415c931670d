//! One sort for all. The standard library's would take 10 KB of the browser build for inputs that are
//! short, or rare and long; this one takes a few hundred bytes.

use alloc::vec::Vec;
use core::cmp::Ordering;

/// The places of `count` things, in the order that `compare` gives; equal ones stay as they stand.
/// A bottom-up merge sort: n log n comparisons at most.
pub(crate) fn order(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut from: Vec<usize> = (0..count).collect();
    let mut to = Vec::with_capacity(count);
    let mut run = 1;
    while run < count {
        to.clear();
        for pair in from.chunks(2 * run) {
            let (mut left, mut right) = pair.split_at(run.min(pair.len()));
            while let ([first, others @ ..], [second, rest @ ..]) = (left, right) {
                if compare(*second, *first) == Ordering::Less {
                    to.push(*second);
                    right = rest;
                } else {
                    to.push(*first);
                    left = others;
                }
            }
            to.extend_from_slice(left);
            to.extend_from_slice(right);
        }
        core::mem::swap(&mut from, &mut to);
        run *= 2;
    }
    from
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_keeps_equals() {
        for count in [0, 1, 2, 3, 7, 64, 1_000] {
            let things: Vec<usize> = (0..count).map(|place| place * 7_919 % 101).collect();
            let mut expected: Vec<usize> = (0..count).collect();
            expected.sort_by_key(|place| things[*place]);
            assert_eq!(order(count, &|one, other| things[one].cmp(&things[other])), expected);
        }
    }
}
