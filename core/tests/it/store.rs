//! Many datastores in one process.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use neap_core::{
    authority::{Admission, Close, Moment, Opened, Output, SessionId, Settings, Trouble},
    datastore::{Kind, Options},
    id::{Epoch, Name, ReplicaId, Seq},
    limits::ALARM_RETRY_MS,
    mutation::{Condition, Op, Outcome},
    replica::{OpKind, Replica},
    storage::Storage,
    store::{Store, Told},
};

use crate::sim::storage::{Broken, Disk};

type Disks = Rc<RefCell<BTreeMap<Name, Disk>>>;

/// A store over disks that outlive it, and each of which can fail.
struct World<F> {
    store: Store<Disk, F>,
    disks: Disks,
    now: u64,
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap_or_else(|bad| panic!("{text}: {bad:?}"))
}

fn world() -> World<impl FnMut(&Name) -> Result<Disk, Broken>> {
    over(Disks::default())
}

fn over(disks: Disks) -> World<impl FnMut(&Name) -> Result<Disk, Broken>> {
    let all = Rc::clone(&disks);
    let disk = move |id: &Name| {
        Ok(all.borrow_mut().entry(id.clone()).or_insert_with(|| Disk::new(None)).clone())
    };
    World { store: Store::new(Settings::default(), disk), disks, now: 1_000 }
}

const fn for_s(ttl: u32) -> Options {
    Options { kind: None, primary: None, ttl: Some(ttl), sliding: None }
}

impl<F: FnMut(&Name) -> Result<Disk, Broken>> World<F> {
    fn moment(&self) -> Moment {
        Moment { now: self.now, dice: Epoch(self.now.to_le_bytes()) }
    }

    fn open(&mut self, id: &str, options: &Options) -> Result<Opened, Trouble<Broken>> {
        self.store.open(&name(id), options, self.moment())
    }

