//! Which own mutations an app hears that it can undo, and what becomes of those that undo them.

use neap_core::{
    authority::Authority,
    id::Turn,
    mutation::Condition,
    replica::{Event, OpKind, Replica},
    storage::MemoryStorage,
};

use super::{
    spec::{NOW, authority, carry, events, join, replica, set},
    tabs::patch,
};

fn overtaken(replica: &mut Replica) -> Vec<u64> {
    let is_it = |event| match event {
        Event::Overtaken(Turn(turn)) => Some(turn),
        _ => None,
    };
    events(replica).into_iter().filter_map(is_it).collect()
}

fn delete(replica: &mut Replica, key: &str) -> Turn {
    let turn = replica.mutate(OpKind::Delete, "c", key, "", Condition::None);
    let turn = turn.unwrap_or_else(|malformed| panic!("{malformed:?}"));
    replica.durable(turn);
    turn
}

/// Two replicas that hold `{"id":"k"}`, the first of which goes away.
fn parted() -> (Authority<MemoryStorage>, Replica, Replica) {
    let (mut authority, mut mine, mut theirs) = (authority(), replica(1), replica(2));
    set(&mut mine, "k");
    join(&mut authority, 1, &mut mine, NOW);
    join(&mut authority, 2, &mut theirs, NOW);
    mine.closed(1006);
    authority.disconnect(1, NOW);
    assert_eq!(overtaken(&mut mine), Vec::<u64>::new());
    (authority, mine, theirs)
}

/// [RE13] What others have written before it, while it was on its way.
#[test]
fn re13_what_others_have_written_beneath() {
    let (mut authority, mut mine, mut theirs) = parted();
    delete(&mut mine, "k");
    // Of what is not there nothing is taken, and then it is there.
    delete(&mut mine, "l");
    set(&mut mine, "m");
    patch(&mut theirs, "k", r#"{"n":1}"#, Condition::None);
    set(&mut theirs, "l");
    carry(&mut authority, &mut [(2, &mut theirs)], NOW);
    join(&mut authority, 3, &mut mine, NOW);
    assert_eq!(overtaken(&mut mine), [2, 3]);
}

/// Begins a mutation that undoes another one, and tells whether that is known to be in vain.
fn undo(replica: &mut Replica, turn: Turn, record: &str) -> Option<Turn> {
    replica.begin();
    if !replica.undo(turn) {
        replica.abort();
        return None;
    }
    let made = replica.op(OpKind::Set, "c", "k", record, Condition::Absent);
    assert_eq!(made, Ok(()));
    let turn = replica.commit().unwrap_or_else(|malformed| panic!("{malformed:?}"));
    replica.durable(turn);
    Some(turn)
}

/// [RE13] What undoes a pending mutation waits for its answer, and is refused where others have come in between: also where
/// the order would take it.
#[test]
fn re13_an_undo_waits() {
    for others_write in [false, true] {
        let (mut authority, mut mine, mut theirs) = parted();
        let turn = delete(&mut mine, "k");
        assert_eq!(undo(&mut mine, turn, r#"{"id":"k"}"#), Some(Turn(3)));
        set(&mut mine, "after");
        if others_write {
            patch(&mut theirs, "k", r#"{"n":1}"#, Condition::None);
            carry(&mut authority, &mut [(2, &mut theirs)], NOW);
        }
        join(&mut authority, 3, &mut mine, NOW);
        assert_eq!(mine.pending(), 0, "nothing waits for ever");
        assert_eq!(mine.get("c", "k").is_some(), !others_write);
        assert!(mine.get("c", "after").is_some());
    }
}

/// [RE13] What is known to be in vain is not even made.
#[test]
fn re13_what_has_moved_is_seen() {
    for others_write in ["k", "elsewhere"] {
        let (mut authority, mut mine, mut theirs) = parted();
        // It is not on the disk yet, so it is not pushed.
        let turn = mine.mutate(OpKind::Delete, "c", "k", "", Condition::None);
        let record = format!(r#"{{"id":"{others_write}","n":1}}"#);
        let set = theirs.mutate(OpKind::Set, "c", others_write, &record, Condition::None);
        theirs.durable(set.unwrap_or(Turn::ZERO));
        carry(&mut authority, &mut [(2, &mut theirs)], NOW);
        join(&mut authority, 3, &mut mine, NOW);
        let undo = undo(&mut mine, turn.unwrap_or(Turn::ZERO), r#"{"id":"k"}"#);
        assert_eq!(undo.is_some(), others_write == "elsewhere");
        mine.durable(mine.minted());
        carry(&mut authority, &mut [(3, &mut mine)], NOW);
        assert_eq!(mine.get("c", "k").is_some(), undo.is_some());
    }
}

/// [RE13] Where its answer comes with a page, and others may have written between what is held and it, nobody can tell. Where
/// nobody has, all is as the app saw it.
#[test]
fn re13_what_nobody_can_tell() {
    for others_write in [false, true] {
        let (mut authority, mut mine, mut theirs) = parted();
        join(&mut authority, 3, &mut mine, NOW);
        if others_write {
            set(&mut theirs, "elsewhere");
            carry(&mut authority, &mut [(2, &mut theirs)], NOW);
        }
        // What is refused as it was predicted is beneath nothing.
        let refused = mine.mutate(OpKind::Set, "c", "k", r#"{"id":"k"}"#, Condition::Absent);
        assert_eq!(refused, Ok(Turn(2)));
        delete(&mut mine, "k");
        while let Some(frame) = mine.take_frame() {
            let taken = authority.receive(3, &frame, super::spec::moment(NOW));
            assert!(taken.is_ok(), "{taken:?}");
        }
        // The answer is lost.
        drop(authority.commit());
        mine.closed(1006);
        authority.disconnect(3, NOW);
        join(&mut authority, 4, &mut mine, NOW);
        assert_eq!(mine.pending(), 0);
        let wanted = if others_write { vec![3] } else { Vec::new() };
        assert_eq!(overtaken(&mut mine), wanted);
    }
}

/// [RE13] What somebody else delivers by now nobody here can undo.
#[test]
fn re13_what_was_handed_over() {
    let (_, mut mine, _) = parted();
    let turn = delete(&mut mine, "k");
    assert_eq!(undo(&mut mine, turn, r#"{"id":"k"}"#), Some(Turn(3)));
    assert!(mine.get("c", "k").is_some());
    mine.durable(Turn(2));
    assert!(mine.dispossess().is_err());
    assert_eq!(undo(&mut mine, turn, r#"{"id":"k"}"#), None);
}
