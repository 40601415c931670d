//! More than a year passes, and a permanent datastore forgets replicas.

use std::rc::Rc;

use neap_core::{
    datastore::Kind,
    id::{ReplicaId, Seq, Turn},
    limits::LEDGER_MS,
    mutation::Outcome,
    wire,
};

use super::{
    Check,
    disk::Image,
    fail,
    naive::Id,
    oracle::without,
    sabotage::Sabotage,
    world::{World, trace},
};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// An account as a replica stores it: generation, birth stamp, settled turn, and what conditions speak of.
type Account = (u64, (Option<u64>, (Turn, Vec<(Turn, (Seq, Turn))>)));

impl World {
    /// Nobody is there for about as long as the ledger remembers.
    pub(super) fn pass_years(&mut self) -> Check {
        if self.relay.options.kind != Some(Kind::Permanent) {
            return Ok(());
        }
        // The last pushes arrive, and nobody hears what became of them.
        for place in 0..self.clients.len() {
            if self.clients[place].connection.is_some() {
                self.edit(place)?;
            }
            while !self.clients[place].disk.queue.is_empty() {
                self.write_disk(place)?;
            }
        }
        for number in 0..self.connections.len() {
            while let Some(upward) = self.connections[number].up.pop_front() {
                self.arrive(number, upward);
            }
        }
        self.flush()?;
        for place in 0..self.clients.len() {
            self.cut(place, 1006)?;
        }
        self.restart()?;
        for connection in &mut self.connections {
            connection.up.clear();
            connection.down.clear();
        }
        self.now += (380 + self.random.below(80) as u64) * DAY_MS;
        self.relay.upkeep();
        trace!(self, "a year passes");
        self.see("years passed");
        Ok(())
    }

    /// A relay welcomes a replica, which from now on counts as having been there.
    pub(super) fn note_welcome(&mut self, place: usize) {
        let client = &mut self.clients[place];
        client.away = client.contact.map_or(u64::MAX, |contact| self.now - contact);
        client.contact = Some(self.now);
        if client.away > LEDGER_MS - 20 * DAY_MS && client.away <= LEDGER_MS {
            self.report.sights.see("back just in time");
        }
    }

    /// An app is told that nobody knows what became of a mutation: so it must be, and remain.
    pub(super) fn told_unknown(&mut self, place: usize, id: Id) -> Check {
        let client = &self.clients[place];
        let life = client.replica.epoch().and_then(|epoch| self.oracle.life(epoch));
        let known = life.and_then(|life| life.outcomes.get(&id)).copied();
        if self.oracle.left.contains(&id) {
            // Whoever reads the disk has heard of it, or will.
            self.see("left to another life");
            self.unheard(place, id);
            return Ok(());
        }
        if client.away <= LEDGER_MS {
            let days = client.away / DAY_MS;
            return fail("LE6", format!("away for {days} days, and told of {id} as unknown"));
        }
        self.see(match known {
            Some(Outcome::Accepted(_) | Outcome::Added(_)) => "unknown, though applied",
            Some(Outcome::Unchanged | Outcome::Refused(_)) | None => "unknown, and not applied",
        });
        self.oracle.unknown.insert(id);
        Ok(())
    }

    /// Another life of the replica has heard the outcome: conditions on what that wrote never hold in this one.
    pub(super) fn unheard(&mut self, place: usize, id: Id) {
        self.oracle.unheard.insert(id);
        for entry in &mut self.clients[place].pending {
            // Of what else others have not heard it may know.
            entry.ops = Rc::new(without(&entry.ops, &[id].into()));
        }
    }

    /// What the life before has acknowledged a later one, which still has it pending, hears no more: the relay knows
    /// nothing of it when it decides the next.
    pub(super) fn note_unheard(&mut self, replica: ReplicaId, acked: Turn) {
        let names = &self.oracle.names;
        let is_acked = |id: Id| {
            names.range((replica, Turn(0))..=(replica, acked)).any(|(_, named)| named.0 == id)
        };
        let later = self.clients.iter().filter(|client| client.id == replica && client.is_later);
        let pending = later.flat_map(|client| client.pending.iter().map(|entry| entry.id));
        let unheard: Vec<Id> = pending.filter(|id| is_acked(*id)).collect();
        self.oracle.unheard.extend(unheard);
    }

    /// A push leaves only when the birth stamp is on the disk.
    pub(super) fn check_stamp(&self, place: usize) -> Check {
        let has_stamp = self.clients[place].disk.image.has_stamp();
        let is_lied_to = self.sabotage.is_some_and(|sabotage| sabotage != Sabotage::StampLate);
        if !has_stamp && !is_lied_to {
            return fail("LE7", "a push leaves before the birth stamp is stored".into());
        }
        Ok(())
    }
}

impl Image {
    /// Whether the birth stamp is on the disk.
    pub(super) fn has_stamp(&self) -> bool {
        let account = self.account.as_deref().map(wire::decode_stored::<Account>);
        matches!(account, Some(Ok((_, (Some(_), _)))))
    }
}
