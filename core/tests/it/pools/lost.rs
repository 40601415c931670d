//! What a member misses while its connection stands.

use neap_core::{
    id::Seq,
    limits::{RESEND_MS, SILENCE_MS},
    wire::{self, Pong, PoolAsk, PoolUp, Up},
};

use super::{
    ANY, DRAINED, POOL,
    world::{World, items},
};

impl World {
    /// The handler dies after its commit and before anybody was told; the sockets stay open.
    fn die(&mut self) {
        drop(self.authority.commit());
        self.sleep();
        self.carry();
    }

    /// Each member pings; gives whether anybody had something to ask.
    fn ping(&mut self) -> bool {
        let text = self.authority.meta().map(|meta| Pong::of(meta).to_text()).unwrap_or_default();
        for place in 0..self.members.len() {
            assert_eq!(self.members[place].replica.pong(&text, self.now), Ok(()));
        }
        self.step()
    }

    pub(super) fn drained(&self) -> Seq {
        let pool = self.authority.pool(POOL).ok().flatten();
        pool.map_or(Seq::ZERO, |pool| pool.drained)
    }

    fn say(&mut self, place: usize, frame: &[u8]) {
        let (session, moment) = (self.members[place].session.unwrap_or_default(), self.moment());
        assert_eq!(self.authority.receive(session, frame, moment), Ok(()));
    }

    fn tick(&mut self, later: u64) {
        self.now += later;
        for place in 0..self.members.len() {
            assert_eq!(self.members[place].replica.tick(self.now), Ok(()));
        }
    }
}

