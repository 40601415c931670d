//! Doors and counters for the project's own tests. No shipped relay has them.

use std::cell::Cell;

use neap_http::{Answer, Object};

use crate::{platform::Cursor, relay::Relay, storage::SqlRows};

/// What the objects of this isolate have done so far.
#[derive(Default)]
pub(crate) struct Counts {
    /// Objects made: first use, or waking up.
    pub(crate) births: Cell<u64>,
    /// Groups committed.
    pub(crate) commits: Cell<u64>,
    statements: Cell<u64>,
    rows_read: Cell<u64>,
    rows_written: Cell<u64>,
}

thread_local! {
    static COUNTS: Counts = Counts::default();
}

/// Adds to a counter.
pub(crate) fn count(which: impl FnOnce(&Counts) -> &Cell<u64>, more: u64) {
    COUNTS.with(|counts| {
        let counter = which(counts);
        counter.set(counter.get().saturating_add(more));
    });
}

/// Counts a statement that writes when it is executed; what it reads, it reads later.
pub(crate) fn count_statement(cursor: &Cursor) {
    count(|counts| &counts.statements, 1);
    count(|counts| &counts.rows_written, cursor.rows_written().unwrap_or(0.0) as u64);
}

/// Counts the rows of a statement that has been read to its end.
pub(crate) fn count_rows(cursor: &Cursor) {
    count(|counts| &counts.rows_read, cursor.rows_read().unwrap_or(0.0) as u64);
}

/// Runs the storage contract against the object's SQLite, or traps, or tells the counts.
pub(crate) fn answer(relay: &Relay, order: &[u8]) -> Answer {
    match order {
        b"trap" => core::arch::wasm32::unreachable(),
        b"counts" => COUNTS.with(|counts| {
            let body = Object::new()
                .number("births", counts.births.get())
                .number("commits", counts.commits.get())
                .number("statements", counts.statements.get())
                .number("rowsRead", counts.rows_read.get())
                .number("rowsWritten", counts.rows_written.get());
            Answer::json(200, body)
        }),
        _ => match relay.storage().and_then(|storage| storage.sql()) {
            Ok(sql) => {
                neap_core::storage::contract::check(SqlRows::new(sql));
                Answer::empty(204)
            }
            Err(_) => Answer::internal(),
        },
    }
}
