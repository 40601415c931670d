//! Merge pools at a replica: items lie among the records, under the pool's marked name and their
//! identities; what is added goes through the outbox like any mutation.

use alloc::{boxed::Box, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use super::{
    Phase, Replica,
    confirm::Unsettled,
    table::{Collection, Held},
};
use crate::{
    id::{Seq, Turn},
    limits::{MUTATION_BYTES_MAX, OPS_MAX, RECORD_BYTES_MAX, SILENCE_MS},
    mutation::{Malformed, Op},
    pool::{self, Choice, Retain, Terms},
    record::Digest,
    value::{check_value, check_values},
    wire::{self, PoolAsk, PoolUp, Up},
};

mod news;

/// How far a pool has come in the present connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The relay has yet to be asked.
    Closed,
    /// It is to be asked with the next frame.
    Due(Ask),
    /// Pages are coming.
    CatchingUp,
    /// At the head, deltas are coming.
    Live,
    /// The relay's pool has other terms.
    Mismatched,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Open,
    Next,
}

/// A pool that the app has opened, or of which something is stored.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    name: Box<str>,
    collection: Collection,
    /// What the app asked for.
    primary: Option<Box<str>>,
    retain: Option<Retain>,
    /// Whether the app has opened it in this life of the page.
    is_open: bool,
    kept: Kept,
    /// Sum of the hashes of the items after `kept.drained`.
    digest: Digest,
    stage: Stage,
    ack_is_due: bool,
    /// When it was last acknowledged without an answer; `None` until time is told.
    acked_at: Option<u64>,
    converged: bool,
    /// Whether everything was asked for anew in this connection, since digests differed.
    healing: bool,
}

/// What is stored of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// What the relay has told of it.
    terms: Option<Terms>,
    /// The newest seq that the replica holds.
    seq: Seq,
    /// Items up to this seq are gone from the relay.
    drained: Seq,
}

/// What an app can know of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolState {
    /// The newest seq of the pool that this replica holds.
    pub seq: Seq,
    /// Over all items that the relay has told of and keeps.
    pub digest: Digest,
    /// Whether the relay has said so of this seq, and nothing is pending.
    pub converged: bool,
}

