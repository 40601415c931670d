//! A disk that can be written no more: its replica goes on in memory, and somebody reads the disk later.

use neap_core::{
    id::{ReplicaId, Turn},
    wire::Close,
};

use super::{
    Check,
    client::Client,
    disk::{Disk, Image},
    sabotage::Sabotage,
    world::{World, trace},
};

/// A disk that was forsaken.
#[derive(Debug)]
pub(crate) struct Orphan {
    image: Image,
    /// Whose it was.
    first: usize,
    /// When a relay last welcomed that one, as far as the disk knows.
    contact: Option<u64>,
}

impl World {
    /// What waits for the disk is lost, and all that comes is kept in memory.
    pub(super) fn forsake(&mut self, place: usize) -> Check {
        let client = &mut self.clients[place];
        let image = &client.disk.image;
        let Some((id, _)) = image.identity else { return Ok(()) };
        // Who reads it after more than a year cannot know what the first life has pushed.
        let has_stamp = !self.lanes.years || image.has_stamp();
        if client.device.is_some() || client.in_memory || !client.is_ready || !has_stamp {
            return Ok(());
        }
        let disk = std::mem::take(&mut client.disk);
        let last = Turn(disk.image.settled.0 + disk.image.outbox().len() as u64);
        // What lies there under another id than the replica has is another's to deliver.
        let ceiling = if id == client.id { last } else { Turn::ZERO };
        (client.ceiling, client.in_memory, client.checkpoint) = (Some(ceiling), true, None);
        self.oracle.left.extend(disk.held());
        self.oracle.forget_unknown(&disk.image);
        let (own, minted, contact) = (client.id, client.replica.minted(), client.stored_contact);
        self.oracle.free_names(id, last);
        trace!(self, "replica {place}: its disk holds {id:?} to {} and is forsaken", last.0);
        self.see(if id == own { "disk forsaken" } else { "disk of another id forsaken" });
        if minted > ceiling {
            self.see("too late for the disk");
        }
        self.orphans.push(Orphan { image: disk.image, first: place, contact });
        let spare = ReplicaId(self.random.bytes());
        let client = &mut self.clients[place];
        client.spare = spare;
        client.replica.set_spare(spare);
        if self.sabotage == Some(Sabotage::KeepName) {
            client.ceiling = None;
            for (turn, entry) in (1..).zip(client.pending.clone()) {
                let turn = Turn(client.replica.settled().0 + turn);
                self.oracle.name(own, turn, entry.id, None)?;
            }
            return self.drain(place);
        }
        let goes_on = client.replica.forsake_disk();
        client.replica.durable(minted);
        client.replica.info_saved();
        client.replica.pool_news_saved(client.replica.pool_news());
        self.drain(place)?;
        if id != own {
            self.oracle.free_names(own, Turn::ZERO);
        }
        if goes_on.is_err() {
            return self.cut(place, 1006);
        }
        Ok(())
    }

    /// Somebody reads a forsaken disk while its first replica goes on.
    pub(super) fn read_orphan(&mut self) -> Check {
        // Two lives of one replica that nobody has ever met would both be its first.
        let met = |orphan: &Orphan| self.clients[orphan.first].replica.epoch().is_some();
        let Some(which) = self.orphans.iter().position(met) else { return Ok(()) };
        let orphan = self.orphans.remove(which);
        trace!(self, "replica {}: reads the disk of {}", self.clients.len(), orphan.first);
        self.see("later life beside the first");
        let mut client = Client::new(&mut self.random, self.lanes, &self.terms);
        client.disk = Disk { image: orphan.image, ..Disk::default() };
        client.stored_contact = orphan.contact;
        client.is_later = true;
        self.clients.push(client);
        self.restore(self.clients.len() - 1)
    }

    /// A page that had its replica in memory is gone. Tells whether the next one finds a disk.
    pub(super) fn close_page(&mut self, place: usize) -> bool {
        let client = &mut self.clients[place];
        client.in_memory = false;
        client.ceiling = None;
        let Some(which) = self.orphans.iter().position(|orphan| orphan.first == place) else {
            client.retired = true;
            client.pending.clear();
            client.disk.queue.clear();
            return false;
        };
        let Orphan { image, contact, .. } = self.orphans.remove(which);
        client.stored_contact = contact;
        client.disk = Disk { image, ..Disk::default() };
        client.is_later = true;
        self.see("later life after the first");
        true
    }

    /// The relay has ended a session for good. Whoever has the disk delivers what is on it.
    pub(super) fn note_end(&mut self, place: usize, code: u16) {
        let client = &mut self.clients[place];
        if code == Close::Superseded.code() && client.ceiling.is_some() {
            client.retired = true;
            self.see("first life superseded");
        }
    }

    /// Memory is as durable as it gets.
    pub(super) fn settle_memory(&mut self, place: usize) {
        while self.clients[place].in_memory {
            let Some(notes) = self.clients[place].disk.settle_one() else { return };
            notes.into_iter().for_each(|note| self.clients[place].hear_disk(note));
        }
    }
}
