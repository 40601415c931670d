//! What a replica waits for, and for how long.

use super::{Phase, Reconnect, Replica};
use crate::{id::Turn, limits::RESEND_MS};

/// Since when something is awaited, which is from now on where nobody has noted it. A clock that was set back
/// is no reason to wait until it has caught up.
pub(super) fn waits_from(since: &mut Option<u64>, now: u64) -> u64 {
    *since.insert(since.map_or(now, |since| since.min(now)))
}

impl Replica {
    /// How long what is awaited may take, in milliseconds. A page over a slow road takes long, and shows nothing of itself
    /// until it is there; so does the outcome of a large push. After each silence it may take twice as long, until one comes
    /// in the usual time. Welcome is short: where it does not come the road is not slow, but dead.
    #[must_use]
    pub fn patience(&self) -> u64 {
        match self.phase {
            Phase::CatchingUp => self.road.patience_down(),
            Phase::Live => {
                // An outcome comes behind the page of a pool that was asked for.
                let up = if self.is_waiting() { self.road.patience_up() } else { RESEND_MS };
                let down = if self.is_asking_pools() { self.road.patience_down() } else { 0 };
                up.max(down)
            }
            Phase::Offline | Phase::Stopped | Phase::Greeting => RESEND_MS,
        }
    }

    /// Hears that something has come, in the phase that was, and what was settled before.
    pub(super) fn has_come(&mut self, phase: Phase, settled: Turn, now: u64) {
        let ms = self.waits_since.map_or(0, |since| now.saturating_sub(since));
        if self.settled() > settled {
            let settled = self.settled();
            self.road.landed(settled, ms);
        }
        match phase {
            Phase::Greeting => self.road.greeted(ms),
            Phase::CatchingUp => self.road.turned(ms),
            Phase::Offline | Phase::Live | Phase::Stopped => {}
        }
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
            match self.phase {
                Phase::CatchingUp => self.road.was_silent_down(),
                Phase::Live => self.road.was_silent_up(),
                Phase::Greeting | Phase::Offline | Phase::Stopped => {}
            }
            return Err(Reconnect::Silence);
        }
        self.waits_since = Some(now);
        self.has_asked_twice = true;
        if self.road.is_nearly_clear() {
            self.road.is_cut();
            for author in &mut self.authors {
                author.pushed = author.settled;
            }
        } else {
            // It may still be on its way, and would be twice.
            self.road.was_silent_up();
        }
        Ok(())
    }
}
