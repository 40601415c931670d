//! What an app learns of the records that its own mutations stand on, so that it can take them back.

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

/// What was told of turns: the record before and after each, or nothing where nobody can tell.
type Told = Vec<(u64, Option<[Option<String>; 2]>)>;

fn grounds(replica: &mut Replica) -> Told {
    let sides = |event| match event {
        Event::Ground(Turn(turn), change) => {
            let sides = change.map(|change| [change.before, change.after]);
            Some((turn, sides.map(|sides| sides.map(|data| data.map(Into::into)))))
        }
        _ => None,
    };
    events(replica).into_iter().filter_map(sides).collect()
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
    events(&mut mine);
    (authority, mine, theirs)
}

/// [RE13] What others have written before it, while it was on its way.
#[test]
fn re13_what_others_have_written_beneath() {
    let (mut authority, mut mine, mut theirs) = parted();
    delete(&mut mine, "k");
    // Of what is not there nothing is taken, and then it is there.
    delete(&mut mine, "l");
    patch(&mut theirs, "k", r#"{"n":1}"#, Condition::None);
    set(&mut theirs, "l");
    carry(&mut authority, &mut [(2, &mut theirs)], NOW);
    join(&mut authority, 3, &mut mine, NOW);
    let sides = |before: &str| Some([Some(before.to_owned()), None]);
    let wanted = [(2, sides(r#"{"id":"k","n":1}"#)), (3, sides(r#"{"id":"l"}"#))];
    assert_eq!(grounds(&mut mine), wanted);
}

/// [RE13] An own mutation that was refused is beneath the next one no more.
#[test]
fn re13_what_was_refused_beneath() {
    let (mut authority, mut mine, mut theirs) = parted();
    let seen = Condition::Seq(mine.seq());
    patch(&mut mine, "k", r#"{"n":1}"#, seen);
    patch(&mut mine, "k", r#"{"m":2}"#, Condition::None);
    patch(&mut theirs, "k", r#"{"n":3}"#, Condition::None);
    carry(&mut authority, &mut [(2, &mut theirs)], NOW);
    join(&mut authority, 3, &mut mine, NOW);
    let told = grounds(&mut mine);
    let sides = [r#"{"id":"k","n":3}"#, r#"{"id":"k","n":3,"m":2}"#].map(|data| Some(data.into()));
    assert!(told.contains(&(3, Some(sides))), "{told:?}");
}

/// [RE13] Where its answer comes with a page, and others may have written between what is held and it, nobody can tell. Where
/// nobody has, all is as the app saw it.
#[test]
fn re13_what_nobody_can_tell() {
    for others_write in [false, true] {
        let (mut authority, mut mine, mut theirs) = parted();
        join(&mut authority, 3, &mut mine, NOW);
        if others_write {
            patch(&mut theirs, "k", r#"{"n":1}"#, Condition::None);
            carry(&mut authority, &mut [(2, &mut theirs)], NOW);
        }
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
        let wanted = if others_write { vec![(2, None)] } else { Told::new() };
        assert_eq!(grounds(&mut mine), wanted);
    }
}
