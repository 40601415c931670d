//! How fast replicas write, and what becomes of those who write faster.

use neap_core::{
    authority::{Admission, Authority, Moment, Output, SessionId, Settings},
    datastore::Options,
    id::{Epoch, ReplicaId, Turn},
    limits::{FRAMES_BURST, FRAMES_PER_SECOND, GREETING_MS, RATE_SLACK_MS},
    mutation::{Condition, Op},
    rate::{Rate, Rates},
    replica::{OpKind, Replica},
    storage::MemoryStorage,
    wire::{self, Push, Up},
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
        self.authority.connect(session, Admission { subject, ..Admission::OPEN });
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
    world.authority.disconnect(1);
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
}

/// [SE7] Who says nothing is closed when anything happens later.
#[test]
fn se7_silence_at_the_door() {
    let mut world = World::new(RATES);
    world.authority.connect(1, Admission::OPEN);
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
