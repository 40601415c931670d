//! A replica's end of a connection.

use std::{
    collections::{BTreeSet, VecDeque},
    rc::Rc,
};

use neap_core::{
    id::Seq,
    replica::Phase,
    wire::{self, Down, Page},
};

use super::{
    Check,
    client::Cause,
    naive::{Cond, Id},
    sabotage::Sabotage,
    world::{Connection, Downward, Upward, World, trace},
};

impl World {
    pub(crate) fn connect(&mut self, place: usize) -> Check {
        let client = &self.clients[place];
        if !client.is_ready || client.retired || client.frozen.is_some() {
            return Ok(());
        }
        let number = self.connections.len();
        let up = VecDeque::from([Upward::Open]);
        self.connections.push(Connection { client: place, up, ..Connection::default() });
        trace!(self, "replica {place}: connects as {number}");
        let client = &mut self.clients[place];
        client.connection = Some(number);
        client.asks();
        client.replica.connected(self.now);
        self.drain(place)
    }

    /// The replica's end of the connection is gone; the relay notices later, and may yet get some of
    /// what was under way.
    pub(crate) fn cut(&mut self, place: usize, code: u16) -> Check {
        let Some(number) = self.clients[place].connection.take() else {
            return Ok(());
        };
        trace!(self, "replica {place}: cut");
        self.see("cut by the replica");
        let connection = &mut self.connections[number];
        let kept = self.random.below(connection.up.len() + 1);
        if kept < connection.up.len() {
            self.report.sights.see("frames lost with a cut");
        }
        connection.up.truncate(kept);
        if connection.open || kept > 0 {
            connection.up.push_back(Upward::Gone);
        }
        connection.down.clear();
        self.clients[place].replica.closed(code);
        self.drain(place)
    }

    pub(crate) fn ping(&mut self, place: usize) -> Check {
        if let Some(number) = self.clients[place].connection
            && let Some(text) = self.relay.pong(number as u64)
        {
            self.connections[number].down.push_back(Downward::Pong(text));
        }
        Ok(())
    }

    pub(crate) fn tick(&mut self, place: usize) -> Check {
        let client = &mut self.clients[place];
        if client.retired || client.frozen.is_some() {
            return Ok(());
        }
        let was_due = client
            .replica
            .deadline()
            .is_some_and(|deadline| deadline <= self.now && client.replica.phase() == Phase::Live);
        client.input = Cause::Tick;
        match client.replica.tick(self.now) {
            Ok(()) => {
                if was_due {
                    self.report.sights.see("push sent again");
                }
                self.drain(place)
            }
            Err(_) => {
                self.see("silence noticed");
                self.cut(place, 1006)
            }
        }
    }

    /// Takes what has come for a replica.
    pub(crate) fn hear(&mut self, number: usize, downward: Downward) -> Check {
        let place = self.connections[number].client;
        if self.clients[place].connection != Some(number) {
            return Ok(());
        }
        let now = self.now;
        self.clients[place].input = Cause::Other;
        let result = match downward {
            Downward::Close(code) => {
                trace!(self, "replica {place}: closed {code}");
                self.clients[place].connection = None;
                self.clients[place].replica.closed(code);
                self.note_end(place, code);
                Ok(())
            }
            Downward::Pong(_) if self.sabotage == Some(Sabotage::DeafToPongs) => Ok(()),
            Downward::Pong(text) => {
                let before = self.clients[place].replica.phase();
                let result = self.clients[place].replica.pong(&text, now);
                if before == Phase::Live && self.clients[place].replica.phase() != before {
                    self.see("pong told of news");
                }
                self.clients[place].input = Cause::Pong;
                result
            }
            Downward::Frame(frame) => {
                trace!(self, "replica {place}: {:?}", wire::decode_down(&frame));
                self.note_frame(&frame);
                let before = self.clients[place].replica.epoch();
                self.keep(place, &frame);
                let told = wire::decode_down(&frame);
                if let Ok((Down::Welcome(_), _)) = told {
                    self.note_welcome(place);
                }
                let result = self.clients[place].replica.received(&frame, now);
                let after = self.clients[place].replica.epoch();
                if before.is_some() && before != after {
                    self.see("new epoch met");
                    self.forget_old_life(place);
                }
                if let (Ok((Down::Page(Page { cursor, last: Some(_), .. }), _)), Ok(())) =
                    (told, &result)
                {
                    self.clients[place].hears_life(cursor.after);
                }
                result
            }
        };
        match result {
            Ok(()) => self.drain(place),
            Err(_) => {
                self.drain(place)?;
                self.cut(place, 1006)
            }
        }
    }

    fn note_frame(&mut self, frame: &[u8]) {
        let Ok((down, _)) = wire::decode_down(frame) else {
            return;
        };
        match down {
            Down::Behind => self.see("told Behind"),
            Down::Page(page) if page.last.is_none() => self.see("catch-up in several pages"),
            Down::Page(page) if page.from.after == Seq::ZERO => {
                self.see("catch-up from the start");
            }
            _ => {}
        }
    }

    /// Keeps what comes while pages do, until all of it can be stored together.
    fn keep(&mut self, place: usize, frame: &[u8]) {
        let client = &mut self.clients[place];
        if client.replica.phase() == Phase::CatchingUp {
            client.pages.get_or_insert_default().push(frame.to_vec());
        }
        client.frame = Some(frame.to_vec());
    }

    /// Conditions on seqs of a life that is over never hold again.
    fn forget_old_life(&mut self, place: usize) {
        let client = &mut self.clients[place];
        client.tabs_outlive();
        let pending: BTreeSet<Id> = client.pending.iter().map(|entry| entry.id).collect();
        for entry in &mut client.pending {
            let mut ops = (*entry.ops).clone();
            for op in &mut ops {
                op.cond = match op.cond {
                    Cond::Seq(..) => Cond::Never,
                    Cond::By(id) if !pending.contains(&id) => {
                        // Another life of this replica may yet make that write here.
                        self.oracle.unheard.insert(id);
                        Cond::Never
                    }
                    cond => cond,
                };
            }
            entry.ops = Rc::new(ops);
        }
    }
}
