//! A tab that was frozen wakes up after another has taken its place on the disk.

use neap_core::{
    authority::{Admission, Authority, Output, PageSize},
    datastore::Options,
    id::{ReplicaId, Seq, Turn},
    mutation::{Condition, Op},
    replica::{Event, OpKind, Phase, Reconnect, Replica, Watch},
    storage::MemoryStorage,
    wire::{self, Up},
};

use super::{
    spec::{NOW, authority, events, join, moment, replica, set},
    tabs::{carry_to, changes, gossip, patch, tabs},
};

/// A tab is frozen with some edits on the disk, one that did not get there, and a chain across both.
fn frozen(authority: &mut Authority<MemoryStorage>) -> (Replica, ReplicaId) {
    let (mut one, _) = tabs();
    join(authority, 1, &mut one, NOW);
    set(&mut one, "before");
    carry_to(authority, 1, &mut one);
    one.closed(1006);
    set(&mut one, "k");
    patch(&mut one, "k", r#"{"n":1}"#, Condition::Mine(Turn(2)));
    let late = |one: &mut Replica, key: &str, data: &str, only_if| {
        assert!(one.mutate(OpKind::Set, "c", key, data, only_if).is_ok());
    };
    late(&mut one, "late", r#"{"id":"late"}"#, Condition::None);
    late(&mut one, "k", r#"{"id":"k","n":2}"#, Condition::Mine(Turn(3)));
    let id = one.id();
    (one, id)
}

/// Another tab delivers what a frozen one has on the disk, as a new page would.
fn courier(of: &Replica, id: ReplicaId) -> Replica {
    let mut courier = Replica::new(id, ReplicaId([77; 16]), 7, Options::default());
    assert_eq!(courier.restore_account(&of.account()), Ok(()));
    let ops = |op| wire::encode_ops(&[op]);
    let data = r#"{"id":"k"}"#;
    let mut block = Vec::new();
    let (collection, key) = ("c", "k");
    wire::append_to_block(
        &mut block,
        &ops(Op::Set { collection, key, data, only_if: Condition::None }),
    );
    let (data, only_if) = (r#"{"n":1}"#, Condition::Mine(Turn(2)));
    wire::append_to_block(&mut block, &ops(Op::Patch { collection, key, data, only_if }));
    assert_eq!(courier.restore_block(Turn(2), &block), Ok(()));
    courier.restored();
    courier.meet_siblings();
    courier
}

/// [TA7] What lies on the disk is delivered once, by its new owner; the rest goes on under another id.
#[test]
fn ta7_a_frozen_tab_wakes_up_dispossessed() {
    let mut authority = authority();
    let (mut one, id) = frozen(&mut authority);
    let mut other = courier(&one, id);
    one.watch("c", Watch::Records);
    assert_eq!(one.dispossess(), Err(Reconnect::NewIdentity));
    assert_ne!(one.id(), id);
    assert_eq!(one.pending(), 2);
    let shown = Some(r#"{"id":"k","n":1}"#);
    assert_eq!((one.get("c", "k"), one.meta("c", "k").pending), (shown, true), "but for the chain");
    changes(&mut one);
    one.durable(one.minted());

    join(&mut authority, 2, &mut other, NOW);
    assert_eq!(other.pending(), 0);
    join(&mut authority, 3, &mut one, NOW);
    gossip(&mut [&mut one, &mut other]);
    assert_eq!(one.pending(), 0);
    assert_eq!((one.get("c", "k"), one.meta("c", "k").pending), (shown, false));
    assert_eq!(changes(&mut one), [], "nothing flickers");
    assert_eq!(one.seq(), Seq(4), "before, k twice, late");
    other.closed(1006);
    join(&mut authority, 4, &mut other, NOW);
    assert_eq!(one.digest(), other.digest());
    let told = events(&mut one);
    let refused = told.iter().filter(|event| matches!(event, Event::Refused { .. })).count();
    assert_eq!(refused, 1, "the chain hangs on what another has delivered");
}

/// [TA7] Also when the new owner was done before it woke up and nobody tells of it any more.
#[test]
fn ta7_it_wakes_up_when_all_is_done() {
    let mut authority = authority();
    let (mut one, id) = frozen(&mut authority);
    let mut other = courier(&one, id);
    join(&mut authority, 2, &mut other, NOW);
    let (epoch, at) = (other.epoch(), other.seq());
    drop(other);
    assert_eq!(one.dispossess(), Err(Reconnect::NewIdentity));
    one.sibling_is_done(id, epoch, at);
    assert!(one.meta("c", "k").pending);
    one.durable(one.minted());
    join(&mut authority, 3, &mut one, NOW);
    assert_eq!((one.pending(), one.meta("c", "k").pending), (0, false));
    assert_eq!(one.seq(), Seq(4));
}

/// [TA7] A catch-up that was under way begins anew: the disk on which it goes on has none of what had come.
#[test]
fn ta7_it_wakes_up_in_a_catch_up() {
    let mut authority = authority();
    authority.set_page_size(PageSize { rows: 1, ..PageSize::default() });
    let (mut writer, mut one) = (replica(1), replica(2));
    set(&mut writer, "a");
    join(&mut authority, 1, &mut writer, NOW);
    join(&mut authority, 2, &mut one, NOW);
    one.closed(1006);
    for key in ["b", "c", "d"] {
        set(&mut writer, key);
    }
    carry_to(&mut authority, 1, &mut writer);
    authority.connect(3, Admission::OPEN, NOW);
    let (hello, after) = greets(&mut one);
    assert_eq!(after, Some(Seq(1)));
    assert_eq!(authority.receive(3, &hello, moment(NOW)), Ok(()));
    for output in authority.commit().unwrap_or_default() {
        if let Output::Send { to, frame } = output
            && to.contains(&3)
        {
            assert_eq!(one.received(&frame, NOW), Ok(()));
        }
    }
    assert_eq!(one.phase(), Phase::CatchingUp, "a page has come, and not all");
    one.closed(1006);
    assert_eq!(greets(&mut one).1, Some(Seq(2)), "as a rule it goes on");
    assert_eq!(one.dispossess(), Err(Reconnect::NewIdentity));
    one.closed(1006);
    assert_eq!(greets(&mut one).1, Some(Seq(1)));
}

/// What a replica says in a new connection, and where it goes on.
fn greets(replica: &mut Replica) -> (Vec<u8>, Option<Seq>) {
    replica.connected(NOW);
    let frame = replica.take_frame().unwrap_or_default();
    let after = match wire::decode_up(&frame) {
        Ok(Up::Hello(hello)) => Some(hello.cursor.after),
        _ => None,
    };
    (frame, after)
}
