//! Deciding mutations and writing what they change.

use alloc::{borrow::Cow, boxed::Box, collections::BTreeMap, vec::Vec};
use core::cell::RefCell;

use super::{Authority, Close, Moment, SessionId, Trouble, pool::Additions};
use crate::{
    datastore::Totals,
    id::{ReplicaId, Seq, Turn},
    limits::{INTEGER_MAX, MUTATION_BYTES_MAX, UNACKED_MAX},
    mutation::{Base, Effect, Found, Op, Outcome, Reason, Refusal, Stamp, check_ops, resolve},
    record::Row,
    storage::Storage,
    wire::{self, Down, Push},
};

/// What a group of inputs has changed and settled since the last delta was made.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The head before the first change.
    pub(super) from: Option<Seq>,
    /// Changed rows, in order.
    pub(super) rows: Vec<Row>,
    /// Their size, and that of what was added to pools.
    pub(super) bytes: usize,
    /// Settled turns, in order.
    pub(super) settled: Vec<(ReplicaId, Turn, Outcome)>,
    /// Where the end of its life has moved, `None` within for never.
    pub(super) expires_at: Option<Option<u64>>,
    /// What was added to pools.
    pub(super) additions: BTreeMap<Box<str>, Additions>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.settled.is_empty() && self.expires_at.is_none()
    }
}

/// The authority's records as a mutation meets them. It keeps the rows that it read, since writing
/// needs what was there before.
struct Stored<'a, S> {
    storage: &'a S,
    read: RefCell<Vec<Row>>,
}

impl<S: Storage> Base for Stored<'_, S> {
    type Error = S::Error;

    fn find(&self, collection: &str, key: &str) -> Result<Option<Found<'_>>, S::Error> {
        let Some(row) = self.storage.row(collection, key)? else {
            return Ok(None);
        };
        let found = row.data.as_ref().map(|data| Found {
            stamp: Stamp::Ordered(row.seq),
            data: Cow::Owned(data.as_ref().into()),
        });
        self.read.borrow_mut().push(row);
        Ok(found)
    }
}

impl<S: Storage> Authority<S> {
    /// Takes mutations of one author. Turns that are settled already are repeats; a gap, or what is
    /// no mutation at all, ends the session.
    pub(super) fn push(
        &mut self,
        id: SessionId,
        push: Push<'_>,
        moment: Moment,
    ) -> Result<(), Trouble<S::Error>> {
        let Some(session) = self.sessions.get(&id) else {
            return Ok(());
        };
        let admission = session.admission;
        let Some(author) = session.author(push.author).map(|author| (author.id, author.birth))
        else {
            self.close(id, Close::BadRequest, moment.now);
            return Ok(());
        };
        let (replica, birth) = author;
        let floor = self.meta.as_ref().map_or(0, |meta| meta.ledger_floor);
        let is_known = self.ledger.find(&self.storage, &replica)?.is_some();
        if !is_known && birth.is_none_or(|birth| birth < floor) {
            // Forgotten: whether these were applied nobody can tell, so they are not.
            self.close(id, Close::BadRequest, moment.now);
            return Ok(());
        }
        if !is_known && push.block.is_empty() {
            return Ok(());
        }
        let entry = self.ledger.of(&self.storage, &replica)?;
        if entry.subject.is_some_and(|subject| subject != admission.subject) {
            self.close(id, Close::Forbidden, moment.now);
            return Ok(());
        }
        entry.subject = Some(admission.subject);
        entry.birth = birth;
        entry.ack(push.acked);

        let mut turn = push.first;
        let mut repeated = false;
        for mutation in wire::split_block(push.block) {
            let entry = self.ledger.of(&self.storage, &replica)?;
            if turn <= entry.settled() {
                repeated = true;
                turn = turn.next();
                continue;
            }
            let is_next = turn == entry.settled().next() && turn.0 <= INTEGER_MAX;
            let has_room = entry.unacked() < UNACKED_MAX;
            let ops = mutation.ok().filter(|bytes| bytes.len() <= MUTATION_BYTES_MAX);
            let ops = ops.and_then(|bytes| wire::decode_ops(bytes).ok());
            let primary = self.meta.as_ref().map_or("", |meta| &meta.info.primary);
            let sound = ops.filter(|ops| check_ops(ops, primary).is_ok());
            let (true, true, Some(mut ops)) = (is_next, has_room, sound) else {
                self.close(id, Close::BadRequest, moment.now);
                return Ok(());
            };
            for op in &mut ops {
                *op = op.under(entry.place_in_order(op.only_if(), turn));
            }
            let outcome = if admission.write {
                self.apply(&ops, turn, moment.now)?
            } else {
                Outcome::Refused(Refusal { reason: Reason::Forbidden, op: 0 })
            };
            self.count(outcome);
            self.ledger.of(&self.storage, &replica)?.settle(outcome, moment.now);
            self.batch.settled.push((replica, turn, outcome));
            self.seal_if_full();
            turn = turn.next();
        }
        if repeated {
            // Whoever repeats has missed the answer, and perhaps the effect: both come with a page.
            self.set_behind(id);
            self.send(id, &Down::Behind, &[]);
        }
        Ok(())
    }

