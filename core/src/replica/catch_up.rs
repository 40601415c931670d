//! Catching up: pages are staged aside and become visible together when the head is reached.

use alloc::{boxed::Box, vec::Vec};

use super::{
    Event, Journal, Phase, Reconnect, Replica, ResetReason,
    confirm::Unsettled,
    outbox::Place,
    table::{Held, Table},
};
use crate::{
    id::Seq,
    pool::is_pool,
    wire::{self, BadFrame, Changes, Cursor, Last, Page},
};

/// Pages that have come so far.
#[derive(Debug)]
pub(super) struct Staging {
    rows: Table,
    /// Where the next page begins.
    pub(super) cursor: Cursor,
    /// The frame of the last of them, as long as its rows are not among these: what comes next is asked for before, so
    /// that the authority reads it meanwhile.
    unread: Box<[u8]>,
    /// Whether they begin at the start, so that they replace all that is held.
    is_whole: bool,
}

impl Replica {
    /// Where this replica goes on.
    pub(super) fn cursor(&self) -> Cursor {
        match &self.staging {
            Some(staging) => staging.cursor,
            None if self.is_stale => Cursor::default(),
            None => Cursor { after: self.seq, floor: self.seq },
        }
    }

    /// Asks for what has come since; the connection stays.
    pub(super) fn ask_again(&mut self) {
        self.staging = None;
        self.ask(self.cursor());
    }

    /// Asks for everything.
    pub(super) fn ask_from_start(&mut self) {
        self.ask(Cursor::start(self.head));
    }

    fn ask(&mut self, from: Cursor) {
        self.staging = None;
        self.close_pools();
        self.ask_for_life();
        self.phase = Phase::CatchingUp;
        self.next_is_due = Some(from);
    }

    /// Takes a page. It must begin where the one before ended, or at the start.
    pub(super) fn turn_page(&mut self, page: Page, frame: &[u8]) -> Result<(), Reconnect> {
        self.stage_or_begin_anew()?;
        let is_start = page.from.after == Seq::ZERO;
        let continues = page.from == self.asked;
        let settled = page.last.as_ref().map_or(&[][..], |last| &last.settled);
        if !(continues || is_start) || !self.makes_sense(&Changes::default(), settled) {
            return Err(Reconnect::BadFrame);
        }
        let staging = self.staging.take().filter(|_| continues);
        let mut staging = staging.unwrap_or_else(|| Staging {
            rows: Table::new(self.seed, self.page_records),
            cursor: page.from,
            unread: Box::default(),
            is_whole: is_start,
        });
        staging.cursor = page.cursor;
        staging.unread = frame.into();
        self.staging = Some(staging);
        self.asked = page.cursor;
        self.head = self.head.max(page.head);
        match page.last {
            None => self.next_is_due = Some(page.cursor),
            Some(last) => {
                self.stage_or_begin_anew()?;
                self.arrive(page.cursor.after, &last);
            }
        }
        Ok(())
    }

    fn stage_or_begin_anew(&mut self) -> Result<(), Reconnect> {
        self.stage().map_err(|BadFrame| {
            self.staging = None;
            Reconnect::BadFrame
        })
    }

    /// Stages the rows of the page that has come last. Torn ones are found again by whoever tries again.
    #[inline(never)]
    pub(super) fn stage(&mut self) -> Result<(), BadFrame> {
        let Some(staging) = &mut self.staging else { return Ok(()) };
        if staging.unread.is_empty() {
            return Ok(());
        }
        let (_, changes) = wire::decode_down(&staging.unread)?;
        let mut rows = changes.rows();
        for row in rows.by_ref() {
            let row = row?;
            let collection = self.names.intern(row.collection);
            match row.data {
                None if staging.is_whole => {
                    staging.rows.remove(collection, row.collection, row.key)
                }
                data => {
                    let held = Held { seq: row.seq, data: data.unwrap_or("") };
                    staging.rows.put(collection, row.collection, row.key, held);
                }
            }
        }
        rows.end()?;
        staging.unread = Box::default();
        self.events.push_back(Event::Turned);
        Ok(())
    }

    /// Makes the staged pages visible: the replica is at the head.
    fn arrive(&mut self, seq: Seq, last: &Last) {
        let Some(staging) = self.staging.take() else {
            return;
        };
        let had_something = self.is_stale || self.seq > Seq::ZERO;
        let changed = staging.rows.page_count() > 0 || !last.settled.is_empty() || seq != self.seq;
        let mut unsettled = Unsettled::default();
        // What is held says what the order had before, unless it is of another life or known to be wrong.
        if !self.is_stale && !self.healing {
            self.look_beneath_all(&last.settled);
        }
        if staging.is_whole {
            self.replace(staging.rows);
        } else {
            for (collection, key, held) in staging.rows.entries() {
                self.confirm(collection, key, held, &mut unsettled);
            }
        }
        self.settle_told_elsewhere(self.acknowledged(&last.settled));
        self.settle(&last.settled, &mut unsettled);
        self.outlive_siblings(seq);
        self.settle_siblings(seq, &mut unsettled);
        if staging.is_whole {
            self.rebase_all();
        } else {
            self.rebase(unsettled);
        }
        self.seq = seq;
        self.phase = Phase::Live;
        self.road.is_at_head();
        self.journal = match (staging.is_whole, changed) {
            (true, _) => Journal::Checkpoint,
            (false, true) => Journal::Pages,
            (false, false) => Journal::Nothing,
        };
        if staging.is_whole && had_something && !self.healing {
            let reason = if self.is_stale { ResetReason::Epoch } else { ResetReason::History };
            self.events.push_back(Event::Reset(reason));
        }
        self.is_stale = false;
        self.siblings.whole();
        self.reopen_pools();
        self.events.push_back(Event::Live);
        if self.table.digest() != last.digest {
            self.diverged();
        }
        self.ask_of_other_lives();
    }

    /// Takes staged records in place of all that is held.
    fn replace(&mut self, mut staged: Table) {
        // The order of records says nothing of pools; only the end of their life does.
        for (collection, ident, held) in self.table.entries() {
            let name = self.names.name(collection);
            if !self.is_stale && is_pool(name) {
                staged.put(collection, name, ident, held);
            }
        }
        if self.is_stale {
            self.empty_pools();
        }
        if self.changes.is_watched() {
            let place = |(collection, key, _): (_, &str, _)| (collection, key.into());
            let places: Vec<Place> =
                self.table.entries().chain(staged.entries()).map(place).collect();
            for (collection, key) in places {
                self.mark(collection, &key);
            }
        }
        self.table = staged;
    }
}
