//! How fast sessions may write. Each has a bucket, and so has each subject, in memory alone: who sleeps
//! fills them. An honest replica paces itself by what it is told, so who overdraws is closed.

use alloc::{collections::BTreeMap, vec::Vec};

use super::{
    Authority, SessionId,
    session::{Phase, Session},
};
use crate::{
    datastore::Totals,
    limits::{
        AGAIN_BURST, AGAIN_PER_SECOND, FRAMES_BURST, FRAMES_PER_SECOND, GREETING_MS,
        RATE_PAYERS_MAX, RATE_SLACK_MS,
    },
    rate::{Bucket, Cost, Rate, Rates},
    storage::Storage,
    wire::{self, BadFrame, Close, Down, Up},
};

/// Frames of which each is work, though it mutates nothing.
const OTHERS: Rate = Rate { per_second: FRAMES_PER_SECOND, burst: FRAMES_BURST };

impl<S: Storage> Authority<S> {
    /// Takes what a frame costs its session and its subject; `false` when that is too fast.
    pub(super) fn afford(&mut self, id: SessionId, cost: Cost, now: u64) -> bool {
        let (now, slack) = (now.saturating_mul(1_000), RATE_SLACK_MS * 1_000);
        let rates = self.settings.rates;
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        let others = u64::from(cost.mutations == 0);
        let Ok(others) = OTHERS.take(session.others, others, now, 0) else { return false };
        let Ok(bucket) = rates.take(session.bucket, cost, now, slack) else { return false };
        (session.others, session.bucket) = (others, bucket);
        let subject = session.admission.subject;
        if subject == 0 {
            return true;
        }
        let can = self.subjects.take(&rates, subject, cost, now, slack).is_ok();
        if can && (self.costs.len() < RATE_PAYERS_MAX || self.costs.contains_key(&subject)) {
            let sum = self.costs.entry(subject).or_default();
            sum.mutations = sum.mutations.saturating_add(cost.mutations);
            sum.bytes = sum.bytes.saturating_add(cost.bytes);
        }
        can
    }

    /// What the sessions of subjects have taken since this was last asked. It counts where those speak over HTTP too; the
    /// sessions themselves, which pace themselves by what they were told, are never too fast for what came there.
    pub fn take_costs(&mut self) -> BTreeMap<u64, Cost> {
        core::mem::take(&mut self.costs)
    }

    /// Takes from a session what it was given before, and ends it when that is too much. It could ask for ever, and
    /// each page costs reading it.
    pub(super) fn charge_again(&mut self, id: SessionId, bytes: usize, now: u64) {
        let held = self.meta.as_ref().map_or(0, |meta| {
            let Totals { bytes, item_bytes, .. } = meta.totals;
            bytes.saturating_add(item_bytes)
        });
        let burst = held.saturating_mul(2).saturating_add(AGAIN_BURST);
        let rate = Rate { per_second: AGAIN_PER_SECOND, burst };
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        match rate.take(session.again, bytes, now.saturating_mul(1_000), 0) {
            Ok(full_at) => session.again = full_at,
            Err(_) => self.close(id, Close::RateLimited, now),
        }
    }

    /// Takes what a session says in a text, which is no frame, as one that mutates nothing. `false` where that
    /// is too fast: the session is then closed.
    pub fn bear(&mut self, id: SessionId, bytes: usize, now: u64) -> bool {
        let cost = Cost { mutations: 0, bytes: bytes as u64 };
        let can = self.afford(id, cost, now);
        if !can {
            self.close(id, Close::RateLimited, now);
        }
        can
    }

    pub(super) fn subject_of(&self, id: SessionId) -> u64 {
        self.sessions.get(&id).map_or(0, |session| session.admission.subject)
    }

    /// What a new session of a subject may take, and what the subject has taken lately.
    pub(super) fn allowance(&self, id: SessionId, now: u64) -> (Rates, Bucket) {
        let subject = self.subject_of(id);
        if subject == 0 {
            return (self.settings.rates, Bucket::default());
        }
        let debt = self.subjects.of(subject).debt(now.saturating_mul(1_000));
        let speakers = self.speakers_of(subject).saturating_add(1);
        (self.settings.rates.share(parts(speakers)), debt)
    }

    /// Tells the sessions of a subject their share, when they were `before` and their number has changed
    /// enough: they know it in powers of two, so that many who come one by one are not told each time.
    pub(super) fn share_anew(&mut self, subject: u64, before: u64) {
        let after = parts(self.speakers_of(subject));
        if subject == 0 || after == parts(before) {
            return;
        }
        let is_of = |session: &Session| {
            session.admission.subject == subject && session.phase != Phase::Greeting
        };
        let of = self.sessions.iter().filter(|(_, session)| is_of(session)).map(|(id, _)| *id);
        let frame = wire::encode_down(&Down::Rates(self.settings.rates.share(after)), &[]);
        self.tell(of.collect(), frame);
    }

    /// How many sessions of a subject have said Hello.
    pub(super) fn speakers_of(&self, subject: u64) -> u64 {
        if subject == 0 {
            return 0;
        }
        let is_of = |session: &&Session| {
            session.admission.subject == subject && session.phase != Phase::Greeting
        };
        self.sessions.values().filter(is_of).count() as u64
    }

    /// Closes those who have not said Hello for too long.
    pub(super) fn dismiss(&mut self, now: u64) {
        let is_late = |id: &SessionId| {
            let since = self.sessions.get(id).map_or(now, |session| session.since);
            since.saturating_add(GREETING_MS) <= now
        };
        let late: Vec<SessionId> = self.greeting.iter().copied().filter(is_late).collect();
        for id in late {
            self.close(id, Close::TooSlow, now);
        }
    }
}

/// What a frame costs.
pub(super) fn cost_of(frame: &Result<Up<'_>, BadFrame>, bytes: &[u8]) -> Cost {
    let mutations = match frame {
        Ok(Up::Push(push)) => wire::split_block(push.block).count(),
        Ok(_) | Err(BadFrame) => 0,
    };
    Cost { mutations: mutations as u64, bytes: bytes.len() as u64 }
}

/// Among how many a rate is shared.
fn parts(sessions: u64) -> u64 {
    sessions.max(1).next_power_of_two()
}
