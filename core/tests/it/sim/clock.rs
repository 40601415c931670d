//! How time passes: by a tick, or so long that somebody counts as silent.

use neap_core::limits::SILENCE_MS;

use super::{
    Check,
    world::{Connection, World},
};

impl World {
    pub(super) fn pass_time(&mut self) -> Check {
        let stalled = |one: &Connection| one.open && one.stalled_until > self.report.steps;
        // Long enough for a member to be silent.
        let is_long = self.lanes.pools && self.connections.iter().any(stalled);
        if is_long && self.random.once_in(2) {
            return self.pass_minutes();
        }
        self.now += match self.random.below(3) {
            0 => 5,
            1 => 3_000,
            _ => 10_500,
        };
        self.tick_all()
    }

    /// Those who read go on for some minutes; somebody else does not.
    fn pass_minutes(&mut self) -> Check {
        for _ in 0..3 {
            for _ in 0..8 {
                self.carry_up()?;
                self.flush()?;
                self.carry_down()?;
                // What has come is acknowledged when it is stored.
                for place in 0..self.clients.len() {
                    self.write_disk(place)?;
                }
            }
            self.now += SILENCE_MS + 500;
            self.tick_all()?;
        }
        Ok(())
    }

    pub(super) fn tick_all(&mut self) -> Check {
        for client in 0..self.clients.len() {
            let number = self.clients[client].connection;
            let until = number.map_or(0, |number| self.connections[number].stalled_until);
            // Who reads nothing, since its page is frozen, has no timers either.
            if self.lanes.pools && until > self.report.steps {
                continue;
            }
            self.tick(client)?;
            if self.lanes.pools {
                self.ping(client)?;
            }
        }
        Ok(())
    }
}
