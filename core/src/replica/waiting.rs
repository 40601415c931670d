//! What a replica waits for, and for how long.

use super::{Phase, Reconnect, Replica};
use crate::limits::{PATIENCE_DOUBLINGS_MAX, RESEND_MS};

/// Since when something is awaited, which is from now on where nobody has noted it. A clock that was set back
/// is no reason to wait until it has caught up.
pub(super) fn waits_from(since: &mut Option<u64>, now: u64) -> u64 {
    *since.insert(since.map_or(now, |since| since.min(now)))
}

impl Replica {
    /// How long the relay may take to answer, in milliseconds. A page over a slow road takes long, and shows nothing of
    /// itself until it is there: after each silence it may take twice as long, until an answer comes in the usual time
    /// or all pages are there. Welcome is short: where it does not come the road is not slow, but dead.
    #[must_use]
    pub fn patience(&self) -> u64 {
        if self.phase == Phase::Greeting { RESEND_MS } else { RESEND_MS << self.doublings }
    }

    pub(super) fn was_silent(&mut self) {
        self.doublings = (self.doublings + 1).min(PATIENCE_DOUBLINGS_MAX);
    }

    /// What was awaited has come; what is awaited now has its own time.
    pub(super) fn answered(&mut self) {
        self.waits_since = None;
        self.has_asked_twice = false;
    }

    pub(super) fn is_waiting(&self) -> bool {
        match self.phase {
            Phase::Offline | Phase::Stopped => false,
            Phase::Greeting | Phase::CatchingUp => true,
            Phase::Live => self.authors.iter().any(|author| author.pushed > author.settled),
        }
    }

    /// When [`tick`](Self::tick) wants to be called, in milliseconds since 1970; zero when it wants to
    /// be told the time at once.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        let answer = self.waits_since.map_or(0, |since| since + self.patience());
        let due = self.is_waiting().then_some(answer).into_iter();
        due.chain(self.pool_deadline()).chain(self.pace_deadline()).min()
    }

    /// Tells the time: what the relay should have answered long ago is asked again.
    ///
    /// # Errors
    /// When the connection seems dead and the shell must open another one.
    pub fn tick(&mut self, now: u64) -> Result<(), Reconnect> {
        self.pace.pass(now);
        self.tick_pools(now);
        if !self.is_waiting() {
            return Ok(());
        }
        let patience = self.patience();
        if now < waits_from(&mut self.waits_since, now) + patience {
            return Ok(());
        }
        if self.phase != Phase::Live || self.has_asked_twice {
            if self.phase != Phase::Greeting {
                self.was_silent();
            }
            return Err(Reconnect::Silence);
        }
        self.waits_since = Some(now);
        self.has_asked_twice = true;
        for author in &mut self.authors {
            author.pushed = author.settled;
        }
        Ok(())
    }
}
