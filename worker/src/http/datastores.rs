//! Datastores over HTTP: open, look at, change, remove.

use std::rc::Rc;

use neap_core::{
    authority::Opened,
    datastore::{BadOptions, Kind, Meta, Options},
    id::check_name,
};
use serde::Deserialize;

use super::{Answer, Call, absent, input, is_open, json::Object, moment};
use crate::{
    admit::{Need, suffices},
    relay::Relay,
};

/// The body of a request to open a datastore.
#[derive(Deserialize, Default)]
pub(crate) struct Opening {
    id: Option<String>,
    kind: Option<String>,
    primary: Option<String>,
    ttl: Option<f64>,
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
    ttl: Option<f64>,
    kind: Option<String>,
}

pub(super) fn bad_name() -> Answer {
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
    if seconds.fract() != 0.0 || seconds < 1.0 {
        return Err(bad_ttl());
    }
    // A cast from a float saturates.
    Ok(seconds as u32)
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

fn describe(id: &str, meta: &Meta) -> Object {
    Object::new()
        .text("id", id)
        .text("kind", meta.info.kind.name())
        .text("primary", &meta.info.primary)
        .maybe_text("expiresAt", meta.info.expires_at.map(moment).as_deref())
        .text("epoch", &meta.epoch.to_hex())
        .number("seq", meta.head.0)
}

fn describe_whole(id: &str, meta: &Meta) -> Object {
    let digest: String = meta.totals.digest.0.iter().map(|byte| format!("{byte:02x}")).collect();
    describe(id, meta)
        .number("horizon", meta.horizon.0)
        .number("records", meta.totals.records)
        .text("digest", &digest)
}

/// Opens the datastore. Its id, which may be in the body or minted, the worker has put into the path.
pub(super) async fn open(relay: &Rc<Relay>, call: Call) -> Answer {
    let opening = match Opening::parse(&call.body) {
        Ok(opening) => opening,
        Err(answer) => return answer,
    };
    let options = match opening.options(relay.settings.bounds.ttl_max) {
        Ok(options) => options,
        Err(answer) => return answer,
    };
    let admission = call.admission;
    let id = call.id;
    relay
        .write(move |machine, at| {
            let creates = machine.alive(at.now).is_none();
            if creates
                && options.kind == Some(Kind::Permanent)
                && suffices(&admission, Need::Admin).is_err()
            {
                return Ok(Answer::problem(
                    403,
                    "forbidden",
                    "only admin creates permanent datastores",
                ));
            }
            let opened = machine.open(&options, at)?;
            let Some(meta) = machine.alive(at.now) else { return Ok(absent()) };
            Ok(match opened {
                Opened::Created => Answer::json(201, describe(&id, meta).flag("created", true)),
                Opened::Found => Answer::json(200, describe(&id, meta).flag("created", false)),
                Opened::Mismatch => mismatch("it has another kind or primary field"),
            })
        })
        .await
}

pub(super) fn get(relay: &Relay, call: &Call) -> Answer {
    relay.read(|machine, now| {
        Ok(match is_open(machine.alive(now)) {
            Ok(meta) => Answer::json(200, describe_whole(&call.id, meta)),
            Err(answer) => answer,
        })
    })
}

pub(super) async fn alter(relay: &Rc<Relay>, call: Call) -> Answer {
    let parsed = input::parse::<Alteration>(&call.body).and_then(|body| {
        let kind = body.kind.as_deref().map(kind).transpose()?;
        let options = Options { kind, ttl: body.ttl.map(ttl).transpose()?, ..Options::default() };
        check(&options, relay.settings.bounds.ttl_max)?;
        if options.kind.is_none() && options.ttl.is_none() {
            return Err(bad_options("there is neither ttl nor kind"));
        }
        Ok(options)
    });
    let options = match parsed {
        Ok(options) => options,
        Err(answer) => return answer,
    };
    let id = call.id;
    relay
        .write(move |machine, at| {
            let Some(meta) = machine.alive(at.now) else { return Ok(absent()) };
            if meta.info.kind == Kind::Permanent && options.kind == Some(Kind::Temp) {
                return Ok(mismatch("a permanent datastore stays so"));
            }
            let is_permanent = options.kind == Some(Kind::Permanent);
            machine.alter(options.ttl, is_permanent, at.now);
            Ok(match is_open(machine.alive(at.now)) {
                Ok(meta) => Answer::json(200, describe_whole(&id, meta)),
                Err(answer) => answer,
            })
        })
        .await
}

pub(super) async fn remove(relay: &Relay) -> Answer {
    match relay.remove().await {
        Ok(true) => Answer::empty(204),
        Ok(false) => absent(),
        Err(()) => Answer::internal(),
    }
}
