//! The Durable Object of one datastore: sockets, requests and the alarm around an authority.
//!
//! Frames and writes wait in a queue until one transaction takes them all; only when it has been
//! committed does anybody hear of it. Every handler is synchronous: it queues or it runs the whole
//! group, so no two of them ever meet half-way. What can be lost with the memory of the object, the
//! queue, the sockets' names, the authority itself, is nothing that anybody was told.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
};

use futures_channel::oneshot;
use js_sys::{JsString, Uint8Array};
use neap_core::{
    authority::{Admission, Authority, Moment, Stats},
    id::Epoch,
    limits::{ALARM_RETRY_MS, FRAME_BYTES_MAX},
};
use neap_http::{
    Answer, Buckets, Exporter, Outcome, Piece, Request, Settings, TEXT_BYTES_MAX, TOKEN, Todo,
    Write,
};
use wasm_bindgen::prelude::*;

#[cfg(feature = "contract")]
use crate::contract;
use crate::{
    log::{Event, Log},
    platform::{self, Socket, State, Storage, dice, now},
    storage::SqlRows,
};

mod engine;
mod links;
mod queue;

use engine::{Engine, Fault};
use links::Link;
pub(crate) use links::sanitised;
use queue::{Ask, Job, Queue};

/// The authority over the object's SQLite.
pub(crate) type Machine = Authority<SqlRows>;

/// The request that the platform answers by itself, with how far the datastore has come.
const PING: &str = "ping";

/// All that the object has in memory.
pub(crate) struct Relay {
    state: State,
    pub(crate) settings: Settings,
    log: Log,
    queue: RefCell<Queue>,
    /// How fast those who wrote over HTTP lately were.
    buckets: RefCell<Buckets>,
    /// Built when first needed; thrown away after any trouble.
    engine: RefCell<Option<Engine>>,
    timer: Closure<dyn Fn()>,
    is_armed: Cell<bool>,
    /// Armed for a moment while something is left to tell: presence that came soon after the last, or that a
    /// session has been ended.
    rest_timer: Closure<dyn Fn()>,
    rest_is_armed: Cell<bool>,
    /// When the last group was done, in milliseconds since 1970.
    last_flush: Cell<f64>,
    /// The alarm as this object has set it; `None` when it does not know.
    alarm: Cell<Option<u64>>,
}

impl Relay {
    pub(crate) fn new(state: State, settings: Settings, log: Log) -> Rc<Self> {
        #[cfg(feature = "contract")]
        contract::count(|counts| &counts.births, 1);
        Rc::new_cyclic(|weak: &Weak<Relay>| {
            let timer = |run: fn(&Relay)| {
                let weak = weak.clone();
                Closure::<dyn Fn()>::new(move || {
                    if let Some(relay) = weak.upgrade() {
                        run(&relay);
                    }
                })
            };
            let flush_timer = timer(|relay| {
                relay.is_armed.set(false);
                relay.flush();
            });
            let rest_timer = timer(|relay| {
                relay.rest_is_armed.set(false);
                relay.tell_what_is_due();
            });
            Relay {
                state,
                settings,
                log,
                queue: RefCell::default(),
                buckets: RefCell::default(),
                engine: RefCell::default(),
                timer: flush_timer,
                is_armed: Cell::new(false),
                rest_timer,
                rest_is_armed: Cell::new(false),
                last_flush: Cell::new(0.0),
                alarm: Cell::new(None),
            }
        })
    }

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

    /// Lets those who stay hear that somebody has left, that a pool has converged without this one, and
    /// what others show.
    fn tell_what_is_due(&self) {
        let mut wants_commit = false;
        self.with_present_engine(|engine| wants_commit = engine.machine.wants_commit());
        if wants_commit && let Err(fault) = self.run(&RefCell::new(Vec::new())) {
            self.complain(&fault);
        }
    }

    /// Says what is to be done for a request.
    pub(crate) fn plan(&self, request: Request) -> Todo<SqlRows> {
        match self.buckets.try_borrow_mut() {
            Ok(mut buckets) => {
                let todo = neap_http::answer(&self.settings, &mut buckets, request);
                if matches!(&todo, Todo::Answer(answer) if answer.status() == 429) {
                    self.log.tell(Event::Refusal, "rate-limited", 1, Stats::default());
                }
                todo
            }
            Err(_) => Todo::Answer(Answer::internal()),
        }
    }

    /// Queues a write, which holds so many bytes, and waits until the group that takes it has been committed.
    pub(crate) async fn write(&self, run: Write<SqlRows>, bytes: usize) -> Answer {
        let (sender, receiver) = oneshot::channel();
        self.queue(Job::Ask(Ask { bytes, run, reply: None, sender: Some(sender) }));
        receiver.await.unwrap_or_else(|_| Answer::internal())
    }

    /// Answers from what is committed.
    pub(crate) fn read(&self, run: impl FnOnce(&Machine, u64) -> Outcome<SqlRows>) -> Answer {
        let answer = self.with_engine(|engine| Ok(run(&engine.machine, now())?));
        answer.unwrap_or_else(|fault| {
            self.complain(&fault);
            fault.answer()
        })
    }

