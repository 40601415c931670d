//! The changes after a seq, in pages.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use super::{
    Authority, Moment, Output, SessionId, Trouble,
    session::{Phase, Unturned},
};
use crate::{
    datastore::Meta,
    id::{Epoch, Seq},
    limits::{AHEAD_BYTES, PAGE_BYTES, PAGE_ROWS, STRIDE_BYTES, UNTURNED_MAX},
    record::Row,
    storage::{Range, Storage},
    wire::{self, Cursor, Down, Last, Packer, Page, RowRef, Settled},
};

/// When a page is full. A delta is closed at the same number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize {
    /// It holds this many rows.
    pub rows: usize,
    /// Its rows have this size.
    pub bytes: usize,
}

impl Default for PageSize {
    fn default() -> Self {
        PageSize { rows: PAGE_ROWS, bytes: PAGE_BYTES }
    }
}

/// What a page of records is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listing<'a> {
    /// Which rows.
    pub range: Range<'a>,
    /// The page is closed when it holds this many rows.
    pub rows: usize,
    /// The page is closed when its rows have this size.
    pub bytes: usize,
}

impl Cursor {
    /// Whether the history reaches back to this cursor.
    #[must_use]
    pub fn is_within(self, meta: &Meta) -> bool {
        self.after <= meta.head && self.floor <= meta.head && self.floor >= meta.horizon
    }
}

/// The page that was made last in this group: a crowd that comes back at once asks for the same ones.
#[derive(Debug)]
pub(super) struct Made {
    /// What it is a page of.
    of: (Epoch, Seq, Cursor, usize),
    cursor: Cursor,
    is_last: bool,
    changes: Vec<u8>,
}

impl<S: Storage> Authority<S> {
    /// Reads rows until a page is full, never splitting a seq. Tells whether there are no more.
    ///
    /// # Errors
    /// When storage fails.
    pub fn list(&self, listing: Listing<'_>) -> Result<(Vec<Row>, bool), Trouble<S::Error>> {
        let mut rows = Vec::new();
        let is_last = self.visit(listing, |row| rows.push(row.into()))?;
        Ok((rows, is_last))
    }

