//! Siblings: replicas over one disk, in tabs of one page's person, that tell each other what they have
//! pending. What each must show of the others is kept here once more, from the notes that it has heard.

use std::{collections::VecDeque, rc::Rc};

use neap_core::{
    id::{Epoch, ReplicaId, Seq, Turn},
    mutation::{Condition, Outcome},
    wire::{self, Note},
};

use super::{
    Check,
    client::Client,
    disk::Entry,
    fail,
    naive::{Cond, Id, Op},
    sabotage::Sabotage,
    world::{World, trace},
};

/// Outcomes that a sibling has told, and when they count.
#[derive(Debug)]
struct Awaited {
    epoch: Option<Epoch>,
    at: Seq,
    settled: Vec<(u64, Outcome)>,
}

/// What a replica knows of a sibling.
#[derive(Debug)]
pub(crate) struct Tab {
    id: ReplicaId,
    settled: u64,
    minted: u64,
    /// What it shows of it: the turns after `settled`.
    pub(crate) queue: VecDeque<Entry>,
    awaited: VecDeque<Awaited>,
}

impl Tab {
    fn forget_after(&mut self, turn: u64) {
        while self.minted > turn.max(self.settled) {
            self.minted -= 1;
            self.queue.pop_back();
        }
    }

    /// Lets go of the turns up to one; gives those that were shown.
    fn pass_over(&mut self, turn: u64) -> Vec<Id> {
        let mut gone = Vec::new();
        while self.settled < turn {
            let entry = self.queue.pop_front();
            self.settled = if entry.is_some() { self.settled + 1 } else { turn };
            self.minted = self.minted.max(self.settled);
            gone.extend(entry.map(|entry| entry.id));
        }
        gone
    }

    /// Conditions on what a turn wrote mean the seq that it took, and nothing where it took none.
    fn place_conditions(&mut self, writer: Id, seq: Option<Seq>) {
        for entry in &mut self.queue {
            let mut ops = (*entry.ops).clone();
            for op in ops.iter_mut().filter(|op| op.cond == Cond::Pending(writer)) {
                op.cond = seq.map_or(Cond::Never, |seq| Cond::At(seq.0));
            }
            entry.ops = Rc::new(ops);
        }
    }
}

impl Client {
    /// Everything pending that it shows, in order.
    pub(crate) fn shows(&self) -> Vec<&Entry> {
        let theirs = self.tabs.iter().flat_map(|tab| &tab.queue);
        let mut all: Vec<&Entry> = self.pending.iter().chain(theirs).collect();
        all.sort_by_key(|entry| entry.ordinal);
        all
    }

    /// Whether a pending mutation is its own.
    pub(crate) fn is_own(&self, entry: &Entry) -> bool {
        self.pending.iter().any(|own| own.ordinal == entry.ordinal)
    }

    /// In another life no condition on a seq of the old one holds, whoever made it.
    pub(super) fn tabs_outlive(&mut self, old: Option<Epoch>) {
        for tab in &mut self.tabs {
            let over = tab.awaited.iter().filter(|one| one.epoch == old);
            let last = over.filter_map(|one| one.settled.last()).map(|told| told.0).max();
            tab.awaited.retain(|one| one.epoch != old);
            tab.pass_over(last.unwrap_or(0));
        }
        for entry in self.tabs.iter_mut().flat_map(|tab| &mut tab.queue) {
            let mut ops = (*entry.ops).clone();
            for op in ops.iter_mut().filter(|op| matches!(op.cond, Cond::At(_))) {
                op.cond = Cond::Never;
            }
            entry.ops = Rc::new(ops);
        }
    }
}

impl World {
    fn siblings_of(&self, place: usize) -> Vec<usize> {
        let device = self.clients[place].device;
        let is_one = |other: &usize| *other != place && self.clients[*other].device == device;
        (0..self.clients.len()).filter(|other| device.is_some() && is_one(other)).collect()
    }

