//! A road, and who is at its end.

use std::collections::VecDeque;

use neap_core::{
    authority::SessionId,
    datastore::{Kind, Options},
    id::{ReplicaId, Seq},
    mutation::Condition,
    pool::Choice,
    replica::{OpKind, Replica},
};

use super::NOW;

/// No more is handed to a socket while so many bytes wait in it, as in the package.
pub(super) const SEND_BUFFER_BYTES: u64 = 1 << 20;
/// Where items are added.
const POOL: &str = "~p";
/// What networks still carry of a connection that is closed, in bytes.
pub(super) const STALE_BYTES: u64 = 64 * 1024;

/// What travels.
#[derive(Debug)]
pub(super) enum Word {
    Knock,
    Come,
    Frame(Box<[u8]>),
    Ping,
    Pong(String),
    Gone,
}

/// One way of a road, on which one word comes after the other.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) bytes_per_s: u64,
    pub(super) latency_ms: u64,
    /// When the last byte has left.
    pub(super) free_at: u64,
    /// What is on its way, and when it arrives.
    pub(super) words: VecDeque<(u64, SessionId, Word)>,
}

impl Way {
    pub(super) fn put(&mut self, now: u64, session: SessionId, word: Word) {
        let bytes = match &word {
            Word::Knock => 1_500,
            Word::Come => 4_500,
            Word::Frame(frame) => 40 + frame.len() as u64,
            Word::Ping | Word::Pong(_) | Word::Gone => 80,
        };
        self.free_at = self.free_at.max(now) + bytes * 1_000 / self.bytes_per_s;
        self.words.push_back((self.free_at + self.latency_ms, session, word));
    }

    pub(super) fn waiting(&self, now: u64) -> u64 {
        self.free_at.saturating_sub(now).saturating_mul(self.bytes_per_s) / 1_000
    }

    pub(super) fn cut(&mut self, now: u64) {
        self.words.clear();
        self.free_at = self.free_at.min(now + STALE_BYTES * 1_000 / self.bytes_per_s);
    }

    pub(super) fn take(&mut self, now: u64) -> Option<(SessionId, Word)> {
        self.words.pop_front_if(|(at, ..)| *at <= now).map(|(_, session, word)| (session, word))
    }
}

/// How the connections of a road end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Death {
    Never,
    AfterBytes(u64),
    AfterMs(u64),
    /// Nothing arrives any more, and nobody is told.
    Silent(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Waits,
    Connects,
    Open,
}

/// A replica at the end of its road, with the package around it.
#[derive(Debug)]
pub(super) struct Traveller {
    pub(super) replica: Replica,
    pub(super) up: Way,
    pub(super) down: Way,
    pub(super) death: Death,
    pub(super) state: State,
    pub(super) session: SessionId,
    /// When it connects, or gives up to.
    pub(super) due: u64,
    pub(super) began: u64,
    pub(super) carried: u64,
    pub(super) retries: u32,
    pub(super) ping_at: u64,
    pub(super) pong_due: Option<u64>,
    /// How many connections it has had.
    pub(super) connections: u64,
}

impl Traveller {
    pub(super) fn new(name: u8, [up, down]: [u64; 2], latency_ms: u64, death: Death) -> Self {
        let way = |bytes_per_s| Way { bytes_per_s, latency_ms, free_at: 0, words: VecDeque::new() };
        let options = Options { kind: Some(Kind::Permanent), ..Options::default() };
        let ids = [ReplicaId([name; 16]), ReplicaId([name + 100; 16])];
        let mut replica = Replica::new(ids[0], ids[1], 7, options);
        let is_open = replica.open_pool(POOL, Choice::default());
        assert_eq!(is_open, Ok(true));
        Traveller {
            replica,
            up: way(up),
            down: way(down),
            death,
            state: State::Waits,
            session: 0,
            due: NOW,
            began: 0,
            carried: 0,
            retries: 0,
            ping_at: 0,
            pong_due: None,
            connections: 0,
        }
    }

    pub(super) fn set(&mut self, key: &str, bytes: usize) {
        let data = format!(r#"{{"id":"{key}","t":"{}"}}"#, "x".repeat(bytes));
        let turn = self.replica.mutate(OpKind::Set, "c", key, &data, Condition::None);
        self.replica.durable(turn.unwrap_or_default());
    }

    pub(super) fn add(&mut self, key: &str, bytes: usize) {
        let item = format!(r#"[{{"id":"{key}","t":"{}"}}]"#, "x".repeat(bytes));
        let turn = self.replica.add(POOL, &item).ok().flatten();
        self.replica.durable(turn.unwrap_or_default());
    }

    /// How many items it knows of the pool, once all members know the same.
    pub(super) fn converged(&self) -> Option<usize> {
        let state = self.replica.pool_state(POOL).filter(|state| state.converged)?;
        (state.seq > Seq::ZERO).then(|| self.replica.size(POOL))
    }

    pub(super) fn is_in_a_hole(&self, now: u64) -> bool {
        matches!(self.death, Death::Silent(ms) if self.state != State::Waits && now >= self.began + ms)
    }

    /// When something happens next.
    pub(super) fn next(&self) -> u64 {
        let mut next = match self.state {
            State::Waits | State::Connects => self.due,
            State::Open => self.ping_at,
        };
        if self.state == State::Open {
            let death = match self.death {
                Death::AfterMs(ms) => Some(self.began + ms),
                Death::Never | Death::AfterBytes(_) | Death::Silent(_) => None,
            };
            let all = [self.pong_due, self.replica.deadline(), death];
            next = all.into_iter().flatten().fold(next, u64::min);
            if self.up.waiting(next) >= SEND_BUFFER_BYTES / 2 {
                // There will be room again.
                next =
                    next.min(self.up.free_at - SEND_BUFFER_BYTES / 2 * 1_000 / self.up.bytes_per_s);
            }
        }
        let words = [self.up.words.front(), self.down.words.front()];
        words.into_iter().flatten().fold(next, |next, (at, ..)| next.min(*at))
    }
}
