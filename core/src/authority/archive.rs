//! A whole datastore as a list of facts, given out and taken in.

use alloc::boxed::Box;

use super::ledger::Entry;
use crate::{
    datastore::{Info, Meta},
    id::{Epoch, ReplicaId, Seq},
    mutation::Malformed,
    pool::{Item, Terms},
    record::{Digest, Row},
};

mod export;
mod import;

pub use export::{Export, ExportPage};
pub(super) use import::{Import, MARK};

/// What an export says first, and an import needs to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Kind, primary field and lifetime.
    pub info: Info,
    /// Replicas born before this moment, in milliseconds since 1970, and unknown were forgotten.
    pub ledger_floor: u64,
}

/// One thing that a datastore holds. Of two that speak of one key, identity or replica the later counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A record or a tombstone, in the order of seqs, collections and keys.
    Row(Row),
    /// A pool. It comes before its items, and again when something else holds for it.
    Pool(PoolFact),
    /// An item, in the order of the pool's seqs.
    Item {
        /// The pool, with its mark.
        pool: Box<str>,
        /// The item's identity.
        ident: Box<str>,
        /// The item.
        item: Item,
    },
    /// What was settled for a replica.
    Entry(ReplicaId, Entry),
}

/// What holds for a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolFact {
    /// The name, with its mark.
    pub name: Box<str>,
    /// Fixed by the first opener.
    pub terms: Terms,
    /// The newest seq.
    pub head: Seq,
    /// Items up to this seq are known, and gone from the relay.
    pub drained: Seq,
    /// Over the items after `drained`.
    pub digest: Digest,
}

/// What an export says last: what all that was said comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// The newest seq.
    pub head: Seq,
    /// Below it no delta can be made.
    pub horizon: Seq,
    /// Over all live records.
    pub digest: Digest,
    /// Live records.
    pub records: u64,
}

impl Closing {
    /// What holds now.
    #[must_use]
    pub fn of(meta: &Meta) -> Closing {
        let Meta { head, horizon, totals, .. } = meta;
        let (digest, records) = (totals.digest, totals.records);
        Closing { head: *head, horizon: *horizon, digest, records }
    }
}

/// Why an import ends without a datastore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A row or an item is none that can be stored.
    Malformed(Malformed),
    /// It does not follow on what came before, or contradicts it.
    Order,
    /// A number is none that can be, or an account is too long.
    Range,
    /// It would be more than the operator allows.
    Full,
    /// All together is not what the end says.
    Digest,
    /// The import is over: it stood still too long, or the authority was started anew.
    Gone,
}

impl Flaw {
    /// The public code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Flaw::Malformed(malformed) => malformed.code(),
            Flaw::Order | Flaw::Range => "invalid-data",
            Flaw::Full => "storage-full",
            Flaw::Digest => "digest-mismatch",
            Flaw::Gone => "import-interrupted",
        }
    }

    /// Says it to a person.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Flaw::Malformed(malformed) => malformed.message(),
            Flaw::Order => "this does not follow on what came before",
            Flaw::Range => "a number is out of its range",
            Flaw::Full => "the datastore would hold more than the relay allows",
            Flaw::Digest => "this is not all that was exported, or not as it was",
            Flaw::Gone => "the import stood still for too long, or the relay was restarted",
        }
    }
}

impl From<Malformed> for Flaw {
    fn from(malformed: Malformed) -> Self {
        Flaw::Malformed(malformed)
    }
}

/// Names an import that is under way: the epoch of the datastore that comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportId(pub(super) Epoch);
