//! The real machines with shells that are as small as can be, and all that can happen next.

use std::{
    collections::{BTreeMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
};

use neap_core::{
    authority::{Admission, Authority, Moment, Output, SessionId, Settings},
    datastore::{Kind, Options},
    id::{Epoch, ReplicaId, Seq, Turn},
    mutation::Condition,
    replica::{Event, OpKind, Phase, Replica},
    storage::{MemoryStorage, Storage},
};

const NOW: u64 = 1_700_000_000_000;
const MOMENT: Moment = Moment { now: NOW, dice: Epoch([7; 8]) };

/// What is walked.
#[derive(Clone, Copy)]
pub(crate) struct Protocol {
    pub(crate) faults: usize,
    /// Whether a restart loses the ledger, which must be noticed.
    pub(crate) forgets: bool,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// An app makes its next mutation.
    Edit(usize),
    /// What it has made is on its disk.
    Store(usize),
    Connect(usize),
    /// A frame arrives at the authority.
    Up(usize),
    /// A frame arrives at a replica.
    Down(usize),
    /// A connection is cut, and what was on it is lost.
    Cut(usize),
    /// It is cut, and what was under way to the authority arrives all the same.
    CutLate(usize),
    /// A replica's process dies, and comes back with what was on its disk.
    Crash(usize),
    /// The authority's process dies; connections are cut.
    Restart,
    /// The authority sleeps; its sessions come back from what stands beside their sockets.
    Sleep,
}

/// A replica, its disk, and its connection.
#[derive(Debug)]
pub(crate) struct Side {
    replica: Replica,
    /// Mutations that its app has made.
    made: usize,
    /// Turns that are in no block yet.
    unstored: Vec<(Turn, Turn, Vec<u8>)>,
    blocks: Vec<(Turn, Vec<u8>)>,
    account: Vec<u8>,
    connections: u64,
    session: Option<SessionId>,
    up: VecDeque<Vec<u8>>,
    down: VecDeque<Box<[u8]>>,
    /// What the app was told of each turn.
    pub(crate) told: Vec<(Turn, Option<Seq>)>,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) authority: Authority<MemoryStorage>,
    remembered: BTreeMap<SessionId, Vec<u8>>,
    pub(crate) sides: [Side; 2],
    faults: usize,
    forgets: bool,
    /// What the record was at each head that was committed.
    history: BTreeMap<u64, Option<String>>,
    pub(crate) broken: Option<String>,
}

