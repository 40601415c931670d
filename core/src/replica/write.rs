//! Mutations of the app: shown at once, kept in the outbox.

use alloc::{boxed::Box, string::String, vec::Vec};

use super::{
    Origin, Replica,
    outbox::{Ordinal, Pending, Shown},
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
        let Step { kind, collection, key, data, only_if } = self;
        let only_if = *only_if;
        match kind {
            OpKind::Set => Op::Set { collection, key, data, only_if },
            OpKind::Patch => Op::Patch { collection, key, data, only_if },
            OpKind::Delete => Op::Delete { collection, key, only_if },
        }
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
        let mut sets: Vec<(String, &str)> = Vec::new();
        let mut bad = None;
        check_array(records, self.primary(), |data, raw| {
            let key = raw.and_then(as_string).unwrap_or_default();
            if data.len() > RECORD_BYTES_MAX {
                bad.get_or_insert(Malformed::RecordSize);
            } else if let Err(why) = crate::id::check_key(&key) {
                bad.get_or_insert(Malformed::Key(why));
            }
            sets.push((key.into_owned(), data));
        })
        .map_err(Malformed::Data)?;
        if let Some(bad) = bad {
            return Err(bad);
        }
        let place = self.names.intern(collection);
        for (key, data) in sets {
            let op = Op::Set { collection, key: &key, data, only_if: Condition::None };
            let shown = Shown { place: (place, key.as_str().into()), data: Some(data.into()) };
            let bytes = wire::encode_ops(&[op]);
            self.append(bytes.into(), Some(alloc::vec![shown]));
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
        self.begin();
        let result = self.op(kind, collection, key, data, only_if);
        match result {
            Ok(()) => self.commit(),
            Err(malformed) => {
                self.abort();
                Err(malformed)
            }
        }
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
        let turn = self.minted().next();
        let only_if = match only_if {
            Condition::Seq(seq) => self.chained(draft, collection, key, turn, seq),
            Condition::None | Condition::Absent | Condition::Present | Condition::Mine(_) => {
                only_if
            }
        };
        let step = Step {
            kind,
            collection: collection.into(),
            key: key.into(),
            data: data.into(),
            only_if,
        };
        step.op().check(self.primary())?;
        if draft.refusal.is_none() {
            let view = self.before(self.outbox.next(), 0);
            let Ok(verdict) = draft.resolution.step(&step.op(), turn, &view);
            match verdict {
                Ok(()) => {}
                Err(Refusal { reason: Reason::TooLarge, .. }) => {
                    return Err(Malformed::MutationSize);
                }
                Err(refusal) => draft.refusal = Some(refusal),
            }
        }
        draft.steps.push(step);
        Ok(())
    }

    /// A condition on a seq, as it is meant.
    fn chained(
        &self,
        draft: &Draft,
        collection: &str,
        key: &str,
        turn: Turn,
        seq: Seq,
    ) -> Condition {
        if draft.resolution.written(collection, key).is_some() {
            return Condition::Mine(turn);
        }
        let newest = self
            .names
            .find(collection)
            .and_then(|collection| self.outbox.newest((collection, key), self.outbox.next()));
        match newest {
            Some((entry, _)) if entry.author == 0 => Condition::Mine(entry.turn),
            Some(_) | None => Condition::Seq(seq),
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
        let bytes = wire::encode_ops(&ops);
        if bytes.len() > MUTATION_BYTES_MAX || self.minted().0 >= INTEGER_MAX {
            return Err(Malformed::MutationSize);
        }
        let effects =
            if draft.refusal.is_none() { self.shown_effects(draft.resolution) } else { Vec::new() };
        for shown in &effects {
            self.mark(shown.place.0, &shown.place.1);
        }
        let turn = self.append(bytes.into(), Some(effects));
        self.report(Origin::Local);
        Ok(turn)
    }

    /// Drops the mutation that was begun.
    pub fn abort(&mut self) {
        self.draft = None;
    }

    pub(super) fn shown_effects(&mut self, resolution: Resolution) -> Vec<Shown> {
        let names = &mut self.names;
        let shown = |effect: Effect| Shown {
            place: (names.intern(&effect.collection), effect.key.as_ref().into()),
            data: effect.data,
        };
        resolution.effects().map(shown).collect()
    }

    /// Mints a turn of its own for a mutation.
    fn append(&mut self, bytes: Box<[u8]>, effects: Option<Vec<Shown>>) -> Turn {
        let Some(me) = self.authors.first_mut() else {
            return Turn::ZERO;
        };
        me.minted = me.minted.next();
        let turn = me.minted;
        let ordinal = self.enqueue(0, turn, bytes);
        if let Some(effects) = effects {
            self.outbox.show(ordinal, effects);
        }
        turn
    }

    /// Puts a mutation of any author at the end of the outbox.
    pub(super) fn enqueue(&mut self, author: usize, turn: Turn, bytes: Box<[u8]>) -> Ordinal {
        let entry = Pending::new(author, turn, bytes);
        for op in entry.ops() {
            self.names.intern(op.place().0);
        }
        let names = &self.names;
        let known = |name: &str| names.find(name).unwrap_or(super::table::Collection(u32::MAX));
        let ordinal = self.outbox.append(entry, known);
        if let Some(author) = self.authors.get_mut(author) {
            author.queue.push_back(ordinal);
        }
        ordinal
    }

    /// Decides an entry anew over the view before it, and shows what it now makes.
    pub(super) fn decide(&mut self, ordinal: Ordinal) -> Option<Vec<Shown>> {
        let entry = self.outbox.get(ordinal)?;
        let ops = entry.ops();
        let Ok(verdict) = resolve(&ops, entry.turn, &self.before(ordinal, entry.author));
        Some(verdict.map_or_else(|_| Vec::new(), |resolution| self.shown_effects(resolution)))
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
