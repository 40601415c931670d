//! What a replica tells its shell.

use alloc::{boxed::Box, string::String};

use crate::{
    id::{Seq, Turn},
    mutation::{Op, Outcome, Refusal},
    pool::MARK,
    value::write_string,
    wire::{self, Presence},
};

/// Why a replica started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetReason {
    /// The public id lives again, in another epoch.
    Epoch,
    /// It was away longer than the history reaches back, or ahead of a restored datastore.
    History,
}

/// What a replica tells its shell, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A mutation of this replica was accepted.
    Accepted {
        /// Which.
        turn: Turn,
        /// The seq that it took, of an addition the pool's; `None` where it changed nothing, and where it was taken back
        /// from a disk and another life of this replica has told its app of the outcome.
        seq: Option<Seq>,
    },
    /// What comes next is that a mutation of this replica was accepted, but the order may have had other records right before it
    /// than the app saw when it made it: to take it back could overwrite what others wrote.
    Overtaken(Turn),
    /// A mutation of this replica was refused; it is gone from the view.
    Refused {
        /// Which.
        turn: Turn,
        /// Why.
        refusal: Refusal,
        /// Its ops, as [`crate::wire::encode_ops`] made them.
        ops: Box<[u8]>,
    },
    /// What is known of datastore or replica has changed and wants to be stored: see
    /// [`super::Replica::info`] and [`super::Replica::account`]. Pushes wait for [`super::Replica::info_saved`].
    Welcome,
    /// A page of catch-up has come and can be read: should the connection break, the next goes on from there.
    Turned,
    /// The replica is at the head.
    Live,
    /// It started again; what is pending stays pending.
    Reset(ResetReason),
    /// What is stored of the outbox must be replaced, in one transaction with [`super::Replica::id`] and
    /// [`super::Replica::account`], by the blocks that come: pending mutations have other turns under another
    /// [`ReplicaId`](crate::id::ReplicaId), or other conditions in another life.
    Renumbered,
    /// The datastore is gone.
    Expired,
    /// The relay will not have this replica, or the other way round: a public code. The shell closes the
    /// connection if it still stands.
    Stopped(&'static str),
    /// What [`super::Replica::pool_state`] says of a pool may have changed.
    Pool(Box<str>),
    /// Items were accepted that nothing else on the disk will tell of: see [`super::Replica::take_unseen`].
    Unseen,
    /// A pool was opened first with another primary field or retention than the app's.
    Mismatch(Box<str>),
    /// What others show. Nobody shows anything any more once the connection is gone.
    Presence(Presence),
    /// Something is wrong that the app should know of: a public code.
    Trouble(&'static str),
}

/// What of a frame, just taken, belongs into the stored state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Journal {
    /// Nothing.
    #[default]
    Nothing,
    /// The frame itself.
    Frame,
    /// All pages since the catch-up began, or a checkpoint in their place.
    Pages,
    /// A checkpoint in place of everything.
    Checkpoint,
}

/// A frame could not be taken, or the shell must connect again for another reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconnect {
    /// The bytes are no frame, or make no sense here.
    BadFrame,
    /// The replica goes on under another id and has to say Hello with it.
    NewIdentity,
    /// The relay does not answer.
    Silence,
}

/// The event that tells an outcome.
pub(super) fn event_of(turn: Turn, outcome: Outcome, ops: Box<[u8]>) -> Event {
    match outcome {
        Outcome::Accepted(seq) | Outcome::Added(seq) => Event::Accepted { turn, seq: Some(seq) },
        Outcome::Unchanged => Event::Accepted { turn, seq: None },
        Outcome::Refused(refusal) => Event::Refused { turn, refusal, ops },
    }
}

/// The ops of a mutation as JSON, the way an app can read them.
#[must_use]
pub fn ops_to_json(bytes: &[u8]) -> String {
    let ops = wire::decode_ops(bytes).unwrap_or_default();
    let mut out = alloc::vec![b'['];
    for op in ops {
        if out.len() > 1 {
            out.push(b',');
        }
        let (name, data) = match op {
            Op::Set { data, .. } => ("set", data),
            Op::Patch { data, .. } => ("patch", data),
            Op::Delete { .. } => ("delete", ""),
            Op::Add { data, .. } => ("add", data),
        };
        let (collection, key) = op.place();
        out.extend(b"{\"op\":\"");
        out.extend(name.bytes());
        out.extend(b"\",\"collection\":\"");
        // Names need no escapes.
        out.extend(collection.strip_prefix(MARK).unwrap_or(collection).bytes());
        out.extend(b"\",\"key\":");
        write_string(&mut out, key);
        if !data.is_empty() {
            out.extend(b",\"data\":");
            out.extend(data.bytes());
        }
        out.push(b'}');
    }
    out.push(b']');
    String::from_utf8(out).unwrap_or_default()
}
