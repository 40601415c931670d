//! The world of one seed: who is in it, and what happens next.

use std::{collections::VecDeque, rc::Rc};

use neap_core::{
    authority::SessionId,
    id::ReplicaId,
    limits::UNTURNED_MAX,
    wire::{self, Down},
};

use super::{
    Check, Lanes, Plan, Report, Sights, Violation,
    client::Client,
    copies::Backup,
    forsake::Orphan,
    history::Said,
    members::Member,
    naive::State,
    odds::Odds,
    once::Calls,
    oracle::Oracle,
    pools::{POOLS, Terms},
    random::Random,
    relay::Relay,
    sabotage::Sabotage,
};

/// What travels to the relay.
#[derive(Clone, Debug)]
pub(crate) enum Upward {
    Open,
    Frame(Vec<u8>),
    Gone,
}

/// What travels to a replica.
#[derive(Clone, Debug)]
pub(crate) enum Downward {
    Frame(Box<[u8]>),
    Close(u16),
    Pong(String),
}

/// A connection, from one end to the other. Its number is the session's.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    pub(crate) client: usize,
    pub(crate) up: VecDeque<Upward>,
    pub(crate) down: VecDeque<Downward>,
    /// Whether the relay's end is open.
    pub(crate) open: bool,
    /// Whether the authority has closed it.
    pub(crate) closed: bool,
    /// Whether something that was on it has been lost while it stayed open.
    pub(crate) tainted: bool,
    /// Until which step its replica reads nothing.
    pub(crate) stalled_until: u64,
    /// How often the relay has forgotten it and was given it back.
    pub(crate) sleeps: u64,
    /// Whom Hello named.
    pub(crate) authors: Vec<ReplicaId>,
    pub(crate) pools: [Member; POOLS.len()],
    /// Whether it has missed something, and has not caught up since.
    pub(crate) is_behind: bool,
}

/// Everything there is.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) odds: Odds,
    pub(crate) lanes: Lanes,
    pub(crate) sabotage: Option<Sabotage>,
    /// What everybody asks of the pools.
    pub(crate) terms: [Terms; POOLS.len()],
    /// Milliseconds since 1970.
    pub(crate) now: u64,
    pub(crate) relay: Relay,
    pub(crate) clients: Vec<Client>,
    /// Disks that were forsaken and nobody has read since.
    pub(crate) orphans: Vec<Orphan>,
    pub(crate) connections: Vec<Connection>,
    pub(crate) oracle: Oracle,
    pub(crate) empty: State,
    /// Whether the relay dies before it tells anything.
    pub(crate) is_mute: bool,
    /// Whether there are no more faults.
    pub(crate) calm: bool,
    pub(crate) unique: u64,
    pub(crate) report: Report,
    pub(crate) traced: bool,
    pub(crate) said: Vec<Said>,
    pub(crate) calls: Calls,
    /// What was exported last.
    pub(crate) backup: Option<Rc<Backup>>,
}

