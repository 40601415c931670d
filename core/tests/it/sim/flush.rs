//! A group commit of the relay's shell, and what comes of it.

use std::collections::BTreeSet;

use neap_core::{
    authority::{Admission, Close, Moment, Output, SessionId, Trouble},
    id::Epoch,
};

use super::{
    Check,
    check::Group,
    fail,
    pools::POOLS,
    relay::{Input, receivers},
    sabotage::Sabotage,
    storage::Broken,
    world::{Downward, World, trace},
};

impl World {
    /// Decides what is queued, in one transaction.
    pub(crate) fn flush(&mut self) -> Check {
        let inputs = self.relay.take_group();
        if inputs.is_empty() {
            return Ok(());
        }
        trace!(self, "relay: flushes {}", inputs.len());
        if !matches!(self.relay.wake(self.sabotage, self.now), Ok(false)) {
            self.see("relay woke with sessions");
            self.note_sleep();
        }
        let before = self.relay.disk.stored();
        let dice = Epoch(self.random.bytes());
        let moment = Moment { now: self.now, dice };
        if self.chance(self.odds.trap) {
            self.relay.disk.fail_after(Some(self.random.below(12)));
        }
        let mut group = Group::default();
        let mut result = self.process(&inputs, moment, &mut group);
        if self.relay.disk.has_failed() && result.is_ok() {
            return fail("ST2", "storage failed and nobody said so".into());
        }
        self.relay.disk.fail_after(None);
        if let Ok(outputs) = &mut result
            && self.sabotage == Some(Sabotage::SendBeforeCommit)
            && self.random.once_in(10)
        {
            let outputs = std::mem::take(outputs);
            self.relay.disk.roll_back(before.clone());
            self.carry_out(outputs, usize::MAX)?;
            result = Err(Trouble::Storage(Broken));
        }
        let outputs = match result {
            Ok(outputs) => outputs,
            Err(Trouble::Corrupt | Trouble::Foreign) => return fail("ST2", "unreadable".into()),
            Err(Trouble::Storage(Broken)) => {
                trace!(self, "relay: fails, and rolls back");
                self.see("storage failed");
                if self.sabotage != Some(Sabotage::KeepHalf) {
                    self.relay.disk.roll_back(before);
                }
                self.lose(&inputs);
                return self.check_relay(&Group::default());
            }
        };
        self.check_relay(&group)?;
        self.note_members(&inputs);
        self.relay.know(self.now);
        let count = if self.is_mute {
            0
        } else if self.chance(self.odds.kill) {
            self.random.below(outputs.len() + 1)
        } else {
            usize::MAX
        };
        let lost: Vec<SessionId> = outputs.iter().skip(count).flat_map(receivers).collect();
        self.carry_out(outputs, count)?;
        if count == usize::MAX {
            self.note_answers(&inputs);
            return Ok(());
        }
        self.see("killed between outputs");
        trace!(self, "relay: dies after {count} outputs");
        if !self.is_mute && self.random.once_in(2) {
            return self.restart();
        }
        self.relay.authority = None;
        for session in lost {
            self.see("outputs lost, sockets open");
            self.connections[session as usize].tainted = true;
        }
        Ok(())
    }

    /// The handler has died with what was queued, but the sockets stay open.
    fn lose(&mut self, inputs: &[Input]) {
        self.see("handler trapped, sockets open");
        self.relay.authority = None;
        for input in inputs {
            match input {
                Input::Frame(session, _) | Input::Connect(session) => {
                    self.connections[*session as usize].tainted = true;
                }
                Input::Gone(_)
                | Input::Request(_)
                | Input::Call(_)
                | Input::Merge(_)
                | Input::Open
                | Input::Import(..)
                | Input::Destroy
                | Input::Upkeep => {}
            }
        }
    }

