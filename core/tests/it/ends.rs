//! When a life ends, and what is told then.

use neap_core::{
    authority::{Authority, Close, Output},
    datastore::Options,
    id::Turn,
    mutation::{Condition, Op, Outcome},
    pool::Choice,
    replica::OpKind,
    storage::MemoryStorage,
};

use super::spec::{NOW, authority, carry, join, moment, replica};

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
    assert_eq!(end(&authority), Some(now + 60_000));
}
