//! What the disk has said is newer than a note that has not been read yet.

use neap_core::mutation::Condition;

use super::{
    super::{
        forgotten::greet,
        spec::{NOW, authority, carry, join, moment, set},
    },
    gossip, patch, tabs,
};

/// [TA1] The note tells of the first turn, whose outcome needs nothing; the disk has told of both.
#[test]
fn ta1_a_note_that_is_older_than_what_the_disk_says() {
    let mut authority = authority();
    let (mut one, mut two) = tabs();
    for (session, tab) in [(1, &mut one), (2, &mut two)] {
        join(&mut authority, session, tab, NOW);
    }
    patch(&mut one, "nothing", "{}", Condition::Present);
    let push = one.take_frame().unwrap_or_default();
    assert_eq!(authority.receive(1, &push, moment(NOW)), Ok(()));
    // The answer is lost.
    drop(authority.commit());
    for (session, tab) in [(1, &mut one), (2, &mut two)] {
        tab.closed(1006);
        authority.disconnect(session, NOW);
    }
    set(&mut one, "k");
    gossip(&mut [&mut one, &mut two]);
    greet(&mut authority, 3, &mut one, NOW);
    let note = one.take_note().unwrap_or_default();
    carry(&mut authority, &mut [(3, &mut one)], NOW);
    two.sibling_is_done(one.id(), one.epoch(), one.seq());
    assert_eq!(two.hear_note(&note), Ok(()));
    assert!(two.get("c", "k").is_some(), "its effect is not here yet");
    join(&mut authority, 4, &mut two, NOW);
    assert_eq!((two.get("c", "k").is_some(), two.meta("c", "k").pending), (true, false));
}
