//! A whole datastore as a list of facts, out of one authority and into another.

use neap_core::{
    authority::{
        Admission, Authority, Closing, Export, Fact, Flaw, ImportId, Moment, Opened, Opening,
        Output, Settings,
    },
    datastore::Options,
    id::{Epoch, ReplicaId, Seq},
    limits::{IMPORT_IDLE_MS, IMPORT_REST_BYTES},
    mutation::{Condition, Op, Outcome},
    pool::Choice,
    record::Row,
    replica::{Event, OpKind, Replica},
    storage::{MemoryStorage, Range, Storage},
};

const NOW: u64 = 1_000_000;

type Machine = Authority<MemoryStorage>;

const fn at(now: u64, life: u8) -> Moment {
    Moment { now, dice: Epoch([life; 8]) }
}

fn over(storage: MemoryStorage) -> Machine {
    Authority::load(storage, Settings::default()).unwrap_or_else(|trouble| panic!("{trouble:?}"))
}

fn opened() -> Machine {
    let mut machine = over(MemoryStorage::new());
    assert_eq!(machine.open(&Options::default(), at(NOW, 1)), Ok(Opened::Created));
    machine
}

fn set(machine: &mut Machine, key: &str, text: &str) {
    let data = format!(r#"{{"id":"{key}","t":"{text}"}}"#);
    let op = Op::Set { collection: "c", key, data: &data, only_if: Condition::None };
    assert!(matches!(machine.mutate(&[op], at(NOW, 0)), Ok(Some(Ok(Outcome::Accepted(_))))));
}

fn delete(machine: &mut Machine, key: &str) {
    let op = Op::Delete { collection: "c", key, only_if: Condition::None };
    assert!(matches!(machine.mutate(&[op], at(NOW, 0)), Ok(Some(Ok(Outcome::Accepted(_))))));
}

fn add(machine: &mut Machine, item: &str) {
    let merged = machine.merge("~p", Choice::default(), &[item], NOW);
    assert!(matches!(merged, Ok(Some(Ok(_)))), "{merged:?}");
}

/// Exports, with something happening between two pages.
fn export(
    machine: &mut Machine,
    mut between: impl FnMut(&mut Machine, usize),
) -> (Opening, Vec<Fact>, Closing) {
    assert!(machine.commit().is_ok());
    let meta = machine.alive(NOW).unwrap_or_else(|| panic!("there is none"));
    let (mut export, opening) = Export::begin(meta);
    let mut facts = Vec::new();
    for turn in 0.. {
        let page = machine.export(&mut export, NOW).unwrap_or_else(|trouble| panic!("{trouble:?}"));
        let page = page.unwrap_or_else(|| panic!("broken off"));
        facts.extend(page.facts);
        if let Some(closing) = page.closing {
            return (opening, facts, closing);
        }
        between(machine, turn);
        assert!(machine.commit().is_ok());
    }
    unreachable!()
}

fn begin(machine: &mut Machine, opening: &Opening, now: u64) -> ImportId {
    let id = machine.begin_import(opening, at(now, 2)).unwrap_or_else(|bad| panic!("{bad:?}"));
    id.unwrap_or_else(|| panic!("there is one already"))
}

fn import(opening: &Opening, facts: &[Fact], closing: &Closing) -> Result<Machine, Flaw> {
    let mut machine = over(MemoryStorage::new());
    let id = begin(&mut machine, opening, NOW);
    for fact in facts {
        machine.import(id, fact.clone(), NOW).unwrap_or_else(|bad| panic!("{bad:?}"))?;
    }
    machine.finish_import(id, closing).unwrap_or_else(|bad| panic!("{bad:?}"))?;
    assert!(machine.commit().is_ok());
    Ok(machine)
}

fn rows(machine: &Machine) -> Vec<Row> {
    let range = Range { after: Seq::ZERO, tombstones_after: Seq::ZERO, collection: None };
    let mut rows = Vec::new();
    let read = machine.storage().rows(range, &mut |row| {
        rows.push(row.into());
        core::ops::ControlFlow::Continue(())
    });
    assert!(read.is_ok());
    rows
}

/// [AR3] No copy lives longer than the relay allows, whatever it was promised where it comes from.
#[test]
fn ar3_a_copy_lives_no_longer_than_may_be() {
    let longest = NOW + u64::from(Settings::default().ttl_max) * 1_000;
    let mut machine = opened();
    let (mut opening, facts, closing) = export(&mut machine, |_, _| {});
    for (promised, lives) in [(longest - 1, longest - 1), (u64::MAX, longest)] {
        opening.info.expires_at = Some(promised);
        let copy = import(&opening, &facts, &closing).unwrap_or_else(|flaw| panic!("{flaw:?}"));
        assert_eq!(copy.alive(NOW).and_then(|meta| meta.info.expires_at), Some(lives));
    }
}

/// [AR1] An export is the datastore at one moment, that of its last page, whatever is written between
/// its pages.
#[test]
fn ar1_an_export_is_one_moment() {
    let mut machine = opened();
    let long = "x".repeat(4_000);
    for n in 0..400 {
        set(&mut machine, &format!("k{n}"), &long);
        add(&mut machine, &format!("\"{long}{n}\""));
    }
    let (opening, facts, closing) = export(&mut machine, |machine, turn| {
        set(machine, &format!("k{turn}"), "moved from before the cursor");
        delete(machine, &format!("k{}", 200 + turn));
        set(machine, &format!("k{}", 399 - turn), "moved from behind the cursor");
        add(machine, &format!("\"new {turn}\""));
    });
    assert!(closing.head.0 > 406, "something was written meanwhile: {closing:?}");
    let copy = import(&opening, &facts, &closing).unwrap_or_else(|flaw| panic!("{flaw:?}"));
    assert_eq!(rows(&copy), rows(&machine));
    let (one, other) = (machine.meta(), copy.meta());
    let totals =
        |meta: Option<&neap_core::datastore::Meta>| meta.map(|meta| (meta.totals, meta.head));
    assert_eq!(totals(one), totals(other));
    assert_eq!(copy.pool("~p"), machine.pool("~p"));
    assert_ne!(one.map(|meta| meta.epoch), other.map(|meta| meta.epoch));
    // Without the repeats of what moved, the copy exports the same.
    let mut copy = copy;
    let mut again = export(&mut machine, |_, _| {});
    assert_eq!(export(&mut copy, |_, _| {}), again);
    again.2.records += 1;
    assert_eq!(import(&again.0, &again.1, &again.2).err(), Some(Flaw::Digest));
    let without = again.1.split_off(1);
    again.2.records -= 1;
    assert_eq!(import(&again.0, &without, &again.2).err(), Some(Flaw::Digest));
}

/// [AR2] Until an import is whole there is no datastore, and none can be made; one that stands still, or
/// whose authority was started anew, leaves nothing.
#[test]
fn ar2_an_import_is_all_or_nothing() {
    let mut machine = opened();
    set(&mut machine, "a", "1");
    let (opening, facts, closing) = export(&mut machine, |_, _| {});
    assert_eq!(machine.begin_import(&opening, at(NOW, 2)), Ok(None));
    let mut machine = over(MemoryStorage::new());
    let id = begin(&mut machine, &opening, NOW);
    for fact in facts.clone() {
        assert_eq!(machine.import(id, fact, NOW), Ok(Ok(())));
    }
    assert!(machine.commit().is_ok());
    assert!(machine.alive(NOW).is_none() && !machine.is_over(NOW));
    assert_eq!(machine.open(&Options::default(), at(NOW, 3)), Ok(Opened::Importing));
    assert_eq!(machine.begin_import(&opening, at(NOW, 3)), Ok(None));
    assert_eq!(machine.upkeep_due(), Some(NOW + IMPORT_IDLE_MS));
    let stored = machine.storage().clone();
    let mut anew = over(stored.clone());
    assert_eq!(anew.upkeep_due(), Some(0));
    assert!(anew.is_over(NOW) && anew.alive(NOW).is_none());
    assert_eq!(anew.touch_import(id, 1, NOW), Err(Flaw::Gone));
    assert_eq!(anew.finish_import(id, &closing), Ok(Err(Flaw::Gone)));
    assert_eq!(anew.destroy(), Ok(()));
    assert_eq!(anew.storage(), &MemoryStorage::new(), "nothing is left");
    let mut anew = over(stored);
    assert_eq!(anew.open(&Options::default(), at(NOW, 3)), Ok(Opened::Created));
    assert_eq!(rows(&anew), []);
    // Who stands still makes room for the next one, and cannot go on.
    let later = NOW + IMPORT_IDLE_MS;
    assert!(machine.is_over(later));
    let next = machine.begin_import(&opening, at(later, 4)).ok().flatten();
    let next = next.unwrap_or_else(|| panic!("there is room"));
    assert_eq!(rows(&machine), []);
    assert_eq!(machine.import(id, facts[0].clone(), later), Ok(Err(Flaw::Gone)));
    assert_eq!(machine.abort_import(id), Ok(()));
    for fact in facts {
        assert_eq!(machine.import(next, fact, later), Ok(Ok(())));
    }
    // What comes besides facts keeps it alive as well, and no other one.
    let later = later + IMPORT_IDLE_MS - 1;
    assert_eq!(machine.touch_import(id, 1, later), Err(Flaw::Gone));
    assert!(!machine.is_importing(later + 1));
    assert_eq!(machine.touch_import(next, 1, later), Ok(()));
    assert!(machine.is_importing(later + 1));
    assert_eq!(machine.finish_import(next, &closing), Ok(Ok(())));
    assert!(machine.alive(later).is_some());
}

/// [AR2] What is gone, accounts and answers have a bound of their own: an import fills no disk.
#[test]
fn ar2_an_import_is_bounded() {
    let (opening, _, _) = export(&mut opened(), |_, _| {});
    let bytes_max = 1_000;
    let settings = Settings { bytes_max, ..Settings::default() };
    let most = usize::try_from(bytes_max + IMPORT_REST_BYTES).unwrap_or(0);
    let gone = |n: u64| {
        let (collection, key) = ("c".into(), "k".repeat(100).into());
        Fact::Row(Row { collection, key, seq: Seq(n), data: None })
    };
    let mut machine = Authority::load(MemoryStorage::new(), settings)
        .unwrap_or_else(|trouble| panic!("{trouble:?}"));
    let id = begin(&mut machine, &opening, NOW);
    assert_eq!(machine.touch_import(id, most - 110, NOW), Ok(()));
    assert_eq!(machine.import(id, gone(1), NOW), Ok(Ok(())));
    assert_eq!(machine.import(id, gone(2), NOW), Ok(Err(Flaw::Full)));
    assert_eq!(machine.touch_import(id, 0, NOW), Err(Flaw::Full));
}

/// Carries frames both ways until nothing is left to say; `answers` says whether the replica hears.
fn talk(replica: &mut Replica, machine: &mut Machine, session: u64, hears: bool) {
    loop {
        let mut quiet = true;
        while let Some(frame) = replica.take_frame() {
            quiet = false;
            assert_eq!(machine.receive(session, &frame, at(NOW, 9)), Ok(()));
        }
        for output in machine.commit().unwrap_or_else(|trouble| panic!("{trouble:?}")) {
            if let Output::Send { frame, .. } = output
                && hears
            {
                let heard = replica.received(&frame, NOW);
                assert_eq!(heard, Ok(()), "an honest answer");
            }
        }
        replica.info_saved();
        if quiet {
            return;
        }
    }
}

/// [LE5] What the exported ledger knew, the imported one knows: a replica introduces itself in the new
/// life under the id that it had, so what was applied before is settled and not applied again.
#[test]
fn le5_an_imported_ledger_knows() {
    let mut machine = opened();
    let mut replica = Replica::new(ReplicaId([5; 16]), ReplicaId([6; 16]), 7, Options::default());
    replica.connected(NOW);
    machine.connect(1, Admission::OPEN, NOW);
    talk(&mut replica, &mut machine, 1, true);
    let write = |replica: &mut Replica, key: &str| {
        let data = format!(r#"{{"id":"{key}"}}"#);
        let turn = replica.mutate(OpKind::Set, "c", key, &data, Condition::None);
        replica.durable(turn.unwrap_or_else(|bad| panic!("{bad:?}")));
    };
    // Applied, and the answer lost.
    write(&mut replica, "a");
    write(&mut replica, "b");
    talk(&mut replica, &mut machine, 1, false);
    assert_eq!((replica.pending(), machine.meta().map(|meta| meta.head)), (2, Some(Seq(2))));
    let (opening, facts, closing) = export(&mut machine, |_, _| {});
    replica.closed(1006);
    // What is written after the export is new to the copy.
    write(&mut replica, "d");
    let mut copy = import(&opening, &facts, &closing).unwrap_or_else(|flaw| panic!("{flaw:?}"));
    replica.connected(NOW);
    copy.connect(1, Admission::OPEN, NOW);
    talk(&mut replica, &mut copy, 1, true);
    // In a new life what is pending is stored anew before it may leave.
    let mut events = Vec::new();
    while let Some(event) = replica.take_events() {
        events.push(event);
    }
    assert!(events.contains(&Event::Renumbered), "{events:?}");
    replica.durable(replica.minted());
    talk(&mut replica, &mut copy, 1, true);
    assert_eq!((replica.pending(), replica.epoch()), (0, Some(Epoch([2; 8]))));
    let seqs: Vec<_> = rows(&copy).iter().map(|row| (row.key.to_string(), row.seq.0)).collect();
    assert_eq!(seqs, [("a".into(), 1), ("b".into(), 2), ("d".into(), 3)], "each once");
    assert_eq!(replica.id(), ReplicaId([5; 16]), "under the id that it had");
}
