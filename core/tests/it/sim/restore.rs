//! A replica's crash, and how its shell brings it back from its disk.

use std::{collections::BTreeSet, rc::Rc};

use neap_core::{
    datastore::Options,
    id::{ReplicaId, Turn},
    replica::Replica,
    wire,
};

use super::{
    Check,
    client::Client,
    disk::{Disk, Entry},
    fail,
    naive::Id,
    oracle::{settled_writers, without, without_seqs},
    sabotage::Sabotage,
    world::{Upward, World, trace},
};

impl World {
    /// The replica's process dies, and starts again from its disk.
    pub(crate) fn crash(&mut self, place: usize) -> Check {
        trace!(self, "replica {place}: crashes");
        self.see("replica crashed");
        self.hang_up(place);
        self.note_death(place);
        if self.clients[place].in_memory {
            return if self.close_page(place) { self.restore(place) } else { Ok(()) };
        }
        let client = &mut self.clients[place];
        let loses = !client.disk.queue.is_empty();
        if client.disk.crash(&mut self.random) {
            self.report.sights.see("torn write");
        }
        if loses {
            self.see("writes lost in a crash");
            self.oracle.forget_unknown(&self.clients[place].disk.image);
        }
        self.restore(place)
    }

    /// The disk is lost with everything else.
    pub(crate) fn lose_disk(&mut self, place: usize) -> Check {
        if self.clients[place].device.is_some() {
            // Others live on it.
            return self.crash(place);
        }
        trace!(self, "replica {place}: loses its disk");
        self.see("disk lost");
        self.hang_up(place);
        let client = &mut self.clients[place];
        client.disk = Disk::default();
        (client.in_memory, client.ceiling, client.stored_contact) = (false, None, None);
        self.restore(place)
    }

    fn hang_up(&mut self, place: usize) {
        if let Some(number) = self.clients[place].connection.take() {
            let connection = &mut self.connections[number];
            connection.up.push_back(Upward::Gone);
            connection.down.clear();
        }
    }

    pub(super) fn restore(&mut self, place: usize) -> Check {
        let (id, spare) = (ReplicaId(self.random.bytes()), ReplicaId(self.random.bytes()));
        let seed = self.random.next();
        let client = &mut self.clients[place];
        let image = &mut client.disk.image;
        if self.sabotage == Some(Sabotage::ReuseTurns) {
            image.blocks.clear();
        }
        let (id, spare) = image.identity.unwrap_or((id, spare));
        let mut replica = Replica::new(id, spare, seed, Options::default());
        replica.set_page_records(client.page_records);
        if let Some(bytes) = &image.account
            && replica.restore_account(bytes).is_err()
        {
            return fail("RS1", "an account cannot be read".into());
        }
        if self.traced {
            let pages: Vec<_> = image.pages.iter().map(|(n, page)| (n, page.len())).collect();
            let frames = image.frames.iter();
            let frames: Vec<_> = frames.map(|(n, frame)| (n, wire::decode_down(frame))).collect();
            let line =
                format!("replica {place}: finds pages of bytes {pages:?}, frames {frames:?}");
            self.report.trace.push(line);
        }
        let mut amnesia = image.is_torn;
        if let Some(bytes) = &image.info {
            if replica.restore_info(bytes).is_err() {
                return fail("RS1", "what is known cannot be read".into());
            }
            let taken = |page: &Vec<u8>| replica.restore_page(page.clone()).is_ok();
            let are_sound = image.pages.values().all(taken);
            let replayed = |frame: &Vec<u8>| replica.restore_frame(frame).is_ok();
            if are_sound && image.frames.values().all(replayed) {
                for frame in image.frames.values() {
                    self.report.sights.see("log replayed");
                    if matches!(wire::decode_down(frame), Ok((wire::Down::Pool(_), _))) {
                        self.report.sights.see("pool frame restored");
                    }
                }
            } else {
                replica.drop_records();
                image.pages.clear();
                image.frames.clear();
                image.info = replica.info();
                amnesia = true;
                self.report.sights.see("records dropped at restore");
            }
        }
        image.is_torn = amnesia;
        for (first, block) in &image.blocks {
            let _ = replica.restore_block(*first, &block.bytes);
        }
        replica.restored();

        let stored = image.outbox();
        let next_frame = image.frames.keys().next_back().map_or(0, |last| last + 1);
        client.pending.clear();
        let own: BTreeSet<Id> = stored.iter().map(|entry| entry.id).collect();
        for Entry { id, mut ops, .. } in stored {
            if replica.epoch().is_none() {
                self.oracle.lifeless.insert(id);
                let ops: &mut Vec<_> = Rc::make_mut(&mut ops);
                without_seqs(ops);
                // Nor of which life the writes were that it had settled; another may make them again.
                let settled = settled_writers(ops, &own);
                *ops = without(ops, &settled);
                self.oracle.unheard.extend(settled);
            }
            let entry = client.entry_of(id, ops);
            client.pending.push_back(entry);
        }
        if !client.pending.is_empty() {
            self.report.sights.see("pending restored");
        }
        (client.id, client.spare) = (id, spare);
        client.contact = client.stored_contact;
        client.next_frame = next_frame;
        (client.records, client.welcomed) = (replica.epoch(), None);
        client.has_amnesia = amnesia;
        client.doomed.clear();
        client.grounds.clear();
        client.undos.clear();
        client.is_ready = false;
        client.replica = replica;
        client.begin(&mut self.random);
        self.check_restored(place)?;
        let client = &mut self.clients[place];
        for (collection, name) in super::naive::COLLECTIONS.into_iter().enumerate() {
            for key in client.replica.keys(name) {
                let Some(at) = super::oracle::place_of(name, &key) else { continue };
                if client.watched[collection] {
                    let data = client.replica.get(name, &key).unwrap_or_default().into();
                    client.mirror.insert(at, data);
                }
            }
        }
        self.drain(place)
    }

    /// What was ever sent is remembered; what was not may be made again.
    fn check_restored(&mut self, place: usize) -> Check {
        let client: &Client = &self.clients[place];
        let id = client.id;
        let mut turn = client.replica.settled();
        for Entry { id: mutation, .. } in &client.pending {
            turn = turn.next();
            let named = self.oracle.names.get(&(id, turn)).map(|(id, _)| *id);
            if named != Some(*mutation) {
                return fail("OU3", format!("turn {} comes back as another", turn.0));
            }
        }
        if client.replica.minted() != turn {
            return fail(
                "OU3",
                format!("{} turns came back, not {}", client.replica.minted().0, turn.0),
            );
        }
        let lost: Vec<Turn> = self
            .oracle
            .names
            .range((id, turn.next())..=(id, Turn(u64::MAX)))
            .map(|((_, turn), _)| *turn)
            .collect();
        for turn in lost {
            if let Some((mutation, true)) = self.oracle.names.remove(&(id, turn)) {
                return fail("OU1", format!("mutation {mutation} was sent and is forgotten"));
            }
        }
        Ok(())
    }
}
