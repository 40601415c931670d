//! When a life ends, and what is told then.

use neap_core::{
    authority::{Authority, Close, Output},
    datastore::{Kind, Options},
    id::{ReplicaId, Turn},
    mutation::{Condition, Op, Outcome},
    pool::Choice,
    replica::{Event, OpKind, Phase, Replica, ResetReason},
    storage::MemoryStorage,
};

use super::spec::{NOW, authority, carry, events, join, moment, replica, set};

/// [EX1] The end is the last word: nobody hears after it that somebody has left, or what somebody showed
/// just before.
#[test]
fn ex1_the_end_is_the_last_word() {
    let mut authority = authority();
    let (mut one, mut other, mut third) = (replica(1), replica(2), replica(3));
    join(&mut authority, 1, &mut one, NOW);
    join(&mut authority, 2, &mut other, NOW);
    join(&mut authority, 3, &mut third, NOW);
    for state in ["1", "2"] {
        one.show(Some(state));
        third.show(Some(state));
        carry(&mut authority, &mut [(1, &mut one), (3, &mut third)], NOW);
    }
    assert!(authority.presence_due().is_some(), "the second state waits");
    authority.disconnect(3, NOW);
    authority.tick(NOW + 60_001);
    let outputs = authority.commit().unwrap_or_default();
    let over = |session| Output::Close { session, why: Close::Expired };
    assert_eq!(outputs, [over(1), over(2)]);
}

/// [SE9] Who has known a life makes no other one, however often it comes. Opened anew it does, and what is
/// pending goes there once.
#[test]
fn se9_opening_anew() {
    let mut authority = authority();
    let mut replica = replica(1);
    join(&mut authority, 1, &mut replica, NOW);
    set(&mut replica, "settled");
    carry(&mut authority, &mut [(1, &mut replica)], NOW);
    let (first, later) = (replica.epoch(), NOW + 60_001);
    replica.closed(1006);
    set(&mut replica, "pending");
    events(&mut replica);
    for session in [2, 3] {
        assert_eq!(join(&mut authority, session, &mut replica, later), [(session, 4410)]);
        replica.closed(4410);
        assert!(authority.alive(later).is_none(), "nobody has opened it");
        assert_eq!((replica.phase(), replica.pending()), (Phase::Stopped, 1));
        assert_eq!(events(&mut replica), [Event::Expired]);
        assert!(replica.get("c", "settled").is_some() && replica.get("c", "pending").is_some());
    }
    replica.open_anew();
    join(&mut authority, 4, &mut replica, later);
    // The turns it has settled are of the life that is over: it goes on under another id.
    assert!(events(&mut replica).contains(&Event::Renumbered));
    replica.set_spare(ReplicaId([9; 16]));
    replica.durable(Turn(1));
    replica.closed(1000);
    join(&mut authority, 5, &mut replica, later);
    assert!(replica.epoch().is_some_and(|epoch| Some(epoch) != first));
    assert_eq!((replica.phase(), replica.pending()), (Phase::Live, 0));
    assert!(events(&mut replica).contains(&Event::Reset(ResetReason::Epoch)));
    assert!(replica.get("c", "settled").is_none() && replica.get("c", "pending").is_some());
    assert_eq!(authority.meta().map(|meta| meta.head), Some(replica.seq()), "it was applied once");
    // The app's word was for once.
    replica.closed(1006);
    let end = later + 60_001;
    assert_eq!(join(&mut authority, 6, &mut replica, end), [(6, 4410)]);
}

