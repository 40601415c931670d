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
pub(super) struct Awaited {
    pub(super) epoch: Option<Epoch>,
    pub(super) at: Seq,
    pub(super) settled: Vec<(u64, Outcome)>,
    acked: u64,
    /// How often its replica had asked the relay for its life when it heard of it.
    pub(super) heard: u64,
    /// The life that this was told of, where it is over.
    pub(super) of_old: Option<Epoch>,
}

/// What a replica knows of a sibling.
#[derive(Debug)]
pub(crate) struct Tab {
    id: ReplicaId,
    settled: u64,
    minted: u64,
    /// What it shows of it, each with its turn.
    pub(crate) queue: VecDeque<(u64, Entry)>,
    pub(super) awaited: Vec<Awaited>,
}

impl Tab {
    /// What a replica's own mutations become that another delivers.
    pub(super) fn of_another(
        id: ReplicaId,
        settled: Turn,
        theirs: impl Iterator<Item = (u64, Entry)>,
    ) -> Tab {
        let queue: VecDeque<(u64, Entry)> = theirs.collect();
        let minted = queue.back().map_or(settled.0, |(turn, _)| *turn);
        Tab { id, settled: settled.0, minted, queue, awaited: Vec::new() }
    }

    /// Whether a replica is meant that has settled all of it.
    pub(super) fn is_of(&self, id: ReplicaId, settled: Turn) -> bool {
        self.id == id && settled.0 >= self.minted
    }

    /// All that it shows has an outcome, whose effects are held at a seq of a life.
    pub(super) fn is_done(&mut self, epoch: Option<Epoch>, at: Seq, heard: u64) {
        let acked = self.minted;
        match self.awaited.last_mut().filter(|last| last.epoch == epoch) {
            Some(last) => (last.at, last.acked) = (last.at.max(at), last.acked.max(acked)),
            None => self.awaited.push(Awaited {
                epoch,
                at,
                settled: Vec::new(),
                acked,
                heard,
                of_old: None,
            }),
        }
    }

    fn forget_after(&mut self, turn: u64) {
        self.queue.retain(|(of, _)| *of <= turn);
        self.minted = self.minted.min(turn.max(self.settled));
    }

    /// Takes the oldest out that it shows, if that is of a turn up to this one.
    fn oldest(&mut self, turn: u64) -> Option<Id> {
        self.queue.pop_front_if(|(of, _)| *of <= turn).map(|(_, entry)| entry.id)
    }

    /// Lets go of the turns up to one; gives those that were shown.
    fn pass_over(&mut self, turn: u64) -> Vec<Id> {
        let gone = std::iter::from_fn(|| self.oldest(turn)).collect();
        self.settled = self.settled.max(turn);
        self.minted = self.minted.max(self.settled);
        gone
    }

