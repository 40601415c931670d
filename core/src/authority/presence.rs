//! What sessions show each other while they are connected. It is kept beside their sockets, takes no
//! seq and no row, and is told at intervals, so that nobody floods the others.

use alloc::{boxed::Box, collections::BTreeSet, vec::Vec};

use super::{
    Authority, Close, Output, SessionId,
    session::{Phase, Session},
};
use crate::{
    limits::{PAGE_BYTES, PRESENCE_MS, PRESENCE_TELLING_BYTES},
    storage::Storage,
    value::check_value,
    wire::{self, Down, Presence, Shown},
};

/// Of whom there is news, who is to be told everything, and when the last was told.
#[derive(Debug, Default)]
pub(super) struct News {
    of: BTreeSet<SessionId>,
    /// With whom the next telling begins, so that nobody is left out for ever where it does not reach all.
    first: SessionId,
    /// Who has become live.
    joined: Vec<SessionId>,
    /// In milliseconds since 1970, both.
    now: u64,
    told_at: u64,
}

impl News {
    pub(super) fn note(&mut self, id: SessionId) {
        self.of.insert(id);
    }

    /// Takes note of who has become live.
    pub(super) fn join(&mut self, id: SessionId) {
        if !self.joined.contains(&id) {
            self.joined.push(id);
        }
    }

    /// Takes the time. A clock that was set back silences nobody until it is where it was.
    pub(super) fn pass(&mut self, now: u64) {
        self.now = now;
        self.told_at = self.told_at.min(now);
    }

    fn due(&self) -> Option<u64> {
        let is_empty = self.of.is_empty() && self.joined.is_empty();
        (!is_empty).then(|| self.told_at.saturating_add(PRESENCE_MS))
    }
}

/// Whether others must hear of a session's end, going by the bytes of its last [`Output::Remember`]: it
/// shows them something, or has a pool open.
#[must_use]
pub fn is_missed(bytes: &[u8]) -> bool {
    let is_missed = |session: Session| session.shows.is_some() || !session.pools.is_empty();
    wire::decode_stored::<Session>(bytes).is_ok_and(is_missed)
}

impl<S: Storage> Authority<S> {
    /// Tells the time, in milliseconds since 1970, where no frame does: before each commit. So what
    /// was still to be told at the end is not told after it.
    pub fn tick(&mut self, now: u64) {
        self.presence.pass(now);
        self.dismiss(now);
        if self.alive(now).is_none() {
            self.expire();
        }
    }

    /// When [`commit`](Self::commit) has presence to tell, in milliseconds since 1970; `None` when
    /// there is nothing to tell.
    #[must_use]
    pub fn presence_due(&self) -> Option<u64> {
        self.presence.due()
    }

    /// Takes what a session shows from now on.
    pub(super) fn show(&mut self, id: SessionId, state: Option<&str>, now: u64) {
        if state.is_some_and(|state| check_value(state, None).is_err()) {
            self.close(id, Close::BadRequest, now);
            return;
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.shows = state.map(Box::from);
            self.presence.note(id);
        }
    }

    /// Tells those who have become live what there is and, unless something was told a moment ago, all who
    /// are live what has changed. Nobody hears of what he shows himself.
    pub(super) fn tell_presence(&mut self) {
        self.tell_joined();
        if self.presence.due().is_none_or(|due| self.presence.now < due) {
            return;
        }
        self.presence.told_at = self.presence.now;
        let news = self.take_news();
        if news.is_empty() {
            return;
        }
        for shown in &news {
            if let Some(session) = self.sessions.get(&shown.who).cloned() {
                self.remember(shown.who, &session);
            }
        }
        let live =
            |(id, session): (&SessionId, &Session)| (session.phase == Phase::Live).then_some(*id);
        let live: Vec<SessionId> = self.sessions.iter().filter_map(live).collect();
        for id in &live {
            self.set_sees(*id, true);
        }
        let of: BTreeSet<SessionId> = news.iter().map(|shown| shown.who).collect();
        let (speakers, readers): (Vec<_>, Vec<_>) =
            live.into_iter().partition(|id| of.contains(id));
        for id in speakers {
            let others = news.iter().filter(|shown| shown.who != id).cloned();
            for frame in frames(false, others) {
                self.tell(alloc::vec![id], frame);
            }
        }
        for frame in frames(false, news) {
            self.tell(readers.clone(), frame);
        }
    }