    /// Carries what a tab has to tell to the others, which hear of it later.
    pub(super) fn tell_siblings(&mut self, place: usize) -> Check {
        let siblings = self.siblings_of(place);
        while let Some(bytes) = self.clients[place].replica.take_note() {
            let Ok(note) = wire::decode_note(&bytes) else {
                return fail("WI4", "a note cannot be read".into());
            };
            trace!(self, "replica {place}: tells {note:?}");
            let image = &self.clients[place].disk.image;
            let told = note.first.0 + wire::split_block(note.block).count() as u64;
            let kept = image.settled.0 + image.outbox().len() as u64;
            if !note.block.is_empty() && told > kept + 1 {
                return fail("TA1", format!("turns to {} are told, {kept} are stored", told - 1));
            }
            for sibling in &siblings {
                let is_secret = self.sabotage == Some(Sabotage::LoseNote) && self.random.once_in(4);
                if is_secret {
                    continue;
                }
                if self.chance(60) {
                    self.see("note lost");
                    self.clients[*sibling].has_missed = true;
                } else {
                    self.clients[*sibling].notes.push_back(bytes.clone());
                }
            }
        }
        Ok(())
    }

    /// A tab's process has died before it told all.
    pub(super) fn note_death(&mut self, place: usize) {
        for sibling in self.siblings_of(place) {
            self.clients[sibling].has_missed = true;
            self.see("sibling died and was adopted");
        }
        let client = &mut self.clients[place];
        client.notes.clear();
        client.tabs.clear();
    }

    /// A tab hears a note.
    pub(super) fn hear_note(&mut self, place: usize) -> Check {
        let Some(bytes) = self.clients[place].notes.pop_front() else { return Ok(()) };
        let Ok(note) = wire::decode_note(&bytes) else { return Ok(()) };
        trace!(
            self,
            "replica {place}: hears the note of {:02x?} to turn {}", note.id, note.minted.0
        );
        self.take_note(place, &note)?;
        if self.clients[place].replica.hear_note(&bytes).is_err() {
            return fail("TA5", "a sound note was not taken".into());
        }
        self.drain(place)
    }

    fn take_note(&mut self, place: usize, note: &Note<'_>) -> Check {
        let client = &mut self.clients[place];
        let (epoch, seq) = (client.replica.epoch(), client.replica.seq());
        let is_stale = client.records != epoch && epoch.is_some() && client.records.is_some();
        if let Some(tab) = client.tabs.iter_mut().find(|tab| tab.id.0 == *note.was) {
            self.report.sights.see("sibling renamed");
            tab.forget_after(0);
        }
        let Ok(id) = note.id.try_into().map(ReplicaId) else { return Ok(()) };
        let known = client.tabs.iter().position(|tab| tab.id == id);
        let which = known.unwrap_or(client.tabs.len());
        if known.is_none() {
            let (queue, awaited) = (VecDeque::new(), VecDeque::new());
            client.tabs.push(Tab { id, settled: 0, minted: 0, queue, awaited });
        }
        let tab = &mut client.tabs[which];
        tab.forget_after(note.minted.0);
        let settled = note.settled.iter().map(|told| (told.turn.0, told.outcome));
        let settled: Vec<(u64, Outcome)> = settled.filter(|told| told.0 <= tab.minted).collect();
        // A sibling has gone on to another life.
        let is_over = |one: &Awaited| note.epoch.is_some() && one.epoch != note.epoch;
        let has_dropped = tab.awaited.iter().any(is_over);
        tab.awaited.retain(|one| !is_over(one));
        if !settled.is_empty() {
            tab.awaited.push_back(Awaited { epoch: note.epoch, at: note.at, settled });
        }
        let told = tab.awaited.back().and_then(|last| last.settled.last());
        let missed = told.is_none_or(|told| told.0 < note.acked.0);
        let minted = tab.minted;
        if !is_stale {
            self.settle_tabs(place, epoch, seq)?;
        }
        let client = &mut self.clients[place];
        if client.tabs[which].awaited.back().is_some_and(|last| last.at > seq) {
            self.report.sights.see("sibling's outcome awaited");
        }
        if note.first.0 > minted.max(note.acked.0) + 1 {
            self.report.sights.see("tab asks what it has missed");
            return Ok(());
        }
        if missed {
            let gone = client.tabs[which].pass_over(note.acked.0);
            if !gone.is_empty() && !client.has_missed && !has_dropped {
                return fail("TA1", format!("{gone:?} vanish before they are held"));
            }
            if !gone.is_empty() {
                self.report.sights.see("settled while notes were missed");
            }
        }
        let mutations = wire::split_block(note.block).filter_map(Result::ok);
        for (turn, bytes) in (note.first.0..).zip(mutations) {
            if turn > self.clients[place].tabs[which].minted {
                self.show_sibling(place, which, turn, bytes)?;
            }
        }
        Ok(())
    }

