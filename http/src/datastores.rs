//! Datastores over HTTP: open, look at, change.

use std::{
    fmt::Write as _,
    time::{Duration, UNIX_EPOCH},
};

use humantime::format_rfc3339_millis;
use neap_core::{
    authority::{Opened, Stats},
    datastore::{BadOptions, Kind, Meta, Options},
    id::check_name,
    storage::Storage,
};
use serde::Deserialize;

use crate::{
    Answer, Read, Settings, Write,
    admit::{Need, suffices},
    call::Call,
    input::{self, given},
    json::Object,
};

/// The body of a request to open a datastore.
#[derive(Deserialize, Default)]
pub(crate) struct Opening {
    #[serde(default, deserialize_with = "given")]
    id: Option<String>,
    #[serde(default, deserialize_with = "given")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "given")]
    primary: Option<String>,
    #[serde(default, deserialize_with = "given")]
    ttl: Option<f64>,
    #[serde(default, deserialize_with = "given")]
    sliding: Option<bool>,
}

impl Opening {
    /// Reads it; no body at all asks for nothing in particular.
    pub(crate) fn parse(body: &[u8]) -> Result<Opening, Answer> {
        let opening: Opening =
            if body.is_empty() { Opening::default() } else { input::parse(body)? };
        match &opening.id {
            Some(id) if check_name(id).is_err() => Err(bad_name()),
            Some(_) | None => Ok(opening),
        }
    }

    /// The id that it asks for.
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn options(&self, ttl_max: u32) -> Result<Options, Answer> {
        let options = Options {
            kind: self.kind.as_deref().map(kind).transpose()?,
            primary: self.primary.as_deref().map(Box::from),
            ttl: self.ttl.map(ttl).transpose()?,
            sliding: self.sliding,
        };
        check(&options, ttl_max)?;
        Ok(options)
    }
}

/// The body of a request to change a datastore.
#[derive(Deserialize)]
struct Alteration {
    #[serde(default, deserialize_with = "given")]
    ttl: Option<f64>,
    #[serde(default, deserialize_with = "given")]
    kind: Option<String>,
}

fn bad_name() -> Answer {
    Answer::problem(400, "invalid-name", "a name is 1 to 64 of A-Z a-z 0-9 _ -")
}

fn bad_options(detail: &str) -> Answer {
    Answer::problem(400, "invalid-options", detail)
}

fn mismatch(detail: &str) -> Answer {
    Answer::problem(409, "options-mismatch", detail)
}

fn kind(name: &str) -> Result<Kind, Answer> {
    Kind::from_name(name).ok_or_else(|| bad_options("kind is temp or permanent"))
}

/// Zero stands for what is no ttl and is refused like one.
fn ttl(seconds: f64) -> Result<u32, Answer> {
    let is_one = seconds.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(&seconds);
    if is_one { Ok(seconds as u32) } else { Err(bad_ttl()) }
}

fn bad_ttl() -> Answer {
    bad_options("ttl is a whole number of seconds from 1 to the longest that the relay allows")
}

fn check(options: &Options, ttl_max: u32) -> Result<(), Answer> {
    options.check(ttl_max).map_err(|bad| match bad {
        BadOptions::Ttl => bad_ttl(),
        BadOptions::Primary => bad_options("primary is a name of 1 to 64 bytes"),
    })
}

pub(crate) fn describe(id: &str, meta: &Meta) -> Object {
    Object::new()
        .text("id", id)
        .text("kind", meta.info.kind.name())
        .text("primary", &meta.info.primary)
        .maybe_text("expiresAt", meta.info.expires_at.map(moment).as_deref())
        .text("epoch", &meta.epoch.to_hex())
        .number("seq", meta.head.0)
}

fn describe_whole(id: &str, meta: &Meta) -> Object {
    describe(id, meta)
        .number("horizon", meta.horizon.0)
        .number("records", meta.totals.records)
        .text("digest", &meta.totals.digest.to_hex())
}