/// [PO10] A delta that nobody got is asked for after the next ping, though all thought that they had
/// converged; whoever has missed nothing says nothing then.
#[test]
fn po10_a_lost_delta() {
    let mut world = World::new(&[ANY, ANY]);
    (0..2).for_each(|place| world.connect(place));
    world.add(0, r#"["a"]"#);
    world.carry();
    assert!((0..2).all(|place| world.state(place).converged));
    assert!(!world.ping(), "nobody has missed anything");
    assert!((0..2).all(|place| world.members[place].replica.deadline().is_none()));
    let now = world.now;
    assert!(world.authority.merge(POOL, ANY, &["\"b\""], now).is_ok());
    world.die();
    assert_eq!(items(&world.members[0].replica).len(), 1);
    assert!(world.ping());
    world.carry();
    for place in 0..2 {
        assert_eq!(items(&world.members[place].replica).len(), 2);
        assert!(world.state(place).converged);
    }
    assert!(!world.ping(), "it is explained");
}

/// [PO10] A pong that tells of a pool that is not open here costs one question, and unsettles nothing.
#[test]
fn po10_another_pool() {
    let mut world = World::new(&[ANY, ANY]);
    (0..2).for_each(|place| world.connect(place));
    world.add(0, r#"["a"]"#);
    world.carry();
    let now = world.now;
    assert!(world.authority.merge("~other", ANY, &["1"], now).is_ok());
    world.carry();
    assert!(world.ping());
    world.carry();
    assert!((0..2).all(|place| world.state(place).converged));
    assert!(!world.ping());
}

/// [PO10] A question whose answer does not come is asked again, after the time in which it should have come and twice that.
#[test]
fn po10_a_lost_question() {
    let mut world = World::new(&[ANY, ANY]);
    world.connect(0);
    world.add(0, r#"["a"]"#);
    world.carry();
    world.connect(1);
    let hello = world.members[1].replica.take_frame().unwrap_or_default();
    world.say(1, &hello);
    world.commit();
    world.store(1);
    let question = world.members[1].replica.take_frame().unwrap_or_default();
    assert!(matches!(wire::decode_up(&question), Ok(Up::Pool(_))), "it is lost");
    world.carry();
    assert!(items(&world.members[1].replica).is_empty());
    world.tick(0);
    world.tick(RESEND_MS);
    world.carry();
    assert!(items(&world.members[1].replica).is_empty(), "it may be on its way");
    world.tick(2 * RESEND_MS);
    world.carry();
    assert_eq!(items(&world.members[1].replica).len(), 1);
    assert!(world.state(1).converged);
}

/// [PO11] What has come is acknowledged when it is on the disk, so that nothing is gone from the relay that a member that dies
/// would not have.
#[test]
fn po11_acknowledged_when_stored() {
    let mut world = World::new(&[DRAINED, DRAINED]);
    (0..2).for_each(|place| world.connect(place));
    world.carry();
    world.add(0, r#"[{"id":"a"}]"#);
    let push = world.members[0].replica.take_frame().unwrap_or_default();
    world.say(0, &push);
    world.commit();
    // Both have been told.
    for place in 0..2 {
        assert_eq!(items(&world.members[place].replica).len(), 1);
        assert_eq!(world.members[place].replica.take_frame(), None, "its disk has not got it");
    }
    assert_eq!(world.drained(), Seq::ZERO);
    world.carry();
    assert_eq!(world.drained(), Seq(1));
    assert!((0..2).all(|place| world.state(place).converged));
}

/// [PO10] Convergence of which the word was lost is told to whoever says again what it holds. What was
/// drained with it stays with those who did not hear of that either, also when more is added.
#[test]
fn po10_a_lost_convergence() {
    for adds in [false, true] {
        let mut world = World::new(&[DRAINED, DRAINED]);
        (0..2).for_each(|place| world.connect(place));
        world.carry();
        world.add(0, r#"[{"id":"a"}]"#);
        while world.drained() == Seq::ZERO {
            for place in 0..2 {
                world.store(place);
                while let Some(frame) = world.members[place].replica.take_frame() {
                    world.say(place, &frame);
                }
            }
            let outputs = world.authority.commit().unwrap_or_default();
            if world.drained() == Seq::ZERO {
                world.carry_out(outputs);
            }
        }
        assert!((0..2).all(|place| !world.state(place).converged), "nobody was told");
        if adds {
            world.add(1, r#"[{"id":"b"}]"#);
        } else {
            world.tick(0);
            world.tick(SILENCE_MS);
        }
        world.carry();
        for place in 0..2 {
            assert!(world.state(place).converged);
            assert_eq!(items(&world.members[place].replica).len(), 1 + usize::from(adds));
        }
    }
}

/// [PO4] Who has never answered is silent a minute after having been asked, however often more is added.
#[test]
fn po4_silence_is_counted_from_the_question() {
    let mut world = World::new(&[DRAINED, DRAINED, DRAINED]);
    (0..2).for_each(|place| world.connect(place));
    world.carry();
    world.connect(2);
    for _ in 0..2 {
        world.store(2);
        let question = world.members[2].replica.take_frame().unwrap_or_default();
        world.say(2, &question);
        world.commit();
    }
    // It is a member now, and its answers are lost.
    world.members[2].session = None;
    for step in 0..4 {
        world.now += 20_000;
        world.add(0, &format!(r#"[{{"id":"{step}"}}]"#));
        world.carry();
        assert_eq!(world.state(0).converged, step >= 2, "step {step}");
    }
}

/// [PO4] Who is slow but answers is not silent.
#[test]
fn po4_a_late_answer_is_one() {
    let mut world = World::new(&[DRAINED, DRAINED, DRAINED]);
    (0..3).for_each(|place| world.connect(place));
    world.carry();
    let slow = world.members[2].session;
    for item in ["a", "b"] {
        world.members[2].session = None;
        world.add(0, &format!(r#"[{{"id":"{item}"}}]"#));
        world.carry();
        world.now += 10_000;
    }
    world.tick(0);
    world.now += 30_000;
    world.members[2].session = slow;
    world.say(2, &wire::encode_up(&Up::Pool(PoolUp { pool: POOL, ask: PoolAsk::Ack(Seq(1)) })));
    world.members[2].session = None;
    world.tick(30_000);
    world.carry();
    assert!(!world.state(0).converged, "it has answered half a minute ago");
    world.tick(SILENCE_MS);
    world.carry();
    assert!(world.state(0).converged, "and nothing since");
}

/// [PO4] Who was not told of an addition, because it is catching up just then, is asked all the same: the
/// minute of its silence begins with the addition.
#[test]
fn po4_who_catches_up_is_waited_for() {
    for is_silent in [false, true] {
        let mut world = World::new(&[DRAINED, DRAINED, DRAINED]);
        (0..3).for_each(|place| world.connect(place));
        world.add(0, r#"[{"id":"a"}]"#);
        world.carry();
        assert!((0..3).all(|place| world.state(place).converged));
        world.now += SILENCE_MS + 1;
        let session = world.members[2].session.take().unwrap_or_default();
        world.authority.fall_behind(session);
        let behind = world.authority.commit().unwrap_or_default();
        world.add(0, r#"[{"id":"b"}]"#);
        world.carry();
        assert_eq!((world.state(0).converged, world.drained()), (false, Seq(1)));
        if is_silent {
            world.tick(0);
            world.tick(SILENCE_MS);
        } else {
            world.members[2].session = Some(session);
            world.carry_out(behind);
        }
        world.carry();
        assert_eq!((world.state(0).converged, world.drained()), (true, Seq(2)));
        assert_eq!(items(&world.members[2].replica).len(), 2 - usize::from(is_silent));
    }
}