    fn visit(
        &self,
        listing: Listing<'_>,
        mut each: impl FnMut(RowRef<'_>),
    ) -> Result<bool, Trouble<S::Error>> {
        let (mut rows, mut bytes, mut last, mut is_last) = (0, 0, listing.range.after, true);
        self.storage.rows(listing.range, &mut |row| {
            let is_full = rows >= listing.rows || bytes >= listing.bytes;
            if is_full && row.seq != last {
                is_last = false;
                return ControlFlow::Break(());
            }
            (rows, bytes, last) = (rows + 1, bytes + row.size(), row.seq);
            each(row);
            ControlFlow::Continue(())
        })?;
        Ok(is_last)
    }

    /// Reads one page of the changes after a cursor, which must lie within the history.
    fn make_page(
        &self,
        cursor: Cursor,
        head: Seq,
        bytes: usize,
    ) -> Result<(Vec<u8>, Cursor, bool), Trouble<S::Error>> {
        let range = Range { after: cursor.after, tombstones_after: cursor.floor, collection: None };
        let (rows, mut packer, mut reached) = (self.page.rows, Packer::default(), cursor.after);
        let is_last = self.visit(Listing { range, rows, bytes }, |row| {
            packer.add(row);
            reached = row.seq;
        })?;
        let after = if is_last { head } else { reached };
        Ok((packer.finish(), Cursor { after, floor: cursor.floor }, is_last))
    }

    /// Answers Next: goes on where the pages lead that are on their way, or begins anew.
    pub(super) fn turn_page(
        &mut self,
        id: SessionId,
        cursor: Cursor,
        moment: Moment,
    ) -> Result<(), Trouble<S::Error>> {
        self.seal();
        match self.turned(id, cursor, moment.now) {
            Some(from) => self.send_pages(id, from, moment.now),
            None => Ok(()),
        }
    }

    /// Hears that a session has read what was sent up to here. Gives where the next page begins, unless there is none.
    fn turned(&mut self, id: SessionId, cursor: Cursor, now: u64) -> Option<Cursor> {
        let session = self.sessions.get_mut(&id)?;
        let place = session.unturned.iter().position(|page| page.cursor == cursor);
        let turned = place.and_then(|place| session.unturned.drain(..=place).next_back());
        let (read, next) = match turned {
            Some(page) => {
                session.travelled(now.saturating_sub(page.at));
                (page.unread, session.next)
            }
            // What it was led to otherwise it has not taken; it stands behind all that was sent before.
            None => {
                session.unturned.clear();
                (u64::MAX, Some(cursor))
            }
        };
        self.has_read(id, read);
        next
    }

    /// Sends a page where none is on its way, and more while there is room: so the next is read while those travel, and
    /// nobody waits for them.
    pub(super) fn send_pages(
        &mut self,
        id: SessionId,
        from: Cursor,
        now: u64,
    ) -> Result<(), Trouble<S::Error>> {
        let mut next = Some(from);
        // One for the one that was turned, and one more.
        for _ in 0..2 {
            let Some(from) = next.filter(|_| self.has_room(id)) else { break };
            next = self.send_page(id, from, now)?;
        }
        Ok(())
    }

    /// Whether another page may go. Over a slow road it follows when the last was turned; in a crowd nobody gets more than
    /// it asks for, all of it the same few pages.
    fn has_room(&self, id: SessionId) -> bool {
        let Some(session) = self.sessions.get(&id) else { return false };
        let is_crowded = self.paged >= AHEAD_BYTES;
        let is_full = usize::try_from(session.unread).is_ok_and(|unread| unread >= AHEAD_BYTES)
            || session.unturned.len() >= UNTURNED_MAX;
        session.unturned.is_empty() || session.is_quick && !is_crowded && !is_full
    }

    /// Sends a page and gives where the next one begins. Where the history no longer reaches back to the cursor, it
    /// begins at the start.
    fn send_page(
        &mut self,
        id: SessionId,
        cursor: Cursor,
        now: u64,
    ) -> Result<Option<Cursor>, Trouble<S::Error>> {
        let Some(meta) = &self.meta else { return Ok(None) };
        let (head, digest) = (meta.head, meta.totals.digest);
        let from = if cursor.is_within(meta) { cursor } else { Cursor::start(head) };
        let stride = self.stride(id);
        let of = (meta.epoch, head, from, stride);
        let made = match self.made.take().filter(|made| made.of == of) {
            Some(made) => made,
            None => {
                let (changes, cursor, is_last) = self.make_page(from, head, stride)?;
                Made { of, cursor, is_last, changes }
            }
        };
        let cursor = made.cursor;
        let settled = if made.is_last { Some(self.unacknowledged(id)?) } else { None };
        let outcomes = settled.as_ref().map_or(0, |settled| size_of_val(&settled[..]));
        let last = settled.map(|settled| Last { digest, settled });
        let frame =
            wire::encode_down(&Down::Page(Page { from, cursor, head, last }), &made.changes);
        let (next, rows) = ((!made.is_last).then_some(cursor), made.changes.len());
        self.made = Some(made);
        self.paged = self.paged.saturating_add(frame.len());
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(None) };
        let is_again = from.after < session.reached;
        session.reached = session.reached.max(cursor.after);
        session.next = next;
        session.unread = session.unread.saturating_add(frame.len() as u64);
        if next.is_some() {
            session.unturned.push(Unturned { cursor, unread: session.unread, at: now });
        }
        // It is remembered how far it has come before it hears of it.
        self.set_phase(id, if next.is_some() { Phase::CatchingUp } else { Phase::Live });
        self.outputs.push(Output::Send { to: alloc::vec![id], frame });
        // Whoever goes on pays for nothing but what stands on each last page.
        self.charge_again(id, if is_again { rows } else { 0 } + outcomes, now);
        Ok(next)
    }

    /// How many bytes the next page for a session may have.
    pub(super) fn stride(&self, id: SessionId) -> usize {
        let stride = self.sessions.get(&id).and_then(|session| session.stride.try_into().ok());
        self.page.bytes.min(stride.unwrap_or(STRIDE_BYTES))
    }

    /// All outcomes that a session's replicas may not have heard.
    fn unacknowledged(&mut self, id: SessionId) -> Result<Vec<Settled>, Trouble<S::Error>> {
        let Some(session) = self.sessions.get(&id) else {
            return Ok(Vec::new());
        };
        let mut settled = Vec::new();
        for (place, author) in (0_u8..).zip(&session.authors) {
            let Some(entry) = self.ledger.find(&self.storage, &author.id)? else {
                continue;
            };
            let each = entry.outcomes();
            settled.extend(each.map(|(turn, outcome)| Settled { author: place, turn, outcome }));
        }
        Ok(settled)
    }
}
