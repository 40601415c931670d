//! Headers and bodies, parsed once and then believed.

use std::{fmt, marker::PhantomData};

use neap_core::{
    id::Seq,
    limits::{IDEMPOTENCY_KEY_BYTES_MAX, INTEGER_MAX},
    value::{self, Invalid},
};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
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

/// Which tags are equal (RFC 9110, section 8.8.3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// None that is marked weak.
    Strong,
    /// Whatever the mark; who compresses an answer on its way marks its tag.
    Weak,
}

impl Tags {
    fn parse(text: &str, comparison: Comparison) -> Option<Tags> {
        let mut rest = text.trim();
        if rest == "*" {
            return Some(Tags::Any);
        }
        let mut seqs = Vec::new();
        loop {
            // A list may have empty elements (RFC 9110, section 5.6.1.2).
            rest = rest.trim_start_matches([',', ' ', '\t']);
            if rest.is_empty() {
                return (!seqs.is_empty()).then_some(Tags::Seqs(seqs));
            }
            let weak = rest.strip_prefix("W/");
            let (inner, more) = weak.unwrap_or(rest).strip_prefix('"')?.split_once('"')?;
            let counts = weak.is_none() || comparison == Comparison::Weak;
            // Tags are texts: another spelling of a number is another tag.
            let seq = whole_number(inner).filter(|_| counts && !inner.starts_with('0'));
            seqs.push(Seq(seq.unwrap_or(0)));
            rest = more.trim_start();
            if !(rest.is_empty() || rest.starts_with(',')) {
                return None;
            }
        }
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
        let tags = |name: &str, comparison| {
            // workerd drops one that is empty, so that nobody can tell it from none.
            let text = head.header(name).filter(|text| !text.trim().is_empty());
            let Some(text) = text else { return Ok(None) };
            let tags = Tags::parse(text, comparison).map(Some);
            tags.ok_or_else(|| bad_header("an entity tag is a quoted text"))
        };
        let idempotency_key = head.header("Idempotency-Key").map(String::from);
        let is_sound = |key: &String| {
            (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len())
                && key.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let matches = tags("If-Match", Comparison::Strong)?;
        let none_matches = tags("If-None-Match", Comparison::Weak)?;
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

/// Such a number in a body, where 3.0 is 3.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(try_from = "f64")]
pub(crate) struct Whole(pub(crate) u64);

impl TryFrom<f64> for Whole {
    type Error = &'static str;

    fn try_from(number: f64) -> Result<Whole, &'static str> {
        if number.fract() == 0.0 && (0.0..=INTEGER_MAX as f64).contains(&number) {
            Ok(Whole(number as u64))
        } else {
            Err("a seq is a whole number from 0 to 2^53-1")
        }
    }
}

/// Reads a member that may be left out. Null is not left out.
pub(crate) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    input: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(input).map(Some)
}

/// An object with the members of `T`; what is derived would take an array of their values as well.
pub(crate) struct Named<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Named<T>, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Named<T>;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Named<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Named)
            }
        }

        input.deserialize_map(Members(PhantomData))
    }
}

/// Reads a body of a known shape, in which record data stays text.
pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Answer> {
    let text = json_text(body)?;
    serde_json::from_str(text)
        .map(|Named(shape)| shape)
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
