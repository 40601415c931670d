//! The rows that follow a page or a delta. Before format 3 a stored page held such rows too.

use alloc::{boxed::Box, vec::Vec};

use super::{BadFrame, Layout, Reader, layout::put_varint};
use crate::{id::Seq, limits::INTEGER_MAX, record::Row};

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

impl RowRef<'_> {
    /// Bytes that the row's texts take.
    #[must_use]
    pub fn size(&self) -> usize {
        self.collection.len() + self.key.len() + self.data.map_or(0, str::len)
    }
}

impl Row {
    /// Bytes that the row's texts take.
    #[must_use]
    pub fn size(&self) -> usize {
        RowRef::from(self).size()
    }
}

impl From<RowRef<'_>> for Row {
    fn from(row: RowRef<'_>) -> Self {
        Row {
            collection: row.collection.into(),
            key: row.key.into(),
            seq: row.seq,
            data: row.data.map(Into::into),
        }
    }
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

/// Rows in the order of their seqs, as they lie in a frame. Collections are numbered by their place in
/// `names`, seqs are told by their distance from the one before, and a key that occurs in its record's
/// text, as it nearly always does, by its place there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes<'a> {
    names: Vec<&'a str>,
    count: usize,
    rows: &'a [u8],
}

/// What stands before a row: a record whose key lies within its text, one whose key stands apart, or a
/// tombstone.
const WITHIN: u8 = 0;
const APART: u8 = 1;
const GONE: u8 = 2;

impl<'a> Changes<'a> {
    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Looks at all rows.
    ///
    /// # Errors
    /// When one cannot be unpacked, or something follows on the last.
    pub fn check(&self) -> Result<(), BadFrame> {
        let mut rows = self.rows();
        for row in rows.by_ref() {
            row?;
        }
        rows.end()
    }

    /// Unpacks the rows.
    ///
    /// # Errors
    /// Each row that speaks of a collection or a place that is not there.
    #[must_use]
    pub fn rows(&self) -> Rows<'a, '_> {
        Rows { names: &self.names, left: self.count, from: Reader::new(self.rows), seq: 0 }
    }
}

/// The rows of [`Changes`], one after the other.
#[derive(Clone, Debug)]
pub struct Rows<'a, 'n> {
    names: &'n [&'a str],
    left: usize,
    from: Reader<'a>,
    seq: u64,
}

/// A row as it lies there.
struct Packed<'a> {
    name: u32,
    step: u64,
    key: Option<&'a str>,
    data: Option<&'a str>,
}

impl<'a> Rows<'a, '_> {
    /// Nothing follows on what was unpacked.
    ///
    /// # Errors
    /// When bytes go on.
    pub fn end(&self) -> Result<(), BadFrame> {
        if self.from.rest().is_empty() { Ok(()) } else { Err(BadFrame) }
    }

    fn packed(&mut self) -> Result<Packed<'a>, BadFrame> {
        let from = &mut self.from;
        let kind = from.byte()?;
        let (name, step) = (u32::take(from)?, from.varint()?);
        if kind == WITHIN {
            let (at, len) = (usize::from(u16::take(from)?), usize::from(u16::take(from)?));
            let data = <&str>::take(from)?;
            return Ok(Packed { name, step, key: data.get(at..at + len), data: Some(data) });
        }
        let key = Some(<&str>::take(from)?);
        match kind {
            APART => Ok(Packed { name, step, key, data: Some(<&str>::take(from)?) }),
            GONE => Ok(Packed { name, step, key, data: None }),
            _ => Err(BadFrame),
        }
    }

    fn row(&mut self) -> Result<RowRef<'a>, BadFrame> {
        let Packed { name, step, key, data } = self.packed()?;
        self.seq = self.seq.wrapping_add(step);
        let place = usize::try_from(name).map_err(|_| BadFrame)?;
        let collection = *self.names.get(place).ok_or(BadFrame)?;
        if self.seq > INTEGER_MAX {
            return Err(BadFrame);
        }
        Ok(RowRef { collection, key: key.ok_or(BadFrame)?, seq: Seq(self.seq), data })
    }
}

