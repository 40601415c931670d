//! JSON text as it is stored: minified, without duplicate names, numbers finite doubles, strings
//! without lone surrogates (RFC 8259, narrowed by I-JSON, RFC 7493). Record data stays text; only
//! what must look inside does.

use alloc::{borrow::Cow, vec::Vec};
use core::{cmp::Ordering, ops::Range};

use crate::{limits::DEPTH_MAX, order::order};

mod canonical;
mod patch;
mod text;

pub use canonical::canonical;
pub use patch::merge_patch;
pub use text::{minify, write_string};
use text::{plain, unescape};

/// Why a text is not JSON that can be stored. The public code is `invalid-data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// Not the JSON grammar, or not minified.
    Syntax,
    /// Nested deeper than [`DEPTH_MAX`].
    Depth,
    /// An object has two members of one name.
    Duplicate,
    /// A number that no finite double is near.
    Number,
    /// A string with a control character, an unknown escape or a lone surrogate.
    String,
    /// The text is no object, so it can be neither record nor patch.
    NotObject,
}

impl Invalid {
    /// Says it to a person.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Invalid::Syntax => "this is not JSON",
            Invalid::Depth => "arrays and objects are nested deeper than 32 levels",
            Invalid::Duplicate => "an object has two members of the same name",
            Invalid::Number => "a number does not fit a finite double",
            Invalid::String => "a string has a control character, a bad escape or a lone surrogate",
            Invalid::NotObject => "a record and a patch must be JSON objects",
        }
    }
}

/// Checks that `text` is an object that can be stored, and finds the raw value of its member `name`.
///
/// # Errors
/// What is wrong with the text.
pub fn check_object<'a>(text: &'a str, name: &str) -> Result<Option<&'a str>, Invalid> {
    let mut reader = Reader::new(text);
    let found = reader.top_object(name)?;
    if reader.at == text.len() { Ok(found) } else { Err(Invalid::Syntax) }
}

/// Checks that `text` is any value that can be stored, and finds the raw value of its member `name`
/// where it is an object.
///
/// # Errors
/// What is wrong with the text.
pub fn check_value<'a>(text: &'a str, name: Option<&str>) -> Result<Option<&'a str>, Invalid> {
    let mut reader = Reader::new(text);
    let found = reader.top_value(name)?;
    if reader.at == text.len() { Ok(found) } else { Err(Invalid::Syntax) }
}

/// Splits a minified array of objects that can be stored: each comes with the raw value of its
/// member `name`.
///
/// # Errors
/// What is wrong with the text, at the first element that is wrong.
pub fn check_array<'a>(
    text: &'a str,
    name: &str,
    mut each: impl FnMut(&'a str, Option<&'a str>),
) -> Result<(), Invalid> {
    split_array(text, &|reader| reader.top_object(name), &mut each)
}

/// Splits a minified array of values that can be stored: each comes with the raw value of its member
/// `name` where it is an object that has one.
///
/// # Errors
/// What is wrong with the text, at the first element that is wrong.
pub fn check_values<'a>(
    text: &'a str,
    name: Option<&str>,
    mut each: impl FnMut(&'a str, Option<&'a str>),
) -> Result<(), Invalid> {
    split_array(text, &|reader| reader.top_value(name), &mut each)
}

/// Reads one element of an array, and what is wanted of it.
type ReadElement<'a, 'r> = &'r dyn Fn(&mut Reader<'a>) -> Result<Option<&'a str>, Invalid>;

fn split_array<'a>(
    text: &'a str,
    read: ReadElement<'a, '_>,
    each: &mut dyn FnMut(&'a str, Option<&'a str>),
) -> Result<(), Invalid> {
    let mut reader = Reader::new(text);
    reader.expect(b'[')?;
    if reader.peek() == Some(b']') {
        reader.at += 1;
    } else {
        loop {
            let start = reader.at;
            let found = read(&mut reader)?;
            each(reader.slice(start..reader.at), found);
            match reader.next() {
                Some(b',') => {}
                Some(b']') => break,
                _ => return Err(Invalid::Syntax),
            }
        }
    }
    if reader.at == text.len() { Ok(()) } else { Err(Invalid::Syntax) }
}

/// Reads the raw value of a member as a string: `None` where it is another kind of value.
#[must_use]
pub fn as_string(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    Some(unescape(inner))
}

/// Orders names as texts, escapes undone.
fn compare_names(one: &str, other: &str) -> Ordering {
    unescape(one).as_ref().cmp(unescape(other).as_ref())
}

/// The integer part of the least decimal number that rounds to infinity: 2^1024 - 2^970.
const OVERFLOW: &[u8] = b"179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704342711559699508093042880177904174497792";

/// Names up to which comparing all with all beats sorting them.
const FEW: usize = 12;

