//! How fast replicas write, and what becomes of those who write faster.

use neap_core::{
    authority::{Admission, Authority, Entry, Moment, Output, SessionId, Settings},
    datastore::Options,
    id::{Epoch, ReplicaId, Seq, Turn},
    limits::{
        AGAIN_BURST, AGAIN_PER_SECOND, FRAMES_BURST, FRAMES_PER_SECOND, GREETING_MS, RATE_SLACK_MS,
    },
    mutation::{Condition, Op},
    rate::{Rate, Rates},
    replica::{OpKind, Replica},
    storage::{MemoryStorage, Storage},
    wire::{self, Cursor, Hello, Introduction, PoolAsk, PoolUp, Push, Role, Up, VERSION},
};

const NOW: u64 = 1_700_000_000_000;
/// A thousand mutations a second and two thousand at once; bytes do not matter.
const RATES: Rates = Rates {
    mutations: Rate { per_second: 1_000, burst: 2_000 },
    bytes: Rate { per_second: 1 << 30, burst: 1 << 30 },
};

/// An authority with such rates, and replicas of some subject around it.
struct World {
    authority: Authority<MemoryStorage>,
    replicas: Vec<(SessionId, Replica)>,
    closed: Vec<(SessionId, u16)>,
    pushed: u64,
    now: u64,
}

impl World {
    fn new(rates: Rates) -> World {
        let settings = Settings { rates, ..Settings::default() };
        let authority = Authority::load(MemoryStorage::new(), settings);
        let authority = authority.unwrap_or_else(|trouble| panic!("{trouble:?}"));
        World { authority, replicas: Vec::new(), closed: Vec::new(), pushed: 0, now: NOW }
    }

