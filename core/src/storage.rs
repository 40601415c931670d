//! Where an authority keeps a datastore: a small synchronous trait over rows and stored values.

use alloc::vec::Vec;
use core::{fmt::Debug, ops::ControlFlow};

use crate::{
    id::{ReplicaId, Seq},
    pool::Item,
    record::Row,
    wire::RowRef,
};

#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod memory;

pub use memory::MemoryStorage;

/// Which rows to read, in the order of their seqs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range<'a> {
    /// Rows after this seq.
    pub after: Seq,
    /// Tombstones only after this seq, if that is later.
    pub tombstones_after: Seq,
    /// Rows of this collection alone.
    pub collection: Option<&'a str>,
}

/// Rows and stored values of one datastore. The function `contract::check`
/// (feature `contract`) tests an implementation.
///
/// The caller groups calls into transactions; an error inside one must undo all of it, and the
/// authority that met it is then thrown away and opened anew.
pub trait Storage {
    /// What a call can fail with.
    type Error: Debug;

    /// Reads the stored value of the datastore itself.
    ///
    /// # Errors
    /// When storage fails; so it is with every method.
    fn meta(&self) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Writes the stored value of the datastore itself.
    ///
    /// # Errors
    /// When storage fails.
    fn put_meta(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Reads the ledger's stored value for a replica.
    ///
    /// # Errors
    /// When storage fails.
    fn entry(&self, replica: &ReplicaId) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Writes the ledger's stored value for a replica, last touched `at` milliseconds since 1970.
    ///
    /// # Errors
    /// When storage fails.
    fn put_entry(&mut self, replica: &ReplicaId, at: u64, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Visits the ledger's stored values in the order of the moments at which they were last touched,
    /// and of replicas, after such a place, until the visitor breaks off.
    ///
    /// # Errors
    /// When storage fails.
    fn entries(
        &self,
        after: (u64, ReplicaId),
        visit: &mut dyn FnMut((u64, ReplicaId), Vec<u8>) -> ControlFlow<()>,
    ) -> Result<(), Self::Error>;

    /// Reads what was last said of a key: a record, a tombstone, or nothing.
    ///
    /// # Errors
    /// When storage fails.
    fn row(&self, collection: &str, key: &str) -> Result<Option<Row>, Self::Error>;

    /// Writes a row in place of what was said of its key before.
    ///
    /// # Errors
    /// When storage fails.
    fn put_row(&mut self, row: RowRef<'_>) -> Result<(), Self::Error>;

    /// Visits rows in the order of seq, collection and key, until the visitor breaks off.
    ///
    /// # Errors
    /// When storage fails.
    fn rows(
        &self,
        range: Range<'_>,
        visit: &mut dyn FnMut(RowRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), Self::Error>;

    /// Removes up to `count` of the oldest tombstones and tells the seq of the newest removed. All
    /// tombstones of that seq go.
    ///
    /// # Errors
    /// When storage fails.
    fn prune(&mut self, count: u64) -> Result<Option<Pruned>, Self::Error>;

    /// Removes the ledger's stored values that were last touched before `floor`, in milliseconds since
    /// 1970: whether there were any.
    ///
    /// # Errors
    /// When storage fails.
    fn forget_entries(&mut self, floor: u64) -> Result<bool, Self::Error>;

    /// Reads the stored value of a pool.
    ///
    /// # Errors
    /// When storage fails.
    fn pool(&self, pool: &str) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Writes the stored value of a pool.
    ///
    /// # Errors
    /// When storage fails.
    fn put_pool(&mut self, pool: &str, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Visits the stored values of all pools in the order of their names, until the visitor breaks off.
    ///
    /// # Errors
    /// When storage fails.
    fn pools(
        &self,
        visit: &mut dyn FnMut(&str, Vec<u8>) -> ControlFlow<()>,
    ) -> Result<(), Self::Error>;

    /// Reads what is known of an item.
    ///
    /// # Errors
    /// When storage fails.
    fn item(&self, pool: &str, ident: &str) -> Result<Option<Item>, Self::Error>;

    /// Writes an item in place of what was known under its identity.
    ///
    /// # Errors
    /// When storage fails.
    fn put_item(&mut self, pool: &str, ident: &str, item: &Item) -> Result<(), Self::Error>;

    /// Visits the items of a pool, those whose data is erased too, after a seq and in the order of their
    /// seqs, until the visitor breaks off.
    ///
    /// # Errors
    /// When storage fails.
    fn items(
        &self,
        pool: &str,
        after: Seq,
        visit: &mut dyn FnMut(&str, Item) -> ControlFlow<()>,
    ) -> Result<(), Self::Error>;

    /// Erases the data of items with seqs after `range.start` up to `range.end`, of at most `count`, the
    /// oldest first, and tells the seq that it has come to. The items stay known.
    ///
    /// # Errors
    /// When storage fails.
    fn erase_items(
        &mut self,
        pool: &str,
        range: core::ops::Range<Seq>,
        count: u64,
    ) -> Result<Seq, Self::Error>;

    /// Removes everything.
    ///
    /// # Errors
    /// When storage fails.
    fn clear(&mut self) -> Result<(), Self::Error>;
}

/// A storage whose calls can be grouped: all of them, or none.
pub trait Transact: Storage {
    /// Begins a group.
    ///
    /// # Errors
    /// When storage fails.
    fn begin(&self) -> Result<(), Self::Error>;

    /// Ends a group. Once this has returned, nothing of it is lost, whatever is killed.
    ///
    /// # Errors
    /// When storage fails; the group is then to be undone.
    fn commit(&self) -> Result<(), Self::Error>;

    /// Undoes a group. Whoever undoes one does not use this value again.
    fn roll_back(&self);
}

/// What [`Storage::prune`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// Tombstones removed.
    pub count: u64,
    /// Seq of the newest of them: the horizon cannot lie below it.
    pub up_to: Seq,
}
