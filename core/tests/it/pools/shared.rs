//! Pools on a disk that several replicas share.

use neap_core::{
    id::Seq,
    record::Digest,
    wire::{self, Down, PoolDown, PoolNews, RowRef},
};

use super::{
    DRAINED, POOL,
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
