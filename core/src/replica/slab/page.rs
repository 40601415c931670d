//! A page of a checkpoint: a slab as it lies, and what spares the replica to read its records when it comes back.
//!
//! Blocks come first, then for each one the hash of its key and where it begins, four bytes each with the lowest first,
//! then a [`Tail`], its length and the [`seal`] of all this at the page's place.

use alloc::vec::Vec;

use super::Slab;
use crate::{
    record::Digest,
    replica::table::{Collection, Names, digest_of},
    wire::{BadFrame, Layout, Reader, fields, seal},
};

/// What is said of all records of a page together.
#[derive(Debug)]
struct Tail<'a> {
    /// What they add to the digest.
    digest: Digest,
    /// Under which their keys are hashed.
    seed: u64,
    /// Bytes of all blocks.
    blocks: u64,
    /// The collections by their numbers in the blocks, and how many records of them there are.
    collections: Vec<(&'a str, u64)>,
}

fields!(Tail<'a> { digest, seed, blocks, collections });

/// A page that has come back.
#[derive(Debug)]
pub(in crate::replica) struct Page {
    pub(in crate::replica) slab: Slab,
    /// The hash of the key in each slot.
    pub(in crate::replica) hashes: Vec<u32>,
    pub(in crate::replica) seed: u64,
    pub(in crate::replica) digest: Digest,
    /// How many records of its collections there are.
    pub(in crate::replica) counts: Vec<(Collection, usize)>,
}

impl Page {
    /// Encodes a slab without dead blocks for a place.
    pub(in crate::replica) fn encode(
        slab: &Slab,
        place: usize,
        names: &Names,
        seed: u64,
        hash: &dyn Fn(Collection, &str) -> u32,
    ) -> Vec<u8> {
        let mut bytes = slab.bytes.clone();
        let mut starts = Vec::new();
        let mut digest = Digest::EMPTY;
        let name = |collection: &Collection| (names.name(*collection), 0);
        let mut collections: Vec<_> = slab.collections.iter().map(name).collect();
        for (slot, start) in slab.starts.iter().enumerate() {
            let Some(block) = slab.get(slot) else { continue };
            let Some((name, count)) = collections.get_mut(block.number) else { continue };
            *count += 1;
            digest.add(digest_of(name, block.key(), block.held()));
            bytes.extend_from_slice(&hash(block.collection, block.key()).to_le_bytes());
            starts.extend_from_slice(&start.to_le_bytes());
        }
        bytes.append(&mut starts);
        let begin = bytes.len();
        Tail { digest, seed, blocks: slab.bytes.len() as u64, collections }.put(&mut bytes);
        let tail = (bytes.len() - begin) as u64;
        bytes.extend_from_slice(&tail.to_le_bytes());
        let seal = seal(&bytes, place as u64);
        bytes.extend_from_slice(&seal.to_le_bytes());
        bytes
    }

    /// Takes back what was encoded for a place. The blocks stay where they are, and none is read: a seal is trusted.
    pub(in crate::replica) fn decode(
        mut bytes: Vec<u8>,
        place: usize,
        names: &mut Names,
    ) -> Result<Page, BadFrame> {
        let (sealed, told) = split_number(&bytes)?;
        if seal(sealed, place as u64) != told {
            return Err(BadFrame);
        }
        let (rest, length) = split_number(sealed)?;
        let begin = rest.len().checked_sub(length as usize).ok_or(BadFrame)?;
        let (rest, tail) = rest.split_at(begin);
        let Tail { digest, seed, blocks, collections } = Tail::take(&mut Reader::new(tail))?;
        let numbers = rest.get(blocks as usize..).ok_or(BadFrame)?;
        let (hashes, starts) = numbers.split_at(numbers.len() / 2);
        let (hashes, starts) = (numbers_in(hashes), numbers_in(starts));
        let count = |(name, count): (&str, u64)| (names.intern(name), count as usize);
        let counts: Vec<_> = collections.into_iter().map(count).collect();
        let collections = counts.iter().map(|(collection, _)| *collection).collect();
        bytes.truncate(blocks as usize);
        let slab = Slab { bytes, starts, collections, ..Slab::default() };
        Ok(Page { slab, hashes, seed, digest, counts })
    }
}

/// The number in the last eight bytes, and what stands before it.
fn split_number(bytes: &[u8]) -> Result<(&[u8], u64), BadFrame> {
    let (rest, number) = bytes.split_last_chunk().ok_or(BadFrame)?;
    Ok((rest, u64::from_le_bytes(*number)))
}

fn numbers_in(bytes: &[u8]) -> Vec<u32> {
    let (numbers, _) = bytes.as_chunks();
    numbers.iter().map(|number| u32::from_le_bytes(*number)).collect()
}