    /// Reads the next piece of an export from what is committed.
    pub(crate) fn read_piece(&self, exporter: &mut Exporter) -> Result<Piece, Answer> {
        let piece = self.with_engine(|engine| Ok(exporter.piece(&engine.machine, now())?));
        piece.map_err(|fault| {
            self.complain(&fault);
            fault.answer()
        })
    }

    /// Removes the datastore; every session hears that it is gone. `false` where there is none.
    pub(crate) async fn remove(&self) -> Result<bool, ()> {
        self.flush();
        let is_there = self.with_engine(|engine| Ok(engine.machine.alive(now()).is_some()));
        match is_there {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(fault) => {
                self.complain(&fault);
                return Err(());
            }
        }
        let wiped = self.wipe().map_err(drop)?;
        match worker::wasm_bindgen_futures::JsFuture::from(wiped).await {
            Ok(_) => Ok(true),
            Err(error) => {
                self.complain(&Fault::from(error));
                Err(())
            }
        }
    }

    /// Removes everything at once, without touching a row, and ends all sessions.
    fn wipe(&self) -> Result<js_sys::Promise, JsValue> {
        let wiped = self.storage()?.delete_all()?;
        self.alarm.set(None);
        // First, since it stands for what is there no more, whatever else fails.
        if let Ok(mut slot) = self.engine.try_borrow_mut() {
            *slot = None;
        }
        self.state.clear_auto_response()?;
        // Built anew from what is left, the authority ends the sessions of the life that is over.
        let told = self.with_engine(|engine| {
            let outputs = engine.machine.commit()?;
            engine.carry_out(outputs, now(), &self.log);
            Ok(())
        });
        if let Err(fault) = told {
            self.complain(&fault);
        }
        Ok(wiped)
    }

    /// The alarm: what is over goes, and the next alarm is set.
    pub(crate) fn wake(&self) {
        self.flush();
        let now = now();
        let is_over = self.with_engine(|engine| {
            let is_over = engine.machine.is_over(now);
            if !is_over {
                engine.end_overdue(now);
                let storage = self.storage()?;
                let outputs = storage.transaction(|| {
                    engine.machine.upkeep(now)?;
                    engine.machine.commit()
                })?;
                // It has fired, so there is none.
                self.alarm.set(None);
                self.set_alarm(engine);
                engine.carry_out(outputs, now, &self.log);
            }
            Ok(is_over)
        });
        let done = match is_over {
            Ok(false) => Ok(()),
            Ok(true) => {
                self.wipe().and_then(|wiped| self.state.wait_until(&wiped)).map_err(Fault::from)
            }
            Err(fault) => Err(fault),
        };
        if let Err(fault) = done {
            self.complain(&fault);
            self.set_alarm_at(now.saturating_add(ALARM_RETRY_MS));
        }
    }

    fn queue(&self, job: Job) {
        let Ok(mut queue) = self.queue.try_borrow_mut() else { return };
        queue.push(job);
        let sockets = self.sockets();
        let is_full = queue.is_full(sockets);
        drop(queue);
        if is_full {
            self.flush();
        } else if !self.is_armed.replace(true) {
            // So long one group keeps the sockets busy: no use in starting another one before that is over.
            let delay = queue::pace_ms(sockets) - (js_sys::Date::now() - self.last_flush.get());
            platform::set_timeout(self.timer.as_ref(), delay.max(0.0));
        }
    }

    fn sockets(&self) -> usize {
        let slot = self.engine.try_borrow();
        slot.ok().and_then(|slot| Some(slot.as_ref()?.links.len())).unwrap_or(0)
    }

    /// Runs all that is queued in one transaction, commits it, and then lets it be heard.
    fn flush(&self) {
        let jobs = self.queue.try_borrow_mut().map(|mut queue| queue.take()).unwrap_or_default();
        if jobs.is_empty() {
            return;
        }
        let jobs = RefCell::new(jobs);
        let ran = self.run(&jobs);
        let mut jobs = jobs.into_inner();
        if let Err(fault) = ran {
            self.complain(&fault);
            if jobs.len() > 1 {
                // One of them is at fault: each on its own, so that it takes nobody with it.
                for job in jobs {
                    self.run_alone(job);
                }
            } else if let Some(job) = jobs.pop() {
                self.blame(job, &fault);
            }
        } else {
            for job in jobs {
                if let Job::Ask(ask) = job {
                    ask.answer();
                }
            }
        }
        self.last_flush.set(js_sys::Date::now());
    }

    fn run_alone(&self, job: Job) {
        let jobs = RefCell::new(vec![job]);
        let ran = self.run(&jobs);
        let job = jobs.into_inner().pop();
        match (ran, job) {
            (Ok(()), Some(Job::Ask(ask))) => ask.answer(),
            (Err(fault), Some(job)) => {
                self.complain(&fault);
                self.blame(job, &fault);
            }
            (Ok(()), Some(Job::Frame { .. } | Job::Token { .. }) | None) | (Err(_), None) => {}
        }
    }

