//! Merge pools: things that are only added and read. Equal ones melt together, and everybody ends with
//! the same set, in whatever order they came.
//!
//! Inside the core the name of a pool begins with a tilde, which no collection's can: so a replica
//! keeps the items of a pool as it keeps the records of a collection, under their identities.

use alloc::{boxed::Box, string::String};

use crate::{
    id::{self, BadId, Seq, hex},
    limits::KEY_BYTES_MAX,
    record::Digest,
    sip::sip,
    value::as_string,
};

/// What begins the name of a pool.
pub const MARK: char = '~';

/// Whether a name is that of a pool, and not of a collection.
#[must_use]
pub fn is_pool(name: &str) -> bool {
    name.starts_with(MARK)
}

/// Checks the name of a pool, mark included.
///
/// # Errors
/// What is wrong with it; the public code is `invalid-name`.
pub fn check_name(name: &str) -> Result<(), BadId> {
    id::check_name(name.strip_prefix(MARK).ok_or(BadId::Character)?)
}

/// How long the relay keeps items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retain {
    /// As long as the datastore lives.
    #[default]
    Ttl,
    /// Until the members have converged on them. That they were there stays known.
    Converged,
}

impl Retain {
    /// Reads the public name; every other text is none.
    #[must_use]
    pub fn from_name(text: &str) -> Option<Retain> {
        match text {
            "ttl" => Some(Retain::Ttl),
            "converged" => Some(Retain::Converged),
            _ => None,
        }
    }

    /// The public name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Retain::Ttl => "ttl",
            Retain::Converged => "converged",
        }
    }
}

/// What an opener asks for. What is left out takes what the pool has; the first opener fixes both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice<'a> {
    /// The field by which items are equal; the first opener's default is none.
    pub primary: Option<&'a str>,
    /// How long items are kept; the first opener's default is [`Retain::Ttl`].
    pub retain: Option<Retain>,
}

/// What holds for a pool from its first opening.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The field by which items are equal that carry it as a non-empty string.
    pub primary: Option<Box<str>>,
    /// How long items are kept.
    pub retain: Retain,
}

impl Terms {
    /// Makes what a first opener asked for.
    #[must_use]
    pub fn create(choice: Choice<'_>) -> Terms {
        Terms { primary: choice.primary.map(Box::from), retain: choice.retain.unwrap_or_default() }
    }

    /// Whether another opener's choice fits.
    #[must_use]
    pub fn fit(&self, choice: Choice<'_>) -> bool {
        choice.primary.is_none_or(|primary| self.primary.as_deref() == Some(primary))
            && choice.retain.is_none_or(|retain| retain == self.retain)
    }
}

/// All that an authority keeps of a pool besides its items: one stored row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// Fixed by the first opener.
    pub terms: Terms,
    /// The newest seq of this pool, which counts its own.
    pub head: Seq,
    /// Items up to this seq are gone from the relay; that they were there is known.
    pub drained: Seq,
    /// Their data is erased up to this seq.
    pub erased: Seq,
    /// Sum of the hashes of the items after `drained`.
    pub digest: Digest,
    /// How many items there are after `drained`.
    pub items: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// An item as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its place in the order of the pool.
    pub seq: Seq,
    /// Over pool, identity and data.
    pub hash: Digest,
    /// The item as canonical JSON; `None` where it is gone from the relay.
    pub data: Option<Box<str>>,
}

/// Hashes an item. The sum of the hashes says what a pool holds, whatever the order was.
#[must_use]
pub fn hash(pool: &str, ident: &str, data: &str) -> Digest {
    Digest::of(pool, ident, Seq::ZERO, data.as_bytes())
}

/// Bytes that an item counts for, its identity included.
pub(crate) fn size(ident: &str, item: &Item) -> u64 {
    let data = item.data.as_ref().map_or(0, |data| data.len());
    u64::try_from(ident.len() + data).unwrap_or(u64::MAX)
}

/// The identity of an item: its primary field where that is a non-empty string, given raw, else its
/// canonical JSON (RFC 8785), hashed so that it fits a key.
#[must_use]
pub fn ident(data: &str, primary: Option<&str>) -> String {
    let text = primary.and_then(as_string).filter(|text| !text.is_empty());
    match text {
        Some(text) if text.len() <= KEY_BYTES_MAX && !text.starts_with('\0') => text.into(),
        Some(text) => hashed("\0k", &text),
        None => hashed("\0j", data),
    }
}

fn hashed(kind: &str, text: &str) -> String {
    let mut ident = String::from(kind);
    ident.push_str(&hex(&sip(2, [0, 0], &[text.as_bytes()])));
    ident
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [PO1] Items are equal by a primary field that is a non-empty string, else by what they are.
    #[test]
    fn po1_identity() {
        let of = |data, primary| ident(data, primary);
        assert_eq!(of("{\"id\":\"a\",\"b\":1}", Some("\"a\"")), "a");
        assert_eq!(of("{\"id\":\"\"}", Some("\"\"")), of("{\"id\":\"\"}", None));
        assert_eq!(of("{\"id\":7}", Some("7")), of("{\"id\":7}", None));
        assert_ne!(of("1", None), of("2", None));
        let long = alloc::format!("\"{}\"", "x".repeat(600));
        assert!(of("{}", Some(&long)).len() < 64, "a long primary is hashed");
        assert_ne!(of("{}", Some(&long)), of(&long, None), "and meets no item of that text");
        let posing = alloc::format!("\"{}\"", of("1", None).replace('\0', "\\u0000"));
        assert_ne!(of("{}", Some(&posing)), of("1", None), "nobody poses as a hash");
    }
}
