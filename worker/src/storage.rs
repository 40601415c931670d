//! The only SQL: rows and stored values of one datastore in the SQLite of its object.
//!
//! The statements are constant texts, since the platform keeps prepared ones by their text. Every
//! cursor is read to its end at once: an open one would keep tables locked.

use core::{
    cell::{Cell, RefCell},
    ops::{self, ControlFlow},
    str,
};

use js_sys::{Array, JsString, Uint8Array};
use neap_core::{
    id::{ReplicaId, Seq},
    pool::Item,
    record::{Digest, Row},
    storage::{Pruned, Range, Storage},
    wire::RowRef,
};
use neap_http::Answers;
use wasm_bindgen::{JsCast, JsValue};

use crate::platform::{self, Cursor, Sql};

/// The version of the tables.
const SCHEMA: f64 = 1.0;

/// Several rows may share a seq, so the key takes part in the primary key; catch-up then reads the
/// table in its own order. The unique index carries the seq, so looking for a key's old row never
/// touches the table but for its data. The partial index costs deletes only.
const CREATE: [&str; 9] = [
    "CREATE TABLE IF NOT EXISTS meta (id INTEGER PRIMARY KEY CHECK (id = 1), schema INTEGER NOT NULL, value BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS records (seq INTEGER NOT NULL, collection TEXT NOT NULL, key TEXT NOT NULL, data TEXT, PRIMARY KEY (seq, collection, key)) WITHOUT ROWID",
    "CREATE UNIQUE INDEX IF NOT EXISTS records_key ON records (collection, key)",
    "CREATE INDEX IF NOT EXISTS records_gone ON records (seq) WHERE data IS NULL",
    "CREATE TABLE IF NOT EXISTS ledger (replica BLOB PRIMARY KEY, at INTEGER NOT NULL, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS answers (id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, at INTEGER NOT NULL, value BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS pools (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS items (pool TEXT NOT NULL, seq INTEGER NOT NULL, ident TEXT NOT NULL, hash BLOB NOT NULL, data TEXT, PRIMARY KEY (pool, seq)) WITHOUT ROWID",
    "CREATE UNIQUE INDEX IF NOT EXISTS items_ident ON items (pool, ident)",
];

const DROP: [&str; 6] = [
    "DROP TABLE IF EXISTS items",
    "DROP TABLE IF EXISTS pools",
    "DROP TABLE IF EXISTS answers",
    "DROP TABLE IF EXISTS ledger",
    "DROP TABLE IF EXISTS records",
    "DROP TABLE IF EXISTS meta",
];

macro_rules! statements {
    ($($name:ident: $text:expr;)*) => {
        /// The texts of the statements as JavaScript strings, made once.
        struct Statements { $($name: JsString,)* }
        impl Statements {
            fn new() -> Self {
                Statements { $($name: JsString::from($text),)* }
            }
        }
    };
}

