//! Several tabs of one person: what one has pending shows in the others.

use neap_core::{
    authority::Authority,
    id::{ReplicaId, Seq, Turn},
    limits::SIBLING_MUTATIONS_MAX,
    mutation::{Condition, Op},
    replica::{Event, OpKind, Origin, Replica, Watch},
    storage::MemoryStorage,
    wire::{self, Note},
};

use super::spec::{NOW, authority, carry, events, join, replica, set};

mod late;

/// Carries notes between tabs until none is left; gives how many there were.
pub(super) fn gossip(tabs: &mut [&mut Replica]) -> usize {
    let mut count = 0;
    loop {
        let mut notes = Vec::new();
        for (from, tab) in tabs.iter_mut().enumerate() {
            while let Some(note) = tab.take_note() {
                notes.push((from, note));
            }
        }
        if notes.is_empty() {
            return count;
        }
        count += notes.len();
        assert!(count < 100, "the tabs do not stop talking");
        for (from, note) in notes {
            for (to, tab) in tabs.iter_mut().enumerate() {
                if to != from {
                    assert_eq!(tab.hear_note(&note), Ok(()));
                }
            }
        }
    }
}

pub(super) fn tabs() -> (Replica, Replica) {
    let (mut one, mut two) = (replica(1), replica(2));
    one.meet_siblings();
    two.meet_siblings();
    gossip(&mut [&mut one, &mut two]);
    two.watch("c", Watch::Records);
    (one, two)
}

pub(super) fn patch(tab: &mut Replica, key: &str, data: &str, only_if: Condition) -> Turn {
    let turn = tab.mutate(OpKind::Patch, "c", key, data, only_if);
    let turn = turn.unwrap_or_else(|malformed| panic!("{malformed:?}"));
    tab.durable(turn);
    turn
}

/// What has changed: keys with what they show now.
pub(super) fn changes(tab: &mut Replica) -> Vec<(String, Option<String>)> {
    let mut found = Vec::new();
    while let Some((origin, change)) = tab.take_changes() {
        assert_eq!(origin, Origin::Remote);
        found.push((change.key.to_string(), change.after.map(String::from)));
    }
    found
}

pub(super) fn carry_to(
    authority: &mut Authority<MemoryStorage>,
    session: u64,
    tab: &mut Replica,
) -> Vec<(u64, u16)> {
    carry(authority, &mut [(session, tab)], NOW)
}

fn shown(text: &str) -> Vec<(String, Option<String>)> {
    vec![("k".into(), Some(text.into()))]
}

