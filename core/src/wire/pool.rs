//! What is said of merge pools. A pool's name stands with its mark, its seqs are its own.

use alloc::boxed::Box;

use crate::{
    id::Seq,
    pool::{Choice, Terms},
    record::Digest,
};

/// What a member says of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolUp<'a> {
    /// Which pool.
    pub pool: &'a str,
    /// What is said.
    pub ask: PoolAsk<'a>,
}

/// What a member wants of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolAsk<'a> {
    /// To be a member, and the items after a seq.
    Open {
        /// What it asks of the pool.
        choice: Choice<'a>,
        /// The newest seq that it holds.
        after: Seq,
    },
    /// The items after a seq.
    Next(Seq),
    /// It holds everything up to this seq.
    Ack(Seq),
    /// To be no member any more.
    Leave,
}

/// What an authority says of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolDown {
    /// Which pool.
    pub pool: Box<str>,
    /// What is said.
    pub news: PoolNews,
}

/// What is new in a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolNews {
    /// Items after a seq; they follow as [`Changes`](super::Changes), under their identities.
    Page {
        /// The seq that the page follows.
        from: Seq,
        /// The seq that it leads to.
        to: Seq,
        /// Stands on the last page: with it the member is at the head, and deltas follow.
        last: Option<PoolLast>,
    },
    /// Items that were added since; they follow.
    Delta {
        /// The seq that they follow.
        from: Seq,
        /// The seq that they lead to.
        to: Seq,
        /// Items up to this seq are gone from the relay.
        drained: Seq,
        /// Over all items after `drained`.
        digest: Digest,
    },
    /// All members that count hold everything up to `seq`.
    Converged {
        /// The newest seq.
        seq: Seq,
        /// Over all items that they converged on.
        digest: Digest,
        /// Whether the relay keeps the items no longer.
        drained: bool,
    },
    /// The pool was opened first with other options.
    Mismatch,
}

/// What the last page of a pool's catch-up adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolLast {
    /// What holds for the pool.
    pub terms: Terms,
    /// Items up to this seq are gone from the relay.
    pub drained: Seq,
    /// Over all items after `drained`.
    pub digest: Digest,
    /// How many items have ever been added to all pools, this one among them.
    pub added: u64,
}
