//! Pools on a disk that several replicas share.

use neap_core::{id::Seq, record::Digest};

use super::{
    DRAINED, POOL,
    world::{World, items, started},
};

/// [TA8] What another replica of the place has stored of a pool is taken in, from pages and from the log; torn pages are not,
/// and the relay is asked for what comes after.
#[test]
fn ta8_what_another_tab_has_stored() {
    let mut world = World::new(&[DRAINED, DRAINED]);
    world.connect(0);
    world.carry();
    world.add(0, r#"[{"id":"a"},{"id":"b"}]"#);
    world.carry();
    let holder = &mut world.members[0].replica;
    let pages: Vec<_> = (0..holder.page_count()).map(|page| holder.page(page)).collect();
    let info = holder.info().unwrap_or_default();
    let held = holder.pool_state(POOL).map(|state| (state.seq, state.digest));
    assert_eq!(holder.pool_seqs().collect::<Vec<_>>(), [(POOL, Seq(2))]);

    // One that has not opened it, and one that has and is told what comes after.
    let mut idle = started(9);
    let other = &mut world.members[1].replica;
    for one in [&mut idle, other] {
        let mut torn = pages[0].clone();
        torn[0] ^= 1;
        assert!(one.adopt_page(torn, 0).is_err());
        assert!(one.adopt_page(pages[0].clone(), 1).is_err(), "another page's place");
        assert!(one.adopt_info(&info[1..]).is_err());
        assert_eq!(one.pool_seqs().count(), 0);
        for (place, page) in pages.iter().enumerate() {
            assert_eq!(one.adopt_page(page.clone(), place), Ok(()));
        }
        assert_eq!(one.adopt_info(&info), Ok(()));
        assert_eq!(one.pool_state(POOL).map(|state| (state.seq, state.digest)), held);
        assert_eq!((items(one).len(), one.digest()), (2, Digest::EMPTY), "items are no records");
    }
    world.connect(1);
    world.add(1, r#"[{"id":"c"}]"#);
    world.carry();
    assert!((0..2).all(|place| world.state(place).converged));
    assert_eq!(items(&world.members[1].replica).len(), 3);
    assert_eq!(world.drained(), Seq(3));
}
