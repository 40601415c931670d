//! Checksums of what is stored.

use core::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

/// Gives the checksum of bytes and of the place that they are stored at. It tells torn bytes, not
/// forged ones: SipHash-1-3 without a key, cut to 32 bits.
#[must_use]
pub fn checksum(bytes: &[u8], place: [u64; 2], owner: &[u8]) -> u32 {
    let mut hasher = SipHasher13::new();
    for number in place {
        hasher.write(&number.to_le_bytes());
    }
    hasher.write(owner);
    hasher.write(bytes);
    let [a, b, c, d, ..] = hasher.finish128().as_bytes();
    u32::from_le_bytes([a, b, c, d])
}
