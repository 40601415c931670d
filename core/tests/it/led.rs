//! How a session is led through pages.

use std::collections::BTreeMap;

use neap_core::{
    authority::{Admission, Authority, Output, PageSize, SessionId},
    datastore::Options,
    id::{ReplicaId, Seq},
    limits::{
        AHEAD_BYTES, PAGE_BYTES, RECORD_BYTES_MAX, RESEND_MS, STRIDE_BYTES_MIN, UNTURNED_MAX,
    },
    mutation::Condition,
    replica::{OpKind, Phase, Reconnect, Replica},
    storage::MemoryStorage,
    wire::{self, Down},
};

use super::spec::{NOW, authority, join, moment, replica, set};

/// A relay with sessions that read when they are told to.
struct Road {
    authority: Authority<MemoryStorage>,
    kept: BTreeMap<SessionId, Vec<u8>>,
    /// Frames that are on their way, of each session.
    down: BTreeMap<SessionId, Vec<Box<[u8]>>>,
    /// The seqs where the pages ended that were sent to each.
    pages: BTreeMap<SessionId, Vec<u64>>,
    now: u64,
}

impl Road {
    fn new(authority: Authority<MemoryStorage>) -> Self {
        let (kept, down, pages) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Road { authority, kept, down, pages, now: NOW }
    }

    /// Brings what these replicas say to the relay, in one group; gives how many frames that were.
    fn up(&mut self, replicas: &mut [(SessionId, &mut Replica)]) -> usize {
        let mut said = 0;
        for (session, replica) in replicas {
            replica.info_saved();
            while let Some(frame) = replica.take_frame() {
                said += 1;
                assert_eq!(self.authority.receive(*session, &frame, moment(self.now)), Ok(()));
            }
        }
        for output in self.authority.commit().unwrap_or_default() {
            match output {
                Output::Send { to, frame } => {
                    let page = match wire::decode_down(&frame) {
                        Ok((Down::Page(page), _)) => Some(page.cursor.after.0),
                        _ => None,
                    };
                    for session in to {
                        self.pages.entry(session).or_default().extend(page);
                        self.down.entry(session).or_default().push(frame.clone());
                    }
                }
                Output::Remember { session, bytes } => drop(self.kept.insert(session, bytes)),
                Output::Close { session, why } => panic!("{session} is closed: {}", why.reason()),
            }
        }
        said
    }

    /// Lets a replica read so many frames.
    fn down(&mut self, session: SessionId, replica: &mut Replica, count: usize) {
        let waiting = self.down.entry(session).or_default();
        for frame in waiting.drain(..count.min(waiting.len())) {
            assert_eq!(replica.received(&frame, self.now), Ok(()));
        }
    }

    fn waiting(&self, session: SessionId) -> usize {
        self.down.get(&session).map_or(0, Vec::len)
    }

    fn pages(&self, session: SessionId) -> &[u64] {
        self.pages.get(&session).map_or(&[], |pages| pages)
    }

    /// The relay forgets all but what it has stored.
    fn sleep(&mut self, page: PageSize) {
        let storage = self.authority.storage().clone();
        let restarted = Authority::load(storage, *self.authority.settings());
        self.authority = restarted.unwrap_or_else(|trouble| panic!("{trouble:?}"));
        self.authority.set_page_size(page);
        for (session, bytes) in &self.kept {
            self.authority.restore(*session, bytes);
        }
    }
}

const ROWS: u64 = 12;
const ROW_BY_ROW: PageSize = PageSize { rows: 1, bytes: PAGE_BYTES };

/// A relay that holds twelve records, one on each page.
fn road() -> Road {
    let (mut authority, mut writer) = (authority(), replica(1));
    authority.set_page_size(ROW_BY_ROW);
    for n in 0..ROWS {
        set(&mut writer, &format!("k{n}"));
    }
    assert_eq!(join(&mut authority, 1, &mut writer, NOW), []);
    authority.disconnect(1, NOW);
    Road::new(authority)
}

/// [CU2] Some pages are on their way before the first was turned, never more than four; each comes once, in its place.
#[test]
fn cu2_some_pages_ahead() {
    let (mut road, mut reader) = (road(), replica(2));
    road.authority.connect(2, Admission::OPEN, NOW);
    reader.connected(NOW);
    let mut most = 0;
    while reader.phase() != Phase::Live {
        road.up(&mut [(2, &mut reader)]);
        most = most.max(road.waiting(2));
        // Welcome is among the first.
        assert!(road.waiting(2) <= 1 + UNTURNED_MAX, "{} frames wait", road.waiting(2));
        road.down(2, &mut reader, 1);
    }
    assert_eq!(most, UNTURNED_MAX);
    assert_eq!(road.pages(2), (1..=ROWS).collect::<Vec<_>>());
    assert_eq!((reader.seq(), reader.size("c")), (Seq(ROWS), 12));
    // What it turned late was no question.
    assert_eq!(road.up(&mut [(2, &mut reader)]), 0);
    assert_eq!(road.waiting(2), 0);
}

