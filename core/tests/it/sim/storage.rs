//! The relay's storage: it can be rolled back, and it can fail or lie.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    ops::{self, ControlFlow},
    rc::Rc,
};

use neap_core::{
    id::{ReplicaId, Seq},
    limits::LEDGER_MS,
    pool::Item,
    record::Row,
    storage::{MemoryStorage, Pruned, Range, Storage, Transact},
    wire::RowRef,
};

use neap_http::Answers;

use super::sabotage::Sabotage;

/// What a call that failed says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// A handle on the relay's disk; all handles see the same.
#[derive(Clone, Debug)]
pub(crate) struct Disk(Rc<RefCell<Inner>>);

/// All that lies on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    memory: MemoryStorage,
    /// Each with the moment at which it was given.
    answers: BTreeMap<Vec<u8>, (u64, Vec<u8>)>,
}

#[derive(Debug)]
struct Inner {
    stored: Stored,
    /// What a group that has begun is rolled back to.
    before: Stored,
    /// Calls until one fails.
    fails_after: Option<usize>,
    sabotage: Option<Sabotage>,
    writes: u64,
}

impl Disk {
    pub(crate) fn new(sabotage: Option<Sabotage>) -> Self {
        Disk(Rc::new(RefCell::new(Inner {
            stored: Stored::default(),
            before: Stored::default(),
            fails_after: None,
            sabotage,
            writes: 0,
        })))
    }

    pub(crate) fn snapshot(&self) -> MemoryStorage {
        self.0.borrow().stored.memory.clone()
    }

    pub(crate) fn stored(&self) -> Stored {
        self.0.borrow().stored.clone()
    }

    pub(crate) fn roll_back(&self, to: Stored) {
        self.0.borrow_mut().stored = to;
    }

    pub(crate) fn fail_after(&self, calls: Option<usize>) {
        self.0.borrow_mut().fails_after = calls;
    }

    /// Whether the failure that was ordered has happened.
    pub(crate) fn has_failed(&self) -> bool {
        self.0.borrow().fails_after == Some(usize::MAX)
    }

    pub(super) fn lose_ledger(&self) {
        sure(self.0.borrow_mut().stored.memory.forget_entries(u64::MAX));
    }

    fn call<T>(&self, run: impl FnOnce(&mut Inner) -> T) -> Result<T, Broken> {
        let mut inner = self.0.borrow_mut();
        match &mut inner.fails_after {
            Some(0 | usize::MAX) => {
                inner.fails_after = Some(usize::MAX);
                return Err(Broken);
            }
            Some(calls) => *calls -= 1,
            None => {}
        }
        Ok(run(&mut inner))
    }
}

fn sure<T>(result: Result<T, std::convert::Infallible>) -> T {
    let Ok(value) = result;
    value
}

impl Transact for Disk {
    fn begin(&self) -> Result<(), Broken> {
        self.call(|inner| inner.before = inner.stored.clone())
    }

    fn commit(&self) -> Result<(), Broken> {
        self.call(|_| ())
    }

    fn roll_back(&self) {
        let mut inner = self.0.borrow_mut();
        inner.stored = inner.before.clone();
    }
}

impl Storage for Disk {
    type Error = Broken;

    fn meta(&self) -> Result<Option<Vec<u8>>, Broken> {
        self.call(|inner| sure(inner.stored.memory.meta()))
    }

    fn put_meta(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.call(|inner| sure(inner.stored.memory.put_meta(bytes)))
    }

    fn entry(&self, replica: &ReplicaId) -> Result<Option<Vec<u8>>, Broken> {
        self.call(|inner| match inner.sabotage {
            Some(Sabotage::ForgetLedger) => None,
            _ => sure(inner.stored.memory.entry(replica)),
        })
    }

    fn put_entry(&mut self, replica: &ReplicaId, at: u64, bytes: &[u8]) -> Result<(), Broken> {
        self.call(|inner| {
            inner.writes += 1;
            if inner.sabotage == Some(Sabotage::LoseLedgerRow) && inner.writes.is_multiple_of(5) {
                return;
            }
            sure(inner.stored.memory.put_entry(replica, at, bytes));
        })
    }

    fn entries(
        &self,
        after: (u64, ReplicaId),
        visit: &mut dyn FnMut((u64, ReplicaId), Vec<u8>) -> ControlFlow<()>,
    ) -> Result<(), Broken> {
        self.call(|inner| sure(inner.stored.memory.entries(after, visit)))
    }

    fn row(&self, collection: &str, key: &str) -> Result<Option<Row>, Broken> {
        self.call(|inner| sure(inner.stored.memory.row(collection, key)))
    }

