//! What is stored of a replica, and how it comes back.

use alloc::{boxed::Box, vec::Vec};

use super::{
    Life, Replica,
    author::Placed,
    confirm::Unsettled,
    pool::Kept,
    table::{Collection, Held},
};
use crate::{
    datastore::Info,
    id::{Epoch, Seq, Turn},
    limits::GAP_TURNS_MAX,
    wire::{self, BadFrame, Changes, Down},
};

/// What is stored of the datastore: shared by all replicas of one place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    epoch: Epoch,
    info: Info,
    seq: Seq,
    pools: Vec<(Box<str>, Kept)>,
}

wire::fields!(Known { epoch, info, seq, pools });

/// What is stored of one replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    generation: u64,
    birth: Option<u64>,
    settled: Turn,
    placed: Vec<Placed>,
}

wire::fields!(Account { generation, birth, settled, placed });

impl Replica {
    /// What is to be stored of the datastore, beside the pages of a checkpoint; `None` where no relay
    /// has told of it, or where the records that are held belong to a life that is over.
    #[must_use]
    pub fn info(&self) -> Option<Vec<u8>> {
        let life = self.life.as_ref().filter(|_| !self.is_stale)?;
        let keep = |(name, kept): (&str, &Kept)| (name.into(), kept.clone());
        let pools = self.kept_pools().into_iter().map(keep).collect();
        let known = Known { epoch: life.epoch, info: life.info.clone(), seq: self.seq, pools };
        Some(wire::encode_stored(&known))
    }

    /// What is to be stored of this replica, whenever outbox entries are deleted and when
    /// [`Event::Welcome`](super::Event::Welcome) or
    /// [`Event::Renumbered`](super::Event::Renumbered) says so.
    #[must_use]
    pub fn account(&self) -> Vec<u8> {
        let account = self.authors.first().map_or_else(Account::default, |me| Account {
            generation: me.generation,
            birth: me.birth,
            settled: me.settled,
            placed: me.placed.clone(),
        });
        wire::encode_stored(&account)
    }

    /// Makes pages of another number of records than usual, for tests of what happens between them.
    /// To be called before anything is held.
    pub fn set_page_records(&mut self, records: usize) {
        self.page_records = records.max(1);
        self.drop_records();
    }

    /// How many pages a checkpoint has.
    #[must_use]
    pub fn page_count(&self) -> usize {
        self.table.page_count()
    }

    /// A page of the checkpoint that has changed since [`page`](Self::page) last encoded it.
    #[must_use]
    pub fn dirty_page(&self) -> Option<usize> {
        self.table.dirty_page()
    }

    /// Encodes a page of the checkpoint. Pages may be encoded at different moments: reading them back
    /// with the frames that came since the first puts all in order.
    #[must_use]
    pub fn page(&mut self, page: usize) -> Vec<u8> {
        self.table.page(page, &self.names)
    }

    /// Takes back what [`info`](Self::info) gave.
    ///
    /// # Errors
    /// When the bytes are torn or of another format; then it goes on as if they were not there.
    pub fn restore_info(&mut self, bytes: &[u8]) -> Result<(), BadFrame> {
        let known: Known = wire::decode_stored(bytes)?;
        self.life = Some(Life { epoch: known.epoch, info: known.info });
        self.seq = known.seq;
        for (name, kept) in known.pools {
            self.restore_pool(&name, kept);
        }
        Ok(())
    }

    /// Takes back what [`account`](Self::account) gave.
    ///
    /// # Errors
    /// As [`restore_info`](Self::restore_info).
    pub fn restore_account(&mut self, bytes: &[u8]) -> Result<(), BadFrame> {
        let account: Account = wire::decode_stored(bytes)?;
        if let Some(me) = self.authors.first_mut() {
            me.generation = account.generation.saturating_add(1);
            me.birth = account.birth;
            me.settled = account.settled;
            me.saved = account.settled;
            me.minted = me.minted.max(account.settled);
            me.placed = account.placed;
        }
        Ok(())
    }

    /// Takes back the primary field under which the outbox was made, which counts until a relay has told one.
    pub fn restore_primary(&mut self, primary: &str) {
        self.made_under = Some(primary.into());
    }

    /// Takes back the next page of the checkpoint, from the first one on, before any frame. Of two
    /// pages that speak of one key the newer seq counts.
    ///
    /// # Errors
    /// When the bytes are torn, of another format or another place; the stored records are then of no use: see
    /// [`drop_records`](Self::drop_records).
    pub fn restore_page(&mut self, bytes: Vec<u8>) -> Result<(), BadFrame> {
        self.table.take_back(bytes, &mut self.names)
    }

    /// Takes back a page that an older package has stored: its rows, which a checksum has vouched for.
    ///
    /// # Errors
    /// As [`restore_info`](Self::restore_info); the stored records are then of no use.
    pub fn restore_rows(&mut self, bytes: &[u8]) -> Result<(), BadFrame> {
        self.replay(&wire::peek_changes(bytes)?).map(drop)
    }

