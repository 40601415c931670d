//! What is told to whom, and how much of it before it has been read: a reader that stalls costs a bounded
//! number of bytes, and one catch-up once it reads again.

use alloc::{boxed::Box, vec::Vec};

use super::{
    Authority, Output, SessionId,
    session::{Phase, Session},
};
use crate::{
    storage::Storage,
    wire::{self, Delta, Down},
};

impl<S: Storage> Authority<S> {
    /// Lets sessions fall behind after another number of unread bytes than usual, for tests.
    pub fn set_unread_max(&mut self, bytes: u64) {
        self.unread_max = bytes;
    }

    /// Turns what was gathered into deltas for the sessions that are live now.
    pub(super) fn seal(&mut self) {
        let mut batch = core::mem::take(&mut self.batch);
        // Before what settles them, so that no item is seen twice or not at all in between.
        self.tell_additions(core::mem::take(&mut batch.additions));
        let Some(meta) = self.meta.as_ref().filter(|_| !batch.is_empty()) else {
            return;
        };
        let changes = wire::encode_changes(batch.rows.iter().map(Into::into));
        let frame = |settled| {
            let delta = Delta {
                from: batch.from.unwrap_or(meta.head),
                to: meta.head,
                digest: meta.totals.digest,
                expires_at: batch.expires_at,
                settled,
            };
            wire::encode_down(&Down::Delta(delta), &changes)
        };
        let news_for_all = !batch.rows.is_empty() || batch.expires_at.is_some();
        let mut readers = Vec::new();
        let mut authors = Vec::new();
        for (id, session) in &self.sessions {
            if session.phase != Phase::Live {
                continue;
            }
            let settled = session.settled(&batch.settled);
            if !settled.is_empty() {
                authors.push((*id, frame(settled)));
            } else if news_for_all {
                readers.push(*id);
            }
        }
        let shared = (!readers.is_empty()).then(|| frame(Vec::new()));
        for (id, frame) in authors {
            self.tell(alloc::vec![id], frame);
        }
        if let Some(frame) = shared {
            self.tell(readers, frame);
        }
    }

    /// Answers a session, whatever it has yet to read: it has asked.
    pub(super) fn send(&mut self, to: SessionId, frame: &Down, changes: &[u8]) {
        let frame = wire::encode_down(frame, changes);
        self.owe(to, frame.len());
        self.outputs.push(Output::Send { to: alloc::vec![to], frame });
    }

    /// Tells sessions what they have not asked for; who has too much unread falls behind instead.
    pub(super) fn tell(&mut self, mut to: Vec<SessionId>, frame: Box<[u8]>) {
        let mut slow = Vec::new();
        let size = u64::try_from(frame.len()).unwrap_or(u64::MAX);
        to.retain(|id| {
            let unread = self.sessions.get(id).map_or(0, |session| session.unread);
            // To whoever has read everything even the largest frame may go.
            let keeps_up = unread == 0 || unread.saturating_add(size) <= self.unread_max;
            if keeps_up {
                self.owe(*id, frame.len());
            } else {
                slow.push(*id);
            }
            keeps_up
        });
        if !to.is_empty() {
            self.outputs.push(Output::Send { to, frame });
        }
        for id in slow {
            // Whoever is catching up will hear of it by the last page.
            if self.sessions.get(&id).is_some_and(|session| session.phase == Phase::Live) {
                self.fall_behind(id);
            }
        }
    }

    /// Counts what a session was sent.
    fn owe(&mut self, id: SessionId, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.set_unread(id, |unread| unread.saturating_add(bytes));
    }

    /// Takes a session's word for what it has read.
    pub(super) fn has_read(&mut self, id: SessionId, bytes: u64) {
        if let Some(session) = self.sessions.get_mut(&id) {
            for page in &mut session.unturned {
                page.unread = page.unread.saturating_sub(bytes);
            }
        }
        self.set_unread(id, |unread| unread.saturating_sub(bytes));
    }

    /// What is kept for a sleep follows in steps: exact enough for a bound, and next to no work.
    fn set_unread(&mut self, id: SessionId, to: impl FnOnce(u64) -> u64) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let step = (self.unread_max / 4).max(1);
        let before = session.unread;
        session.unread = to(before);
        if before / step != session.unread / step {
            let session = session.clone();
            self.remember(id, &session);
        }
    }

    /// Lets a session whose connection does not keep up hear nothing more until it asks, and tells it
    /// so. The shell calls this when it has not sent a frame for that reason, and carries out what
    /// [`commit`](Self::commit) then gives.
    pub fn fall_behind(&mut self, id: SessionId) {
        let is_greeting = |session: &Session| session.phase == Phase::Greeting;
        if self.sessions.get(&id).is_none_or(is_greeting) {
            return;
        }
        self.set_behind(id);
        self.send(id, &Down::Behind, &[]);
    }
}
