//! What the peers' clients say and hear, written by hand: a frame costs the relay the same whoever wrote it, and
//! this program next to nothing. The smoke test lets their own clients read what was written so.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio_tungstenite::tungstenite::Message;

use crate::Trouble;

/// Keys that each writer writes in turn.
pub const KEYS: u64 = 64;

/// How a server is spoken to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// neap.v1.
    Neap,
    /// What is said is heard by all, the sender too.
    Raw,
    /// The update messages of y-protocols: whoever says them hears them too.
    Yjs,
    /// Mergeable changes as TinyBase's synchronizers send them; nobody acknowledges.
    TinyBase,
    /// tldraw's sync protocol, version 8.
    Tldraw,
}

impl Protocol {
    /// The protocol of this name.
    pub fn from_name(name: &str) -> Result<Protocol, Trouble> {
        match name {
            "neap" => Ok(Protocol::Neap),
            "raw" => Ok(Protocol::Raw),
            "yjs" => Ok(Protocol::Yjs),
            "tinybase" => Ok(Protocol::TinyBase),
            "tldraw" => Ok(Protocol::Tldraw),
            _ => Err("the protocols are neap, raw, yjs, tinybase and tldraw".into()),
        }
    }

    /// Whether a writer hears that what it said has been taken.
    pub fn acknowledges(self) -> bool {
        match self {
            Protocol::Neap | Protocol::Raw | Protocol::Tldraw => true,
            Protocol::Yjs | Protocol::TinyBase => false,
        }
    }
}

/// One mutation: the `turn`th of a writer, a record of about 100 bytes that carries a moment.
pub struct Said {
    pub writer: u64,
    pub turn: u64,
    pub stamp: u64,
}

impl Said {
    pub fn key(&self) -> String {
        format!("{:016x}-{}", self.writer, self.turn % KEYS)
    }

    pub fn title(&self) -> String {
        format!("@{}@ a title of about forty characters", self.stamp)
    }

    pub fn json(&self) -> String {
        let Said { stamp, .. } = self;
        format!(r#"{{"id":"{}","at":{stamp},"title":"{}"}}"#, self.key(), self.title())
    }

    /// A put of tldraw: it stands for the whole record, and the server tells others what is new in it.
    pub fn tldraw(&self) -> Message {
        let (key, title, Said { turn, stamp, .. }) = (self.key(), self.title(), self);
        let record =
            format!(r#"{{"id":"task:{key}","typeName":"task","at":{stamp},"title":"{title}"}}"#);
        Message::text(format!(
            r#"{{"type":"push","clientClock":{turn},"diff":{{"task:{key}":["put",{record}]}}}}"#
        ))
    }

    /// A ContentDiff of TinyBase: a row that is new as a whole, then the cells that change.
    pub fn tinybase(&self) -> Message {
        let (key, title, Said { stamp, .. }) = (self.key(), self.title(), self);
        let clock = |count| hybrid_clock(self.writer, 3 * self.turn + count);
        let id = if self.turn <= KEYS {
            format!(r#""id":["{key}","{}"],"#, clock(0))
        } else {
            String::new()
        };
        let cells =
            format!(r#"{id}"at":[{stamp},"{}"],"title":["{title}","{}"]"#, clock(1), clock(2));
        Message::text(format!(
            "\n[\"{}\",3,[[{{\"tasks\":[{{\"{key}\":[{{{cells}}}]}}]}}],[{{}}],1]]",
            self.turn
        ))
    }

    /// An update of Yjs: one item that takes the place of the one that this writer set last under the same key.
    pub fn yjs(&self) -> Message {
        let (client, clock) = (self.writer & 0xffff_ffff, self.turn - 1);
        let mut update = vec![1, 1];
        number(&mut update, client);
        number(&mut update, clock);
        let before = clock.checked_sub(KEYS);
        if let Some(before) = before {
            // ContentAny, with a left neighbour and a key below its parent.
            update.push(8 | 0x80 | 0x20);
            number(&mut update, client);
            number(&mut update, before);
        } else {
            update.extend([8 | 0x20, 1]);
            text(&mut update, "tasks");
            text(&mut update, &self.key());
        }
        // One value, an object of three members.
        update.extend([1, 118, 3]);
        text(&mut update, "id");
        update.push(119);
        text(&mut update, &self.key());
        text(&mut update, "at");
        update.push(125);
        signed(&mut update, self.stamp);
        text(&mut update, "title");
        update.push(119);
        text(&mut update, &self.title());
        if let Some(before) = before {
            update.push(1);
            number(&mut update, client);
            update.push(1);
            number(&mut update, before);
            update.push(1);
        } else {
            update.push(0);
        }
        let mut message = vec![0, 2];
        number(&mut message, update.len() as u64);
        message.append(&mut update);
        Message::binary(message)
    }
}

/// The first thing that a client of tldraw says.
pub fn tldraw_hello() -> Message {
    let schema = r#"{"schemaVersion":2,"sequences":{}}"#;
    Message::text(format!(
        r#"{{"type":"connect","connectRequestId":"bench","lastServerClock":0,"protocolVersion":8,"schema":{schema}}}"#
    ))
}

/// The moments that a message carries: digits between two marks. In binary the mark may stand anywhere.
pub fn moments(message: &[u8]) -> Vec<u64> {
    let moment = |digits: &[u8]| {
        let all = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        all.then(|| std::str::from_utf8(digits).ok()?.parse().ok()).flatten()
    };
    let parts: Vec<&[u8]> = message.split(|byte| *byte == b'@').collect();
    let between = 1..(parts.len() - 1).max(1);
    parts[between].iter().filter_map(|part| moment(part)).collect()
}

/// How often `word` stands in a message.
pub fn count(message: &[u8], word: &str) -> u64 {
    String::from_utf8_lossy(message).matches(word).count() as u64
}

/// TinyBase's clock of 16 characters: 42 bits of time, a count of 24 bits, five characters of the client.
fn hybrid_clock(writer: u64, count: u64) -> String {
    const DIGITS: &[u8; 64] = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let millis = u64::try_from(millis).unwrap_or(0);
    let digits = |number: u64, places: u32| {
        (0..places)
            .rev()
            .map(move |place| char::from(DIGITS[(number >> (6 * place)) as usize & 63]))
    };
    digits(millis, 7).chain(digits(count, 4)).chain(digits(writer, 5)).collect()
}

/// A variable-length number of lib0.
fn number(bytes: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// The same for numbers that could be negative: the first byte keeps a bit for the sign.
fn signed(bytes: &mut Vec<u8>, value: u64) {
    let more = if value > 0x3f { 0x80 } else { 0 };
    bytes.push((value & 0x3f) as u8 | more);
    if more != 0 {
        number(bytes, value >> 6);
    }
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    number(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}
