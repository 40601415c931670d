//! The only SQL: rows and stored values of one datastore in the SQLite of its object.
//!
//! Every cursor is read to its end at once: an open one would keep tables locked.

mod rows;
mod sql;
mod value;

use core::{
    cell::Cell,
    ops::{self, ControlFlow},
};

use js_sys::{Array, JsString};
use neap_core::{
    id::{ReplicaId, Seq},
    pool::Item,
    record::Row,
    storage::{Pruned, Range, Storage},
    wire::RowRef,
};
use neap_http::Answers;
use wasm_bindgen::{JsCast, JsValue};

use self::{
    rows::Chunk,
    sql::{CREATE, DROP, SCHEMA, STATEMENTS, Statements},
    value::{Kept, blob, bytes, data, first, integer, item, number, read, text},
};
use crate::platform::{self, Cursor, Sql};

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
        visit: &mut dyn FnMut(RowRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        self.visit_rows(range, visit)
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

    fn forget_entries(&mut self, floor: u64) -> Result<bool, Failure> {
        if !self.exists()? {
            return Ok(false);
        }
        let floor = integer(floor);
        let is_any = first(self.run(|sql, of| sql.exec1(&of.old_entry, &floor))?)?.is_some();
        self.run(|sql, of| sql.exec1(&of.forget_entries, &floor))?;
        Ok(is_any)
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
