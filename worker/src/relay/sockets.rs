//! Sockets of an object: who is let in, what it says, and that it leaves.

use std::cell::RefCell;

use js_sys::{JsString, Uint8Array};
use neap_core::{
    authority::{Admission, Stats},
    limits::FRAME_BYTES_MAX,
    wire::PING,
};
use neap_http::{TEXT_BYTES_MAX, TOKEN};
use wasm_bindgen::prelude::*;

use super::{
    Relay,
    engine::{Engine, Fault},
    links::{self, Link},
    queue::Job,
};
use crate::{
    log::Event,
    platform::{Socket, now},
};

impl Relay {
    /// Takes a socket that the worker has let in.
    pub(crate) fn welcome(&self, socket: &Socket, admission: Admission) {
        self.flush();
        match self.take_in(socket, admission) {
            Ok(true) => {}
            Ok(false) => {
                self.log.tell(Event::Refusal, "too-many-sockets", 1, Stats::default());
                refuse(socket, 4429, "too-many-sockets");
            }
            Err(fault) => {
                self.complain(&fault);
                let _ = socket.accept_now();
                let _ = socket.close(1011, "internal");
            }
        }
    }

    /// Takes a socket in where there is room for one more.
    fn take_in(&self, socket: &Socket, admission: Admission) -> Result<bool, Fault> {
        let is_full = |engine: &Engine| engine.links.len() >= self.settings.sockets_max;
        if self.with_engine(|engine| Ok(is_full(engine)))? {
            // Whoever has not said Hello in good time gives up its place.
            self.run(&RefCell::default())?;
        }
        let taken = self.with_engine(|engine| {
            if is_full(engine) {
                return Ok(false);
            }
            self.state.accept(socket)?;
            let id = links::mint();
            engine.links.add(id, Link::new(socket.clone(), admission.until));
            engine.machine.connect(id, admission, now());
            Ok(true)
        })?;
        if taken {
            // A commit may find something to write, and writes all of it or nothing.
            self.run(&RefCell::default())?;
            self.with_present_engine(|engine| {
                self.log.tell(Event::Connect, "", 1, engine.stats());
            });
        }
        Ok(taken)
    }

    pub(crate) fn hear(&self, socket: &Socket, message: &JsValue) {
        // What was on its way when we closed it, which may be much.
        if !socket.is_open() {
            return;
        }
        let Some(session) = links::session_of(socket) else {
            let _ = socket.close(1011, "internal");
            return;
        };
        let job = if let Some(buffer) = message.dyn_ref::<js_sys::ArrayBuffer>() {
            let fits =
                usize::try_from(buffer.byte_length()).is_ok_and(|len| len <= FRAME_BYTES_MAX);
            // No frame is empty, so one that is too large ends its session as one that is no frame.
            let bytes = if fits { Uint8Array::new(buffer).to_vec() } else { Vec::new() };
            Job::Frame { session, bytes }
        } else {
            let text = message.dyn_ref::<JsString>();
            // Looked at before it is copied. Its length counts UTF-16, which is never more than UTF-8.
            let fits = |text: &&JsString| {
                usize::try_from(text.length()).is_ok_and(|len| len <= TEXT_BYTES_MAX)
            };
            let text = text.filter(fits).map(String::from).unwrap_or_default();
            if text == PING {
                // Whoever pings before there is anything to answer with.
                let _ = socket.send_text("");
                return;
            }
            match text.strip_prefix(TOKEN) {
                Some(token) => Job::Token { session, token: token.into() },
                None => Job::Frame { session, bytes: Vec::new() },
            }
        };
        self.queue(job);
    }

    pub(crate) fn leave(&self, socket: &Socket) {
        let Some(session) = links::session_of(socket) else { return };
        let is_asleep = self.engine.try_borrow().is_ok_and(|slot| slot.is_none());
        // Nobody is woken only because somebody leaves, unless others must hear of it.
        if is_asleep && socket.attached().is_some_and(|bytes| links::is_missed(&bytes)) {
            let _ = self.with_engine(|engine| {
                engine.take_back(socket.clone());
                Ok(())
            });
        }
        self.with_present_engine(|engine| drop(engine.links.remove(session)));
        // What it has said before it left still counts, though it hears nothing of it.
        self.flush();
        self.with_present_engine(|engine| {
            engine.machine.disconnect(session, now());
            self.log.tell(Event::Leave, "", 1, engine.stats());
        });
        self.tell_what_is_due();
    }
}

/// Accepts a socket only to close it with a code: a browser hides the status of a failed upgrade.
pub(crate) fn refuse(socket: &Socket, code: u16, reason: &str) {
    let _ = socket.accept_now();
    let _ = socket.close(code, reason);
}
