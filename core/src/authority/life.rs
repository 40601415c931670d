//! How a datastore comes to be, changes and ends.

use alloc::vec::Vec;

use super::{
    Authority, Close, Moment, Output, SessionId, Trouble,
    apply::Batch,
    ledger::Ledger,
    pool::Pools,
    session::{Phase, Session},
};
use crate::{
    datastore::{Info, Meta, Options},
    limits::TTL_DEFAULT_S,
    storage::Storage,
};

/// The answer to an opener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// There was none, now there is.
    Created,
    /// It was there, with fitting options.
    Found,
    /// It has another kind or primary field.
    Mismatch,
    /// It is being imported: there is none yet, and none can be made.
    Importing,
}

impl<S: Storage> Authority<S> {
    /// Opens the datastore, creating it where there is none or where the old one has expired.
    ///
    /// # Errors
    /// When storage fails.
    pub fn open(&mut self, options: &Options, moment: Moment) -> Result<Opened, Trouble<S::Error>> {
        if self.is_importing(moment.now) {
            return Ok(Opened::Importing);
        }
        if self.is_over(moment.now) {
            self.destroy()?;
        }
        let Some(meta) = &mut self.meta else {
            // Who names no life gets the usual one, as far as the relay allows that.
            let ttl = options.ttl.unwrap_or(TTL_DEFAULT_S).min(self.settings.ttl_max);
            let options = Options { ttl: Some(ttl), ..options.clone() };
            self.meta = Some(Meta::create(&options, moment.dice, moment.now));
            self.meta_is_dirty = true;
            return Ok(Opened::Created);
        };
        if !meta.info.fits(options) {
            return Ok(Opened::Mismatch);
        }
        self.slide(moment.now);
        Ok(Opened::Found)
    }

    /// Counts a sliding life from now, and lets everybody hear of it.
    pub(super) fn slide(&mut self, now: u64) {
        if let Some(meta) = &mut self.meta
            && meta.info.slide(now)
        {
            self.batch.expires_at = Some(meta.info.expires_at);
            self.meta_is_dirty = true;
        }
    }

    /// Moves the expiry to `ttl` seconds from now, or makes a temporary datastore permanent. Gives
    /// what then holds; `None` where there is no datastore.
    pub fn alter(&mut self, ttl: Option<u32>, permanent: bool, now: u64) -> Option<&Info> {
        self.alive(now)?;
        let meta = self.meta.as_mut()?;
        if permanent {
            meta.info.kind = crate::datastore::Kind::Permanent;
            meta.info.live_until(now, meta.info.ttl);
        } else if let Some(ttl) = ttl {
            meta.info.ttl = ttl;
            meta.info.live_until(now, ttl);
        }
        self.batch.expires_at = Some(meta.info.expires_at);
        self.meta_is_dirty = true;
        Some(&meta.info)
    }

    /// Removes the datastore and all that it holds; every session that
    /// was welcomed to it hears that it is gone.
    ///
    /// # Errors
    /// When storage fails.
    pub fn destroy(&mut self) -> Result<(), Trouble<S::Error>> {
        self.storage.clear()?;
        self.meta = None;
        self.meta_is_dirty = false;
        (self.import, self.has_mark) = (None, false);
        self.ledger = Ledger::default();
        self.pools = Pools::default();
        self.batch = Batch::default();
        self.expire();
        Ok(())
    }

    /// Whether something is stored that nobody may see any more: what has expired, or what an import
    /// that came to nothing has left. It is to be removed with [`destroy`](Self::destroy).
    #[must_use]
    pub fn is_over(&self, now: u64) -> bool {
        let is_expired = |meta: &Meta| meta.info.is_expired(now);
        self.meta.as_ref().is_some_and(is_expired) || self.has_remains(now)
    }

    /// Closes every session of the life that is over; who has not said Hello yet belongs to none.
    pub(super) fn expire(&mut self) {
        let over = |(id, session): (&SessionId, &Session)| {
            (session.phase != Phase::Greeting).then_some(*id)
        };
        let all: Vec<SessionId> = self.sessions.iter().filter_map(over).collect();
        for id in all {
            self.leave(id);
            self.outputs.push(Output::Close { session: id, why: Close::Expired });
        }
    }
}
