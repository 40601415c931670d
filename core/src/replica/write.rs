//! Mutations of the app: shown at once, kept in the outbox.

use alloc::{borrow::Cow, boxed::Box, rc::Rc, vec::Vec};

use super::{
    Origin, Replica,
    outbox::{Effects, Ordinal, Prepared},
};
use crate::{
    id::{Seq, Turn},
    limits::{INTEGER_MAX, MUTATION_BYTES_MAX, OPS_MAX, PUSH_BYTES, RECORD_BYTES_MAX},
    mutation::{Condition, Effect, Malformed, Op, Reason, Refusal, Resolution, resolve},
    value::{as_string, check_array},
    wire,
};

/// The three ops, without their texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpKind {
    /// Replaces the whole record.
    Set,
    /// Merges a patch.
    Patch,
    /// Removes the record.
    Delete,
}

impl OpKind {
    /// The op of this kind; a delete has no data.
    const fn op<'a>(
        self,
        collection: &'a str,
        key: &'a str,
        data: &'a str,
        only_if: Condition,
    ) -> Op<'a> {
        match self {
            OpKind::Set => Op::Set { collection, key, data, only_if },
            OpKind::Patch => Op::Patch { collection, key, data, only_if },
            OpKind::Delete => Op::Delete { collection, key, only_if },
        }
    }
}

/// An op that owns its texts, until its mutation is complete.
#[derive(Clone, Debug)]
struct Step {
    kind: OpKind,
    collection: Box<str>,
    key: Box<str>,
    data: Box<str>,
    only_if: Condition,
}

impl Step {
    fn op(&self) -> Op<'_> {
        self.kind.op(&self.collection, &self.key, &self.data, self.only_if)
    }
}

/// A mutation that the app is still making.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    steps: Vec<Step>,
    resolution: Resolution,
    refusal: Option<Refusal>,
}

