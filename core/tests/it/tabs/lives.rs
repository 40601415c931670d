//! Tabs of one person while the datastore ends and begins anew.

use super::{carry_to, gossip, tabs};
use crate::spec::{NOW, authority, carry, join, replica, set};

/// [TA3] What a sibling had settled in a life that is over shows no more, and holds up nothing that is
/// settled in the next one.
#[test]
fn ta3_another_life() {
    for two_is_first in [false, true] {
        let mut first = authority();
        let (mut one, mut two) = tabs();
        join(&mut first, 1, &mut one, NOW);
        join(&mut first, 2, &mut two, NOW);
        two.closed(1006);
        first.disconnect(2, NOW);
        set(&mut one, "k");
        gossip(&mut [&mut one, &mut two]);
        carry_to(&mut first, 1, &mut one);
        gossip(&mut [&mut one, &mut two]);
        assert!(two.meta("c", "k").pending, "it holds no effect yet");
        one.closed(1006);
        let (mut second, now) = (authority(), NOW + 70_000);
        join(&mut second, 9, &mut replica(9), now);
        if two_is_first {
            join(&mut second, 3, &mut two, now);
        }
        for session in [4, 5] {
            join(&mut second, session, &mut one, now);
            second.disconnect(session, now);
            one.closed(1006);
        }
        set(&mut one, "l");
        gossip(&mut [&mut one, &mut two]);
        assert_eq!(two.get("c", "l"), Some(r#"{"id":"l"}"#));
        join(&mut second, 6, &mut one, now);
        carry(&mut second, &mut [(6, &mut one)], now);
        gossip(&mut [&mut one, &mut two]);
        join(&mut second, 7, &mut two, now);
        assert!(!two.meta("c", "l").pending && !two.meta("c", "k").pending);
        assert_eq!((two.get("c", "k"), two.get("c", "l")), (None, Some(r#"{"id":"l"}"#)));
    }
}

/// [TA3] Who has seen the end of a life hears of what a sibling had settled in it only then.
#[test]
fn ta3_a_late_note_of_a_life_that_is_over() {
    let (mut first, mut second) = (authority(), authority());
    let (mut one, mut two) = tabs();
    join(&mut first, 1, &mut one, NOW);
    join(&mut first, 2, &mut two, NOW);
    set(&mut one, "k");
    gossip(&mut [&mut one, &mut two]);
    carry_to(&mut first, 1, &mut one);
    let late: Vec<_> = std::iter::from_fn(|| one.take_note()).collect();
    assert!(!late.is_empty());
    two.closed(1006);
    join(&mut second, 9, &mut replica(9), NOW + 70_000);
    join(&mut second, 2, &mut two, NOW + 70_000);
    assert!(two.meta("c", "k").pending);
    for note in late {
        assert_eq!(two.hear_note(&note), Ok(()));
    }
    assert_eq!((two.meta("c", "k").pending, two.get("c", "k")), (false, None));
}

/// [TA3] A sibling has had something settled in a life that came and went before this one was there.
#[test]
fn ta3_a_life_in_between() {
    let (mut first, mut second, mut third) = (authority(), authority(), authority());
    let (mut one, mut two) = tabs();
    join(&mut first, 1, &mut one, NOW);
    join(&mut first, 2, &mut two, NOW);
    one.closed(1006);
    set(&mut one, "k");
    gossip(&mut [&mut one, &mut two]);
    join(&mut second, 9, &mut replica(9), NOW + 70_000);
    join(&mut second, 1, &mut one, NOW + 70_000);
    one.durable(one.minted());
    carry_to(&mut second, 1, &mut one);
    assert_eq!(one.pending(), 0);
    gossip(&mut [&mut one, &mut two]);
    assert!(two.meta("c", "k").pending, "its effect is not here");
    two.closed(1006);
    join(&mut third, 9, &mut replica(9), NOW + 140_000);
    join(&mut third, 2, &mut two, NOW + 140_000);
    assert_eq!((two.meta("c", "k").pending, two.get("c", "k")), (false, None));
}
