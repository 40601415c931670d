//! A replica's shell: it writes to its disk, carries frames, and keeps count of what it was told.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

use neap_core::{
    datastore::Options,
    id::{Epoch, ReplicaId, Seq, Turn},
    replica::{Replica, Watch},
    wire::{self, PoolAsk},
};

use super::{
    Check, Lanes,
    disk::{Disk, Entry, Note, Transaction, Write},
    fail,
    ground::{Ground, Known},
    naive::{COLLECTIONS, Id, Op, Place},
    pools::{POOLS, Terms},
    random::Random,
    relay::turns_of,
    sabotage::Sabotage,
    tabs::Tab,
    world::{Upward, World},
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
    /// What the app saw its own pending mutations change, and which of them undo which.
    pub(crate) grounds: BTreeMap<Id, Ground>,
    pub(crate) undos: BTreeMap<Id, Id>,
    /// What its app has made, and what it knew then.
    pub(crate) made: BTreeMap<Id, Known>,
    /// How many of its own mutations came out otherwise than the app had seen.
    pub(crate) surprises: u64,
    /// Where and in which life its own mutations were accepted, as the app was told.
    pub(crate) accepted: BTreeMap<Id, (Seq, Epoch)>,
    /// The epoch of the confirmed records.
    pub(crate) records: Option<Epoch>,
    /// The epoch in which it was first welcomed, until it has records.
    pub(crate) welcomed: Option<Epoch>,
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
    /// Siblings share one.
    pub(crate) device: Option<usize>,
    pub(crate) tabs: Vec<Tab>,
    /// What siblings have told and it has yet to hear.
    pub(crate) notes: VecDeque<Vec<u8>>,
    /// The seq at which it last looked what siblings have told.
    pub(crate) held: Seq,
    /// How often it has asked the relay for what has come since.
    pub(crate) asked: u64,
    /// It has yet to be brought to the head.
    pub(crate) is_asking: bool,
    /// How many mutations it has shown.
    ordinals: u64,
    /// How often a relay's welcome was to be stored.
    pub(crate) welcomes: u64,
    /// When a relay last welcomed it, in milliseconds since 1970.
    pub(crate) contact: Option<u64>,
    /// The same as far as its disk knows.
    pub(crate) stored_contact: Option<u64>,
    /// For how long it had been away when a relay last welcomed it.
    pub(crate) away: u64,
    /// Whether its disk can be written no more.
    pub(crate) in_memory: bool,
    /// Whether it has read a disk that another life of it has forsaken.
    pub(crate) is_later: bool,
    /// The newest turn of its own on a disk that was forsaken.
    pub(crate) ceiling: Option<Turn>,
    /// While its page is frozen: the newest turn of its own at the place that another has taken.
    pub(crate) frozen: Option<Turn>,
    /// Whether its page is gone for ever.
    pub(crate) retired: bool,
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
            grounds: BTreeMap::new(),
            undos: BTreeMap::new(),
            made: BTreeMap::new(),
            surprises: 0,
            accepted: BTreeMap::new(),
            records: None,
            welcomed: None,
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
            device: None,
            tabs: Vec::new(),
            notes: VecDeque::new(),
            held: Seq::ZERO,
            asked: 0,
            is_asking: false,
            ordinals: 0,
            welcomes: 0,
            contact: None,
            stored_contact: None,
            away: 0,
            in_memory: false,
            is_later: false,
            ceiling: None,
            frozen: None,
            retired: false,
            is_ready: false,
        };
        client.replica.set_page_records(page_records);
        client.begin(random);
        client
    }

    /// The shell's first acts with a new replica.
    pub(crate) fn begin(&mut self, random: &mut Random) {
        (self.pages, self.frame, self.checkpoint) = (None, None, None);
        if self.device.is_some() {
            self.replica.meet_siblings();
        }
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

    /// Makes it a sibling of all others on the device.
    pub(crate) fn share(&mut self, device: usize) {
        self.device = Some(device);
        self.replica.meet_siblings();
    }

    pub(crate) fn identity(&self) -> Write {
        Write::Identity(self.id, self.spare)
    }

    pub(crate) fn account(&self) -> Write {
        Write::Account { bytes: self.replica.account(), settled: self.replica.settled() }
    }

    pub(crate) fn entry_of(&mut self, id: Id, ops: Rc<Vec<Op>>) -> Entry {
        self.ordinals += 1;
        Entry { id, ops, ordinal: self.ordinals }
    }

    /// Whether its disk holds the outbox of an id that it had before.
    pub(crate) fn is_between_ids(&self) -> bool {
        self.disk.image.identity.is_some_and(|(id, _)| id != self.id)
    }

    /// The pending mutation of a turn.
    pub(crate) fn entry(&self, turn: Turn) -> Option<&Entry> {
        let place = turn.0.checked_sub(self.replica.settled().0 + 1)?;
        self.pending.get(usize::try_from(place).ok()?)
    }
}

impl World {
    /// Carries out what the replica wants done, in order. A crash may fall between any two.
    pub(crate) fn drain(&mut self, place: usize) -> Check {
        self.take_changes(place)?;
        let wanted = self.take_events(place)?;
        self.hold_more(place)?;
        self.check_client(place)?;
        self.check_news()?;
        if self.sabotage == Some(Sabotage::AckBeforeSaved) {
            let settled = self.clients[place].replica.settled();
            self.clients[place].replica.saved(settled);
        }
        if self.sabotage == Some(Sabotage::StampLate) {
            self.clients[place].replica.info_saved();
        }
        for transaction in self.transactions(place, &wanted) {
            if self.dies() {
                return self.crash(place);
            }
            self.clients[place].disk.queue.push_back(transaction);
        }
        self.settle_memory(place);
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
        self.tell_siblings(place)
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
        if let Ok(wire::Up::Next(_)) = wire::decode_up(&frame)
            && !self.clients[place].is_asking
        {
            self.clients[place].asks();
        }
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
            if !client.in_memory {
                self.check_stamp(place)?;
            }
            let stored = client.in_memory
                || image.identity.map(|(id, _)| id) == Some(id) && kept >= first + count - 1;
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
