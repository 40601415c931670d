//! The only SQL of this crate: rows and stored values of one datastore in a SQLite file of its own.
//!
//! A datastore that was never opened has no file, and gets none by being asked for. WAL with
//! `synchronous = FULL` flushes the disk once for each commit that wrote something, before it returns.

use std::{
    cell::{Cell, RefCell},
    fs,
    ops::{self, ControlFlow},
    path::PathBuf,
};

use neap_core::{
    id::{ReplicaId, Seq},
    pool::Item,
    record::{Digest, Row},
    storage::{Pruned, Range, Storage, Transact},
    wire::RowRef,
};
use neap_http::Answers;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Params, Row as Found, params};

/// The version of the tables.
const SCHEMA: i64 = 1;

/// Several rows may share a seq, so the key takes part in the primary key; catch-up then reads the
/// table in its own order. The partial index costs deletes only.
const CREATE: &str = "
CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), schema INTEGER NOT NULL, value BLOB NOT NULL);
CREATE TABLE records (seq INTEGER NOT NULL, collection TEXT NOT NULL, key TEXT NOT NULL, data TEXT,
    PRIMARY KEY (seq, collection, key)) WITHOUT ROWID;
CREATE UNIQUE INDEX records_key ON records (collection, key);
CREATE INDEX records_gone ON records (seq) WHERE data IS NULL;
CREATE TABLE ledger (replica BLOB PRIMARY KEY, at INTEGER NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE answers (id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, at INTEGER NOT NULL, value BLOB NOT NULL);
CREATE TABLE pools (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE items (pool TEXT NOT NULL, seq INTEGER NOT NULL, ident TEXT NOT NULL, hash BLOB NOT NULL, data TEXT,
    PRIMARY KEY (pool, seq)) WITHOUT ROWID;
CREATE UNIQUE INDEX items_ident ON items (pool, ident);
";

const DROP: &str = "DROP TABLE items; DROP TABLE pools; DROP TABLE answers; DROP TABLE ledger;
DROP TABLE records; DROP TABLE meta;";

/// What can go wrong with storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// SQLite, or the disk under it, refused; with what it said.
    Sql(String),
    /// The tables are of another version than this code, or hold what it cannot have written.
    Shape,
    /// The platform has no random bytes.
    Dice(String),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Failure::Sql(error.to_string())
    }
}

/// Rows and stored values of one datastore in SQLite.
#[derive(Debug)]
pub(crate) struct SqlRows {
    file: PathBuf,
    db: RefCell<Option<Connection>>,
    has_tables: Cell<bool>,
    in_group: Cell<bool>,
}

impl SqlRows {
    /// Stands on a file, which need not be there.
    pub(crate) fn open(file: PathBuf) -> Result<Self, Failure> {
        let rows = SqlRows {
            file,
            db: RefCell::default(),
            has_tables: Cell::new(false),
            in_group: Cell::new(false),
        };
        if rows.file.exists() {
            let db = rows.connect(OpenFlags::empty())?;
            let sql = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'meta'";
            let found: i64 = db.query_row(sql, [], |row| row.get(0))?;
            rows.has_tables.set(found > 0);
            rows.db.replace(Some(db));
        }
        Ok(rows)
    }

