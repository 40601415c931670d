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
use neap_core::{
    authority::{Authority, Stats},
    limits::ALARM_RETRY_MS,
};
use neap_http::{Answer, Buckets, Exporter, Outcome, Piece, Request, Settings, Todo, Write};
use wasm_bindgen::prelude::*;

#[cfg(feature = "contract")]
use crate::contract;
use crate::{
    log::{Event, Log},
    platform::{self, State, Storage, now},
    storage::SqlRows,
};

mod engine;
mod groups;
mod links;
mod queue;
mod sockets;

use engine::{Engine, Fault};
pub(crate) use links::sanitised;
use queue::{Ask, Job, Queue};
pub(crate) use sockets::refuse;

/// The authority over the object's SQLite.
pub(crate) type Machine = Authority<SqlRows>;

/// All that the object has in memory.
pub(crate) struct Relay {
    state: State,
    pub(crate) settings: Settings,
    log: Log,
    queue: RefCell<Queue>,
    /// How fast those who wrote over HTTP lately were, what they wrote over sockets included.
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
        let wiped = self.wipe().map_err(|error| self.complain(&Fault::from(error)))?;
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
