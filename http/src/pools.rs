//! Merge pools over HTTP: add and read.

use std::collections::BTreeSet;

use neap_core::{
    authority::{Authority, Moment, PoolPage},
    id::Seq,
    limits::{LIST_BYTES, LIST_ROWS_MAX, NAME_BYTES_MAX, OPS_MAX, RECORD_BYTES_MAX},
    mutation::Reason,
    pool::{Choice, Item, Retain},
    storage::Storage,
    value::canonical,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    Answer, Answers, Outcome, Read, Write,
    call::Call,
    input::{self, Whole, given},
    json::Object,
    once::Once,
    query::Query,
};

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
    #[serde(default)]
    since: Whole,
    #[serde(default, deserialize_with = "given")]
    primary: Option<String>,
    #[serde(default, deserialize_with = "given")]
    retain: Option<String>,
}

/// A request to add items.
struct Addition {
    pool: String,
    /// The items that can be stored, in their canonical form.
    items: Vec<String>,
    refused: Vec<(u64, &'static str)>,
    since: Seq,
    primary: Option<String>,
    retain: Option<Retain>,
}

impl Addition {
    fn read(pool: &str, body: &[u8]) -> Result<Addition, Answer> {
        let body = input::parse::<Body<'_>>(body)?;
        let invalid = |detail: &str| Answer::problem(400, "invalid-options", detail);
        if body.items.len() > OPS_MAX {
            return Err(Answer::problem(413, "too-large", "there are more than 10 000 items"));
        }
        let fits = |name: &String| (1..=NAME_BYTES_MAX).contains(&name.len());
        if body.primary.as_ref().is_some_and(|name| !fits(name)) {
            return Err(invalid("primary is a name of 1 to 64 bytes"));
        }
        let retain = body.retain.map(|name| {
            Retain::from_name(&name).ok_or_else(|| invalid("retain is ttl or converged"))
        });
        let mut addition = Addition {
            pool: mark(pool),
            items: Vec::with_capacity(body.items.len()),
            refused: Vec::new(),
            since: Seq(body.since.0),
            primary: body.primary,
            retain: retain.transpose()?,
        };
        for (index, item) in (0_u64..).zip(&body.items) {
            match canonical(item.get()) {
                Ok(item) if item.len() > RECORD_BYTES_MAX => {
                    addition.refused.push((index, "too-large"));
                }
                Ok(item) => addition.items.push(item),
                Err(_) => addition.refused.push((index, "invalid-data")),
            }
        }
        Ok(addition)
    }

    fn run<S: Storage>(&self, machine: &mut Authority<S>, at: Moment) -> Outcome<S> {
        let choice = Choice { primary: self.primary.as_deref(), retain: self.retain };
        let items: Vec<&str> = self.items.iter().map(String::as_str).collect();
        let merged = match machine.merge(&self.pool, choice, &items, at.now)? {
            None => return Ok(Answer::absent()),
            Some(Ok(merged)) => merged,
            Some(Err(refusal)) => {
                let status = if refusal.reason == Reason::StorageFull { 507 } else { 409 };
                let (code, message) = (refusal.reason.code(), refusal.reason.message());
                return Ok(Answer::problem(status, code, message));
            }
        };
        let come = Object::new().number("added", merged.added).number("seq", merged.seq.0);
        Ok(Answer::json(200, come))
    }

    /// Adds to what came of it, which is small and may be kept for a repeat, what the pool holds besides.
    fn complete<S: Storage>(&self, machine: &Authority<S>, come: Answer) -> Outcome<S> {
        match come.status() {
            200 => {}
            // A repeat does not know of what type it was.
            409 | 507 => return Ok(come.into_problem()),
            _ => return Ok(come),
        }
        let Ok(Come { added, seq }) = serde_json::from_slice(come.body()) else {
            return Ok(Answer::internal());
        };
        let page = machine.pool_items(&self.pool, self.since, LIST_ROWS_MAX, LIST_BYTES)?;
        // A repeat is told what the first request was: nothing that has come since, nor to read on there.
        let next = following(&page).filter(|next| *next < seq);
        let sent: BTreeSet<&str> = self.items.iter().map(String::as_str).collect();
        let is_sent = |item: &Item| item.data.as_deref().is_some_and(|data| sent.contains(data));
        let missing = page.items.iter().map(|(_, item)| item);
        let missing = missing.filter(|item| item.seq.0 <= seq && !is_sent(item));
        let refused = self
            .refused
            .iter()
            .map(|(index, code)| Object::new().number("index", *index).text("code", code));
        let epoch = machine.meta().map(|meta| meta.epoch.to_hex()).unwrap_or_default();
        let body = Object::new()
            .text("epoch", &epoch)
            .number("added", added)
            .number("seq", next.unwrap_or(seq))
            .list("missing", missing.filter_map(describe))
            .maybe_number("next", next)
            .list("refused", refused);
        Ok(Answer::json(200, body))
    }
}

/// What came of an addition.
#[derive(Deserialize)]
struct Come {
    added: u64,
    seq: u64,
}

/// The name of a pool as the core has it.
fn mark(pool: &str) -> String {
    format!("{}{pool}", neap_core::pool::MARK)
}

fn describe(item: &Item) -> Option<Object> {
    Some(Object::new().raw("data", item.data.as_deref()?).number("seq", item.seq.0))
}

/// Where a page does not reach the head: the `since` of the following one, and the `seq` up to which this one tells all.
fn following(page: &PoolPage) -> Option<u64> {
    page.items.last().filter(|_| !page.is_last).map(|(_, item)| item.seq.0)
}

pub(crate) fn add<S: Answers>(pool: &str, call: &Call) -> Result<Write<S>, Answer> {
    let addition = Addition::read(pool, &call.body)?;
    let once = Once::of(call, pool);
    Ok(Box::new(move |machine, at| {
        if machine.alive(at.now).is_none() {
            return Ok(Answer::absent());
        }
        let come = once.run(machine, at, |machine| addition.run(machine, at))?;
        addition.complete(machine, come)
    }))
}

pub(crate) fn list<S: Storage>(pool: &str, call: &Call) -> Result<Read<S>, Answer> {
    let query = Query::new(&call.query);
    let (since, rows, epoch) =
        (query.seq("since")?, query.limit(LIST_ROWS_MAX)?, query.text("epoch"));
    let pool = mark(pool);
    Ok(Box::new(move |machine, now| {
        let Some(meta) = machine.alive(now) else { return Ok(Answer::absent()) };
        let current = meta.epoch.to_hex();
        let head = machine.pool(&pool)?.map_or(Seq::ZERO, |pool| pool.head);
        let reset = epoch.is_some_and(|epoch| epoch != current) || since > head;
        let since = if reset { Seq::ZERO } else { since };
        let page = machine.pool_items(&pool, since, rows, LIST_BYTES)?;
        let next = following(&page);
        let body = Object::new()
            .text("epoch", &current)
            .list("items", page.items.iter().filter_map(|(_, item)| describe(item)))
            .number("seq", next.unwrap_or(page.head.0))
            .maybe_number("next", next)
            .flag("reset", reset)
            .flag("converged", machine.has_converged(&pool, page.head, now));
        Ok(Answer::json(200, body))
    }))
}