    fn connect(&self, more: OpenFlags) -> Result<Connection, Failure> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
        let db = Connection::open_with_flags(&self.file, flags)?;
        db.set_prepared_statement_cache_capacity(32);
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        Ok(db)
    }

    /// Makes file and tables where there are none.
    fn create(&self) -> Result<(), Failure> {
        if self.has_tables.get() {
            return Ok(());
        }
        let mut slot = self.db.borrow_mut();
        let db = match slot.take() {
            Some(db) => db,
            None => {
                let db = self.connect(OpenFlags::SQLITE_OPEN_CREATE)?;
                if self.in_group.get() {
                    db.execute_batch("BEGIN IMMEDIATE")?;
                }
                db
            }
        };
        let made = db.execute_batch(CREATE);
        *slot = Some(db);
        made?;
        self.has_tables.set(true);
        Ok(())
    }

    /// Writes with one statement.
    fn put(&self, sql: &str, values: impl Params) -> Result<(), Failure> {
        self.create()?;
        self.change(sql, values)
    }

    /// Changes what there is with one statement.
    fn change(&self, sql: &str, values: impl Params) -> Result<(), Failure> {
        if let Some(db) = self.db.borrow().as_ref().filter(|_| self.has_tables.get()) {
            db.prepare_cached(sql)?.execute(values)?;
        }
        Ok(())
    }

    /// Reads the first row that a statement finds.
    fn first<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnOnce(&Found<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Failure> {
        let db = self.db.borrow();
        let Some(db) = db.as_ref().filter(|_| self.has_tables.get()) else { return Ok(None) };
        Ok(db.prepare_cached(sql)?.query_row(values, read).optional()?)
    }

    /// Visits the rows that a statement finds, until the visitor breaks off.
    fn each(
        &self,
        sql: &str,
        values: impl Params,
        mut visit: impl FnMut(&Found<'_>) -> Result<ControlFlow<()>, Failure>,
    ) -> Result<(), Failure> {
        let db = self.db.borrow();
        let Some(db) = db.as_ref().filter(|_| self.has_tables.get()) else { return Ok(()) };
        let mut statement = db.prepare_cached(sql)?;
        let mut rows = statement.query(values)?;
        while let Some(row) = rows.next()? {
            if visit(row)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn say(&self, sql: &str) -> Result<(), Failure> {
        match self.db.borrow().as_ref() {
            Some(db) => Ok(db.execute_batch(sql)?),
            None => Ok(()),
        }
    }

    /// Removes a file without tables. Its log must be empty before that: a new file would take it for
    /// its own.
    fn discard_if_empty(&self) {
        let Some(db) = self.db.borrow_mut().take_if(|_| !self.has_tables.get()) else { return };
        let is_empty = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
        if is_empty == Ok(0_i64) && db.close().is_ok() {
            // A file that stays is empty: it does no harm, and goes with the next end of this id.
            let _ = fs::remove_file(&self.file);
        }
    }
}

impl Drop for SqlRows {
    fn drop(&mut self) {
        if self.in_group.get() {
            self.roll_back();
        }
        self.discard_if_empty();
    }
}

impl Transact for SqlRows {
    fn begin(&self) -> Result<(), Failure> {
        self.say("BEGIN IMMEDIATE")?;
        self.in_group.set(true);
        Ok(())
    }

    fn commit(&self) -> Result<(), Failure> {
        self.say("COMMIT")?;
        self.in_group.set(false);
        self.discard_if_empty();
        Ok(())
    }

    fn roll_back(&self) {
        self.in_group.set(false);
        // A file that cannot be rolled back is rolled back by its next opening.
        let _ = self.say("ROLLBACK");
        // Whether there are tables is known no more: only an opening tells, so nothing is discarded.
        self.has_tables.set(true);
    }
}

impl Answers for SqlRows {
    fn answers(
        &self,
        after: (u64, &[u8]),
        visit: &mut dyn FnMut(u64, Vec<u8>, Vec<u8>) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let sql = "SELECT at, name, value FROM answers WHERE (at, name) > (?, ?) ORDER BY at, name";
        self.each(sql, params![integer(after.0), after.1], |row| {
            Ok(visit(number(row.get(0)?)?, row.get(1)?, row.get(2)?))
        })
    }

    fn answer(&self, name: &[u8]) -> Result<Option<(u64, Vec<u8>)>, Failure> {
        let sql = "SELECT at, value FROM answers WHERE name = ?";
        let found = self.first(sql, [name], |row| Ok((row.get(0)?, row.get(1)?)))?;
        found.map(|(at, value)| Ok((number(at)?, value))).transpose()
    }

    fn put_answer(&self, name: &[u8], at: u64, value: &[u8], forget: u64) -> Result<(), Failure> {
        self.create()?;
        let oldest = "SELECT id FROM answers ORDER BY id LIMIT 4";
        let prune = format!("DELETE FROM answers WHERE id IN ({oldest}) AND at < ?");
        self.change(&prune, [integer(forget)])?;
        let sql = "INSERT INTO answers (name, at, value) VALUES (?, ?, ?)
            ON CONFLICT (name) DO UPDATE SET at = excluded.at, value = excluded.value";
        self.change(sql, params![name, integer(at), value])
    }
}

impl Storage for SqlRows {
    type Error = Failure;

    fn meta(&self) -> Result<Option<Vec<u8>>, Failure> {
        let sql = "SELECT schema, value FROM meta WHERE id = 1";
        match self.first(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))? {
            Some((SCHEMA, value)) => Ok(Some(value)),
            Some(_) => Err(Failure::Shape),
            None => Ok(None),
        }
    }

    fn put_meta(&mut self, value: &[u8]) -> Result<(), Failure> {
        let sql = "INSERT INTO meta (id, schema, value) VALUES (1, ?, ?)
            ON CONFLICT (id) DO UPDATE SET schema = excluded.schema, value = excluded.value";
        self.put(sql, params![SCHEMA, value])
    }

    fn entry(&self, replica: &ReplicaId) -> Result<Option<Vec<u8>>, Failure> {
        let sql = "SELECT value FROM ledger WHERE replica = ?";
        self.first(sql, [replica.0], |row| row.get(0))
    }

    fn put_entry(&mut self, replica: &ReplicaId, at: u64, value: &[u8]) -> Result<(), Failure> {
        let sql = "INSERT INTO ledger (replica, at, value) VALUES (?, ?, ?)
            ON CONFLICT (replica) DO UPDATE SET at = excluded.at, value = excluded.value";
        self.put(sql, params![replica.0, integer(at), value])
    }

    fn entries(
        &self,
        after: (u64, ReplicaId),
        visit: &mut dyn FnMut((u64, ReplicaId), Vec<u8>) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let sql = "SELECT at, replica, value FROM ledger WHERE (at, replica) > (?, ?)
            ORDER BY at, replica";
        self.each(sql, params![integer(after.0), after.1.0], |row| {
            Ok(visit((number(row.get(0)?)?, ReplicaId(row.get(1)?)), row.get(2)?))
        })
    }

    fn row(&self, collection: &str, key: &str) -> Result<Option<Row>, Failure> {
        let sql = "SELECT seq, data FROM records WHERE collection = ? AND key = ?";
        let found = self.first(sql, [collection, key], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let whole = |(seq, data): (i64, Option<Box<str>>)| {
            Ok(Row { collection: collection.into(), key: key.into(), seq: Seq(number(seq)?), data })
        };
        found.map(whole).transpose()
    }

    fn put_row(&mut self, row: RowRef<'_>) -> Result<(), Failure> {
        let sql = "INSERT INTO records (seq, collection, key, data) VALUES (?, ?, ?, ?)
            ON CONFLICT (collection, key) DO UPDATE SET seq = excluded.seq, data = excluded.data";
        self.put(sql, params![integer(row.seq.0), row.collection, row.key, row.data])
    }

    fn rows(
        &self,
        range: Range<'_>,
        visit: &mut dyn FnMut(RowRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let sql = "SELECT seq, collection, key, data FROM records
            WHERE seq > ? AND (data IS NOT NULL OR seq > ?) AND (?3 IS NULL OR collection = ?3)
            ORDER BY seq, collection, key";
        let bounds = (integer(range.after.0), integer(range.tombstones_after.0), range.collection);
        self.each(sql, bounds, |row| {
            Ok(visit(RowRef {
                seq: Seq(number(row.get(0)?)?),
                collection: row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?,
                key: row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?,
                data: row.get_ref(3)?.as_str_or_null().map_err(rusqlite::Error::from)?,
            }))
        })
    }

    fn prune(&mut self, count: u64) -> Result<Option<Pruned>, Failure> {
        let sql = "SELECT max(seq) FROM
            (SELECT seq FROM records WHERE data IS NULL ORDER BY seq LIMIT ?)";
        let Some(Some(up_to)) = self.first(sql, [integer(count)], |row| row.get(0))? else {
            return Ok(None);
        };
        let up_to: i64 = up_to;
        let sql = "SELECT count(*) FROM records WHERE data IS NULL AND seq <= ?";
        let count = self.first(sql, [up_to], |row| row.get(0))?.unwrap_or(0);
        self.change("DELETE FROM records WHERE data IS NULL AND seq <= ?", [up_to])?;
        Ok(Some(Pruned { count: number(count)?, up_to: Seq(number(up_to)?) }))
    }

    fn forget_entries(&mut self, floor: u64) -> Result<bool, Failure> {
        let is_any = "SELECT 1 FROM ledger WHERE at < ? LIMIT 1";
        let is_any = self.first(is_any, [integer(floor)], |_| Ok(()))?.is_some();
        self.change("DELETE FROM ledger WHERE at < ?", [integer(floor)])?;
        Ok(is_any)
    }

    fn pool(&self, pool: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.first("SELECT value FROM pools WHERE name = ?", [pool], |row| row.get(0))
    }

    fn put_pool(&mut self, pool: &str, value: &[u8]) -> Result<(), Failure> {
        let sql = "INSERT INTO pools (name, value) VALUES (?, ?)
            ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        self.put(sql, params![pool, value])
    }

    fn pools(
        &self,
        visit: &mut dyn FnMut(&str, Vec<u8>) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        self.each("SELECT name, value FROM pools ORDER BY name", [], |row| {
            let name: Box<str> = row.get(0)?;
            Ok(visit(&name, row.get(1)?))
        })
    }

    fn item(&self, pool: &str, ident: &str) -> Result<Option<Item>, Failure> {
        let sql = "SELECT seq, hash, data FROM items WHERE pool = ? AND ident = ?";
        self.first(sql, [pool, ident], |row| Ok(item(row)))?.transpose()
    }

    fn put_item(&mut self, pool: &str, ident: &str, item: &Item) -> Result<(), Failure> {
        let sql = "INSERT INTO items (pool, seq, ident, hash, data) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (pool, ident) DO UPDATE
            SET seq = excluded.seq, hash = excluded.hash, data = excluded.data";
        self.put(sql, params![pool, integer(item.seq.0), ident, item.hash.0, item.data])
    }

    fn items(
        &self,
        pool: &str,
        after: Seq,
        visit: &mut dyn FnMut(&str, Item) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let sql = "SELECT seq, hash, data, ident FROM items
            WHERE pool = ? AND seq > ? ORDER BY seq";
        self.each(sql, params![pool, integer(after.0)], |row| {
            let ident: Box<str> = row.get(3)?;
            Ok(visit(&ident, item(row)?))
        })
    }

    fn erase_items(
        &mut self,
        pool: &str,
        range: ops::Range<Seq>,
        count: u64,
    ) -> Result<Seq, Failure> {
        let bounds = (pool, integer(range.start.0), integer(range.end.0));
        let sql = "SELECT max(seq), count(*) FROM (SELECT seq FROM items
            WHERE pool = ? AND seq > ? AND seq <= ? AND data IS NOT NULL ORDER BY seq LIMIT ?)";
        let found = self.first(sql, (bounds.0, bounds.1, bounds.2, integer(count)), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        let end = match found {
            Some((Some(last), erased)) if number(erased)? >= count => Seq(number(last)?),
            _ => range.end,
        };
        let sql = "UPDATE items SET data = NULL WHERE pool = ? AND seq > ? AND seq <= ?";
        self.change(sql, (bounds.0, bounds.1, integer(end.0)))?;
        Ok(end)
    }

    fn clear(&mut self) -> Result<(), Failure> {
        if self.has_tables.get() {
            self.say(DROP)?;
            self.has_tables.set(false);
        }
        Ok(())
    }
}

/// What `item` and `items` select first.
fn item(row: &Found<'_>) -> Result<Item, Failure> {
    Ok(Item { seq: Seq(number(row.get(0)?)?), hash: Digest(row.get(1)?), data: row.get(2)? })
}

/// SQLite's integers have a sign. What does not fit is bounded from above only by it.
fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn number(integer: i64) -> Result<u64, Failure> {
    u64::try_from(integer).map_err(|_| Failure::Shape)
}

#[cfg(test)]
mod tests;