/// A reader of minified JSON.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Raw names of the members of all open objects, for the search for duplicates.
    names: Vec<&'a str>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Reader { text, at: 0, names: Vec::new() }
    }

    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline(always)]
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, byte: u8) -> Result<(), Invalid> {
        if self.next() == Some(byte) { Ok(()) } else { Err(Invalid::Syntax) }
    }

    fn slice(&self, range: Range<usize>) -> &'a str {
        self.text.get(range).unwrap_or("")
    }

    fn top_object(&mut self, name: &str) -> Result<Option<&'a str>, Invalid> {
        if self.peek() != Some(b'{') {
            return Err(Invalid::NotObject);
        }
        self.object(1, Some(name))
    }

    fn top_value(&mut self, name: Option<&str>) -> Result<Option<&'a str>, Invalid> {
        match self.peek() {
            Some(b'{') => self.object(1, name),
            _ => self.value(1).map(|()| None),
        }
    }

    fn value(&mut self, depth: usize) -> Result<(), Invalid> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'{') => self.object(depth, None).map(drop),
            Some(b'[') => self.array(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(Invalid::Syntax),
        }
    }

    fn object(&mut self, depth: usize, wanted: Option<&str>) -> Result<Option<&'a str>, Invalid> {
        if depth > DEPTH_MAX {
            return Err(Invalid::Depth);
        }
        self.expect(b'{')?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(None);
        }
        let base = self.names.len();
        let mut found = None;
        loop {
            let name = self.string()?;
            self.names.push(name);
            self.expect(b':')?;
            let start = self.at;
            self.value(depth + 1)?;
            if wanted.is_some_and(|wanted| unescape(name) == wanted) {
                found = Some(self.slice(start..self.at));
            }
            match self.next() {
                Some(b',') => {}
                Some(b'}') => break,
                _ => return Err(Invalid::Syntax),
            }
        }
        self.no_duplicates(base)?;
        self.names.truncate(base);
        Ok(found)
    }

    fn no_duplicates(&self, base: usize) -> Result<(), Invalid> {
        let names = self.names.get(base..).unwrap_or(&[]);
        let is_escaped = |name: &&str| name.bytes().any(|byte| byte == b'\\');
        if names.len() > FEW || names.iter().any(is_escaped) {
            let compare = |one: usize, other: usize| match (names.get(one), names.get(other)) {
                (Some(one), Some(other)) => compare_names(one, other),
                (one, other) => one.cmp(&other),
            };
            let sorted = order(names.len(), &compare);
            let twice = |pair: &[usize]| matches!(pair, [one, other] if compare(*one, *other) == Ordering::Equal);
            return if sorted.windows(2).any(twice) { Err(Invalid::Duplicate) } else { Ok(()) };
        }
        let mut rest = names;
        while let Some((first, others)) = rest.split_first() {
            if others.contains(first) {
                return Err(Invalid::Duplicate);
            }
            rest = others;
        }
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<(), Invalid> {
        if depth > DEPTH_MAX {
            return Err(Invalid::Depth);
        }
        self.expect(b'[')?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            match self.next() {
                Some(b',') => {}
                Some(b']') => return Ok(()),
                _ => return Err(Invalid::Syntax),
            }
        }
    }

    fn word(&mut self, word: &str) -> Result<(), Invalid> {
        if self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes()))
        {
            self.at += word.len();
            Ok(())
        } else {
            Err(Invalid::Syntax)
        }
    }

    /// Reads a string and gives its inside, escapes as they stand.
    fn string(&mut self) -> Result<&'a str, Invalid> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or(&[]);
            self.at += plain(rest);
            match self.next().ok_or(Invalid::Syntax)? {
                b'"' => return Ok(self.slice(start..self.at - 1)),
                b'\\' => self.escape()?,
                _ => return Err(Invalid::String),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Invalid> {
        match self.next().ok_or(Invalid::Syntax)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => match self.unit()? {
                0xd800..=0xdbff => {
                    let paired = self.next() == Some(b'\\') && self.next() == Some(b'u');
                    let low = if paired { self.unit()? } else { 0 };
                    if (0xdc00..=0xdfff).contains(&low) { Ok(()) } else { Err(Invalid::String) }
                }
                0xdc00..=0xdfff => Err(Invalid::String),
                _ => Ok(()),
            },
            _ => Err(Invalid::String),
        }
    }

    fn unit(&mut self) -> Result<u32, Invalid> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.next().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit * 16 + digit.ok_or(Invalid::String)?;
        }
        Ok(unit)
    }

    fn digits(&mut self) -> &'a str {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.slice(start..self.at)
    }

    fn number(&mut self) -> Result<(), Invalid> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let whole = self.digits();
        if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
            return Err(Invalid::Syntax);
        }
        let mut fraction = "";
        if self.peek() == Some(b'.') {
            self.at += 1;
            fraction = self.digits();
            if fraction.is_empty() {
                return Err(Invalid::Syntax);
            }
        }
        let mut exponent = 0_i64;
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            let sign = self.peek().filter(|byte| matches!(byte, b'+' | b'-'));
            self.at += usize::from(sign.is_some());
            let digits = self.digits();
            if digits.is_empty() {
                return Err(Invalid::Syntax);
            }
            let size = digits
                .bytes()
                .fold(0_i64, |sum, digit| (sum * 10 + i64::from(digit - b'0')).min(1 << 40));
            exponent = if sign == Some(b'-') { -size } else { size };
        }
        if is_finite(whole, fraction, exponent) { Ok(()) } else { Err(Invalid::Number) }
    }
}

/// Whether `whole.fraction × 10^exponent` rounds to a finite double, told from its digits alone: a
/// conversion to `f64` would bring 10 KB into the browser for a question that is almost never asked.
fn is_finite(whole: &str, fraction: &str, exponent: i64) -> bool {
    let digits = || whole.bytes().chain(fraction.bytes()).skip_while(|digit| *digit == b'0');
    let zeros = whole.bytes().chain(fraction.bytes()).take_while(|digit| *digit == b'0').count();
    let count = i64::try_from(whole.len() + fraction.len() - zeros).unwrap_or(i64::MAX);
    let fraction_len = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    // Digits before the decimal point, once the exponent has moved it.
    let places = count - fraction_len + exponent;
    let bound = i64::try_from(OVERFLOW.len()).unwrap_or(i64::MAX);
    match places.cmp(&bound) {
        Ordering::Less => true,
        Ordering::Greater => count == 0,
        Ordering::Equal => {
            let padded = digits().chain(core::iter::repeat(b'0'));
            padded.take(OVERFLOW.len()).cmp(OVERFLOW.iter().copied()) == Ordering::Less
        }
    }
}

#[cfg(test)]
mod tests;