    /// Takes back a frame of the log, in the order in which they came.
    ///
    /// # Errors
    /// As [`restore_info`](Self::restore_info), also when the frame does not follow on the one before.
    pub fn restore_frame(&mut self, bytes: &[u8]) -> Result<(), BadFrame> {
        if self.restore_unseen(bytes)? {
            return Ok(());
        }
        let (down, changes) = wire::decode_down(bytes)?;
        let to = match down {
            Down::Pool(news) => {
                // Items are what they are, also where another tab has stored less of how far the pool is held.
                if self.restore_pool_news(&news, &changes) {
                    drop(self.replay(&changes)?);
                }
                return Ok(());
            }
            Down::Delta(delta) if delta.from <= self.seq => delta.to,
            Down::Page(page) => match page.last {
                Some(_) => page.cursor.after,
                None => self.seq,
            },
            // It came between pages, and was passed over then as well.
            Down::Delta(_) | Down::Behind | Down::Presence(_) | Down::Rates(_) => return Ok(()),
            Down::Welcome(_) => return Err(BadFrame),
        };
        drop(self.replay(&changes)?);
        self.seq = self.seq.max(to);
        Ok(())
    }

    /// Takes the rows of which nothing as new is held.
    pub(super) fn replay(&mut self, changes: &Changes<'_>) -> Result<Unsettled, BadFrame> {
        changes.check()?;
        let mut unsettled = Unsettled::default();
        for row in changes.rows().flatten() {
            let collection = self.names.intern(row.collection);
            let held = Held { seq: row.seq, data: row.data.unwrap_or("") };
            self.take_newer(collection, row.key, held, &mut unsettled);
        }
        Ok(unsettled)
    }

    /// Takes what is stored of a key, unless what is held of it is as new.
    pub(super) fn take_newer(
        &mut self,
        collection: Collection,
        key: &str,
        held: Held<'_>,
        unsettled: &mut Unsettled,
    ) {
        if self.table.get(collection, key).is_none_or(|known| known.seq < held.seq) {
            self.confirm(collection, key, held, unsettled);
        }
    }

    /// Drops all records that were taken back: the stored ones turned out to be of no use. The outbox
    /// stays, and the relay is asked for everything.
    pub fn drop_records(&mut self) {
        self.table = super::table::Table::new(self.seed, self.page_records);
        self.seq = Seq::ZERO;
        self.empty_pools();
    }

    /// Takes back a block of the outbox, stored under its first turn. Blocks come in order; turns that
    /// are settled or were taken back already are passed over.
    ///
    /// # Errors
    /// When the bytes are torn, or turns are missing before them; what came before them counts.
    pub fn restore_block(&mut self, first: Turn, bytes: &[u8]) -> Result<(), BadFrame> {
        let taken = self.take_back_block(first, bytes);
        // What of a torn block can be read is on the disk as it is: to write it again is to risk it.
        self.blocked = self.minted();
        taken
    }

    fn take_back_block(&mut self, first: Turn, bytes: &[u8]) -> Result<(), BadFrame> {
        let mut turn = first;
        for mutation in wire::split_block(bytes) {
            let mutation = mutation?;
            wire::decode_ops(mutation)?;
            if turn > self.minted().next() {
                return Err(BadFrame);
            }
            if turn == self.minted().next() {
                self.take_back(mutation.into());
            }
            turn = turn.next();
        }
        Ok(())
    }

    fn take_back(&mut self, mutation: Box<[u8]>) {
        let turn = self.minted().next();
        if let Some(me) = self.authors.first_mut() {
            me.minted = turn;
            me.durable = turn;
            me.stored = turn;
        }
        self.enqueue(0, turn, mutation);
    }

    /// Puts mutations without ops in the place of those up to `last` that were stored and cannot be
    /// taken back. So those behind them keep their names: had the lost ones arrived, these are repeats,
    /// and where they had not there is no gap that ends a session. Gives how many are lost; of a gap of
    /// more than [`GAP_TURNS_MAX`], which no outbox has, 1, and leaves it.
    pub fn restore_gap(&mut self, last: Turn) -> u64 {
        let lost = last.0.saturating_sub(self.minted().0);
        if lost > GAP_TURNS_MAX {
            return 1;
        }
        for _ in 0..lost {
            self.take_back(wire::encode_ops(&[]).into());
        }
        self.blocked = self.minted();
        lost
    }

    /// Stands in for [`restore_account`](Self::restore_account) where there is none that can be read,
    /// but an outbox: what was before its first turn is settled, or it would be there.
    pub fn restore_without_account(&mut self, first: Turn) {
        if let Some(me) = self.authors.first_mut() {
            let settled = Turn(first.0.saturating_sub(1));
            (me.settled, me.saved, me.minted) = (settled, settled, settled);
            // Its stamp is lost, and what is pending may have been pushed: it was born before all others.
            me.birth = Some(0);
            // Above all that it had, or the relay would end this session and not the one before.
            me.generation = u64::from(u32::MAX);
        }
    }

    /// Gives the checksum under which bytes are stored that belong to this replica alone, its account
    /// at turn 0: bytes, turns or an id that are other ones are noticed.
    #[must_use]
    pub fn own_checksum(&self, bytes: &[u8], first: Turn, last: Turn) -> u32 {
        let id = self.authors.first().map_or(&[][..], |me| &me.id.0);
        wire::checksum(bytes, [first.0, last.0], id)
    }

    /// Everything has been taken back: the view is complete.
    pub fn restored(&mut self) {
        let placed = self.authors.first().map_or_else(Vec::new, |me| me.placed.clone());
        if let Some(me) = self.authors.first_mut() {
            me.inherited = me.minted;
        }
        let settled = self.settled();
        if self.seq == Seq::ZERO {
            // The records may have been dropped, here or by whoever lived there before.
            self.siblings.torn(settled);
        }
        self.place_restored_conditions(settled, &placed);
        if self.life.is_none() {
            self.let_go_of_seqs();
        }
        drop(self.hold_unseen());
        self.show_all();
        self.sum_pools();
    }
}
