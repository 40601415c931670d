//! Adding to pools: what is new takes a seq, what is known changes nothing.

use alloc::{borrow::ToOwned, collections::BTreeMap, string::String, vec::Vec};

use super::{Additions, Merged, is_sound, row};
use crate::{
    authority::{Authority, Trouble},
    mutation::{Op, Outcome, Reason, Refusal},
    pool::{self, Choice, Item},
    record::Row,
    storage::Storage,
    value::{canonical, check_value},
};

impl<S: Storage> Authority<S> {
    /// Adds items, given as JSON that can be stored, to a pool that is opened for it. Either all
    /// are taken or none. `None` where there is no datastore.
    ///
    /// # Errors
    /// Outside, when storage fails; inside, why nothing was added, and at which item.
    pub fn merge(
        &mut self,
        name: &str,
        choice: Choice<'_>,
        items: &[&str],
        now: u64,
    ) -> Result<Option<Result<Merged, Refusal>>, Trouble<S::Error>> {
        let answer = self.take_items(name, choice, items, now)?;
        if let Some(answer) = answer {
            self.count(outcome_of(answer));
        }
        Ok(answer)
    }

    #[allow(clippy::type_complexity)]
    fn take_items(
        &mut self,
        name: &str,
        choice: Choice<'_>,
        items: &[&str],
        now: u64,
    ) -> Result<Option<Result<Merged, Refusal>>, Trouble<S::Error>> {
        if self.alive(now).is_none() {
            return Ok(None);
        }
        let refuse = |reason, op| Ok(Some(Err(Refusal { reason, op })));
        if let Err(reason) = self.opened(name, choice, true)? {
            return refuse(reason, 0);
        }
        let Some(mut pool) = self.read_pool(name)?.map(|pool| pool.clone()) else {
            return refuse(Reason::StorageFull, 0);
        };
        let (before, bytes_before) = (pool.clone(), pool.bytes);
        let mut fresh: BTreeMap<String, Item> = BTreeMap::new();
        for (op, data) in (0_u32..).zip(items) {
            let Ok(raw) = check_value(data, pool.terms.primary.as_deref()) else {
                return refuse(Reason::InvalidData, op);
            };
            let ident = pool::ident(data, raw);
            let hash = pool::hash(name, &ident, data);
            let known = match fresh.get(&ident) {
                Some(item) => Some(item.clone()),
                None => self.storage.item(name, &ident)?,
            };
            if known.as_ref().is_some_and(|known| known.hash == hash) {
                continue;
            }
            if let Some(known) = known.filter(|known| known.seq > pool.drained) {
                pool.digest.remove(known.hash);
                pool.items -= 1;
                pool.bytes = pool.bytes.saturating_sub(pool::size(&ident, &known));
            }
            pool.head = pool.head.next();
            let item = Item { seq: pool.head, hash, data: Some((*data).to_owned().into()) };
            pool.digest.add(hash);
            pool.items += 1;
            pool.bytes += pool::size(&ident, &item);
            fresh.insert(ident, item);
        }
        let merged =
            Merged { added: u64::try_from(fresh.len()).unwrap_or(u64::MAX), seq: pool.head };
        if fresh.is_empty() {
            if !items.is_empty() {
                self.slide(now);
            }
            return Ok(Some(Ok(merged)));
        }
        let Some(meta) = self.meta.as_mut() else { return Ok(None) };
        let totals = &mut meta.totals;
        let (items, bytes) = (
            (totals.items + pool.items).saturating_sub(before.items),
            (totals.item_bytes + pool.bytes).saturating_sub(bytes_before),
        );
        let is_full = totals.records + items > self.settings.records_max
            || totals.bytes + bytes > self.settings.bytes_max;
        if is_full || !pool.head.is_sane() {
            return refuse(Reason::StorageFull, 0);
        }
        (totals.items, totals.item_bytes) = (items, bytes);
        meta.added = meta.added.saturating_add(pool.head.0 - before.head.0);
        self.meta_is_dirty = true;
        self.slide(now);
        let mut rows: Vec<Row> = Vec::with_capacity(fresh.len());
        for (ident, item) in fresh {
            self.storage.put_item(name, &ident, &item)?;
            rows.push(row(name, ident.into(), item));
        }
        rows.sort_unstable_by_key(|row| row.seq);
        self.batch.bytes += rows.iter().map(Row::size).sum::<usize>();
        let additions = self
            .batch
            .additions
            .entry(name.into())
            .or_insert_with(|| Additions { from: before.head, ..Additions::default() });
        additions.rows.extend(rows);
        additions.at = now;
        self.pools.all.insert(name.into(), pool);
        self.pools.dirty.push(name.into());
        Ok(Some(Ok(merged)))
    }

    /// Decides a mutation that adds to a pool.
    pub(in crate::authority) fn add(
        &mut self,
        ops: &[Op<'_>],
        now: u64,
    ) -> Result<Outcome, Trouble<S::Error>> {
        let Some((name, choice)) = ops.iter().find_map(addition) else {
            return Ok(Outcome::Unchanged);
        };
        let refused = |reason, op| Ok(Outcome::Refused(Refusal { reason, op }));
        if !is_sound(choice) {
            return refused(Reason::OptionsMismatch, 0);
        }
        let mut items = Vec::with_capacity(ops.len());
        for (place, op) in (0_u32..).zip(ops) {
            let Op::Add { data, choice: its, .. } = op else { continue };
            if *its != choice {
                return refused(Reason::OptionsMismatch, place);
            }
            // An author that prints JSON in another way would make two of equal items.
            if canonical(data).as_deref() != Ok(*data) {
                return refused(Reason::InvalidData, place);
            }
            items.push(*data);
        }
        let answer = self.take_items(name, choice, &items, now)?;
        Ok(answer.map_or(Outcome::Unchanged, outcome_of))
    }
}

fn outcome_of(answer: Result<Merged, Refusal>) -> Outcome {
    match answer {
        Ok(merged) if merged.added > 0 => Outcome::Added(merged.seq),
        Ok(_) => Outcome::Unchanged,
        Err(refusal) => Outcome::Refused(refusal),
    }
}

/// The pool that an op adds to, and what its author asks of it.
fn addition<'a>(op: &Op<'a>) -> Option<(&'a str, Choice<'a>)> {
    match *op {
        Op::Add { pool, choice, .. } => Some((pool, choice)),
        Op::Set { .. } | Op::Patch { .. } | Op::Delete { .. } => None,
    }
}
