//! The rules, checked after every step.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use neap_core::{
    authority::{Close, SessionId},
    datastore,
    id::{ReplicaId, Seq, Turn},
    limits::{FRAME_BYTES_MAX, UNACKED_MAX},
    mutation::Outcome,
    record::Row,
    storage::{Range, Storage},
    wire::{self, Down},
};

use neap_http::Answer;

use super::{
    Check,
    copies::Backup,
    fail,
    history::Said,
    naive::{Id, State},
    once::{Answered, Call},
    oracle::{Life, digest_of},
    pools::Addition,
    relay::turns_of,
    world::{World, trace},
};

/// What a group of inputs asked for, in order.
#[derive(Debug, Default)]
pub(crate) struct Group {
    steps: Vec<Asked>,
    /// What was added over HTTP, by the places of the steps that say so.
    merged: Vec<(Addition, u64)>,
    /// What requests under a key were answered, in the same way.
    answered: Vec<Answered>,
    /// What was imported, if it was sound, and how that was answered.
    imported: Option<(Rc<Backup>, Option<usize>, u16)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Asked {
    Turn(ReplicaId, Turn),
    Request(Id, Outcome),
    Merge(usize),
    Call(usize),
}

impl Group {
    pub(crate) fn note(&mut self, authors: &[ReplicaId], frame: &[u8]) {
        let Some((replica, first, count)) = turns_of(authors, frame) else {
            return;
        };
        self.steps.extend((first..first + count).map(|turn| Asked::Turn(replica, Turn(turn))));
    }

    pub(crate) fn request(&mut self, id: Id, outcome: Outcome) {
        self.steps.push(Asked::Request(id, outcome));
    }

    pub(crate) fn call(&mut self, call: &Call, is_alive: bool, answer: &Answer) {
        self.steps.push(Asked::Call(self.answered.len()));
        self.answered.push(Answered::of(call, is_alive, answer));
    }

    pub(crate) fn import(&mut self, backup: &Rc<Backup>, flaw: Option<usize>, status: u16) {
        self.imported = Some((Rc::clone(backup), flaw, status));
    }

    pub(crate) fn merge(&mut self, addition: &Addition, added: u64) {
        self.steps.push(Asked::Merge(self.merged.len()));
        self.merged.push((addition.clone(), added));
    }
}

/// What a stored row of the ledger says, as far as it is looked at.
#[derive(Debug, Default)]
pub(super) struct Entry {
    acked: Turn,
    outcomes: Vec<Outcome>,
}

/// The same as the authority lays it out: behind it subject, birth stamp and moment.
type EntryRow = ((Turn, Vec<Outcome>), (Option<u64>, (Option<u64>, u64)));

impl Entry {
    pub(super) fn settled(&self) -> u64 {
        self.acked.0 + self.outcomes.len() as u64
    }

    fn outcome(&self, turn: Turn) -> Option<Outcome> {
        let place = turn.0.checked_sub(self.acked.0 + 1)?;
        self.outcomes.get(usize::try_from(place).ok()?).copied()
    }
}

impl World {
    pub(super) fn stored_meta(&self) -> Option<datastore::Meta> {
        let bytes = self.relay.disk.snapshot().meta().ok()??;
        wire::decode_stored(&bytes).ok()
    }

    pub(super) fn stored_entry(&self, replica: &ReplicaId) -> Entry {
        let bytes = self.relay.disk.snapshot().entry(replica).ok().flatten();
        let row = bytes.and_then(|bytes| wire::decode_stored::<EntryRow>(&bytes).ok());
        row.map_or_else(Entry::default, |((acked, outcomes), _)| Entry { acked, outcomes })
    }

