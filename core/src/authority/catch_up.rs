//! The changes after a seq, in pages.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use super::{Authority, Moment, SessionId, Trouble, session::Phase};
use crate::{
    datastore::Meta,
    id::{Epoch, Seq},
    limits::{PAGE_BYTES, PAGE_ROWS},
    record::Row,
    storage::{Range, Storage},
    wire::{self, Cursor, Down, Last, Page, Settled},
};

/// One page of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatchUp {
    /// Rows in the order of their seqs; all rows of a seq stand on one page.
    pub rows: Vec<Row>,
    /// Where the next page begins.
    pub cursor: Cursor,
    /// Whether the page reaches the head.
    pub is_last: bool,
}

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

/// A page's frame and the rows that follow it.
type Paged = (Down, Vec<u8>);

/// The page that was made last in this group: a crowd that comes back at once asks for the same ones.
#[derive(Debug)]
pub(super) struct Made {
    /// What it is a page of.
    of: (Epoch, Seq, Cursor),
    cursor: Cursor,
    is_last: bool,
    changes: Vec<u8>,
}

impl<S: Storage> Authority<S> {
    /// Reads one page of the changes after a cursor, which must lie within the history.
    ///
    /// # Errors
    /// When storage fails.
    pub fn changes(&self, cursor: Cursor, rows: usize) -> Result<CatchUp, Trouble<S::Error>> {
        let range = Range { after: cursor.after, tombstones_after: cursor.floor, collection: None };
        let (rows, is_last) = self.list(Listing { range, rows, bytes: self.page.bytes })?;
        let head = self.meta().map_or(Seq::ZERO, |meta| meta.head);
        let reached = rows.last().map_or(cursor.after, |row| row.seq);
        let after = if is_last { head } else { reached };
        Ok(CatchUp { rows, cursor: Cursor { after, floor: cursor.floor }, is_last })
    }

    /// Reads rows until a page is full, never splitting a seq. Tells whether there are no more.
    ///
    /// # Errors
    /// When storage fails.
    pub fn list(&self, listing: Listing<'_>) -> Result<(Vec<Row>, bool), Trouble<S::Error>> {
        let mut rows: Vec<Row> = Vec::new();
        let mut bytes = 0;
        let mut is_last = true;
        self.storage.rows(listing.range, &mut |row| {
            let is_full = rows.len() >= listing.rows || bytes >= listing.bytes;
            if is_full && rows.last().is_some_and(|last| last.seq != row.seq) {
                is_last = false;
                return ControlFlow::Break(());
            }
            bytes += row.size();
            rows.push(row);
            ControlFlow::Continue(())
        })?;
        Ok((rows, is_last))
    }

    /// Answers Next. Where the history no longer reaches back to the cursor, the page begins at the start.
    pub(super) fn turn_page(
        &mut self,
        id: SessionId,
        cursor: Cursor,
        moment: Moment,
    ) -> Result<(), Trouble<S::Error>> {
        self.seal();
        // It stands behind all that was sent before.
        self.has_read(id, u64::MAX);
        let Some(meta) = self.alive(moment.now) else {
            return Ok(());
        };
        let head = meta.head;
        let from = if cursor.is_within(meta) { cursor } else { Cursor::start(head) };
        let is_again = self.sessions.get(&id).is_some_and(|session| from.after < session.reached);
        let Some((page, changes)) = self.next_page(id, from)? else {
            return Ok(());
        };
        self.send(id, &page, &changes);
        let rows = if is_again { changes.len() } else { 0 };
        // Whoever goes on pays for nothing but what stands on each last page.
        self.charge_again(id, rows + outcomes(&page), moment.now);
        Ok(())
    }

    /// Makes a page for a session, and notes how far the session will have come with it: that must be
    /// remembered before the page is sent.
    pub(super) fn next_page(
        &mut self,
        id: SessionId,
        from: Cursor,
    ) -> Result<Option<Paged>, Trouble<S::Error>> {
        let Some(meta) = &self.meta else {
            return Ok(None);
        };
        let (head, digest) = (meta.head, meta.totals.digest);
        let of = (meta.epoch, head, from);
        let made = match self.made.take().filter(|made| made.of == of) {
            Some(made) => made,
            None => {
                let CatchUp { rows, cursor, is_last } = self.changes(from, self.page.rows)?;
                let changes = wire::encode_changes(rows.iter().map(Into::into));
                Made { of, cursor, is_last, changes }
            }
        };
        let last = if made.is_last {
            Some(Last { digest, settled: self.unacknowledged(id)? })
        } else {
            None
        };
        if let Some(session) = self.sessions.get_mut(&id) {
            session.reached = session.reached.max(made.cursor.after);
        }
        self.set_phase(id, if made.is_last { Phase::Live } else { Phase::CatchingUp });
        let page = Down::Page(Page { from, cursor: made.cursor, head, last });
        let changes = made.changes.clone();
        self.made = Some(made);
        Ok(Some((page, changes)))
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

/// About how many bytes of a page say what was settled.
fn outcomes(page: &Down) -> usize {
    let Down::Page(Page { last: Some(last), .. }) = page else { return 0 };
    last.settled.len().saturating_mul(size_of::<Settled>())
}
