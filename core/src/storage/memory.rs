//! Storage in ordered maps, for tests and for datastores that live as long as their process.

use alloc::{boxed::Box, collections::BTreeMap, string::String, vec::Vec};
use core::{
    convert::Infallible,
    ops::{self, ControlFlow},
};

use super::{Pruned, Range, Storage, Transact};
use crate::{
    id::{ReplicaId, Seq},
    pool::Item,
    record::Row,
    wire::RowRef,
};

type Place = (Box<str>, Box<str>);

/// Storage in ordered maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStorage {
    meta: Option<Vec<u8>>,
    ledger: BTreeMap<ReplicaId, (u64, Vec<u8>)>,
    rows: BTreeMap<Place, (Seq, Option<Box<str>>)>,
    order: BTreeMap<(Seq, Place), bool>,
    pools: BTreeMap<Box<str>, Vec<u8>>,
    /// By pool and identity.
    items: BTreeMap<Place, Item>,
    /// Identities of the items, by pool and seq.
    items_in_order: BTreeMap<(Box<str>, Seq), Box<str>>,
}

impl MemoryStorage {
    /// Starts empty.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Storage for MemoryStorage {
    type Error = Infallible;

    fn meta(&self) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.meta.clone())
    }

    fn put_meta(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.meta = Some(bytes.into());
        Ok(())
    }

    fn entry(&self, replica: &ReplicaId) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.ledger.get(replica).map(|(_, bytes)| bytes.clone()))
    }

    fn put_entry(&mut self, replica: &ReplicaId, at: u64, bytes: &[u8]) -> Result<(), Infallible> {
        self.ledger.insert(*replica, (at, bytes.into()));
        Ok(())
    }

    fn entries(
        &self,
        after: (u64, ReplicaId),
        visit: &mut dyn FnMut((u64, ReplicaId), Vec<u8>) -> ControlFlow<()>,
    ) -> Result<(), Infallible> {
        let place = |(replica, (at, _)): &(&ReplicaId, &(u64, Vec<u8>))| (*at, **replica);
        let mut found: Vec<_> = self.ledger.iter().filter(|one| place(one) > after).collect();
        found.sort_unstable_by_key(place);
        for (replica, (at, bytes)) in found {
            if visit((*at, *replica), bytes.clone()).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn row(&self, collection: &str, key: &str) -> Result<Option<Row>, Infallible> {
        let place: Place = (collection.into(), key.into());
        let row = self.rows.get(&place);
        Ok(row.map(|(seq, data)| Row {
            collection: place.0,
            key: place.1,
            seq: *seq,
            data: data.clone(),
        }))
    }

    fn put_row(&mut self, row: RowRef<'_>) -> Result<(), Infallible> {
        let place: Place = (row.collection.into(), row.key.into());
        let before = self.rows.insert(place.clone(), (row.seq, row.data.map(Box::from)));
        if let Some((seq, _)) = before {
            self.order.remove(&(seq, place.clone()));
        }
        self.order.insert((row.seq, place), row.data.is_none());
        Ok(())
    }

    fn rows(
        &self,
        range: Range<'_>,
        visit: &mut dyn FnMut(RowRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), Infallible> {
        let first = (range.after.next(), (String::new().into(), String::new().into()));
        for ((seq, place), is_tombstone) in self.order.range(first..) {
            let (collection, key) = place;
            let hidden = *is_tombstone && *seq <= range.tombstones_after;
            if hidden || range.collection.is_some_and(|wanted| *wanted != **collection) {
                continue;
            }
            let data = self.rows.get(place).and_then(|(_, data)| data.as_deref());
            if visit(RowRef { collection, key, seq: *seq, data }).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn prune(&mut self, count: u64) -> Result<Option<Pruned>, Infallible> {
        let oldest = self.order.iter().filter(|(_, is_tombstone)| **is_tombstone);
        let wanted = usize::try_from(count).unwrap_or(usize::MAX);
        let Some(up_to) = oldest.take(wanted).map(|((seq, _), _)| *seq).last() else {
            return Ok(None);
        };
        let before = self.order.len();
        let rows = &mut self.rows;
        self.order.retain(|(seq, place), is_tombstone| {
            let goes = *is_tombstone && *seq <= up_to;
            if goes {
                rows.remove(place);
            }
            !goes
        });
        let count = u64::try_from(before - self.order.len()).unwrap_or(u64::MAX);
        Ok(Some(Pruned { count, up_to }))
    }

    fn forget_entries(&mut self, floor: u64) -> Result<bool, Infallible> {
        let before = self.ledger.len();
        self.ledger.retain(|_, (at, _)| *at >= floor);
        Ok(self.ledger.len() < before)
    }

    fn pool(&self, pool: &str) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.pools.get(pool).cloned())
    }

    fn put_pool(&mut self, pool: &str, bytes: &[u8]) -> Result<(), Infallible> {
        self.pools.insert(pool.into(), bytes.into());
        Ok(())
    }

    fn pools(
        &self,
        visit: &mut dyn FnMut(&str, Vec<u8>) -> ControlFlow<()>,
    ) -> Result<(), Infallible> {
        for (name, bytes) in &self.pools {
            if visit(name, bytes.clone()).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn item(&self, pool: &str, ident: &str) -> Result<Option<Item>, Infallible> {
        Ok(self.items.get(&(pool.into(), ident.into())).cloned())
    }

    fn put_item(&mut self, pool: &str, ident: &str, item: &Item) -> Result<(), Infallible> {
        let before = self.items.insert((pool.into(), ident.into()), item.clone());
        if let Some(before) = before {
            self.items_in_order.remove(&(pool.into(), before.seq));
        }
        self.items_in_order.insert((pool.into(), item.seq), ident.into());
        Ok(())
    }

    fn items(
        &self,
        pool: &str,
        after: Seq,
        visit: &mut dyn FnMut(&str, Item) -> ControlFlow<()>,
    ) -> Result<(), Infallible> {
        let first: (Box<str>, Seq) = (pool.into(), after.next());
        let end = (pool.into(), Seq(u64::MAX));
        for ((_, _), ident) in self.items_in_order.range(first..end) {
            let Some(item) = self.items.get(&(pool.into(), ident.clone())) else { continue };
            if visit(ident, item.clone()).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn erase_items(
        &mut self,
        pool: &str,
        range: ops::Range<Seq>,
        count: u64,
    ) -> Result<Seq, Infallible> {
        if range.is_empty() {
            return Ok(range.end);
        }
        let wanted = usize::try_from(count).unwrap_or(usize::MAX);
        let places = (pool.into(), range.start.next())..=(pool.into(), range.end);
        let mut erased = 0;
        for ((_, seq), ident) in self.items_in_order.range(places) {
            let Some(item) = self.items.get_mut(&(pool.into(), ident.clone())) else { continue };
            erased += usize::from(item.data.take().is_some());
            if erased == wanted {
                return Ok(*seq);
            }
        }
        Ok(range.end)
    }

    fn clear(&mut self) -> Result<(), Infallible> {
        *self = Self::default();
        Ok(())
    }
}

/// Nothing fails here, so nothing is ever undone.
impl Transact for MemoryStorage {
    fn begin(&self) -> Result<(), Infallible> {
        Ok(())
    }

    fn commit(&self) -> Result<(), Infallible> {
        Ok(())
    }

    fn roll_back(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::contract;

    #[test]
    fn keeps_the_contract() {
        contract::check(MemoryStorage::new());
    }
}