statements! {
    exists: "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta' LIMIT 1";
    meta: "SELECT schema, value FROM meta WHERE id = 1";
    put_meta: "INSERT INTO meta (id, schema, value) VALUES (1, ?, ?) ON CONFLICT (id) DO UPDATE SET schema = excluded.schema, value = excluded.value";
    entries: "SELECT at, replica, value FROM ledger WHERE (at, replica) > (?, ?) ORDER BY at, replica LIMIT ?";
    entry: "SELECT value FROM ledger WHERE replica = ?";
    put_entry: "INSERT INTO ledger (replica, at, value) VALUES (?, ?, ?) ON CONFLICT (replica) DO UPDATE SET at = excluded.at, value = excluded.value";
    row: "SELECT seq, data FROM records WHERE collection = ? AND key = ?";
    put_row: "INSERT INTO records (seq, collection, key, data) VALUES (?, ?, ?, ?) ON CONFLICT (collection, key) DO UPDATE SET seq = excluded.seq, data = excluded.data";
    rows: "SELECT group_concat(seq || ' ' || octet_length(collection) || ' ' || octet_length(key) || ' ' || ifnull(octet_length(data), ''), ';'), CAST(group_concat(collection || key, '') AS BLOB), CAST(group_concat(data, '') FILTER (WHERE octet_length(data) <= ?6) AS BLOB) FROM (SELECT seq, collection, key, data FROM records WHERE (seq, collection, key) > (?1, ?2, ?3) AND (data IS NOT NULL OR seq > ?4) ORDER BY seq, collection, key LIMIT ?5)";
    rows_of: "SELECT group_concat(seq || ' ' || octet_length(collection) || ' ' || octet_length(key) || ' ' || ifnull(octet_length(data), ''), ';'), CAST(group_concat(collection || key, '') AS BLOB), CAST(group_concat(data, '') FILTER (WHERE octet_length(data) <= ?6) AS BLOB) FROM (SELECT seq, collection, key, data FROM records WHERE (seq, collection, key) > (?1, ?2, ?3) AND (data IS NOT NULL OR seq > ?4) AND collection = ?7 ORDER BY seq, collection, key LIMIT ?5)";
    oldest_gone: "SELECT max(seq) FROM (SELECT seq FROM records WHERE data IS NULL ORDER BY seq LIMIT ?)";
    count_gone: "SELECT count(*) FROM records WHERE data IS NULL AND seq <= ?";
    prune: "DELETE FROM records WHERE data IS NULL AND seq <= ?";
    forget_entries: "DELETE FROM ledger WHERE at < ?";
    pools: "SELECT name, value FROM pools ORDER BY name";
    pool: "SELECT value FROM pools WHERE name = ?";
    put_pool: "INSERT INTO pools (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    item: "SELECT seq, hash, data FROM items WHERE pool = ? AND ident = ?";
    put_item: "INSERT INTO items (pool, seq, ident, hash, data) VALUES (?, ?, ?, ?, ?) ON CONFLICT (pool, ident) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, data = excluded.data";
    items: "SELECT seq, hash, data, ident FROM items WHERE pool = ? AND seq > ? ORDER BY seq LIMIT ?";
    last_erased: "SELECT max(seq), count(*) FROM (SELECT seq FROM items WHERE pool = ? AND seq > ? AND seq <= ? AND data IS NOT NULL ORDER BY seq LIMIT ?)";
    erase_items: "UPDATE items SET data = NULL WHERE pool = ? AND seq > ? AND seq <= ?";
    answers: "SELECT at, name, value FROM answers WHERE (at, name) > (?, ?) ORDER BY at, name LIMIT ?";
    answer: "SELECT at, value FROM answers WHERE name = ?";
    put_answer: "INSERT INTO answers (name, at, value) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET at = excluded.at, value = excluded.value";
    prune_answers: "DELETE FROM answers WHERE id IN (SELECT id FROM answers ORDER BY id LIMIT 4) AND at < ?";
}

thread_local! {
    static STATEMENTS: Statements = Statements::new();
}

/// What can go wrong with storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// SQLite, or the platform around it, refused; with what it said.
    Sql(String),
    /// The tables hold what this code cannot have written.
    Shape,
    /// The tables are of another version than this code.
    Schema,
}

impl From<JsValue> for Failure {
    fn from(error: JsValue) -> Self {
        Failure::Sql(platform::say(&error))
    }
}

/// Whether there are tables. An object that nobody has opened has none, and gets none by being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tables {
    Unknown,
    Absent,
    Present,
}

/// Rows and stored values of one datastore in SQLite.
pub(crate) struct SqlRows {
    sql: Sql,
    tables: Cell<Tables>,
    /// A mutation reads the row that it writes, and neighbours mostly share a collection: the texts of
    /// the last place are kept as JavaScript has them.
    collection: Kept,
    key: Kept,
}

/// The last text that was handed to JavaScript.
#[derive(Default)]
struct Kept(RefCell<Option<(Box<str>, JsValue)>>);

impl Kept {
    fn give(&self, text: &str) -> JsValue {
        let Ok(mut kept) = self.0.try_borrow_mut() else { return JsValue::from_str(text) };
        match &*kept {
            Some((last, value)) if **last == *text => value.clone(),
            Some(_) | None => {
                let value = JsValue::from_str(text);
                *kept = Some((text.into(), value.clone()));
                value
            }
        }
    }
}

impl SqlRows {
    /// Stands on the object's storage without touching it.
    pub(crate) fn new(sql: Sql) -> Self {
        SqlRows {
            sql,
            tables: Cell::new(Tables::Unknown),
            collection: Kept::default(),
            key: Kept::default(),
        }
    }

    fn exists(&self) -> Result<bool, Failure> {
        if self.tables.get() == Tables::Unknown {
            let found = first(self.run(|sql, of| sql.exec0(&of.exists))?)?.is_some();
            self.tables.set(if found { Tables::Present } else { Tables::Absent });
        }
        Ok(self.tables.get() == Tables::Present)
    }

