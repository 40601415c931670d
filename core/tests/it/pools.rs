//! Rules of merge pools: by scripts, and by seeds that cut, restart and drain.

use std::collections::BTreeSet;

use neap_core::{
    authority::{self, Admission, Close, Output},
    id::Seq,
    limits::INTEGER_MAX,
    pool::{Choice, Retain},
    replica::Event,
    value::canonical,
    wire::{self, Up},
};

mod lost;
mod shared;
mod world;

use world::{World, items, started};

const NOW: u64 = 1_700_000_000_000;
const POOL: &str = "~p";

const ANY: Choice<'static> = Choice { primary: None, retain: None };
const BY_ID: Choice<'static> = Choice { primary: Some("id"), retain: None };
const DRAINED: Choice<'static> = Choice { primary: Some("id"), retain: Some(Retain::Converged) };

/// [PO2] What is known takes no seq and is told to nobody; a pool counts its own seqs.
#[test]
fn po2_known_items_cost_nothing() {
    let mut world = World::new(&[ANY, ANY, ANY]);
    (0..3).for_each(|place| world.connect(place));
    world.carry();
    world.add(0, r#"["a",{"n":1},7]"#);
    world.carry();
    assert_eq!((world.state(1).seq, world.items_sent), (Seq(3), 9));
    world.add(1, r#"["a",{"n":1}]"#);
    world.add(2, r#"[7,"b"]"#);
    world.carry();
    assert_eq!((world.state(0).seq, world.items_sent), (Seq(4), 12));
    assert_eq!(
        world.authority.meta().map(|meta| meta.head),
        Some(Seq::ZERO),
        "records have not moved"
    );
    let moment = world.moment();
    let merged = world.authority.merge(POOL, ANY, &["7", "\"c\"", "\"c\""], moment.now);
    assert!(matches!(merged, Ok(Some(Ok(merged))) if merged.added == 1 && merged.seq == Seq(5)));
    world.carry();
    assert_eq!(items(&world.members[0].replica), items(&world.members[2].replica));
    assert_eq!(items(&world.members[0].replica).len(), 5);
}

/// [PO3] Under one primary the last arrival wins, at every member.
#[test]
fn po3_the_last_arrival_wins() {
    let mut world = World::new(&[BY_ID, BY_ID]);
    world.add(0, r#"[{"id":"a","v":1}]"#);
    world.add(1, r#"[{"id":"a","v":2}]"#);
    (0..2).for_each(|place| world.connect(place));
    world.carry();
    let shown =
        |world: &World, place: usize| world.members[place].replica.get(POOL, "a").map(String::from);
    assert_eq!(shown(&world, 0).as_deref(), Some(r#"{"id":"a","v":2}"#));
    assert_eq!(shown(&world, 0), shown(&world, 1));
    assert_eq!(world.state(0).digest, world.state(1).digest);
}

/// [PO4] A pool has converged when two members or more have all that there is; who has been silent
/// for a minute after being asked does not count.
#[test]
fn po4_convergence() {
    let mut world = World::new(&[ANY, ANY, ANY]);
    world.connect(0);
    world.add(0, r#"["a"]"#);
    world.carry();
    assert!(!world.state(0).converged, "one alone has nobody to agree with");
    world.connect(1);
    world.carry();
    assert!(world.state(0).converged && world.state(1).converged);
    world.add(0, r#"["b"]"#);
    assert!(!world.state(0).converged, "what is pending is not agreed on");
    world.carry();
    assert!(world.state(0).converged);

    // The third is connected and takes what it is sent, but its answers are lost.
    world.connect(2);
    world.carry();
    world.add(0, r#"["c"]"#);
    let silent = world.members[2].session.take();
    world.carry();
    assert!(!world.state(0).converged, "a silent member holds the others up");
    world.now += 60_001;
    for place in 0..2 {
        world.members[place].replica.tick(world.now).unwrap_or_default();
    }
    world.carry();
    let deadline = world.members[0].replica.deadline();
    if !world.state(0).converged {
        world.now = deadline.unwrap_or(world.now).max(world.now) + 60_001;
        for place in 0..2 {
            world.members[place].replica.tick(world.now).unwrap_or_default();
        }
        world.carry();
    }
    assert!(world.state(0).converged && world.state(1).converged, "but not for ever");

    // And one who leaves stands in nobody's way.
    world.members[2].session = silent;
    world.cut(2);
    world.connect(2);
    world.carry();
    world.add(1, r#"["d"]"#);
    world.members[2].session.take().into_iter().for_each(|session| {
        world.carry_without(session);
    });
    assert!(world.state(0).converged && world.state(1).converged);
}

/// [PO4] Who is left alone has nobody to agree with any more, and hears so, once.
#[test]
fn po4_ends_with_the_company() {
    for choice in [ANY, DRAINED] {
        let mut world = World::new(&[choice, choice, choice]);
        world.add(0, r#"[{"id":"a"}]"#);
        (0..3).for_each(|place| world.connect(place));
        world.carry();
        world.cut(2);
        world.carry();
        assert!(world.state(0).converged && world.state(1).converged, "two are enough");
        if choice == DRAINED {
            world.sleep();
        }
        assert!(world.sessions.values().all(|bytes| authority::is_missed(bytes)));
        world.cut(1);
        assert!(world.authority.wants_commit());
        world.carry();
        assert!(!world.state(0).converged, "one is not");
        assert_eq!(items(&world.members[0].replica).len(), 1);
        world.connect(1);
        world.carry();
        assert!(
            world.state(0).converged && world.state(1).converged,
            "and it comes back with them"
        );
        assert_eq!(world.state(0).digest, world.state(1).digest);
    }
}

/// [EX1] Who is left alone after the end hears of the end alone, whether the departure tells the time or
/// the commit.
#[test]
fn ex1_a_departure_after_the_end() {
    for is_late in [false, true] {
        let mut world = World::new(&[ANY, ANY]);
        world.add(0, r#"[{"id":"a"}]"#);
        (0..2).for_each(|place| world.connect(place));
        world.carry();
        assert!(world.state(0).converged && world.state(1).converged);
        let meta = world.authority.meta();
        let last = meta.and_then(|meta| meta.info.expires_at).unwrap_or_else(|| panic!("no end"));
        world.now = if is_late { last } else { last + 1 };
        world.cut(1);
        if is_late {
            world.authority.tick(last + 1);
        }
        let outputs = world.authority.commit();
        assert_eq!(outputs, Ok(vec![Output::Close { session: 1, why: Close::Expired }]));
    }
}

/// [PO6] Drained at convergence, items stay with those who converged; late repeats of them are still
/// dropped, and the relay erases them in its own time.
#[test]
fn po6_draining() {
    let mut world = World::new(&[DRAINED, DRAINED, DRAINED]);
    (0..2).for_each(|place| world.connect(place));
    world.add(0, r#"[{"id":"a"},{"id":"b"}]"#);
    world.carry();
    assert!(world.state(0).converged);
    let page = world.authority.pool_items(POOL, Seq::ZERO, 9, 999);
    assert!(page.is_ok_and(|page| page.items.is_empty() && page.head == Seq(2)));
    assert_eq!(items(&world.members[0].replica).len(), 2, "members keep them");
    let sent = world.items_sent;
    // The third has one of them offline, and another one.
    world.add(2, r#"[{"id":"b"},{"id":"c"}]"#);
    world.connect(2);
    world.carry();
    assert_eq!(
        world.items_sent,
        sent + 2,
        "only what is new, and the adder reads it with its first page"
    );
    assert_eq!(items(&world.members[1].replica).len(), 3);
    assert!((0..3).all(|place| world.state(place).converged));
    assert!(world.authority.upkeep_due().is_some());
    while world.authority.upkeep_due() == Some(0) {
        assert_eq!(world.authority.upkeep(world.now), Ok(()));
        world.carry();
    }
    world.restart(0);
    assert_eq!(items(&world.members[0].replica).len(), 3, "also after a restart");
    world.connect(0);
    world.carry();
    world.add(1, r#"[{"id":"d"}]"#);
    world.carry();
    let digests: BTreeSet<_> = (0..3).map(|place| world.state(place).digest.to_hex()).collect();
    assert_eq!(digests.len(), 1);
}

/// [PO7] Other options than the first opener's are told, and what was added under them is refused.
#[test]
fn po7_the_first_opener_fixes_the_terms() {
    let mut world = World::new(&[BY_ID, Choice { primary: Some("k"), retain: None }, ANY]);
    world.connect(0);
    world.add(0, r#"[{"id":"a"}]"#);
    world.carry();
    world.add(1, r#"[{"id":"a","k":"x"}]"#);
    (1..3).for_each(|place| world.connect(place));
    world.carry();
    let mismatch = Event::Mismatch(POOL.into());
    assert!(world.members[1].events.contains(&mismatch));
    let refused = |event: &Event| matches!(event, Event::Refused { refusal, .. } if refusal.reason.code() == "options-mismatch");
    assert!(world.members[1].events.iter().any(refused));
    assert_eq!(
        items(&world.members[2].replica),
        BTreeSet::from(["a".into()]),
        "none asked for is any"
    );
    let known = &mut world.members[0].replica;
    assert_eq!(known.open_pool(POOL, BY_ID), Ok(true), "the same again");
    assert_eq!(known.open_pool(POOL, ANY), Ok(true), "none asked for is any");
    assert_eq!(
        known.open_pool(POOL, DRAINED),
        Ok(false),
        "the app hears at once of its own second choice"
    );
    assert_eq!(known.take_events(), None);
    world.members[0].choice = DRAINED;
    world.restart(0);
    world.store(0);
    assert!(world.members[0].events.contains(&mismatch), "also where it is stored");
    world.connect(0);
    world.add(0, r#"[{"id":"b"}]"#);
    world.carry();
    assert!(world.members[0].events.iter().any(refused), "and nothing goes in under other terms");
    assert!(world.members[0].replica.open_pool("p", ANY).is_err(), "a pool's name has its mark");
}

/// [PO8] What an author does not print canonically is refused, and what is no item is told at the call.
#[test]
fn po8_bad_items() {
    let mut world = World::new(&[ANY]);
    world.connect(0);
    world.carry();
    for bad in ["[1,]", "[nothing]", "{}", "[1 ]"] {
        assert!(world.members[0].replica.add(POOL, bad).is_err(), "{bad}");
    }
    let large = format!("[\"{}\"]", "x".repeat(256 * 1024));
    assert_eq!(
        world.members[0].replica.add(POOL, &large).map_err(|bad| bad.code()),
        Err("too-large")
    );
    world.add(0, r#"[{"b":1,"a":2}]"#);
    world.carry();
    assert!(world.members[0].events.iter().any(
        |event| matches!(event, Event::Refused { refusal, .. } if refusal.reason.code() == "invalid-data")
    ));
    assert!(items(&world.members[0].replica).is_empty());
}

/// A small generator, for scripts that are functions of their seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// [PO5] Whatever is cut, restarted and slept through: no item is lost or seen to vanish, nothing is
/// sent twice to those who have it, and all end with one digest.
#[test]
fn po5_seeds_converge() {
    for seed in 0..300 {
        let mut dice = Dice(seed);
        let choice = [ANY, BY_ID, DRAINED][usize::try_from(seed % 3).unwrap_or(0)];
        let mut world = World::new(&[choice; 4]);
        let mut added = BTreeSet::new();
        for _ in 0..60 {
            let place = usize::try_from(dice.roll(4)).unwrap_or(0);
            match dice.roll(12) {
                0..=4 => {
                    let id = dice.roll(12);
                    let version = if choice == BY_ID { dice.roll(3) } else { 0 };
                    let item = format!(r#"{{"id":"{id}","v":{version}}}"#);
                    assert_eq!(canonical(&item).as_deref(), Ok(&*item));
                    added.insert(id);
                    world.add(place, &format!("[{item}]"));
                }
                5 | 6 if world.members[place].session.is_none() => world.connect(place),
                7 => world.cut(place),
                8 => world.restart(place),
                9 => world.sleep(),
                _ => drop(world.step()),
            }
        }
        for place in 0..4 {
            if world.members[place].session.is_none() {
                world.connect(place);
            }
        }
        world.carry();
        let states: Vec<_> = (0..4).map(|place| world.state(place)).collect();
        let all: BTreeSet<Box<str>> =
            world.members.iter().flat_map(|member| items(&member.replica)).collect();
        assert!(states.iter().all(|state| *state == states[0]), "seed {seed}: {states:?}");
        assert!(states[0].converged, "seed {seed}");
        for member in &world.members {
            assert_eq!(member.replica.pending(), 0, "seed {seed}");
            if choice != DRAINED {
                assert_eq!(items(&member.replica), all, "seed {seed}");
            }
            let troubled = member.events.iter().any(|event| {
                matches!(event, Event::Trouble(_) | Event::Refused { .. } | Event::Stopped(_))
            });
            assert!(!troubled, "seed {seed}: {:?}", member.events);
        }
        assert_eq!(all.len(), added.len(), "seed {seed}: every item is somewhere, once");
    }
}

/// [PO9] Bytes about pools are as harmless as any.
#[test]
fn po9_strange_frames() {
    let mut world = World::new(&[ANY, ANY]);
    (0..2).for_each(|place| world.connect(place));
    world.add(0, r#"["a"]"#);
    world.carry();
    let ask = |pool, ask| wire::encode_up(&Up::Pool(wire::PoolUp { pool, ask }));
    let moment = world.moment();
    let strange = [
        ask("p", wire::PoolAsk::Open { choice: ANY, after: Seq(1) }),
        ask("~", wire::PoolAsk::Open { choice: ANY, after: Seq(1) }),
        ask("~q", wire::PoolAsk::Ack(Seq(9))),
        ask("~q", wire::PoolAsk::Next(Seq(9))),
        ask(
            "~p",
            wire::PoolAsk::Open {
                choice: Choice { primary: Some(""), retain: None },
                after: Seq(1),
            },
        ),
    ];
    for (session, frame) in (100..).zip(strange) {
        let mut stranger = started(50);
        world.authority.connect(session, Admission::OPEN, world.now);
        stranger.connected(world.now);
        let hello = stranger.take_frame().unwrap_or_default();
        assert_eq!(world.authority.receive(session, &hello, moment), Ok(()));
        assert_eq!(world.authority.receive(session, &frame, moment), Ok(()));
        let outputs = world.authority.commit().unwrap_or_default();
        let closed =
            |output: &Output| matches!(output, Output::Close { session: of, .. } if *of == session);
        assert!(outputs.iter().any(closed));
    }
    let far = ask(POOL, wire::PoolAsk::Ack(Seq(INTEGER_MAX)));
    let session = world.members[0].session.unwrap_or_default();
    assert_eq!(world.authority.receive(session, &far, moment), Ok(()));
    world.carry();
    assert_eq!(world.state(0), world.state(1));
}
