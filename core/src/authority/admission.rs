//! What a bearer may do, and what an operator bounds.

use crate::{limits::TTL_MAX_S, rate::Rates, wire};

/// What the bearer of a connection or request may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// May subscribe and read.
    pub read: bool,
    /// May mutate, and create temporary datastores.
    pub write: bool,
    /// May create permanent datastores, change, delete.
    pub admin: bool,
    /// Until when, in milliseconds since 1970.
    pub until: u64,
    /// Stands for the token's subject; a replica stays with the subject that first pushed for it.
    pub subject: u64,
}

wire::fields!(Admission { read, write, admin, until, subject });

impl Admission {
    /// What anybody may where the relay has no secret.
    pub const OPEN: Admission =
        Admission { read: true, write: true, admin: true, until: u64::MAX, subject: 0 };
}

/// Bounds that an operator sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Longest ttl, in seconds.
    pub ttl_max: u32,
    /// Most live records.
    pub records_max: u64,
    /// Most bytes of live records.
    pub bytes_max: u64,
    /// Tombstones kept before the horizon moves.
    pub history: u64,
    /// How fast each session and each subject may write.
    pub rates: Rates,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            ttl_max: TTL_MAX_S,
            records_max: 1_000_000,
            bytes_max: 1 << 30,
            history: 10_000,
            rates: Rates::default(),
        }
    }
}
