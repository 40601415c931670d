//! What of pools lies on the disk, which tabs share of which not each has opened the same ones.

use alloc::vec::Vec;

use crate::{
    id::Seq,
    pool::is_pool,
    replica::{
        Replica,
        confirm::Unsettled,
        slab::Page,
        table::{Collection, Held},
    },
    wire::{self, BadFrame, Down},
};

impl Replica {
    /// How many pieces of news of pools it has taken.
    #[must_use]
    pub fn pool_news(&self) -> u64 {
        self.pool_news
    }

    /// So many of them are on the disk, as frames or in pages of a checkpoint: what they have brought may be
    /// acknowledged, after which the relay may keep it no longer.
    pub fn pool_news_saved(&mut self, count: u64) {
        self.pool_news_saved = count;
    }

    /// The pools of which it holds something, each with the newest seq that it holds.
    pub fn pool_seqs(&self) -> impl Iterator<Item = (&str, Seq)> {
        let held = self.pools.iter().filter(|pool| pool.kept.seq > Seq::ZERO);
        held.map(|pool| (&*pool.name, pool.kept.seq))
    }

    /// Takes in the items of a page of the checkpoint that another replica of this place has stored, as far as it does not
    /// hold them.
    ///
    /// # Errors
    /// When the bytes are torn or another page's; then nothing has changed.
    pub fn adopt_page(&mut self, bytes: Vec<u8>, place: usize) -> Result<(), BadFrame> {
        let Page { slab, .. } = Page::decode(bytes, place, &mut self.names)?;
        for block in (0..slab.len()).filter_map(|slot| slab.get(slot)) {
            if is_pool(self.names.name(block.collection)) {
                self.adopt(block.collection, block.key(), block.held());
            }
        }
        Ok(())
    }

    /// Takes in a frame of the log of another replica of this place, if it is about a pool.
    ///
    /// # Errors
    /// When the bytes are no frame.
    pub fn adopt_frame(&mut self, bytes: &[u8]) -> Result<(), BadFrame> {
        let (down, changes) = wire::decode_down(bytes)?;
        let Down::Pool(news) = down else { return Ok(()) };
        if self.restore_pool_news(&news, &changes) {
            for row in changes.rows().flatten() {
                let held = Held { seq: row.seq, data: row.data.unwrap_or("") };
                let collection = self.names.intern(row.collection);
                self.adopt(collection, row.key, held);
            }
            let place = self.pool_place(&news.pool);
            self.rename_unseen(place);
        }
        self.sum_pools();
        Ok(())
    }

    /// Takes in what another replica of this place has stored of the pools whose items were taken in: how far they are held.
    /// Where one is open here the relay is asked for what comes after that.
    ///
    /// # Errors
    /// When the bytes are torn; then nothing has changed.
    pub fn adopt_info(&mut self, bytes: &[u8]) -> Result<(), BadFrame> {
        for (name, kept) in super::super::restore::pools_in(bytes)? {
            let place = self.pool_place(&name);
            if let Some(pool) = self.pools.get_mut(place).filter(|pool| pool.kept.seq < kept.seq) {
                pool.kept = kept;
                pool.converged = false;
                self.rename_unseen(place);
            }
        }
        self.sum_pools();
        Ok(())
    }

    fn adopt(&mut self, collection: Collection, key: &str, held: Held<'_>) {
        if self.table.get(collection, key).is_none_or(|known| known.seq < held.seq) {
            let mut unsettled = Unsettled::default();
            self.confirm(collection, key, held, &mut unsettled);
            self.rebase(unsettled);
        }
    }
}
