//! Names and numbers that identify things.

use alloc::{boxed::Box, string::String};
use core::{fmt, ops::Deref};

use crate::limits::{INTEGER_MAX, KEY_BYTES_MAX, NAME_BYTES_MAX};

/// A place in a datastore's order, from 1; zero stands before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first mutation.
    pub const ZERO: Seq = Seq(0);

    /// The seq that follows.
    #[must_use]
    pub const fn next(self) -> Seq {
        Seq(self.0 + 1)
    }

    /// Whether the number stays exact in JavaScript.
    #[must_use]
    pub const fn is_sane(self) -> bool {
        self.0 <= INTEGER_MAX
    }
}

/// A replica's count of its own mutations, from 1, without gaps; zero stands before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Turn(pub u64);

impl Turn {
    /// Before the first mutation.
    pub const ZERO: Turn = Turn(0);

    /// The turn that follows.
    #[must_use]
    pub const fn next(self) -> Turn {
        Turn(self.0 + 1)
    }

    /// The turn before, zero staying zero.
    #[must_use]
    pub const fn before(self) -> Turn {
        Turn(self.0.saturating_sub(1))
    }
}

/// Names a replica for ever. It is a capability: who knows it may speak for the replica, so it is
/// never shown to others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub [u8; 16]);

impl ReplicaId {
    /// Gives the id as 32 hex digits, for an export and no other eyes.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }

    /// Reads 32 hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<ReplicaId> {
        from_hex(text).map(ReplicaId)
    }
}

impl fmt::Debug for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplicaId({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// One incarnation of a public id. Seqs of different epochs say nothing about each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub [u8; 8]);

impl Epoch {
    /// Gives the epoch as 16 hex digits, as the public interfaces show it.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }

    /// Reads 16 hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Epoch> {
        from_hex(text).map(Epoch)
    }
}

/// Reads two hex digits for each of `N` bytes.
pub(crate) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(*pair.first()?).to_digit(16)?;
        let low = char::from(*pair.last()?).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(bytes)
}

/// Bytes as lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Why a text is no name or no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadId {
    /// It is empty.
    Empty,
    /// It is longer than [`NAME_BYTES_MAX`] or [`KEY_BYTES_MAX`].
    Long,
    /// A name has a character other than `A-Z a-z 0-9 _ -`.
    Character,
}

/// Checks the name of a collection, a pool or a datastore: 1 to 64 of `A-Z a-z 0-9 _ -`.
///
/// # Errors
/// What is wrong with it; the public code is `invalid-name`.
pub fn check_name(text: &str) -> Result<(), BadId> {
    match text.len() {
        0 => return Err(BadId::Empty),
        1..=NAME_BYTES_MAX => {}
        _ => return Err(BadId::Long),
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if text.bytes().all(fits) { Ok(()) } else { Err(BadId::Character) }
}

/// Checks the key of a record: 1 to 512 bytes.
///
/// # Errors
/// What is wrong with it; the public code is `invalid-key`.
pub fn check_key(text: &str) -> Result<(), BadId> {
    match text.len() {
        0 => Err(BadId::Empty),
        1..=KEY_BYTES_MAX => Ok(()),
        _ => Err(BadId::Long),
    }
}

/// The name of a collection, checked by [`check_name`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

impl Name {
    /// Keeps `text` as a name.
    ///
    /// # Errors
    /// As [`check_name`].
    pub fn new(text: &str) -> Result<Name, BadId> {
        check_name(text)?;
        Ok(Name(text.into()))
    }

    /// Makes a public id of sixteen random bytes, two hex digits for each: one that nobody can guess.
    #[must_use]
    pub fn mint(dice: [u8; 16]) -> Name {
        Name(hex(&dice).into())
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}
