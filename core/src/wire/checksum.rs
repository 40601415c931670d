//! Checksums of what is stored.

use crate::sip::sip;

/// Gives the checksum of bytes and of the place that they are stored at. It tells torn bytes, not
/// forged ones: SipHash-1-3 without a key, cut to 32 bits.
#[must_use]
pub fn checksum(bytes: &[u8], place: [u64; 2], owner: &[u8]) -> u32 {
    let [from, to] = place.map(u64::to_le_bytes);
    let [a, b, c, d, ..] = sip(1, [0, 0], &[&from, &to, owner, bytes]);
    u32::from_le_bytes([a, b, c, d])
}

/// Gives the checksum of a page of a checkpoint at its place. Coming back from a disk waits for it, and a browser runs it
/// before it has compiled it well, which makes rotations dear: so each word is multiplied in. One that is another
/// gives another sum for certain, several do but for one case in 2^64.
#[must_use]
pub fn seal(bytes: &[u8], place: u64) -> u64 {
    let absorb = |sum: u64, word: u64| {
        let product = (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        product ^ product >> 32
    };
    let (words, rest) = bytes.as_chunks();
    let begin = absorb(absorb(0, place), bytes.len() as u64);
    let sum = words.iter().fold(begin, |sum, word| absorb(sum, u64::from_le_bytes(*word)));
    rest.iter().fold(sum, |sum, byte| absorb(sum, u64::from(*byte)))
}
