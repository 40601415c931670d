//! Merge pools at a replica: items lie among the records, under the pool's marked name and their
//! identities; what is added goes through the outbox like any mutation.

use alloc::{boxed::Box, string::String, vec::Vec};

use super::{Event, Phase, Replica, table::Collection, waiting::waits_from};
use crate::{
    id::{Seq, Turn},
    limits::{OPS_MAX, SILENCE_MS},
    mutation::{Malformed, Op},
    pool::{self, Choice, Retain, Terms},
    record::Digest,
    value::{check_value, check_values},
    wire::{self, PoolAsk, PoolUp, Up},
};

mod news;
mod shared;
mod unseen;

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
    /// Which piece of news it has taken last: it is acknowledged when it is on the disk.
    newest: u64,
    /// Since when it has waited for an answer, to a question or to an acknowledgement; `None` until time is
    /// told.
    waits_since: Option<u64>,
    /// Whether the time in which an answer should have come has passed once.
    was_silent: bool,
    converged: bool,
    /// Whether everything was asked for anew in this connection, since digests differed.
    healing: bool,
    /// Whether the app has heard that the relay's pool has other terms.
    is_mismatch_told: bool,
}

/// What is stored of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// What the relay has told of it.
    terms: Option<Terms>,
    /// The newest seq that the replica holds.
    seq: Seq,
    /// Items up to this seq are gone from the relay.
    drained: Seq,
}

