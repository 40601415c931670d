//! Merge pools at the authority: who has them open, what is added, and when all have it.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};
use core::ops::ControlFlow;

use super::{Authority, Close, Moment, SessionId, Trouble, session::Phase};
use crate::{
    id::Seq,
    limits::{MEMBERSHIPS_MAX, POOL_CACHE_MAX, POOLS_MAX},
    mutation::Reason,
    pool::{self, Choice, Item, Pool, Terms},
    record::Row,
    storage::Storage,
    wire::{self, Down, PoolAsk, PoolDown, PoolLast, PoolNews, PoolUp},
};

mod converge;
mod merge;

/// A session's part in a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) pool: Box<str>,
    /// It is at the head and hears each delta.
    is_live: bool,
    /// It holds everything up to this seq.
    acked: Option<Seq>,
    /// When it was last sent something while it had acknowledged all, in milliseconds since 1970.
    asked_at: u64,
    /// Up to where it was told that the pool has converged.
    told: Option<Seq>,
}

wire::fields!(Member { pool, is_live, acked, asked_at, told });

/// What was added to a pool since its last delta was made.
#[derive(Debug, Default)]
pub(super) struct Additions {
    from: Seq,
    rows: Vec<Row>,
    at: u64,
}

/// The pools in use.
#[derive(Debug, Default)]
pub(super) struct Pools {
    all: BTreeMap<Box<str>, Pool>,
    dirty: Vec<Box<str>>,
    /// Pools that may have converged, and when that came up, in milliseconds since 1970.
    to_judge: BTreeMap<Box<str>, u64>,
}

impl Pools {
    /// Lets the pools of a session be judged without it.
    pub(super) fn left(&mut self, members: &[Member], now: u64) {
        for member in members {
            self.to_judge.insert(member.pool.clone(), now);
        }
    }

    /// Whether anything is to be judged in the next commit.
    pub(super) fn wants_commit(&self) -> bool {
        !self.to_judge.is_empty()
    }
}

/// What came of adding to a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merged {
    /// How many items were new, or had other data.
    pub added: u64,
    /// The newest seq of the pool.
    pub seq: Seq,
}

/// One page of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolPage {
    /// Items in the order of their seqs, each with its identity.
    pub items: Vec<(Box<str>, Item)>,
    /// The newest seq of the pool.
    pub head: Seq,
    /// Whether the page reaches the head.
    pub is_last: bool,
}

impl<S: Storage> Authority<S> {
    /// Takes what a session says of a pool.
    pub(super) fn hear_of_pool(
        &mut self,
        id: SessionId,
        PoolUp { pool: name, ask }: PoolUp<'_>,
        moment: Moment,
    ) -> Result<(), Trouble<S::Error>> {
        let is_member = |member: &Member| *member.pool == *name;
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        let place = session.pools.iter().position(is_member);
        match (ask, place) {
            (PoolAsk::Open { choice, after }, _) => {
                self.open_pool(id, name, choice, after, moment.now)
            }
            (PoolAsk::Next(after), Some(place)) => {
                if let Some(session) = self.sessions.get_mut(&id)
                    && let Some(member) = session.pools.get(place)
                {
                    session.travelled(moment.now.saturating_sub(member.asked_at));
                }
                self.send_items(id, name, after, moment.now)
            }
            (PoolAsk::Ack(seq), Some(place)) => {
                let head = self.read_pool(name)?.map_or(Seq::ZERO, |pool| pool.head);
                if let Some(member) =
                    self.sessions.get_mut(&id).and_then(|session| session.pools.get_mut(place))
                {
                    let seq = seq.min(head);
                    if member.acked == Some(seq) {
                        // Whoever says so again has not heard what came of it.
                        member.told = None;
                    } else {
                        member.asked_at = moment.now;
                    }
                    member.acked = Some(member.acked.map_or(seq, |acked| acked.max(seq)));
                }
                self.remember_again(id);
                self.pools.to_judge.insert(name.into(), moment.now);
                Ok(())
            }
            (PoolAsk::Leave, Some(place)) => {
                session.pools.remove(place);
                self.remember_again(id);
                self.pools.to_judge.insert(name.into(), moment.now);
                Ok(())
            }
            (PoolAsk::Leave, None) => Ok(()),
            (PoolAsk::Next(_) | PoolAsk::Ack(_), None) => {
                self.close(id, Close::BadRequest, moment.now);
                Ok(())
            }
        }
    }