impl Replica {
    /// Opens a pool, by its marked name; the relay is asked when there is a connection.
    ///
    /// # Errors
    /// `invalid-name`, and `invalid-options` where the choice differs from what is known.
    pub fn open_pool(&mut self, name: &str, choice: Choice<'_>) -> Result<(), &'static str> {
        pool::check_name(name).map_err(|_| "invalid-name")?;
        let place = self.pool_place(name);
        let is_live = self.phase == Phase::Live;
        let Some(pool) = self.pools.get_mut(place) else { return Ok(()) };
        if pool.kept.terms.as_ref().is_some_and(|terms| !terms.fit(choice)) {
            return Err("options-mismatch");
        }
        pool.primary = choice.primary.map(Box::from);
        pool.retain = choice.retain;
        pool.is_open = true;
        if is_live && pool.stage == Stage::Closed {
            pool.stage = Stage::Due(Ask::Open);
        }
        Ok(())
    }

    /// Where a pool stands in the list, which it enters if it must.
    fn pool_place(&mut self, name: &str) -> usize {
        if let Some(place) = self.pools.iter().position(|pool| *pool.name == *name) {
            return place;
        }
        self.pools.push(Pool {
            name: name.into(),
            collection: self.names.intern(name),
            primary: None,
            retain: None,
            is_open: false,
            kept: Kept::default(),
            digest: Digest::EMPTY,
            stage: Stage::Closed,
            ack_is_due: false,
            acked_at: None,
            converged: false,
            healing: false,
        });
        self.pools.len() - 1
    }

    fn pool(&self, name: &str) -> Option<&Pool> {
        self.pools.iter().find(|pool| *pool.name == *name)
    }

    /// What is known of a pool.
    #[must_use]
    pub fn pool_state(&self, name: &str) -> Option<PoolState> {
        let pool = self.pool(name)?;
        Some(PoolState {
            seq: pool.kept.seq,
            digest: pool.digest,
            converged: pool.converged && !self.outbox.adds_to(pool.collection),
        })
    }

    /// The identity of an item, given as canonical JSON, in a pool.
    ///
    /// # Errors
    /// What makes it no item.
    pub fn identify(&self, name: &str, item: &str) -> Result<String, Malformed> {
        let primary = self.pool(name).and_then(Pool::primary);
        let raw = check_value(item, primary).map_err(Malformed::Data)?;
        Ok(pool::ident(item, raw))
    }

    /// Adds items, each as canonical JSON in a JSON array, to a pool that was opened. Those that are
    /// known, or pending, are passed over. Tells the last turn, where anything was new.
    ///
    /// # Errors
    /// What is wrong with the first bad one; then none was added.
    pub fn add(&mut self, name: &str, items: &str) -> Result<Option<Turn>, Malformed> {
        pool::check_name(name).map_err(Malformed::Name)?;
        let place = self.pool_place(name);
        let Some(pool) = self.pools.get(place).cloned() else { return Ok(None) };
        let mut fresh: Vec<(String, &str)> = Vec::new();
        let mut is_large = false;
        check_values(items, pool.primary(), |data, raw| {
            is_large |= data.len() > RECORD_BYTES_MAX;
            fresh.push((pool::ident(data, raw), data));
        })
        .map_err(Malformed::Data)?;
        if is_large {
            return Err(Malformed::RecordSize);
        }
        let mut last = None;
        let mut ops: Vec<Op<'_>> = Vec::new();
        let mut bytes = 0;
        for (ident, data) in &fresh {
            let known = self.shown(pool.collection, ident) == Some(data);
            let is_twice = ops.iter().rev().take(1).any(|op| op.place().1 == ident);
            if known || is_twice && ops.last().and_then(data_of) == Some(data) {
                continue;
            }
            let size = ident.len() + data.len() + 200;
            if ops.len() >= OPS_MAX || bytes + size > MUTATION_BYTES_MAX {
                last = Some(self.add_ops(&core::mem::take(&mut ops))?);
                bytes = 0;
            }
            bytes += size;
            ops.push(Op::Add { pool: name, ident, data, choice: pool.choice() });
        }
        if !ops.is_empty() {
            last = Some(self.add_ops(&ops)?);
        }
        Ok(last)
    }

    fn add_ops(&mut self, ops: &[Op<'_>]) -> Result<Turn, Malformed> {
        let mut resolution = crate::mutation::Resolution::new();
        for op in ops {
            op.check("")?;
            let view = self.before(self.outbox.next(), 0);
            let Ok(verdict) = resolution.step(op, self.minted().next(), &view);
            if verdict.is_err() {
                return Err(Malformed::MutationSize);
            }
        }
        self.finish_draft(ops, resolution, None)
    }

    /// Opens the pools of the app anew: the replica is at the head of a connection.
    pub(super) fn reopen_pools(&mut self) {
        for pool in &mut self.pools {
            pool.healing = false;
            if pool.is_open {
                pool.stage = Stage::Due(Ask::Open);
            }
        }
    }

    /// No pool is told anything until it is opened again.
    pub(super) fn close_pools(&mut self) {
        for pool in &mut self.pools {
            pool.stage = Stage::Closed;
            pool.ack_is_due = false;
            pool.acked_at = None;
            pool.converged = false;
        }
    }

    /// Forgets what the relay told of the pools of a life that is over.
    pub(super) fn empty_pools(&mut self) {
        for pool in &mut self.pools {
            pool.kept = Kept::default();
            pool.digest = Digest::EMPTY;
        }
    }

    /// The next frame about a pool.
    pub(super) fn pool_frame(&mut self) -> Option<Vec<u8>> {
        if self.phase != Phase::Live {
            return None;
        }
        let due = |pool: &&mut Pool| matches!(pool.stage, Stage::Due(_)) || pool.ack_is_due;
        let pool = self.pools.iter_mut().find(due)?;
        let after = pool.kept.seq;
        let choice = Choice { primary: pool.primary.as_deref(), retain: pool.retain };
        let ask = match pool.stage {
            Stage::Due(Ask::Open) => PoolAsk::Open { choice, after },
            Stage::Due(Ask::Next) => PoolAsk::Next(after),
            Stage::Closed | Stage::CatchingUp | Stage::Live | Stage::Mismatched => {
                pool.ack_is_due = false;
                PoolAsk::Ack(after)
            }
        };
        let frame = wire::encode_up(&Up::Pool(PoolUp { pool: &pool.name, ask }));
        if matches!(pool.stage, Stage::Due(_)) {
            pool.stage = Stage::CatchingUp;
        }
        Some(frame)
    }

    /// An addition has been accepted, so its items are in the pool, or were. Those that nothing was told
    /// of are held without a seq, until they come under one.
    pub(super) fn keep_accepted(&mut self, ops: &[Op<'_>], unsettled: &mut Unsettled) {
        for op in ops {
            let Op::Add { pool: name, data, .. } = *op else { continue };
            let place = self.pool_place(name);
            let Some(pool) = self.pools.get(place) else { continue };
            let (collection, primary) = (pool.collection, pool.primary());
            let ident = pool::ident(data, check_value(data, primary).ok().flatten());
            if self.table.get(collection, &ident).is_none() {
                self.confirm(collection, &ident, Held { seq: Seq::ZERO, data }, unsettled);
            }
        }
    }

    /// When a pool that has not converged is to be acknowledged again, in milliseconds since 1970:
    /// somebody may have been silent for too long to count.
    pub(super) fn pool_deadline(&self) -> Option<u64> {
        let waits = |pool: &&Pool| pool.waits();
        let due = |pool: &Pool| pool.acked_at.map_or(0, |at| at + SILENCE_MS);
        self.pools.iter().filter(waits).map(due).min()
    }

    /// Tells the time.
    pub(super) fn tick_pools(&mut self, now: u64) {
        for pool in self.pools.iter_mut().filter(|pool| pool.waits()) {
            let at = *pool.acked_at.get_or_insert(now);
            if now >= at + SILENCE_MS {
                pool.acked_at = Some(now);
                pool.ack_is_due = true;
            }
        }
    }
}

impl Pool {
    fn primary(&self) -> Option<&str> {
        match &self.kept.terms {
            Some(terms) => terms.primary.as_deref(),
            None => self.primary.as_deref(),
        }
    }

    fn choice(&self) -> Choice<'_> {
        match &self.kept.terms {
            Some(terms) => Choice { primary: terms.primary.as_deref(), retain: Some(terms.retain) },
            None => Choice { primary: self.primary.as_deref(), retain: self.retain },
        }
    }

    /// Whether it has acknowledged everything and has not heard that all have.
    fn waits(&self) -> bool {
        self.stage == Stage::Live && !self.converged && !self.ack_is_due
    }
}

fn data_of<'a>(op: &Op<'a>) -> Option<&'a str> {
    match *op {
        Op::Set { data, .. } | Op::Patch { data, .. } | Op::Add { data, .. } => Some(data),
        Op::Delete { .. } => None,
    }
}
