//! The rows that follow a page or a delta, and that a stored snapshot is made of.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{BadFrame, encode};
use crate::{id::Seq, limits::INTEGER_MAX, record::Row};

/// Rows in the order of their seqs. Collections are numbered by their place in `names`, seqs are
/// told by their distance from the one before, and a key that occurs in its record's text, as it
/// nearly always does, by its place there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes<'a> {
    #[serde(borrow)]
    names: Vec<&'a str>,
    rows: Vec<Packed<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Packed<'a> {
    Within { name: u32, step: u64, at: u16, len: u16, data: &'a str },
    Apart { name: u32, step: u64, key: &'a str, data: &'a str },
    Gone { name: u32, step: u64, key: &'a str },
}

/// A row that borrows its texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowRef<'a> {
    /// Name of the collection.
    pub collection: &'a str,
    /// Value of the record's primary field.
    pub key: &'a str,
    /// Seq of the mutation that wrote it.
    pub seq: Seq,
    /// The record as minified JSON; `None` for a tombstone.
    pub data: Option<&'a str>,
}

impl<'a> From<&'a Row> for RowRef<'a> {
    fn from(row: &'a Row) -> Self {
        RowRef {
            collection: &row.collection,
            key: &row.key,
            seq: row.seq,
            data: row.data.as_deref(),
        }
    }
}

impl<'a> Changes<'a> {
    /// Packs rows, which stand in the order of their seqs.
    pub fn pack(rows: impl IntoIterator<Item = RowRef<'a>>) -> Self {
        let mut numbering = Numbering::default();
        let mut before = 0;
        let pack = |row: RowRef<'a>| {
            let name = u32::try_from(numbering.number(row.collection)).unwrap_or(u32::MAX);
            let step = row.seq.0.wrapping_sub(before);
            before = row.seq.0;
            let Some(data) = row.data else {
                return Packed::Gone { name, step, key: row.key };
            };
            match (place_within(data, row.key), u16::try_from(row.key.len())) {
                (Some(at), Ok(len)) => Packed::Within { name, step, at, len, data },
                _ => Packed::Apart { name, step, key: row.key, data },
            }
        };
        let rows = rows.into_iter().map(pack).collect();
        Changes { names: numbering.names, rows }
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Unpacks the rows.
    ///
    /// # Errors
    /// Each row that speaks of a collection or a place that is not there.
    pub fn rows(&self) -> impl Iterator<Item = Result<RowRef<'a>, BadFrame>> {
        let mut seq = 0_u64;
        self.rows.iter().map(move |packed| {
            let (name, step, key, data) = match *packed {
                Packed::Within { name, step, at, len, data } => {
                    let (at, len) = (usize::from(at), usize::from(len));
                    (name, step, data.get(at..at + len).ok_or(BadFrame)?, Some(data))
                }
                Packed::Apart { name, step, key, data } => (name, step, key, Some(data)),
                Packed::Gone { name, step, key } => (name, step, key, None),
            };
            seq = seq.wrapping_add(step);
            if seq > INTEGER_MAX {
                return Err(BadFrame);
            }
            let collection = self
                .names
                .get(usize::try_from(name).map_err(|_| BadFrame)?)
                .copied()
                .ok_or(BadFrame)?;
            Ok(RowRef { collection, key, seq: Seq(seq), data })
        })
    }
}

/// Encodes the rows that follow a page or a delta, once for all its receivers.
#[must_use]
pub fn encode_changes(changes: &Changes<'_>) -> Vec<u8> {
    encode(changes)
}

/// Decodes rows on their own, as a stored snapshot holds them.
///
/// # Errors
/// When the bytes are no rows.
pub fn decode_changes(bytes: &[u8]) -> Result<Changes<'_>, BadFrame> {
    postcard::from_bytes(bytes).map_err(|_| BadFrame)
}

/// Numbers names in the order in which they come.
#[derive(Default)]
struct Numbering<'a> {
    names: Vec<&'a str>,
    /// The numbers in the order of the names.
    sorted: Vec<usize>,
    last: usize,
}

impl<'a> Numbering<'a> {
    fn number(&mut self, name: &'a str) -> usize {
        // Neighbours mostly share a collection.
        if self.names.get(self.last) == Some(&name) {
            return self.last;
        }
        let compare = |number: &usize| self.names.get(*number).copied().cmp(&Some(name));
        self.last = match self.sorted.binary_search_by(compare) {
            Ok(rank) => self.sorted.get(rank).copied().unwrap_or(0),
            Err(rank) => {
                self.sorted.insert(rank, self.names.len());
                self.names.push(name);
                self.names.len() - 1
            }
        };
        self.last
    }
}

/// Where a record's text has its key. Only the beginning is searched, so that nobody can make it dear.
fn place_within(data: &str, key: &str) -> Option<u16> {
    let end = data.len().min(key.len() + 100);
    let mut windows = data.as_bytes().get(..end)?.windows(key.len().max(1));
    u16::try_from(windows.position(|window| window == key.as_bytes())?).ok()
}
