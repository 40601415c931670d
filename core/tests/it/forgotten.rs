//! Rules of the ledger that show after more than a year.

use neap_core::{
    authority::{Admission, Authority, Output},
    datastore::{Kind, Options},
    id::{ReplicaId, Seq, Turn},
    limits::{LEDGER_MS, SWEEP_MS},
    mutation::{Condition, Reason},
    replica::{Event, OpKind, Phase, Reconnect, Replica, Watch},
    storage::MemoryStorage,
};

use super::spec::{NOW, authority, carry, events, join, moment, set};

const DAY: u64 = 24 * 60 * 60 * 1_000;
const LONG: u64 = LEDGER_MS + 2 * SWEEP_MS;

fn permanent() -> Authority<MemoryStorage> {
    let mut authority = authority();
    open(&mut authority, NOW);
    authority
}

fn open(authority: &mut Authority<MemoryStorage>, now: u64) {
    let options = Options { kind: Some(Kind::Permanent), ..Options::default() };
    assert!(authority.open(&options, moment(now)).is_ok());
    assert!(authority.commit().is_ok());
}

fn replica(name: u8) -> Replica {
    Replica::new(ReplicaId([name; 16]), ReplicaId([name + 100; 16]), 7, Options::default())
}

fn sweep(authority: &mut Authority<MemoryStorage>, now: u64) {
    assert_eq!(authority.upkeep(now), Ok(()));
    assert!(authority.commit().is_ok());
}

/// Connects, says all there is to say, and leaves.
fn visit(authority: &mut Authority<MemoryStorage>, session: u64, replica: &mut Replica, now: u64) {
    assert_eq!(join(authority, session, replica, now), []);
    replica.saved(replica.settled());
    assert_eq!(carry(authority, &mut [(session, replica)], now), []);
    authority.disconnect(session, now);
    replica.closed(1006);
}

/// Connects, says Hello and hears the answers.
pub(super) fn greet(
    authority: &mut Authority<MemoryStorage>,
    session: u64,
    replica: &mut Replica,
    now: u64,
) {
    authority.connect(session, Admission::OPEN, now);
    replica.connected(now);
    let hello = replica.take_frame().unwrap_or_default();
    assert_eq!(authority.receive(session, &hello, moment(now)), Ok(()));
    for output in authority.commit().unwrap_or_default() {
        if let Output::Send { frame, .. } = output {
            assert_eq!(replica.received(&frame, now), Ok(()));
        }
    }
}

/// Connects and pushes; the answers are lost with the connection.
fn push_into_the_void(
    authority: &mut Authority<MemoryStorage>,
    session: u64,
    replica: &mut Replica,
    now: u64,
) {
    greet(authority, session, replica, now);
    replica.info_saved();
    while let Some(frame) = replica.take_frame() {
        assert_eq!(authority.receive(session, &frame, moment(now)), Ok(()));
    }
    assert!(authority.commit().is_ok());
    authority.disconnect(session, now);
    replica.closed(1006);
}

fn unknown(events: &[Event]) -> usize {
    let is_it = |event: &&Event| matches!(event, Event::Refused { refusal, .. } if refusal.reason == Reason::OutcomeUnknown);
    events.iter().filter(is_it).count()
}

/// [LE6] What a forgotten replica has pending is refused as unknown, whether it was applied or not, and
/// never applied after that; the replica goes on under another id.
#[test]
fn le6_the_forgotten_are_told_so() {
    let mut authority = permanent();
    let mut away = replica(1);
    set(&mut away, "a");
    visit(&mut authority, 1, &mut away, NOW);
    set(&mut away, "b");
    push_into_the_void(&mut authority, 2, &mut away, NOW);
    set(&mut away, "c");
    let (later, old) = (NOW + LONG, away.id());
    sweep(&mut authority, later);
    events(&mut away);
    join(&mut authority, 3, &mut away, later);
    assert_eq!(unknown(&events(&mut away)), 2);
    assert_ne!(away.id(), old);
    authority.disconnect(3, later);
    set(&mut away, "d");
    visit(&mut authority, 4, &mut away, later);
    let keys: Vec<_> = away.keys("c").iter().map(ToString::to_string).collect();
    assert_eq!((keys.as_slice(), away.seq()), (&["a", "b", "d"].map(String::from)[..], Seq(3)));
}

