//! The sockets of a shard, and what waits to be sent on each.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    body::Bytes,
    extract::ws::{CloseFrame, Message},
};
use neap_core::{authority::SessionId, id::Name, limits::BACKLOG_BYTES_MAX};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The socket of a session, as its shard sees it. Dropping it ends the socket's writer.
#[derive(Debug)]
pub(crate) struct Link {
    outbox: UnboundedSender<Message>,
    waiting: Waiting,
    /// The datastore.
    pub(crate) id: Name,
    /// When its admission ends, in milliseconds since 1970.
    pub(crate) until: u64,
}

/// Bytes that wait to be sent.
type Waiting = Arc<AtomicUsize>;

/// What a socket's writer is to send.
#[derive(Debug)]
pub(crate) struct Mail {
    inbox: UnboundedReceiver<Message>,
    waiting: Waiting,
}

impl Mail {
    /// The next message; `None` when there will be no more.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        self.inbox.recv().await
    }

    /// Tells that so many bytes wait no more.
    pub(crate) fn sent(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Link {
    pub(crate) fn new(id: Name, until: u64) -> (Link, Mail) {
        let (outbox, inbox) = unbounded_channel();
        let waiting = Waiting::default();
        (Link { outbox, waiting: Arc::clone(&waiting), id, until }, Mail { inbox, waiting })
    }

    /// Whether it may be sent more, or is too far behind.
    pub(crate) fn keeps_up(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) <= BACKLOG_BYTES_MAX
    }

    pub(crate) fn send(&self, frame: &Bytes) {
        self.put(Message::Binary(frame.clone()), frame.len());
    }

    /// Answers a ping, unless the peer does not read: then it knows by that.
    pub(crate) fn answer_ping(&self, text: String) {
        if self.keeps_up() {
            let size = text.len();
            self.put(Message::Text(text.into()), size);
        }
    }

    /// Asks the peer whether it is there.
    pub(crate) fn probe(&self) {
        self.put(Message::Ping(Bytes::new()), 0);
    }

    /// Closes it behind what still waits.
    pub(crate) fn close(self, code: u16, reason: &'static str) {
        self.put(close(code, reason), 0);
    }

    fn put(&self, message: Message, size: usize) {
        self.waiting.fetch_add(size, Ordering::Relaxed);
        // A socket whose writer is gone tells so by itself.
        let _ = self.outbox.send(message);
    }
}

/// A close frame.
pub(crate) fn close(code: u16, reason: &'static str) -> Message {
    Message::Close(Some(CloseFrame { code, reason: reason.into() }))
}

/// The sockets of all sessions of a shard.
pub(crate) type Links = HashMap<SessionId, Link>;

/// When the first admission ends; `None` when none ever does.
pub(crate) fn first_until(links: &Links) -> Option<u64> {
    links.values().map(|link| link.until).min().filter(|until| *until < u64::MAX)
}