/// [CU2] A relay that sleeps while pages are on their way, or a word of turned pages that is lost, changes nothing in that.
#[test]
fn cu2_over_a_sleep() {
    for loses in [false, true] {
        let (mut road, mut reader) = (road(), replica(2));
        road.authority.connect(2, Admission::OPEN, NOW);
        reader.connected(NOW);
        let mut step = 0;
        while reader.phase() != Phase::Live {
            road.up(&mut [(2, &mut reader)]);
            road.down(2, &mut reader, 1);
            step += 1;
            if loses && step > 4 && step % 4 == 2 {
                // The next says the same, and more.
                while reader.take_frame().is_some() {}
            } else {
                road.sleep(ROW_BY_ROW);
            }
            assert!(step < 40, "it gets no further than {:?}", road.pages(2));
        }
        assert_eq!(road.pages(2), (1..=ROWS).collect::<Vec<_>>());
    }
}

/// [CU2] What is written meanwhile comes after the pages, and so does what begins anew.
#[test]
fn cu2_writes_meanwhile() {
    let (mut road, mut reader, mut writer) = (road(), replica(2), replica(3));
    assert_eq!(join(&mut road.authority, 3, &mut writer, NOW), []);
    road.authority.connect(2, Admission::OPEN, NOW);
    reader.connected(NOW);
    for n in 0..30 {
        set(&mut writer, &format!("k{}", n % 15));
        road.up(&mut [(2, &mut reader), (3, &mut writer)]);
        road.down(2, &mut reader, 1);
        let all = road.waiting(3);
        road.down(3, &mut writer, all);
        writer.saved(writer.settled());
    }
    while road.up(&mut [(2, &mut reader)]) + road.waiting(2) > 0 {
        let all = road.waiting(2);
        road.down(2, &mut reader, all);
    }
    assert_eq!((reader.phase(), reader.seq()), (Phase::Live, writer.seq()));
    assert_eq!(reader.digest(), writer.digest());
}

