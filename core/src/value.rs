//! JSON text as it is stored: minified, without duplicate names, numbers finite doubles, strings
//! without lone surrogates (RFC 8259, narrowed by I-JSON, RFC 7493). Record data stays text; only
//! what must look inside does.

use alloc::{borrow::Cow, vec::Vec};
use core::{cmp::Ordering, ops::Range};

use crate::{limits::DEPTH_MAX, order::order};

mod canonical;
mod number;
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
    let mut reader = Reader::new(text, Some(name));
    let found = reader.top_object()?;
    if reader.at == text.len() { Ok(found) } else { Err(Invalid::Syntax) }
}

/// Checks that `text` is any value that can be stored, and finds the raw value of its member `name`
/// where it is an object.
///
/// # Errors
/// What is wrong with the text.
pub fn check_value<'a>(text: &'a str, name: Option<&str>) -> Result<Option<&'a str>, Invalid> {
    let mut reader = Reader::new(text, name);
    let found = reader.top_value()?;
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
    split_array(Reader::new(text, Some(name)), &|reader| reader.top_object(), &mut each)
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
    split_array(Reader::new(text, name), &|reader| reader.top_value(), &mut each)
}

/// Reads one element of an array, and what is wanted of it.
type ReadElement<'a, 'w, 'r> = &'r dyn Fn(&mut Reader<'a, 'w>) -> Result<Option<&'a str>, Invalid>;

fn split_array<'a, 'w>(
    mut reader: Reader<'a, 'w>,
    read: ReadElement<'a, 'w, '_>,
    each: &mut dyn FnMut(&'a str, Option<&'a str>),
) -> Result<(), Invalid> {
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
    if reader.at == reader.text.len() { Ok(()) } else { Err(Invalid::Syntax) }
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

/// Names up to which comparing all with all beats sorting them.
const FEW: usize = 12;

/// A reader of minified JSON.
struct Reader<'a, 'w> {
    text: &'a str,
    at: usize,
    /// Names of the members of all open objects, for the search for duplicates: raw, from their quote to the colon.
    names: Vec<&'a str>,
    /// Name of the member whose value is wanted of objects at the top.
    wanted: Option<&'w str>,
    /// The names of the object at the top that was read last: records of one array are much alike.
    likely: Vec<&'a str>,
    /// Where the wanted one stands among them.
    wanted_at: Option<usize>,
}

impl<'a, 'w> Reader<'a, 'w> {
    fn new(text: &'a str, wanted: Option<&'w str>) -> Self {
        Reader { text, at: 0, names: Vec::new(), wanted, likely: Vec::new(), wanted_at: None }
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

    fn top_object(&mut self) -> Result<Option<&'a str>, Invalid> {
        if self.peek() == Some(b'{') { self.object(1) } else { Err(Invalid::NotObject) }
    }

    fn top_value(&mut self) -> Result<Option<&'a str>, Invalid> {
        match self.peek() {
            Some(b'{') => self.object(1),
            _ => self.value(1).map(|()| None),
        }
    }

    fn value(&mut self, depth: usize) -> Result<(), Invalid> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'{') => self.object(depth).map(drop),
            Some(b'[') => self.array(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(Invalid::Syntax),
        }
    }

    /// Reads an object; of one at the top it gives the wanted value.
    fn object(&mut self, depth: usize) -> Result<Option<&'a str>, Invalid> {
        if depth > DEPTH_MAX {
            return Err(Invalid::Depth);
        }
        self.expect(b'{')?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(None);
        }
        let base = self.names.len();
        let is_top = depth == 1;
        let mut is_likely = is_top;
        let mut found = None;
        loop {
            let place = self.names.len();
            is_likely = is_likely && self.likely_name();
            if !is_likely {
                self.name()?;
                if is_top {
                    self.look_for_wanted(place);
                }
            }
            let start = self.at;
            self.value(depth + 1)?;
            if is_top && self.wanted_at == Some(place) {
                found = Some(self.slice(start..self.at));
            }
            match self.next() {
                Some(b',') => {}
                Some(b'}') => break,
                _ => return Err(Invalid::Syntax),
            }
        }
        if !is_likely {
            self.no_duplicates(base)?;
            if is_top {
                core::mem::swap(&mut self.likely, &mut self.names);
            }
        }
        self.names.truncate(base);
        Ok(found)
    }

    /// Reads a name and its colon.
    fn name(&mut self) -> Result<(), Invalid> {
        let start = self.at;
        self.string()?;
        self.expect(b':')?;
        self.names.push(self.slice(start..self.at));
        Ok(())
    }

    /// Reads them where they are those that the last object at the top had in this place.
    fn likely_name(&mut self) -> bool {
        let name = self.likely.get(self.names.len()).copied().unwrap_or("");
        let rest = self.text.as_bytes().get(self.at..).unwrap_or(&[]);
        let is_it = !name.is_empty() && rest.starts_with(name.as_bytes());
        if is_it {
            self.at += name.len();
            self.names.push(name);
        }
        is_it
    }

    /// A name that was not likely stands in this place of an object at the top: it may be the wanted one, and what
    /// stood there or behind it in the last object says nothing of this one.
    fn look_for_wanted(&mut self, place: usize) {
        let inside = self.names.last().and_then(|name| name.get(1..name.len() - 2)).unwrap_or("");
        if self.wanted.is_some_and(|wanted| unescape(inside) == wanted) {
            self.wanted_at = Some(place);
        } else if self.wanted_at.is_some_and(|at| at >= place) {
            self.wanted_at = None;
        }
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
}

#[cfg(test)]
mod tests;
