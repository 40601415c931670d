//! A replica's shell: it writes to its disk, carries frames, and keeps count of what it was told.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

use neap_core::{
    datastore::Options,
    id::{Epoch, ReplicaId, Seq, Turn},
    replica::{Phase, Replica, Watch},
    wire::{self, Down, PoolAsk},
};

use super::{
    Check, Lanes,
    disk::{Disk, Entry, Note, Transaction, Write},
    fail,
    naive::{COLLECTIONS, Cond, Id, Op, Place},
    pools::{POOLS, Terms},
    random::Random,
    relay::turns_of,
    sabotage::Sabotage,
    world::{Connection, Downward, Upward, World, trace},
};

/// A checkpoint that is being written page by page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checkpoint {
    /// The first frame that has to be kept beside it.
    pub(crate) since: u64,
}

/// Why a replica asks for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Pong,
    Tick,
    Other,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) replica: Replica,
    pub(crate) id: ReplicaId,
    pub(crate) spare: ReplicaId,
    pub(crate) connection: Option<usize>,
    pub(crate) disk: Disk,
    /// What has no outcome, in order.
    pub(crate) pending: VecDeque<Entry>,
    /// Mutations that were predicted to be refused when they were made.
    pub(crate) doomed: BTreeSet<Id>,
    /// The epoch of the confirmed records.
    pub(crate) records: Option<Epoch>,
    /// Whether stored records were lost, so that settled turns may have no effect yet.
    pub(crate) has_amnesia: bool,
    pub(crate) watched: [bool; COLLECTIONS.len()],
    /// The pools that its app opens.
    pub(crate) opens: [bool; POOLS.len()],
    terms: [Terms; POOLS.len()],
    /// The items that it holds.
    pub(crate) seen: [BTreeSet<String>; POOLS.len()],
    pub(crate) mirror: BTreeMap<Place, String>,
    /// Frames that have come since the catch-up under way began.
    pub(crate) pages: Option<Vec<Vec<u8>>>,
    /// What came last.
    pub(crate) input: Cause,
    /// The frame that has just come.
    pub(crate) frame: Option<Vec<u8>>,
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) next_frame: u64,
    pub(crate) page_records: usize,
    /// Whether it is on the disk that this owner has begun: before that nobody may hear of it.
    pub(crate) is_ready: bool,
}

/// What the events of one input want to have written.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) info: bool,
    pub(crate) account: bool,
    pub(crate) outbox: bool,
}

impl Client {
    pub(crate) fn new(random: &mut Random, lanes: Lanes, terms: &[Terms; POOLS.len()]) -> Self {
        let (id, spare) = (ReplicaId(random.bytes()), ReplicaId(random.bytes()));
        let page_records = 1 + random.below(4);
        let mut client = Client {
            replica: Replica::new(id, spare, random.next(), Options::default()),
            id,
            spare,
            connection: None,
            disk: Disk::default(),
            pending: VecDeque::new(),
            doomed: BTreeSet::new(),
            records: None,
            has_amnesia: false,
            watched: [false; COLLECTIONS.len()],
            opens: POOLS.map(|_| lanes.pools && !random.once_in(4)),
            terms: *terms,
            seen: Default::default(),
            mirror: BTreeMap::new(),
            pages: None,
            input: Cause::Other,
            frame: None,
            checkpoint: None,
            next_frame: 0,
            page_records,
            is_ready: false,
        };
        client.replica.set_page_records(page_records);
        client.begin(random);
        client
    }

    /// The shell's first acts with a new replica.
    pub(crate) fn begin(&mut self, random: &mut Random) {
        (self.pages, self.frame, self.checkpoint) = (None, None, None);
        self.seen = Default::default();
        for (pool, name) in POOLS.into_iter().enumerate().filter(|(pool, _)| self.opens[*pool]) {
            // A name that is none, or terms that are others, come out as rules that do not hold.
            let _ = self.replica.open_pool(name, self.terms[pool].choice());
        }
        self.mirror.clear();
        for (collection, name) in COLLECTIONS.into_iter().enumerate() {
            let level = random.pick(&[Watch::Nothing, Watch::Keys, Watch::Records]);
            self.replica.watch(name, level);
            self.watched[collection] = level != Watch::Nothing;
        }
        let writes = vec![self.identity(), self.account()];
        self.disk.queue.push_back(Transaction { writes, notes: vec![Note::Ready] });
    }

    pub(crate) fn identity(&self) -> Write {
        Write::Identity(self.id, self.spare)
    }

    pub(crate) fn account(&self) -> Write {
        Write::Account { bytes: self.replica.account(), settled: self.replica.settled() }
    }

    pub(crate) fn entry_of(&mut self, id: Id, ops: Rc<Vec<Op>>) -> Entry {
        Entry { id, ops }
    }

