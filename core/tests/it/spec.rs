//! Rules of SPEC.md that are shown best by a short script.

use neap_core::{
    authority::{Admission, Authority, Moment, Output, SessionId, Settings, Trouble},
    datastore::{Kind, Options},
    id::{Epoch, ReplicaId, Seq, Turn},
    limits::{FRAME_BYTES_MAX, GREETING_MS, READ_STEP_BYTES, RESEND_MS, UNACKED_MAX, UNREAD_MAX},
    mutation::Condition,
    replica::{Event, OpKind, Phase, Reconnect, Replica},
    storage::{MemoryStorage, Storage},
    wire,
};

pub(super) const NOW: u64 = 1_700_000_000_000;

pub(super) fn moment(now: u64) -> Moment {
    let seconds = u8::try_from(now / 1_000 % 251).unwrap_or(0);
    Moment { now, dice: Epoch([seconds; 8]) }
}

pub(super) fn authority() -> Authority<MemoryStorage> {
    match Authority::load(MemoryStorage::new(), Settings::default()) {
        Ok(authority) => authority,
        Err(trouble) => panic!("{trouble:?}"),
    }
}

pub(super) fn replica(name: u8) -> Replica {
    let ids = (ReplicaId([name; 16]), ReplicaId([name + 100; 16]));
    let options = Options { kind: Some(Kind::Temp), ttl: Some(60), ..Options::default() };
    Replica::new(ids.0, ids.1, 7, options)
}