    /// A tab shows a mutation of a sibling.
    fn show_sibling(&mut self, place: usize, which: usize, turn: u64, bytes: &[u8]) -> Check {
        let id = self.clients[place].tabs[which].id;
        let name_of = |turn: u64| self.oracle.names.get(&(id, Turn(turn))).map(|(id, _)| *id);
        let Some(mutation) = name_of(turn) else {
            return fail("TA2", format!("nobody made turn {turn} of {id:?}"));
        };
        let queue = &self.clients[place].tabs[which].queue;
        let is_shown = |id: &Id| *id == mutation || queue.iter().any(|entry| entry.id == *id);
        let mut ops: Vec<Op> = (*self.oracle.mutations[mutation].ops).clone();
        let said = wire::decode_ops(bytes).unwrap_or_default();
        for (op, said) in ops.iter_mut().zip(said) {
            op.cond = match said.only_if() {
                Condition::None => Cond::None,
                Condition::Absent => Cond::Absent,
                Condition::Present => Cond::Present,
                Condition::Seq(seq) => Cond::At(seq.0),
                Condition::Mine(turn) => {
                    name_of(turn.0).filter(is_shown).map_or(Cond::Never, Cond::Pending)
                }
            };
        }
        let client = &mut self.clients[place];
        let entry = client.entry_of(mutation, Rc::new(ops));
        client.tabs[which].minted = turn;
        client.tabs[which].queue.push_back(entry);
        self.see("sibling's edit shown");
        Ok(())
    }

    /// What siblings have told counts as soon as its effects are held.
    pub(super) fn settle_tabs(&mut self, place: usize, epoch: Option<Epoch>, seq: Seq) -> Check {
        for which in 0..self.clients[place].tabs.len() {
            let is_due = |next: &Awaited| next.epoch == epoch && next.at <= seq;
            while let Some(next) = self.clients[place].tabs[which].awaited.front()
                && is_due(next)
            {
                let client = &mut self.clients[place];
                let Some(next) = client.tabs[which].awaited.pop_front() else { break };
                for (turn, outcome) in next.settled {
                    let tab = &mut client.tabs[which];
                    let gone = tab.pass_over(turn.saturating_sub(1));
                    if !gone.is_empty() && !client.has_missed {
                        return fail("TA1", format!("{gone:?} vanish before they are held"));
                    }
                    if tab.settled >= turn {
                        continue;
                    }
                    (tab.settled, tab.minted) = (turn, tab.minted.max(turn));
                    if outcome.seq().is_some_and(|at| at > seq) {
                        return fail("TA1", format!("turn {turn} vanishes before it is held"));
                    }
                    if let Some(entry) = tab.queue.pop_front() {
                        tab.place_conditions(entry.id, outcome.seq());
                        self.report.sights.see("sibling's edit settled");
                    }
                }
            }
        }
        Ok(())
    }

    /// A frame has come, and with it perhaps what siblings have told of before.
    pub(super) fn hold_more(&mut self, place: usize) -> Check {
        let client = &self.clients[place];
        let (epoch, seq) = (client.replica.epoch(), client.replica.seq());
        if client.records != epoch {
            self.clients[place].held = Seq(u64::MAX);
            return Ok(());
        }
        if client.tabs.is_empty() || seq == client.held {
            return Ok(());
        }
        self.clients[place].held = seq;
        self.settle_tabs(place, epoch, seq)
    }

    /// In the end nobody shows anything of a sibling.
    pub(super) fn check_settled_tabs(&self) -> Check {
        let shows = |client: &&Client| client.tabs.iter().any(|tab| !tab.queue.is_empty());
        match self.present().find(shows) {
            Some(client) => fail("TA1", format!("shown for ever: {:?}", client.tabs)),
            None => Ok(()),
        }
    }
}