/// [TA1] Offline too; whichever hears of the settlement first, the tab or its own connection, and
/// whatever the conditions are.
#[test]
fn ta1_a_siblings_edit_shows_until_its_effect_is_held() {
    for order in 0..2 {
        let mut authority = authority();
        let (mut one, mut two) = tabs();
        set(&mut one, "k");
        patch(&mut one, "k", r#"{"n":1}"#, Condition::Mine(Turn(1)));
        assert_eq!(two.get("c", "k"), None);
        gossip(&mut [&mut one, &mut two]);
        assert_eq!(changes(&mut two), shown(r#"{"id":"k","n":1}"#), "offline");
        assert!(two.meta("c", "k").pending);

        join(&mut authority, 2, &mut two, NOW);
        join(&mut authority, 1, &mut one, NOW);
        assert_eq!(one.pending(), 0);
        if order == 0 {
            gossip(&mut [&mut one, &mut two]);
            assert!(two.meta("c", "k").pending, "its own connection has not told it");
            carry_to(&mut authority, 2, &mut two);
            two.closed(1006);
            join(&mut authority, 3, &mut two, NOW);
        } else {
            two.closed(1006);
            join(&mut authority, 3, &mut two, NOW);
            assert!(two.meta("c", "k").pending);
            gossip(&mut [&mut one, &mut two]);
        }
        assert_eq!(two.get("c", "k"), Some(r#"{"id":"k","n":1}"#));
        assert!(!two.meta("c", "k").pending);
        assert_eq!(changes(&mut two), [], "nothing flickers");
        assert_eq!(two.digest(), one.digest());
    }
}

/// [TA1] A tab whose stored records were torn has settled what it does not hold: nobody takes its word for where that counts.
#[test]
fn ta1_whose_records_were_torn() {
    let mut authority = authority();
    let (mut one, mut two) = tabs();
    join(&mut authority, 2, &mut two, NOW);
    two.closed(1006);
    authority.disconnect(2, NOW);
    set(&mut one, "k");
    gossip(&mut [&mut one, &mut two]);
    join(&mut authority, 1, &mut one, NOW);
    assert_eq!((one.pending(), one.seq()), (0, Seq(1)));

    let mut again = replica(1);
    assert_eq!(again.restore_account(&one.account()), Ok(()));
    assert_eq!(again.restore_info(&one.info().unwrap_or_default()), Ok(()));
    again.drop_records();
    again.restored();
    again.meet_siblings();
    assert_eq!(changes(&mut two), shown(r#"{"id":"k"}"#));
    gossip(&mut [&mut again, &mut two]);
    assert!(two.meta("c", "k").pending, "its effect is held nowhere here");
    join(&mut authority, 3, &mut again, NOW);
    gossip(&mut [&mut again, &mut two]);
    assert!(two.meta("c", "k").pending);
    join(&mut authority, 4, &mut two, NOW);
    assert!(!two.meta("c", "k").pending, "now it is");
    assert_eq!(changes(&mut two), [], "nothing flickers");
    assert_eq!(two.digest(), again.digest());
}

/// [TA1] A refusal takes it away.
#[test]
fn ta1_a_siblings_refused_edit_goes() {
    let mut authority = authority();
    let (mut one, mut two) = tabs();
    let mut other = replica(3);
    join(&mut authority, 3, &mut other, NOW);
    set(&mut other, "k");
    carry_to(&mut authority, 3, &mut other);
    let only_if = Condition::Absent;
    let turn = one.mutate(OpKind::Set, "c", "k", r#"{"id":"k","mine":1}"#, only_if);
    one.durable(turn.unwrap_or_default());
    gossip(&mut [&mut one, &mut two]);
    assert_eq!(changes(&mut two), shown(r#"{"id":"k","mine":1}"#));
    join(&mut authority, 1, &mut one, NOW);
    join(&mut authority, 2, &mut two, NOW);
    gossip(&mut [&mut one, &mut two]);
    assert_eq!(changes(&mut two), shown(r#"{"id":"k"}"#));
    assert!(!two.meta("c", "k").pending);
}

/// [TA2] A tab counts, pushes and hears of its own alone.
#[test]
fn ta2_a_siblings_edit_is_not_its_own() {
    let mut authority = authority();
    let (mut one, mut two) = tabs();
    set(&mut one, "k");
    gossip(&mut [&mut one, &mut two]);
    join(&mut authority, 2, &mut two, NOW);
    assert_eq!((two.pending(), two.minted(), two.seq().0), (0, Turn(0), 0));
    set(&mut two, "l");
    carry_to(&mut authority, 2, &mut two);
    assert_eq!(two.seq().0, 1);
    let events = events(&mut two);
    let told = events.iter().filter(|event| matches!(event, Event::Accepted { .. })).count();
    assert_eq!(told, 1);
    assert_eq!(two.get("c", "k"), Some(r#"{"id":"k"}"#));
}

/// [TA1] What is not on the disk yet is not told.
#[test]
fn ta1_only_what_is_durable_is_told() {
    let (mut one, mut two) = tabs();
    let turn = one.mutate(OpKind::Set, "c", "k", r#"{"id":"k"}"#, Condition::None);
    assert_eq!(gossip(&mut [&mut one, &mut two]), 0);
    one.durable(turn.unwrap_or_default());
    assert_eq!(gossip(&mut [&mut one, &mut two]), 1);
}

/// [TA3] A tab that opens late, and one that was frozen while others went on.
#[test]
fn ta3_late_and_sleeping_tabs() {
    let mut authority = authority();
    let (mut one, mut two) = tabs();
    set(&mut one, "k");
    set(&mut two, "l");
    gossip(&mut [&mut one, &mut two]);
    let mut late = replica(3);
    late.meet_siblings();
    gossip(&mut [&mut one, &mut two, &mut late]);
    let keys: Vec<_> = late.keys("c").iter().map(ToString::to_string).collect();
    assert_eq!(keys, ["k", "l"]);

    join(&mut authority, 1, &mut one, NOW);
    let mut other = replica(4);
    gossip(&mut [&mut one, &mut other]);
    set(&mut one, "m");
    gossip(&mut [&mut one, &mut other]);
    set(&mut one, "n");
    assert!(late.meta("c", "k").pending, "it sleeps");
    gossip(&mut [&mut one, &mut late]);
    assert!(late.meta("c", "m").pending && late.meta("c", "n").pending);
    assert!(late.meta("c", "k").pending, "its effect is not here yet");
    join(&mut authority, 3, &mut late, NOW);
    assert_eq!((late.get("c", "k"), late.meta("c", "k").pending), (Some(r#"{"id":"k"}"#), false));
    assert!(late.meta("c", "m").pending, "settled while it slept, and no more");
}

/// [TA6] A tab that died right after its last edit was settled has told nobody.
#[test]
fn ta6_the_disk_says_that_a_sibling_is_done() {
    let mut authority = authority();
    let (mut one, mut two) = tabs();
    set(&mut one, "k");
    gossip(&mut [&mut one, &mut two]);
    join(&mut authority, 1, &mut one, NOW);
    changes(&mut two);
    two.sibling_is_done(one.id(), one.epoch(), one.seq());
    assert!(two.meta("c", "k").pending, "its effect is not here yet");
    join(&mut authority, 2, &mut two, NOW);
    assert_eq!((two.meta("c", "k").pending, two.get("c", "k")), (false, Some(r#"{"id":"k"}"#)));
    assert_eq!(changes(&mut two), [], "nothing flickers");
    two.sibling_is_done(ReplicaId([9; 16]), one.epoch(), Seq(1));
}

/// [TA6] A tab that slept while another went on under another id has missed the note that said so.
#[test]
fn ta6_the_disk_says_who_is_no_more() {
    let (mut one, mut two) = tabs();
    set(&mut one, "k");
    gossip(&mut [&mut one, &mut two]);
    changes(&mut two);
    let (mine, its) = (two.id().0, one.id().0);
    two.keep_siblings(&[mine, its].concat());
    assert_eq!((changes(&mut two), two.get("c", "k")), (vec![], Some(r#"{"id":"k"}"#)));
    two.keep_siblings(&[mine, [9; 16]].concat());
    assert_eq!((changes(&mut two), two.get("c", "k")), (vec![("k".into(), None)], None));
}

/// [TA6] A tab that has slept while another took another id, and finds the old one on the disk still.
#[test]
fn ta6_another_id_is_told_until_the_disk_knows_it() {
    for is_settled in [false, true] {
        let mut first = authority();
        let (mut one, mut two) = tabs();
        join(&mut first, 1, &mut one, NOW);
        set(&mut one, "before");
        carry_to(&mut first, 1, &mut one);
        set(&mut one, "k");
        gossip(&mut [&mut one, &mut two]);
        changes(&mut two);
        if is_settled {
            carry_to(&mut first, 1, &mut one);
        }
        one.closed(1006);
        let old = one.id();
        let mut second = authority();
        join(&mut second, 9, &mut replica(9), NOW + 70_000);
        join(&mut second, 1, &mut one, NOW + 70_000);
        assert_ne!(one.id(), old);
        while one.take_note().is_some() {}

        two.keep_siblings(&[two.id().0, old.0].concat());
        assert!(two.meta("c", "k").pending);
        if is_settled {
            two.meet_siblings();
            gossip(&mut [&mut one, &mut two]);
            assert_eq!(changes(&mut two), [("k".into(), None)], "who asks is told before");
            one.saved(one.settled());
            assert_eq!(gossip(&mut [&mut one, &mut two]), 1, "and once more");
        } else {
            one.durable(one.minted());
            gossip(&mut [&mut one, &mut two]);
            assert_eq!(changes(&mut two), [], "nothing flickers");
        }
        one.saved(one.settled());
        assert_eq!(gossip(&mut [&mut one, &mut two]), 0, "that was the last time");
        one.connected(NOW + 70_000);
        second.connect(2, neap_core::authority::Admission::OPEN, NOW + 70_000);
        carry_to(&mut second, 2, &mut one);
        gossip(&mut [&mut one, &mut two]);
        join(&mut second, 3, &mut two, NOW + 70_000);
        assert_eq!((two.meta("c", "k").pending, two.get("c", "k").is_some()), (false, !is_settled));
        assert_eq!(two.digest(), one.digest());
    }
}

/// [TA6] Whose disk is forsaken takes another id, of which that disk never knows: who has slept meanwhile is told whenever it
/// wakes up.
#[test]
fn ta6_another_id_is_told_for_ever_where_the_disk_is_forsaken() {
    let mut authority = authority();
    let (mut one, mut two) = tabs();
    set(&mut one, "k");
    gossip(&mut [&mut one, &mut two]);
    changes(&mut two);
    let old = one.id();
    assert_eq!(one.forsake_disk(), Ok(()));
    join(&mut authority, 1, &mut one, NOW);
    carry_to(&mut authority, 1, &mut one);
    assert_ne!(one.id(), old);
    for _ in 0..2 {
        while one.take_note().is_some() {}
        one.durable(one.minted());
        one.saved(one.settled());
    }
    two.keep_siblings(&[two.id().0, old.0].concat());
    assert!(two.meta("c", "k").pending);
    two.meet_siblings();
    gossip(&mut [&mut one, &mut two]);
    assert_eq!(changes(&mut two), [("k".into(), None)]);
}

/// [TA4] A replica that goes on under another id takes what it has told with it.
#[test]
fn ta4_another_id() {
    let mut first = authority();
    let (mut one, mut two) = tabs();
    join(&mut first, 1, &mut one, NOW);
    set(&mut one, "before");
    carry_to(&mut first, 1, &mut one);
    one.closed(1006);
    set(&mut one, "k");
    gossip(&mut [&mut one, &mut two]);
    changes(&mut two);
    let old = one.id();
    let mut second = authority();
    join(&mut second, 9, &mut replica(9), NOW + 70_000);
    join(&mut second, 1, &mut one, NOW + 70_000);
    assert_ne!(one.id(), old, "the other life does not know it");
    one.durable(one.minted());
    gossip(&mut [&mut one, &mut two]);
    assert_eq!(two.get("c", "k"), Some(r#"{"id":"k"}"#));
    assert_eq!(changes(&mut two), []);
    one.connected(NOW + 70_000);
    second.connect(2, neap_core::authority::Admission::OPEN, NOW + 70_000);
    carry_to(&mut second, 2, &mut one);
    gossip(&mut [&mut one, &mut two]);
    join(&mut second, 3, &mut two, NOW + 70_000);
    assert!(!two.meta("c", "k").pending);
    assert_eq!(two.digest(), one.digest());
}

/// [TA5] Bytes that are no note, a block that is torn, far too much.
#[test]
fn ta5_strange_notes() {
    let (mut one, mut two) = tabs();
    assert!(two.hear_note(b"").is_err());
    assert!(two.hear_note(b"\x07\x00").is_err());
    let told = |block| {
        wire::encode_note(&Note {
            asks: false,
            id: &[9; 16],
            was: &[],
            epoch: None,
            at: Seq(0),
            settled: Vec::new(),
            acked: Turn(0),
            minted: Turn(20_000),
            first: Turn(1),
            block,
        })
    };
    assert_eq!(two.hear_note(&told(&[200, 1, 2])), Ok(()));
    assert_eq!(two.hear_note(&told(&[2, 0xff, 0xff])), Ok(()));
    assert_eq!(changes(&mut two), []);
    let mut block = Vec::new();
    for n in 0..SIBLING_MUTATIONS_MAX + 5 {
        let (key, only_if) = (n.to_string(), Condition::None);
        let op = Op::Set { collection: "c", key: &key, data: "{}", only_if };
        wire::append_to_block(&mut block, &wire::encode_ops(&[op]));
    }
    assert_eq!(two.hear_note(&told(&block)), Ok(()));
    assert_eq!(two.size("c"), SIBLING_MUTATIONS_MAX - 1, "the torn one shows nothing");
    set(&mut one, "k");
    gossip(&mut [&mut one, &mut two]);
    assert_eq!(two.get("c", "k"), None);
}