    fn open_pool(
        &mut self,
        id: SessionId,
        name: &str,
        choice: Choice<'_>,
        after: Seq,
        now: u64,
    ) -> Result<(), Trouble<S::Error>> {
        let may_write = self.sessions.get(&id).is_some_and(|session| session.admission.write);
        if pool::check_name(name).is_err() || !is_sound(choice) {
            self.close(id, Close::BadRequest, now);
            return Ok(());
        }
        match self.opened(name, choice, may_write)? {
            // Where there is no room for another, it is read as one that has no items; who adds is told why that cannot be.
            Ok(()) | Err(Reason::StorageFull) => {}
            Err(_) => {
                let news = PoolDown { pool: name.into(), news: PoolNews::Mismatch };
                self.send(id, &Down::Pool(news), &[]);
                return Ok(());
            }
        }
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        session.pools.retain(|member| *member.pool != *name);
        if session.pools.len() >= MEMBERSHIPS_MAX {
            self.close(id, Close::BadRequest, now);
            return Ok(());
        }
        let pool = name.into();
        let member = Member { pool, is_live: false, acked: None, asked_at: 0, told: None };
        session.pools.push(member);
        self.send_items(id, name, after, now)
    }

    /// Opens a pool, making it where there is none and `makes` says so.
    fn opened(
        &mut self,
        name: &str,
        choice: Choice<'_>,
        makes: bool,
    ) -> Result<Result<(), Reason>, Trouble<S::Error>> {
        if let Some(pool) = self.read_pool(name)? {
            return Ok(if pool.terms.fit(choice) { Ok(()) } else { Err(Reason::OptionsMismatch) });
        }
        let Some(meta) = self.meta.as_mut().filter(|_| makes) else { return Ok(Ok(())) };
        if meta.totals.pools >= POOLS_MAX {
            return Ok(Err(Reason::StorageFull));
        }
        meta.totals.pools += 1;
        self.meta_is_dirty = true;
        let pool = Pool { terms: Terms::create(choice), ..Pool::default() };
        self.pools.all.insert(name.into(), pool);
        self.pools.dirty.push(name.into());
        Ok(Ok(()))
    }

    fn read_pool(&mut self, name: &str) -> Result<Option<&mut Pool>, Trouble<S::Error>> {
        if !self.pools.all.contains_key(name) {
            let Some(bytes) = self.storage.pool(name)? else { return Ok(None) };
            let pool = Trouble::read(&bytes)?;
            self.pools.all.insert(name.into(), pool);
        }
        Ok(self.pools.all.get_mut(name))
    }

    /// What is known of a pool; `None` where it was never opened.
    ///
    /// # Errors
    /// When storage fails.
    pub fn pool(&self, name: &str) -> Result<Option<Pool>, Trouble<S::Error>> {
        if let Some(pool) = self.pools.all.get(name) {
            return Ok(Some(pool.clone()));
        }
        let bytes = self.storage.pool(name)?;
        bytes.map(|bytes| Trouble::read(&bytes)).transpose()
    }

    /// Reads one page of the items after a seq.
    ///
    /// # Errors
    /// When storage fails.
    pub fn pool_items(
        &self,
        name: &str,
        after: Seq,
        rows: usize,
        bytes: usize,
    ) -> Result<PoolPage, Trouble<S::Error>> {
        let Some(pool) = self.pool(name)? else {
            return Ok(PoolPage { items: Vec::new(), head: Seq::ZERO, is_last: true });
        };
        let mut items: Vec<(Box<str>, Item)> = Vec::new();
        let mut size = 0;
        let mut is_last = true;
        // Items that were drained may not have been erased yet.
        let after = if after > pool.head { pool.drained } else { after.max(pool.drained) };
        self.storage.items(name, after, &mut |ident, item| {
            if items.len() >= rows || size >= bytes {
                is_last = false;
                return ControlFlow::Break(());
            }
            size += ident.len() + item.data.as_ref().map_or(0, |data| data.len());
            items.push((ident.into(), item));
            ControlFlow::Continue(())
        })?;
        Ok(PoolPage { items, head: pool.head, is_last })
    }