wire::fields!(Kept { terms, seq, drained });

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
    /// Opens a pool, by its marked name; the relay is asked when there is a connection. A choice that
    /// does not fit what is stored of the pool is told, but only the relay can refuse it. Where the app has opened
    /// it before, what it chooses now must fit the pool's terms or, as long as nobody knows them, its own first choice:
    /// gives whether it does.
    ///
    /// # Errors
    /// When it is no name of a pool.
    pub fn open_pool(&mut self, name: &str, choice: Choice<'_>) -> Result<bool, Malformed> {
        pool::check_name(name).map_err(Malformed::Name)?;
        let place = self.pool_place(name);
        let is_live = self.phase == Phase::Live;
        let Some(pool) = self.pools.get_mut(place) else { return Ok(true) };
        if pool.is_open {
            return Ok(pool.terms().fit(choice));
        }
        if pool.kept.terms.as_ref().is_some_and(|terms| !terms.fit(choice)) {
            pool.is_mismatch_told = true;
            self.events.push_back(Event::Mismatch(pool.name.clone()));
        }
        pool.primary = choice.primary.map(Box::from);
        pool.retain = choice.retain;
        pool.is_open = true;
        if is_live && pool.stage == Stage::Closed {
            pool.stage = Stage::Due(Ask::Open);
        }
        Ok(true)
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
            newest: 0,
            waits_since: None,
            was_silent: false,
            converged: false,
            healing: false,
            is_mismatch_told: false,
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
        let converged = pool.converged && !self.outbox.adds_to(pool.collection);
        Some(PoolState { seq: pool.kept.seq, digest: pool.digest, converged })
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

    /// Adds items, each as canonical JSON in a JSON array, to a pool, in one mutation. Those that are
    /// known, or pending, are passed over. Tells the turn with whose outcome all of them have one;
    /// `None` where the order knows them all.
    ///
    /// # Errors
    /// What is wrong with the first bad one, or that they are too many; then none was added.
    pub fn add(&mut self, name: &str, items: &str) -> Result<Option<Turn>, Malformed> {
        pool::check_name(name).map_err(Malformed::Name)?;
        let place = self.pool_place(name);
        let Some(pool) = self.pools.get(place).cloned() else { return Ok(None) };
        let mut all: Vec<(String, &str)> = Vec::new();
        check_values(items, pool.primary(), |data, raw| all.push((pool::ident(data, raw), data)))
            .map_err(Malformed::Data)?;
        let mut last = None;
        let mut ops: Vec<Op<'_>> = Vec::new();
        for (ident, data) in &all {
            if self.shown(pool.collection, ident) == Some(data) {
                match self.outbox.newest((pool.collection, ident), self.outbox.next()) {
                    None => continue,
                    Some((entry, _)) if entry.author == 0 => {
                        last = last.max(Some(entry.turn));
                        continue;
                    }
                    // Another tab's, whose outcome nobody here is told.
                    Some(_) => {}
                }
            }
            ops.push(Op::Add { pool: name, ident, data, choice: pool.choice() });
        }
        if ops.is_empty() {
            return Ok(last);
        }
        if ops.len() > OPS_MAX {
            return Err(Malformed::OpCount);
        }
        self.add_ops(&ops).map(Some)
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
            if pool.converged {
                self.events.push_back(Event::Pool(pool.name.clone()));
            }
            pool.stage = Stage::Closed;
            pool.ack_is_due = false;
            pool.answered();
            pool.converged = false;
        }
        self.added = None;
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
        let saved = self.pool_news_saved;
        let due = |pool: &&mut Pool| {
            matches!(pool.stage, Stage::Due(_)) || pool.ack_is_due && pool.newest <= saved
        };
        let pool = self.pools.iter_mut().find(due)?;
        let after = pool.kept.seq;
        let ask = match pool.stage {
            Stage::Due(Ask::Open) => PoolAsk::Open { choice: pool.choice(), after },
            Stage::Due(Ask::Next) => PoolAsk::Next(after),
            Stage::Closed | Stage::CatchingUp | Stage::Live | Stage::Mismatched => {
                pool.ack_is_due = false;
                PoolAsk::Ack(after)
            }
        };
        let frame = wire::encode_up(&Up::Pool(PoolUp { pool: &pool.name, ask }));
        if matches!(pool.stage, Stage::Due(_)) {
            pool.stage = Stage::CatchingUp;
            pool.answered();
        }
        Some(frame)
    }

    /// Asks for what its pools may have missed, when more was added to all pools than it knows of.
    pub(super) fn ask_pools(&mut self, added: u64) {
        if self.added.is_none_or(|known| known == added) {
            return;
        }
        self.added = Some(added);
        for pool in self.pools.iter_mut().filter(|pool| pool.stage == Stage::Live) {
            pool.stage = Stage::Due(Ask::Next);
        }
    }

    /// One addition less is pending, so the pool may have converged.
    pub(super) fn tell_finished(&mut self, ops: &[Op<'_>]) {
        let Some(op) = ops.first() else { return };
        if let Some(pool) = self.pool(op.place().0).filter(|pool| pool.converged) {
            let name = pool.name.clone();
            self.events.push_back(Event::Pool(name));
        }
    }

    /// When a pool is to be asked for again, or acknowledged again since somebody may have been silent
    /// for too long to count, in milliseconds since 1970.
    pub(super) fn pool_deadline(&self) -> Option<u64> {
        let due = |pool: &Pool| {
            let patience = pool.patience(self.road.patience_down())?;
            Some(pool.waits_since.map_or(0, |since| since + patience))
        };
        self.pools.iter().filter_map(due).min()
    }

    /// Whether items of a pool are on their way.
    pub(super) fn is_asking_pools(&self) -> bool {
        self.pools.iter().any(|pool| pool.stage == Stage::CatchingUp)
    }

    /// Tells the time.
    pub(super) fn tick_pools(&mut self, now: u64) {
        let (usual, mut was_silent) = (self.road.patience_down(), false);
        for pool in &mut self.pools {
            let Some(patience) = pool.patience(usual) else { continue };
            if now < waits_from(&mut pool.waits_since, now) + patience {
                continue;
            }
            pool.waits_since = Some(now);
            if pool.stage == Stage::Live {
                pool.ack_is_due = true;
            } else {
                // The first time it may still be on its way, and would be twice.
                if pool.was_silent {
                    pool.stage = Stage::Due(Ask::Open);
                }
                pool.was_silent = !pool.was_silent;
                was_silent = true;
            }
        }
        if was_silent {
            self.road.was_silent_down();
        }
    }
}

impl Pool {
    /// What is awaited from here on has its own time.
    fn answered(&mut self) {
        self.waits_since = None;
        self.was_silent = false;
    }

    fn primary(&self) -> Option<&str> {
        match &self.kept.terms {
            Some(terms) => terms.primary.as_deref(),
            None => self.primary.as_deref(),
        }
    }

    /// Whether the relay has said by which field its items are told apart, if by any, or the app has named one.
    fn knows_primary(&self) -> bool {
        self.kept.terms.is_some() || self.primary.is_some()
    }

    /// Its terms; where the relay has not told them, those that the app has chosen.
    fn terms(&self) -> Terms {
        self.kept.terms.clone().unwrap_or_else(|| Terms::create(self.choice()))
    }

    fn choice(&self) -> Choice<'_> {
        Choice { primary: self.primary.as_deref(), retain: self.retain }
    }

    /// How long it waits for an answer, if it awaits one: to a question as long as usual, or to having
    /// acknowledged everything.
    fn patience(&self, usual: u64) -> Option<u64> {
        match self.stage {
            Stage::CatchingUp => Some(usual),
            Stage::Live if !self.converged && !self.ack_is_due => Some(SILENCE_MS),
            Stage::Live | Stage::Closed | Stage::Due(_) | Stage::Mismatched => None,
        }
    }
}