    fn create(&self) -> Result<(), Failure> {
        if self.exists()? {
            return Ok(());
        }
        for text in CREATE {
            self.run(|sql, _| sql.exec0(&JsString::from(text)))?;
        }
        self.tables.set(Tables::Present);
        Ok(())
    }

    fn run(
        &self,
        exec: impl FnOnce(&Sql, &Statements) -> Result<Cursor, JsValue>,
    ) -> Result<Cursor, Failure> {
        let cursor = STATEMENTS.with(|of| exec(&self.sql, of))?;
        #[cfg(feature = "contract")]
        crate::contract::count_statement(&cursor);
        Ok(cursor)
    }
}

/// Texts of many rows, one behind the other: to fetch a row by itself costs more than to read it.
struct Joined<'a>(&'a [u8]);

impl Joined<'_> {
    fn take(&mut self, length: usize) -> Result<Box<str>, Failure> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Failure::Shape)?;
        self.0 = rest;
        str::from_utf8(taken).map(Into::into).map_err(|_| Failure::Shape)
    }
}

impl SqlRows {
    /// The next of joined rows, by its seq and the lengths of its texts. Data of more than `data_max` bytes is not
    /// among them.
    fn part(
        &self,
        lengths: &str,
        names: &mut Joined<'_>,
        data: &mut Joined<'_>,
        data_max: usize,
    ) -> Result<Row, Failure> {
        let mut parts = lengths.split(' ');
        let mut part = || parts.next().ok_or(Failure::Shape);
        let whole = |text: &str| text.parse().map_err(|_| Failure::Shape);
        let seq = Seq(part()?.parse().map_err(|_| Failure::Shape)?);
        let (collection, key) = (names.take(whole(part()?)?)?, names.take(whole(part()?)?)?);
        let data = match part()? {
            "" => None,
            length => match whole(length)? {
                length if length > data_max => {
                    return self.row(&collection, &key)?.ok_or(Failure::Shape);
                }
                length => Some(data.take(length)?),
            },
        };
        Ok(Row { collection, key, seq, data })
    }
}

/// Takes a moment, a name and a stored value.
type InTime<'a> = &'a mut dyn FnMut(u64, Vec<u8>, Vec<u8>) -> Result<ControlFlow<()>, Failure>;

impl SqlRows {
    /// Visits stored values in the order of moments and names, after such a place. There is no index for
    /// it, which each write would pay for: a chunk costs a look at every row.
    fn in_time(
        &self,
        statement: fn(&Statements) -> &JsString,
        after: (u64, &[u8]),
        visit: InTime<'_>,
    ) -> Result<(), Failure> {
        if !self.exists()? {
            return Ok(());
        }
        let mut from = (integer(after.0), bytes(after.1));
        let mut chunk = Chunk::first();
        loop {
            let values = Array::of3(&from.0, &from.1, &integer(chunk.rows));
            let rows = read(self.run(|sql, of| sql.exec_all(statement(of), &values))?)?;
            for row in rows.iter() {
                let row = row.dyn_into::<Array>().map_err(|_| Failure::Shape)?;
                let value = blob(&row.get(2))?;
                chunk.count(value.len());
                from = (row.get(0), row.get(1));
                if visit(number(&row.get(0))?, blob(&row.get(1))?, value)?.is_break() {
                    return Ok(());
                }
            }
            if u64::from(rows.length()) < chunk.rows {
                return Ok(());
            }
            chunk = chunk.scanned();
        }
    }
}

impl Answers for SqlRows {
    fn answers(
        &self,
        after: (u64, &[u8]),
        visit: &mut dyn FnMut(u64, Vec<u8>, Vec<u8>) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        self.in_time(|of| &of.answers, after, &mut |at, name, value| Ok(visit(at, name, value)))
    }

    fn answer(&self, name: &[u8]) -> Result<Option<(u64, Vec<u8>)>, Failure> {
        if !self.exists()? {
            return Ok(None);
        }
        let name = bytes(name);
        let Some(row) = first(self.run(|sql, of| sql.exec1(&of.answer, &name))?)? else {
            return Ok(None);
        };
        Ok(Some((number(&row.get(0))?, blob(&row.get(1))?)))
    }

