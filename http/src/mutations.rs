//! Mutations over HTTP: several ops, all or none, once.

use neap_core::{
    authority::{Authority, Moment},
    id::Seq,
    limits::OPS_MAX,
    mutation::{Condition, Malformed, Op, Outcome},
    storage::Storage,
    value::{as_string, check_object},
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    Answer, Answers, Outcome as Done, Write,
    call::Call,
    input::{self, Named, Whole, given},
    json::Object,
    once::Once,
};

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    ops: Vec<Named<Step<'a>>>,
}

#[derive(Deserialize)]
struct Step<'a> {
    #[serde(rename = "op")]
    verb: Verb,
    collection: String,
    #[serde(default, deserialize_with = "given")]
    key: Option<String>,
    #[serde(borrow, default, deserialize_with = "given")]
    data: Option<&'a RawValue>,
    #[serde(rename = "if", default, deserialize_with = "given")]
    only_if: Option<Named<If>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Verb {
    Set,
    Patch,
    Delete,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct If {
    #[serde(default, deserialize_with = "given")]
    seq: Option<Whole>,
    #[serde(default, deserialize_with = "given")]
    absent: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    present: Option<bool>,
}

impl If {
    fn condition(&self) -> Option<Condition> {
        match (self.seq, self.absent, self.present) {
            (Some(Whole(seq)), None, None) => Some(Condition::Seq(Seq(seq))),
            (None, Some(true), None) => Some(Condition::Absent),
            (None, None, Some(true)) => Some(Condition::Present),
            _ => None,
        }
    }
}

/// An op as it came, with its data minified.
struct Parsed {
    verb: Verb,
    collection: String,
    key: Option<String>,
    data: String,
    only_if: Condition,
}

impl Parsed {
    fn read(step: &Step<'_>) -> Result<Parsed, Answer> {
        let invalid = |detail: &str| Answer::problem(400, "invalid-request", detail);
        let only_if = match &step.only_if {
            None => Condition::None,
            Some(Named(only_if)) => only_if.condition().ok_or_else(|| {
                invalid("if is one of { seq }, { absent: true } and { present: true }")
            })?,
        };
        let data = match (step.verb, step.data) {
            (Verb::Set | Verb::Patch, None) => return Err(invalid("set and patch need data")),
            (Verb::Set | Verb::Patch, Some(data)) => {
                input::minified(data.get()).map_err(|bad| input::bad_data(bad.message()))?
            }
            (Verb::Delete, _) => String::new(),
        };
        match (step.verb, &step.key) {
            (Verb::Patch | Verb::Delete, None) => {
                return Err(invalid("patch and delete need a key"));
            }
            (Verb::Patch | Verb::Delete, Some(_)) | (Verb::Set, _) => {}
        }
        Ok(Parsed {
            verb: step.verb,
            collection: step.collection.clone(),
            key: step.key.clone(),
            data,
            only_if,
        })
    }

    /// The key; that of a set stands in its data.
    fn key(&self, primary: &str) -> Result<String, Answer> {
        if let (Verb::Patch | Verb::Delete, Some(key)) = (self.verb, &self.key) {
            return Ok(key.clone());
        }
        let found = check_object(&self.data, primary);
        let found = found.map_err(|invalid| malformed_answer(Malformed::Data(invalid)))?;
        let key = found.and_then(as_string).ok_or_else(|| {
            Answer::problem(400, "invalid-key", "the primary field is missing or no text")
        })?;
        match &self.key {
            Some(other) if *other != key => Err(malformed_answer(Malformed::KeyMismatch)),
            Some(_) | None => Ok(key.into_owned()),
        }
    }

    fn op<'a>(&'a self, key: &'a str) -> Op<'a> {
        let Parsed { collection, data, only_if, .. } = self;
        let only_if = *only_if;
        match self.verb {
            Verb::Set => Op::Set { collection, key, data, only_if },
            Verb::Patch => Op::Patch { collection, key, data, only_if },
            Verb::Delete => Op::Delete { collection, key, only_if },
        }
    }
}

pub(crate) fn apply<S: Answers>(call: Call) -> Result<Write<S>, Answer> {
    let body = input::parse::<Body<'_>>(&call.body)?;
    if body.ops.len() > OPS_MAX {
        return Err(malformed_answer(Malformed::OpCount));
    }
    let ops = body
        .ops
        .iter()
        .map(|Named(step)| Parsed::read(step))
        .collect::<Result<Vec<Parsed>, Answer>>()?;
    let once = Once::of(&call, "");
    Ok(Box::new(move |machine, at| {
        if machine.alive(at.now).is_none() {
            return Ok(Answer::absent());
        }
        once.run(machine, at, |machine| decide(machine, &ops, at))
    }))
}

fn decide<S: Storage>(machine: &mut Authority<S>, parsed: &[Parsed], at: Moment) -> Done<S> {
    let primary = machine.meta().map(|meta| meta.info.primary.clone()).unwrap_or_default();
    let keys: Result<Vec<String>, Answer> = parsed.iter().map(|op| op.key(&primary)).collect();
    let keys = match keys {
        Ok(keys) => keys,
        Err(answer) => return Ok(answer),
    };
    let ops: Vec<Op<'_>> = parsed.iter().zip(&keys).map(|(op, key)| op.op(key)).collect();
    let Some(outcome) = machine.mutate(&ops, at)? else { return Ok(Answer::absent()) };
    let accepted = |seq: Option<Seq>| {
        let body = Object::new().text("status", "accepted");
        Answer::json(200, body.maybe_number("seq", seq.map(|seq| seq.0)))
    };
    Ok(match outcome {
        Err(malformed) => malformed_answer(malformed),
        Ok(Outcome::Accepted(seq) | Outcome::Added(seq)) => accepted(Some(seq)),
        Ok(Outcome::Unchanged) => accepted(None),
        Ok(Outcome::Refused(refusal)) => {
            refused(refusal.reason.code(), refusal.reason.message(), Some(refusal.op))
        }
    })
}

/// Sizes are judged like conditions are; all else that is malformed is the caller's mistake.
fn malformed_answer(malformed: Malformed) -> Answer {
    match malformed {
        Malformed::RecordSize | Malformed::MutationSize | Malformed::OpCount => {
            refused(malformed.code(), malformed.message(), None)
        }
        Malformed::Name(_)
        | Malformed::Key(_)
        | Malformed::Data(_)
        | Malformed::KeyMismatch
        | Malformed::Mixed => Answer::problem(400, malformed.code(), malformed.message()),
    }
}

fn refused(code: &str, message: &str, op: Option<u32>) -> Answer {
    let body = Object::new().text("status", "refused").text("code", code).text("message", message);
    let body = match op {
        Some(op) => body.number("op", u64::from(op)),
        None => body,
    };
    Answer::json(409, body)
}