    /// Holds what is stored against the oracle, which is told what arrived.
    pub(crate) fn check_relay(&mut self, group: &Group) -> Check {
        if let Some((backup, flaw, status)) = &group.imported {
            return self.take_import(backup, *flaw, *status);
        }
        let Some(meta) = self.stored_meta() else {
            return Ok(());
        };
        if self.oracle.lives.last().is_none_or(|life| life.epoch != meta.epoch) {
            self.oracle.lives.push(Life {
                epoch: meta.epoch,
                states: vec![State::new()],
                tombstones: BTreeMap::new(),
                ledger: BTreeMap::new(),
                outcomes: BTreeMap::new(),
                arrived: Vec::new(),
                horizon: 0,
                answers: BTreeMap::new(),
                copied: BTreeSet::new(),
                bent: BTreeMap::new(),
                pools: Default::default(),
                records_max: usize::try_from(self.relay.settings.records_max).unwrap_or(0),
            });
        }
        let mut entries: BTreeMap<ReplicaId, Entry> = BTreeMap::new();
        for asked in &group.steps {
            if let Asked::Turn(replica, _) = asked {
                let replica = *replica;
                entries.entry(replica).or_insert_with(|| self.stored_entry(&replica));
            }
        }
        for (place, asked) in group.steps.iter().enumerate() {
            match *asked {
                Asked::Request(id, outcome) => self.take_request(id, outcome)?,
                Asked::Call(which) => self.take_answer(&group.answered[which])?,
                Asked::Merge(which) => {
                    let (addition, added) = &group.merged[which];
                    let (wanted, _) = self.take_addition(addition);
                    if wanted != *added {
                        return fail("PO2", format!("{added} items are new, must be {wanted}"));
                    }
                }
                Asked::Turn(replica, turn) => {
                    let settled = self.oracle.newest().map_or(0, |life| life.settled(&replica));
                    let entry = &entries[&replica];
                    if turn.0 != settled + 1 || turn.0 > entry.settled() {
                        continue;
                    }
                    let Some(outcome) = entry.outcome(turn) else {
                        return fail("LE1", format!("turn {} has no outcome", turn.0));
                    };
                    trace!(self, "relay: {replica:?} turn {} {outcome:?}", turn.0);
                    self.note_unheard(replica, entry.acked);
                    let named = self.oracle.names.get(&(replica, turn));
                    let adds = named.and_then(|(id, _)| self.oracle.mutations[*id].adds.clone());
                    let added = adds.map(|addition| match self.take_addition(&addition) {
                        (0, _) => Outcome::Unchanged,
                        (_, head) => Outcome::Added(Seq(head)),
                    });
                    let rule = if added.is_some() { "PO2" } else { "AP1" };
                    if let Err(wanted) = self.oracle.arrive(replica, turn, outcome, added)?
                        && !group.steps[place + 1..].contains(asked)
                    {
                        return fail(
                            rule,
                            format!("turn {} is {outcome:?}, must be {wanted:?}", turn.0),
                        );
                    }
                    self.see_outcome(outcome);
                }
            }
        }
        self.check_stored(&meta, &entries)
    }