    fn put_answer(&self, name: &[u8], at: u64, value: &[u8], forget: u64) -> Result<(), Failure> {
        self.create()?;
        self.run(|sql, of| sql.exec1(&of.prune_answers, &integer(forget)))?;
        let values = Array::of3(&bytes(name), &integer(at), &bytes(value));
        self.run(|sql, of| sql.exec_all(&of.put_answer, &values))?;
        Ok(())
    }
}

impl Storage for SqlRows {
    type Error = Failure;

    fn meta(&self) -> Result<Option<Vec<u8>>, Failure> {
        if !self.exists()? {
            return Ok(None);
        }
        let Some(row) = first(self.run(|sql, of| sql.exec0(&of.meta))?)? else { return Ok(None) };
        if row.get(0).as_f64() != Some(SCHEMA) {
            return Err(Failure::Schema);
        }
        blob(&row.get(1)).map(Some)
    }

    fn put_meta(&mut self, value: &[u8]) -> Result<(), Failure> {
        self.create()?;
        let value = bytes(value);
        self.run(|sql, of| sql.exec2(&of.put_meta, &JsValue::from_f64(SCHEMA), &value))?;
        Ok(())
    }

    fn entry(&self, replica: &ReplicaId) -> Result<Option<Vec<u8>>, Failure> {
        if !self.exists()? {
            return Ok(None);
        }
        let replica = bytes(&replica.0);
        let row = first(self.run(|sql, of| sql.exec1(&of.entry, &replica))?)?;
        row.map(|row| blob(&row.get(0))).transpose()
    }

    fn put_entry(&mut self, replica: &ReplicaId, at: u64, value: &[u8]) -> Result<(), Failure> {
        self.create()?;
        let values = Array::of3(&bytes(&replica.0), &integer(at), &bytes(value));
        self.run(|sql, of| sql.exec_all(&of.put_entry, &values))?;
        Ok(())
    }

    fn entries(
        &self,
        after: (u64, ReplicaId),
        visit: &mut dyn FnMut((u64, ReplicaId), Vec<u8>) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        self.in_time(|of| &of.entries, (after.0, &after.1.0), &mut |at, replica, value| {
            let replica = replica.try_into().map_err(|_| Failure::Shape)?;
            Ok(visit((at, ReplicaId(replica)), value))
        })
    }

    fn row(&self, collection: &str, key: &str) -> Result<Option<Row>, Failure> {
        if !self.exists()? {
            return Ok(None);
        }
        let place = (self.collection.give(collection), self.key.give(key));
        let Some(row) = first(self.run(|sql, of| sql.exec2(&of.row, &place.0, &place.1))?)? else {
            return Ok(None);
        };
        Ok(Some(Row {
            collection: collection.into(),
            key: key.into(),
            seq: Seq(number(&row.get(0))?),
            data: data(&row.get(1))?,
        }))
    }

    fn put_row(&mut self, row: RowRef<'_>) -> Result<(), Failure> {
        self.create()?;
        let seq = integer(row.seq.0);
        let collection = self.collection.give(row.collection);
        let key = self.key.give(row.key);
        let data = row.data.map_or(JsValue::NULL, JsValue::from_str);
        self.run(|sql, of| sql.exec4(&of.put_row, &seq, &collection, &key, &data))?;
        Ok(())
    }

