//! Members around one authority, with their disks and connections.

use std::collections::{BTreeMap, BTreeSet};

use neap_core::{
    authority::{Admission, Authority, Moment, Output, SessionId, Settings},
    datastore::Options,
    id::{Epoch, ReplicaId, Turn},
    pool::Choice,
    replica::{Event, PoolState, Replica},
    storage::MemoryStorage,
    wire::{self, Down, PoolNews},
};

use super::{NOW, POOL};

/// A member, its disk, and its connection.
pub(super) struct Member {
    pub(super) replica: Replica,
    pub(super) session: Option<SessionId>,
    pub(super) choice: Choice<'static>,
    pub(super) blocks: Vec<(Turn, Vec<u8>)>,
    pub(super) frames: Vec<Vec<u8>>,
    pub(super) events: Vec<Event>,
}

/// Members around one authority.
pub(super) struct World {
    pub(super) authority: Authority<MemoryStorage>,
    pub(super) members: Vec<Member>,
    pub(super) sessions: BTreeMap<SessionId, Vec<u8>>,
    pub(super) last: SessionId,
    pub(super) now: u64,
    /// How often an item was sent to anybody.
    pub(super) items_sent: usize,
}

pub(super) fn started(name: u8) -> Replica {
    let ids = (ReplicaId([name; 16]), ReplicaId([name + 100; 16]));
    Replica::new(ids.0, ids.1, 7, Options::default())
}

