//! The binding of the replica: numbers, texts and bytes across the boundary, nothing else. The
//! TypeScript of `wasm/npm` is what a JavaScript person sees; its `face.ts` calls what stands here.
//!
//! In the browser it stands without `std`, whose panic messages and allocator would be a quarter of it,
//! and without wasm-bindgen, whose glue for each export would be a tenth.
#![cfg_attr(all(target_arch = "wasm32", not(test)), no_std)]

extern crate alloc;

use alloc::{boxed::Box, vec, vec::Vec};

use neap_core::{
    datastore::{Kind, Options},
    id::{Epoch, ReplicaId, Seq, Turn},
    limits::INTEGER_MAX,
    mutation::{Condition, Malformed},
    pool::{Choice, Retain},
    replica::{Journal, OpKind, Phase, Replica, Watch},
    value::write_string,
    wire,
};

mod boundary;
mod convert;
mod error;
pub mod export;
#[cfg(all(target_arch = "wasm32", not(test)))]
mod platform;

use convert::PIECE_BYTES;

/// One replica, and what is on its way out of it.
#[derive(Debug)]
struct Core {
    replica: Replica,
    block: (Turn, Turn),
    dump: Vec<Box<str>>,
    dumped: usize,
    dump_of: Box<str>,
    /// The text or the bytes that were given last.
    output: Vec<u8>,
}

impl Core {
    fn new(replica: Replica) -> Core {
        Core {
            replica,
            block: (Turn::ZERO, Turn::ZERO),
            dump: Vec::new(),
            dumped: 0,
            dump_of: "".into(),
            output: Vec::new(),
        }
    }

    /// Lays something out to be fetched: its length, or -1 where there is nothing.
    fn give(&mut self, bytes: Option<Vec<u8>>) -> i32 {
        let Some(bytes) = bytes else { return -1 };
        self.output = bytes;
        i32::try_from(self.output.len()).unwrap_or(-1)
    }

    /// The next piece of a dump: `[[key, record], …]` in the order of the keys' bytes.
    fn dump_piece(&mut self) -> Option<Vec<u8>> {
        let keys = self.dump.get(self.dumped..).filter(|keys| !keys.is_empty());
        let Some(keys) = keys else {
            self.dump = Vec::new();
            return None;
        };
        let mut out = vec![b'['];
        let mut done = 0;
        for key in keys {
            if out.len() >= PIECE_BYTES {
                break;
            }
            done += 1;
            let Some(data) = self.replica.get(&self.dump_of, key) else { continue };
            if out.len() > 1 {
                out.push(b',');
            }
            out.push(b'[');
            write_string(&mut out, key);
            out.push(b',');
            out.extend(data.bytes());
            out.push(b']');
        }
        self.dumped += done;
        out.push(b']');
        Some(out)
    }

    /// The next piece of the view's changes: `[collection, origin, [[key, before?, after?], …]]`.
    fn changes_piece(&mut self) -> Option<Vec<u8>> {
        let (origin, first) = self.replica.take_changes()?;
        let mut out = convert::begin_changes(&first.collection, origin);
        convert::write_change(&mut out, &first);
        while out.len() < PIECE_BYTES
            && let Some((_, change)) =
                self.replica.take_changes_of(&first.collection, origin, first.watch)
        {
            out.push(b',');
            convert::write_change(&mut out, &change);
        }
        out.extend(b"]]");
        Some(out)
    }
}

fn replica_id(bytes: &[u8]) -> ReplicaId {
    ReplicaId(bytes.try_into().unwrap_or([0; 16]))
}

fn op_kind(kind: u32) -> OpKind {
    match kind {
        0 => OpKind::Set,
        1 => OpKind::Patch,
        _ => OpKind::Delete,
    }
}

fn condition_of(condition: u32, seq: f64) -> Condition {
    match condition {
        0 => Condition::None,
        1 => Condition::Seq(Seq(integer(seq))),
        2 => Condition::Absent,
        _ => Condition::Present,
    }
}

fn outcome(result: Result<(), Malformed>) -> u32 {
    result.map_or_else(error::number, |()| 0)
}

fn turn_or_error(result: Result<Turn, Malformed>) -> f64 {
    result.map_or_else(|error| -f64::from(error::number(error)), |turn| float(turn.0))
}

/// A JavaScript number as the integer that it is; JavaScript never sends more than 2^53 - 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded before")]
fn integer(number: f64) -> u64 {
    (number as u64).min(INTEGER_MAX)
}

fn turn(number: f64) -> Turn {
    Turn(integer(number))
}

/// An integer below 2^53 as a JavaScript number.
#[expect(clippy::cast_precision_loss, reason = "seqs, turns and times stay below 2^53")]
fn float(number: u64) -> f64 {
    number as f64
}
