//! Doors and counters for the project's own tests. No shipped relay has them.

use std::cell::Cell;

use js_sys::JsString;
use neap_http::{Answer, Object};
use wasm_bindgen::prelude::*;

use crate::{
    platform::{Cursor, State, say},
    relay::Relay,
    storage::SqlRows,
};

/// What the objects of this isolate have done so far.
#[derive(Default)]
pub(crate) struct Counts {
    /// Objects made: first use, or waking up.
    pub(crate) births: Cell<u64>,
    /// Groups committed.
    pub(crate) commits: Cell<u64>,
    /// Frames handed to sockets.
    pub(crate) frames: Cell<u64>,
    /// Times that the alarm was set, which is billed as a row written.
    pub(crate) alarms: Cell<u64>,
    statements: Cell<u64>,
    rows_read: Cell<u64>,
    rows_written: Cell<u64>,
}

/// Where the next group commit traps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trap {
    /// Its rows are written and not committed.
    Within,
    /// It is committed, and nobody has heard of it.
    Behind,
}

thread_local! {
    static COUNTS: Counts = Counts::default();
    static TRAP: Cell<Option<Trap>> = const { Cell::new(None) };
}

/// Traps here if that was asked for.
pub(crate) fn trap_at(place: Trap) {
    if TRAP.get() == Some(place) {
        core::arch::wasm32::unreachable()
    }
}

#[wasm_bindgen(
    inline_js = "export const abort_soon = (state) => setTimeout(() => state.abort('as a deploy'), 20);"
)]
extern "C" {
    /// Not at once: that would end this very call, and with it all of the isolate.
    fn abort_soon(state: &State);
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

/// Does what a test orders: `trap`, now; `trap within`, `trap behind`, in the next group; `abort`, as a deploy
/// does; `alarm`, as if it had gone off; `counts`; `sql`, a statement that follows; or else the storage
/// contract.
pub(crate) fn answer(relay: &Relay, order: &[u8]) -> Answer {
    match order {
        b"trap" => core::arch::wasm32::unreachable(),
        b"trap within" => TRAP.set(Some(Trap::Within)),
        b"trap behind" => TRAP.set(Some(Trap::Behind)),
        b"abort" => abort_soon(relay.state()),
        b"alarm" => relay.wake(),
        b"counts" => return counts(),
        _ => match relay.storage().and_then(|storage| storage.sql()) {
            Ok(sql) => match order.strip_prefix(b"sql ").map(String::from_utf8_lossy) {
                Some(text) => {
                    if let Err(error) = sql.exec0(&JsString::from(&*text)) {
                        return Answer::json(400, Object::new().text("error", &say(&error)));
                    }
                }
                None => neap_core::storage::contract::check(SqlRows::new(sql)),
            },
            Err(_) => return Answer::internal(),
        },
    }
    Answer::empty(204)
}

fn counts() -> Answer {
    let pages = u64::try_from(core::arch::wasm32::memory_size(0)).unwrap_or(u64::MAX);
    COUNTS.with(|counts| {
        let body = Object::new()
            .number("births", counts.births.get())
            .number("commits", counts.commits.get())
            .number("frames", counts.frames.get())
            .number("alarms", counts.alarms.get())
            .number("statements", counts.statements.get())
            .number("rowsRead", counts.rows_read.get())
            .number("rowsWritten", counts.rows_written.get())
            .number("memory", pages.saturating_mul(64 * 1024));
        Answer::json(200, body)
    })
}
