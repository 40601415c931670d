//! The sockets of an object, and what is kept beside each of them while the object sleeps.

use std::collections::HashMap;

use js_sys::Uint8Array;
use neap_core::{
    authority::{self, SessionId},
    limits::{BACKLOG_BYTES_MAX, BACKLOG_STEP_BYTES, INTEGER_MAX},
};

use crate::platform::{Socket, dice};

/// The socket of a session.
pub(super) struct Link {
    pub(super) socket: Socket,
    /// When its admission ends, in milliseconds since 1970.
    pub(super) until: u64,
    /// Bytes sent since its backlog was looked at.
    unseen: usize,
}

impl Link {
    pub(super) fn new(socket: Socket, until: u64) -> Self {
        Link { socket, until, unseen: 0 }
    }

    /// Whether a frame of this size may be sent, or the socket is too far behind.
    pub(super) fn keeps_up(&mut self, bytes: usize) -> bool {
        self.unseen = self.unseen.saturating_add(bytes);
        if self.unseen < BACKLOG_STEP_BYTES {
            return true;
        }
        self.unseen = 0;
        self.socket.backlog() <= BACKLOG_BYTES_MAX as f64
    }

    /// Keeps the session beside the socket: its name, the end of its admission, its bytes.
    pub(super) fn remember(&self, id: SessionId, session: &[u8]) -> bool {
        let mut bytes = Vec::with_capacity(session.len().saturating_add(HEAD));
        bytes.extend_from_slice(&id.to_le_bytes());
        bytes.extend_from_slice(&self.until.to_le_bytes());
        bytes.extend_from_slice(session);
        self.socket.attach(&Uint8Array::from(bytes.as_slice())).is_ok()
    }
}

/// Bytes before those of the session.
const HEAD: usize = 16;

/// Reads what was kept beside a socket.
pub(super) fn recall(socket: Socket) -> Option<(SessionId, Link, Vec<u8>)> {
    let bytes = socket.attached()?;
    let (id, rest) = bytes.split_first_chunk()?;
    let (until, session) = rest.split_first_chunk()?;
    let link = Link::new(socket, u64::from_le_bytes(*until));
    Some((SessionId::from_le_bytes(*id), link, session.to_vec()))
}

/// Whether others must hear of the end of the session whose bytes were kept beside a socket.
pub(super) fn is_missed(kept: &[u8]) -> bool {
    kept.get(HEAD..).is_some_and(authority::is_missed)
}

/// A name for a new session: random, so that none ever comes again, and exact as a double.
pub(super) fn mint() -> SessionId {
    SessionId::from_le_bytes(dice()) & INTEGER_MAX
}

/// The session of a socket. The attachment has it; the socket object has it handier.
pub(super) fn session_of(socket: &Socket) -> Option<SessionId> {
    if let Ok(Some(name)) = socket.session() {
        return Some(name as SessionId);
    }
    let bytes = socket.attached()?;
    let id = SessionId::from_le_bytes(*bytes.first_chunk()?);
    let _ = socket.set_session(id as f64);
    Some(id)
}

/// A code that may be sent in answer to a close frame (RFC 6455, section 7.4.1).
pub(crate) fn sanitised(code: f64) -> u16 {
    // A cast from a float saturates.
    match code as u16 {
        code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => code,
        _ => 1000,
    }
}

/// The sockets of all sessions.
#[derive(Default)]
pub(super) struct Links {
    pub(super) all: HashMap<SessionId, Link>,
}

impl Links {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn add(&mut self, id: SessionId, link: Link) {
        self.all.insert(id, link);
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<Link> {
        self.all.remove(&id)
    }

    /// When the first admission ends; `None` when none ever does.
    pub(super) fn first_until(&self) -> Option<u64> {
        self.all.values().map(|link| link.until).min().filter(|until| *until < u64::MAX)
    }
}
