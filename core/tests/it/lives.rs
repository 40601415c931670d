//! Tabs of one person where the datastore lives anew: nothing but the relay's word tells which life is over.

use neap_core::{
    authority::{Admission, Authority, Output},
    id::{Epoch, Seq, Turn},
    replica::Phase,
    storage::MemoryStorage,
    wire::{self, Note},
};

use super::{
    spec::{NOW, authority, carry, join, moment, replica, set},
    tabs::{carry_to, changes, gossip, tabs},
};

/// An authority that somebody else has written to.
fn another_life(now: u64) -> Authority<MemoryStorage> {
    let (mut authority, mut other) = (authority(), replica(9));
    set(&mut other, "other");
    join(&mut authority, 9, &mut other, now);
    authority
}

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
        let now = NOW + 70_000;
        let mut second = another_life(now);
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

/// [TA3] Neither does what was settled in a life in which a tab has never been.
#[test]
fn ta3_a_life_that_a_tab_has_never_seen() {
    let mut first = authority();
    let (mut one, mut two) = tabs();
    set(&mut one, "k");
    gossip(&mut [&mut one, &mut two]);
    join(&mut first, 1, &mut one, NOW);
    gossip(&mut [&mut one, &mut two]);
    assert!(two.meta("c", "k").pending, "it may be of a life to come");
    let now = NOW + 70_000;
    join(&mut another_life(now), 2, &mut two, now);
    assert_eq!((two.get("c", "k"), two.meta("c", "k").pending), (None, false));
}

/// [TA3] A note that comes late is of a life that is over, or of one to come: that tells the relay, which is asked at once.
#[test]
fn ta3_a_late_note() {
    for is_over in [false, true] {
        let now = NOW + 1_000;
        let (mut first, mut second) = (another_life(NOW), another_life(now));
        let (mut one, mut two) = tabs();
        set(&mut one, "k");
        gossip(&mut [&mut one, &mut two]);
        let (of_one, of_two) =
            if is_over { (&mut first, &mut second) } else { (&mut second, &mut first) };
        join(of_two, 2, &mut two, now);
        join(of_one, 1, &mut one, now);
        gossip(&mut [&mut one, &mut two]);
        assert_eq!((two.phase(), two.meta("c", "k").pending), (Phase::CatchingUp, true));
        if is_over {
            carry(of_two, &mut [(2, &mut two)], now);
            assert_eq!(two.get("c", "k"), None);
        } else {
            two.closed(1006);
            changes(&mut two);
            join(of_one, 3, &mut two, now);
            assert_eq!(changes(&mut two), [], "nothing flickers");
            assert_eq!(two.get("c", "k"), Some(r#"{"id":"k"}"#));
        }
        assert_eq!((two.phase(), two.meta("c", "k").pending), (Phase::Live, false));
        // Of what is shown no more nobody asks.
        one.meet_siblings();
        gossip(&mut [&mut one, &mut two]);
        assert_eq!((two.phase(), two.take_frame()), (Phase::Live, None));
    }
}

/// [TA3] Of what was never shown nobody asks: a tab that opens may have settled what it does not hold.
#[test]
fn ta3_nothing_is_shown() {
    let mut authority = another_life(NOW);
    let (_, mut two) = tabs();
    join(&mut authority, 2, &mut two, NOW);
    for (epoch, at) in [(None, 0), (Some(Epoch([7; 8])), 9)] {
        let note = Note {
            asks: true,
            id: &[5; 16],
            was: &[],
            epoch,
            at: Seq(at),
            settled: Vec::new(),
            acked: Turn(3),
            minted: Turn(3),
            first: Turn(4),
            block: &[],
        };
        assert_eq!(two.hear_note(&wire::encode_note(&note)), Ok(()));
        assert_eq!((two.phase(), two.take_frame()), (Phase::Live, None));
    }
}

/// [TA3] A question answers no note that came behind it: the relay is asked once more.
#[test]
fn ta3_a_note_behind_the_question() {
    let now = NOW + 1_000;
    let (mut first, mut second) = (another_life(NOW), another_life(now));
    let (mut one, mut two) = tabs();
    set(&mut one, "k");
    gossip(&mut [&mut one, &mut two]);
    second.connect(2, Admission::OPEN, now);
    two.connected(now);
    join(&mut first, 1, &mut one, now);
    gossip(&mut [&mut one, &mut two]);
    let hello = two.take_frame().unwrap_or_default();
    assert_eq!(second.receive(2, &hello, moment(now)), Ok(()));
    for output in second.commit().unwrap_or_default() {
        if let Output::Send { frame, .. } = output {
            assert_eq!(two.received(&frame, now), Ok(()));
        }
    }
    assert_eq!((two.seq(), two.phase()), (Seq(1), Phase::CatchingUp));
    assert!(two.meta("c", "k").pending, "Hello may have been said before the note");
    carry(&mut second, &mut [(2, &mut two)], now);
    assert_eq!((two.phase(), two.get("c", "k")), (Phase::Live, None));
}

/// [TA3] Also where the life that is over had come further than the present one has.
#[test]
fn ta3_a_longer_life_before() {
    let mut first = authority();
    let (mut one, mut two) = tabs();
    for n in 0..5 {
        set(&mut one, &n.to_string());
    }
    join(&mut first, 1, &mut one, NOW);
    join(&mut first, 2, &mut two, NOW);
    two.closed(1006);
    set(&mut one, "k");
    gossip(&mut [&mut one, &mut two]);
    first.disconnect(2, NOW);
    carry_to(&mut first, 1, &mut one);
    gossip(&mut [&mut one, &mut two]);
    assert!(two.meta("c", "k").pending);
    let now = NOW + 70_000;
    join(&mut another_life(now), 3, &mut two, now);
    assert_eq!((two.seq(), two.get("c", "k")), (Seq(1), None));
}
