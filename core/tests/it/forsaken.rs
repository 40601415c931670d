//! Rules about a disk that can be written no more, and about whoever reads it later.

use neap_core::{
    authority::Authority,
    id::{ReplicaId, Seq, Turn},
    mutation::{Condition, Reason},
    replica::{Event, OpKind, Reconnect, Replica},
    storage::MemoryStorage,
};

use super::spec::{NOW, authority, carry, join, replica, set};

/// [OU4] When the disk can be written no more, what it holds is delivered under its names and no other,
/// and what came too late for it goes on under another id: whoever reads the disk later mints the
/// turns that follow anew, and none of them is taken for a repeat.
#[test]
fn ou4_a_forsaken_disk() {
    let mut authority = authority();
    let mut here = replica(1);
    set(&mut here, "a");
    set(&mut here, "b");
    let Some((first, last, block)) = here.take_block() else { panic!("nothing to store") };
    assert_eq!((first, last), (Turn(1), Turn(2)));
    assert_eq!(here.forsake_disk(), Ok(()));
    set(&mut here, "c");
    join(&mut authority, 1, &mut here, NOW);
    carry(&mut authority, &mut [(1, &mut here)], NOW);
    assert_eq!(
        (here.id(), here.pending()),
        (ReplicaId([101; 16]), 1),
        "a and b are settled, c is not"
    );
    here.durable(here.minted());
    assert_eq!(here.take_frame(), None, "the session of the old id says nothing more");
    authority.disconnect(1, NOW);
    here.closed(1006);
    join(&mut authority, 2, &mut here, NOW);
    carry(&mut authority, &mut [(2, &mut here)], NOW);
    assert_eq!(here.pending(), 0);

    let mut later = replica(1);
    assert_eq!(later.restore_block(first, &block), Ok(()));
    later.restored();
    assert_eq!(set(&mut later, "d"), Turn(3));
    join(&mut authority, 3, &mut later, NOW);
    carry(&mut authority, &mut [(3, &mut later)], NOW);
    assert_eq!((later.pending(), later.seq()), (0, Seq(4)));
    assert_eq!(later.keys("c").iter().map(|key| &**key).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
}

/// The life that reads a disk with account and info, and one block from turn `first` on.
fn later_life((account, info): (&[u8], &[u8]), first: Turn, block: &[u8]) -> Replica {
    let mut later = replica(1);
    assert_eq!(later.restore_account(account), Ok(()));
    assert_eq!(later.restore_info(info), Ok(()));
    assert_eq!(later.restore_block(first, block), Ok(()));
    later.restored();
    later
}

/// An edit that is not on the disk.
fn edit(one: &mut Replica, key: &str) {
    let made = one.mutate(OpKind::Set, "c", key, &format!(r#"{{"id":"{key}"}}"#), Condition::None);
    assert!(made.is_ok());
}

/// A replica with `a` and `b` on a disk that it then forsakes, and the later life that reads the disk.
fn two_lives(authority: &mut Authority<MemoryStorage>, settled: usize) -> (Replica, Replica) {
    let mut here = replica(1);
    for _ in 0..settled {
        set(&mut here, "s");
    }
    join(authority, 1, &mut here, NOW);
    carry(authority, &mut [(1, &mut here)], NOW);
    here.saved(here.settled());
    authority.disconnect(1, NOW);
    here.closed(1006);
    let (account, info) = (here.account(), here.info().unwrap_or_default());
    while here.take_block().is_some() {}
    set(&mut here, "a");
    set(&mut here, "b");
    let Some((first, _, block)) = here.take_block() else { panic!("nothing to store") };
    // The spare id is on the disk as well.
    here.set_spare(ReplicaId([77; 16]));
    assert_eq!(here.forsake_disk(), Ok(()));
    while here.take_events().is_some() {}
    (here, later_life((&account, &info), first, &block))
}

/// Lets a replica say all that it has to say, under another id too.
fn visit(authority: &mut Authority<MemoryStorage>, session: u64, one: &mut Replica, now: u64) {
    for session in [session, session + 1] {
        join(authority, session, one, now);
        one.durable(one.minted());
        one.saved(one.settled());
        carry(authority, &mut [(session, one)], now);
        authority.disconnect(session, now);
        one.closed(1006);
    }
}

fn unknown(one: &mut Replica) -> usize {
    let events = std::iter::from_fn(|| one.take_events());
    let is_it = |event: &Event| matches!(event, Event::Refused { refusal, .. } if refusal.reason == Reason::OutcomeUnknown);
    events.filter(is_it).count()
}

fn keys(one: &Replica) -> Vec<String> {
    one.keys("c").iter().map(ToString::to_string).collect()
}

/// [OU4] The outcomes of turns that another life has minted over the same disk are not taken for those of
/// its own; and outcomes that the other life has acknowledged are unknown here, which holds nothing up.
#[test]
fn ou4_another_life_has_gone_on() {
    for acknowledges in [false, true] {
        let mut authority = authority();
        let (mut here, mut later) = two_lives(&mut authority, 0);
        set(&mut here, "late");
        set(&mut later, "other");
        join(&mut authority, 2, &mut later, NOW);
        carry(&mut authority, &mut [(2, &mut later)], NOW);
        assert_eq!((later.pending(), later.settled()), (0, Turn(3)));
        if acknowledges {
            later.saved(Turn(3));
            set(&mut later, "then");
            carry(&mut authority, &mut [(2, &mut later)], NOW);
        }
        authority.disconnect(2, NOW);
        visit(&mut authority, 3, &mut here, NOW);
        assert_eq!(here.pending(), 0);
        assert_eq!(unknown(&mut here), if acknowledges { 2 } else { 0 });
        let all: &[&str] = if acknowledges {
            &["a", "b", "late", "other", "then"]
        } else {
            &["a", "b", "late", "other"]
        };
        assert_eq!(keys(&here), all);
        assert_eq!(here.seq(), Seq(all.len() as u64), "each of them once");
    }
}

/// [OU4] Whoever has forsaken its disk acknowledges what it hears, as much as there is. The life that reads the disk later
/// says nothing of it again: neither to the authority nor, as of something refused, to an app.
#[test]
fn ou4_what_the_first_life_has_told() {
    let mut authority = authority();
    let (mut here, mut later) = two_lives(&mut authority, 0);
    visit(&mut authority, 3, &mut here, NOW);
    assert_eq!((here.pending(), unknown(&mut here)), (0, 0));
    set(&mut later, "other");
    visit(&mut authority, 5, &mut later, NOW);
    assert_eq!((later.pending(), unknown(&mut later)), (0, 0));
    assert_eq!((keys(&later), later.seq()), (["a", "b", "other"].map(Into::into).into(), Seq(3)));
}

/// [OU4] In another life of the datastore what the disk holds is delivered by whoever reads it, and by
/// nobody else.
#[test]
fn ou4_another_life_of_the_datastore() {
    for settled in [0, 1] {
        let mut first = authority();
        let (mut here, mut later) = two_lives(&mut first, settled);
        set(&mut here, "late");
        let (mut second, now) = (authority(), NOW + 70_000);
        join(&mut second, 9, &mut replica(9), now);
        visit(&mut second, 1, &mut here, now);
        assert_eq!((here.pending(), unknown(&mut here)), (0, 2));
        visit(&mut second, 3, &mut later, now);
        assert_eq!((later.pending(), unknown(&mut later)), (0, 0));
        assert_eq!(
            (keys(&later), later.seq()),
            (["a", "b", "late"].map(Into::into).into(), Seq(3))
        );
    }
}

/// A replica that has been welcomed by another life of the datastore, which has made it take another id: `a` and `b` lie on
/// its disk under the one before, `c` was on its way there, `d` was not. And the later life that reads that disk.
fn between_ids(authority: &mut Authority<MemoryStorage>, now: u64) -> (Replica, Replica) {
    let mut first = self::authority();
    let mut here = replica(1);
    set(&mut here, "s");
    join(&mut first, 1, &mut here, NOW);
    carry(&mut first, &mut [(1, &mut here)], NOW);
    here.saved(here.settled());
    here.closed(1006);
    let (account, info) = (here.account(), here.info().unwrap_or_default());
    while here.take_block().is_some() {}
    set(&mut here, "a");
    set(&mut here, "b");
    let Some((first, _, block)) = here.take_block() else { panic!("nothing to store") };
    edit(&mut here, "c");
    assert!(here.take_block().is_some());
    edit(&mut here, "d");
    join(authority, 9, &mut replica(9), now);
    join(authority, 1, &mut here, now);
    here.closed(1006);
    assert_eq!((here.id(), here.pending()), (ReplicaId([101; 16]), 4));
    here.set_spare(ReplicaId([77; 16]));
    while here.take_events().is_some() {}
    (here, later_life((&account, &info), first, &block))
}

/// [OU4] A disk that fails, or is another's, while it holds the outbox under an id that the replica has no more: what may lie
/// there is left to whoever reads it.
#[test]
fn ou4_another_id_that_the_disk_never_had() {
    for is_taken in [false, true] {
        let (mut authority, now) = (authority(), NOW + 70_000);
        let (mut here, mut later) = between_ids(&mut authority, now);
        let goes_on = if is_taken { here.dispossess() } else { here.forsake_disk() };
        assert_eq!((goes_on, here.id()), (Err(Reconnect::NewIdentity), ReplicaId([77; 16])));
        assert_eq!((here.pending(), unknown(&mut here)), (1, 3));
        visit(&mut authority, 2, &mut here, now);
        visit(&mut authority, 4, &mut later, now);
        assert_eq!((here.pending(), later.pending(), unknown(&mut later)), (0, 0, 0));
        assert_eq!((keys(&later), later.seq()), (["a", "b", "d"].map(Into::into).into(), Seq(3)));
    }
}

/// [OU4] Once the disk has the id under which the replica goes on, nothing lies there under another one.
#[test]
fn ou4_another_id_that_the_disk_has() {
    let (mut authority, now) = (authority(), NOW + 70_000);
    let (mut here, _) = between_ids(&mut authority, now);
    let Some((first, last, block)) = here.take_block() else { panic!("nothing to store") };
    here.durable(last);
    assert_eq!((here.forsake_disk(), here.id()), (Ok(()), ReplicaId([101; 16])));
    let mut later = replica(101);
    assert_eq!((later.restore_block(first, &block), unknown(&mut here)), (Ok(()), 0));
    later.restored();
    visit(&mut authority, 2, &mut here, now);
    visit(&mut authority, 4, &mut later, now);
    assert_eq!((here.pending(), later.pending()), (0, 0));
    assert_eq!(later.seq(), Seq(4), "each of them once");
}

/// [OU4] What was on its way to a place that is another's never came there: it is nobody else's.
#[test]
fn ou4_a_disk_that_fails_in_another_place() {
    let mut authority = authority();
    let mut here = replica(1);
    edit(&mut here, "a");
    assert!(here.take_block().is_some());
    assert_eq!(here.dispossess(), Err(Reconnect::NewIdentity));
    here.set_spare(ReplicaId([77; 16]));
    assert_eq!(here.forsake_disk(), Err(Reconnect::NewIdentity));
    visit(&mut authority, 1, &mut here, NOW);
    assert_eq!((here.pending(), unknown(&mut here), keys(&here)), (0, 0, vec!["a".into()]));
}

/// [OU4] Where the other life has gone further than this one: what it was to deliver is settled, what came too late for the
/// disk is delivered here.
#[test]
fn ou4_another_life_has_gone_further() {
    let mut authority = authority();
    let mut first = replica(1);
    set(&mut first, "a");
    let Some((turn, _, block)) = first.take_block() else { panic!("nothing to store") };
    let mut here = replica(1);
    assert_eq!(here.restore_block(turn, &block), Ok(()));
    here.restored();
    set(&mut here, "b");
    edit(&mut here, "late");
    for key in ["b", "c", "d", "e"] {
        set(&mut first, key);
    }
    visit(&mut authority, 1, &mut first, NOW);
    visit(&mut authority, 3, &mut here, NOW);
    assert_eq!((here.pending(), unknown(&mut here)), (0, 1), "of b alone nobody can tell");
    assert_eq!((keys(&here).len(), here.seq()), (6, Seq(6)), "each of them once");
}

/// [OU4] Nor does the outcome of another life's turn become that of a turn which never came to the disk.
#[test]
fn ou4_the_same_turn_of_another_life() {
    let mut authority = authority();
    let (mut first, mut here) = (replica(1), replica(1));
    set(&mut first, "a");
    visit(&mut authority, 1, &mut first, NOW);
    edit(&mut here, "late");
    visit(&mut authority, 3, &mut here, NOW);
    assert_eq!((here.pending(), unknown(&mut here), here.seq()), (0, 0, Seq(2)));
    assert_eq!(keys(&here), ["a", "late"]);
}

/// [OU4] What the other life has not acknowledged is told here as it is, and no outcome is unknown.
#[test]
fn ou4_another_life_has_not_acknowledged() {
    let mut authority = authority();
    let (mut here, mut other) = (replica(1), replica(1));
    set(&mut here, "a");
    let Some((turn, _, block)) = here.take_block() else { panic!("nothing to store") };
    edit(&mut here, "late");
    assert!(here.take_block().is_some());
    assert_eq!(other.restore_block(turn, &block), Ok(()));
    other.restored();
    set(&mut other, "b");
    join(&mut authority, 1, &mut other, NOW);
    authority.disconnect(1, NOW);
    join(&mut authority, 2, &mut here, NOW);
    let told: Vec<Event> = std::iter::from_fn(|| here.take_events()).collect();
    assert!(told.contains(&Event::Accepted { turn: Turn(1), seq: Some(Seq(1)) }), "{told:?}");
    here.closed(1006);
    here.set_spare(ReplicaId([77; 16]));
    assert_eq!(here.dispossess(), Err(Reconnect::NewIdentity));
    visit(&mut authority, 3, &mut here, NOW);
    assert_eq!((here.pending(), unknown(&mut here), here.seq()), (0, 0, Seq(3)));
    assert_eq!(keys(&here), ["a", "b", "late"]);
}