    /// A replica that has so many mutations with a text to push.
    fn join(&mut self, session: SessionId, subject: u64, mutations: usize, text: &str) {
        let name = u8::try_from(session).unwrap_or(0);
        let ids = (ReplicaId([name; 16]), ReplicaId([name + 100; 16]));
        let mut replica = Replica::new(ids.0, ids.1, 7, Options::default());
        for n in 0..mutations {
            let key = format!("{session}-{n}");
            let data = format!(r#"{{"id":"{key}","text":"{text}"}}"#);
            let set = replica.mutate(OpKind::Set, "c", &key, &data, Condition::None);
            replica.durable(set.unwrap_or_else(|malformed| panic!("{malformed:?}")));
        }
        self.authority.connect(session, Admission { subject, ..Admission::OPEN }, self.now);
        replica.connected(self.now);
        self.replicas.push((session, replica));
        self.carry();
    }

    /// Carries frames until nothing is left to say at this moment.
    fn carry(&mut self) {
        let moment = Moment { now: self.now, dice: Epoch([3; 8]) };
        loop {
            let mut is_quiet = true;
            for (session, replica) in &mut self.replicas {
                replica.info_saved();
                replica.saved(replica.settled());
                while let Some(frame) = replica.take_frame() {
                    is_quiet = false;
                    if let Ok(Up::Push(push)) = wire::decode_up(&frame) {
                        self.pushed += wire::split_block(push.block).count() as u64;
                    }
                    assert_eq!(self.authority.receive(*session, &frame, moment), Ok(()));
                }
            }
            self.authority.tick(self.now);
            for output in self.authority.commit().unwrap_or_default() {
                match output {
                    Output::Send { to, frame } => {
                        for (session, replica) in &mut self.replicas {
                            if to.contains(session) {
                                assert_eq!(replica.received(&frame, self.now), Ok(()));
                            }
                        }
                    }
                    Output::Close { session, why } => self.closed.push((session, why.code())),
                    Output::Remember { .. } => {}
                }
            }
            if is_quiet {
                return;
            }
        }
    }

    /// Lets time pass until a replica wants to be told.
    fn wait(&mut self) {
        let due = self.replicas.iter().filter_map(|(_, replica)| replica.deadline()).min();
        self.now = due.map_or(self.now, |due| due.max(self.now + 1));
        for (_, replica) in &mut self.replicas {
            assert_eq!(replica.tick(self.now), Ok(()));
        }
        self.carry();
    }

    fn pending(&self) -> usize {
        self.replicas.iter().map(|(_, replica)| replica.pending()).sum()
    }
}

/// [RA1] Never is more pushed than the burst and what time has brought back since, and everything is in
/// the end, without waste of time.
#[test]
fn ra1_a_replica_paces_itself() {
    let mut world = World::new(RATES);
    world.join(1, 0, 7_000, "");
    assert_eq!(world.pushed, 2_000);
    let mut waits = 0;
    while world.pending() > 0 {
        world.wait();
        waits += 1;
        assert!(world.pushed <= 2_000 + (world.now - NOW), "{} at {}", world.pushed, world.now);
    }
    assert_eq!((world.closed.len(), world.now - NOW), (0, 5_000));
    assert!((90..=110).contains(&waits), "{waits} pushes");
}

/// [RA1] So it is with bytes, also where a mutation has more of them than a burst.
#[test]
fn ra1_bytes_are_paced_too() {
    let bytes = Rate { per_second: 10_000, burst: 20_000 };
    let mut world = World::new(Rates { bytes, ..RATES });
    world.join(1, 0, 500, &"x".repeat(962));
    while world.pending() > 0 {
        world.wait();
    }
    // 500 of 1001 bytes or so, less what goes at once.
    let seconds = (world.now - NOW) / 1_000;
    assert!(world.closed.is_empty() && (47..=51).contains(&seconds), "{seconds} s");
    world.join(2, 0, 3, &"x".repeat(50_000));
    while world.pending() > 0 {
        world.wait();
    }
    assert_eq!(world.closed, []);
}

/// [RA2] Who pushes without regard is closed after the burst and the slack; others go on.
#[test]
fn ra2_who_does_not_is_closed() {
    let mut world = World::new(RATES);
    world.join(1, 0, 0, "");
    world.join(2, 0, 0, "");
    world.replicas.remove(0);
    let moment = Moment { now: world.now, dice: Epoch([3; 8]) };
    let mut block = Vec::new();
    let data = "{\"id\":\"k\"}";
    let set = Op::Set { collection: "c", key: "k", data, only_if: Condition::None };
    for _ in 0..100 {
        wire::append_to_block(&mut block, &wire::encode_ops(&[set]));
    }
    let mut frames = 0;
    while world.closed.is_empty() {
        let first = Turn(frames * 100 + 1);
        let push = Push { author: 0, acked: first.before(), first, block: &block };
        let frame = wire::encode_up(&Up::Push(push));
        assert_eq!(world.authority.receive(1, &frame, moment), Ok(()));
        world.carry();
        frames += 1;
        assert!(frames < 1_000);
    }
    assert_eq!(world.closed, [(1, 4429)]);
    assert_eq!(frames * 100, 2_000 + RATE_SLACK_MS + 100, "a thousand a second, and the last");
    world.join(3, 0, 10, "");
    assert_eq!((world.pending(), world.closed.len()), (0, 1));
}

/// [RA3] Sessions of one subject come, go and load as fast as they may; none is closed, and together
/// they are no faster than one.
#[test]
fn ra3_a_subject_shares() {
    let mut world = World::new(RATES);
    for session in 1..=5 {
        world.join(session, 7, 3_000, "");
        for _ in 0..20 {
            world.wait();
        }
    }
    world.join(9, 8, 1_500, "");
    assert!(world.replicas.last().is_some_and(|(_, replica)| replica.pending() == 0));
    let (_, mut gone) = world.replicas.remove(0);
    gone.closed(1006);
    world.authority.disconnect(1, world.now);
    let left = gone.pending();
    while world.pending() > 0 {
        world.wait();
    }
    assert_eq!(world.closed, []);
    let most = 1_500 + 2_000 + (world.now - NOW) + RATE_SLACK_MS;
    assert!(world.pushed <= most, "{} of {most}", world.pushed);
    assert!(world.now - NOW < 2 * (15_000 - left as u64), "{} ms", world.now - NOW);
}

/// [RA4] Frames that mutate nothing are bounded, whatever the rates are; who waits may go on.
#[test]
fn ra4_idle_talk_is_bounded() {
    let mut world = World::new(Rates { mutations: Rate { per_second: 1, burst: 1 }, ..RATES });
    for session in 1..=2 {
        world.join(session, 0, 0, "");
    }
    let says = [
        wire::encode_up(&Up::Read(1)),
        wire::encode_up(&Up::Push(Push {
            author: 0,
            acked: Turn::ZERO,
            first: Turn(1),
            block: &[],
        })),
    ];
    let mut say = |session, times: u64, now| {
        let moment = Moment { now, dice: Epoch([3; 8]) };
        for n in 0..times {
            let frame = &says[usize::from(n % 2 == 1)];
            assert_eq!(world.authority.receive(session, frame, moment), Ok(()));
        }
        world.now = now;
        world.carry();
        world.closed.clone()
    };
    // Its Hello was one.
    assert_eq!(say(1, FRAMES_BURST - 1, NOW), []);
    assert_eq!(say(1, FRAMES_PER_SECOND, NOW + 1_000), []);
    assert_eq!(say(1, 1, NOW + 1_000), [(1, 4429)]);
    assert_eq!(say(2, 1, NOW + 1_000), [(1, 4429)], "nobody else notices");
    // A text that brings a token is one of them.
    world.join(3, 0, 0, "");
    let now = world.now;
    let borne = (0..FRAMES_BURST + 1).filter(|_| world.authority.bear(3, 100, now)).count();
    assert_eq!(borne as u64, FRAMES_BURST - 1);
    world.carry();
    assert_eq!(world.closed, [(1, 4429), (3, 4429)]);
}

/// Says frames in one moment, until the session is closed, and gives the bytes of frames that it was sent.
fn asks(world: &mut World, session: SessionId, frames: &[Up<'_>], now: u64) -> usize {
    let mut bytes = 0;
    for frame in frames {
        let moment = Moment { now, dice: Epoch([3; 8]) };
        assert_eq!(world.authority.receive(session, &wire::encode_up(frame), moment), Ok(()));
        for output in world.authority.commit().unwrap_or_default() {
            match output {
                Output::Send { to, frame } if to == [session] => bytes += frame.len(),
                Output::Close { session, why } => world.closed.push((session, why.code())),
                Output::Send { .. } | Output::Remember { .. } => {}
            }
        }
    }
    bytes
}

/// A world whose datastore holds a megabyte.
fn a_megabyte() -> World {
    let mut world = World::new(RATES);
    world.join(1, 0, 8, &"x".repeat(125_000));
    world
}

/// Lets a session in that knows nothing yet.
fn greets(world: &mut World, session: SessionId) {
    world.authority.connect(session, Admission::OPEN, world.now);
    let me = Introduction {
        id: ReplicaId([u8::try_from(session).unwrap_or(0); 16]),
        role: Role::Speaker,
        generation: 1,
        attempt: 1,
        birth: None,
        acked: Turn::ZERO,
    };
    let hello = Hello {
        version: VERSION,
        options: Options::default(),
        epoch: None,
        cursor: Cursor { after: Seq::ZERO, floor: Seq::ZERO },
        authors: vec![me],
    };
    asks(world, session, &[Up::Hello(hello)], NOW);
}

fn next(after: u64) -> Up<'static> {
    Up::Next(Cursor { after: Seq(after), floor: Seq(8) })
}

/// [RA5] Who asks for the same pages again and again is closed, having been given a bounded number of bytes; who
/// waits may go on, and going on costs nothing.
#[test]
fn ra5_the_same_again_is_bounded() {
    let mut world = a_megabyte();
    for session in 2..=4 {
        greets(&mut world, session);
    }
    let held = world.authority.meta().map_or(0, |meta| meta.totals.bytes);
    let most = AGAIN_BURST + 2 * held;
    let all: Vec<Up<'_>> = (0..8).map(next).collect();
    // Once to the end: the first page came with Welcome, each row is one more step of the rest.
    let whole = asks(&mut world, 2, &all, NOW) as u64;
    let page = whole / 8;
    let mut given = 0;
    while world.closed.is_empty() {
        given += asks(&mut world, 2, &all[..1], NOW) as u64;
        assert!(given < most + 2 * whole, "{given} bytes and no end");
    }
    assert_eq!(world.closed, [(2, 4429)]);
    assert!(given + 2 * whole >= most, "{given} of {most}: an honest one may begin again");

    // What is given back in a second may be asked for in the next one, for ever.
    let times = usize::try_from(AGAIN_PER_SECOND / page / 4).unwrap_or(0);
    for second in 0..100 {
        for _ in 0..times {
            asks(&mut world, 3, &all[..1], NOW + second * 1_000);
        }
    }
    // And whoever asks for what comes next, however often, is not even counted.
    for _ in 0..1_000 {
        asks(&mut world, 4, &[next(8)], NOW);
    }
    assert_eq!(world.closed.len(), 1);
}

/// [RA5] So are the pages of a pool.
#[test]
fn ra5_pools_too() {
    let mut world = a_megabyte();
    let items: Vec<String> = (0..8).map(|n| format!(r#""{n}{}""#, "x".repeat(125_000))).collect();
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    let choice = neap_core::pool::Choice::default();
    let merged = world.authority.merge("~p", choice, &items, NOW);
    assert!(matches!(merged, Ok(Some(Ok(_)))), "{merged:?}");
    greets(&mut world, 2);
    let open = Up::Pool(PoolUp { pool: "~p", ask: PoolAsk::Open { choice, after: Seq::ZERO } });
    let leave = Up::Pool(PoolUp { pool: "~p", ask: PoolAsk::Leave });
    let mut given = 0;
    while world.closed.is_empty() {
        given += asks(&mut world, 2, &[open.clone(), leave.clone()], NOW) as u64;
        assert!(given < 2 * AGAIN_BURST, "{given} bytes and no end");
    }
    assert_eq!(world.closed, [(2, 4429)]);
}

/// [LE8] A replica that pushes no mutation gets no account, however often it says so.
#[test]
fn le8_nothing_pushed_costs_no_account() {
    let mut world = World::new(RATES);
    world.join(1, 0, 0, "");
    let id = ReplicaId([1; 16]);
    let mut push = |block: &[u8], acked| {
        let moment = Moment { now: NOW, dice: Epoch([3; 8]) };
        let frame = wire::encode_up(&Up::Push(Push { author: 0, acked, first: Turn(1), block }));
        assert_eq!(world.authority.receive(1, &frame, moment), Ok(()));
        assert!(world.authority.commit().is_ok());
        let entry = world.authority.storage().entry(&id);
        entry.unwrap_or_default().map(|bytes| wire::decode_stored::<Entry>(&bytes))
    };
    assert_eq!(push(&[], Turn::ZERO), None);
    let mut block = Vec::new();
    let delete = Op::Delete { collection: "c", key: "k", only_if: Condition::None };
    wire::append_to_block(&mut block, &wire::encode_ops(&[delete]));
    let acked =
        |entry: Option<Result<Entry, _>>| entry.and_then(Result::ok).map(|entry| entry.acked);
    assert_eq!(acked(push(&block, Turn::ZERO)), Some(Turn::ZERO));
    assert_eq!(acked(push(&[], Turn(1))), Some(Turn(1)), "what it has is kept up to date");
}

/// [SE7] Who says nothing is closed when anything happens later.
#[test]
fn se7_silence_at_the_door() {
    let mut world = World::new(RATES);
    world.authority.connect(1, Admission::OPEN, world.now);
    world.join(2, 0, 1, "");
    world.now += GREETING_MS - 1;
    world.carry();
    assert_eq!(world.closed, []);
    world.now += 1;
    world.carry();
    assert_eq!(world.closed, [(1, 4408)]);
    world.now += GREETING_MS;
    world.carry();
    assert_eq!(world.closed.len(), 1);
}
