//! Why a text is no mutation, and why a mutation is refused.

use crate::{id::BadId, value::Invalid};

/// What makes a mutation no mutation. It is the caller's mistake, so nothing is sent or stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// A collection has a bad name: `invalid-name`.
    Name(BadId),
    /// A key is empty or too long: `invalid-key`.
    Key(BadId),
    /// Data is no JSON object that can be stored: `invalid-data`.
    Data(Invalid),
    /// The primary field is missing, or differs from the key: `key-mismatch`.
    KeyMismatch,
    /// A record is larger than 256 KiB: `too-large`.
    RecordSize,
    /// A mutation is larger than 900 KiB, or changes records that are: `too-large`.
    MutationSize,
    /// A mutation has more than 10 000 ops: `too-large`.
    OpCount,
    /// A mutation adds to a pool and does something else: `invalid-options`.
    Mixed,
}

impl Malformed {
    /// The public code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Malformed::Name(_) => "invalid-name",
            Malformed::Key(_) => "invalid-key",
            Malformed::Data(_) => "invalid-data",
            Malformed::KeyMismatch => "key-mismatch",
            Malformed::RecordSize | Malformed::MutationSize | Malformed::OpCount => "too-large",
            Malformed::Mixed => "invalid-options",
        }
    }

    /// Says it to a person.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Malformed::Name(_) => "a name is 1 to 64 of A-Z a-z 0-9 _ -",
            Malformed::Key(_) => "a key is a text of 1 to 512 bytes of UTF-8",
            Malformed::Data(invalid) => invalid.message(),
            Malformed::KeyMismatch => "the primary field must be there and equal to the key",
            Malformed::RecordSize => "a record is larger than 256 KiB",
            Malformed::MutationSize => {
                "a mutation or what it changes is larger than 900 KiB, or a record than 256 KiB"
            }
            Malformed::OpCount => "a mutation has more than 10 000 ops",
            Malformed::Mixed => "a mutation adds to one pool or changes records, not both",
        }
    }
}

/// Why a mutation was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A patch found no record.
    NotFound,
    /// A condition did not hold.
    PreconditionFailed,
    /// A patched record, or all changed records together, came out too large.
    TooLarge,
    /// The datastore holds as many records or bytes as it may.
    StorageFull,
    /// The replica may not write.
    Forbidden,
    /// The relay has forgotten this replica and cannot tell whether the mutation was applied.
    OutcomeUnknown,
    /// The pool has another primary field, or keeps its items otherwise.
    OptionsMismatch,
    /// An item is no canonical JSON.
    InvalidData,
}

/// A reasoned no: a value, not an error. The mutation changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The op that it fell over, counted from zero.
    pub op: u32,
}

impl Reason {
    const ALL: [Reason; 8] = [
        Reason::NotFound,
        Reason::PreconditionFailed,
        Reason::TooLarge,
        Reason::StorageFull,
        Reason::Forbidden,
        Reason::OutcomeUnknown,
        Reason::OptionsMismatch,
        Reason::InvalidData,
    ];

    /// Reads the public code; every other text is none.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Reason> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// The public code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Reason::NotFound => "not-found",
            Reason::PreconditionFailed => "precondition-failed",
            Reason::TooLarge => "too-large",
            Reason::StorageFull => "storage-full",
            Reason::Forbidden => "forbidden",
            Reason::OutcomeUnknown => "outcome-unknown",
            Reason::OptionsMismatch => "options-mismatch",
            Reason::InvalidData => "invalid-data",
        }
    }

    /// Says it to a person.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Reason::NotFound => "there is no record to patch under this key",
            Reason::PreconditionFailed => {
                "the record was not as the condition wants it when the mutation arrived"
            }
            Reason::TooLarge => "what the mutation makes is too large",
            Reason::StorageFull => "the datastore is full",
            Reason::Forbidden => "the token does not allow writing",
            Reason::OutcomeUnknown => {
                "the replica was away too long to tell whether this was applied"
            }
            Reason::OptionsMismatch => "the pool was opened first with other options",
            Reason::InvalidData => "an item is no canonical JSON",
        }
    }
}
