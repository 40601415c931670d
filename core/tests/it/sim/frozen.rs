//! Tabs that are frozen: others take their places on the disk, and when they wake up they go on elsewhere.

use std::{collections::BTreeSet, rc::Rc};

use neap_core::{
    id::{ReplicaId, Turn},
    limits::AUTHORS_MAX,
};

use super::{
    Check,
    client::Client,
    disk::{Disk, Note, Transaction, Write},
    naive::{Cond, Id},
    oracle::without,
    sabotage::Sabotage,
    tabs::Tab,
    world::{World, trace},
};

impl World {
    /// A tab freezes, and another page takes its place on the disk.
    pub(super) fn freeze(&mut self, place: usize) -> Check {
        let siblings = self.clients.iter().filter(|client| client.device.is_some()).count();
        let client = &self.clients[place];
        let has_stamp = !self.lanes.years || client.disk.image.has_stamp();
        if client.device.is_none() || siblings > AUTHORS_MAX.min(6) || !has_stamp {
            return Ok(());
        }
        self.cut(place, 1006)?;
        // Some of what was under way has become durable, and the page hears of that before all else.
        for _ in 0..self.random.below(self.clients[place].disk.queue.len() + 1) {
            let client = &mut self.clients[place];
            let notes = client.disk.settle_one().unwrap_or_default();
            notes.into_iter().for_each(|note| client.hear_disk(note));
        }
        let client = &mut self.clients[place];
        let Some((id, _)) = client.disk.image.identity else { return Ok(()) };
        let (device, contact) = (client.device, client.stored_contact);
        let disk = std::mem::take(&mut client.disk);
        self.oracle.forget_unknown(&disk.image);
        let last = Turn(disk.image.settled.0 + disk.image.outbox().len() as u64);
        let (own, settled) = (client.id, client.replica.settled());
        if id != own {
            self.oracle.left.extend(disk.held());
        }
        client.frozen = Some(if id == own { last.max(settled) } else { settled });
        (client.stored_contact, client.checkpoint) = (None, None);
        (client.pages, client.frame) = (None, None);
        self.oracle.free_names(id, last);
        trace!(self, "replica {place}: is frozen, {} takes its place", self.clients.len());
        self.see(if id == own { "tab frozen" } else { "tab frozen under another id" });
        let mut courier = Client::new(&mut self.random, self.lanes, &self.terms);
        courier.disk = Disk { image: disk.image, ..Disk::default() };
        (courier.device, courier.stored_contact) = (device, contact);
        self.clients.push(courier);
        self.restore(self.clients.len() - 1)
    }

    /// A frozen tab wakes up and finds another's mark at its place.
    pub(super) fn wake_up(&mut self, place: usize) -> Check {
        let Some(last) = self.clients[place].frozen.take() else { return Ok(()) };
        trace!(self, "replica {place}: wakes up, its turns to {} are another's", last.0);
        self.see("frozen tab woke up dispossessed");
        let spare = ReplicaId(self.random.bytes());
        let client = &mut self.clients[place];
        client.notes.clear();
        if self.sabotage == Some(Sabotage::WakeUnaware) {
            return self.drain(place);
        }
        let (id, settled) = (client.id, client.replica.settled());
        let count = usize::try_from(last.0 - settled.0).unwrap_or(0).min(client.pending.len());
        let mut theirs: Vec<_> = client.pending.drain(..count).collect();
        let handed: BTreeSet<Id> = theirs.iter().map(|entry| entry.id).collect();
        let epoch = client.replica.epoch();
        let life = epoch.and_then(|epoch| self.oracle.life(epoch));
        // What is no own mutation any more speaks of seqs, and of what is handed over with it.
        for entry in &mut theirs {
            let mut ops = (*entry.ops).clone();
            for op in &mut ops {
                op.cond = match op.cond {
                    Cond::By(writer) if handed.contains(&writer) => Cond::Pending(writer),
                    Cond::By(writer) => life
                        .and_then(|life| life.outcomes.get(&writer)?.seq())
                        .map_or(Cond::Never, |seq| Cond::At(seq.0)),
                    Cond::Seq(seq, of) if Some(of) == epoch => Cond::At(seq),
                    Cond::Seq(..) => Cond::Never,
                    cond => cond,
                };
            }
            entry.ops = Rc::new(ops);
        }
        self.oracle.unheard.extend(&handed);
        for entry in &mut client.pending {
            // Of what another life has handed over this one may have heard the outcome.
            entry.ops = Rc::new(without(&entry.ops, &handed));
        }
        handed.into_iter().for_each(|id| client.undo_fails(id));
        if !client.pending.is_empty() {
            self.report.sights.see("too late for a place that is another's");
        }
        if !theirs.is_empty() {
            client.tabs.push(Tab::of_another(id, settled, (settled.0 + 1..).zip(theirs)));
        }
        client.spare = spare;
        client.replica.set_spare(spare);
        let _ = client.replica.dispossess();
        client.replica.meet_siblings();
        self.drain(place)?;
        // All that it holds goes to a place of its own.
        let client = &mut self.clients[place];
        let mut writes: Vec<Write> = (0..client.replica.page_count())
            .map(|n| Write::Page(n, client.replica.page(n)))
            .collect();
        writes.extend(client.replica.info().map(Write::Info));
        client.disk.queue.push_back(Transaction { writes, notes: vec![Note::Ready] });
        self.ask_disk(place)
    }

    pub(super) fn wake_all(&mut self) -> Check {
        (0..self.clients.len()).try_for_each(|place| self.wake_up(place))
    }

    /// A tab looks on the disk what has become of the siblings of which it still shows something.
    pub(super) fn ask_disk(&mut self, place: usize) -> Check {
        let device = self.clients[place].device;
        if device.is_none() || self.clients[place].frozen.is_some() {
            return Ok(());
        }
        for which in 0..self.clients[place].tabs.len() {
            let tab = &self.clients[place].tabs[which];
            let is_done = |other: &&Client| {
                let image = &other.disk.image;
                other.device == device
                    && image.identity.is_some_and(|(id, _)| tab.is_of(id, image.settled))
                    && image.outbox().is_empty()
                    && other.disk.queue.is_empty()
                    && other.pending.is_empty()
                    && other.records == other.replica.epoch()
                    && !other.has_amnesia
            };
            if tab.queue.is_empty() {
                continue;
            }
            let Some(other) = self.clients.iter().find(is_done) else { continue };
            let (id, epoch, at) = (other.id, other.replica.epoch(), other.replica.seq());
            trace!(self, "replica {place}: finds {id:?} done at {}", at.0);
            self.see("sibling found done on the disk");
            let client = &mut self.clients[place];
            let heard = client.asked;
            client.tabs[which].is_done(epoch, at, heard);
            let (here, seq) = (client.replica.epoch(), client.replica.seq());
            if !client.is_stale() {
                self.settle_tabs(place, here, seq)?;
            }
            self.clients[place].replica.sibling_is_done(id, epoch, at);
            self.drain(place)?;
        }
        Ok(())
    }
}
