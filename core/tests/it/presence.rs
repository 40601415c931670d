//! What sessions show each other, by scripts over the wire.

use std::collections::BTreeMap;

use neap_core::{
    authority::{self, Admission, Authority, Moment, Output, SessionId, Settings},
    datastore::Options,
    id::{Epoch, ReplicaId, Turn},
    limits::{AUTHORS_MAX, FRAME_BYTES_MAX, MEMBERSHIPS_MAX, PRESENCE_BYTES_MAX, PRESENCE_MS},
    pool::Choice,
    replica::{Event, Replica},
    storage::MemoryStorage,
    wire::{self, Cursor, Down, Hello, Introduction, PoolAsk, PoolUp, Presence, Role, Shown, Up},
};

const NOW: u64 = 1_700_000_000_000;

/// An authority, what lies beside its sockets, and what each session was told of presence.
struct Room {
    authority: Authority<MemoryStorage>,
    kept: BTreeMap<SessionId, Vec<u8>>,
    heard: BTreeMap<SessionId, Vec<Presence>>,
    closed: Vec<(SessionId, u16)>,
    /// The size of the frames about presence that the last commit made.
    made: usize,
    now: u64,
}

impl Room {
    fn new() -> Room {
        let authority = Authority::load(MemoryStorage::new(), Settings::default());
        let authority = authority.unwrap_or_else(|trouble| panic!("{trouble:?}"));
        let (kept, heard, closed) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Room { authority, kept, heard, closed, made: 0, now: NOW }
    }

    fn say(&mut self, session: SessionId, up: &Up<'_>) {
        let moment = Moment { now: self.now, dice: Epoch([3; 8]) };
        let said = self.authority.receive(session, &wire::encode_up(up), moment);
        assert_eq!(said, Ok(()));
    }

    /// Connects a session for the replica of a name.
    fn join(&mut self, session: SessionId, name: u8) {
        self.authority.connect(session, Admission::OPEN, self.now);
        self.say(session, &Up::Hello(hello(name, session)));
        self.commit();
    }

    /// Connects a session for a replica of its own, and lets it show something.
    fn join_showing(&mut self, session: SessionId, state: &str) {
        self.authority.connect(session, Admission::OPEN, self.now);
        let mut greeting = hello(0, session);
        greeting.authors[0].id = ReplicaId(u128::from(session).to_be_bytes());
        self.say(session, &Up::Hello(greeting));
        self.show(session, state);
    }

    fn show(&mut self, session: SessionId, state: &str) {
        self.say(session, &Up::Presence(Some(state)));
    }

    fn commit(&mut self) {
        let outputs = self.authority.commit();
        self.made = 0;
        for output in outputs.unwrap_or_else(|trouble| panic!("{trouble:?}")) {
            match output {
                Output::Send { to, frame } => {
                    assert!(frame.len() <= FRAME_BYTES_MAX);
                    let Ok((Down::Presence(news), _)) = wire::decode_down(&frame) else { continue };
                    self.made += frame.len();
                    for session in to {
                        self.heard.entry(session).or_default().push(news.clone());
                    }
                }
                Output::Remember { session, bytes } => drop(self.kept.insert(session, bytes)),
                Output::Close { session, why } => {
                    self.kept.remove(&session);
                    self.closed.push((session, why.code()));
                }
            }
        }
    }

    /// Lets so much time pass that what waits is told.
    fn later(&mut self) {
        self.now += PRESENCE_MS;
        self.authority.tick(self.now);
        self.commit();
    }

    fn heard(&mut self, session: SessionId) -> Vec<Presence> {
        self.heard.remove(&session).unwrap_or_default()
    }

    fn sleep(&mut self) {
        let storage = self.authority.storage().clone();
        let authority = Authority::load(storage, Settings::default());
        self.authority = authority.unwrap_or_else(|trouble| panic!("{trouble:?}"));
        for (session, bytes) in &self.kept {
            self.authority.restore(*session, bytes);
        }
    }
}