    fn put_row(&mut self, row: RowRef<'_>) -> Result<(), Broken> {
        self.call(|inner| {
            inner.writes += 1;
            if inner.sabotage == Some(Sabotage::CorruptRow)
                && inner.writes.is_multiple_of(7)
                && let Some(data) = row.data
            {
                let data = data.replacen('1', "2", 1);
                return sure(inner.stored.memory.put_row(RowRef { data: Some(&data), ..row }));
            }
            sure(inner.stored.memory.put_row(row));
        })
    }

    fn rows(
        &self,
        range: Range<'_>,
        visit: &mut dyn FnMut(RowRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), Broken> {
        self.call(|inner| {
            let hide = inner.sabotage == Some(Sabotage::HideTombstones);
            sure(inner.stored.memory.rows(range, &mut |row| {
                if hide && row.data.is_none() {
                    return ControlFlow::Continue(());
                }
                visit(row)
            }));
        })
    }

    fn prune(&mut self, count: u64) -> Result<Option<Pruned>, Broken> {
        self.call(|inner| sure(inner.stored.memory.prune(count)))
    }

    fn forget_entries(&mut self, floor: u64) -> Result<bool, Broken> {
        self.call(|inner| {
            let hasty = inner.sabotage == Some(Sabotage::ForgetTooSoon);
            let floor = if hasty { floor + LEDGER_MS } else { floor };
            sure(inner.stored.memory.forget_entries(floor))
        })
    }

    fn pool(&self, pool: &str) -> Result<Option<Vec<u8>>, Broken> {
        self.call(|inner| sure(inner.stored.memory.pool(pool)))
    }

    fn put_pool(&mut self, pool: &str, bytes: &[u8]) -> Result<(), Broken> {
        self.call(|inner| sure(inner.stored.memory.put_pool(pool, bytes)))
    }

    fn pools(&self, visit: &mut dyn FnMut(&str, Vec<u8>) -> ControlFlow<()>) -> Result<(), Broken> {
        self.call(|inner| sure(inner.stored.memory.pools(visit)))
    }

    fn item(&self, pool: &str, ident: &str) -> Result<Option<Item>, Broken> {
        self.call(|inner| {
            let is_lost = inner.sabotage == Some(Sabotage::LoseItem) && inner.writes % 5 == 0;
            if is_lost { None } else { sure(inner.stored.memory.item(pool, ident)) }
        })
    }

    fn put_item(&mut self, pool: &str, ident: &str, item: &Item) -> Result<(), Broken> {
        self.call(|inner| sure(inner.stored.memory.put_item(pool, ident, item)))
    }

    fn items(
        &self,
        pool: &str,
        after: Seq,
        visit: &mut dyn FnMut(&str, Item) -> ControlFlow<()>,
    ) -> Result<(), Broken> {
        self.call(|inner| sure(inner.stored.memory.items(pool, after, visit)))
    }

    fn erase_items(
        &mut self,
        pool: &str,
        range: ops::Range<Seq>,
        count: u64,
    ) -> Result<Seq, Broken> {
        self.call(|inner| sure(inner.stored.memory.erase_items(pool, range, count)))
    }

    fn clear(&mut self) -> Result<(), Broken> {
        self.call(|inner| {
            inner.stored.answers.clear();
            sure(inner.stored.memory.clear());
        })
    }
}

impl Answers for Disk {
    fn answer(&self, name: &[u8]) -> Result<Option<(u64, Vec<u8>)>, Broken> {
        self.call(|inner| inner.stored.answers.get(name).cloned())
    }

    fn answers(
        &self,
        after: (u64, &[u8]),
        visit: &mut dyn FnMut(u64, Vec<u8>, Vec<u8>) -> ControlFlow<()>,
    ) -> Result<(), Broken> {
        let mut all = self.call(|inner| inner.stored.answers.clone())?;
        all.retain(|name, (at, _)| (*at, &**name) > after);
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_by_key(|(name, (at, _))| (*at, name.clone()));
        for (name, (at, value)) in all {
            if visit(at, name, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn put_answer(&self, name: &[u8], at: u64, value: &[u8], forget: u64) -> Result<(), Broken> {
        self.call(|inner| {
            inner.writes += 1;
            if inner.sabotage == Some(Sabotage::LoseAnswer) && inner.writes.is_multiple_of(3) {
                return;
            }
            inner.stored.answers.retain(|_, (at, _)| *at >= forget);
            inner.stored.answers.insert(name.into(), (at, value.into()));
        })
    }
}
