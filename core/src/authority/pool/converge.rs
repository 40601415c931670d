//! When all members have what there is, and what then becomes of it.

use alloc::{boxed::Box, vec, vec::Vec};

use super::Member;
use crate::{
    authority::{Authority, Output, Trouble},
    id::Seq,
    limits::{ERASE_MAX, SILENCE_MS},
    pool::{Pool, Retain},
    record::Digest,
    storage::Storage,
    wire::{self, Down, PoolDown, PoolNews},
};

impl<S: Storage> Authority<S> {
    /// Looks which pools have converged, tells it, and drains those that are to be.
    pub(in crate::authority) fn judge(&mut self) -> Result<(), Trouble<S::Error>> {
        for (name, now) in core::mem::take(&mut self.pools.to_judge) {
            let Some(pool) = self.read_pool(&name)?.map(|pool| pool.clone()) else { continue };
            if !self.has_converged(&name, pool.head, now) {
                self.take_back(&name, &pool);
                continue;
            }
            let drains = pool.terms.retain == Retain::Converged && pool.drained < pool.head;
            let mut to = Vec::new();
            for (id, session) in &mut self.sessions {
                let member = session.pools.iter_mut().find(|member| member.pool == name);
                let is_new = |member: &&mut Member| {
                    member.acked == Some(pool.head) && member.told != Some(pool.head)
                };
                if let Some(member) = member.filter(is_new) {
                    member.told = Some(pool.head);
                    to.push(*id);
                }
            }
            for id in &to {
                self.remember_again(*id);
            }
            if !to.is_empty() {
                let news = PoolNews::Converged {
                    seq: pool.head,
                    digest: pool.digest,
                    drained: pool.terms.retain == Retain::Converged,
                };
                let frame =
                    wire::encode_down(&Down::Pool(PoolDown { pool: name.clone(), news }), &[]);
                self.outputs.push(Output::Send { to, frame });
            }
            if drains {
                self.drain(name, pool);
            }
        }
        Ok(())
    }

    /// Whoever is left alone with what it was told holds it no longer for agreed: it hears a delta of nothing, and
    /// acknowledges anew.
    fn take_back(&mut self, name: &str, pool: &Pool) {
        let agrees =
            |member: &&mut Member| *member.pool == *name && member.acked == Some(pool.head);
        let mut agreed: Vec<_> = self
            .sessions
            .iter_mut()
            .filter_map(|(id, session)| Some((*id, session.pools.iter_mut().find(agrees)?)))
            .collect();
        let [(id, member)] = &mut agreed[..] else { return };
        if member.told != Some(pool.head) {
            return;
        }
        member.told = None;
        let id = *id;
        self.remember_again(id);
        let Pool { head, drained, digest, .. } = *pool;
        let news = PoolNews::Delta { from: head, to: head, drained, digest };
        let nothing = wire::encode_changes(core::iter::empty());
        let down = Down::Pool(PoolDown { pool: name.into(), news });
        let frame = wire::encode_down(&down, &nothing);
        self.outputs.push(Output::Send { to: vec![id], frame });
    }

    /// Whether a pool has converged: at least two members, and all that count, have acknowledged its
    /// newest seq. One that has been silent too long after being asked does not count.
    #[must_use]
    pub fn has_converged(&self, name: &str, head: Seq, now: u64) -> bool {
        let mut agreed = 0;
        for session in self.sessions.values() {
            let Some(member) = session.pools.iter().find(|member| *member.pool == *name) else {
                continue;
            };
            if member.acked == Some(head) {
                agreed += 1;
            } else if now < member.asked_at.saturating_add(SILENCE_MS) {
                return false;
            }
        }
        agreed >= 2
    }

    fn drain(&mut self, name: Box<str>, mut pool: Pool) {
        let Some(meta) = &mut self.meta else { return };
        meta.totals.items = meta.totals.items.saturating_sub(pool.items);
        meta.totals.item_bytes = meta.totals.item_bytes.saturating_sub(pool.bytes);
        if !meta.draining.contains(&name) {
            meta.draining.push(name.clone());
        }
        self.meta_is_dirty = true;
        (pool.items, pool.bytes, pool.digest) = (0, 0, Digest::EMPTY);
        pool.drained = pool.head;
        self.pools.dirty.push(name.clone());
        self.pools.all.insert(name, pool);
    }

    /// Erases a bounded number of items that were drained.
    pub(in crate::authority) fn erase_drained(&mut self) -> Result<(), Trouble<S::Error>> {
        let Some(name) = self.meta.as_ref().and_then(|meta| meta.draining.first().cloned()) else {
            return Ok(());
        };
        let range = match self.read_pool(&name)? {
            Some(pool) => pool.erased..pool.drained,
            None => Seq::ZERO..Seq::ZERO,
        };
        let end = range.end;
        let erased = self.storage.erase_items(&name, range, ERASE_MAX)?;
        if let Some(pool) = self.pools.all.get_mut(&name) {
            pool.erased = erased;
            self.pools.dirty.push(name.clone());
        }
        if erased >= end
            && let Some(meta) = &mut self.meta
        {
            meta.draining.retain(|other| *other != name);
            self.meta_is_dirty = true;
        }
        Ok(())
    }
}
