//! A replica's disk: transactions become durable later, in order, and a crash loses the last ones.

use std::collections::{BTreeMap, VecDeque};

use neap_core::{
    id::{ReplicaId, Turn},
    wire,
};

use super::{naive::Id, random::Random};

/// One write of a transaction.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Identity(ReplicaId, ReplicaId),
    Account {
        bytes: Vec<u8>,
        settled: Turn,
    },
    Info(Vec<u8>),
    Page(usize, Vec<u8>),
    /// Removes the pages from a number on.
    DropPages(usize),
    Frame(u64, Vec<u8>),
    /// Removes the frames before a number.
    DropFrames(u64),
    Block(Block),
    /// Removes the blocks whose last turn is this one or lies before it.
    DropBlocks(Turn),
}

/// An outbox block with what it is known to hold.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) first: Turn,
    pub(crate) last: Turn,
    pub(crate) bytes: Vec<u8>,
    pub(crate) entries: Vec<Entry>,
}

/// A pending mutation: which, and its ops as they still can hold.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: Id,
    pub(crate) ops: std::rc::Rc<Vec<super::naive::Op>>,
    /// Its place among all that its replica shows.
    pub(crate) ordinal: u64,
}

/// What the shell may tell its replica once a transaction is durable.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Note {
    Durable(ReplicaId, Turn),
    Saved(ReplicaId, Turn),
    /// So many pieces of news of pools.
    PoolNews(u64),
    /// What came with the newest of so many welcomes, at this moment.
    InfoSaved {
        welcomes: u64,
        at: u64,
    },
    Ready,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Transaction {
    pub(crate) writes: Vec<Write>,
    pub(crate) notes: Vec<Note>,
}

/// What is durable.
#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    pub(crate) identity: Option<(ReplicaId, ReplicaId)>,
    pub(crate) account: Option<Vec<u8>>,
    pub(crate) settled: Turn,
    pub(crate) info: Option<Vec<u8>>,
    pub(crate) pages: BTreeMap<usize, Vec<u8>>,
    pub(crate) frames: BTreeMap<u64, Vec<u8>>,
    pub(crate) blocks: BTreeMap<Turn, Block>,
    /// Records were lost: what is settled may have no effect here, whoever reads it next.
    pub(crate) is_torn: bool,
}

impl Image {
    fn write(&mut self, write: Write) {
        match write {
            Write::Identity(id, spare) => self.identity = Some((id, spare)),
            Write::Account { bytes, settled } => {
                self.account = Some(bytes);
                self.settled = settled;
            }
            Write::Info(bytes) => self.info = Some(bytes),
            Write::Page(number, page) => drop(self.pages.insert(number, page)),
            Write::DropPages(from) => drop(self.pages.split_off(&from)),
            Write::Frame(number, bytes) => drop(self.frames.insert(number, bytes)),
            Write::DropFrames(before) => self.frames = self.frames.split_off(&before),
            Write::Block(block) => drop(self.blocks.insert(block.first, block)),
            Write::DropBlocks(up_to) => self.blocks.retain(|_, block| block.last > up_to),
        }
    }

    /// The mutations that a replica must find here, and the turn before the first of them.
    pub(crate) fn outbox(&self) -> Vec<Entry> {
        let mut found: Vec<Entry> = Vec::new();
        let mut minted = self.settled;
        for block in self.blocks.values() {
            let mut turn = block.first;
            for entry in &block.entries {
                if turn > minted.next() {
                    break;
                }
                if turn == minted.next() {
                    found.push(entry.clone());
                    minted = turn;
                }
                turn = turn.next();
            }
        }
        found
    }
}

#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) image: Image,
    pub(crate) queue: VecDeque<Transaction>,
}

impl Disk {
    /// The mutations that lie there, and those that are under way.
    pub(crate) fn held(&self) -> impl Iterator<Item = Id> {
        let writes = self.queue.iter().flat_map(|transaction| &transaction.writes);
        let waiting = writes.filter_map(|write| match write {
            Write::Block(block) => Some(block),
            _ => None,
        });
        let blocks = self.image.blocks.values().chain(waiting);
        blocks.flat_map(|block| &block.entries).map(|entry| entry.id)
    }

    /// Lets the oldest transaction become durable.
    pub(crate) fn settle_one(&mut self) -> Option<Vec<Note>> {
        let transaction = self.queue.pop_front()?;
        for write in transaction.writes {
            self.image.write(write);
        }
        Some(transaction.notes)
    }

    /// A crash: some of what was under way became durable, the rest is lost, and a last single write
    /// may be torn. Tells whether one was.
    pub(crate) fn crash(&mut self, random: &mut Random) -> bool {
        for _ in 0..random.below(self.queue.len() + 1) {
            self.settle_one();
        }
        let next = self.queue.pop_front();
        self.queue.clear();
        // A page of a checkpoint is rare enough as it is.
        let is_torn = random.once_in(2);
        if let Some([write]) = next.as_ref().map(|next| next.writes.as_slice())
            && (is_torn || matches!(write, Write::Page(..)))
        {
            return self.tear(write.clone(), random);
        }
        false
    }

    fn tear(&mut self, write: Write, random: &mut Random) -> bool {
        let mut cut = |bytes: &mut Vec<u8>| bytes.truncate(random.below(bytes.len().max(1)));
        match write {
            Write::Block(mut block) => {
                cut(&mut block.bytes);
                let whole = wire::split_block(&block.bytes).filter(Result::is_ok).count();
                block.entries.truncate(whole);
                self.image.write(Write::Block(block));
            }
            Write::Frame(number, mut bytes) => {
                cut(&mut bytes);
                self.image.write(Write::Frame(number, bytes));
            }
            Write::Page(number, mut bytes) => {
                cut(&mut bytes);
                self.image.write(Write::Page(number, bytes));
            }
            Write::Identity(..)
            | Write::Account { .. }
            | Write::Info(_)
            | Write::DropPages(_)
            | Write::DropFrames(_)
            | Write::DropBlocks(_) => return false,
        }
        true
    }
}
