//! What sessions show each other while they are connected. It is kept beside their sockets, takes no
//! seq and no row, and is told at intervals, so that nobody floods the others.

use alloc::{boxed::Box, collections::BTreeSet, vec::Vec};

use super::{
    Authority, Close, Output, SessionId,
    session::{Phase, Session},
};
use crate::{
    limits::{PAGE_BYTES, PRESENCE_MS},
    storage::Storage,
    value::check_value,
    wire::{self, Down, Presence, Shown},
};

/// Of whom there is news, and when the last was told.
#[derive(Debug, Default)]
pub(super) struct News {
    of: BTreeSet<SessionId>,
    /// In milliseconds since 1970, both.
    now: u64,
    told_at: u64,
}

impl News {
    pub(super) fn note(&mut self, id: SessionId) {
        self.of.insert(id);
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, now: u64) {
        self.now = self.now.max(now);
    }

    fn due(&self) -> Option<u64> {
        (!self.of.is_empty()).then(|| self.told_at.saturating_add(PRESENCE_MS))
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

    /// Tells those who are live what has changed, unless something was told a moment ago. Nobody hears
    /// of what he shows himself.
    pub(super) fn tell_presence(&mut self) {
        if self.presence.due().is_none_or(|due| self.presence.now < due) {
            return;
        }
        self.presence.told_at = self.presence.now;
        let of = core::mem::take(&mut self.presence.of);
        let mut news = Vec::with_capacity(of.len());
        for id in &of {
            let session = self.sessions.get(id).cloned();
            if let Some(session) = &session {
                self.remember(*id, session);
            }
            news.push(Shown { who: *id, state: session.and_then(|session| session.shows) });
        }
        let live =
            |(id, session): (&SessionId, &Session)| (session.phase == Phase::Live).then_some(*id);
        let live: Vec<SessionId> = self.sessions.iter().filter_map(live).collect();
        for id in &live {
            self.set_sees(*id, true);
        }
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

    /// Tells a session that has become live all that the others show, unless it knows that nobody does; gives how
    /// many bytes that is.
    pub(super) fn tell_all_presence(&mut self, id: SessionId) -> usize {
        let Some(session) = self.sessions.get(&id).filter(|session| session.phase == Phase::Live)
        else {
            return 0;
        };
        let others = self.sessions.iter().filter(|(other, _)| **other != id);
        let shown = others.filter_map(|(other, session)| {
            session.shows.clone().map(|state| Shown { who: *other, state: Some(state) })
        });
        let shown: Vec<Shown> = shown.collect();
        if shown.is_empty() && !session.sees {
            return 0;
        }
        self.set_sees(id, !shown.is_empty());
        // Nobody owes the reading of it: else who hears of many would fall behind and ask for it again.
        let each = frames(true, shown);
        let bytes = each.iter().map(|frame| frame.len()).sum();
        let each = each.into_iter().map(|frame| Output::Send { to: alloc::vec![id], frame });
        self.outputs.extend(each);
        bytes
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

/// Encodes states into frames of a bounded size; none where there is nothing to say.
fn frames(is_whole: bool, states: impl IntoIterator<Item = Shown>) -> Vec<Box<[u8]>> {
    let mut frames = Vec::new();
    let mut frame = Presence { is_whole, shown: Vec::new() };
    let mut size = 0;
    for shown in states {
        size += shown.state.as_ref().map_or(0, |state| state.len()) + size_of::<Shown>();
        frame.shown.push(shown);
        if size >= PAGE_BYTES {
            let next = Presence { is_whole: false, shown: Vec::new() };
            let full = core::mem::replace(&mut frame, next);
            frames.push(wire::encode_down(&Down::Presence(full), &[]));
            size = 0;
        }
    }
    if frame.is_whole || !frame.shown.is_empty() {
        frames.push(wire::encode_down(&Down::Presence(frame), &[]));
    }
    frames
}
