//! The end of a seed: no more faults.

use super::{
    Check,
    world::{World, trace},
};

impl World {
    /// No more faults: everything must settle in a bounded number of rounds.
    pub(super) fn settle_down(&mut self) -> Check {
        if self.lanes.pools && self.random.once_in(2) {
            self.lose_last_word()?;
        }
        self.calm = true;
        self.wake_all()?;
        trace!(self, "calm");
        self.relay.calm();
        for _ in 0..40 {
            self.meet_all()?;
            for client in 0..self.clients.len() {
                self.ask_disk(client)?;
            }
            self.relay.open();
            self.flush()?;
            for client in 0..self.clients.len() {
                if self.clients[client].connection.is_none() {
                    self.connect(client)?;
                }
            }
            for _ in 0..400 {
                self.report.steps += 1;
                if self.is_quiet() {
                    break;
                }
                self.carry_all()?;
            }
            if self.is_settled() {
                return self.check_settled();
            }
            self.now += 10_500;
            for client in 0..self.clients.len() {
                self.tick(client)?;
                self.ping(client)?;
            }
        }
        super::fail("LI1", format!("not settled: {}", self.describe()))
    }

    /// Something is added to a pool, and the handler dies before it has told anybody.
    fn lose_last_word(&mut self) -> Check {
        self.flush()?;
        self.request_addition();
        self.is_mute = true;
        self.flush()?;
        self.is_mute = false;
        Ok(())
    }

    fn carry_all(&mut self) -> Check {
        for number in 0..self.connections.len() {
            while let Some(upward) = self.connections[number].up.pop_front() {
                self.arrive(number, upward);
            }
        }
        self.flush()?;
        for number in 0..self.connections.len() {
            while let Some(downward) = self.connections[number].down.pop_front() {
                self.hear(number, downward)?;
            }
        }
        for client in 0..self.clients.len() {
            while !self.clients[client].disk.queue.is_empty() {
                self.write_disk(client)?;
            }
            while !self.clients[client].notes.is_empty() {
                self.hear_note(client)?;
            }
        }
        Ok(())
    }

    fn is_quiet(&self) -> bool {
        self.relay.queue.is_empty()
            && self.connections.iter().all(|one| one.up.is_empty() && one.down.is_empty())
            && self.clients.iter().all(|one| one.disk.queue.is_empty() && one.notes.is_empty())
    }
}