    /// Takes of whom is told now, of one at least. Each of them is told of the others in frames of its own,
    /// so a crowd is told of in turns.
    fn take_news(&mut self) -> Vec<Shown> {
        let mut news: Vec<Shown> = Vec::new();
        let mut bytes = 0;
        let (before, after) = (
            self.presence.of.range(..self.presence.first),
            self.presence.of.range(self.presence.first..),
        );
        for id in after.chain(before) {
            let state = self.sessions.get(id).and_then(|session| session.shows.clone());
            let shown = Shown { who: *id, state };
            bytes += size(&shown);
            if !news.is_empty() && bytes * (news.len() + 1) > PRESENCE_TELLING_BYTES {
                self.presence.first = *id;
                break;
            }
            news.push(shown);
        }
        for shown in &news {
            self.presence.of.remove(&shown.who);
        }
        news
    }

    /// Tells those who have become live all that the others show: who shows nothing together, and of the
    /// others, each of whom hears something else, as many as there is room for, those first who have waited longest.
    fn tell_joined(&mut self) {
        if self.presence.joined.is_empty() {
            return;
        }
        let all = self.sessions.iter().filter_map(|(who, session)| {
            session.shows.clone().map(|state| Shown { who: *who, state: Some(state) })
        });
        let all: Vec<Shown> = all.collect();
        let bytes: usize = all.iter().map(size).sum();
        let (mut room, mut readers) = (PRESENCE_TELLING_BYTES, Vec::new());
        for id in core::mem::take(&mut self.presence.joined) {
            let session = self.sessions.get(&id).filter(|session| session.phase == Phase::Live);
            let Some(session) = session else { continue };
            if session.shows.is_none() {
                readers.push(id);
            } else if room == PRESENCE_TELLING_BYTES || bytes <= room {
                room = room.saturating_sub(bytes);
                let others = all.iter().filter(|shown| shown.who != id).cloned();
                self.tell_whole(alloc::vec![id], others.collect());
            } else {
                self.presence.joined.push(id);
            }
        }
        self.tell_whole(readers, all);
    }

    /// Tells sessions all that is shown, unless they know that nothing is.
    fn tell_whole(&mut self, mut to: Vec<SessionId>, shown: Vec<Shown>) {
        let sees = |id: &SessionId| self.sessions.get(id).is_some_and(|session| session.sees);
        to.retain(|id| !shown.is_empty() || sees(id));
        if to.is_empty() {
            return;
        }
        for id in &to {
            self.set_sees(*id, !shown.is_empty());
        }
        // Nobody owes the reading of it: else who hears of many would fall behind and ask for it again.
        let each = frames(true, shown).into_iter();
        self.outputs.extend(each.map(|frame| Output::Send { to: to.clone(), frame }));
    }

    fn set_sees(&mut self, id: SessionId, sees: bool) {
        if let Some(session) = self.sessions.get_mut(&id)
            && session.sees != sees
        {
            session.sees = sees;
            let session = session.clone();
            self.remember(id, &session);
        }
    }
}

/// About what a state comes to in a frame.
fn size(shown: &Shown) -> usize {
    shown.state.as_ref().map_or(0, |state| state.len()) + size_of::<Shown>()
}

/// Encodes states into frames of a bounded size; none where there is nothing to say.
fn frames(is_whole: bool, states: impl IntoIterator<Item = Shown>) -> Vec<Box<[u8]>> {
    let mut frames = Vec::new();
    let mut frame = Presence { is_whole, shown: Vec::new() };
    let mut bytes = 0;
    for shown in states {
        bytes += size(&shown);
        frame.shown.push(shown);
        if bytes >= PAGE_BYTES {
            let next = Presence { is_whole: false, shown: Vec::new() };
            let full = core::mem::replace(&mut frame, next);
            frames.push(wire::encode_down(&Down::Presence(full), &[]));
            bytes = 0;
        }
    }
    if frame.is_whole || !frame.shown.is_empty() {
        frames.push(wire::encode_down(&Down::Presence(frame), &[]));
    }
    frames
}
