//! How rows are read: so many at once, joined by SQLite into four values.

use core::{ops::ControlFlow, str};

use js_sys::Array;
use neap_core::{
    id::Seq,
    storage::{Range, Storage},
    wire::RowRef,
};
use wasm_bindgen::JsValue;

use super::{
    Failure, SqlRows,
    value::{blob, bytes, first, integer, text},
};

fn whole(text: &str) -> Result<u64, Failure> {
    text.parse().map_err(|_| Failure::Shape)
}

/// Texts of many rows, one behind the other: to fetch a row by itself costs more than to read it.
struct Joined<'a>(&'a [u8]);

impl<'a> Joined<'a> {
    fn take(&mut self, length: u64) -> Result<&'a str, Failure> {
        let length = usize::try_from(length).map_err(|_| Failure::Shape)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Failure::Shape)?;
        self.0 = rest;
        str::from_utf8(taken).map_err(|_| Failure::Shape)
    }
}

impl SqlRows {
    /// Visits rows in the order of seq, collection and key, until the visitor breaks off.
    pub(super) fn visit_rows(
        &self,
        range: Range<'_>,
        visit: &mut dyn FnMut(RowRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        if !self.exists()? {
            return Ok(());
        }
        // A BLOB sorts after every TEXT, so this stands behind all rows of the seq.
        let behind: JsValue = bytes(&[]);
        let mut from = (integer(range.after.0), behind.clone(), behind);
        let mut chunk = Chunk::first();
        let mut last = range.after;
        loop {
            let values = Array::of4(&from.0, &from.1, &from.2, &integer(range.tombstones_after.0));
            let data_max = chunk.data_max();
            values.push(&integer(chunk.rows));
            values.push(&integer(data_max));
            if let Some(collection) = range.collection {
                values.push(&JsValue::from_str(collection));
            }
            let found = first(self.run(|sql, of| match range.collection {
                Some(_) => sql.exec_all(&of.rows_of, &values),
                None => sql.exec_all(&of.rows, &values),
            })?)?;
            let Some(found) = found.filter(|found| !found.get(0).is_null()) else { return Ok(()) };
            let (seqs, lengths) = (text(&found.get(0))?, text(&found.get(1))?);
            let names = blob(&found.get(2))?;
            // There is none where all that was found are tombstones, or too long.
            let joined = found.get(3);
            let joined = if joined.is_null() { Vec::new() } else { blob(&joined)? };
            let (mut names, mut joined) = (Joined(&names), Joined(&joined));
            let mut is_full = false;
            for (count, (seq, lengths)) in (1..).zip(seqs.split(',').zip(lengths.split(','))) {
                let (seq, lengths) = (Seq(whole(seq)?), Lengths::from(whole(lengths)?));
                let (collection, key) = (names.take(lengths.collection)?, names.take(lengths.key)?);
                let long;
                let data = match lengths.data {
                    None => None,
                    // It is not among the joined.
                    Some(length) if length > data_max => {
                        long = self.row(collection, key)?.ok_or(Failure::Shape)?;
                        long.data.as_deref()
                    }
                    Some(length) => Some(joined.take(length)?),
                };
                let row = RowRef { collection, key, seq, data };
                // SQLite joins what a query below gives in its order; nothing but practice says so.
                if row.seq < last {
                    return Err(Failure::Shape);
                }
                last = row.seq;
                chunk.count(row.size());
                is_full = count == chunk.rows;
                if is_full {
                    from =
                        (integer(row.seq.0), JsValue::from_str(collection), JsValue::from_str(key));
                }
                if visit(row).is_break() {
                    return Ok(());
                }
            }
            if !is_full {
                return Ok(());
            }
            chunk = chunk.following();
        }
    }
}

/// How long the texts of a row are, in bytes.
struct Lengths {
    collection: u64,
    key: u64,
    /// A tombstone has none.
    data: Option<u64>,
}

impl From<u64> for Lengths {
    /// Takes apart what a statement has made one number of.
    fn from(packed: u64) -> Lengths {
        Lengths {
            collection: packed & 0x7f,
            key: packed >> 7 & 0x3ff,
            data: (packed >> 17).checked_sub(1),
        }
    }
}

/// How many rows to ask for at once: few until their size is known, then what comes to about a
/// quarter of a mebibyte, since a visitor mostly breaks off at that.
pub(super) struct Chunk {
    pub(super) rows: u64,
    seen: u64,
    bytes: u64,
}

impl Chunk {
    const ROWS_MIN: u64 = 32;
    const ROWS_MAX: u64 = 1_024;
    const BYTES: u64 = 256 * 1024;
    const JOINED_MAX: u64 = 1_400_000;

    pub(super) fn first() -> Self {
        Chunk { rows: Self::ROWS_MIN, seen: 0, bytes: 0 }
    }

    pub(super) fn count(&mut self, bytes: usize) {
        self.seen = self.seen.saturating_add(1);
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Data of more bytes than this is not joined to others': values and rows are bounded at 2 MB there
    /// (developers.cloudflare.com/durable-objects/platform/limits), and a chunk's rows were much shorter on average.
    fn data_max(&self) -> u64 {
        Self::JOINED_MAX.checked_div(self.rows).unwrap_or(0)
    }

    /// After it, where each chunk looks at every row: fewer and larger ones.
    pub(super) fn scanned(self) -> Self {
        self.times(16)
    }

    pub(super) fn following(self) -> Self {
        self.times(1)
    }

    /// As many rows as come to so many times the usual bytes, going by those that were seen.
    fn times(self, more: u64) -> Self {
        let each = self.bytes.checked_div(self.seen).unwrap_or(0).max(1);
        let rows = Self::BYTES.saturating_mul(more).checked_div(each).unwrap_or(0);
        let most = Self::ROWS_MAX.saturating_mul(more);
        Chunk { rows: rows.clamp(Self::ROWS_MIN, most), seen: 0, bytes: 0 }
    }
}
