//! The lines of an archive, written and read.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use neap_core::{
    authority::{Closing, Entry, Fact, Opening, PoolFact},
    datastore::{Info, Kind, Meta},
    id::{Epoch, ReplicaId, Seq, Turn},
    limits::INTEGER_MAX,
    mutation::{Outcome, Reason, Refusal},
    pool::{self, Item, MARK, Retain, Terms},
    record::{Digest, Row},
    value::check_value,
};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::value::RawValue;

use super::{FORMAT, Sum, VERSION};
use crate::{datastores::moment, json::Object};

fn line(kind: &str) -> Object {
    Object::new().text("type", kind)
}

pub(super) fn header(id: &str, meta: &Meta, opening: &Opening) -> Vec<u8> {
    let Info { kind, primary, ttl, sliding, expires_at } = &opening.info;
    line("header")
        .text("format", FORMAT)
        .number("version", VERSION.into())
        .text("id", id)
        .text("kind", kind.name())
        .text("primary", primary)
        .number("ttl", (*ttl).into())
        .flag("sliding", *sliding)
        .maybe_text("expiresAt", expires_at.map(moment).as_deref())
        .text("epoch", &meta.epoch.to_hex())
        .number("seq", meta.head.0)
        .number("horizon", meta.horizon.0)
        .text("digest", &meta.totals.digest.to_hex())
        .number("ledgerFloor", opening.ledger_floor)
        .end()
}

pub(super) fn fact(fact: &Fact) -> Vec<u8> {
    match fact {
        Fact::Row(row) => record(row),
        Fact::Pool(PoolFact { name, terms, head, drained, digest }) => line("pool")
            .text("pool", bare(name))
            .maybe_text("primary", terms.primary.as_deref())
            .text("retain", terms.retain.name())
            .number("seq", head.0)
            .number("drained", drained.0)
            .text("digest", &digest.to_hex())
            .end(),
        Fact::Item { pool, ident, item } => {
            let line = line("item").text("pool", bare(pool)).number("seq", item.seq.0);
            match &item.data {
                Some(data) => line.raw("data", data).end(),
                None => line.text("ident", ident).text("hash", &item.hash.to_hex()).end(),
            }
        }
        Fact::Entry(replica, entry) => ledger(*replica, entry),
    }
}

fn bare(pool: &str) -> &str {
    pool.strip_prefix(MARK).unwrap_or(pool)
}

fn record(row: &Row) -> Vec<u8> {
    let place = |line: Object| {
        line.text("collection", &row.collection).text("key", &row.key).number("seq", row.seq.0)
    };
    match &row.data {
        Some(data) => place(line("record")).raw("data", data).end(),
        None => place(line("tombstone")).end(),
    }
}

fn ledger(replica: ReplicaId, entry: &Entry) -> Vec<u8> {
    let mut outcomes = String::from("[");
    for outcome in &entry.outcomes {
        if outcomes.len() > 1 {
            outcomes.push(',');
        }
        outcomes.push_str(&match outcome {
            Outcome::Accepted(seq) => seq.0.to_string(),
            Outcome::Unchanged => "null".into(),
            Outcome::Refused(Refusal { reason, op }) => {
                format!("{{\"refused\":\"{}\",\"op\":{op}}}", reason.code())
            }
            Outcome::Added(seq) => format!("{{\"added\":{}}}", seq.0),
        });
    }
    outcomes.push(']');
    let subject = entry.subject.map(|subject| format!("{subject:016x}"));
    line("ledger")
        .text("replica", &replica.to_hex())
        .number("at", entry.at)
        .number("acked", entry.acked.0)
        .raw("outcomes", &outcomes)
        .maybe_text("subject", subject.as_deref())
        .maybe_number("birth", entry.birth)
        .end()
}

pub(super) fn answer(name: &[u8], at: u64, value: &[u8]) -> Vec<u8> {
    line("answer")
        .text("name", &URL_SAFE_NO_PAD.encode(name))
        .number("at", at)
        .text("value", &URL_SAFE_NO_PAD.encode(value))
        .end()
}

pub(super) fn end(closing: &Closing, sum: &Sum) -> Vec<u8> {
    let said = line("end")
        .number("seq", closing.head.0)
        .number("horizon", closing.horizon.0)
        .text("digest", &closing.digest.to_hex())
        .number("records", closing.records)
        .number("lines", sum.lines);
    let hash = sum.hex(said.so_far());
    said.text("sha256", &hash).end()
}

/// What an end line says before its hash.
pub(super) fn before_hash(end: &[u8]) -> &[u8] {
    let text = std::str::from_utf8(end).unwrap_or_default();
    text.rsplit_once(",\"sha256\"").map_or(&[], |(before, _)| before.as_bytes())
}

/// A line that was read.
pub(super) enum Read {
    /// What an import begins with; and the newest seq and the digest at the beginning.
    Header(Opening, Seq, Digest),
    Fact(Fact),
    /// A pool's item, whose identity hangs on the pool's terms.
    Item {
        pool: String,
        seq: Seq,
        data: String,
    },
    Answer {
        name: Vec<u8>,
        at: u64,
        value: Vec<u8>,
    },
    End {
        closing: Closing,
        lines: u64,
        sha256: String,
    },
}