    fn rows(
        &self,
        range: Range<'_>,
        visit: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        if !self.exists()? {
            return Ok(());
        }
        // A BLOB sorts after every TEXT, so this stands behind all rows of the seq.
        let behind: JsValue = bytes(&[]);
        let mut from = (integer(range.after.0), behind.clone(), behind);
        let mut chunk = Chunk::first();
        loop {
            let values = Array::of4(&from.0, &from.1, &from.2, &integer(range.tombstones_after.0));
            values.push(&integer(chunk.rows));
            let data_max = chunk.data_max();
            values.push(&JsValue::from_f64(data_max as f64));
            if let Some(collection) = range.collection {
                values.push(&JsValue::from_str(collection));
            }
            let found = first(self.run(|sql, of| {
                sql.exec_all(
                    if range.collection.is_some() { &of.rows_of } else { &of.rows },
                    &values,
                )
            })?)?;
            let Some(found) = found.filter(|found| !found.get(0).is_null()) else { return Ok(()) };
            let (lengths, names) = (text(&found.get(0))?, blob(&found.get(1))?);
            // There is none where all that was found are tombstones, or too long.
            let joined = found.get(2);
            let joined = if joined.is_null() { Vec::new() } else { blob(&joined)? };
            let (mut names, mut joined) = (Joined(&names), Joined(&joined));
            let mut is_full = false;
            for (count, lengths) in (1..).zip(lengths.split(';')) {
                let row = self.part(lengths, &mut names, &mut joined, data_max)?;
                chunk.count(row.size());
                is_full = count == chunk.rows;
                if is_full {
                    let (collection, key) = (&row.collection, &row.key);
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

    fn prune(&mut self, count: u64) -> Result<Option<Pruned>, Failure> {
        if !self.exists()? {
            return Ok(None);
        }
        let oldest = first(self.run(|sql, of| sql.exec1(&of.oldest_gone, &integer(count)))?)?;
        let Some(up_to) = oldest.map(|row| row.get(0)).filter(|seq| !seq.is_null()) else {
            return Ok(None);
        };
        let counted = first(self.run(|sql, of| sql.exec1(&of.count_gone, &up_to))?)?;
        let count = number(&counted.ok_or(Failure::Shape)?.get(0))?;
        self.run(|sql, of| sql.exec1(&of.prune, &up_to))?;
        Ok(Some(Pruned { count, up_to: Seq(number(&up_to)?) }))
    }

    fn forget_entries(&mut self, floor: u64) -> Result<(), Failure> {
        if self.exists()? {
            self.run(|sql, of| sql.exec1(&of.forget_entries, &integer(floor)))?;
        }
        Ok(())
    }

    fn pool(&self, pool: &str) -> Result<Option<Vec<u8>>, Failure> {
        if !self.exists()? {
            return Ok(None);
        }
        let name = JsValue::from_str(pool);
        let row = first(self.run(|sql, of| sql.exec1(&of.pool, &name))?)?;
        row.map(|row| blob(&row.get(0))).transpose()
    }

    fn put_pool(&mut self, pool: &str, value: &[u8]) -> Result<(), Failure> {
        self.create()?;
        let (name, value) = (JsValue::from_str(pool), bytes(value));
        self.run(|sql, of| sql.exec2(&of.put_pool, &name, &value))?;
        Ok(())
    }

    fn pools(
        &self,
        visit: &mut dyn FnMut(&str, Vec<u8>) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        if !self.exists()? {
            return Ok(());
        }
        for row in read(self.run(|sql, of| sql.exec0(&of.pools))?)?.iter() {
            let row = row.dyn_into::<Array>().map_err(|_| Failure::Shape)?;
            if visit(&text(&row.get(0))?, blob(&row.get(1))?).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn item(&self, pool: &str, ident: &str) -> Result<Option<Item>, Failure> {
        if !self.exists()? {
            return Ok(None);
        }
        let place = (self.collection.give(pool), self.key.give(ident));
        let row = first(self.run(|sql, of| sql.exec2(&of.item, &place.0, &place.1))?)?;
        row.map(|row| item(&row)).transpose()
    }

    fn put_item(&mut self, pool: &str, ident: &str, item: &Item) -> Result<(), Failure> {
        self.create()?;
        let (pool, ident) = (self.collection.give(pool), self.key.give(ident));
        let values = Array::of3(&pool, &integer(item.seq.0), &ident);
        values.push(&bytes(&item.hash.0));
        values.push(&item.data.as_deref().map_or(JsValue::NULL, JsValue::from_str));
        self.run(|sql, of| sql.exec_all(&of.put_item, &values))?;
        Ok(())
    }

    fn items(
        &self,
        pool: &str,
        after: Seq,
        visit: &mut dyn FnMut(&str, Item) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        if !self.exists()? {
            return Ok(());
        }
        let pool = JsValue::from_str(pool);
        let mut from = integer(after.0);
        let mut chunk = Chunk::first();
        loop {
            let values = Array::of3(&pool, &from, &integer(chunk.rows));
            let rows = read(self.run(|sql, of| sql.exec_all(&of.items, &values))?)?;
            for row in rows.iter() {
                let row = row.dyn_into::<Array>().map_err(|_| Failure::Shape)?;
                let (ident, item) = (text(&row.get(3))?, item(&row)?);
                let size = item.data.as_ref().map_or(0, |data| data.len());
                chunk.count(ident.len().saturating_add(size));
                from = row.get(0);
                if visit(&ident, item).is_break() {
                    return Ok(());
                }
            }
            if u64::from(rows.length()) < chunk.rows {
                return Ok(());
            }
            chunk = chunk.following();
        }
    }

    fn erase_items(
        &mut self,
        pool: &str,
        range: ops::Range<Seq>,
        count: u64,
    ) -> Result<Seq, Failure> {
        if !self.exists()? {
            return Ok(range.end);
        }
        let values =
            Array::of3(&JsValue::from_str(pool), &integer(range.start.0), &integer(range.end.0));
        values.push(&integer(count));
        let found = first(self.run(|sql, of| sql.exec_all(&of.last_erased, &values))?)?;
        let found = found.ok_or(Failure::Shape)?;
        let end =
            if number(&found.get(1))? < count { range.end } else { Seq(number(&found.get(0))?) };
        let values = Array::of3(&JsValue::from_str(pool), &integer(range.start.0), &integer(end.0));
        self.run(|sql, of| sql.exec_all(&of.erase_items, &values))?;
        Ok(end)
    }

    fn clear(&mut self) -> Result<(), Failure> {
        if self.exists()? {
            for text in DROP {
                self.sql.exec0(&JsString::from(text))?;
            }
            self.tables.set(Tables::Absent);
        }
        Ok(())
    }
}

/// What `item` and `items` select.
fn item(row: &Array) -> Result<Item, Failure> {
    let hash = blob(&row.get(1))?.try_into().map_err(|_| Failure::Shape)?;
    Ok(Item { seq: Seq(number(&row.get(0))?), hash: Digest(hash), data: data(&row.get(2))? })
}

/// How many rows to ask for at once: few until their size is known, then what comes to about a
/// quarter of a mebibyte, since a visitor mostly breaks off at that.
struct Chunk {
    rows: u64,
    seen: u64,
    bytes: u64,
}

impl Chunk {
    const ROWS_MIN: u64 = 32;
    const ROWS_MAX: u64 = 1_024;
    const BYTES: u64 = 256 * 1024;

    fn first() -> Self {
        Chunk { rows: Self::ROWS_MIN, seen: 0, bytes: 0 }
    }

    fn count(&mut self, bytes: usize) {
        self.seen = self.seen.saturating_add(1);
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Data of more bytes than this is not joined to others': values and rows are bounded at 2 MB there
    /// (developers.cloudflare.com/durable-objects/platform/limits), and a chunk's rows were much shorter on average.
    fn data_max(&self) -> usize {
        const JOINED_MAX: usize = 1_400_000;
        usize::try_from(self.rows).ok().and_then(|rows| JOINED_MAX.checked_div(rows)).unwrap_or(0)
    }

    /// After it, where each chunk looks at every row: fewer and larger ones.
    fn scanned(self) -> Self {
        self.times(16)
    }

    fn following(self) -> Self {
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

fn read(cursor: Cursor) -> Result<Array, Failure> {
    let rows = cursor.raw()?.to_array()?;
    #[cfg(feature = "contract")]
    crate::contract::count_rows(&cursor);
    Ok(rows)
}

fn first(cursor: Cursor) -> Result<Option<Array>, Failure> {
    let rows = read(cursor)?;
    if rows.length() == 0 {
        return Ok(None);
    }
    rows.get(0).dyn_into::<Array>().map(Some).map_err(|_| Failure::Shape)
}

/// Numbers of the core stay below 2^53, where a double is exact.
fn integer(number: u64) -> JsValue {
    JsValue::from_f64(number as f64)
}

fn number(value: &JsValue) -> Result<u64, Failure> {
    let number = value.as_f64().ok_or(Failure::Shape)?;
    let is_exact = (0.0..=js_sys::Number::MAX_SAFE_INTEGER).contains(&number);
    if is_exact && number.fract() == 0.0 { Ok(number as u64) } else { Err(Failure::Shape) }
}

fn bytes(bytes: &[u8]) -> JsValue {
    Uint8Array::from(bytes).into()
}

fn blob(value: &JsValue) -> Result<Vec<u8>, Failure> {
    if value.is_instance_of::<js_sys::ArrayBuffer>() {
        Ok(Uint8Array::new(value).to_vec())
    } else {
        Err(Failure::Shape)
    }
}

fn text(value: &JsValue) -> Result<Box<str>, Failure> {
    value.as_string().map(String::into_boxed_str).ok_or(Failure::Shape)
}

fn data(value: &JsValue) -> Result<Option<Box<str>>, Failure> {
    if value.is_null() { Ok(None) } else { text(value).map(Some) }
}
