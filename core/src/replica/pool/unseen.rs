//! Additions that were accepted while nothing was told of their items.

use alloc::vec::Vec;

use super::Pool;
use crate::{
    id::Seq,
    mutation::Op,
    pool,
    replica::{Event, Replica, confirm::Unsettled, table::Held},
    value::check_value,
    wire::{self, BadFrame},
};

/// Begins what is stored of them, as no frame of a relay does.
const UNSEEN: u8 = 0xff;

impl Replica {
    /// An addition has been accepted, so its items are in the pool, or were. Those that nothing was told
    /// of are held without a seq, until they come under one; gives whether there are any.
    pub(in crate::replica) fn keep_accepted(
        &mut self,
        author: usize,
        ops: &[Op<'_>],
        unsettled: &mut Unsettled,
    ) -> bool {
        let mut any = false;
        for op in ops {
            let Op::Add { pool: name, ident, data, .. } = *op else { continue };
            let place = self.pool_place(name);
            let is_known = |pool: &&Pool| author == 0 || pool.is_open || pool.kept.terms.is_some();
            // What a sibling adds to a pool of which nothing is known here is kept where it was added.
            let Some(pool) = self.pools.get(place).filter(is_known) else { continue };
            let collection = pool.collection;
            // Where nobody knows the primary field, the author did.
            let ident = if pool.knows_primary() {
                pool::ident(data, check_value(data, pool.primary()).ok().flatten())
            } else {
                ident.into()
            };
            if self.table.get(collection, &ident).is_none() {
                self.confirm(collection, &ident, Held { seq: Seq::ZERO, data }, unsettled);
                any = true;
            }
        }
        any
    }

    /// Gives the additions of this replica that were accepted while nothing was told of their items, and that leave the
    /// outbox now. They are kept in the log like a frame, in the transaction that takes them from the outbox: where a pool
    /// keeps nothing once it has converged, nobody else may ever tell of them.
    pub fn take_unseen(&mut self) -> Option<Vec<u8>> {
        let unseen = core::mem::take(&mut self.unseen);
        (!unseen.is_empty()).then_some(unseen)
    }

    /// A sibling's are kept by whoever delivers them.
    pub(in crate::replica) fn note_unseen(&mut self, author: usize, mutation: &[u8]) {
        if author > 0 {
            return;
        }
        if self.unseen.is_empty() {
            self.unseen.push(UNSEEN);
            self.events.push_back(Event::Unseen);
        }
        wire::append_to_block(&mut self.unseen, mutation);
    }

    /// Takes back, or in, what [`take_unseen`](Self::take_unseen) has given; `false` where the bytes are a relay's. What is
    /// known of the pool comes first.
    pub(in crate::replica) fn restore_unseen(&mut self, bytes: &[u8]) -> Result<bool, BadFrame> {
        let Some((&UNSEEN, block)) = bytes.split_first() else { return Ok(false) };
        for mutation in wire::split_block(block) {
            wire::decode_ops(mutation?)?;
        }
        self.accepted.extend(block);
        Ok(true)
    }

    /// Holds what of them nothing has been told of.
    pub(in crate::replica) fn hold_unseen(&mut self) -> Unsettled {
        let mut unsettled = Unsettled::default();
        for mutation in wire::split_block(&core::mem::take(&mut self.accepted)).flatten() {
            let ops = wire::decode_ops(mutation).unwrap_or_default();
            self.keep_accepted(0, &ops, &mut unsettled);
        }
        unsettled
    }
}
