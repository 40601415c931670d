//! Mutations of the app: shown at once, kept in the outbox.

use alloc::{boxed::Box, rc::Rc, vec::Vec};

use super::{
    Origin, Replica,
    draft::{Sets, check_sets},
    outbox::{Effects, Ordinal, Prepared},
};
use crate::{
    id::{Seq, Turn},
    limits::{BLOCK_BYTES, INTEGER_MAX, MUTATION_BYTES_MAX},
    mutation::{Condition, Effect, Malformed, Op, Reason, Refusal, Resolution, resolve},
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
    pub(super) const fn op<'a>(
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

impl Replica {
    /// Makes one mutation of each record of a JSON array: unconditional sets, which nothing can make
    /// the replica predict a refusal for. The caller shows them; no change comes out.
    ///
    /// # Errors
    /// What is wrong with the first bad one; then none was made.
    pub fn set_many(&mut self, collection: &str, records: &str) -> Result<(), Malformed> {
        let sets = check_sets(collection, records, self.primary())?;
        for (key, data) in sets {
            let mut set = Sets::default();
            set.push(&mut self.names, collection, &key, data);
            if self.append(set).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Puts sets into the outbox as one mutation.
    pub(super) fn append(&mut self, Sets { bytes: ops, records }: Sets) -> Result<Turn, Malformed> {
        let (bytes, shift) = wire::encode_counted(records.len(), &ops);
        if bytes.len() > MUTATION_BYTES_MAX {
            return Err(Malformed::MutationSize);
        }
        let turn = self.mint().ok_or(Malformed::MutationSize)?;
        let ordinal = self.outbox.append_sets(0, turn, bytes, shift, records);
        self.outbox.see(ordinal, &self.table);
        self.queue(0, ordinal);
        Ok(turn)
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

    /// Takes an op into a resolution over the view. What is too large is told at the call; any other
    /// refusal is a prediction.
    pub(super) fn step(
        &self,
        resolution: &mut Resolution,
        op: &Op<'_>,
    ) -> Result<Option<Refusal>, Malformed> {
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
    pub(super) fn chained(
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
        self.outbox.see(ordinal, &self.table);
        self.report(Origin::Local);
        Ok(turn)
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
        let (first, last, block) =
            self.block_after(self.blocked, self.minted(), BLOCK_BYTES, false)?;
        self.blocked = last;
        self.handed = self.handed.max(last);
        Some((first, last, block))
    }

    /// Packs its own turns after `after` up to `end`, as many as so many bytes hold, and one at least. What goes out stops before
    /// what takes back an own mutation without an outcome.
    pub(super) fn block_after(
        &self,
        after: Turn,
        end: Turn,
        bytes: usize,
        goes_out: bool,
    ) -> Option<(Turn, Turn, Vec<u8>)> {
        let me = self.authors.first()?;
        let first = after.max(me.settled).next();
        let skip = usize::try_from(first.0 - me.settled.0 - 1).unwrap_or(usize::MAX);
        let mut block = Vec::new();
        let mut last = first.before();
        for ordinal in me.queue.iter().skip(skip) {
            let Some(entry) = self.outbox.get(*ordinal) else {
                break;
            };
            let is_full = !block.is_empty() && block.len() + entry.bytes.len() > bytes;
            let waits = goes_out && self.outbox.undoes_pending(*ordinal);
            if entry.turn > end || is_full || waits {
                break;
            }
            wire::append_to_block(&mut block, &entry.bytes);
            last = entry.turn;
        }
        (last >= first).then_some((first, last, block))
    }
}