impl<'a> Iterator for Rows<'a, '_> {
    type Item = Result<RowRef<'a>, BadFrame>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(self.row())
    }
}

/// Encodes the rows that follow a page or a delta, once for all its receivers; they stand in the order
/// of their seqs.
#[must_use]
pub fn encode_changes<'a>(rows: impl IntoIterator<Item = RowRef<'a>>) -> Vec<u8> {
    let mut packer = Packer::default();
    for row in rows {
        packer.add(row);
    }
    packer.finish()
}

/// Encodes rows as [`encode_changes`] does, one after the other as they are read.
#[derive(Debug, Default)]
pub struct Packer {
    numbering: Numbering,
    count: u64,
    before: u64,
    packed: Vec<u8>,
}

impl Packer {
    /// Takes the next row.
    pub fn add(&mut self, row: RowRef<'_>) {
        self.count += 1;
        let packed = &mut self.packed;
        let within = row.data.and_then(|data| {
            let place = u16::try_from(place_within(data, row.key)?).ok()?;
            Some((place, u16::try_from(row.key.len()).ok()?))
        });
        packed.push(match (row.data, within) {
            (Some(_), Some(_)) => WITHIN,
            (Some(_), None) => APART,
            (None, _) => GONE,
        });
        put_varint(packed, self.numbering.number(row.collection) as u64);
        put_varint(packed, row.seq.0.wrapping_sub(self.before));
        self.before = row.seq.0;
        match within {
            Some((at, len)) => (at, len).put(packed),
            None => row.key.put(packed),
        }
        if let Some(data) = row.data {
            data.put(packed);
        }
    }

    /// Gives what follows a page or a delta.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.packed.len() + 16);
        self.numbering.names.put(&mut bytes);
        put_varint(&mut bytes, self.count);
        bytes.append(&mut self.packed);
        bytes
    }
}

/// Decodes rows on their own.
///
/// # Errors
/// When the bytes are no rows.
pub fn decode_changes(bytes: &[u8]) -> Result<Changes<'_>, BadFrame> {
    let changes = peek_changes(bytes)?;
    let mut rows = changes.rows();
    for _ in 0..changes.count {
        rows.packed()?;
    }
    rows.end()?;
    Ok(changes)
}

/// The same without a look at the rows: for whoever drops all of them when one turns out bad, or when
/// they have no [`end`](Rows::end).
///
/// # Errors
/// When no rows begin there.
pub fn peek_changes(bytes: &[u8]) -> Result<Changes<'_>, BadFrame> {
    let mut from = Reader::new(bytes);
    let (names, count) = (Vec::take(&mut from)?, from.length()?);
    Ok(Changes { names, count, rows: from.rest() })
}

/// Numbers names in the order in which they come.
#[derive(Debug, Default)]
struct Numbering {
    names: Vec<Box<str>>,
    /// The numbers in the order of the names.
    sorted: Vec<usize>,
    last: usize,
}

impl Numbering {
    fn number(&mut self, name: &str) -> usize {
        // Neighbours mostly share a collection.
        if self.names.get(self.last).is_some_and(|last| **last == *name) {
            return self.last;
        }
        let compare = |number: &usize| self.names.get(*number).map(AsRef::as_ref).cmp(&Some(name));
        self.last = match self.sorted.binary_search_by(compare) {
            Ok(rank) => self.sorted.get(rank).copied().unwrap_or(0),
            Err(rank) => {
                self.sorted.insert(rank, self.names.len());
                self.names.push(name.into());
                self.names.len() - 1
            }
        };
        self.last
    }
}

/// Where a record's text has its key. A key that was read out of the text is found at once; else only the beginning
/// is searched, so that nobody can make it dear.
pub(crate) fn place_within(data: &str, key: &str) -> Option<usize> {
    let is_there = |place: &usize| {
        data.as_bytes().get(*place..).is_some_and(|rest| rest.starts_with(key.as_bytes()))
    };
    let told = key.as_ptr().addr().wrapping_sub(data.as_ptr().addr());
    let end = data.len().min(100 + 1);
    Some(told).filter(is_there).or_else(|| (0..end).find(is_there))
}