    fn send_items(
        &mut self,
        id: SessionId,
        name: &str,
        after: Seq,
        now: u64,
    ) -> Result<(), Trouble<S::Error>> {
        // What was added so far belongs to those who were live before this one.
        self.seal();
        let page = self.pool_items(name, after, self.page.rows, self.stride(id))?;
        let pool = self.pool(name)?.unwrap_or_default();
        let from = if after > pool.head { Seq::ZERO } else { after };
        let to = if page.is_last {
            page.head
        } else {
            page.items.last().map_or(page.head, |(_, item)| item.seq)
        };
        let added = self.meta.as_ref().map_or(0, |meta| meta.added);
        let last = page.is_last.then(|| PoolLast {
            terms: pool.terms.clone(),
            drained: pool.drained,
            digest: pool.digest,
            added,
        });
        let rows: Vec<Row> =
            page.items.into_iter().map(|(ident, item)| row(name, ident, item)).collect();
        let changes = wire::encode_changes(rows.iter().map(Into::into));
        if let Some(session) = self.sessions.get_mut(&id)
            && let Some(member) = session.pools.iter_mut().find(|member| *member.pool == *name)
        {
            member.is_live = last.is_some();
            member.asked_at = now;
        }
        self.remember_again(id);
        let news = PoolNews::Page { from, to, last };
        self.send(id, &Down::Pool(PoolDown { pool: name.into(), news }), &changes);
        self.charge_again(id, changes.len(), now);
        Ok(())
    }

    /// Tells the members what was added.
    pub(super) fn tell_additions(&mut self, additions: BTreeMap<Box<str>, Additions>) {
        for (name, Additions { from, rows, at }) in additions {
            let Some(pool) = self.pools.all.get(&name) else { continue };
            // Of several additions under one identity the last one counts.
            let newest: BTreeMap<&str, &Row> = rows.iter().map(|row| (&*row.key, row)).collect();
            let mut rows: Vec<&Row> = newest.into_values().collect();
            rows.sort_unstable_by_key(|row| row.seq);
            let changes = wire::encode_changes(rows.into_iter().map(Into::into));
            let Pool { head: to, drained, digest, .. } = *pool;
            let news = PoolNews::Delta { from, to, drained, digest };
            let frame =
                wire::encode_down(&Down::Pool(PoolDown { pool: name.clone(), news }), &changes);
            let mut to = Vec::new();
            let mut moved = Vec::new();
            for (id, session) in &mut self.sessions {
                let is_live = session.phase == Phase::Live;
                let Some(member) = session.pools.iter_mut().find(|member| member.pool == name)
                else {
                    continue;
                };
                if is_live && member.is_live {
                    to.push(*id);
                }
                // Who was asked already and has not answered is not asked anew. Who is catching up is not
                // told now, but will be: until then its silence is counted from here.
                if member.acked.is_some_and(|acked| acked >= from) {
                    member.asked_at = at;
                    moved.push(*id);
                }
            }
            for id in moved {
                self.remember_again(id);
            }
            self.tell(to, frame);
        }
    }

    /// Writes the pools that have changed.
    pub(super) fn write_pools(&mut self) -> Result<(), Trouble<S::Error>> {
        let mut dirty = core::mem::take(&mut self.pools.dirty);
        dirty.sort_unstable();
        dirty.dedup();
        for name in dirty {
            if let Some(pool) = self.pools.all.get(&name) {
                self.storage.put_pool(&name, &wire::encode_stored(pool))?;
            }
        }
        if self.pools.all.len() > POOL_CACHE_MAX {
            self.pools.all.clear();
        }
        Ok(())
    }

    /// Keeps what has changed of a session.
    fn remember_again(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get(&id).cloned() {
            self.remember(id, &session);
        }
    }
}

fn is_sound(choice: Choice<'_>) -> bool {
    choice.primary.is_none_or(|name| (1..=crate::limits::NAME_BYTES_MAX).contains(&name.len()))
}

fn row(pool: &str, ident: Box<str>, item: Item) -> Row {
    Row { collection: pool.into(), key: ident, seq: item.seq, data: item.data }
}