/// The mutations of each side: a set and a patch of what it then sees, against somebody else's set of what
/// must not be there.
const SCRIPTS: [&[(OpKind, &str)]; 2] = [
    &[(OpKind::Set, r#"{"id":"k","v":1}"#), (OpKind::Patch, r#"{"w":2}"#)],
    &[(OpKind::Set, r#"{"id":"k","v":3}"#)],
];

fn fresh(side: usize) -> Replica {
    let name = u8::try_from(side).unwrap_or(0) + 1;
    let options = Options { kind: Some(Kind::Permanent), ..Options::default() };
    Replica::new(ReplicaId([name; 16]), ReplicaId([name + 100; 16]), 7, options)
}

impl World {
    pub(crate) fn new(Protocol { faults, forgets }: Protocol) -> World {
        let side = |at| Side {
            replica: fresh(at),
            made: 0,
            unstored: Vec::new(),
            blocks: Vec::new(),
            account: fresh(at).account(),
            connections: 0,
            session: None,
            up: VecDeque::new(),
            down: VecDeque::new(),
            told: Vec::new(),
        };
        let Ok(authority) = Authority::load(MemoryStorage::new(), Settings::default()) else {
            unreachable!("nothing is stored")
        };
        let history = BTreeMap::from([(0, None)]);
        let sides = [side(0), side(1)];
        World {
            authority,
            remembered: BTreeMap::new(),
            sides,
            faults,
            forgets,
            history,
            broken: None,
        }
    }

    pub(crate) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (at, side) in self.sides.iter().enumerate() {
            let mut may = |holds: bool, step: Step| steps.extend(holds.then_some(step));
            may(side.made < SCRIPTS[at].len(), Step::Edit(at));
            may(!side.unstored.is_empty(), Step::Store(at));
            may(side.session.is_none(), Step::Connect(at));
            may(!side.up.is_empty(), Step::Up(at));
            may(!side.down.is_empty(), Step::Down(at));
            if self.faults > 0 {
                may(side.session.is_some(), Step::Cut(at));
                may(!side.up.is_empty(), Step::CutLate(at));
                may(side.connections > 0 || side.made > 0, Step::Crash(at));
            }
        }
        if self.faults > 0 && self.sides.iter().any(|side| side.session.is_some()) {
            steps.extend([Step::Restart, Step::Sleep]);
        }
        steps
    }

    pub(crate) fn take(&mut self, step: Step) {
        match step {
            Step::Edit(at) => self.edit(at),
            Step::Store(at) => {
                for (first, last, block) in std::mem::take(&mut self.sides[at].unstored) {
                    self.sides[at].blocks.push((first, block));
                    self.sides[at].replica.durable(last);
                }
                self.drain(at);
            }
            Step::Connect(at) => {
                let side = &mut self.sides[at];
                side.connections += 1;
                let session = side.connections * 10 + at as u64;
                side.session = Some(session);
                side.replica.connected(NOW);
                self.authority.connect(session, Admission::OPEN, NOW);
                self.commit();
                self.drain(at);
            }
            Step::Up(at) => self.up(at),
            Step::Down(at) => {
                let Some(frame) = self.sides[at].down.pop_front() else { return };
                if let Err(why) = self.sides[at].replica.received(&frame, NOW) {
                    self.broken = Some(format!("replica {at} cannot take a frame: {why:?}"));
                }
                self.drain(at);
            }
            Step::Cut(at) | Step::CutLate(at) => {
                self.faults -= 1;
                while step == Step::CutLate(at) && !self.sides[at].up.is_empty() {
                    self.up(at);
                }
                self.cut(at);
            }
            Step::Crash(at) => {
                self.faults -= 1;
                self.cut(at);
                self.crash(at);
            }
            Step::Restart | Step::Sleep => {
                self.faults -= 1;
                let mut storage = self.authority.storage().clone();
                if self.forgets {
                    let Ok(_) = storage.forget_entries(u64::MAX);
                }
                let Ok(authority) = Authority::load(storage, Settings::default()) else {
                    self.broken = Some("what is stored cannot be read".into());
                    return;
                };
                self.authority = authority;
                if step == Step::Restart {
                    (0..2).for_each(|at| self.cut(at));
                }
                for (session, bytes) in &self.remembered {
                    self.authority.restore(*session, bytes);
                }
            }
        }
    }

    fn edit(&mut self, at: usize) {
        let side = &mut self.sides[at];
        let (kind, data) = SCRIPTS[at][side.made];
        side.made += 1;
        // The patch is of what its app sees, which may be its own pending record.
        let only_if = match kind {
            OpKind::Patch => {
                let seen = side.replica.confirmed("c", "k").map_or(Seq(1), |(seq, _)| seq);
                Condition::Seq(seen)
            }
            _ if at == 1 => Condition::Absent,
            _ => Condition::None,
        };
        if side.replica.mutate(kind, "c", "k", data, only_if).is_err() {
            self.broken = Some("a sound mutation was not taken".into());
        }
        while let Some(block) = self.sides[at].replica.take_block() {
            self.sides[at].unstored.push(block);
        }
        self.drain(at);
    }

    fn up(&mut self, at: usize) {
        let (Some(frame), Some(session)) = (self.sides[at].up.pop_front(), self.sides[at].session)
        else {
            return;
        };
        if self.authority.receive(session, &frame, MOMENT).is_err() {
            self.broken = Some("storage failed".into());
        }
        self.commit();
    }

    fn commit(&mut self) {
        for output in self.authority.commit().unwrap_or_default() {
            match output {
                Output::Send { to, frame } => {
                    for side in &mut self.sides {
                        if side.session.is_some_and(|session| to.contains(&session)) {
                            side.down.push_back(frame.clone());
                        }
                    }
                }
                Output::Remember { session, bytes } => drop(self.remembered.insert(session, bytes)),
                Output::Close { session, why } => {
                    self.broken = Some(format!("session {session} was closed: {why:?}"));
                }
            }
        }
        let row = self.authority.storage().row("c", "k");
        let data = row.ok().flatten().and_then(|row| row.data).map(Into::into);
        let head = self.authority.meta().map_or(0, |meta| meta.head.0);
        self.history.insert(head, data);
    }

    fn cut(&mut self, at: usize) {
        let side = &mut self.sides[at];
        let Some(session) = side.session.take() else { return };
        side.up.clear();
        side.down.clear();
        side.replica.closed(1006);
        self.authority.disconnect(session, NOW);
        self.remembered.remove(&session);
        self.drain(at);
    }

    fn crash(&mut self, at: usize) {
        let side = &mut self.sides[at];
        side.unstored.clear();
        let mut replica = fresh(at);
        let mut sound = replica.restore_account(&side.account).is_ok();
        for (first, block) in &side.blocks {
            sound &= replica.restore_block(*first, block).is_ok();
        }
        replica.restored();
        side.replica = replica;
        if !sound {
            self.broken = Some("a disk cannot be read".into());
        }
        self.drain(at);
    }

    /// What a shell does after each input: it stores what must be stored, and sends what may be sent.
    fn drain(&mut self, at: usize) {
        let side = &mut self.sides[at];
        while side.replica.take_changes().is_some() {}
        while let Some(event) = side.replica.take_events() {
            match event {
                Event::Accepted { turn, seq } => side.told.push((turn, seq)),
                Event::Refused { turn, .. } => side.told.push((turn, None)),
                Event::Welcome | Event::Turned | Event::Live | Event::Overtaken(_) => {}
                other => self.broken = Some(format!("replica {at}: {other:?}")),
            }
        }
        let _ = side.replica.take_journal();
        side.account = side.replica.account();
        side.replica.saved(side.replica.settled());
        side.replica.info_saved();
        while let Some(frame) = side.replica.take_frame() {
            side.up.push_back(frame);
        }
        self.check(at);
    }

    /// What must hold at every moment.
    fn check(&mut self, at: usize) {
        let side = &self.sides[at];
        let confirmed = side.replica.confirmed("c", "k").map(|(_, data)| data.to_owned());
        if self.history.get(&side.replica.seq().0) != Some(&confirmed) {
            self.broken =
                Some(format!("replica {at} at {} confirms {confirmed:?}", side.replica.seq().0));
        }
        if !side.told.iter().map(|told| told.0.0).eq(1..=side.told.len() as u64) {
            self.broken = Some(format!("replica {at} was told {:?}", side.told));
        }
    }

    /// What must hold when nothing can happen any more.
    pub(crate) fn is_settled(&self) -> Result<(), String> {
        let mut seqs: Vec<u64> = Vec::new();
        for (at, side) in self.sides.iter().enumerate() {
            if side.replica.phase() != Phase::Live || side.replica.pending() > 0 {
                return Err(format!("replica {at} is not settled"));
            }
            if side.told.len() as u64 != side.replica.minted().0 {
                return Err(format!("replica {at} has made more than it was told of"));
            }
            seqs.extend(side.told.iter().filter_map(|told| told.1).map(|seq| seq.0));
        }
        seqs.sort_unstable();
        let meta = self.authority.meta().map(|meta| (meta.head.0, meta.totals.digest));
        let Some((head, digest)) = meta else { return Err("there is no datastore".into()) };
        if !seqs.iter().copied().eq(1..=head) {
            return Err(format!("seqs {seqs:?} for a head of {head}"));
        }
        let is_equal =
            |side: &Side| side.replica.digest() == digest && side.replica.seq().0 == head;
        if self.sides.iter().all(is_equal) { Ok(()) } else { Err("digests differ".into()) }
    }

    pub(crate) fn print(&self) -> (u64, u64) {
        let text = format!("{self:?}");
        let hash = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (salt, &text).hash(&mut hasher);
            hasher.finish()
        };
        (hash(1), hash(2))
    }
}
