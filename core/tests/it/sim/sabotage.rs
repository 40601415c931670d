//! Shells and storages that break a promise. Each must be caught: a checker that cannot fail is a
//! defect.

use super::Lanes;

/// What is done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// The replica's shell calls turns durable before they are.
    SendBeforePersist,
    /// It leaves a mutation out of a push.
    DropTurn,
    /// It forgets the outbox in a crash, but not which turns were settled.
    ReuseTurns,
    /// It reports an outbox block as stored that was not.
    LoseBlock,
    /// It acknowledges outcomes that are not on its disk.
    AckBeforeSaved,
    /// It drops the log when it begins a checkpoint, not when it has written all of it.
    DropLogEarly,
    /// It hands its app's events on twice.
    TellTwice,
    /// The relay's storage finds no ledger.
    ForgetLedger,
    /// The relay's storage loses a row of the ledger now and then.
    LoseLedgerRow,
    /// The relay's storage changes a record that it stores.
    CorruptRow,
    /// The relay's storage never reads a tombstone.
    HideTombstones,
    /// The relay's shell does not roll back what failed.
    KeepHalf,
    /// It sends before the transaction is committed.
    SendBeforeCommit,
    /// It sends a session's frames in the wrong order.
    DeltaBeforePage,
    /// It does not give sessions back after a sleep.
    LoseSessions,
    /// Its sessions are told everything, whether they read or not.
    FeedTheStalled,
    /// The relay's storage finds an item of a pool no more, now and then.
    LoseItem,
    /// The replica's shell hears no pong.
    DeafToPongs,
    /// It says that a birth stamp is stored before it is.
    StampLate,
    /// The relay's storage forgets replicas that were there lately.
    ForgetTooSoon,
    /// A replica whose disk is forsaken goes on with turns that the disk does not hold, under the same id.
    KeepName,
    /// The relay's storage loses an answer now and then.
    LoseAnswer,
    /// An import brings no ledger.
    LoseImportedLedger,
    /// A tab that wakes up does not look whose its place on the disk is.
    WakeUnaware,
    /// A note is lost between two tabs that run.
    LoseNote,
    /// An app does not hear that others have come in between.
    DeafToOthers,
}

impl Sabotage {
    pub(crate) const ALL: [Sabotage; 26] = [
        Sabotage::SendBeforePersist,
        Sabotage::DropTurn,
        Sabotage::ReuseTurns,
        Sabotage::LoseBlock,
        Sabotage::AckBeforeSaved,
        Sabotage::DropLogEarly,
        Sabotage::TellTwice,
        Sabotage::ForgetLedger,
        Sabotage::LoseLedgerRow,
        Sabotage::CorruptRow,
        Sabotage::HideTombstones,
        Sabotage::KeepHalf,
        Sabotage::SendBeforeCommit,
        Sabotage::DeltaBeforePage,
        Sabotage::LoseSessions,
        Sabotage::FeedTheStalled,
        Sabotage::LoseItem,
        Sabotage::DeafToPongs,
        Sabotage::StampLate,
        Sabotage::ForgetTooSoon,
        Sabotage::KeepName,
        Sabotage::LoseNote,
        Sabotage::LoseAnswer,
        Sabotage::LoseImportedLedger,
        Sabotage::WakeUnaware,
        Sabotage::DeafToOthers,
    ];

    /// The lanes in which it shows.
    pub(crate) const fn lanes(self) -> Lanes {
        match self {
            Sabotage::LoseItem | Sabotage::DeafToPongs => Lanes { pools: true, ..Lanes::NONE },
            Sabotage::StampLate | Sabotage::ForgetTooSoon => Lanes { years: true, ..Lanes::NONE },
            Sabotage::KeepName => Lanes { forsakes: true, ..Lanes::NONE },
            Sabotage::LoseNote | Sabotage::WakeUnaware => Lanes { tabs: true, ..Lanes::NONE },
            Sabotage::LoseAnswer => Lanes { once: true, ..Lanes::NONE },
            Sabotage::LoseImportedLedger => Lanes { copies: true, ..Lanes::NONE },
            Sabotage::SendBeforePersist
            | Sabotage::DropTurn
            | Sabotage::ReuseTurns
            | Sabotage::LoseBlock
            | Sabotage::AckBeforeSaved
            | Sabotage::DropLogEarly
            | Sabotage::TellTwice
            | Sabotage::ForgetLedger
            | Sabotage::LoseLedgerRow
            | Sabotage::CorruptRow
            | Sabotage::HideTombstones
            | Sabotage::KeepHalf
            | Sabotage::SendBeforeCommit
            | Sabotage::DeltaBeforePage
            | Sabotage::LoseSessions
            | Sabotage::FeedTheStalled
            | Sabotage::DeafToOthers => Lanes::NONE,
        }
    }

    /// The rules, any of which may be the first to show it.
    pub(crate) const fn breaks(self) -> &'static [&'static str] {
        match self {
            Sabotage::SendBeforePersist | Sabotage::ReuseTurns => &["OU1", "OU3"],
            Sabotage::DropTurn => &["AP1", "DI2", "LE1"],
            Sabotage::LoseBlock => &["OU1", "OU3"],
            Sabotage::AckBeforeSaved => &["LI1", "RE7", "LE6"],
            Sabotage::DropLogEarly => &["RE1"],
            Sabotage::TellTwice => &["RE7"],
            Sabotage::ForgetLedger | Sabotage::LoseLedgerRow => {
                &["LE1", "LE2", "AP1", "AP2", "SE2", "ST1"]
            }
            Sabotage::CorruptRow => &["DI2", "AP1"],
            Sabotage::HideTombstones => &["RE1", "DI3", "DI4"],
            Sabotage::KeepHalf => &["AP1", "AP2", "DI2", "LE1"],
            Sabotage::SendBeforeCommit => &["ST1"],
            Sabotage::DeltaBeforePage => &["LI1", "CU1", "SE1"],
            Sabotage::LoseSessions => &["CU1", "LI1"],
            Sabotage::FeedTheStalled => &["SE6"],
            Sabotage::LoseItem => &["PO2", "PO3", "PO5"],
            Sabotage::DeafToPongs => &["LI1"],
            Sabotage::StampLate => &["LE7"],
            Sabotage::ForgetTooSoon => &["LE1", "LE2", "LE6", "RE5", "AP2"],
            Sabotage::LoseNote => &["TA1"],
            Sabotage::DeafToOthers => &["RE13"],
            Sabotage::WakeUnaware => &["OU1", "RE7", "TA1", "LE1"],
            Sabotage::LoseAnswer => &["ON1", "ON2"],
            Sabotage::LoseImportedLedger => &["LE5"],
            Sabotage::KeepName => &["OU1", "OU3", "RE7"],
        }
    }
}