/// Why a line cannot be read.
pub(super) enum Unreadable {
    /// It is no JSON.
    Json(String),
    /// It is not what a line can be.
    Shape(String),
}

impl Unreadable {
    fn shape(what: &str) -> Unreadable {
        Unreadable::Shape(what.into())
    }
}

#[derive(Deserialize)]
struct Typed {
    #[serde(rename = "type")]
    kind: String,
}

/// Reads a line.
pub(super) fn read(text: &str) -> Result<Read, Unreadable> {
    if let Err(error) = serde_json::from_str::<&RawValue>(text) {
        return Err(Unreadable::Json(error.to_string()));
    }
    let Typed { kind } = parse(text)?;
    match kind.as_str() {
        "header" => parse::<Header>(text)?.read(),
        "record" => parse::<Record<'_>>(text)?.read(),
        "tombstone" => Ok(parse::<Tombstone>(text)?.read()),
        "pool" => parse::<PoolLine>(text)?.read(),
        "item" => parse::<ItemLine<'_>>(text)?.read(),
        "ledger" => parse::<Ledger>(text)?.read(),
        "answer" => parse::<AnswerLine>(text)?.read(),
        "end" => parse::<End>(text)?.read(),
        _ => Err(Unreadable::shape("there is no such type of line")),
    }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Unreadable> {
    serde_json::from_str(text).map_err(|error| Unreadable::Shape(error.to_string()))
}

fn digest(text: &str) -> Result<Digest, Unreadable> {
    Digest::from_hex(text).ok_or(Unreadable::shape("a digest is 32 hex digits"))
}

/// Reads a number that stays exact in JavaScript, as seqs and turns do: counting on never overflows.
fn exact<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(from)?;
    if number <= INTEGER_MAX { Ok(number) } else { Err(D::Error::custom("not exact")) }
}

fn seq<'de, D: Deserializer<'de>>(from: D) -> Result<Seq, D::Error> {
    exact(from).map(Seq)
}

fn turn<'de, D: Deserializer<'de>>(from: D) -> Result<Turn, D::Error> {
    exact(from).map(Turn)
}

/// What each struct ignores, since it was looked at before.
type Type = serde::de::IgnoredAny;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Header {
    #[serde(rename = "type")]
    _type: Type,
    format: String,
    version: u32,
    #[serde(rename = "id")]
    _id: String,
    kind: String,
    primary: String,
    ttl: u32,
    sliding: bool,
    expires_at: Option<String>,
    epoch: String,
    #[serde(deserialize_with = "seq")]
    seq: Seq,
    #[serde(rename = "horizon")]
    #[serde(deserialize_with = "seq")]
    _horizon: Seq,
    digest: String,
    ledger_floor: u64,
}

