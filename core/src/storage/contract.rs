//! The contract of [`Storage`], as a test of any implementation.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

use alloc::{string::String, vec, vec::Vec};
use core::ops::ControlFlow;

use super::{Pruned, Range, Storage};
use crate::{
    id::{ReplicaId, Seq},
    limits::{NAME_BYTES_MAX, RECORD_BYTES_MAX},
    pool::Item,
    record::Row,
    wire::RowRef,
};

/// Runs the whole contract against an empty storage; panics where it is broken.
pub fn check<S: Storage>(mut storage: S) {
    values(&mut storage);
    rows(&mut storage);
    order(&mut storage);
    sizes(&mut storage);
    pruning(&mut storage);
    pools(&mut storage);
    storage.clear().unwrap();
    assert_eq!(storage.pool("~p").unwrap(), None, "clear removes pools");
    assert_eq!(storage.item("~p", "a").unwrap(), None, "clear removes items");
    assert_eq!(storage.meta().unwrap(), None, "clear removes the meta value");
    assert_eq!(storage.entry(&ReplicaId([1; 16])).unwrap(), None, "clear removes the ledger");
    assert_eq!(
        read(&storage, Range { after: Seq::ZERO, tombstones_after: Seq::ZERO, collection: None }),
        ""
    );
}

fn values<S: Storage>(storage: &mut S) {
    assert_eq!(storage.meta().unwrap(), None);
    storage.put_meta(&[0, 255, 7]).unwrap();
    storage.put_meta(&[1, 0, 2]).unwrap();
    assert_eq!(storage.meta().unwrap(), Some(vec![1, 0, 2]));

    let (one, other) = (ReplicaId([1; 16]), ReplicaId([2; 16]));
    storage.put_entry(&one, 5, &[9]).unwrap();
    storage.put_entry(&one, 1_800_000_000_000, &[8, 0]).unwrap();
    assert_eq!(storage.entry(&one).unwrap(), Some(vec![8, 0]));
    assert_eq!(storage.entry(&other).unwrap(), None);
    storage.put_entry(&other, 7, &[1]).unwrap();
    assert_eq!(read_entries(storage, (0, other), 9), "7:2 1800000000000:1 ", "the oldest first");
    storage.put_entry(&ReplicaId([0; 16]), 7, &[1]).unwrap();
    assert_eq!(read_entries(storage, (7, ReplicaId([0; 16])), 9), "7:2 1800000000000:1 ");
    assert_eq!(read_entries(storage, (6, other), 2), "7:0 7:2 ", "a visitor can break off");
    assert!(!storage.forget_entries(7).unwrap(), "nothing is that old");
    assert_eq!(
        storage.entry(&other).unwrap(),
        Some(vec![1]),
        "what was touched at the floor stays"
    );
    assert!(storage.forget_entries(8).unwrap());
    assert!(!storage.forget_entries(8).unwrap());
    assert_eq!(storage.entry(&other).unwrap(), None);
    assert_eq!(storage.entry(&one).unwrap(), Some(vec![8, 0]));
}