/// What is known of a datastore that somebody asks for.
pub(crate) fn is_open(meta: Option<&Meta>) -> Result<&Meta, Answer> {
    meta.ok_or_else(Answer::absent)
}

/// A moment in milliseconds since 1970 as ISO 8601 in UTC; nothing beyond the year 9999.
pub(crate) fn moment(ms: u64) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(ms));
    let mut text = String::new();
    match at.map(|at| write!(text, "{}", format_rfc3339_millis(at))) {
        Some(Ok(())) => text,
        Some(Err(_)) | None => String::new(),
    }
}

/// Opens the datastore whose id its path names, or its body, or was minted.
pub(crate) fn open<S: Storage>(settings: &Settings, call: Call) -> Result<Write<S>, Answer> {
    let options = Opening::parse(&call.body)?.options(settings.bounds.ttl_max)?;
    let Call { id, admission, .. } = call;
    Ok(Box::new(move |machine, at| {
        let creates = machine.alive(at.now).is_none();
        let is_permanent = options.kind == Some(Kind::Permanent);
        if creates && is_permanent && suffices(&admission, Need::Admin).is_err() {
            let detail = "only admin creates permanent datastores";
            return Ok(Answer::problem(403, "forbidden", detail));
        }
        let opened = machine.open(&options, at)?;
        let is_new = match opened {
            Opened::Created => true,
            Opened::Found => false,
            Opened::Mismatch => return Ok(mismatch("it has another kind or primary field")),
            Opened::Importing => {
                let detail = "it is being imported; there is nothing to open yet";
                return Ok(Answer::problem(409, "importing", detail));
            }
        };
        let Some(meta) = machine.alive(at.now) else { return Ok(Answer::absent()) };
        let status = if is_new { 201 } else { 200 };
        Ok(Answer::json(status, describe(&id, meta).flag("created", is_new)))
    }))
}

pub(crate) fn get<S: Storage>(call: Call) -> Read<S> {
    Box::new(move |machine, now| {
        Ok(match is_open(machine.alive(now)) {
            Ok(meta) => Answer::json(200, describe_whole(&call.id, meta)),
            Err(answer) => answer,
        })
    })
}

pub(crate) fn stats<S: Storage>() -> Read<S> {
    Box::new(move |machine, now| {
        let Some(stats) = machine.stats(now) else { return Ok(Answer::absent()) };
        let Stats { records, bytes, tombstones, sockets, members, counts } = stats;
        let body = Object::new()
            .number("records", records)
            .number("bytes", bytes)
            .number("tombstones", tombstones)
            .number("sockets", sockets)
            .number("members", members)
            .number("mutations", counts.mutations)
            .number("refusals", counts.refusals)
            .number("wakes", counts.wakes);
        Ok(Answer::json(200, body))
    })
}

pub(crate) fn alter<S: Storage>(settings: &Settings, call: Call) -> Result<Write<S>, Answer> {
    let body = input::parse::<Alteration>(&call.body)?;
    let kind = body.kind.as_deref().map(kind).transpose()?;
    let options = Options { kind, ttl: body.ttl.map(ttl).transpose()?, ..Options::default() };
    check(&options, settings.bounds.ttl_max)?;
    if options.kind.is_none() && options.ttl.is_none() {
        return Err(bad_options("there is neither ttl nor kind"));
    }
    let id = call.id;
    Ok(Box::new(move |machine, at| {
        let Some(meta) = machine.alive(at.now) else { return Ok(Answer::absent()) };
        if meta.info.kind == Kind::Permanent && options.kind == Some(Kind::Temp) {
            return Ok(mismatch("a permanent datastore stays so"));
        }
        machine.alter(options.ttl, options.kind == Some(Kind::Permanent), at.now);
        Ok(match is_open(machine.alive(at.now)) {
            Ok(meta) => Answer::json(200, describe_whole(&id, meta)),
            Err(answer) => answer,
        })
    }))
}