impl Replica {
    /// Makes one mutation of each record of a JSON array: unconditional sets, which nothing can make
    /// the replica predict a refusal for. The caller shows them; no change comes out.
    ///
    /// # Errors
    /// What is wrong with the first bad one; then none was made.
    pub fn set_many(&mut self, collection: &str, records: &str) -> Result<(), Malformed> {
        crate::id::check_name(collection).map_err(Malformed::Name)?;
        let mut sets: Vec<(Cow<'_, str>, &str)> = Vec::new();
        let mut bad = None;
        check_array(records, self.primary(), |data, raw| {
            let key = raw.and_then(as_string).unwrap_or_default();
            if data.len() > RECORD_BYTES_MAX {
                bad.get_or_insert(Malformed::RecordSize);
            } else if let Err(why) = crate::id::check_key(&key) {
                bad.get_or_insert(Malformed::Key(why));
            }
            sets.push((key, data));
        })
        .map_err(Malformed::Data)?;
        if let Some(bad) = bad {
            return Err(bad);
        }
        let place = self.names.intern(collection);
        for (key, data) in sets {
            let bytes = wire::encode_set(collection, &key, data);
            // The condition, of one byte, follows the data.
            let end = bytes.len() - 1;
            let Some(turn) = self.mint() else { break };
            let place = (place, Rc::from(&*key));
            let ordinal = self.outbox.append_set(0, turn, bytes, place, end - data.len()..end);
            self.queue(0, ordinal);
        }
        Ok(())
    }

    /// Makes a mutation of one op. A condition on a seq means, where the newest write of the record
    /// is a pending one of this replica, that write.
    ///
    /// # Errors
    /// What makes it no mutation; then nothing has changed.
    pub fn mutate(
        &mut self,
        kind: OpKind,
        collection: &str,
        key: &str,
        data: &str,
        only_if: Condition,
    ) -> Result<Turn, Malformed> {
        let only_if = self.chained(&Resolution::new(), collection, key, only_if);
        let op = kind.op(collection, key, data, only_if);
        op.check(self.primary())?;
        let mut resolution = Resolution::new();
        let refusal = self.step(&mut resolution, &op)?;
        self.finish_draft(&[op], resolution, refusal)
    }

    /// Begins a mutation of several ops, in place of one that was begun before.
    pub fn begin(&mut self) {
        self.draft = Some(Draft::default());
    }

    /// Adds an op to the mutation that was begun.
    ///
    /// # Errors
    /// What makes it no op; then the mutation is as it was.
    pub fn op(
        &mut self,
        kind: OpKind,
        collection: &str,
        key: &str,
        data: &str,
        only_if: Condition,
    ) -> Result<(), Malformed> {
        let mut draft = self.draft.take().unwrap_or_default();
        let result = self.extend(&mut draft, kind, collection, key, data, only_if);
        self.draft = Some(draft);
        result
    }

    fn extend(
        &self,
        draft: &mut Draft,
        kind: OpKind,
        collection: &str,
        key: &str,
        data: &str,
        only_if: Condition,
    ) -> Result<(), Malformed> {
        if draft.steps.len() >= OPS_MAX {
            return Err(Malformed::OpCount);
        }
        let only_if = self.chained(&draft.resolution, collection, key, only_if);
        let step = Step {
            kind,
            collection: collection.into(),
            key: key.into(),
            data: data.into(),
            only_if,
        };
        step.op().check(self.primary())?;
        if draft.refusal.is_none() {
            draft.refusal = self.step(&mut draft.resolution, &step.op())?;
        }
        draft.steps.push(step);
        Ok(())
    }

    /// Takes an op into a resolution over the view. What is too large is told at the call; any other
    /// refusal is a prediction.
    fn step(&self, resolution: &mut Resolution, op: &Op<'_>) -> Result<Option<Refusal>, Malformed> {
        let view = self.before(self.outbox.next(), 0);
        let Ok(verdict) = resolution.step(op, self.minted().next(), &view);
        match verdict {
            Ok(()) => Ok(None),
            Err(Refusal { reason: Reason::TooLarge, .. }) => Err(Malformed::MutationSize),
            Err(refusal) => Ok(Some(refusal)),
        }
    }

    /// A condition as it is meant: one on a seq, where the newest write of the record is a pending one
    /// of this replica, means that write.
    fn chained(
        &self,
        resolution: &Resolution,
        collection: &str,
        key: &str,
        condition: Condition,
    ) -> Condition {
        if !matches!(condition, Condition::Seq(_)) {
            return condition;
        }
        if resolution.written(collection, key).is_some() {
            return Condition::Mine(self.minted().next());
        }
        let collection = self.names.find(collection);
        let end = self.outbox.next();
        match collection.and_then(|collection| self.outbox.newest((collection, key), end)) {
            Some((entry, _)) if entry.author == 0 => Condition::Mine(entry.turn),
            // The records that the app sees are of a life that is over.
            Some(_) | None if self.is_stale => Condition::Seq(Seq::ZERO),
            Some(_) | None => condition,
        }
    }

    /// Reads a record as the mutation that was begun sees it.
    #[must_use]
    pub fn draft_get(&self, collection: &str, key: &str) -> Option<&str> {
        let written =
            self.draft.as_ref().and_then(|draft| draft.resolution.written(collection, key));
        match written {
            Some(effect) => effect.data.as_deref(),
            None => self.get(collection, key),
        }
    }

    /// Completes the mutation that was begun: shows it and puts it into the outbox. One that is
    /// predicted to be refused shows nothing, but only the authority can refuse it.
    ///
    /// # Errors
    /// When it is too large, or there have been 2^53 of them; then nothing has changed.
    pub fn commit(&mut self) -> Result<Turn, Malformed> {
        let draft = self.draft.take().unwrap_or_default();
        let ops: Vec<Op<'_>> = draft.steps.iter().map(Step::op).collect();
        self.finish_draft(&ops, draft.resolution, draft.refusal)
    }

    pub(super) fn finish_draft(
        &mut self,
        ops: &[Op<'_>],
        resolution: Resolution,
        refusal: Option<Refusal>,
    ) -> Result<Turn, Malformed> {
        let bytes = wire::encode_ops(ops);
        if bytes.len() > MUTATION_BYTES_MAX {
            return Err(Malformed::MutationSize);
        }
        let effects = if refusal.is_none() { self.placed(resolution) } else { Vec::new() };
        for ((collection, key), _) in &effects {
            self.mark(*collection, key);
        }
        let Some(turn) = self.mint() else { return Err(Malformed::MutationSize) };
        let ordinal = self.enqueue(0, turn, bytes.into());
        let prepared = self.outbox.prepare(ordinal, effects);
        self.outbox.show(ordinal, prepared);
        self.report(Origin::Local);
        Ok(turn)
    }

    /// Drops the mutation that was begun.
    pub fn abort(&mut self) {
        self.draft = None;
    }

    /// The effects of a resolution, with their collections by place.
    fn placed(&mut self, resolution: Resolution) -> Effects {
        let names = &mut self.names;
        let place =
            |Effect { collection, key, data }| ((names.intern(&collection), Rc::from(&*key)), data);
        resolution.effects().map(place).collect()
    }

    /// Mints its own next turn; after 2^53 of them there is none.
    fn mint(&mut self) -> Option<Turn> {
        let me = self.authors.first_mut().filter(|me| me.minted.0 < INTEGER_MAX)?;
        me.minted = me.minted.next();
        Some(me.minted)
    }

    fn queue(&mut self, author: usize, ordinal: Ordinal) {
        if let Some(author) = self.authors.get_mut(author) {
            author.queue.push_back(ordinal);
        }
    }

    /// Puts a mutation of any author at the end of the outbox.
    pub(super) fn enqueue(&mut self, author: usize, turn: Turn, bytes: Box<[u8]>) -> Ordinal {
        let names = &mut self.names;
        let ordinal = self.outbox.append(author, turn, bytes, |name| names.intern(name));
        self.queue(author, ordinal);
        ordinal
    }

    /// Decides an entry anew over the view before it.
    pub(super) fn decide(&mut self, ordinal: Ordinal) -> Option<Prepared> {
        let entry = self.outbox.get(ordinal)?;
        let Ok(verdict) = resolve(&entry.ops(), entry.turn, &self.before(ordinal, entry.author));
        let effects = verdict.map_or_else(|_| Vec::new(), |resolution| self.placed(resolution));
        Some(self.outbox.prepare(ordinal, effects))
    }

    /// Outbox entries that are to be stored under their first turn: that turn, the last one, and the
    /// block. Ask until there is none, then say [`durable`](Self::durable) when they are stored.
    pub fn take_block(&mut self) -> Option<(Turn, Turn, Vec<u8>)> {
        let (first, last, block) = self.block_after(self.blocked, self.minted())?;
        self.blocked = last;
        Some((first, last, block))
    }

    /// Packs its own turns after `after`, as many as a push may hold, up to `end`.
    pub(super) fn block_after(&self, after: Turn, end: Turn) -> Option<(Turn, Turn, Vec<u8>)> {
        let me = self.authors.first()?;
        let first = after.max(me.settled).next();
        let skip = usize::try_from(first.0 - me.settled.0 - 1).unwrap_or(usize::MAX);
        let mut block = Vec::new();
        let mut last = first.before();
        for ordinal in me.queue.iter().skip(skip) {
            let Some(entry) = self.outbox.get(*ordinal) else {
                break;
            };
            let is_full = !block.is_empty() && block.len() + entry.bytes.len() > PUSH_BYTES;
            if entry.turn > end || is_full {
                break;
            }
            wire::append_to_block(&mut block, &entry.bytes);
            last = entry.turn;
        }
        (last >= first).then_some((first, last, block))
    }
}