impl World {
    pub(super) fn new(choices: &[Choice<'static>]) -> World {
        let authority = Authority::load(MemoryStorage::new(), Settings::default());
        let member = |(place, choice): (usize, &Choice<'static>)| Member {
            replica: started(u8::try_from(place + 1).unwrap_or(0)),
            session: None,
            choice: *choice,
            blocks: Vec::new(),
            frames: Vec::new(),
            events: Vec::new(),
        };
        let mut world = World {
            authority: authority.unwrap_or_else(|trouble| panic!("{trouble:?}")),
            members: choices.iter().enumerate().map(member).collect(),
            sessions: BTreeMap::new(),
            last: 0,
            now: NOW,
            items_sent: 0,
        };
        for place in 0..world.members.len() {
            world.open(place);
        }
        world
    }

    pub(super) fn open(&mut self, place: usize) {
        let Member { replica, choice, .. } = &mut self.members[place];
        assert_eq!(replica.open_pool(POOL, *choice), Ok(true));
    }

    pub(super) fn moment(&self) -> Moment {
        Moment { now: self.now, dice: Epoch([3; 8]) }
    }

    pub(super) fn add(&mut self, place: usize, items: &str) {
        let member = &mut self.members[place];
        assert!(member.replica.add(POOL, items).is_ok(), "{items}");
        self.store(place);
    }

    /// The shell's part: events, blocks to the disk, then what is durable may go.
    pub(super) fn store(&mut self, place: usize) {
        let member = &mut self.members[place];
        while member.replica.take_changes().is_some() {}
        while let Some(event) = member.replica.take_events() {
            member.events.push(event);
        }
        while let Some((first, last, block)) = member.replica.take_block() {
            member.blocks.push((first, block));
            member.replica.durable(last);
        }
        member.replica.info_saved();
        member.replica.saved(member.replica.settled());
        member.replica.pool_news_saved(member.replica.pool_news());
    }

    pub(super) fn connect(&mut self, place: usize) {
        self.last += 1;
        self.authority.connect(self.last, Admission::OPEN, self.now);
        self.commit();
        self.members[place].session = Some(self.last);
        self.members[place].replica.connected(self.now);
    }

    pub(super) fn cut(&mut self, place: usize) {
        if let Some(session) = self.members[place].session.take() {
            self.authority.disconnect(session, self.now);
            self.sessions.remove(&session);
            self.members[place].replica.closed(1006);
        }
    }

    /// The page is gone; another one takes back what was stored.
    pub(super) fn restart(&mut self, place: usize) {
        self.cut(place);
        self.store(place);
        let name = u8::try_from(place + 1).unwrap_or(0);
        let old = &mut self.members[place];
        let (account, info) = (old.replica.account(), old.replica.info());
        let pages: Vec<_> =
            (0..old.replica.page_count()).map(|page| old.replica.page(page)).collect();
        let mut replica = started(name);
        assert_eq!(replica.restore_account(&account), Ok(()));
        if let Some(info) = info {
            assert_eq!(replica.restore_info(&info), Ok(()));
            for page in pages {
                assert_eq!(replica.restore_page(page), Ok(()));
            }
        }
        for (first, block) in &old.blocks {
            assert_eq!(replica.restore_block(*first, block), Ok(()));
        }
        replica.restored();
        old.replica = replica;
        self.open(place);
    }

    /// The object sleeps, or is restarted: sessions come back from what stands beside their sockets.
    pub(super) fn sleep(&mut self) {
        let storage = self.authority.storage().clone();
        let authority = Authority::load(storage, Settings::default());
        self.authority = authority.unwrap_or_else(|trouble| panic!("{trouble:?}"));
        for (session, bytes) in &self.sessions {
            self.authority.restore(*session, bytes);
        }
    }

    /// Carries frames until nothing is left to say.
    pub(super) fn carry(&mut self) {
        for round in 0.. {
            assert!(round < 10_000, "it never ends");
            if !self.step() {
                break;
            }
        }
    }

    pub(super) fn step(&mut self) -> bool {
        let mut is_busy = false;
        for place in 0..self.members.len() {
            self.store(place);
            let moment = self.moment();
            let Some(session) = self.members[place].session else { continue };
            while let Some(frame) = self.members[place].replica.take_frame() {
                is_busy = true;
                assert!(wire::decode_up(&frame).is_ok_and(|up| wire::encode_up(&up) == frame));
                assert_eq!(self.authority.receive(session, &frame, moment), Ok(()));
            }
        }
        self.commit() || is_busy
    }

    pub(super) fn commit(&mut self) -> bool {
        let outputs = self.authority.commit();
        let outputs = outputs.unwrap_or_else(|trouble| panic!("{trouble:?}"));
        let is_busy = !outputs.is_empty();
        self.carry_out(outputs);
        is_busy
    }

    pub(super) fn carry_out(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Send { to, frame } => self.hand_out(&to, &frame),
                Output::Remember { session, bytes } => drop(self.sessions.insert(session, bytes)),
                Output::Close { session, why } => panic!("{session} was closed: {why:?}"),
            }
        }
    }

    pub(super) fn hand_out(&mut self, to: &[SessionId], frame: &[u8]) {
        if let Ok((Down::Pool(down), changes)) = wire::decode_down(frame)
            && matches!(down.news, PoolNews::Delta { .. })
        {
            self.items_sent += changes.len() * to.len();
        }
        for member in &mut self.members {
            if member.session.is_some_and(|session| to.contains(&session)) {
                let before = items(&member.replica);
                assert_eq!(member.replica.received(frame, self.now), Ok(()));
                while let Some(event) = member.replica.take_events() {
                    member.events.push(event);
                }
                let refused =
                    member.events.iter().any(|event| matches!(event, Event::Refused { .. }));
                let stays = before.is_subset(&items(&member.replica));
                let down = wire::decode_down(frame);
                assert!(stays || refused, "[PO5] an item vanished: {before:?} {down:?}");
                member.frames.push(frame.to_vec());
            }
        }
    }

    pub(super) fn state(&self, place: usize) -> PoolState {
        let state = self.members[place].replica.pool_state(POOL);
        state.unwrap_or_else(|| panic!("no pool"))
    }
}

/// The identities that a member sees.
pub(super) fn items(replica: &Replica) -> BTreeSet<Box<str>> {
    replica.keys(POOL).into_iter().collect()
}

impl World {
    pub(super) fn carry_without(&mut self, session: SessionId) {
        self.carry();
        assert!(!self.state(0).converged);
        self.authority.disconnect(session, self.now);
        assert!(self.authority.wants_commit());
        self.carry();
    }
}