    fn set(&mut self, id: &str, key: &str) -> Result<Option<Outcome>, Trouble<Broken>> {
        let (moment, data) = (self.moment(), format!(r#"{{"id":"{key}"}}"#));
        let op = Op::Set { collection: "c", key, data: &data, only_if: Condition::None };
        let done = self.store.run(&name(id), self.now, |authority| authority.mutate(&[op], moment));
        done.map(|outcome| outcome.map(|sound| sound.unwrap_or_else(|bad| panic!("{bad:?}"))))
    }

    fn records(&mut self, id: &str) -> Option<u64> {
        let found = self.store.get(&name(id), self.now);
        let found = found.unwrap_or_else(|trouble| panic!("{trouble:?}"))?;
        found.meta().map(|meta| meta.totals.records)
    }

    /// A client that has joined these datastores and said Hello to each.
    fn client(&mut self, ids: &[&str]) -> SessionId {
        let client = self.store.arrive();
        let replica = [u8::try_from(client).unwrap_or(0); 16];
        for id in ids {
            let joined = self.store.join(client, &name(id), Admission::OPEN, self.now);
            assert_eq!(joined, Ok(true));
            let spare = ReplicaId([255; 16]);
            let mut replica = Replica::new(ReplicaId(replica), spare, 1, Options::default());
            replica.mutate(OpKind::Set, "c", "k", r#"{"id":"k"}"#, Condition::None).ok();
            replica.connected(self.now);
            let hello = replica.take_frame().unwrap_or_else(|| panic!("no Hello"));
            let moment = self.moment();
            let heard = self
                .store
                .run(&name(id), self.now, |authority| authority.receive(client, &hello, moment));
            assert_eq!(heard, Ok(()));
        }
        assert!(!self.closed(client), "welcomed");
        client
    }

    /// Whether a client was closed since this was last asked.
    fn closed(&mut self, client: SessionId) -> bool {
        let is_close =
            |told: &Told| matches!(told.output, Output::Close { session, .. } if session == client);
        self.store.take_outputs().iter().any(is_close)
    }

    /// Who was sent something since this was last asked, by datastore.
    fn sent(&mut self) -> Vec<(String, Vec<SessionId>)> {
        let sent = |told: Told| match told.output {
            Output::Send { to, .. } => Some((told.id.to_string(), to)),
            _ => None,
        };
        self.store.take_outputs().into_iter().filter_map(sent).collect()
    }

    fn fail(&self, id: &str, calls: usize) {
        self.disks.borrow()[&name(id)].fail_after(Some(calls));
    }

    fn repair(&self, id: &str) {
        self.disks.borrow()[&name(id)].fail_after(None);
    }
}

/// [SR1] What is used is in memory, and nothing else is.
#[test]
fn sr1_only_what_is_used_is_kept() {
    let mut world = world();
    for id in ["a", "b", "c"] {
        assert_eq!(world.records(id), None);
        assert_eq!(world.set(id, "k"), Ok(None), "a write to what is not there");
    }
    assert_eq!((world.store.in_use(), world.store.due()), (0, None));
    for id in ["a", "b", "c"] {
        assert_eq!(world.open(id, &for_s(600)), Ok(Opened::Created));
        assert_eq!(world.set(id, "k"), Ok(Some(Outcome::Accepted(Seq(1)))));
    }
    let client = world.client(&["b"]);
    world.now += 10;
    assert_eq!(world.records("c"), Some(1));
    world.store.rest(world.now);
    assert_eq!(world.store.in_use(), 2, "b has a client, c was just used");
    world.now += 10;
    world.store.rest(world.now);
    assert_eq!(world.store.in_use(), 1);
    assert_eq!(world.set("a", "l"), Ok(Some(Outcome::Accepted(Seq(2)))), "read again when needed");
    assert_eq!(world.store.depart(client, world.now), Ok(()));
    world.store.rest(world.now + 1);
    assert_eq!(world.store.in_use(), 0);
}

/// [SR2] Datastores know nothing of each other.
#[test]
fn sr2_datastores_are_apart() {
    let mut world = world();
    for id in ["a", "b"] {
        assert_eq!(world.open(id, &for_s(600)), Ok(Opened::Created));
        assert_eq!(world.open(id, &for_s(600)), Ok(Opened::Found));
    }
    let permanent = Options { kind: Some(Kind::Permanent), ..Options::default() };
    assert_eq!(world.open("a", &permanent), Ok(Opened::Mismatch));
    let (only_a, both) = (world.client(&["a"]), world.client(&["a", "b"]));
    assert_eq!(world.set("b", "k"), Ok(Some(Outcome::Accepted(Seq(1)))));
    assert_eq!(world.sent(), [("b".into(), vec![both])]);
    assert_eq!(world.set("a", "k"), Ok(Some(Outcome::Accepted(Seq(1)))), "a seq of its own");
    assert_eq!(world.sent(), [("a".into(), vec![only_a, both])]);
    assert_eq!(world.store.run(&name("a"), world.now, |authority| authority.destroy()), Ok(()));
    assert_eq!((world.records("a"), world.records("b")), (None, Some(1)));
}

/// [SR3] A client that is gone is gone everywhere, for good.
#[test]
fn sr3_who_departs_is_nowhere() {
    let mut world = world();
    for id in ["a", "b", "c"] {
        assert_eq!(world.open(id, &for_s(600)), Ok(Opened::Created));
    }
    let (gone, stays) = (world.client(&["a", "b", "c"]), world.client(&["a", "b"]));
    assert_ne!(gone, stays);
    assert_eq!(world.store.leave(gone, &name("a"), world.now), Ok(()));
    world.set("a", "k").ok();
    assert_eq!(world.sent(), [("a".into(), vec![stays])]);
    assert_eq!(world.store.depart(gone, world.now), Ok(()));
    for id in ["b", "c"] {
        world.set(id, "k").ok();
    }
    assert_eq!(world.sent(), [("b".into(), vec![stays])]);
    let late = world.store.join(gone, &name("a"), Admission::OPEN, world.now);
    assert_eq!(late, Ok(false), "a request that was still under way joins nothing");
    assert_eq!(world.store.depart(gone, world.now), Ok(()), "twice is harmless");
    assert_ne!(world.store.arrive(), gone);
}

/// [SR4] What has expired goes and is told; what fails comes again and stops nobody.
#[test]
fn sr4_what_is_due_is_done() {
    let mut world = world();
    for (id, ttl) in [("a", 1), ("b", 2), ("c", 1), ("d", 600)] {
        assert_eq!(world.open(id, &for_s(ttl)), Ok(Opened::Created));
    }
    let client = world.client(&["a"]);
    world.store.rest(u64::MAX);
    assert_eq!(world.store.in_use(), 1, "the rest is found on its disk");
    assert_eq!(world.store.due(), Some(2_001));
    world.now = 2_000;
    assert_eq!(world.store.purge(world.now, 100).gone, [], "alive at the exact moment of its end");
    world.now = 2_001;
    assert_eq!((world.records("a"), world.records("d")), (None, Some(0)), "before any clean-up");
    world.store.rest(u64::MAX);
    world.fail("c", 0);
    let purged = world.store.purge(world.now, 100);
    assert_eq!((purged.gone, purged.failed.len()), (vec![name("a")], 1));
    let closes: Vec<Told> = world.store.take_outputs();
    let close = Output::Close { session: client, why: Close::Expired };
    assert_eq!(closes, [Told { id: name("a"), output: close }]);
    assert_eq!(world.disks.borrow()[&name("a")].meta(), Ok(None));
    world.repair("c");
    world.now = 4_000;
    assert_eq!(world.store.purge(world.now, 100).gone, [name("b")]);
    assert_eq!(world.store.due(), Some(2_001 + ALARM_RETRY_MS));
    world.now = 2_001 + ALARM_RETRY_MS;
    assert_eq!(world.store.purge(world.now, 100).gone, [name("c")]);

    // A later process is told what there is, and looks.
    let mut later = over(Rc::clone(&world.disks));
    later.now = 1_000_000;
    for id in ["a", "b", "c", "d"] {
        later.store.expect(name(id));
    }
    assert_eq!(later.store.purge(later.now, 3).gone, [], "three of them, and no more");
    assert_eq!(later.store.purge(later.now, 3).gone, [name("d")]);
    assert_eq!((later.store.due(), later.store.in_use()), (None, 0));
}

/// [SR5] Trouble undoes its group, and the sessions go on.
#[test]
fn sr5_trouble_stays_where_it_is() {
    let mut world = world();
    for id in ["a", "b"] {
        assert_eq!(world.open(id, &for_s(600)), Ok(Opened::Created));
    }
    let (one, other) = (world.client(&["a"]), world.client(&["b"]));
    for calls in 0..8 {
        world.fail("a", calls);
        let failed = world.set("a", "lost");
        let in_vain = world.store.leave(other, &name("a"), world.now);
        world.repair("a");
        assert_eq!(in_vain, Ok(()), "nobody is woken for who is not there");
        if failed.is_ok() {
            assert!(calls > 3, "the group has several calls");
            break;
        }
        assert_eq!(failed, Err(Trouble::Storage(Broken)));
        assert_eq!(world.records("a"), Some(0), "undone");
        assert_eq!(world.sent(), [], "and told to nobody");
    }
    world.store.take_outputs();
    let seq = world.store.get(&name("a"), world.now).ok().flatten().map(|a| a.meta().cloned());
    assert_eq!(seq.flatten().map(|meta| meta.head), Some(Seq(1)));
    assert!(matches!(world.set("a", "kept"), Ok(Some(Outcome::Accepted(Seq(2))))));
    assert_eq!(world.sent(), [("a".into(), vec![one])], "its session has outlived all of it");
    assert_eq!(world.set("b", "k"), Ok(Some(Outcome::Accepted(Seq(1)))));
    assert_eq!(world.sent(), [("b".into(), vec![other])]);
}
