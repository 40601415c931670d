//! Changes over HTTP: what a client polls that has no socket.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use neap_core::{
    authority::Listing,
    datastore::Meta,
    id::{Epoch, Seq},
    limits::{LIST_BYTES, LIST_ROWS_DEFAULT, LIST_ROWS_MAX},
    record::{Digest, Row},
    storage::{Range, Storage},
    wire::Cursor,
};

use crate::{Answer, Read, call::Call, datastores::is_open, json::Object, query::Query};

/// Where the next page begins, in which incarnation, and how long it is.
struct Bookmark {
    epoch: Epoch,
    cursor: Cursor,
    rows: usize,
}

impl Bookmark {
    fn bytes(&self) -> [[u8; 8]; 4] {
        let Bookmark { epoch, cursor, rows } = self;
        [
            epoch.0,
            cursor.after.0.to_be_bytes(),
            cursor.floor.0.to_be_bytes(),
            (*rows as u64).to_be_bytes(),
        ]
    }

    /// Against mistakes, not against forgers: whoever may read may read any page.
    fn check(bytes: &[u8]) -> [u8; 4] {
        let [a, b, c, d, ..] = Digest::of("cursor", "", Seq::ZERO, bytes).0;
        [a, b, c, d]
    }

    fn encode(&self) -> String {
        let mut bytes = self.bytes().concat();
        bytes.extend_from_slice(&Self::check(&bytes));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn decode(text: &str) -> Option<Bookmark> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (bytes, check) = bytes.split_last_chunk::<4>()?;
        if Self::check(bytes) != *check {
            return None;
        }
        let (epoch, rest) = bytes.split_first_chunk()?;
        let (after, rest) = rest.split_first_chunk()?;
        let (floor, rows) = rest.split_first_chunk()?;
        let rows = usize::try_from(u64::from_be_bytes(rows.try_into().ok()?)).ok()?;
        Some(Bookmark {
            epoch: Epoch(*epoch),
            cursor: Cursor {
                after: Seq(u64::from_be_bytes(*after)),
                floor: Seq(u64::from_be_bytes(*floor)),
            },
            rows: rows.clamp(1, LIST_ROWS_MAX),
        })
    }
}

/// Where a request wants to go on.
struct Wanted {
    since: Seq,
    bookmark: Option<Bookmark>,
    /// The epoch that the client knows.
    epoch: Option<String>,
    rows: usize,
}

impl Wanted {
    fn read(query: &Query<'_>) -> Result<Wanted, Answer> {
        let bookmark = match query.text("cursor") {
            None => None,
            Some(text) => Some(Bookmark::decode(&text).ok_or_else(|| {
                Answer::problem(400, "invalid-query", "cursor is none that the relay has given")
            })?),
        };
        // Pages go on as they began.
        let rows = bookmark.as_ref().map_or(LIST_ROWS_DEFAULT, |bookmark| bookmark.rows);
        Ok(Wanted {
            since: query.seq("since")?,
            rows: query.limit(rows)?,
            bookmark,
            epoch: query.text("epoch"),
        })
    }

    /// The cursor to read from, or none: then the answer starts from nothing.
    fn cursor(&self, meta: &Meta) -> Option<Cursor> {
        if self.epoch.as_ref().is_some_and(|epoch| *epoch != meta.epoch.to_hex()) {
            return None;
        }
        let cursor = match &self.bookmark {
            Some(bookmark) if bookmark.epoch != meta.epoch => return None,
            Some(bookmark) => bookmark.cursor,
            None if self.since == Seq::ZERO => Cursor::start(meta.head),
            None => Cursor { after: self.since, floor: self.since },
        };
        cursor.is_within(meta).then_some(cursor)
    }
}

pub(crate) fn get<S: Storage>(call: &Call) -> Result<Read<S>, Answer> {
    let wanted = Wanted::read(&Query::new(&call.query))?;
    Ok(Box::new(move |machine, now| {
        let meta = match is_open(machine.alive(now)) {
            Ok(meta) => meta,
            Err(answer) => return Ok(answer),
        };
        let cursor = wanted.cursor(meta);
        let from = cursor.unwrap_or(Cursor::start(meta.head));
        let range = Range { after: from.after, tombstones_after: from.floor, collection: None };
        let (rows, is_last) =
            machine.list(Listing { range, rows: wanted.rows, bytes: LIST_BYTES })?;
        let reached = rows.last().map_or(from.after, |row| row.seq);
        let to = if is_last { meta.head } else { reached };
        let next = Cursor { after: to, floor: from.floor };
        let next = Bookmark { epoch: meta.epoch, cursor: next, rows: wanted.rows };
        let next = (!is_last).then(|| next.encode());
        let body = Object::new()
            .text("epoch", &meta.epoch.to_hex())
            .number("from", from.after.0)
            .number("to", to.0)
            .number("head", meta.head.0)
            .flag("reset", cursor.is_none())
            .maybe_text("cursor", next.as_deref())
            .list("changes", rows.iter().map(describe));
        Ok(Answer::json(200, body))
    }))
}

fn describe(row: &Row) -> Object {
    let place = Object::new()
        .text("collection", &row.collection)
        .text("key", &row.key)
        .number("seq", row.seq.0);
    match &row.data {
        Some(data) => place.raw("data", data),
        None => place.flag("deleted", true),
    }
}