/// [EX3] A sliding life is counted from the newest mutation that was accepted, also of one that has changed
/// nothing, in whatever way it came; a refused one moves nothing.
#[test]
fn ex3_a_life_slides() {
    let mut authority = authority();
    let options = Options { ttl: Some(60), sliding: Some(true), ..Options::default() };
    assert!(authority.open(&options, moment(NOW)).is_ok());
    let mut replica = replica(1);
    join(&mut authority, 1, &mut replica, NOW);
    let end = |authority: &Authority<MemoryStorage>| {
        authority.meta().and_then(|meta| meta.info.expires_at)
    };
    let (data, only_if) = (r#"{"id":"k"}"#, Condition::None);
    let ops = [
        Op::Set { collection: "c", key: "k", data, only_if },
        Op::Patch { collection: "c", key: "k", data: "{}", only_if },
        Op::Delete { collection: "c", key: "none", only_if },
    ];
    let mut now = NOW;
    for op in ops {
        now += 1_000;
        assert!(matches!(authority.mutate(&[op], moment(now)), Ok(Some(Ok(_)))));
        assert_eq!(end(&authority), Some(now + 60_000), "{op:?}");
    }
    for _ in 0..2 {
        now += 1_000;
        assert!(matches!(authority.merge("~p", Choice::default(), &["1"], now), Ok(Some(Ok(_)))));
        assert_eq!(end(&authority), Some(now + 60_000));
    }
    now += 1_000;
    let turn = replica.mutate(OpKind::Delete, "c", "none", "", Condition::None);
    replica.durable(turn.unwrap_or(Turn::ZERO));
    carry(&mut authority, &mut [(1, &mut replica)], now);
    assert_eq!(end(&authority), Some(now + 60_000));
    let told = replica.datastore().and_then(|info| info.expires_at);
    assert_eq!(told, end(&authority), "and all hear of it");
    let refused = Op::Delete { collection: "c", key: "k", only_if: Condition::Absent };
    assert!(matches!(
        authority.mutate(&[refused], moment(now + 1)),
        Ok(Some(Ok(Outcome::Refused(_))))
    ));
    assert!(matches!(authority.merge("~p", Choice::default(), &[], now + 1), Ok(Some(Ok(_)))));
    assert_eq!(end(&authority), Some(now + 60_000));
}

/// [RE11] Edits whose primary field no relay has told yet come back with it: where the relay, or the app that
/// opens again, has another one, nothing of them is sent.
#[test]
fn re11_pending_under_a_primary_field() {
    let opened = |primary: Option<&str>| {
        let options = Options { primary: primary.map(Into::into), ..Options::default() };
        Replica::new(ReplicaId([1; 16]), ReplicaId([2; 16]), 7, options)
    };
    let mut first = opened(Some("key"));
    let set = first.mutate(OpKind::Set, "c", "a", r#"{"key":"a"}"#, Condition::None);
    first.durable(set.unwrap_or(Turn::ZERO));
    let Some((turn, _, block)) = first.take_block() else { panic!("no block") };
    for (asked, has, is_taken) in [
        (None, None, true),
        (Some("key"), None, true),
        (Some("id"), None, false),
        (None, Some("id"), false),
        (Some("id"), Some("id"), false),
        (Some("id"), Some("key"), false),
        (None, Some("key"), true),
    ] {
        let mut authority = authority();
        if let Some(primary) = has {
            let options = Options { primary: Some(primary.into()), ..Options::default() };
            assert!(authority.open(&options, moment(NOW)).is_ok());
        }
        let mut replica = opened(asked);
        replica.restore_primary("key");
        assert!(replica.restore_block(turn, &block).is_ok());
        replica.restored();
        assert_eq!(replica.primary(), "key");
        for (_, code) in join(&mut authority, 1, &mut replica, NOW) {
            replica.closed(code);
        }
        let case = format!("{asked:?} of {has:?}");
        assert_eq!(replica.pending() == 0, is_taken, "{case}");
        let stopped = events(&mut replica).contains(&Event::Stopped("options-mismatch"));
        assert_eq!(stopped, !is_taken, "{case}");
        let head = authority.meta().map_or(0, |meta| meta.head.0);
        assert_eq!(head, u64::from(is_taken), "{case}");
    }
}

/// [RE2] What comes back from a disk that does not say of which life its seqs are is made, and its conditions on them never
/// hold.
#[test]
fn re2_seqs_of_no_known_life() {
    let mut authority = authority();
    let mut before = replica(1);
    join(&mut authority, 1, &mut before, NOW);
    set(&mut before, "k");
    carry(&mut authority, &mut [(1, &mut before)], NOW);
    let data = r#"{"id":"k","n":1}"#;
    let turn = before.mutate(OpKind::Set, "c", "k", data, Condition::Seq(before.seq()));
    assert_eq!(turn, Ok(Turn(2)));
    let Some((_, _, block)) = before.take_block() else { panic!("nothing to store") };
    let (account, info) = (before.account(), before.info().unwrap_or_default());
    before.closed(1006);
    for knows in [true, false] {
        let mut after = replica(1);
        assert_eq!(after.restore_account(&account), Ok(()));
        if knows {
            assert_eq!(after.restore_info(&info), Ok(()));
        }
        assert_eq!(after.restore_block(Turn(2), &block), Ok(()));
        after.restored();
        // Without the record neither shows; the relay decides.
        assert_eq!((after.pending(), after.get("c", "k")), (1, None));
        if !knows {
            join(&mut authority, 2, &mut after, NOW);
            assert_eq!((after.pending(), after.get("c", "k")), (0, Some(r#"{"id":"k"}"#)));
        }
    }
}

/// [EX2] Who opened a temp datastore stays welcome when it is made permanent, also while away; another life of another kind is
/// not what its app has opened.
#[test]
fn ex2_made_permanent_while_away() {
    let (mut authority, mut another) = (authority(), authority());
    let mut one = replica(1);
    join(&mut authority, 1, &mut one, NOW);
    one.closed(1006);
    authority.disconnect(1, NOW);
    assert!(authority.alter(None, true, NOW).is_some());
    assert_eq!(join(&mut authority, 2, &mut one, NOW), []);
    assert_eq!(one.phase(), Phase::Live);
    assert_eq!(one.datastore().map(|info| info.kind), Some(Kind::Permanent));

    one.closed(1006);
    events(&mut one);
    set(&mut one, "k");
    let later = NOW + 1_000;
    let options = Options { kind: Some(Kind::Permanent), ..Options::default() };
    assert!(another.open(&options, moment(later)).is_ok());
    join(&mut another, 3, &mut one, later);
    assert_eq!(one.phase(), Phase::Stopped);
    assert_eq!((events(&mut one), one.pending()), (vec![Event::Stopped("options-mismatch")], 1));
}