macro_rules! trace {
    ($world:expr, $($arg:tt)*) => {
        if $world.traced {
            let line = format!($($arg)*);
            let step = $world.report.steps;
            $world.report.trace.push(format!("{step:5} {line}"));
        }
    };
}
pub(crate) use trace;

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let mut random = Random::new(plan.seed);
        let odds = Odds::new(&mut random);
        let count = 2 + random.below(4);
        let relay = Relay::new(&mut random, plan.lanes, plan.sabotage);
        let mut dice = Random::new(plan.seed.rotate_left(32));
        let terms = POOLS.map(|_| Terms::any(&mut dice));
        let mut clients: Vec<Client> =
            (0..count).map(|_| Client::new(&mut random, plan.lanes, &terms)).collect();
        if plan.lanes.tabs {
            let tabs = clients.len().min(2 + dice.below(2));
            clients.iter_mut().take(tabs).for_each(|client| client.share(0));
        }
        World {
            random,
            odds,
            lanes: plan.lanes,
            sabotage: plan.sabotage,
            terms,
            now: 1_700_000_000_000,
            relay,
            clients,
            orphans: Vec::new(),
            connections: Vec::new(),
            oracle: Oracle::default(),
            empty: State::new(),
            is_mute: false,
            calm: false,
            unique: 100,
            report: Report { sights: Sights::default(), ..Report::default() },
            traced: plan.traced,
            said: Vec::new(),
            calls: Calls::default(),
            backup: None,
        }
    }

    pub(crate) fn run(mut self) -> (Report, Check) {
        let result =
            self.live().map_err(|violation| Violation { step: self.report.steps, ..violation });
        self.report.mutations = self.oracle.mutations.len() as u64;
        (self.report, result)
    }

    /// Lives through all of it.
    pub(crate) fn live(&mut self) -> Check {
        let steps = 150 + self.random.below(250);
        for _ in 0..steps {
            self.report.steps += 1;
            self.step()?;
        }
        self.settle_down()
    }

    /// The replicas whose apps are there.
    pub(crate) fn present(&self) -> impl Iterator<Item = &Client> {
        self.clients.iter().filter(|client| !client.retired)
    }

    pub(crate) fn see(&mut self, sight: &'static str) {
        self.report.sights.see(sight);
    }

    pub(crate) fn chance(&mut self, odds: usize) -> bool {
        !self.calm && odds != usize::MAX && self.random.once_in(odds)
    }

    fn step(&mut self) -> Check {
        let odds = self.odds;
        let client = self.random.below(self.clients.len());
        if self.clients[client].retired {
            return Ok(());
        }
        if self.clients[client].frozen.is_some() {
            return if self.random.once_in(6) { self.wake_up(client) } else { Ok(()) };
        }
        if self.chance(odds.cut) {
            return self.cut(client, 1006);
        }
        if self.lanes.years && self.chance(80) {
            return self.pass_years();
        }
        // A disk has another id than its replica for a moment only.
        let hurry = if self.clients[client].is_between_ids() { 20 } else { 1 };
        if self.lanes.forsakes && self.chance(60 / hurry) {
            return self.forsake(client);
        }
        if self.lanes.forsakes && self.chance(40) {
            return self.read_orphan();
        }
        if self.chance(odds.restart) {
            return self.restart();
        }
        if self.chance(odds.sleep) {
            self.sleep();
        }
        if self.chance(odds.crash) {
            return self.crash(client);
        }
        if self.chance(odds.lose_disk) {
            return self.lose_disk(client);
        }
        if self.chance(odds.checkpoint) {
            return self.checkpoint(client);
        }
        if self.chance(odds.destroy) {
            self.relay.destroy();
        }
        if self.chance(odds.expire) && self.relay.outlive(&mut self.now) {
            self.see("expired");
        }
        if self.lanes.pools && self.random.once_in(6) {
            self.ping(client)?;
        }
        if self.lanes.tabs && self.chance(40 / hurry) {
            return self.freeze(client);
        }
        if self.lanes.tabs && self.chance(100) {
            self.ask_disk(client)?;
        }
        if self.lanes.tabs && self.random.once_in(3) {
            self.hear_note(client)?;
        }
        if self.lanes.copies && self.chance(20) {
            self.back_up()?;
        }
        if self.lanes.copies && self.chance(60) {
            self.import();
        }
        if self.lanes.once && self.chance(10) {
            self.call()?;
        }
        if self.lanes.once && self.chance(120) {
            return self.pass_a_day();
        }
        if self.chance(odds.stall) {
            self.stall(client)?;
        }
        if self.random.once_in(8) {
            self.relay.upkeep();
        }
        if self.chance(odds.request) {
            return self.request();
        }
        let clock = if self.lanes.pools { odds.clock.min(15) } else { odds.clock };
        if self.chance(clock) {
            return self.pass_time();
        }
        match self.random.below(20) {
            0..5 => self.edit(client),
            5..9 => self.carry_up(),
            9..13 => self.carry_down(),
            13..16 => self.flush(),
            16..18 => self.write_disk(client),
            18 => self.go_on(client),
            _ => self.ping(client),
        }
    }

    /// Connects a replica that is not connected, or goes on with a checkpoint.
    fn go_on(&mut self, client: usize) -> Check {
        if self.clients[client].checkpoint.is_some() {
            return self.checkpoint(client);
        }
        if self.clients[client].connection.is_some() {
            return Ok(());
        }
        self.connect(client)
    }

    pub(crate) fn carry_up(&mut self) -> Check {
        let laden = |(number, connection): (usize, &Connection)| {
            (!connection.up.is_empty()).then_some(number)
        };
        let laden: Vec<usize> = self.connections.iter().enumerate().filter_map(laden).collect();
        if laden.is_empty() {
            return Ok(());
        }
        let number = self.random.pick(&laden);
        for _ in 0..=self.random.below(3) {
            if let Some(upward) = self.connections[number].up.pop_front() {
                self.arrive(number, upward);
            }
        }
        Ok(())
    }

    /// A replica stops reading for a while; its connection stays.
    fn stall(&mut self, client: usize) -> Check {
        if let Some(number) = self.clients[client].connection {
            // Long enough for a member to count as silent.
            let most = if self.lanes.pools { 240 } else { 60 };
            let steps = 20 + self.random.below(most) as u64;
            self.connections[number].stalled_until = self.report.steps + steps;
            self.see("reader stalled");
            if self.lanes.pools {
                return self.add((client + 1) % self.clients.len());
            }
        }
        Ok(())
    }

    pub(crate) fn note_sleep(&mut self) {
        for session in self.relay.sockets.keys() {
            self.connections[*session as usize].sleeps += 1;
        }
    }

    /// What a replica did not ask for waits for it within bounds.
    pub(crate) fn check_unread(&mut self, session: SessionId) -> Check {
        let connection = &self.connections[session as usize];
        let (mut bytes, mut largest, mut is_behind) = (0, self.relay.unread_max, false);
        let mut pages = 0;
        for downward in &connection.down {
            let Downward::Frame(frame) = downward else { continue };
            match wire::decode_down(frame) {
                Ok((Down::Delta(_), _)) => {
                    bytes += frame.len() as u64;
                    largest = largest.max(frame.len() as u64);
                }
                Ok((Down::Behind, _)) => is_behind = true,
                Ok((Down::Page(_), _)) => pages += 1,
                _ => {}
            }
        }
        // Twice, since whoever asks by itself has not read what is under way; what a sleep forgets is a part.
        if bytes > (2 + connection.sleeps) * largest {
            return super::fail("SE6", format!("{bytes} bytes of news wait for session {session}"));
        }
        if pages > UNTURNED_MAX {
            return super::fail("CU2", format!("{pages} pages wait for session {session}"));
        }
        if pages > 1 {
            self.see("led ahead");
        }
        if is_behind && self.connections[session as usize].stalled_until > self.report.steps {
            self.see("stalled reader left behind");
        }
        Ok(())
    }

    pub(crate) fn carry_down(&mut self) -> Check {
        let step = self.report.steps;
        let laden = |(number, connection): (usize, &Connection)| {
            let reads = !connection.down.is_empty() && connection.stalled_until <= step;
            reads.then_some(number)
        };
        let laden: Vec<usize> = self.connections.iter().enumerate().filter_map(laden).collect();
        if laden.is_empty() {
            return Ok(());
        }
        let number = self.random.pick(&laden);
        for _ in 0..=self.random.below(3) {
            if let Some(downward) = self.connections[number].down.pop_front() {
                self.hear(number, downward)?;
            }
        }
        Ok(())
    }
}
