//! The contract of [`Storage`], as a test of any implementation.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

use alloc::{string::String, vec, vec::Vec};
use core::ops::ControlFlow;

use super::{Pruned, Range, Storage};
use crate::{
    id::{ReplicaId, Seq},
    wire::RowRef,
};

/// Runs the whole contract against an empty storage; panics where it is broken.
pub fn check<S: Storage>(mut storage: S) {
    values(&mut storage);
    rows(&mut storage);
    order(&mut storage);
    pruning(&mut storage);
    storage.clear().unwrap();
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
    storage.forget_entries(7).unwrap();
    assert_eq!(
        storage.entry(&other).unwrap(),
        Some(vec![1]),
        "what was touched at the floor stays"
    );
    storage.forget_entries(8).unwrap();
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
    let mut two = |_| {
        seen += 1;
        if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    storage.rows(range, &mut two).unwrap();
    assert_eq!(seen, 2, "a visitor can break off");
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

fn put<S: Storage>(storage: &mut S, collection: &str, key: &str, seq: u64, data: Option<&str>) {
    storage.put_row(RowRef { collection, key, seq: Seq(seq), data }).unwrap();
}

fn read<S: Storage>(storage: &S, range: Range<'_>) -> String {
    let mut seen = Vec::new();
    let mut each = |row: crate::record::Row| {
        let mark = if row.data.is_none() { "-" } else { "" };
        seen.push(alloc::format!("{}{}{}{mark} ", row.seq.0, row.collection, row.key));
        ControlFlow::Continue(())
    };
    storage.rows(range, &mut each).unwrap();
    seen.concat()
}
