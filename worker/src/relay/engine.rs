//! The authority with the sockets of its sessions, and how what it says gets out.

use std::fmt;

use js_sys::Uint8Array;
use neap_core::{
    authority::{Authority, Output, SessionId, Settings, Stats, Trouble},
    limits::TOKEN_SLACK_MS,
    wire::{PING, Pong},
};
use neap_http::Answer;
use wasm_bindgen::JsValue;

use super::{
    Machine,
    links::{self, Link, Links},
};
use crate::{
    log::{Event, Log},
    platform::{self, AutoResponse, Socket, State, Undone},
    storage::{Failure, SqlRows},
};

/// The authority and the sockets of its sessions.
pub(super) struct Engine {
    pub(super) machine: Machine,
    pub(super) links: Links,
    /// What the platform's answer to a ping says.
    announced: Option<Pong>,
}

impl Engine {
    /// Builds it from what is stored, and from the sockets that outlived a sleep.
    pub(super) fn build(state: &State, bounds: Settings) -> Result<Engine, Fault> {
        let rows = SqlRows::new(state.storage()?.sql()?);
        let mut engine = Engine {
            machine: Authority::load(rows, bounds)?,
            links: Links::default(),
            announced: None,
        };
        for socket in state.sockets()? {
            engine.take_back(socket);
        }
        Ok(engine)
    }

    /// Takes back the session of a socket. One that is gone by now leaves, so that the others hear of it.
    pub(super) fn take_back(&mut self, socket: Socket) {
        let is_open = socket.is_open();
        match links::recall(socket.clone()) {
            Some((id, link, session)) => {
                self.machine.restore(id, &session);
                if is_open {
                    self.links.add(id, link);
                } else {
                    self.machine.disconnect(id, platform::now());
                }
            }
            None if is_open => drop(socket.close(1011, "internal")),
            None => {}
        }
    }

    /// Lets the platform answer pings with how far the datastore has come: a client that has missed something learns
    /// of it without waking the object.
    pub(super) fn announce(&mut self, state: &State) {
        let now_at = self.machine.meta().map(Pong::of);
        if now_at == self.announced || (self.links.is_empty() && self.announced.is_none()) {
            return;
        }
        let Some(pong) = now_at else { return };
        let set = AutoResponse::new(PING, &pong.to_text())
            .and_then(|pair| state.set_auto_response(&pair));
        if set.is_ok() {
            self.announced = now_at;
        }
    }

    /// When something is due by itself, in milliseconds since 1970. Nothing is where nobody has opened
    /// the datastore: an alarm would leave a trace.
    pub(super) fn due(&self) -> Option<u64> {
        let upkeep = self.machine.upkeep_due();
        let expires_at = self.machine.meta().and_then(|meta| meta.info.expires_at);
        let overdue = self.links.first_until().map(|until| until.saturating_add(TOKEN_SLACK_MS));
        let expiry = expires_at.map(|last| last.saturating_add(1));
        // The platform takes no alarm at the very beginning of time, which upkeep calls at once.
        overdue.into_iter().chain(expiry).chain(upkeep).min().map(|due| due.max(1))
    }

    /// Carries out what a committed group has led to. One dead socket stops nobody else.
    pub(super) fn carry_out(&mut self, outputs: Vec<Output>, now: u64, log: &Log) {
        let mut slow = Vec::new();
        self.tell(outputs, now, &mut slow, log);
        if slow.is_empty() {
            return;
        }
        // What they were not sent they will ask for, once they have read all that still waits: the
        // frame that tells them stands behind it.
        for session in slow {
            self.machine.fall_behind(session);
        }
        // Nothing is unwritten, so this writes nothing and cannot fail; were it to, they would miss
        // something and find out by their next ping.
        if let Ok(outputs) = self.machine.commit() {
            self.tell(outputs, now, &mut Vec::new(), log);
        }
    }

    /// How the datastore stands, for the log.
    pub(super) fn stats(&self) -> Stats {
        let stats = self.machine.stats(platform::now()).unwrap_or_default();
        Stats { sockets: u64::try_from(self.links.len()).unwrap_or(u64::MAX), ..stats }
    }

    /// How many mutations have been refused.
    pub(super) fn refusals(&self) -> u64 {
        self.machine.meta().map_or(0, |meta| meta.counts.refusals)
    }

