//! What of pools lies on the disk, which tabs share of which not each has opened the same ones.

use alloc::vec::Vec;

use crate::{
    pool::is_pool,
    replica::{Replica, confirm::Unsettled, slab::Page},
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

    /// Takes in the items of a page of the checkpoint that another replica of this place has stored, as far as it does not
    /// hold them. How far a pool is held stays as it is.
    ///
    /// # Errors
    /// When the bytes are torn or another page's; then nothing has changed.
    pub fn adopt_page(&mut self, bytes: Vec<u8>, place: usize) -> Result<(), BadFrame> {
        let Page { slab, .. } = Page::decode(bytes, place, &mut self.names)?;
        let mut unsettled = Unsettled::default();
        for block in (0..slab.len()).filter_map(|slot| slab.get(slot)) {
            if is_pool(self.names.name(block.collection)) {
                self.take_newer(block.collection, block.key(), block.held(), &mut unsettled);
            }
        }
        self.rebase(unsettled);
        Ok(())
    }

    /// Takes in the items of a frame of its log that is about a pool.
    ///
    /// # Errors
    /// When the bytes are no such frame; then nothing has changed.
    pub fn adopt_frame(&mut self, bytes: &[u8]) -> Result<(), BadFrame> {
        if self.restore_unseen(bytes)? {
            return Ok(());
        }
        let (Down::Pool(_), changes) = wire::decode_down(bytes)? else { return Err(BadFrame) };
        let unsettled = self.replay(&changes)?;
        self.rebase(unsettled);
        Ok(())
    }

    /// Everything that was to be taken in has been.
    pub fn adopted(&mut self) {
        let unsettled = self.hold_unseen();
        self.rebase(unsettled);
        for place in 0..self.pools.len() {
            self.rename_unseen(place);
        }
        self.sum_pools();
    }
}
