//! A mutation of several ops, until the app has completed it.

use alloc::{borrow::Cow, boxed::Box, rc::Rc, vec::Vec};
use core::ops::Range;

use super::{
    OpKind, Replica,
    outbox::{Ordinal, Place},
    table::Names,
};
use crate::{
    id::Turn,
    limits::{MUTATION_BYTES_MAX, OPS_MAX, RECORD_BYTES_MAX},
    mutation::{Condition, Malformed, Op, Refusal, Resolution},
    value::{as_string, check_array},
    wire,
};

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

/// Unconditional sets, encoded as they will be pushed. Nothing that was there before has a say in them.
#[derive(Clone, Debug, Default)]
pub(super) struct Sets {
    pub(super) bytes: Vec<u8>,
    /// What each sets, and where its record lies in the bytes.
    pub(super) records: Vec<(Place, Range<usize>)>,
}

impl Sets {
    pub(super) fn push(&mut self, names: &mut Names, collection: &str, key: &str, data: &str) {
        wire::append_set(&mut self.bytes, collection, key, data);
        // The condition, of one byte, follows the data.
        let end = self.bytes.len() - 1;
        let place = (names.intern(collection), Rc::from(key));
        self.records.push((place, end - data.len()..end));
    }

    fn data(&self, range: &Range<usize>) -> &str {
        let data = self.bytes.get(range.clone()).and_then(|data| str::from_utf8(data).ok());
        data.unwrap_or_default()
    }
}

/// A mutation that the app is still making.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// All that came, until something else is added than unconditional sets.
    sets: Sets,
    is_mixed: bool,
    steps: Vec<Step>,
    resolution: Resolution,
    refusal: Option<Refusal>,
    pub(super) undoes: Option<Ordinal>,
}

impl Replica {
    /// Begins a mutation of several ops, in place of one that was begun before.
    pub fn begin(&mut self) {
        self.draft = Some(Draft::default());
    }

    /// Adds an unconditional set of each record of a JSON array to the mutation that was begun. As long
    /// as nothing else is added, the caller shows them: no change comes out.
    ///
    /// # Errors
    /// What is wrong with the first bad one, or with them all; then the mutation is of no more use.
    pub fn sets(&mut self, collection: &str, records: &str) -> Result<(), Malformed> {
        let sets = check_sets(collection, records, self.primary())?;
        let mut draft = self.draft.take().unwrap_or_default();
        for (key, data) in sets {
            if draft.is_mixed {
                self.extend(&mut draft, OpKind::Set, collection, &key, data, Condition::None)?;
            } else if draft.sets.records.len() >= OPS_MAX {
                return Err(Malformed::OpCount);
            } else if draft.sets.bytes.len() > MUTATION_BYTES_MAX {
                return Err(Malformed::MutationSize);
            } else {
                draft.sets.push(&mut self.names, collection, &key, data);
            }
        }
        self.draft = Some(draft);
        Ok(())
    }

    /// Takes the sets so far into the resolution, now that something else comes with them.
    fn mix(&self, draft: &mut Draft) -> Result<(), Malformed> {
        draft.is_mixed = true;
        let sets = core::mem::take(&mut draft.sets);
        for ((collection, key), data) in &sets.records {
            let collection = self.names.name(*collection);
            let data = sets.data(data);
            if let Err(why) =
                self.extend(draft, OpKind::Set, collection, key, data, Condition::None)
            {
                *draft = Draft { sets, undoes: draft.undoes, ..Draft::default() };
                return Err(why);
            }
        }
        Ok(())
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
        let mixed = self.mix(&mut draft);
        let add = |()| self.extend(&mut draft, kind, collection, key, data, only_if);
        let result = mixed.and_then(add);
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

    /// Reads a record as the mutation that was begun sees it.
    #[must_use]
    pub fn draft_get(&self, collection: &str, key: &str) -> Option<&str> {
        let Some(draft) = &self.draft else { return self.get(collection, key) };
        if let Some(effect) = draft.resolution.written(collection, key) {
            return effect.data.as_deref();
        }
        let place = self.names.find(collection);
        let is_it = |((of, other), _): &&(Place, _)| Some(*of) == place && **other == *key;
        match draft.sets.records.iter().rev().find(is_it) {
            Some((_, data)) => Some(draft.sets.data(data)),
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
        let turn = if draft.is_mixed {
            let ops: Vec<Op<'_>> = draft.steps.iter().map(Step::op).collect();
            self.finish_draft(&ops, draft.resolution, draft.refusal)?
        } else {
            self.append(draft.sets)?
        };
        if let Some((undo, undone)) = self.own(turn).zip(draft.undoes) {
            self.outbox.undo(undo, undone);
        }
        Ok(turn)
    }

    /// Drops the mutation that was begun.
    pub fn abort(&mut self) {
        self.draft = None;
    }
}

/// The records of a JSON array, each with its key.
pub(super) fn check_sets<'a>(
    collection: &str,
    records: &'a str,
    primary: &str,
) -> Result<Vec<(Cow<'a, str>, &'a str)>, Malformed> {
    crate::id::check_name(collection).map_err(Malformed::Name)?;
    let mut sets = Vec::new();
    let mut bad = None;
    check_array(records, primary, |data, raw| {
        let key = raw.and_then(as_string).unwrap_or_default();
        if data.len() > RECORD_BYTES_MAX {
            bad.get_or_insert(Malformed::RecordSize);
        } else if let Err(why) = crate::id::check_key(&key) {
            bad.get_or_insert(Malformed::Key(why));
        }
        sets.push((key, data));
    })
    .map_err(Malformed::Data)?;
    bad.map_or(Ok(sets), Err)
}
