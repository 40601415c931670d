//! Shells and storages that break a promise. Each must be caught: a checker that cannot fail is a
//! defect.

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
    /// It writes pages of a checkpoint without keeping the log that belongs to them.
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
    /// It takes each frame twice.
    TakeTwice,
}

impl Sabotage {
    pub(crate) const ALL: [Sabotage; 16] = [
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
        Sabotage::TakeTwice,
    ];
}