/// [LE6] Nobody is forgotten who has been there within 400 days, be it to read.
#[test]
fn le6_who_comes_back_in_time_is_known() {
    let mut authority = permanent();
    let (mut reader, mut writer) = (replica(1), replica(2));
    set(&mut writer, "w");
    let ids = (reader.id(), writer.id());
    let mut now = NOW;
    for visits in 0..4_u64 {
        visit(&mut authority, 10 + visits, &mut reader, now);
        visit(&mut authority, 20 + visits, &mut writer, now);
        now += LEDGER_MS - DAY;
        sweep(&mut authority, now);
    }
    let seq = reader.seq();
    push_into_the_void(&mut authority, 30, &mut writer, now);
    set(&mut reader, "r");
    set(&mut writer, "x");
    events(&mut reader);
    events(&mut writer);
    visit(&mut authority, 31, &mut reader, now);
    visit(&mut authority, 32, &mut writer, now);
    assert_eq!((unknown(&events(&mut reader)), unknown(&events(&mut writer))), (0, 0));
    assert_eq!((reader.id(), writer.id()), ids);
    assert_eq!((reader.pending(), writer.pending(), writer.seq().0), (0, 0, seq.0 + 2));
}

/// [LE6] A later life that has forgotten nobody takes what a replica has had pending since the one before.
#[test]
fn le6_who_was_never_there_is_not_forgotten() {
    let mut authority = permanent();
    let mut away = replica(1);
    visit(&mut authority, 1, &mut away, NOW);
    set(&mut away, "k");
    assert_eq!(authority.destroy(), Ok(()));
    open(&mut authority, NOW + DAY);
    sweep(&mut authority, NOW + LONG);
    visit(&mut authority, 2, &mut away, NOW + LONG);
    // Its turns are counted anew, and are to be stored so.
    away.durable(away.minted());
    visit(&mut authority, 3, &mut away, NOW + LONG);
    assert_eq!((unknown(&events(&mut away)), away.pending(), away.seq()), (0, 0, Seq(1)));
}

/// [LE7] Nothing is pushed before the birth stamp is stored; a replica that has lost its own counts as
/// older than all, so that nothing is applied twice once it is forgotten.
#[test]
fn le7_no_push_without_a_stamp() {
    let mut authority = permanent();
    let mut first = replica(1);
    set(&mut first, "k");
    let Some((turn, _, block)) = first.take_block() else { panic!("nothing to store") };
    greet(&mut authority, 1, &mut first, NOW);
    assert_eq!((first.phase(), first.take_frame()), (Phase::Live, None), "the stamp is not stored");
    first.info_saved();
    let push = first.take_frame().unwrap_or_default();
    assert_eq!(authority.receive(1, &push, moment(NOW)), Ok(()));
    assert!(authority.commit().is_ok());
    assert_eq!(authority.meta().map(|meta| meta.head), Some(Seq(1)));
    authority.disconnect(1, NOW);

    // Its account is torn, with the stamp in it.
    let mut later = replica(1);
    later.restore_without_account(turn);
    assert_eq!(later.restore_block(turn, &block), Ok(()));
    later.restored();
    let now = NOW + LONG;
    sweep(&mut authority, now);
    join(&mut authority, 2, &mut later, now);
    assert_eq!(unknown(&events(&mut later)), 1);
    authority.disconnect(2, now);
    visit(&mut authority, 3, &mut later, now);
    assert_eq!(authority.meta().map(|meta| meta.head), Some(Seq(1)), "it was not applied again");
}

/// [CH1] A key is told once, also where one frame moves the ground twice: another life, in which the
/// replica is forgotten.
#[test]
fn ch1_two_rebases_in_one_input() {
    let mut authority = permanent();
    let mut away = replica(1);
    set(&mut away, "k");
    visit(&mut authority, 1, &mut away, NOW);
    away.watch("c", Watch::Records);
    let mut write = |kind, data, only_if| {
        let turn = away.mutate(kind, "c", "k", data, only_if);
        away.durable(turn.unwrap_or_default());
    };
    write(OpKind::Patch, r#"{"n":1}"#, Condition::Seq(Seq(1)));
    write(OpKind::Patch, r#"{"m":1}"#, Condition::None);
    while away.take_changes().is_some() {}
    let later = NOW + 2 * LONG;
    assert_eq!(authority.destroy(), Ok(()));
    open(&mut authority, NOW + LONG);
    let mut other = replica(2);
    set(&mut other, "other");
    visit(&mut authority, 3, &mut other, NOW + LONG);
    sweep(&mut authority, later);
    authority.connect(2, Admission::OPEN, later);
    away.connected(later);
    let hello = away.take_frame().unwrap_or_default();
    assert_eq!(authority.receive(2, &hello, moment(later)), Ok(()));
    for output in authority.commit().unwrap_or_default() {
        if let Output::Send { frame, .. } = output {
            let taken = away.received(&frame, later);
            assert_eq!(taken, Err(Reconnect::NewIdentity));
            break;
        }
    }
    let changes: Vec<_> = std::iter::from_fn(|| away.take_changes()).collect();
    let told: Vec<_> = changes.iter().map(|(_, change)| change.after.as_deref()).collect();
    assert_eq!(told, [Some(r#"{"id":"k"}"#)]);
    assert_eq!(unknown(&events(&mut away)), 2);
    assert_eq!(away.settled(), Turn::ZERO);
}