    /// Conditions on what a turn wrote mean the seq that it took, and nothing where it took none.
    fn place_conditions(&mut self, writer: Id, seq: Option<Seq>) {
        for (_, entry) in &mut self.queue {
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
        let theirs = self.tabs.iter().flat_map(|tab| &tab.queue).map(|(_, entry)| entry);
        let mut all: Vec<&Entry> = self.pending.iter().chain(theirs).collect();
        all.sort_by_key(|entry| entry.ordinal);
        all
    }

    /// Whether a pending mutation is its own.
    pub(crate) fn is_own(&self, entry: &Entry) -> bool {
        self.pending.iter().any(|own| own.ordinal == entry.ordinal)
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
                if self.chance(45) {
                    self.see("note lost");
                } else {
                    self.clients[*sibling].notes.push_back(bytes.clone());
                }
            }
        }
        Ok(())
    }

    /// Whoever has missed a note asks when it comes back to life, and looks who has a place on the disk.
    pub(super) fn meet_all(&mut self) -> Check {
        for place in 0..self.clients.len() {
            if self.clients[place].device.is_none() {
                continue;
            }
            let mut all = self.siblings_of(place);
            all.push(place);
            let id = |other: &usize| self.clients[*other].disk.image.identity;
            let ids: Vec<ReplicaId> = all.iter().filter_map(id).map(|(id, _)| id).collect();
            let client = &mut self.clients[place];
            for tab in client.tabs.iter_mut().filter(|tab| !ids.contains(&tab.id)) {
                if !tab.queue.is_empty() {
                    self.report.sights.see("sibling of another id forgotten");
                }
                tab.forget_after(0);
            }
            client.replica.keep_siblings(&ids.iter().flat_map(|id| id.0).collect::<Vec<u8>>());
            client.replica.meet_siblings();
            self.drain(place)?;
        }
        Ok(())
    }

    /// A tab's process has died before it told all.
    pub(super) fn note_death(&mut self, place: usize) {
        if !self.siblings_of(place).is_empty() {
            self.see("sibling died and was adopted");
        }
        let client = &mut self.clients[place];
        client.notes.clear();
        client.tabs.clear();
    }

    /// A tab hears a note.
    pub(super) fn hear_note(&mut self, place: usize) -> Check {
        if self.clients[place].frozen.is_some() {
            return Ok(());
        }
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
        let is_stale = client.is_stale();
        if let Some(tab) = client.tabs.iter_mut().find(|tab| tab.id.0 == *note.was) {
            self.report.sights.see("sibling renamed");
            tab.forget_after(0);
        }
        let Ok(id) = note.id.try_into().map(ReplicaId) else { return Ok(()) };
        let known = client.tabs.iter().position(|tab| tab.id == id);
        let which = known.unwrap_or(client.tabs.len());
        if known.is_none() {
            let (queue, awaited) = (VecDeque::new(), Vec::new());
            client.tabs.push(Tab { id, settled: 0, minted: 0, queue, awaited });
        }
        let (tab, heard) = (&mut client.tabs[which], client.asked);
        tab.forget_after(note.minted.0);
        let settled = note.settled.iter().map(|told| (told.turn.0, told.outcome));
        let settled: Vec<(u64, Outcome)> = settled.filter(|told| told.0 <= tab.minted).collect();
        // A sibling has gone on to another life.
        tab.awaited.retain(|one| note.epoch.is_none() || one.epoch == note.epoch);
        let (epoch_there, at, acked) = (note.epoch, note.at, note.acked.0);
        let last = tab.awaited.last_mut().filter(|last| last.epoch == epoch_there);
        match last {
            _ if tab.queue.front().is_none_or(|(turn, _)| *turn > acked) => {
                tab.settled = tab.settled.max(acked);
                tab.minted = tab.minted.max(tab.settled);
            }
            Some(last) if settled.is_empty() => {
                (last.at, last.acked) = (last.at.max(at), last.acked.max(acked));
            }
            _ => tab.awaited.push(Awaited {
                epoch: epoch_there,
                at,
                settled,
                acked,
                heard,
                of_old: None,
            }),
        }
        let minted = tab.minted;
        if !is_stale {
            self.settle_tabs(place, epoch, seq)?;
        }
        let client = &mut self.clients[place];
        if client.tabs[which].awaited.last().is_some_and(|last| last.at > seq) {
            self.report.sights.see("sibling's outcome awaited");
        }
        if note.first.0 > minted.max(note.acked.0) + 1 {
            self.report.sights.see("tab asks what it has missed");
            return Ok(());
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
        let is_shown = |id: &Id| *id == mutation || queue.iter().any(|(_, entry)| entry.id == *id);
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
        client.tabs[which].queue.push_back((turn, entry));
        self.see("sibling's edit shown");
        Ok(())
    }

    /// What siblings have told counts as soon as its effects are held.
    pub(super) fn settle_tabs(&mut self, place: usize, epoch: Option<Epoch>, seq: Seq) -> Check {
        for which in 0..self.clients[place].tabs.len() {
            let tab = &mut self.clients[place].tabs[which];
            let due = tab.awaited.iter().filter(|next| next.epoch == epoch && next.at <= seq);
            let Some(held) = due.map(|next| next.acked).max() else { continue };
            let of_old: Vec<Epoch> = tab.awaited.iter().filter_map(|next| next.of_old).collect();
            let mut missed = Vec::new();
            for next in tab.awaited.extract_if(.., |next| next.acked <= held).collect::<Vec<_>>() {
                for (turn, outcome) in next.settled.into_iter().filter(|_| next.epoch == epoch) {
                    missed.extend(tab.pass_over(turn.saturating_sub(1)));
                    if let Some(id) = tab.oldest(turn) {
                        tab.place_conditions(id, outcome.seq());
                        self.report.sights.see("sibling's edit settled");
                    }
                    missed.extend(tab.pass_over(turn));
                    if outcome.seq().is_some_and(|at| at > seq) {
                        return fail("TA1", format!("turn {turn} vanishes before it is held"));
                    }
                }
            }
            missed.extend(tab.pass_over(held));
            // Settled where it was told of, it may be delivered once more by whoever has not heard of that.
            let before = |id: &Id| {
                let mut lives = of_old.iter().filter_map(|epoch| self.oracle.life(*epoch));
                lives.any(|life| life.outcomes.contains_key(id))
            };
            missed.retain(|id| !before(id));
            self.check_missed(epoch, seq, &missed)?;
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

    /// What a tab lets go of without having heard of its outcome has no effect that it does not hold.
    fn check_missed(&mut self, epoch: Option<Epoch>, seq: Seq, missed: &[Id]) -> Check {
        let life = epoch.and_then(|epoch| self.oracle.life(epoch));
        let outcome = |id: &&Id| life.and_then(|life| life.outcomes.get(*id)?.seq());
        if let Some(id) = missed.iter().find(|id| outcome(id).is_some_and(|at| at > seq)) {
            return fail("TA1", format!("mutation {id} vanishes before it is held"));
        }
        if !missed.is_empty() {
            self.see("settled while notes were missed");
        }
        Ok(())
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