fn hello(name: u8, attempt: u64) -> Hello {
    let author = Introduction {
        id: ReplicaId([name; 16]),
        role: Role::Speaker,
        generation: 1,
        attempt,
        birth: None,
        acked: Turn::ZERO,
    };
    Hello {
        version: 1,
        options: Options::default(),
        epoch: None,
        cursor: Cursor::default(),
        authors: vec![author],
    }
}

type State<'a> = (SessionId, Option<&'a str>);

fn news(is_whole: bool, shown: &[State<'_>]) -> Presence {
    let one = |(who, state): &State<'_>| Shown { who: *who, state: state.map(Into::into) };
    Presence { is_whole, shown: shown.iter().map(one).collect() }
}

/// [PR1] The others are told, the speaker is not, and who comes later is told all of it.
#[test]
fn pr1_others_are_told() {
    let mut room = Room::new();
    room.join(1, 1);
    room.join(2, 2);
    room.show(1, "{\"x\":1}");
    room.commit();
    assert_eq!(room.heard(1), []);
    assert_eq!(room.heard(2), [news(false, &[(1, Some("{\"x\":1}"))])]);
    room.show(2, "7");
    room.join(3, 3);
    assert_eq!(room.heard(3), [news(true, &[(1, Some("{\"x\":1}")), (2, Some("7"))])]);
    room.later();
    assert_eq!(room.heard(1), [news(false, &[(2, Some("7"))])]);
    room.say(1, &Up::Presence(None));
    room.later();
    assert_eq!(room.heard(2), [news(false, &[(1, None)])]);
    // Who has missed something and asks for pages is told anew, whatever there is.
    room.authority.fall_behind(2);
    room.say(2, &Up::Presence(None));
    room.later();
    assert_eq!(room.heard(2), []);
    room.say(2, &Up::Next(Cursor::default()));
    room.commit();
    assert_eq!(room.heard(2), [news(true, &[])]);
}

/// [PR2] However a session ends, those who saw it are told.
#[test]
fn pr2_the_gone_show_nothing() {
    let mut room = Room::new();
    room.join(9, 9);
    for (session, name) in [(1, 1), (2, 2), (3, 3)] {
        room.join(session, name);
        room.show(session, "1");
    }
    room.later();
    room.heard(9);
    room.authority.disconnect(1, room.now);
    assert!(room.authority.wants_commit());
    room.join(12, 2);
    let moment = Moment { now: room.now, dice: Epoch([3; 8]) };
    assert_eq!(room.authority.receive(3, &[255], moment), Ok(()));
    room.later();
    assert_eq!(room.closed, [(2, 4411), (3, 4400)]);
    assert_eq!(room.heard(9), [news(false, &[(1, None), (2, None), (3, None)])]);
    assert_eq!(room.authority.presence_due(), None);
}

/// [EX1] What was yet to be told of presence at the end is not told after it.
#[test]
fn ex1_presence_ends_as_well() {
    let mut room = Room::new();
    (1..=2).for_each(|name| room.join(name, u8::try_from(name).unwrap_or(0)));
    room.show(1, "1");
    room.later();
    room.heard(2);
    room.show(1, "2");
    let meta = room.authority.meta();
    room.now = meta.and_then(|meta| meta.info.expires_at).unwrap_or(0) + 1;
    room.later();
    assert_eq!((room.heard(2), room.closed), (Vec::new(), vec![(1, 4410), (2, 4410)]));
}

/// [PR3] Presence takes no seq, writes nothing, and is there again after a sleep.
#[test]
fn pr3_nothing_is_stored() {
    let mut room = Room::new();
    room.join(1, 1);
    room.join(2, 2);
    let before = room.authority.storage().clone();
    room.show(1, "\"here\"");
    room.later();
    assert_eq!(format!("{:?}", room.authority.storage()), format!("{before:?}"));
    let is_missed = |session: &SessionId| authority::is_missed(&room.kept[session]);
    assert_eq!([1, 2].map(|session| is_missed(&session)), [true, false]);
    room.sleep();
    room.join(3, 3);
    assert_eq!(room.heard(3), [news(true, &[(1, Some("\"here\""))])]);
    room.authority.disconnect(1, room.now);
    room.later();
    assert_eq!(room.heard(3), [news(false, &[(1, None)])]);
}

/// [PR4] However fast somebody shows, the others are told the last state, and only now and then.
#[test]
fn pr4_nobody_floods() {
    let mut room = Room::new();
    room.join(1, 1);
    room.join(2, 2);
    for n in 0..1_000 {
        room.show(1, &n.to_string());
        room.commit();
        room.now += 1;
    }
    assert_eq!(room.authority.presence_due(), Some(NOW + 1_000));
    room.later();
    let heard = room.heard(2);
    assert_eq!(heard.len(), 21);
    assert_eq!(heard.last(), Some(&news(false, &[(1, Some("999"))])));
    assert_eq!(room.authority.presence_due(), None);
    // Nor does a clock that was set back keep anybody silent.
    room.now -= 60_000;
    room.show(1, "1");
    room.later();
    assert_eq!(room.heard(2), [news(false, &[(1, Some("1"))])]);
}

/// [PR5] What is no JSON or too large ends its session; the largest session fits beside its socket, and
/// many states into frames.
#[test]
fn pr5_states_are_bounded() {
    let mut room = Room::new();
    let large = format!("\"{}\"", "x".repeat(PRESENCE_BYTES_MAX - 2));
    for (session, state) in [(1, "{"), (2, "{\"a\":1 }"), (3, &format!("{large} ")), (4, "")] {
        room.join(session, 1);
        room.show(session, state);
    }
    room.commit();
    assert_eq!(room.closed, [(1, 4400), (2, 4400), (3, 4400), (4, 4400)]);

    room.authority.connect(5, Admission { until: u64::MAX, ..Admission::OPEN }, room.now);
    let mut greeting = hello(5, u64::MAX);
    let author =
        Introduction { generation: u64::MAX, birth: Some(u64::MAX), ..greeting.authors[0].clone() };
    greeting.authors = (0..AUTHORS_MAX)
        .map(|name| Introduction { id: ReplicaId([name as u8; 16]), ..author.clone() })
        .collect();
    room.say(5, &Up::Hello(greeting));
    for place in 0..MEMBERSHIPS_MAX {
        let pool = format!("~{place:0>64}");
        let open = PoolAsk::Open { choice: Choice::default(), after: Default::default() };
        room.say(5, &Up::Pool(PoolUp { pool: &pool, ask: open }));
        room.say(5, &Up::Pool(PoolUp { pool: &pool, ask: PoolAsk::Ack(Default::default()) }));
    }
    room.show(5, &large);
    room.later();
    // Of the 16384 bytes that the platform takes.
    assert!((10_000..16_000).contains(&room.kept[&5].len()), "{}", room.kept[&5].len());

    (100..500).for_each(|session| room.join_showing(session, &large));
    room.later();
    room.heard.clear();
    room.join(600, 200);
    let all = room.heard(600);
    assert!(all.len() > 2 && all[0].is_whole && !all[1].is_whole);
    assert_eq!(all.iter().map(|news| news.shown.len()).sum::<usize>(), 401);
}

/// Of whom a session has heard something, each with the last of it.
fn shown(heard: Vec<Presence>) -> BTreeMap<SessionId, Option<Box<str>>> {
    heard.into_iter().fold(BTreeMap::new(), |mut all, news| {
        if news.is_whole {
            all.clear();
        }
        all.extend(news.shown.into_iter().map(|shown| (shown.who, shown.state)));
        all
    })
}

/// [PR7] A crowd of which each shows as much as it may, all at once and again and again, costs a bounded number
/// of bytes in a commit, and so does its return; each hears of each all the same.
#[test]
fn pr7_a_crowd_is_told_in_turns() {
    let mut room = Room::new();
    let state = |n: usize| format!("\"{n:0>width$}\"", width = PRESENCE_BYTES_MAX - 2);
    let crowd = 100..180;
    crowd.clone().for_each(|session| room.join_showing(session, &state(0)));
    let bounded = |room: &Room| assert!(room.made <= 9 << 20, "{} bytes at once", room.made);
    for turn in 1..=12 {
        room.later();
        bounded(&room);
        for session in crowd.clone() {
            room.say(session, &Up::Read(u64::MAX));
            room.show(session, &state(turn));
        }
    }
    let mut least = 12;
    for session in crowd.clone() {
        let heard = shown(room.heard(session));
        assert_eq!(heard.len(), 79, "also while those before it go on showing");
        let turns = heard.values().flatten().map(|state| state.trim_matches('"').parse::<usize>());
        least = least.min(turns.map(|turn| turn.unwrap_or(0)).min().unwrap_or(0));
    }
    assert!(least >= 8, "nobody waits for ever: {least}");
    let tell_all = |room: &mut Room| {
        let mut turns = 0;
        while room.authority.presence_due().is_some() {
            room.later();
            bounded(room);
            crowd.clone().for_each(|session| room.say(session, &Up::Read(u64::MAX)));
            turns += 1;
            assert!(turns < 100, "it comes to an end");
        }
        for session in crowd.clone() {
            let heard = shown(room.heard(session));
            assert!(heard.values().all(|heard| heard.as_deref() == Some(&state(12))));
            assert_eq!((heard.len(), heard.contains_key(&session)), (79, false));
        }
    };
    for session in crowd.clone() {
        room.show(session, &state(12));
        room.heard(session);
    }
    tell_all(&mut room);
    // All of them have missed something, and ask for pages.
    for session in crowd.clone() {
        room.authority.fall_behind(session);
        room.say(session, &Up::Next(Cursor::default()));
    }
    room.commit();
    bounded(&room);
    tell_all(&mut room);
    // Who asks for a page without having missed anything is not told everything again.
    room.say(100, &Up::Next(Cursor::default()));
    room.commit();
    assert_eq!(room.heard(100), []);
    // And who shows nothing is told together with the others who do not.
    for session in 300..350 {
        room.authority.connect(session, Admission::OPEN, room.now);
        let mut greeting = hello(0, session);
        greeting.authors[0].id = ReplicaId(u128::from(session).to_be_bytes());
        room.say(session, &Up::Hello(greeting));
    }
    room.commit();
    bounded(&room);
    assert!((300..350).all(|session| shown(room.heard(session)).len() == 80));
}

/// [PR6] A replica shows in each connection anew what it shows, and nothing before it is live.
#[test]
fn pr6_a_replica_shows_again() {
    let mut room = Room::new();
    room.join(9, 9);
    let ids = (ReplicaId([1; 16]), ReplicaId([101; 16]));
    let mut replica = Replica::new(ids.0, ids.1, 7, Options::default());
    replica.show(Some("[1]"));
    for session in [1, 2] {
        room.authority.connect(session, Admission::OPEN, room.now);
        replica.connected(room.now);
        while let Some(frame) = replica.take_frame() {
            let moment = Moment { now: room.now, dice: Epoch([3; 8]) };
            assert_eq!(room.authority.receive(session, &frame, moment), Ok(()));
            for output in room.authority.commit().unwrap_or_default() {
                let Output::Send { to, frame } = output else { continue };
                if to.contains(&session) {
                    assert_eq!(replica.received(&frame, room.now), Ok(()));
                }
            }
        }
        room.later();
        room.show(9, "2");
        room.authority.disconnect(session, room.now);
        replica.closed(1006);
        room.later();
        assert!(room.heard(9).contains(&news(false, &[(session, None)])));
    }
    let whole = Event::Presence(news(true, &[(9, Some("2"))]));
    let events = super::spec::events(&mut replica);
    assert!(events.contains(&whole), "{events:?}");
}
