//! Records over HTTP, one or many.

use neap_core::{
    authority::Listing,
    id::{Seq, check_key},
    limits::{LIST_BYTES, LIST_ROWS_DEFAULT},
    mutation::{Condition, Malformed, Op, Outcome, Reason},
    record::Row,
    storage::{Range, Storage},
    value::{check_object, write_string},
};

use crate::{
    Answer, Read, Write,
    call::Call,
    datastores::is_open,
    input::{self, Tags},
    json::Object,
    query::Query,
    route::Method,
};

pub(crate) fn list<S: Storage>(collection: String, call: &Call) -> Result<Read<S>, Answer> {
    let query = Query::new(&call.query);
    let (after, rows) = (query.seq("after")?, query.limit(LIST_ROWS_DEFAULT)?);
    Ok(Box::new(move |machine, now| {
        let meta = match is_open(machine.alive(now)) {
            Ok(meta) => meta,
            Err(answer) => return Ok(answer),
        };
        // No tombstone lies above the head, so this hides them all.
        let range = Range { after, tombstones_after: meta.head, collection: Some(&collection) };
        let (rows, is_last) = machine.list(Listing { range, rows, bytes: LIST_BYTES })?;
        let next = rows.last().filter(|_| !is_last).map(|row| row.seq.0);
        let body = Object::new()
            .list("records", rows.iter().filter_map(describe))
            .number("seq", meta.head.0)
            .maybe_number("next", next);
        Ok(Answer::json(200, body))
    }))
}

fn describe(row: &Row) -> Option<Object> {
    let data = row.data.as_deref()?;
    Some(Object::new().text("key", &row.key).raw("data", data).number("seq", row.seq.0))
}

pub(crate) fn get<S: Storage>(collection: String, key: String, call: Call) -> Read<S> {
    Box::new(move |machine, now| {
        if let Err(answer) = is_open(machine.alive(now)) {
            return Ok(answer);
        }
        let row = machine.storage().row(&collection, &key)?;
        let Some((body, seq)) = row.and_then(|row| Some((describe(&row)?, row.seq))) else {
            return Ok(no_record());
        };
        let wanted = call.headers.matches.as_ref();
        if wanted.is_some_and(|tags| tags.find(Some(seq)).is_none()) {
            return Ok(refused(Reason::PreconditionFailed));
        }
        let known = call.headers.none_matches.as_ref().and_then(|tags| tags.find(Some(seq)));
        let answer = if known.is_some() { Answer::empty(304) } else { Answer::json(200, body) };
        Ok(answer.with_etag(seq.0))
    })
}

fn no_record() -> Answer {
    Answer::problem(404, "not-found", "there is no such record")
}

/// What to do with one record.
enum Deed {
    Set(String),
    Patch(String),
    Delete,
}

pub(crate) fn write<S: Storage>(
    collection: String,
    key: String,
    method: Method,
    call: Call,
) -> Result<Write<S>, Answer> {
    let deed = match method {
        Method::Put => Deed::Set(input::record(&call.body)?),
        Method::Patch => Deed::Patch(input::record(&call.body)?),
        Method::Delete | Method::Get | Method::Post | Method::Options => Deed::Delete,
    };
    let tags = (call.headers.matches, call.headers.none_matches);
    if matches!(&tags, (_, Some(Tags::Seqs(_)))) {
        let detail = "a write takes If-Match and If-None-Match: *";
        return Err(Answer::problem(400, "invalid-header", detail));
    }
    Ok(Box::new(move |machine, at| {
        let Some(meta) = machine.alive(at.now) else { return Ok(Answer::absent()) };
        let primary = meta.info.primary.clone();
        let only_if = match &tags {
            (None, None) => Condition::None,
            (None, Some(_)) => Condition::Absent,
            // Nothing is both there and absent.
            (Some(_), Some(_)) => Condition::Seq(Seq::ZERO),
            (Some(Tags::Any), None) => Condition::Present,
            (Some(tags), None) => {
                let row = machine.storage().row(&collection, &key)?;
                let seq = row.filter(|row| row.data.is_some()).map(|row| row.seq);
                Condition::Seq(tags.find(seq).unwrap_or(Seq::ZERO))
            }
        };
        let (collection, key) = (collection.as_str(), key.as_str());
        let with_key;
        let op = match &deed {
            Deed::Set(data) => {
                with_key = match complete(data, &primary, key) {
                    Ok(data) => data,
                    Err(malformed) => return Ok(malformed_answer(malformed)),
                };
                Op::Set { collection, key, data: &with_key, only_if }
            }
            Deed::Patch(data) => Op::Patch { collection, key, data, only_if },
            Deed::Delete => Op::Delete { collection, key, only_if },
        };
        let Some(outcome) = machine.mutate(&[op], at)? else { return Ok(Answer::absent()) };
        let done = |seq: Seq| Answer::json(200, Object::new().number("seq", seq.0));
        Ok(match outcome {
            Err(malformed) => malformed_answer(malformed),
            Ok(Outcome::Accepted(seq) | Outcome::Added(seq)) => done(seq).with_etag(seq.0),
            // Nothing was there to delete, or a patch that says what is there already.
            Ok(Outcome::Unchanged) => match machine.storage().row(collection, key)? {
                Some(row) if row.data.is_some() => done(row.seq).with_etag(row.seq.0),
                Some(_) | None => no_record(),
            },
            Ok(Outcome::Refused(refusal)) => refused(refusal.reason),
        })
    }))
}

/// Adds the primary field where it was left out.
fn complete(data: &str, primary: &str, key: &str) -> Result<String, Malformed> {
    check_key(key).map_err(Malformed::Key)?;
    if check_object(data, primary).map_err(Malformed::Data)?.is_some() {
        return Ok(data.into());
    }
    let mut head = vec![b'{'];
    write_string(&mut head, primary);
    head.push(b':');
    write_string(&mut head, key);
    let rest = data.strip_prefix('{').unwrap_or(data);
    if rest != "}" {
        head.push(b',');
    }
    head.extend_from_slice(rest.as_bytes());
    // It was made of texts; were it not, it would be refused like an empty one.
    Ok(String::from_utf8(head).unwrap_or_default())
}

fn malformed_answer(malformed: Malformed) -> Answer {
    let status = match malformed {
        Malformed::RecordSize | Malformed::MutationSize | Malformed::OpCount => 413,
        Malformed::Name(_)
        | Malformed::Key(_)
        | Malformed::Data(_)
        | Malformed::KeyMismatch
        | Malformed::Mixed => 400,
    };
    Answer::problem(status, malformed.code(), malformed.message())
}

fn refused(reason: Reason) -> Answer {
    let status = match reason {
        Reason::NotFound => 404,
        Reason::PreconditionFailed => 412,
        Reason::TooLarge => 413,
        Reason::StorageFull => 507,
        Reason::Forbidden => 403,
        Reason::InvalidData => 400,
        Reason::OutcomeUnknown | Reason::OptionsMismatch => 409,
    };
    Answer::problem(status, reason.code(), reason.message())
}
