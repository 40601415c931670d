//! Storage in ordered maps, for tests and for datastores that live as long as their process.

use alloc::{boxed::Box, collections::BTreeMap, string::String, vec::Vec};
use core::{convert::Infallible, ops::ControlFlow};

use super::{Pruned, Range, Storage};
use crate::{
    id::{ReplicaId, Seq},
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
        visit: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<(), Infallible> {
        let first = (range.after.next(), (String::new().into(), String::new().into()));
        for ((seq, place), is_tombstone) in self.order.range(first..) {
            let (collection, key) = place;
            let hidden = *is_tombstone && *seq <= range.tombstones_after;
            if hidden || range.collection.is_some_and(|wanted| *wanted != **collection) {
                continue;
            }
            let data = self.rows.get(place).and_then(|(_, data)| data.clone());
            let row = Row { collection: collection.clone(), key: key.clone(), seq: *seq, data };
            if visit(row).is_break() {
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

    fn forget_entries(&mut self, floor: u64) -> Result<(), Infallible> {
        self.ledger.retain(|_, (at, _)| *at >= floor);
        Ok(())
    }

    fn clear(&mut self) -> Result<(), Infallible> {
        *self = Self::default();
        Ok(())
    }
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