    /// Closes a delta that has grown large. Between the effect of a mutation and its settlement
    /// nobody may call this: both belong into one frame.
    pub(super) fn seal_if_full(&mut self) {
        if self.batch.bytes >= self.page.bytes {
            self.seal();
        }
    }

    /// Decides a mutation and writes what it changes.
    pub(super) fn apply(
        &mut self,
        ops: &[Op<'_>],
        turn: Turn,
        now: u64,
    ) -> Result<Outcome, Trouble<S::Error>> {
        if ops.first().is_some_and(Op::is_addition) {
            return self.add(ops, now);
        }
        let base = Stored { storage: &self.storage, read: RefCell::default() };
        let resolution = match resolve(ops, turn, &base)? {
            Ok(resolution) => resolution,
            Err(refusal) => return Ok(Outcome::Refused(refusal)),
        };
        let effects: Vec<Effect> = resolution.effects().collect();
        if effects.is_empty() {
            self.slide(now);
            return Ok(Outcome::Unchanged);
        }
        let before = before_each(base.read.into_inner(), &effects);
        let Some(meta) = &mut self.meta else {
            return Ok(Outcome::Unchanged);
        };
        let (from, seq) = (meta.head, meta.head.next());
        let rows: Vec<Row> = effects
            .into_iter()
            .map(|Effect { collection, key, data }| Row { collection, key, seq, data })
            .collect();
        let mut totals = meta.totals;
        for (row, before) in rows.iter().zip(&before) {
            count(&mut totals, before.as_ref(), row);
        }
        let grows = totals.records > meta.totals.records || totals.bytes > meta.totals.bytes;
        let is_full = totals.records + totals.items > self.settings.records_max
            || totals.bytes + totals.item_bytes > self.settings.bytes_max;
        if (grows && is_full) || !seq.is_sane() {
            return Ok(Outcome::Refused(Refusal { reason: Reason::StorageFull, op: 0 }));
        }
        for row in &rows {
            self.storage.put_row(row.into())?;
        }
        meta.head = seq;
        meta.totals = totals;
        self.meta_is_dirty = true;
        self.slide(now);
        self.batch.from.get_or_insert(from);
        self.batch.bytes += rows.iter().map(Row::size).sum::<usize>();
        self.batch.rows.extend(rows);
        Ok(Outcome::Accepted(seq))
    }
}

/// Pairs each effect with the row that was there before, out of those that were read.
fn before_each(mut read: Vec<Row>, effects: &[Effect]) -> Vec<Option<Row>> {
    if let [effect] = effects {
        // A mutation may have read other rows without changing them.
        let is_it = |row: &Row| row.key == effect.key && row.collection == effect.collection;
        return alloc::vec![read.iter().position(is_it).map(|place| read.swap_remove(place))];
    }
    let place = |collection: &str, key: &str| (Box::<str>::from(collection), Box::<str>::from(key));
    let mut read: BTreeMap<_, _> =
        read.into_iter().map(|row| (place(&row.collection, &row.key), row)).collect();
    effects.iter().map(|effect| read.remove(&place(&effect.collection, &effect.key))).collect()
}

/// Moves digest and counts from what was there to what is there now.
pub(super) fn count(totals: &mut Totals, before: Option<&Row>, now: &Row) {
    let bytes = |row: &Row| u64::try_from(row.size()).unwrap_or(u64::MAX);
    match before {
        Some(row) if row.data.is_some() => {
            totals.digest.remove(row.hash());
            totals.records -= 1;
            totals.bytes = totals.bytes.saturating_sub(bytes(row));
        }
        Some(_) => totals.tombstones -= 1,
        None => {}
    }
    if now.data.is_some() {
        totals.digest.add(now.hash());
        totals.records += 1;
        totals.bytes += bytes(now);
    } else {
        totals.tombstones += 1;
    }
}
