//! A relay on lines of text, in lockstep, for the package's world in one process: it answers one line before it reads
//! the next, has no clock and no dice of its own, and so does the same again. `cargo run -p neap-core --example relay`.
//!
//! Each line is one transaction: the time in milliseconds since 1970 and what comes, `connect SESSION`, `frame SESSION
//! HEX`, `gone SESSION`, `tick`, `sleep`, `reborn`, for which another life of the datastore begins without any session, or `reset`,
//! after which nothing is stored. It is answered by `send SESSION HEX`, `close SESSION CODE REASON`, `again TIME`, when a tick
//! is wanted, and `had KEY`, for each record of `marks` in a life that is over, as many as there are, and `done` with the
//! answer to a ping.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    io::{BufRead, Write, stdin, stdout},
};

use neap_core::{
    authority::{Admission, Authority, Listing, Moment, Output, SessionId, Settings},
    datastore::Options,
    id::{Epoch, Seq},
    storage::{MemoryStorage, Range},
    wire::Pong,
};

struct Relay {
    authority: Authority<MemoryStorage>,
    /// What is remembered of each session while the authority sleeps.
    sessions: BTreeMap<SessionId, Vec<u8>>,
    /// Counts what has come while there was no datastore: whichever comes to be has an epoch of its own.
    lives: u64,
}

impl Relay {
    fn new() -> Relay {
        Relay { authority: load(MemoryStorage::new()), sessions: BTreeMap::new(), lives: 0 }
    }

    fn take(&mut self, now: u64, what: &str, rest: &str) -> Vec<String> {
        let (session, data) = rest.split_once(' ').unwrap_or((rest, ""));
        let session = || session.parse::<SessionId>().unwrap();
        let is_new = self.authority.meta().is_none();
        self.lives += u64::from(is_new);
        let moment = Moment { now, dice: Epoch(self.lives.to_be_bytes()) };
        let mut lines = Vec::new();
        match what {
            "reborn" => {
                lines = self.marks().iter().map(|key| format!("had {key}")).collect();
                self.authority = load(MemoryStorage::new());
                self.sessions.clear();
                self.lives += 1;
                let dice = Epoch(self.lives.to_be_bytes());
                self.authority.open(&Options::default(), Moment { now, dice }).unwrap();
            }
            "connect" => self.authority.connect(session(), Admission::OPEN, now),
            "frame" => self.authority.receive(session(), &bytes(data), moment).unwrap(),
            "gone" => {
                self.sessions.remove(&session());
                self.authority.disconnect(session(), now);
            }
            "tick" => self.authority.upkeep(now).unwrap(),
            "sleep" => {
                self.authority = load(self.authority.storage().clone());
                for (session, bytes) in &self.sessions {
                    self.authority.restore(*session, bytes);
                }
            }
            _ => panic!("what is {what}?"),
        }
        self.authority.tick(now);
        self.commit(lines)
    }

    fn marks(&self) -> Vec<Box<str>> {
        let range =
            Range { after: Seq::ZERO, tombstones_after: Seq::ZERO, collection: Some("marks") };
        let listing = Listing { range, rows: usize::MAX, bytes: usize::MAX };
        let (rows, _) = self.authority.list(listing).unwrap();
        rows.into_iter().filter(|row| row.data.is_some()).map(|row| row.key).collect()
    }

    fn commit(&mut self, mut lines: Vec<String>) -> Vec<String> {
        for output in self.authority.commit().unwrap() {
            match output {
                Output::Send { to, frame } => {
                    lines
                        .extend(to.iter().map(|session| format!("send {session} {}", hex(&frame))));
                }
                Output::Remember { session, bytes } => drop(self.sessions.insert(session, bytes)),
                Output::Close { session, why } => {
                    self.sessions.remove(&session);
                    lines.push(format!("close {session} {} {}", why.code(), why.reason()));
                }
            }
        }
        let due = self.authority.wants_commit().then_some(0);
        lines.extend(self.authority.presence_due().or(due).map(|due| format!("again {due}")));
        lines
    }

    fn pong(&self) -> String {
        let nothing = Pong { epoch: Epoch([0; 8]), head: Seq::ZERO, added: 0 };
        self.authority.meta().map_or(nothing, Pong::of).to_text()
    }
}

fn load(storage: MemoryStorage) -> Authority<MemoryStorage> {
    Authority::load(storage, Settings::default()).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn main() {
    let mut relay = Relay::new();
    for line in stdin().lock().lines() {
        let line = line.unwrap();
        let (now, rest) = line.split_once(' ').unwrap();
        let (what, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let answers = if what == "reset" {
            relay = Relay::new();
            Vec::new()
        } else {
            relay.take(now.parse().unwrap(), what, rest)
        };
        let mut out = stdout().lock();
        for answer in answers {
            writeln!(out, "{answer}").unwrap();
        }
        writeln!(out, "done {}", relay.pong()).unwrap();
        out.flush().unwrap();
    }
}