pub(super) fn set(replica: &mut Replica, key: &str) -> Turn {
    let data = format!(r#"{{"id":"{key}"}}"#);
    let turn = replica.mutate(OpKind::Set, "c", key, &data, Condition::None);
    let turn = turn.unwrap_or_else(|malformed| panic!("{malformed:?}"));
    replica.durable(turn);
    turn
}

/// All that a replica has to tell its shell.
pub(super) fn events(replica: &mut Replica) -> Vec<Event> {
    std::iter::from_fn(|| replica.take_events()).collect()
}

/// Carries frames both ways until nothing is left; gives the sessions that were closed.
pub(super) fn carry(
    authority: &mut Authority<MemoryStorage>,
    replicas: &mut [(SessionId, &mut Replica)],
    now: u64,
) -> Vec<(SessionId, u16)> {
    let mut closed = Vec::new();
    loop {
        let mut frames = Vec::new();
        for (session, replica) in replicas.iter_mut() {
            replica.info_saved();
            while let Some(frame) = replica.take_frame() {
                frames.push((*session, frame));
            }
        }
        let is_quiet = frames.is_empty();
        for (session, frame) in frames {
            assert_eq!(authority.receive(session, &frame, moment(now)), Ok(()));
        }
        for output in authority.commit().unwrap_or_default() {
            match output {
                Output::Send { to, frame } => {
                    for (session, replica) in replicas.iter_mut() {
                        if to.contains(session) {
                            let _ = replica.received(&frame, now);
                        }
                    }
                }
                Output::Close { session, why } => closed.push((session, why.code())),
                Output::Remember { .. } => {}
            }
        }
        if is_quiet {
            return closed;
        }
    }
}

pub(super) fn join(
    authority: &mut Authority<MemoryStorage>,
    session: SessionId,
    replica: &mut Replica,
    now: u64,
) -> Vec<(SessionId, u16)> {
    authority.connect(session, Admission::OPEN, now);
    replica.connected(now);
    carry(authority, &mut [(session, replica)], now)
}

/// [SE3] Who opens a datastore that has expired opens a new one; only those of the old life are told
/// that it is over.
#[test]
fn se3_opening_after_the_end() {
    let mut authority = authority();
    let (mut old, mut new) = (replica(1), replica(2));
    assert_eq!(join(&mut authority, 1, &mut old, NOW), []);
    let later = NOW + 60_001;
    assert_eq!(join(&mut authority, 2, &mut new, later), [(1, 4410)]);
    assert_eq!(new.phase(), Phase::Live);
    assert_ne!(old.epoch(), new.epoch());
}

/// [SE4] Of two connections of one owner the later attempt stays, also when its Hello comes first.
#[test]
fn se4_the_later_attempt_stays() {
    let mut authority = authority();
    let mut replica = replica(1);
    replica.connected(NOW);
    let late = replica.take_frame().unwrap_or_default();
    replica.closed(1006);
    assert_eq!(join(&mut authority, 2, &mut replica, NOW), []);
    authority.connect(1, Admission::OPEN, NOW);
    assert_eq!(authority.receive(1, &late, moment(NOW)), Ok(()));
    assert_eq!(carry(&mut authority, &mut [(2, &mut replica)], NOW), [(1, 4411)]);
    assert_eq!(replica.phase(), Phase::Live);
}

/// [RE9] A push whose outcome does not come is sent again, whatever others do in the meantime; when
/// it is not answered then, the replica wants another connection.
#[test]
fn re9_silence_is_noticed_in_a_busy_datastore() {
    let mut authority = authority();
    let (mut quiet, mut busy) = (replica(1), replica(2));
    join(&mut authority, 1, &mut quiet, NOW);
    join(&mut authority, 2, &mut busy, NOW);

    set(&mut quiet, "lost");
    assert!(quiet.take_frame().is_some());
    assert_eq!(quiet.deadline(), Some(0), "it wants to be told the time");
    assert_eq!(quiet.tick(NOW), Ok(()));
    assert_eq!(quiet.deadline(), Some(NOW + RESEND_MS));
    for step in 1..=3 {
        let now = NOW + step * 1_000;
        set(&mut busy, "k");
        carry(&mut authority, &mut [(1, &mut quiet), (2, &mut busy)], now);
        assert_eq!(quiet.deadline(), Some(NOW + RESEND_MS));
    }
    assert_eq!(quiet.tick(NOW + RESEND_MS), Ok(()));
    assert!(quiet.take_frame().is_some(), "sent again");
    assert_eq!(quiet.tick(NOW + 2 * RESEND_MS), Err(Reconnect::Silence));
}

/// [RE9] Nor does a clock that is set back make it wait until that has caught up.
#[test]
fn re9_a_clock_that_is_set_back() {
    let mut authority = authority();
    let mut replica = replica(1);
    join(&mut authority, 1, &mut replica, NOW);
    set(&mut replica, "lost");
    assert!(replica.take_frame().is_some());
    assert_eq!(replica.tick(NOW), Ok(()));
    let before = NOW - 3_600_000;
    assert_eq!(replica.tick(before), Ok(()));
    assert_eq!(replica.deadline(), Some(before + RESEND_MS));
    assert_eq!(replica.tick(before + RESEND_MS), Ok(()));
    assert!(replica.take_frame().is_some(), "sent again");
}

/// [LE3] A replica leaves no more outcomes unacknowledged than the ledger keeps, and goes on once it
/// has stored them.
#[test]
fn le3_the_window_is_bounded() {
    let mut authority = authority();
    let mut replica = replica(1);
    let many = UNACKED_MAX + 100;
    for turn in 1..=many {
        assert_eq!(set(&mut replica, "k"), Turn(turn));
    }
    join(&mut authority, 1, &mut replica, NOW);
    assert_eq!(replica.settled(), Turn(UNACKED_MAX));
    replica.saved(replica.settled());
    carry(&mut authority, &mut [(1, &mut replica)], NOW);
    assert_eq!(replica.settled(), Turn(many));
    assert_eq!(replica.seq(), Seq(many));
    assert_eq!(replica.phase(), Phase::Live);
}

/// [AP3] Totals follow the rows, also when a mutation reads rows that it does not change.
#[test]
fn ap3_totals_pair_rows_by_key() {
    let mut authority = authority();
    let mut replica = replica(1);
    set(&mut replica, "a");
    replica.begin();
    for (kind, key, data) in
        [(OpKind::Patch, "a", r#"{"id":"a"}"#), (OpKind::Set, "b", r#"{"id":"b"}"#)]
    {
        assert_eq!(replica.op(kind, "c", key, data, Condition::None), Ok(()));
    }
    let turn = replica.commit().unwrap_or_default();
    replica.durable(turn);
    join(&mut authority, 1, &mut replica, NOW);
    let totals = authority.meta().map(|meta| meta.totals).unwrap_or_default();
    assert_eq!((totals.records, totals.bytes), (2, 2 * (10 + 2)));
    assert_eq!(totals.digest, replica.digest());
}

/// [WI2] A frame that is too large is no frame.
#[test]
fn wi2_large_frames_are_no_frames() {
    assert_eq!(wire::decode_up(&vec![0; FRAME_BYTES_MAX + 1]), Err(wire::BadFrame));
}

/// [SE5] A bad frame ends its own session and nothing else.
#[test]
fn se5_a_bad_frame_ends_its_session() {
    let mut authority = authority();
    let mut replica = replica(1);
    join(&mut authority, 1, &mut replica, NOW);
    for (session, frame) in [(2, &[][..]), (3, &[255; 40][..]), (4, &[2, 0, 0][..])] {
        authority.connect(session, Admission::OPEN, NOW);
        assert_eq!(authority.receive(session, frame, moment(NOW)), Ok(()));
        assert_eq!(carry(&mut authority, &mut [(1, &mut replica)], NOW), [(session, 4400)]);
    }
    set(&mut replica, "k");
    carry(&mut authority, &mut [(1, &mut replica)], NOW);
    assert_eq!(replica.pending(), 0);
}

/// [SE6] Who stalls is owed a bounded number of bytes and catches up in one go; who reads says so once in
/// 256 KiB and is never left behind.
#[test]
fn se6_who_does_not_read_is_left_behind() {
    let mut authority = authority();
    let (mut writer, mut slow) = (replica(1), replica(2));
    join(&mut authority, 1, &mut writer, NOW);
    join(&mut authority, 2, &mut slow, NOW);
    let large = "x".repeat(100_000);
    let (mut waiting, mut owed, mut told, mut said) = (Vec::new(), 0, 0, 0);
    for step in 0..60 {
        let data = format!(r#"{{"id":"k","n":{step},"t":"{large}"}}"#);
        let turn = writer.mutate(OpKind::Set, "c", "k", &data, Condition::None);
        writer.durable(turn.unwrap_or_default());
        while let Some(frame) = writer.take_frame() {
            said += u64::from(matches!(wire::decode_up(&frame), Ok(wire::Up::Read(_))));
            assert_eq!(authority.receive(1, &frame, moment(NOW)), Ok(()));
        }
        for output in authority.commit().unwrap_or_default() {
            let Output::Send { to, frame } = output else { continue };
            if to.contains(&1) {
                told += frame.len() as u64;
                assert_eq!(writer.received(&frame, NOW), Ok(()));
            }
            if to.contains(&2) {
                owed += frame.len() as u64;
                waiting.push(frame);
            }
        }
        writer.saved(writer.settled());
    }
    assert_eq!((writer.phase(), writer.settled()), (Phase::Live, Turn(60)));
    assert!((1..=told / READ_STEP_BYTES).contains(&said), "said {said} times for {told} bytes");
    assert!(owed <= UNREAD_MAX + 1, "{owed} bytes are owed");
    for frame in waiting {
        assert_eq!(slow.received(&frame, NOW), Ok(()));
    }
    assert!(slow.seq() < writer.seq() && slow.phase() == Phase::CatchingUp);
    assert_eq!(carry(&mut authority, &mut [(1, &mut writer), (2, &mut slow)], NOW), []);
    assert_eq!((slow.phase(), slow.seq()), (Phase::Live, writer.seq()));
}

/// [SE8] Who is admitted anew may what the new admission allows, for as long as that holds; nobody else
/// is admitted in his place.
#[test]
fn se6_admitted_anew() {
    let mut authority = authority();
    let mut replica = replica(1);
    let reads = Admission { write: false, admin: false, subject: 7, ..Admission::OPEN };
    let writes = Admission { until: NOW + 1_000, admin: false, subject: 7, ..Admission::OPEN };
    assert!(authority.open(&Options::default(), moment(NOW)).is_ok());
    authority.connect(1, writes, NOW);
    replica.connected(NOW);
    assert_eq!(carry(&mut authority, &mut [(1, &mut replica)], NOW), []);
    assert!(authority.readmit(1, reads));
    set(&mut replica, "refused");
    assert_eq!(carry(&mut authority, &mut [(1, &mut replica)], NOW + 1_001), []);
    let later = Admission { until: NOW + 3_000, ..writes };
    assert!(authority.readmit(1, later));
    set(&mut replica, "taken");
    assert_eq!(carry(&mut authority, &mut [(1, &mut replica)], NOW + 3_000), []);
    assert_eq!((replica.pending(), replica.get("c", "refused")), (0, None));
    assert!(replica.get("c", "taken").is_some());
    assert!(!authority.readmit(1, Admission { subject: 8, ..writes }));
    assert!(!authority.readmit(2, writes));
    set(&mut replica, "late");
    assert_eq!(carry(&mut authority, &mut [(1, &mut replica)], NOW + 3_001), [(1, 4401)]);
}

/// [RE10] A frame that makes no sense changes nothing.
#[test]
fn re10_nonsense_changes_nothing() {
    let mut authority = authority();
    let mut replica = replica(1);
    join(&mut authority, 1, &mut replica, NOW);
    set(&mut replica, "k");
    carry(&mut authority, &mut [(1, &mut replica)], NOW);
    let (seq, digest) = (replica.seq(), replica.digest());
    while replica.take_events().is_some() {}
    for frame in [&[][..], &[9; 30][..], &[1; 30][..]] {
        assert_eq!(replica.received(frame, NOW), Err(Reconnect::BadFrame));
    }
    assert_eq!((replica.seq(), replica.digest()), (seq, digest));
    assert_eq!(replica.take_events(), None::<Event>);
}

/// [RE11] What was made offline for another primary field than the datastore has is neither sent nor
/// lost, and the app is told.
#[test]
fn re11_another_primary_field() {
    let mut authority = authority();
    let options = Options { primary: Some("key".into()), ..Options::default() };
    assert!(authority.open(&options, moment(NOW)).is_ok());
    let mut replica = Replica::new(ReplicaId([1; 16]), ReplicaId([2; 16]), 7, Options::default());
    set(&mut replica, "k");
    join(&mut authority, 1, &mut replica, NOW);
    assert_eq!(replica.phase(), Phase::Stopped);
    assert_eq!(replica.take_events(), Some(Event::Stopped("options-mismatch")));
    assert_eq!((replica.pending(), replica.get("c", "k")), (1, Some(r#"{"id":"k"}"#)));
    assert_eq!(replica.take_frame(), None);
}

/// [EX2] A life that is prolonged, shortened or made endless is told to everybody who is live.
#[test]
fn ex2_another_end_is_told() {
    let mut authority = authority();
    let mut reader = replica(1);
    join(&mut authority, 1, &mut reader, NOW);
    carry(&mut authority, &mut [(1, &mut reader)], NOW);
    let end = |reader: &Replica| reader.datastore().map(|info| (info.kind, info.expires_at));
    assert!(authority.alter(Some(5), false, NOW).is_some());
    carry(&mut authority, &mut [(1, &mut reader)], NOW);
    assert_eq!(end(&reader), Some((Kind::Temp, Some(NOW + 5_000))));
    assert!(authority.alter(None, true, NOW).is_some());
    carry(&mut authority, &mut [(1, &mut reader)], NOW);
    assert_eq!(end(&reader), Some((Kind::Permanent, None)));
}

/// [ST3] A stored value of another format, or that goes on behind its end, is told as such and left as
/// it is.
#[test]
fn st3_what_another_version_has_stored_is_told() {
    let mut authority = authority();
    assert!(authority.open(&Options::default(), moment(NOW)).is_ok());
    assert!(authority.commit().is_ok());
    let whole = authority.storage().meta().ok().flatten().unwrap_or_default();
    let load = |bytes: &[u8]| {
        let mut storage = MemoryStorage::new();
        assert!(storage.put_meta(bytes).is_ok());
        Authority::load(storage, Settings::default()).err()
    };
    assert_eq!(load(&whole), None);
    let later: Vec<u8> =
        whole.iter().enumerate().map(|(n, b)| if n == 0 { b + 1 } else { *b }).collect();
    assert_eq!(load(&later), Some(Trouble::Foreign));
    assert_eq!(load(&[&whole[..], &[0]].concat()), Some(Trouble::Corrupt));
    for end in 1..whole.len() {
        assert_eq!(load(&whole[..end]), Some(Trouble::Corrupt), "torn after {end} bytes");
    }
}

/// [SE7] Whoever waits at the door waits on while the relay sleeps.
#[test]
fn se7_silence_over_a_sleep() {
    let mut authority = authority();
    authority.connect(1, Admission::OPEN, NOW);
    authority.tick(NOW);
    let mut kept = Vec::new();
    for asleep in [0, GREETING_MS - 1, GREETING_MS] {
        for output in authority.commit().unwrap_or_default() {
            match output {
                Output::Remember { bytes, .. } => kept = bytes,
                output => panic!("{output:?} after {asleep} ms"),
            }
        }
        let woken = Authority::load(MemoryStorage::new(), Settings::default());
        authority = woken.unwrap_or_else(|trouble| panic!("{trouble:?}"));
        authority.restore(1, &kept);
        authority.tick(NOW + asleep);
    }
    let outputs = authority.commit().unwrap_or_default();
    assert_eq!(outputs, [Output::Close { session: 1, why: wire::Close::TooSlow }]);
}
