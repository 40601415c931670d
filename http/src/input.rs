//! Headers and bodies, parsed once and then believed.

use neap_core::{
    id::Seq,
    limits::{IDEMPOTENCY_KEY_BYTES_MAX, INTEGER_MAX},
    value::{self, Invalid},
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{Answer, Head};

/// What the headers of a request ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Headers {
    pub(crate) matches: Option<Tags>,
    pub(crate) none_matches: Option<Tags>,
    pub(crate) idempotency_key: Option<String>,
}

/// Entity tags (RFC 9110, section 8.8.3): here, seqs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tags {
    Any,
    /// A tag that is no seq fits nothing.
    Seqs(Vec<Seq>),
}

impl Tags {
    fn parse(text: &str) -> Option<Tags> {
        if text.trim() == "*" {
            return Some(Tags::Any);
        }
        let each = text.split(',').map(|tag| {
            let tag = tag.trim();
            let strong = tag.strip_prefix("W/").unwrap_or(tag);
            let inner =
                strong.strip_prefix('"')?.strip_suffix('"').filter(|inner| !inner.contains('"'))?;
            // A weak tag fits no strong comparison (RFC 9110, section 13.1.1).
            let seq = if tag.starts_with("W/") { None } else { whole_number(inner) };
            Some(Seq(seq.unwrap_or(0)))
        });
        each.collect::<Option<Vec<Seq>>>().map(Tags::Seqs)
    }

    /// The tag among these that is this one.
    pub(crate) fn find(&self, seq: Option<Seq>) -> Option<Seq> {
        match self {
            Tags::Any => seq,
            Tags::Seqs(seqs) => seq.filter(|seq| seqs.contains(seq)),
        }
    }
}

impl Headers {
    /// Reads the headers; the answer where one makes no sense.
    pub(crate) fn read(head: &Head) -> Result<Headers, Answer> {
        let tags = |name: &str| {
            let Some(text) = head.header(name) else { return Ok(None) };
            let tags = Tags::parse(text).map(Some);
            tags.ok_or_else(|| bad_header("an entity tag is a quoted text"))
        };
        let idempotency_key = head.header("Idempotency-Key").map(String::from);
        let is_sound = |key: &String| {
            (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len())
                && key.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let matches = tags("If-Match")?;
        let none_matches = tags("If-None-Match")?;
        if idempotency_key.as_ref().is_some_and(|key| !is_sound(key)) {
            return Err(bad_header("an Idempotency-Key is 1 to 255 visible ASCII characters"));
        }
        Ok(Headers { matches, none_matches, idempotency_key })
    }
}

fn bad_header(detail: &str) -> Answer {
    Answer::problem(400, "invalid-header", detail)
}

/// A whole number that JavaScript holds exactly, in plain digits.
pub(crate) fn whole_number(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_plain && *number <= INTEGER_MAX)
}

/// Reads a body of a known shape, in which record data stays text.
pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Answer> {
    let text = json_text(body)?;
    serde_json::from_str(text)
        .map_err(|error| Answer::problem(400, "invalid-request", &error.to_string()))
}

/// Reads a body that is one record or one patch: minified, and still to be checked.
pub(crate) fn record(body: &[u8]) -> Result<String, Answer> {
    json_text(body).and_then(|text| minified(text).map_err(|invalid| bad_data(invalid.message())))
}

/// Removes white space from JSON that has been found sound.
pub(crate) fn minified(text: &str) -> Result<String, Invalid> {
    value::minify(text)
}

/// Says that data cannot be stored.
pub(crate) fn bad_data(detail: &str) -> Answer {
    Answer::problem(400, "invalid-data", detail)
}

/// The text of a body, which is JSON.
fn json_text(body: &[u8]) -> Result<&str, Answer> {
    let broken = |detail: &str| Answer::problem(400, "invalid-json", detail);
    let text = str::from_utf8(body).map_err(|_| broken("the body is not UTF-8"))?;
    match serde_json::from_str::<&RawValue>(text) {
        Ok(_) => Ok(text),
        Err(error) => Err(broken(&error.to_string())),
    }
}