/// [CU2] Large pages fill the road sooner; a crowd gets a page for each question.
#[test]
fn cu2_large_ones_and_crowds() {
    let (mut authority, mut writer) = (authority(), replica(1));
    let text = "x".repeat(RECORD_BYTES_MAX - 100);
    let mut data = String::new();
    for key in 10..26 {
        data = format!(r#"{{"id":"{key}","t":"{text}"}}"#);
        let turn = writer.mutate(OpKind::Set, "c", &key.to_string(), &data, Condition::None);
        writer.durable(turn.unwrap_or_default());
    }
    assert_eq!(join(&mut authority, 1, &mut writer, NOW), []);
    authority.disconnect(1, NOW);
    let mut road = Road::new(authority);
    let mut crowd: Vec<Replica> = (2..32).map(replica).collect();
    for (session, reader) in (2..).zip(&mut crowd) {
        road.authority.connect(session, Admission::OPEN, NOW);
        reader.connected(NOW);
    }
    let mut all: Vec<(SessionId, &mut Replica)> = (2..).zip(&mut crowd).collect();
    road.up(&mut all);
    let sent = |road: &Road| (2..32).map(|session| road.pages(session).len()).sum::<usize>();
    assert_eq!(sent(&road), 30);
    for (session, reader) in &mut all {
        road.down(*session, reader, 2);
    }
    road.up(&mut all);
    let extra = AHEAD_BYTES / data.len() + 1;
    assert!((60..=60 + extra).contains(&sent(&road)), "{} pages for 60", sent(&road));
    let (session, reader) = (2, &mut crowd[0]);
    while reader.phase() != Phase::Live {
        let bytes: usize = road.down[&session].iter().map(|frame| frame.len()).sum();
        assert!(bytes <= AHEAD_BYTES + 2 * RECORD_BYTES_MAX, "{bytes} bytes are on their way");
        road.down(session, reader, 1);
        road.up(&mut [(session, reader)]);
    }
    // Two of them make a page once the road is known.
    assert_eq!(road.pages(session), [1, 2, 3, 4, 5, 7, 9, 11, 13, 15, 16]);
}

/// [RE9] A slow road is no dead one: what takes longer than an answer may take comes after some tries, and each page counts.
#[test]
fn re9_a_slow_road() {
    const PAGE_MS: u64 = 35_000;
    let ids = [ReplicaId([2; 16]), ReplicaId([3; 16])];
    let (mut road, mut reader) = (road(), Replica::new(ids[0], ids[1], 7, Options::default()));
    // It outlives the minutes that this takes.
    assert!(road.authority.alter(None, true, NOW).is_some());
    let mut session = 1;
    while reader.phase() != Phase::Live {
        session += 1;
        assert!(session <= 4, "given up with {:?}", road.pages);
        road.authority.connect(session, Admission::OPEN, road.now);
        reader.connected(road.now);
        road.up(&mut [(session, &mut reader)]);
        // Welcome is short.
        road.down(session, &mut reader, 1);
        let mut since = road.now;
        while reader.phase() == Phase::CatchingUp {
            road.now += 1_000;
            if reader.tick(road.now).is_err() {
                reader.closed(4000);
                road.authority.disconnect(session, road.now);
            } else if road.now == since + PAGE_MS {
                since = road.now;
                road.down(session, &mut reader, 1);
                road.up(&mut [(session, &mut reader)]);
            }
        }
    }
    assert_eq!(
        (session, reader.patience()),
        (4, RESEND_MS),
        "after 10 and 20 seconds, and at the end as ever"
    );

    // So do outcomes over a slow road up.
    reader.info_saved();
    set(&mut reader, "k");
    for _ in 0..2 {
        assert_eq!(reader.tick(road.now), Ok(()));
        assert!(reader.take_frame().is_some());
        assert_eq!(reader.tick(road.now), Ok(()));
        road.now += RESEND_MS;
    }
    assert_eq!(reader.tick(road.now), Err(Reconnect::Silence));
    assert_eq!(reader.patience(), 2 * RESEND_MS);
    reader.closed(4000);
    reader.connected(road.now);
    assert_eq!(reader.patience(), RESEND_MS, "Welcome takes no longer");
    assert_eq!(reader.tick(road.now + RESEND_MS), Err(Reconnect::Silence));
}

/// [RE12] Little is on its way over a road that is not known, then twice as much as long as outcomes come soon, up to a
/// bound, and half as much when they come late. What is large is not sent twice over it.
#[test]
fn re12_as_many_pushes_as_the_road_bears() {
    let (mut authority, mut writer) = (authority(), replica(1));
    assert_eq!(join(&mut authority, 1, &mut writer, NOW), []);
    let text = "x".repeat(20_000);
    for _ in 0..200 {
        // All but one are refused, so outcomes come in one frame.
        let data = format!(r#"{{"id":"k","t":"{text}"}}"#);
        let turn = writer.mutate(OpKind::Set, "c", "k", &data, Condition::Absent);
        writer.durable(turn.unwrap_or_default());
    }
    let (mut now, mut flown) = (NOW, 0);
    let plan = [
        (1, 1),
        (1, 1),
        (1, 1),
        (2, 1),
        (5, 1),
        (12, 1),
        (25, 1),
        (51, 6),
        (25, 4),
        (25, 6),
        (12, 1),
    ];
    for (expected, seconds) in plan {
        let frames: Vec<_> = std::iter::from_fn(|| writer.take_frame()).collect();
        let is_push = |frame: &&Vec<u8>| matches!(wire::decode_up(frame), Ok(wire::Up::Push(_)));
        let pushes = frames.iter().filter(is_push).count();
        assert_eq!(pushes, expected, "after {flown} of 200");
        flown += pushes as u64;
        assert_eq!(writer.tick(now), Ok(()));
        for frame in frames {
            assert_eq!(authority.receive(1, &frame, moment(now)), Ok(()));
        }
        now += seconds * 1_000;
        for output in authority.commit().unwrap_or_default() {
            let Output::Send { frame, .. } = output else { continue };
            assert_eq!(writer.received(&frame, now), Ok(()));
        }
        assert_eq!(writer.settled().0, flown);
        writer.saved(writer.settled());
    }
    assert_eq!(std::iter::from_fn(|| writer.take_frame()).count(), 25);
    assert_eq!(writer.tick(now), Ok(()));
    assert_eq!(writer.tick(now + RESEND_MS), Ok(()));
    assert_eq!((writer.take_frame(), writer.patience()), (None, 2 * RESEND_MS), "not twice");
    assert_eq!(writer.tick(now + 3 * RESEND_MS), Err(Reconnect::Silence));
    writer.closed(4000);
    authority.disconnect(1, now);
    assert_eq!(join(&mut authority, 2, &mut writer, now + 3 * RESEND_MS), []);
    assert_eq!((writer.pending(), writer.patience()), (0, RESEND_MS));
}

/// [RE12] What asks for the next page waits behind no large push.
#[test]
fn re12_pages_are_not_held_up() {
    let (mut road, mut reader) = (road(), replica(2));
    for (key, bytes) in [("small", 20), ("large", STRIDE_BYTES_MIN), ("last", 20)] {
        let data = format!(r#"{{"id":"{key}","t":"{}"}}"#, "x".repeat(bytes));
        let turn = reader.mutate(OpKind::Set, "d", key, &data, Condition::None);
        reader.durable(turn.unwrap_or_default());
    }
    road.authority.connect(2, Admission::OPEN, NOW);
    reader.connected(NOW);
    while reader.phase() != Phase::Live {
        road.up(&mut [(2, &mut reader)]);
        let head = road.authority.alive(NOW).map(|meta| meta.head);
        assert!(head <= Some(Seq(ROWS + 1)), "the large one was pushed");
        road.down(2, &mut reader, 1);
    }
    assert_eq!(reader.pending(), 2, "the small one went along");
    while road.up(&mut [(2, &mut reader)]) + road.waiting(2) > 0 {
        road.down(2, &mut reader, 1);
        reader.saved(reader.settled());
    }
    assert_eq!((reader.pending(), reader.seq()), (0, Seq(ROWS + 3)));
}
