//! What the relay says of a pool, and what is stored of it.

use alloc::{boxed::Box, string::String, vec::Vec};

use super::{Ask, Kept, Stage};
use crate::{
    id::Seq,
    pool,
    record::Digest,
    replica::{
        Event, Journal, Replica,
        confirm::Unsettled,
        table::{Collection, Held, Table},
    },
    value::check_value,
    wire::{Changes, PoolDown, PoolLast, PoolNews},
};

impl Replica {
    /// Takes what the relay says of a pool. What makes no sense is asked for again.
    pub(in crate::replica) fn hear_of_pool(&mut self, down: PoolDown, changes: &Changes<'_>) {
        let Some(place) = self.pools.iter().position(|pool| pool.name == down.pool) else {
            return;
        };
        let news = self.pool_news + 1;
        let Some(pool) = self.pools.get_mut(place) else { return };
        match down.news {
            PoolNews::Page { from, to, last } if pool.stage == Stage::CatchingUp => {
                if from != pool.kept.seq && from != Seq::ZERO || !fits(changes, &pool.name) {
                    pool.stage = Stage::Due(Ask::Next);
                    return;
                }
                pool.converged &= to == pool.kept.seq;
                pool.answered();
                pool.kept.seq = to;
                pool.newest = news;
                self.take_items(place, changes);
                self.take_down(news);
                match last {
                    Some(last) => self.reach_pool_head(place, last),
                    None => {
                        if let Some(pool) = self.pools.get_mut(place) {
                            pool.stage = Stage::Due(Ask::Next);
                        }
                    }
                }
            }
            PoolNews::Delta { from, to, drained, digest } if pool.stage == Stage::Live => {
                if from != pool.kept.seq || !fits(changes, &pool.name) {
                    pool.stage = Stage::Due(Ask::Next);
                    return;
                }
                let count = to.0.saturating_sub(from.0);
                self.added = self.added.map(|added| added.saturating_add(count));
                pool.converged = false;
                pool.kept.seq = to;
                pool.newest = news;
                self.drain_pool(place, drained);
                self.take_items(place, changes);
                self.take_down(news);
                self.hold(place, digest);
            }
            PoolNews::Converged { seq, drained, .. } if pool.stage == Stage::Live => {
                if seq != pool.kept.seq {
                    return;
                }
                pool.converged = true;
                if drained {
                    self.take_down(news);
                    self.drain_pool(place, seq);
                }
                self.tell_pool(place);
            }
            PoolNews::Mismatch => {
                pool.stage = Stage::Mismatched;
                if !core::mem::replace(&mut pool.is_mismatch_told, true) {
                    self.events.push_back(Event::Mismatch(pool.name.clone()));
                }
            }
            PoolNews::Page { .. } | PoolNews::Delta { .. } | PoolNews::Converged { .. } => {}
        }
    }

    /// Such a piece of news wants to be stored.
    fn take_down(&mut self, news: u64) {
        self.pool_news = news;
        self.journal = Journal::Frame;
    }

    /// Takes items in place of what was held under their identities.
    fn take_items(&mut self, place: usize, changes: &Changes<'_>) {
        let mut unsettled = Unsettled::default();
        for row in changes.rows().flatten() {
            let Some(pool) = self.pools.get_mut(place) else { return };
            let collection = pool.collection;
            let data = row.data.unwrap_or("");
            if let Some(held) = self.table.get(collection, row.key)
                && held.seq > pool.kept.drained
            {
                pool.digest.remove(pool::hash(&pool.name, row.key, held.data));
            }
            if row.seq > pool.kept.drained {
                pool.digest.add(pool::hash(&pool.name, row.key, data));
            }
            self.confirm(collection, row.key, Held { seq: row.seq, data }, &mut unsettled);
        }
        self.rebase(unsettled);
    }

    fn reach_pool_head(&mut self, place: usize, last: PoolLast) {
        let Some(pool) = self.pools.get_mut(place) else { return };
        pool.stage = Stage::Live;
        let drained = last.drained;
        pool.kept.terms = Some(last.terms);
        self.added.get_or_insert(last.added);
        self.drain_pool(place, drained);
        self.rename_unseen(place);
        self.hold(place, last.digest);
        self.road.is_at_head();
    }

    /// Items that were accepted before anything was told of the pool may lie under identities of
    /// another primary field than it has.
    pub(super) fn rename_unseen(&mut self, place: usize) {
        let Some(pool) = self.pools.get(place).filter(|pool| pool.knows_primary()) else { return };
        let collection = pool.collection;
        let mut wrong: Vec<(Box<str>, String, Box<str>)> = Vec::new();
        for (of, key, held) in self.table.entries() {
            if of != collection || held.seq != Seq::ZERO {
                continue;
            }
            let raw = check_value(held.data, pool.primary()).ok().flatten();
            let ident = pool::ident(held.data, raw);
            if *ident != *key {
                wrong.push((key.into(), ident, held.data.into()));
            }
        }
        let mut unsettled = Unsettled::default();
        for (key, ident, data) in wrong {
            let (gone, held) =
                (Held { seq: Seq::ZERO, data: "" }, Held { seq: Seq::ZERO, data: &data });
            self.confirm(collection, &key, gone, &mut unsettled);
            if self.table.get(collection, &ident).is_none() {
                self.confirm(collection, &ident, held, &mut unsettled);
            }
        }
        self.rebase(unsettled);
    }

