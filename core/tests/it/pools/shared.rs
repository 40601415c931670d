//! Pools on a disk that several replicas share.

use neap_core::{
    datastore::Options,
    id::Seq,
    limits::POOLS_MAX,
    mutation::Reason,
    pool::Choice,
    record::Digest,
    replica::Event,
    wire::{self, Down, PoolDown, PoolNews, RowRef},
};

use super::{
    super::spec::{authority, carry, events, join, moment},
    DRAINED, NOW, POOL,
    world::{World, items, started},
};

/// [TA8] What another replica of the place has stored of a pool is taken in, from pages and from the log; torn ones are not. How
/// far the pool is held stays as it was, so that the relay is asked for all after that.
#[test]
fn ta8_what_another_tab_has_stored() {
    let mut world = World::new(&[DRAINED, DRAINED]);
    (0..2).for_each(|place| world.connect(place));
    world.carry();
    world.add(0, r#"[{"id":"a"},{"id":"b"}]"#);
    world.carry();
    assert_eq!(world.drained(), Seq(2), "the relay has none of them");
    let holder = &mut world.members[0].replica;
    let pages: Vec<_> = (0..holder.page_count()).map(|page| holder.page(page)).collect();
    let row = RowRef { collection: POOL, key: "c", seq: Seq(3), data: Some(r#"{"id":"c"}"#) };
    let news = PoolNews::Delta { from: Seq(2), to: Seq(3), drained: Seq(2), digest: Digest::EMPTY };
    let down = Down::Pool(PoolDown { pool: POOL.into(), news });
    let frame = wire::encode_down(&down, &wire::encode_changes([row]));

    // One that has not opened it.
    let mut idle = started(9);
    let mut torn = pages[0].clone();
    torn[0] ^= 1;
    assert!(idle.adopt_page(torn, 0).is_err());
    assert!(idle.adopt_page(pages[0].clone(), 1).is_err(), "another page's place");
    assert!(idle.adopt_frame(&frame[..frame.len() - 1]).is_err());
    assert_eq!((items(&idle).len(), idle.page_count()), (0, 0));
    for (place, page) in pages.iter().enumerate() {
        assert_eq!(idle.adopt_page(page.clone(), place), Ok(()));
    }
    assert_eq!(idle.adopt_frame(&frame), Ok(()));
    idle.adopted();
    assert_eq!((items(&idle).len(), idle.digest()), (3, Digest::EMPTY), "items are no records");
    assert_eq!(idle.pool_state(POOL), None);
    // What it stores comes back, also the frame, which does not follow on what is held.
    let mut back = started(9);
    for page in 0..idle.page_count() {
        assert_eq!(back.restore_page(idle.page(page)), Ok(()));
    }
    assert_eq!(back.restore_frame(&frame), Ok(()));
    back.restored();
    assert_eq!(items(&back), items(&idle));
}

/// [PO12] What another life of the author has added, and the relay has let go of, is kept when its outcome comes: by whoever
/// delivers, who has not opened the pool, in the log, and by whoever takes the log in.
#[test]
fn po12_an_addition_of_which_nothing_is_told() {
    let mut world = World::new(&[DRAINED, DRAINED, DRAINED]);
    (0..3).for_each(|place| world.connect(place));
    world.add(0, r#"[{"id":"a"}]"#);
    let block = world.members[0].blocks.pop();
    let Some((first, block)) = block else { panic!("nothing was stored") };
    world.carry();
    assert_eq!(world.drained(), Seq(1), "the relay has it no more");
    world.cut(0);

    let mut courier = started(1);
    assert_eq!(courier.restore_block(first, &block), Ok(()));
    courier.restored();
    courier.info_saved();
    world.members[0].replica = courier;
    world.connect(0);
    world.carry();
    let courier = &mut world.members[0].replica;
    assert_eq!((courier.pending(), items(courier).len()), (0, 1));
    assert!(world.members[0].events.contains(&Event::Unseen));
    let courier = &mut world.members[0].replica;
    let Some(unseen) = courier.take_unseen() else { panic!("nothing for the log") };
    assert_eq!(courier.take_unseen(), None);

    let mut back = started(1);
    assert!(back.restore_frame(&unseen[..unseen.len() - 1]).is_err());
    assert_eq!(back.restore_frame(&unseen), Ok(()));
    back.restored();
    assert_eq!(items(&back).len(), 1);
    assert_eq!(back.take_unseen(), None, "it is in the log");
    let mut sibling = started(9);
    assert_eq!(sibling.adopt_frame(&unseen), Ok(()));
    sibling.adopted();
    assert_eq!(items(&sibling), items(&back));
}

/// [PO7] Of a pool for which a datastore has no room nobody was the first opener: it is read as one without items, and who
/// adds is told why that cannot be.
#[test]
fn po7_no_room_is_no_other_choice() {
    let mut authority = authority();
    assert!(authority.open(&Options::default(), moment(NOW)).is_ok());
    for n in 0..POOLS_MAX {
        let merged = authority.merge(&format!("~full{n}"), Choice::default(), &["1"], NOW);
        assert!(matches!(merged, Ok(Some(Ok(_)))), "{merged:?}");
    }
    assert!(authority.commit().is_ok());
    let mut member = started(9);
    assert_eq!(member.open_pool(POOL, Choice::default()), Ok(true));
    join(&mut authority, 1, &mut member, NOW);
    assert!(!events(&mut member).contains(&Event::Mismatch(POOL.into())));
    let turn = member.add(POOL, "[2]").ok().flatten();
    member.durable(turn.unwrap_or_default());
    carry(&mut authority, &mut [(1, &mut member)], NOW);
    let full = |event: &Event| matches!(event, Event::Refused { refusal, .. } if refusal.reason == Reason::StorageFull);
    assert_eq!(events(&mut member).iter().filter(|event| full(event)).count(), 1);
}
