//! Giving a datastore out, in pages, while writes go on.
//!
//! Rows, items and accounts each stand in an order in which whatever is written moves to the end. So a
//! reader that goes through it sees everything, if only it goes on until nothing has moved behind it:
//! the page that reaches the end of all of them in one step is the last, and with it what was given
//! out is what the datastore holds at that moment.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};
use core::ops::ControlFlow;

use super::{Closing, Fact, Opening, PoolFact};
use crate::{
    authority::{Authority, Listing, Trouble},
    datastore::Meta,
    id::{Epoch, ReplicaId, Seq},
    limits::{EXPORT_SETTLED_MS, PAGE_BYTES, PAGE_ROWS},
    pool::Pool,
    storage::{Range, Storage},
};

/// How far a reader has come.
#[derive(Clone, Debug)]
pub struct Export {
    epoch: Epoch,
    /// The head at the beginning: what is deleted later must still be known to be.
    start: Seq,
    /// Whom the ledger had forgotten at the beginning.
    floor: u64,
    rows: Seq,
    pools: BTreeMap<Box<str>, (PoolFact, Seq)>,
    ledger: (u64, ReplicaId),
}

/// One page of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportPage {
    /// What it says.
    pub facts: Vec<Fact>,
    /// What all of it comes to; on the last page alone.
    pub closing: Option<Closing>,
}

/// What is on a page so far.
#[derive(Default)]
struct Page {
    facts: Vec<Fact>,
    bytes: usize,
}

impl Page {
    fn is_full(&self) -> bool {
        self.bytes >= PAGE_BYTES || self.facts.len() >= PAGE_ROWS
    }

    fn add(&mut self, fact: Fact, bytes: usize) {
        self.facts.push(fact);
        self.bytes += bytes;
    }
}

impl Export {
    /// Begins with what is said first.
    #[must_use]
    pub fn begin(meta: &Meta) -> (Export, Opening) {
        let export = Export {
            epoch: meta.epoch,
            start: meta.head,
            floor: meta.ledger_floor,
            rows: Seq::ZERO,
            pools: BTreeMap::new(),
            ledger: (0, ReplicaId([0; 16])),
        };
        (export, Opening { info: meta.info.clone(), ledger_floor: meta.ledger_floor })
    }
}

impl<S: Storage> Authority<S> {
    /// Reads the next page of an export at the moment `now`, in milliseconds since 1970. `None` where
    /// that is over: the datastore is gone, or has forgotten deletions or replicas since the beginning.
    ///
    /// # Errors
    /// When storage fails.
    pub fn export(
        &self,
        export: &mut Export,
        now: u64,
    ) -> Result<Option<ExportPage>, Trouble<S::Error>> {
        let Some(meta) = self.alive(now) else { return Ok(None) };
        let forgets = meta.horizon > export.start || meta.ledger_floor > export.floor;
        if meta.epoch != export.epoch || forgets {
            return Ok(None);
        }
        let mut page = Page::default();
        let is_last = self.export_rows(export, meta.head, &mut page)?
            && self.export_pools(export, &mut page)?
            && self.export_ledger(export, now, &mut page)?;
        let closing = is_last.then(|| Closing::of(meta));
        Ok(Some(ExportPage { facts: page.facts, closing }))
    }

    /// Tells, as the others, whether the end was reached.
    fn export_rows(
        &self,
        export: &mut Export,
        head: Seq,
        page: &mut Page,
    ) -> Result<bool, Trouble<S::Error>> {
        let range = Range { after: export.rows, tombstones_after: Seq::ZERO, collection: None };
        let (rows, is_last) = self.list(Listing { range, rows: PAGE_ROWS, bytes: PAGE_BYTES })?;
        export.rows = match rows.last() {
            Some(row) if !is_last => row.seq,
            Some(_) | None => head,
        };
        for row in rows {
            let size = row.size();
            page.add(Fact::Row(row), size);
        }
        Ok(is_last && !page.is_full())
    }

    fn export_pools(
        &self,
        export: &mut Export,
        page: &mut Page,
    ) -> Result<bool, Trouble<S::Error>> {
        let mut pools = Vec::new();
        self.storage.pools(&mut |name, bytes| {
            pools.push((Box::<str>::from(name), bytes));
            ControlFlow::Continue(())
        })?;
        for (name, bytes) in pools {
            let pool: Pool = Trouble::read(&bytes)?;
            let fact = PoolFact {
                name: name.clone(),
                terms: pool.terms,
                head: pool.head,
                drained: pool.drained,
                digest: pool.digest,
            };
            let before = export.pools.get(&name);
            let mut after = before.map_or(Seq::ZERO, |(_, after)| *after);
            if before.is_none_or(|(told, _)| *told != fact) {
                page.add(Fact::Pool(fact.clone()), name.len());
            }
            let mut is_last = true;
            self.storage.items(&name, after, &mut |ident, mut item| {
                if page.is_full() {
                    is_last = false;
                    return ControlFlow::Break(());
                }
                after = item.seq;
                if item.seq <= fact.drained {
                    item.data = None;
                }
                let size = ident.len() + item.data.as_ref().map_or(0, |data| data.len());
                page.add(Fact::Item { pool: name.clone(), ident: ident.into(), item }, size);
                ControlFlow::Continue(())
            })?;
            export.pools.insert(name, (fact, after));
            if !is_last {
                return Ok(false);
            }
        }
        Ok(!page.is_full())
    }

    fn export_ledger(
        &self,
        export: &mut Export,
        now: u64,
        page: &mut Page,
    ) -> Result<bool, Trouble<S::Error>> {
        // Two accounts can be touched in one moment, so the cursor stays behind those that are new.
        let settled = now.saturating_sub(EXPORT_SETTLED_MS);
        let mut outcome = Ok(true);
        self.storage.entries(export.ledger, &mut |place, bytes| {
            let is_settled = place.0 < settled;
            if is_settled && page.is_full() {
                outcome = Ok(false);
                return ControlFlow::Break(());
            }
            let entry = match Trouble::read(&bytes) {
                Ok(entry) => entry,
                Err(trouble) => {
                    outcome = Err(trouble);
                    return ControlFlow::Break(());
                }
            };
            page.add(Fact::Entry(place.1, entry), bytes.len());
            if is_settled {
                export.ledger = place;
            }
            ControlFlow::Continue(())
        })?;
        outcome
    }
}