    fn process(
        &mut self,
        inputs: &[Input],
        moment: Moment,
        group: &mut Group,
    ) -> Result<Vec<Output>, Trouble<Broken>> {
        self.relay.wake(self.sabotage, self.now)?;
        let Some(authority) = &mut self.relay.authority else {
            return Ok(Vec::new());
        };
        for input in inputs {
            match input {
                Input::Connect(session) => {
                    if self.relay.sockets.contains_key(session) {
                        authority.connect(*session, Admission::OPEN, self.now);
                    }
                }
                Input::Frame(session, frame) => {
                    group.note(&self.connections[*session as usize].authors, frame);
                    authority.receive(*session, frame, moment)?;
                }
                Input::Gone(session) => authority.disconnect(*session, moment.now),
                Input::Request(id) => {
                    let ops = super::app::real_ops(&self.oracle.mutations[*id].ops);
                    let ops: Vec<_> = ops.iter().map(super::app::RealOp::borrow).collect();
                    if let Some(Ok(outcome)) = authority.mutate(&ops, moment)? {
                        group.request(*id, outcome);
                    }
                }
                Input::Call(call) => {
                    let is_alive = authority.alive(moment.now).is_some();
                    let answer = call.make(authority, moment)?;
                    group.call(call, is_alive, &answer);
                }
                Input::Merge(addition) => {
                    let items: Vec<&str> = addition.items.iter().map(|item| &*item.data).collect();
                    let choice = self.terms[addition.pool].choice();
                    let name = POOLS[addition.pool];
                    if let Some(Ok(merged)) = authority.merge(name, choice, &items, moment.now)? {
                        group.merge(addition, merged.added);
                    }
                }
                Input::Upkeep => authority.upkeep(moment.now)?,
                Input::Open => drop(authority.open(&self.relay.options, moment)?),
                Input::Import(backup, flaw) => {
                    authority.destroy()?;
                    let status = backup.restore(authority, *flaw, moment)?;
                    if self.sabotage == Some(Sabotage::LoseImportedLedger) {
                        self.relay.disk.lose_ledger();
                    }
                    group.import(backup, *flaw, status);
                }
                Input::Destroy => {
                    if authority.alive(moment.now).is_some() {
                        self.report.sights.see("deleted");
                    }
                    authority.destroy()?;
                }
            }
        }
        authority.commit()
    }

    /// Does what the authority wants done, as far as it gets.
    fn carry_out(&mut self, outputs: Vec<Output>, count: usize) -> Check {
        let mut outputs = outputs;
        if self.sabotage == Some(Sabotage::DeltaBeforePage) {
            outputs.reverse();
        }
        let mut closed = BTreeSet::new();
        for output in outputs.into_iter().take(count) {
            match output {
                Output::Send { to, frame } => {
                    self.check_sent(&frame, &to)?;
                    for session in to {
                        if closed.contains(&session) && self.sabotage.is_none() {
                            return fail(
                                "SE1",
                                format!("session {session} is closed, and told more"),
                            );
                        }
                        self.send_down(session, Downward::Frame(frame.clone()));
                        self.check_unread(session)?;
                    }
                }
                Output::Remember { session, bytes } => {
                    if let Some(kept) = self.relay.sockets.get_mut(&session) {
                        *kept = Some(bytes);
                    }
                }
                Output::Close { session, why } => {
                    trace!(self, "relay: closes {session}: {}", why.reason());
                    closed.insert(session);
                    self.check_close(session, why)?;
                    if why == Close::Superseded {
                        self.see("session superseded");
                    }
                    self.send_down(session, Downward::Close(why.code()));
                    self.relay.sockets.remove(&session);
                    let connection = &mut self.connections[session as usize];
                    connection.open = false;
                    connection.closed = true;
                    connection.pools = Default::default();
                }
            }
        }
        Ok(())
    }

    fn send_down(&mut self, session: SessionId, downward: Downward) {
        if let Downward::Frame(frame) = &downward {
            for byte in frame.iter() {
                let print = self.report.fingerprint ^ u64::from(*byte);
                self.report.fingerprint = print.wrapping_mul(0x0100_0000_01b3);
            }
        }
        let connection = &mut self.connections[session as usize];
        if connection.open {
            connection.down.push_back(downward);
        }
    }
}