    fn tell(&mut self, outputs: Vec<Output>, now: u64, slow: &mut Vec<SessionId>, log: &Log) {
        let mut lost = Vec::new();
        for output in outputs {
            match output {
                Output::Send { to, frame } => self.send(&to, &frame, now, &mut lost, slow),
                Output::Remember { session, bytes } => {
                    let kept =
                        self.links.all.get(&session).map(|link| link.remember(session, &bytes));
                    if kept == Some(false) {
                        lost.push((session, 1011, "internal"));
                    }
                }
                Output::Close { session, why } => {
                    if let Some(link) = self.links.remove(session) {
                        let _ = link.socket.close(why.code(), why.reason());
                        log.tell(Event::Refusal, why.reason(), 1, Stats::default());
                    }
                }
            }
        }
        for (session, code, reason) in lost {
            self.end(session, code, reason);
        }
    }

    fn send(
        &mut self,
        to: &[SessionId],
        frame: &[u8],
        now: u64,
        lost: &mut Vec<(SessionId, u16, &'static str)>,
        slow: &mut Vec<SessionId>,
    ) {
        // Copied out of this memory once, for all receivers.
        let bytes = Uint8Array::from(frame);
        for session in to {
            let Some(link) = self.links.all.get_mut(session) else { continue };
            if link.until < now {
                lost.push((*session, 4401, "unauthorized"));
            } else if slow.contains(session) || !link.keeps_up(frame.len()) {
                if !slow.contains(session) {
                    slow.push(*session);
                }
            } else {
                // A socket whose peer is gone tells so by its close event.
                let _ = link.socket.send(&bytes);
                #[cfg(feature = "contract")]
                crate::contract::count(|counts| &counts.frames, 1);
            }
        }
    }

    /// Takes another token of a session's bearer. What is to be kept of it follows with the commit.
    pub(super) fn renew(
        &mut self,
        settings: &neap_http::Settings,
        id: &str,
        session: SessionId,
        token: &str,
        now: u64,
    ) {
        match neap_http::renew(&mut self.machine, settings, id, session, token, now) {
            Some(Ok(until)) => {
                if let Some(link) = self.links.all.get_mut(&session) {
                    link.until = until;
                }
            }
            Some(Err((code, reason))) => self.end(session, code, reason),
            None => {}
        }
    }

    /// Ends the sessions whose admission is over.
    pub(super) fn end_overdue(&mut self, now: u64) {
        let overdue = |(id, link): (&SessionId, &Link)| (link.until < now).then_some(*id);
        let all: Vec<SessionId> = self.links.all.iter().filter_map(overdue).collect();
        for session in all {
            self.end(session, 4401, "unauthorized");
        }
    }

    pub(super) fn end(&mut self, session: SessionId, code: u16, reason: &str) {
        self.machine.disconnect(session, platform::now());
        if let Some(link) = self.links.remove(session) {
            let _ = link.socket.close(code, reason);
        }
    }
}

/// Why a group of jobs came to nothing.
pub(super) enum Fault {
    /// The authority, or its storage.
    Trouble(Trouble<Failure>),
    /// The platform.
    Platform(String),
}

impl Fault {
    /// What a request is answered that met it.
    pub(super) fn answer(&self) -> Answer {
        match self {
            Fault::Trouble(Trouble::Storage(Failure::Schema)) => Answer::foreign(),
            Fault::Trouble(trouble) => Answer::trouble(trouble),
            Fault::Platform(_) => Answer::internal(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Trouble(trouble) => write!(f, "{trouble:?}"),
            Fault::Platform(message) => write!(f, "platform: {message}"),
        }
    }
}

impl From<Undone<Trouble<Failure>>> for Fault {
    fn from(undone: Undone<Trouble<Failure>>) -> Self {
        match undone {
            Undone::Body(trouble) => Fault::Trouble(trouble),
            Undone::Commit(message) => Fault::Platform(message),
        }
    }
}

impl From<JsValue> for Fault {
    fn from(error: JsValue) -> Self {
        Fault::Platform(platform::say(&error))
    }
}

impl From<Trouble<Failure>> for Fault {
    fn from(trouble: Trouble<Failure>) -> Self {
        Fault::Trouble(trouble)
    }
}