fn rows<S: Storage>(storage: &mut S) {
    assert_eq!(storage.row("a", "k").unwrap(), None);
    put(storage, "a", "k", 1, Some(r#"{"id":"k"}"#));
    put(storage, "b", "k", 2, Some("{\"id\":\"k\",\"t\":\"é😀\u{0}\"}"));
    let row = storage.row("b", "k").unwrap().unwrap();
    assert_eq!((row.seq, row.data.as_deref()), (Seq(2), Some("{\"id\":\"k\",\"t\":\"é😀\u{0}\"}")));
    put(storage, "b", "k", 3, None);
    let row = storage.row("b", "k").unwrap().unwrap();
    assert_eq!((row.seq, row.data), (Seq(3), None), "a tombstone is a row");
    assert_eq!(storage.row("a", "k").unwrap().unwrap().seq, Seq(1));
    assert_eq!(storage.row("a", "K").unwrap(), None, "keys are compared by bytes");
    let large = Seq((1 << 53) - 1);
    storage.put_row(RowRef { collection: "z", key: "z", seq: large, data: Some("{}") }).unwrap();
    assert_eq!(storage.row("z", "z").unwrap().unwrap().seq, large, "seqs up to 2^53-1 are exact");
}

fn order<S: Storage>(storage: &mut S) {
    storage.clear().unwrap();
    for (key, seq) in [("d", 1), ("b", 2), ("a", 2), ("é", 3), ("c", 5), ("d", 6)] {
        put(storage, "x", key, seq, Some("{}"));
    }
    put(storage, "y", "a", 2, Some("{}"));
    put(storage, "x", "b", 4, None);
    let range = Range { after: Seq::ZERO, tombstones_after: Seq::ZERO, collection: None };
    assert_eq!(read(storage, range), "2xa 2ya 3xé 4xb- 5xc 6xd ");
    assert_eq!(read(storage, Range { after: Seq(3), ..range }), "4xb- 5xc 6xd ");
    assert_eq!(read(storage, Range { tombstones_after: Seq(4), ..range }), "2xa 2ya 3xé 5xc 6xd ");
    assert_eq!(read(storage, Range { collection: Some("y"), ..range }), "2ya ");
    let mut seen = 0;
    let mut two = |_: RowRef<'_>| {
        seen += 1;
        if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    storage.rows(range, &mut two).unwrap();
    assert_eq!(seen, 2, "a visitor can break off");
}

/// Rows of all sizes among each other, more than any implementation reads at once, under keys of all kinds.
fn sizes<S: Storage>(storage: &mut S) {
    storage.clear().unwrap();
    let name = "n".repeat(NAME_BYTES_MAX);
    let mut all = Vec::new();
    for n in 0..2_500_usize {
        let key = match n % 9 {
            0 => alloc::format!("{n} ;\u{0}\n"),
            1 => alloc::format!("{n:é>300}"),
            2 => alloc::format!("{n:0>512}"),
            _ => alloc::format!("{n:04}"),
        };
        let long = match n {
            1_000 => RECORD_BYTES_MAX - 9,
            _ if n % 600 == 7 => 60_000,
            _ if n % 50 == 3 => 3_000,
            _ => n % 80,
        };
        let data = (n % 11 > 0).then(|| alloc::format!(r#"{{"t":"{}"}}"#, "x".repeat(long)).into());
        let (collection, seq) =
            (if n % 5 == 0 { "a" } else { &name }.into(), Seq(1 + n as u64 / 3));
        all.push(Row { collection, key: key.into(), seq, data });
    }
    for row in &all {
        storage.put_row(row.into()).unwrap();
    }
    all.sort_by(|a, b| (a.seq, &a.collection, &a.key).cmp(&(b.seq, &b.collection, &b.key)));
    for (after, tombstones_after, collection) in
        [(0, 0, None), (300, 400, None), (20, 0, Some("a"))]
    {
        let range =
            Range { after: Seq(after), tombstones_after: Seq(tombstones_after), collection };
        let is_there = |row: &&Row| {
            let is_heard = row.data.is_some() || row.seq > range.tombstones_after;
            row.seq > range.after
                && is_heard
                && collection.is_none_or(|name| *row.collection == *name)
        };
        let expected: Vec<&Row> = all.iter().filter(is_there).collect();
        let mut found = Vec::new();
        let mut each = |row: RowRef<'_>| {
            found.push(Row::from(row));
            ControlFlow::Continue(())
        };
        storage.rows(range, &mut each).unwrap();
        assert!(found.iter().eq(expected), "after {after}: {} rows", found.len());
    }
}

fn pruning<S: Storage>(storage: &mut S) {
    storage.clear().unwrap();
    assert_eq!(storage.prune(3).unwrap(), None);
    for (key, seq) in [("a", 1), ("b", 2), ("c", 2), ("d", 3)] {
        put(storage, "x", key, seq, None);
    }
    put(storage, "x", "e", 1, Some("{}"));
    assert_eq!(storage.prune(2).unwrap(), Some(Pruned { count: 3, up_to: Seq(2) }));
    let all = Range { after: Seq::ZERO, tombstones_after: Seq::ZERO, collection: None };
    assert_eq!(read(storage, all), "1xe 3xd- ", "all of a seq go, records stay");
    assert_eq!(storage.row("x", "a").unwrap(), None);
}

fn pools<S: Storage>(storage: &mut S) {
    assert_eq!(storage.pool("~p").unwrap(), None);
    assert_eq!(storage.item("~p", "a").unwrap(), None);
    storage.put_pool("~p", &[1]).unwrap();
    storage.put_pool("~p", &[2, 0]).unwrap();
    storage.put_pool("~q", &[3]).unwrap();
    assert_eq!(storage.pool("~p").unwrap(), Some(vec![2, 0]));
    assert_eq!(read_pools(storage, 9), [("~p".into(), vec![2, 0]), ("~q".into(), vec![3])]);
    assert_eq!(read_pools(storage, 1), [("~p".into(), vec![2, 0])]);
    let item = |seq: u64, data: &str| Item {
        seq: Seq(seq),
        hash: crate::pool::hash("~p", "", data),
        data: Some(data.into()),
    };
    for (ident, seq) in [("b", 1), ("\0ja", 2), ("é", 3), ("b", 4)] {
        storage.put_item("~p", ident, &item(seq, "{}")).unwrap();
    }
    storage.put_item("~q", "b", &item(1, "7")).unwrap();
    assert_eq!(storage.item("~p", "b").unwrap(), Some(item(4, "{}")));
    assert_eq!(storage.item("~q", "b").unwrap(), Some(item(1, "7")));
    assert_eq!(storage.item("~p", "B").unwrap(), None);
    assert_eq!(read_items(storage, "~p", 0), "2\0ja 3é 4b ");
    assert_eq!(read_items(storage, "~p", 3), "4b ");
    let mut seen = 0;
    let mut one = |_: &str, _| {
        seen += 1;
        ControlFlow::Break(())
    };
    storage.items("~p", Seq::ZERO, &mut one).unwrap();
    assert_eq!(seen, 1, "a visitor can break off");
    assert_eq!(storage.erase_items("~p", Seq(0)..Seq(3), 1).unwrap(), Seq(2));
    assert_eq!(read_items(storage, "~p", 0), "2\0ja- 3é 4b ");
    assert_eq!(storage.erase_items("~p", Seq(2)..Seq(3), 9).unwrap(), Seq(3));
    assert_eq!(storage.erase_items("~p", Seq(3)..Seq(3), 9).unwrap(), Seq(3));
    assert_eq!(read_items(storage, "~p", 2), "3é- 4b ");
    let erased = Item { data: None, ..item(3, "{}") };
    assert_eq!(storage.item("~p", "é").unwrap(), Some(erased), "an erased item is known");
    assert_eq!(read_items(storage, "~q", 0), "1b ");
}

fn read_items<S: Storage>(storage: &S, pool: &str, after: u64) -> String {
    let mut seen = Vec::new();
    let mut each = |ident: &str, item: Item| {
        let mark = if item.data.is_none() { "-" } else { "" };
        seen.push(alloc::format!("{}{ident}{mark} ", item.seq.0));
        ControlFlow::Continue(())
    };
    storage.items(pool, Seq(after), &mut each).unwrap();
    seen.concat()
}

fn read_entries<S: Storage>(storage: &S, after: (u64, ReplicaId), most: usize) -> String {
    let mut seen = Vec::new();
    let mut each = |(at, replica): (u64, ReplicaId), bytes: Vec<u8>| {
        assert_eq!(storage.entry(&replica).unwrap(), Some(bytes));
        seen.push(alloc::format!("{at}:{} ", replica.0[0]));
        if seen.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    storage.entries(after, &mut each).unwrap();
    seen.concat()
}

fn read_pools<S: Storage>(storage: &S, most: usize) -> Vec<(String, Vec<u8>)> {
    let mut seen = Vec::new();
    let mut each = |name: &str, bytes: Vec<u8>| {
        seen.push((name.into(), bytes));
        if seen.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    storage.pools(&mut each).unwrap();
    seen
}

fn put<S: Storage>(storage: &mut S, collection: &str, key: &str, seq: u64, data: Option<&str>) {
    storage.put_row(RowRef { collection, key, seq: Seq(seq), data }).unwrap();
}

fn read<S: Storage>(storage: &S, range: Range<'_>) -> String {
    let mut seen = Vec::new();
    let mut each = |row: RowRef<'_>| {
        let mark = if row.data.is_none() { "-" } else { "" };
        seen.push(alloc::format!("{}{}{}{mark} ", row.seq.0, row.collection, row.key));
        ControlFlow::Continue(())
    };
    storage.rows(range, &mut each).unwrap();
    seen.concat()
}
