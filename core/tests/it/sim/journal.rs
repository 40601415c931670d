//! What a replica's shell writes to its disk, and when it tells the replica that it has.

use neap_core::{
    id::Turn,
    replica::{Journal, Phase},
};

use super::{
    Check,
    client::{Checkpoint, Client, Wanted},
    disk::{Block, Entry, Note, Transaction, Write},
    sabotage::Sabotage,
    world::World,
};

impl World {
    /// What has to be written, each transaction all or nothing.
    pub(crate) fn transactions(&mut self, place: usize, wanted: &Wanted) -> Vec<Transaction> {
        let lose_block = self.sabotage == Some(Sabotage::LoseBlock) && self.random.once_in(10);
        let whole = self.random.once_in(8);
        let now = self.now;
        let client = &mut self.clients[place];
        let mut all = Vec::new();
        let mut blocks = Transaction::default();
        while let Some((first, last, bytes)) = client.replica.take_block() {
            let entries: Vec<Entry> =
                (first.0..=last.0).filter_map(|turn| client.entry(Turn(turn)).cloned()).collect();
            if !lose_block {
                blocks.writes.push(Write::Block(Block { first, last, bytes, entries }));
            }
            blocks.notes.push(Note::Durable(client.id, last));
        }
        let settled = client.replica.settled();
        if wanted.outbox {
            let first = [Write::DropBlocks(Turn(u64::MAX)), client.identity(), client.account()];
            blocks.writes.splice(0..0, first);
        }
        if !blocks.notes.is_empty() || !blocks.writes.is_empty() {
            all.push(blocks);
        }
        let mut log = Transaction::default();
        let journal = match client.replica.take_journal() {
            Journal::Pages if whole => Journal::Checkpoint,
            journal => journal,
        };
        let frame = client.frame.take();
        // A catch-up that was cut goes on from its last page.
        let pages = client.pages.take_if(|_| client.replica.phase() == Phase::Live);
        match journal {
            Journal::Nothing => {}
            Journal::Frame | Journal::Pages => {
                let pages = pages.filter(|_| journal == Journal::Pages);
                for frame in pages.unwrap_or_else(|| frame.into_iter().collect()) {
                    log.writes.push(Write::Frame(client.next_frame, frame));
                    client.next_frame += 1;
                }
            }
            Journal::Checkpoint => {
                client.checkpoint = None;
                log.writes.push(Write::DropFrames(u64::MAX));
                log.writes.push(Write::DropPages(client.replica.page_count()));
                for page in 0..client.replica.page_count() {
                    log.writes.push(Write::Page(page, client.replica.page(page)));
                }
                log.writes.extend(client.replica.info().map(Write::Info));
            }
        }
        while let Some(unseen) = client.replica.take_unseen() {
            log.writes.push(Write::Frame(client.next_frame, unseen));
            client.next_frame += 1;
        }
        if !log.writes.is_empty() {
            log.notes.push(Note::PoolNews(client.replica.pool_news()));
        }
        if wanted.account && !wanted.outbox {
            log.writes.push(client.account());
            log.writes.push(Write::DropBlocks(settled));
            log.notes.push(Note::Saved(client.id, settled));
        }
        if !log.writes.is_empty() {
            all.push(log);
        }
        if wanted.info {
            let mut writes = vec![client.account()];
            writes.extend(client.replica.info().map(Write::Info));
            client.welcomes += 1;
            let note = Note::InfoSaved { welcomes: client.welcomes, at: now };
            all.push(Transaction { writes, notes: vec![note] });
        }
        all
    }

    /// Lets a transaction of a replica's disk become durable.
    pub(crate) fn write_disk(&mut self, place: usize) -> Check {
        let client = &mut self.clients[place];
        let Some(notes) = client.disk.settle_one() else {
            return Ok(());
        };
        notes.into_iter().for_each(|note| client.hear_disk(note));
        self.drain(place)
    }

    /// Goes on with a checkpoint: one page, or the end of it.
    pub(crate) fn checkpoint(&mut self, place: usize) -> Check {
        let client = &mut self.clients[place];
        let Some(checkpoint) = client.checkpoint else {
            if client.replica.info().is_some() {
                client.checkpoint = Some(Checkpoint { since: client.next_frame });
                if self.sabotage == Some(Sabotage::DropLogEarly) {
                    let mut writes = vec![Write::DropFrames(u64::MAX)];
                    writes.extend(client.replica.info().map(Write::Info));
                    client.disk.queue.push_back(Transaction { writes, notes: Vec::new() });
                }
            }
            return Ok(());
        };
        let (writes, done) = match client.replica.dirty_page() {
            Some(page) => (vec![Write::Page(page, client.replica.page(page))], false),
            None => {
                // Between two lives there is nothing to say of the records: the frames stay.
                let Some(info) = client.replica.info() else {
                    client.checkpoint = None;
                    return Ok(());
                };
                (vec![Write::DropFrames(checkpoint.since), Write::Info(info)], true)
            }
        };
        client.disk.queue.push_back(Transaction { writes, notes: Vec::new() });
        if done {
            client.checkpoint = None;
            self.see("checkpoint page by page");
        }
        Ok(())
    }
}

impl Client {
    /// Hears that something is durable. What was stored of another id, or before another welcome, says
    /// nothing of the present one.
    pub(crate) fn hear_disk(&mut self, note: Note) {
        match note {
            Note::Durable(id, turn) if id == self.id => self.replica.durable(turn),
            Note::Saved(id, turn) if id == self.id => self.replica.saved(turn),
            Note::InfoSaved { welcomes, at } if welcomes == self.welcomes => {
                self.stored_contact = Some(at);
                self.replica.info_saved();
            }
            Note::PoolNews(count) => self.replica.pool_news_saved(count),
            Note::Ready => self.is_ready = true,
            Note::Durable(..) | Note::Saved(..) | Note::InfoSaved { .. } => {}
        }
    }
}