impl Header {
    fn read(self) -> Result<Read, Unreadable> {
        if self.format != FORMAT || self.version != VERSION {
            return Err(Unreadable::shape("this is no export of version 1"));
        }
        let kind = Kind::from_name(&self.kind);
        let kind = kind.ok_or(Unreadable::shape("kind is temp or permanent"))?;
        Epoch::from_hex(&self.epoch).ok_or(Unreadable::shape("an epoch is 16 hex digits"))?;
        let expires_at = self.expires_at.map(|text| {
            let at = humantime::parse_rfc3339(&text).ok();
            let since = at.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
            let ms = since.and_then(|since| u64::try_from(since.as_millis()).ok());
            ms.ok_or(Unreadable::shape("expiresAt is ISO 8601 in UTC"))
        });
        let info = Info {
            kind,
            primary: self.primary.into(),
            ttl: self.ttl,
            sliding: self.sliding,
            expires_at: expires_at.transpose()?,
        };
        let opening = Opening { info, ledger_floor: self.ledger_floor };
        Ok(Read::Header(opening, self.seq, digest(&self.digest)?))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record<'a> {
    #[serde(rename = "type")]
    _type: Type,
    collection: String,
    key: String,
    #[serde(deserialize_with = "seq")]
    seq: Seq,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Record<'_> {
    fn read(self) -> Result<Read, Unreadable> {
        let data = Some(self.data.get().into());
        let (collection, key) = (self.collection.into(), self.key.into());
        Ok(Read::Fact(Fact::Row(Row { collection, key, seq: self.seq, data })))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tombstone {
    #[serde(rename = "type")]
    _type: Type,
    collection: String,
    key: String,
    #[serde(deserialize_with = "seq")]
    seq: Seq,
}

impl Tombstone {
    fn read(self) -> Read {
        let (collection, key) = (self.collection.into(), self.key.into());
        Read::Fact(Fact::Row(Row { collection, key, seq: self.seq, data: None }))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolLine {
    #[serde(rename = "type")]
    _type: Type,
    pool: String,
    primary: Option<String>,
    retain: String,
    #[serde(deserialize_with = "seq")]
    seq: Seq,
    #[serde(deserialize_with = "seq")]
    drained: Seq,
    digest: String,
}

fn marked(pool: &str) -> String {
    format!("{MARK}{pool}")
}

impl PoolLine {
    fn read(self) -> Result<Read, Unreadable> {
        let retain = Retain::from_name(&self.retain);
        let retain = retain.ok_or(Unreadable::shape("retain is ttl or converged"))?;
        Ok(Read::Fact(Fact::Pool(PoolFact {
            name: marked(&self.pool).into(),
            terms: Terms { primary: self.primary.map(String::into_boxed_str), retain },
            head: self.seq,
            drained: self.drained,
            digest: digest(&self.digest)?,
        })))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemLine<'a> {
    #[serde(rename = "type")]
    _type: Type,
    pool: String,
    #[serde(deserialize_with = "seq")]
    seq: Seq,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    ident: Option<String>,
    hash: Option<String>,
}

impl ItemLine<'_> {
    fn read(self) -> Result<Read, Unreadable> {
        let pool = marked(&self.pool);
        match (self.data, self.ident, self.hash) {
            (Some(data), None, None) => {
                Ok(Read::Item { pool, seq: self.seq, data: data.get().into() })
            }
            // The item `null` reads as one that has no data.
            (None, None, None) => Ok(Read::Item { pool, seq: self.seq, data: "null".into() }),
            (None, Some(ident), Some(hash)) => {
                let item = Item { seq: self.seq, hash: digest(&hash)?, data: None };
                Ok(Read::Fact(Fact::Item { pool: pool.into(), ident: ident.into(), item }))
            }
            _ => Err(Unreadable::shape("an item has data, or ident and hash")),
        }
    }
}

/// Makes an item of one that came as data alone.
pub(super) fn item(pool: String, primary: Option<&str>, seq: Seq, data: String) -> Fact {
    // What is no JSON that can be stored is refused with whatever identity.
    let ident = pool::ident(&data, check_value(&data, primary).unwrap_or(None));
    let hash = pool::hash(&pool, &ident, &data);
    let item = Item { seq, hash, data: Some(data.into()) };
    Fact::Item { pool: pool.into(), ident: ident.into(), item }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Settled {
    Accepted(#[serde(deserialize_with = "seq")] Seq),
    Unchanged(()),
    #[serde(rename_all = "camelCase")]
    Refused {
        refused: String,
        op: u32,
    },
    Added {
        #[serde(deserialize_with = "seq")]
        added: Seq,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ledger {
    #[serde(rename = "type")]
    _type: Type,
    replica: String,
    at: u64,
    #[serde(deserialize_with = "turn")]
    acked: Turn,
    outcomes: Vec<Settled>,
    subject: Option<String>,
    birth: Option<u64>,
}

impl Ledger {
    fn read(self) -> Result<Read, Unreadable> {
        let outcome = |settled: Settled| {
            Ok(match settled {
                Settled::Accepted(seq) => Outcome::Accepted(seq),
                Settled::Unchanged(()) => Outcome::Unchanged,
                Settled::Added { added } => Outcome::Added(added),
                Settled::Refused { refused, op } => {
                    let reason = Reason::from_code(&refused);
                    let reason = reason.ok_or(Unreadable::shape("no reason of a refusal"))?;
                    Outcome::Refused(Refusal { reason, op })
                }
            })
        };
        let subject = self.subject.map(|text| {
            let subject = u64::from_str_radix(&text, 16);
            subject.map_err(|_| Unreadable::shape("a subject is 16 hex digits"))
        });
        let replica = ReplicaId::from_hex(&self.replica);
        let entry = Entry {
            acked: self.acked,
            outcomes: self.outcomes.into_iter().map(outcome).collect::<Result<_, _>>()?,
            subject: subject.transpose()?,
            birth: self.birth,
            at: self.at,
        };
        let replica = replica.ok_or(Unreadable::shape("a replica is 32 hex digits"))?;
        Ok(Read::Fact(Fact::Entry(replica, entry)))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerLine {
    #[serde(rename = "type")]
    _type: Type,
    name: String,
    at: u64,
    value: String,
}

impl AnswerLine {
    fn read(self) -> Result<Read, Unreadable> {
        let bytes = |text: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(text);
            bytes.map_err(|_| Unreadable::shape("name and value are base64url"))
        };
        Ok(Read::Answer { name: bytes(&self.name)?, at: self.at, value: bytes(&self.value)? })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    #[serde(rename = "type")]
    _type: Type,
    #[serde(deserialize_with = "seq")]
    seq: Seq,
    #[serde(deserialize_with = "seq")]
    horizon: Seq,
    digest: String,
    records: u64,
    lines: u64,
    sha256: String,
}

impl End {
    fn read(self) -> Result<Read, Unreadable> {
        let (head, horizon, records) = (self.seq, self.horizon, self.records);
        let closing = Closing { head, horizon, digest: digest(&self.digest)?, records };
        Ok(Read::End { closing, lines: self.lines, sha256: self.sha256 })
    }
}
