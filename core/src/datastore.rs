//! What a datastore is apart from its records: kind, primary field, lifetime, place in its order.

use alloc::{boxed::Box, vec::Vec};

use crate::{
    id::{Epoch, Seq},
    limits::{NAME_BYTES_MAX, TTL_DEFAULT_S},
    record::Digest,
};

/// How long a datastore lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Until its ttl has passed.
    Temp,
    /// For ever.
    Permanent,
}

impl Kind {
    /// Reads the public name; every other text is no kind.
    #[must_use]
    pub fn from_name(text: &str) -> Option<Kind> {
        match text {
            "temp" => Some(Kind::Temp),
            "permanent" => Some(Kind::Permanent),
            _ => None,
        }
    }

    /// The public name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Temp => "temp",
            Kind::Permanent => "permanent",
        }
    }
}

/// What an opener asks for. What is left out takes whatever the datastore has, and the default where
/// there is none yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Kind, else temp.
    pub kind: Option<Kind>,
    /// Primary field, else `id`.
    pub primary: Option<Box<str>>,
    /// Life in seconds, else [`TTL_DEFAULT_S`]. It does not move an existing expiry.
    pub ttl: Option<u32>,
    /// Whether the life is counted from the newest accepted mutation or opening, else from creation.
    pub sliding: Option<bool>,
}

/// Options that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadOptions {
    /// The ttl is not from 1 to the longest that the relay allows.
    Ttl,
    /// The name of the primary field is not 1 to 64 bytes.
    Primary,
}

impl Options {
    /// Checks the options against the longest life that the relay allows.
    ///
    /// # Errors
    /// What is wrong; the public code is `invalid-options`.
    pub fn check(&self, ttl_max: u32) -> Result<(), BadOptions> {
        if self.ttl.is_some_and(|ttl| ttl == 0 || ttl > ttl_max) {
            return Err(BadOptions::Ttl);
        }
        let fits = |name: &str| (1..=NAME_BYTES_MAX).contains(&name.len());
        if self.primary.as_deref().is_some_and(|name| !fits(name)) {
            return Err(BadOptions::Primary);
        }
        Ok(())
    }
}

/// What holds for a datastore from its creation, but for what an administrator changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Kind.
    pub kind: Kind,
    /// Primary field.
    pub primary: Box<str>,
    /// Life in seconds; of no meaning where the kind is permanent.
    pub ttl: u32,
    /// Whether each accepted mutation and opening moves the expiry.
    pub sliding: bool,
    /// Last moment of its life, in milliseconds since 1970; `None` where the kind is permanent.
    pub expires_at: Option<u64>,
}

impl Info {
    /// Makes what a creator asked for, at the moment `now` in milliseconds since 1970.
    #[must_use]
    pub fn create(options: &Options, now: u64) -> Info {
        let kind = options.kind.unwrap_or(Kind::Temp);
        let ttl = options.ttl.unwrap_or(TTL_DEFAULT_S);
        let mut info = Info {
            kind,
            primary: options.primary.clone().unwrap_or_else(|| "id".into()),
            ttl,
            sliding: options.sliding.unwrap_or(false),
            expires_at: None,
        };
        info.live_until(now, ttl);
        info
    }

    /// Whether an opener's options fit: kind and primary must, ttl and sliding need not.
    #[must_use]
    pub fn fits(&self, options: &Options) -> bool {
        options.kind.is_none_or(|kind| kind == self.kind)
            && options.primary.as_ref().is_none_or(|primary| *primary == self.primary)
    }

    /// Whether its life is over: not yet at the exact moment of `expires_at`, from then on it is.
    #[must_use]
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|last| now > last)
    }

    /// Lets it live for `ttl` seconds from `now`; a permanent one stays so.
    pub fn live_until(&mut self, now: u64, ttl: u32) {
        self.expires_at = match self.kind {
            Kind::Temp => Some(now + u64::from(ttl) * 1_000),
            Kind::Permanent => None,
        };
    }

    /// Counts a sliding life from `now`; tells whether that moves its end.
    pub fn slide(&mut self, now: u64) -> bool {
        let before = self.expires_at;
        if self.sliding {
            self.live_until(now, self.ttl);
        }
        self.expires_at != before
    }
}

/// All that the authority keeps of a datastore besides records and ledger: one stored row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Kind, primary field and lifetime.
    pub info: Info,
    /// This incarnation.
    pub epoch: Epoch,
    /// The newest seq.
    pub head: Seq,
    /// Below it no delta can be made.
    pub horizon: Seq,
    /// What adds up over the rows.
    pub totals: Totals,
    /// When the ledger was last gone through, in milliseconds since 1970.
    pub swept_at: u64,
    /// Replicas born before this moment, in milliseconds since 1970, and unknown were forgotten.
    pub ledger_floor: u64,
    /// How many items were ever added to pools.
    pub added: u64,
    /// Pools that were drained and whose items are still to be erased.
    pub draining: Vec<Box<str>>,
    /// What has happened so far.
    pub counts: Counts,
}

/// What has happened to a datastore, as far as it was written: counting costs no row, so what came
/// after the last change to anything stored is forgotten when the authority is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Mutations accepted, those that changed nothing included.
    pub mutations: u64,
    /// Mutations refused.
    pub refusals: u64,
    /// How often an authority was started from what was stored.
    pub wakes: u64,
}

/// What adds up over the rows of a datastore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Over all live records.
    pub digest: Digest,
    /// Live records.
    pub records: u64,
    /// Bytes of live records, collections and keys included.
    pub bytes: u64,
    /// Tombstones kept.
    pub tombstones: u64,
    /// Pools.
    pub pools: u64,
    /// Items of all pools that the relay keeps.
    pub items: u64,
    /// Bytes of these items, identities included.
    pub item_bytes: u64,
}

impl Meta {
    /// Starts an incarnation.
    #[must_use]
    pub fn create(options: &Options, epoch: Epoch, now: u64) -> Meta {
        Meta {
            info: Info::create(options, now),
            epoch,
            head: Seq::ZERO,
            horizon: Seq::ZERO,
            totals: Totals::default(),
            swept_at: now,
            ledger_floor: 0,
            added: 0,
            draining: Vec::new(),
            counts: Counts::default(),
        }
    }
}
