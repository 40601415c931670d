//! What waits is done in groups: one transaction, one commit, and only then does anybody hear of it.

use std::cell::RefCell;

use neap_core::{authority::Moment, id::Epoch};

use super::{
    Relay,
    engine::{Engine, Fault},
    queue::{self, Job},
};
#[cfg(feature = "contract")]
use crate::contract;
use crate::{
    log::Event,
    platform::{self, dice, now},
};

impl Relay {
    pub(super) fn queue(&self, job: Job) {
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
    pub(super) fn flush(&self) {
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

    pub(super) fn run(&self, jobs: &RefCell<Vec<Job>>) -> Result<(), Fault> {
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
            self.charge(engine, moment.now);
            let refused = engine.refusals().saturating_sub(before);
            if refused > 0 {
                self.log.tell(Event::Refusal, "mutation", refused, engine.stats());
            }
            Ok(())
        })
    }

    /// What the sessions of a subject take counts where it speaks over HTTP too.
    fn charge(&self, engine: &mut Engine, now: u64) {
        let Ok(mut buckets) = self.buckets.try_borrow_mut() else { return };
        for (subject, cost) in engine.machine.take_costs() {
            buckets.charge(&self.settings.bounds.rates, subject, cost, now.saturating_mul(1_000));
        }
    }
}