    /// Ends whoever asked for what cannot be done.
    fn blame(&self, job: Job, fault: &Fault) {
        match job {
            Job::Ask(ask) => ask.fail(fault.answer()),
            Job::Frame { session, .. } | Job::Token { session, .. } => {
                let _ = self.with_engine(|engine| {
                    engine.machine.disconnect(session, now());
                    if let Some(link) = engine.links.remove(session) {
                        let _ = link.socket.close(1011, "internal");
                    }
                    Ok(())
                });
            }
        }
    }

    fn run(&self, jobs: &RefCell<Vec<Job>>) -> Result<(), Fault> {
        let storage = self.storage()?;
        self.with_engine(|engine| {
            let moment = Moment { now: now(), dice: Epoch(dice()) };
            let before = engine.refusals();
            let outputs = storage.transaction(|| {
                let Ok(mut jobs) = jobs.try_borrow_mut() else { return Ok(Vec::new()) };
                for job in jobs.iter_mut() {
                    match job {
                        Job::Frame { session, bytes } => {
                            engine.machine.receive(*session, bytes, moment)?;
                        }
                        Job::Token { session, token } => match self.state.public_id() {
                            Some(id) => {
                                engine.renew(&self.settings, &id, *session, token, moment.now);
                            }
                            None => engine.end(*session, 1011, "internal"),
                        },
                        Job::Ask(ask) => ask.run(&mut engine.machine, moment)?,
                    }
                }
                engine.machine.tick(moment.now);
                let outputs = engine.machine.commit()?;
                #[cfg(feature = "contract")]
                contract::trap_at(contract::Trap::Within);
                Ok(outputs)
            })?;
            #[cfg(feature = "contract")]
            {
                contract::count(|counts| &counts.commits, 1);
                contract::trap_at(contract::Trap::Behind);
            }
            // First, since it belongs to what has been stored: one commit takes both.
            self.set_alarm(engine);
            engine.carry_out(outputs, moment.now, &self.log);
            engine.announce(&self.state);
            let refused = engine.refusals().saturating_sub(before);
            if refused > 0 {
                self.log.tell(Event::Refusal, "mutation", refused, engine.stats());
            }
            Ok(())
        })
    }

    /// Gives the engine, building it from what is stored where there is none. After a fault it is
    /// thrown away: its memory may be ahead of what was rolled back.
    fn with_engine<T>(
        &self,
        run: impl FnOnce(&mut Engine) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let Ok(mut slot) = self.engine.try_borrow_mut() else {
            return Err(Fault::Platform("the object is busy".into()));
        };
        let mut engine = match slot.take() {
            Some(engine) => engine,
            None => {
                let engine = Engine::build(&self.state, self.settings.bounds)?;
                // Whoever stored this state has set the alarm with it.
                self.alarm.set(engine.due());
                engine
            }
        };
        let done = run(&mut engine)?;
        self.tell_rest_later(&engine);
        *slot = Some(engine);
        Ok(done)
    }

    fn tell_rest_later(&self, engine: &Engine) {
        let machine = &engine.machine;
        if let Some(due) = machine.presence_due().or(machine.wants_commit().then_some(0))
            && !self.rest_is_armed.replace(true)
        {
            let delay = due.saturating_sub(now());
            platform::set_timeout(self.rest_timer.as_ref(), delay as f64);
        }
    }

    /// Gives the engine if there is one: whoever leaves need not wake the others.
    fn with_present_engine(&self, run: impl FnOnce(&mut Engine)) {
        if let Ok(mut slot) = self.engine.try_borrow_mut()
            && let Some(engine) = slot.as_mut()
        {
            run(engine);
        }
    }

    #[cfg(feature = "contract")]
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn storage(&self) -> Result<Storage, JsValue> {
        self.state.storage()
    }

    /// Sets the alarm when something is due before it. It is never put off here: an alarm that comes
    /// too early finds nothing due and sets the next one.
    fn set_alarm(&self, engine: &Engine) {
        let Some(due) = engine.due() else { return };
        if self.alarm.get().is_some_and(|alarm| alarm <= due) {
            return;
        }
        self.set_alarm_at(due);
    }

    fn set_alarm_at(&self, at: u64) {
        match self.storage().and_then(|storage| storage.set_alarm(at as f64)) {
            Ok(_) => {
                #[cfg(feature = "contract")]
                contract::count(|counts| &counts.alarms, 1);
                self.alarm.set(Some(at));
            }
            Err(error) => self.complain(&Fault::from(error)),
        }
    }

    fn complain(&self, fault: &Fault) {
        self.log.tell(Event::Reset, &fault.to_string(), 1, Stats::default());
    }
}

/// Accepts a socket only to close it with a code: a browser hides the status of a failed upgrade.
pub(crate) fn refuse(socket: &Socket, code: u16, reason: &str) {
    let _ = socket.accept_now();
    let _ = socket.close(code, reason);
}