    /// Acknowledges what a pool has come to, if it is what the relay has.
    fn hold(&mut self, place: usize, digest: Digest) {
        let Some(pool) = self.pools.get_mut(place) else { return };
        if pool.digest == digest {
            pool.ack_is_due = !pool.converged;
            pool.answered();
        } else if pool.healing {
            self.events.push_back(Event::Trouble("diverged"));
        } else {
            pool.healing = true;
            pool.stage = Stage::Due(Ask::Next);
            self.refetch_pool(place);
        }
        self.tell_pool(place);
    }

    /// Lets go of all items that the relay keeps, to ask for them anew.
    fn refetch_pool(&mut self, place: usize) {
        let Some(pool) = self.pools.get_mut(place) else { return };
        let (collection, drained) = (pool.collection, pool.kept.drained);
        pool.kept.seq = drained;
        pool.digest = Digest::EMPTY;
        let items: Vec<Box<str>> = self
            .table
            .entries()
            .filter(|(of, _, held)| *of == collection && held.seq > drained)
            .map(|(_, key, _)| key.into())
            .collect();
        let mut unsettled = Unsettled::default();
        for ident in items {
            let gone = Held { seq: Seq::ZERO, data: "" };
            self.confirm(collection, &ident, gone, &mut unsettled);
        }
        self.rebase(unsettled);
    }

    /// The relay keeps items up to `seq` no longer; this replica does, but they count no more.
    fn drain_pool(&mut self, place: usize, seq: Seq) {
        let Some(pool) = self.pools.get_mut(place) else { return };
        if seq <= pool.kept.drained {
            return;
        }
        pool.kept.drained = seq;
        pool.digest = sum(&pool.name, pool.collection, seq, &self.table);
    }

    fn tell_pool(&mut self, place: usize) {
        if let Some(pool) = self.pools.get(place) {
            self.events.push_back(Event::Pool(pool.name.clone()));
        }
    }

    /// What is stored of the pools.
    pub(in crate::replica) fn kept_pools(&self) -> Vec<(&str, &Kept)> {
        self.pools.iter().map(|pool| (&*pool.name, &pool.kept)).collect()
    }

    /// Takes back what was stored of a pool.
    pub(in crate::replica) fn restore_pool(&mut self, name: &str, kept: Kept) {
        let place = self.pool_place(name);
        if let Some(pool) = self.pools.get_mut(place) {
            pool.kept = kept;
        }
    }

    /// Takes back how far a frame of a pool has led; one that does not follow on what is held leads nowhere, and what comes
    /// after will be asked for. Gives whether it has items that can be read.
    pub(in crate::replica) fn restore_pool_news(
        &mut self,
        down: &PoolDown,
        changes: &Changes<'_>,
    ) -> bool {
        let place = self.pool_place(&down.pool);
        let Some(pool) = self.pools.get_mut(place) else { return false };
        let kept = &mut pool.kept;
        let (from, to, drained) = match &down.news {
            PoolNews::Page { from, to, last: Some(last) } if *from <= kept.seq => {
                kept.terms = Some(last.terms.clone());
                (*from, *to, last.drained)
            }
            PoolNews::Page { from, to, .. } => (*from, *to, Seq::ZERO),
            PoolNews::Delta { from, to, drained, .. } => (*from, *to, *drained),
            PoolNews::Converged { seq, drained: true, .. } => {
                kept.drained = kept.drained.max(*seq);
                return false;
            }
            PoolNews::Converged { .. } | PoolNews::Mismatch => return false,
        };
        if !fits(changes, &pool.name) {
            return false;
        }
        if from <= kept.seq {
            kept.seq = kept.seq.max(to);
            kept.drained = kept.drained.max(drained);
        }
        true
    }

    /// Everything has been taken back: the digests of the pools can be told.
    pub(in crate::replica) fn sum_pools(&mut self) {
        for pool in &mut self.pools {
            pool.digest = sum(&pool.name, pool.collection, pool.kept.drained, &self.table);
        }
    }
}

/// Whether rows are items of a pool and can be read.
fn fits(changes: &Changes<'_>, name: &str) -> bool {
    changes.rows().all(|row| row.is_ok_and(|row| *row.collection == *name && row.data.is_some()))
}

fn sum(name: &str, collection: Collection, drained: Seq, table: &Table) -> Digest {
    let mut digest = Digest::EMPTY;
    for (of, ident, held) in table.entries() {
        if of == collection && held.seq > drained {
            digest.add(pool::hash(name, ident, held.data));
        }
    }
    digest
}