    /// The pending mutation of a turn.
    pub(crate) fn entry(&self, turn: Turn) -> Option<&Entry> {
        let place = turn.0.checked_sub(self.replica.settled().0 + 1)?;
        self.pending.get(usize::try_from(place).ok()?)
    }
}

impl World {
    pub(crate) fn connect(&mut self, place: usize) -> Check {
        if !self.clients[place].is_ready {
            return Ok(());
        }
        let number = self.connections.len();
        let up = VecDeque::from([Upward::Open]);
        self.connections.push(Connection { client: place, up, ..Connection::default() });
        trace!(self, "replica {place}: connects as {number}");
        let client = &mut self.clients[place];
        client.connection = Some(number);
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
                Ok(())
            }
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
                let result = self.clients[place].replica.received(&frame, now);
                let after = self.clients[place].replica.epoch();
                if before.is_some() && before != after {
                    self.see("new epoch met");
                    self.forget_old_life(place);
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
        let pending: BTreeSet<Id> = client.pending.iter().map(|entry| entry.id).collect();
        for entry in &mut client.pending {
            let mut ops = (*entry.ops).clone();
            for op in &mut ops {
                op.cond = match op.cond {
                    Cond::Seq(..) => Cond::Never,
                    Cond::By(id) if !pending.contains(&id) => Cond::Never,
                    cond => cond,
                };
            }
            entry.ops = Rc::new(ops);
        }
    }

    /// Carries out what the replica wants done, in order. A crash may fall between any two.
    pub(crate) fn drain(&mut self, place: usize) -> Check {
        self.take_changes(place)?;
        let wanted = self.take_events(place)?;
        self.check_client(place)?;
        self.check_news()?;
        if self.sabotage == Some(Sabotage::AckBeforeSaved) {
            let settled = self.clients[place].replica.settled();
            self.clients[place].replica.saved(settled);
        }
        for transaction in self.transactions(place, &wanted) {
            if self.dies() {
                return self.crash(place);
            }
            self.clients[place].disk.queue.push_back(transaction);
        }
        if self.sabotage == Some(Sabotage::SendBeforePersist) {
            let minted = self.clients[place].replica.minted();
            self.clients[place].replica.durable(minted);
        }
        while let Some(frame) = self.clients[place].replica.take_frame() {
            if self.dies() {
                return self.crash(place);
            }
            self.send_up(place, frame)?;
        }
        Ok(())
    }

    fn dies(&mut self) -> bool {
        let odds = self.odds.crash;
        let dies = self.chance(odds);
        if dies {
            self.see("crash between outputs");
        }
        dies
    }

    fn send_up(&mut self, place: usize, frame: Vec<u8>) -> Check {
        let client = &self.clients[place];
        let Some(number) = client.connection else {
            return fail("RE8", "a frame with no connection".into());
        };
        let mut frame = frame;
        if let Ok(wire::Up::Hello(hello)) = wire::decode_up(&frame)
            && hello.cursor.after > client.replica.seq()
        {
            self.report.sights.see("catch-up resumed");
        }
        if let Ok(wire::Up::Pool(said)) = wire::decode_up(&frame) {
            match (client.input, said.ask) {
                (Cause::Pong, PoolAsk::Next(_)) => self.report.sights.see("pong told of items"),
                (Cause::Tick, PoolAsk::Open { .. }) => self.report.sights.see("pool asked again"),
                _ => {}
            }
        }
        if let Some((id, first, count)) = turns_of(&[client.id], &frame) {
            let image = &client.disk.image;
            let kept = image.settled.0 + image.outbox().len() as u64;
            let stored = image.identity.map(|(id, _)| id) == Some(id) && kept >= first + count - 1;
            let last_settled = client.replica.settled().0;
            if !stored && last_settled < first + count - 1 && self.sabotage.is_none() {
                return fail("OU1", format!("turns to {} are sent, not stored", first + count - 1));
            }
            for turn in first..first + count {
                match self.oracle.names.get_mut(&(id, Turn(turn))) {
                    Some((_, sent)) if *sent => self.report.sights.see("repeat pushed"),
                    Some((_, sent)) => *sent = true,
                    None => return fail("OU1", format!("turn {turn} is sent, nobody made it")),
                }
            }
            if self.sabotage == Some(Sabotage::DropTurn) && count > 1 {
                frame = without_first(&frame);
            }
        }
        let connection = &mut self.connections[number];
        if !connection.closed {
            connection.up.push_back(Upward::Frame(frame));
        }
        Ok(())
    }
}

/// A push without its first mutation.
fn without_first(frame: &[u8]) -> Vec<u8> {
    let Ok(wire::Up::Push(push)) = wire::decode_up(frame) else {
        return frame.to_vec();
    };
    let mut block = Vec::new();
    for mutation in wire::split_block(push.block).filter_map(Result::ok).skip(1) {
        wire::append_to_block(&mut block, mutation);
    }
    wire::encode_up(&wire::Up::Push(wire::Push { block: &block, ..push }))
}
