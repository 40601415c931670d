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