    fn see_outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Accepted(_) | Outcome::Added(_) => {}
            Outcome::Unchanged => self.see("accepted, unchanged"),
            Outcome::Refused(refusal) => self.see(match refusal.reason {
                neap_core::mutation::Reason::StorageFull => "refused by a full datastore",
                _ => "refused",
            }),
        }
    }

    pub(super) fn take_request(&mut self, id: Id, outcome: Outcome) -> Check {
        let ops = Rc::clone(&self.oracle.mutations[id].ops);
        let Some(life) = self.oracle.newest() else {
            return Ok(());
        };
        if let Err(wanted) = life.arrive(id, &ops, outcome) {
            return fail("AP1", format!("a request is {outcome:?}, must be {wanted:?}"));
        }
        let epoch = life.epoch;
        self.said.push(Said::Returned(id, epoch, outcome));
        Ok(())
    }

    pub(super) fn check_stored(
        &mut self,
        meta: &datastore::Meta,
        entries: &BTreeMap<ReplicaId, Entry>,
    ) -> Check {
        let memory = self.relay.disk.snapshot();
        let mut rows: Vec<Row> = Vec::new();
        let all = Range { after: Seq::ZERO, tombstones_after: Seq::ZERO, collection: None };
        let Ok(()) = memory.rows(all, &mut |row| {
            rows.push(Row::from(row));
            std::ops::ControlFlow::Continue(())
        });
        let Some(life) = self.oracle.newest() else {
            return Ok(());
        };
        if meta.head.0 != life.head() {
            return fail("AP2", format!("head is {}, must be {}", meta.head.0, life.head()));
        }
        if meta.totals.digest != life.digest() {
            return fail("DI2", "the stored digest is not that of the records".into());
        }
        life.check_rows(&rows, meta.horizon.0)?;
        if meta.horizon.0 < life.horizon {
            return fail("AP4", "the horizon went back".into());
        }
        let has_moved = meta.horizon.0 > life.horizon;
        life.horizon = meta.horizon.0;
        let live = rows.iter().filter(|row| row.data.is_some());
        let bytes: u64 = live.clone().map(|row| row.size() as u64).sum();
        let tombstones = (rows.len() - live.clone().count()) as u64;
        let wanted = (live.count() as u64, bytes, tombstones);
        let totals = (meta.totals.records, meta.totals.bytes, meta.totals.tombstones);
        if totals != wanted {
            return fail("AP3", format!("totals are {totals:?}, must be {wanted:?}"));
        }
        if has_moved {
            self.report.sights.see("compacted");
        }
        self.check_stored_pools(meta.totals.items)?;
        let Some(life) = self.oracle.newest() else { return Ok(()) };
        for (replica, entry) in entries {
            if entry.settled() != life.settled(replica) {
                return fail(
                    "LE1",
                    format!("{} turns settled, not {}", entry.settled(), life.settled(replica)),
                );
            }
            if entry.outcomes.len() as u64 > UNACKED_MAX {
                return fail("LE4", "more outcomes than a replica may leave".into());
            }
        }
        Ok(())
    }

    /// What is sent has been stored.
    pub(crate) fn check_sent(&mut self, frame: &[u8], to: &[SessionId]) -> Check {
        let Ok((down, changes)) = wire::decode_down(frame) else {
            return fail("WI1", "the relay sends what is no frame".into());
        };
        if frame.len() > 2 * FRAME_BYTES_MAX {
            return fail("WI2", format!("a frame has {} bytes", frame.len()));
        }
        let settled = match &down {
            Down::Page(page) => page.last.as_ref().map_or(&[][..], |last| &last.settled),
            Down::Delta(delta) => &delta.settled,
            Down::Welcome(_)
            | Down::Behind
            | Down::Pool(_)
            | Down::Presence(_)
            | Down::Rates(_) => &[],
        };
        for (told, session) in settled.iter().flat_map(|told| to.iter().map(move |to| (told, to))) {
            let authors = &self.connections[*session as usize].authors;
            let author = authors.get(usize::from(told.author));
            if author.is_none_or(|author| self.stored_entry(author).settled() < told.turn.0) {
                return fail("ST1", format!("told of turn {} before it was stored", told.turn.0));
            }
        }
        let (head, told) = match &down {
            Down::Welcome(welcome) => (welcome.head, None),
            Down::Page(page) => (
                page.cursor.after.max(page.head),
                page.last.as_ref().map(|last| (page.head, last.digest)),
            ),
            Down::Delta(delta) => (delta.to, Some((delta.to, delta.digest))),
            Down::Behind | Down::Pool(_) | Down::Presence(_) | Down::Rates(_) => (Seq::ZERO, None),
        };
        let Some(meta) = self.stored_meta() else {
            return if matches!(down, Down::Behind) {
                Ok(())
            } else {
                fail("ST1", "told of a datastore that is not stored".into())
            };
        };
        // A pool counts its own seqs.
        let of_records = !matches!(down, Down::Pool(_));
        let newest =
            changes.rows().filter(|_| of_records).filter_map(Result::ok).map(|row| row.seq).max();
        if head.max(newest.unwrap_or_default()) > meta.head {
            return fail("ST1", format!("told of {} before it was stored", head.0));
        }
        if let (Some((seq, digest)), Some(life)) = (told, self.oracle.lives.last()) {
            let state = life.states.get(usize::try_from(seq.0).unwrap_or(0));
            if state.is_none_or(|state| digest_of(state) != digest) {
                return fail("DI2", format!("told another digest than that of seq {}", seq.0));
            }
        }
        if self.relay.authority.as_ref().is_some_and(|one| one.alive(self.now).is_none()) {
            return fail("EX1", "told of a datastore that is over".into());
        }
        to.iter().for_each(|session| self.note_page(&down, *session));
        if let Down::Pool(news) = &down {
            return self.check_pool_news(news, &changes, to);
        }
        Ok(())
    }

    /// A session ends for a reason.
    pub(crate) fn check_close(&self, session: SessionId, why: Close) -> Check {
        let connection = &self.connections[session as usize];
        let current = self.clients[connection.client].connection == Some(session as usize);
        let right = match why {
            Close::BadRequest => connection.tainted,
            Close::Superseded => {
                // Several lives of a replica may have connections.
                let speaks =
                    |id| self.connections.iter().filter(move |other| other.authors.contains(id));
                let is_rival = |id| speaks(id).any(|other| other.client != connection.client);
                !current || connection.tainted || connection.authors.iter().any(is_rival)
            }
            Close::Expired => true,
            Close::Unauthorized
            | Close::Forbidden
            | Close::TooSlow
            | Close::Options
            | Close::Importing
            | Close::RateLimited => false,
        };
        if right { Ok(()) } else { fail("SE2", format!("closed an honest session: {why:?}")) }
    }
}
