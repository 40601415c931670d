//! SipHash with 128 bits, over parts as if they were one text. It is the hash of digests, checksums,
//! indexes and identities, and the most of what a replica computes when it comes back from a disk; so
//! its state stays in registers, which the code of a hasher that is fed piece by piece does not when
//! it is compiled for size.

/// Hashes with `rounds` for each word and two more in the end: SipHash-1-3 or SipHash-2-4.
pub(crate) fn sip(rounds: u32, keys: [u64; 2], parts: &[&[u8]]) -> [u8; 16] {
    sip_parts(rounds, keys, parts, 2)
}

/// The first eight bytes of it: where what is hashed is short, two thirds of the work.
pub(crate) fn sip_half(rounds: u32, keys: [u64; 2], parts: &[&[u8]]) -> [u8; 16] {
    sip_parts(rounds, keys, parts, 1)
}

#[inline(never)]
fn sip_parts(rounds: u32, [one, two]: [u64; 2], parts: &[&[u8]], halves: usize) -> [u8; 16] {
    let mut state = [
        one ^ 0x736f_6d65_7073_6575,
        two ^ 0x646f_7261_6e64_6f83,
        one ^ 0x6c79_6765_6e65_7261,
        two ^ 0x7465_6462_7974_6573,
    ];
    // What does not fill a word yet.
    let (mut rest, mut length) = (0, 0_usize);
    for part in parts {
        let held = length % 8;
        length += part.len();
        let (words, last) = part.as_chunks();
        for word in words {
            let word = u64::from_le_bytes(*word);
            state = absorb(state, rest | word << (held * 8), rounds);
            rest = (word >> 1) >> (63 - held * 8);
        }
        let word = last.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        rest |= word << (held * 8);
        if held + last.len() >= 8 {
            state = absorb(state, rest, rounds);
            rest = (word >> 1) >> (63 - held * 8);
        }
    }
    state = absorb(state, (length as u64) << 56 | rest, rounds);
    let mut hash = [0; 16];
    for (half, marks) in hash.chunks_mut(8).zip([[0, 0xee], [0xdd, 0]]).take(halves) {
        let [a, b, c, d] = state;
        state = mix([a, b ^ marks[0], c ^ marks[1], d], rounds + 2);
        half.copy_from_slice(&state.iter().fold(0, |sum, part| sum ^ part).to_le_bytes());
    }
    hash
}

#[inline(always)]
fn absorb([a, b, c, d]: [u64; 4], word: u64, rounds: u32) -> [u64; 4] {
    let [a, b, c, d] = mix([a, b, c, d ^ word], rounds);
    [a ^ word, b, c, d]
}

#[inline(always)]
fn mix([mut a, mut b, mut c, mut d]: [u64; 4], rounds: u32) -> [u64; 4] {
    for _ in 0..rounds {
        a = a.wrapping_add(b);
        c = c.wrapping_add(d);
        b = b.rotate_left(13) ^ a;
        d = d.rotate_left(16) ^ c;
        a = a.rotate_left(32);
        c = c.wrapping_add(b);
        a = a.wrapping_add(d);
        b = b.rotate_left(17) ^ c;
        d = d.rotate_left(21) ^ a;
        c = c.rotate_left(32);
    }
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use core::hash::Hasher;

    use siphasher::sip128::{Hasher128, SipHasher13, SipHasher24};

    use super::*;

    /// Against another one's, at every length and however the bytes are parted.
    #[test]
    fn is_siphash() {
        let bytes: alloc::vec::Vec<u8> = (0..600_usize).map(|at| (at * 37 % 251) as u8).collect();
        for length in (0..80).chain([255, 256, 257, 600]) {
            let bytes = &bytes[..length];
            let mut other = SipHasher13::new_with_keys(7, u64::MAX);
            other.write(bytes);
            let expected = other.finish128().as_bytes();
            for cut in 0..=length.min(20) {
                let (left, right) = bytes.split_at(cut);
                let (middle, right) = right.split_at(right.len() / 3);
                assert_eq!(sip(1, [7, u64::MAX], &[left, middle, right]), expected);
                let half = sip_half(1, [7, u64::MAX], &[left, middle, right]);
                assert_eq!((&half[..8], &half[8..]), (&expected[..8], &[0; 8][..]));
            }
            let mut other = SipHasher24::new();
            other.write(bytes);
            assert_eq!(sip(2, [0, 0], &[bytes]), other.finish128().as_bytes());
        }
    }
}
