//! Siblings: replicas of the same person in other tabs, over one disk. Each shows what the others have
//! pending, until it holds what became of it itself.

use alloc::vec::Vec;

use super::{Reconnect, Replica, author::Author, confirm::Unsettled, outbox::Ordinal};
use crate::{
    id::{Epoch, ReplicaId, Seq, Turn},
    limits::{AUTHORS_MAX, BLOCK_BYTES, INTEGER_MAX, SIBLING_MUTATIONS_MAX},
    mutation::Outcome,
    wire::{self, BadFrame, Note, Settled},
};

/// What is settled of a sibling, and whose effects this replica may not hold yet.
#[derive(Debug)]
pub(super) struct Awaited {
    pub(super) epoch: Option<Epoch>,
    pub(super) at: Seq,
    pub(super) settled: Vec<Settled>,
    /// All turns up to this one, those without an outcome here among them.
    pub(super) acked: Turn,
    /// How often the relay had been asked in which life it is when this was told.
    pub(super) heard: u64,
}

/// What is to be told to siblings.
#[derive(Debug, Default)]
pub(super) struct Siblings {
    /// Whether one has been heard.
    are_there: bool,
    ask_is_due: bool,
    /// Everything pending is to be told, also what was told before.
    all_is_due: bool,
    /// The id under which they know it. They are told until the disk has the new one, and then once more:
    /// who slept through the first time, and finds the old one there, hears of it yet.
    was: Option<ReplicaId>,
    /// The disk has the new id, and they are to be told for the last time.
    has_moved: bool,
    /// The newest turn that was told.
    told: Turn,
    settled: Vec<Settled>,
    /// How often the relay has been asked in which life it is.
    pub(super) asked: u64,
    /// It holds no records: what it has settled it may not hold, and cannot tell where that counts.
    is_torn: bool,
}

impl Siblings {
    pub(super) fn settled(&mut self, turn: Turn, outcome: Outcome) {
        if self.are_there {
            self.settled.push(Settled { author: 0, turn, outcome });
        }
    }

    /// The replica goes on under another id.
    pub(super) fn renamed(&mut self, old: ReplicaId) {
        self.was.get_or_insert(old);
        self.has_moved = false;
        self.start_anew();
    }

    /// The disk has the id under which the replica goes on; a forsaken one will always have the old id.
    pub(super) fn moved(&mut self, is_alone: bool) {
        self.has_moved = self.was.is_some() && !is_alone;
    }

    /// No records are held, with so much settled.
    pub(super) fn torn(&mut self, settled: Turn) {
        self.is_torn = settled > Turn::ZERO;
    }

    /// All is held again.
    pub(super) fn whole(&mut self) {
        self.all_is_due |= core::mem::take(&mut self.is_torn);
    }

    /// What was told is of an id that this replica has no more.
    fn start_anew(&mut self) {
        self.told = Turn::ZERO;
        self.all_is_due = true;
        self.settled.clear();
    }
}

impl Author {
    /// Keeps what is settled until its effects are held. What says nothing of an outcome makes the one
    /// before later instead of the queue longer. Where that is of a life that is over, this is too.
    fn await_effects(&mut self, awaited: Awaited) {
        let last = self.awaited.last_mut().filter(|last| last.epoch == awaited.epoch);
        match last {
            Some(last) if awaited.settled.is_empty() => {
                (last.at, last.acked) = (last.at.max(awaited.at), last.acked.max(awaited.acked));
            }
            Some(_) | None => self.awaited.push(awaited),
        }
    }
}

impl Replica {
    /// There may be siblings: asks them what they have pending.
    pub fn meet_siblings(&mut self) {
        self.siblings.ask_is_due = true;
    }

    /// The next note for the siblings; ask until there is none. They are told of what is durable
    /// alone: whoever shows a mutation of another tab can count on the disk.
    pub fn take_note(&mut self) -> Option<Vec<u8>> {
        let asks = core::mem::take(&mut self.siblings.ask_is_due);
        if !asks && !self.siblings.are_there {
            return None;
        }
        let (acked, minted) = (self.settled(), self.minted());
        let is_due = core::mem::take(&mut self.siblings.all_is_due);
        let has_moved = core::mem::take(&mut self.siblings.has_moved);
        let after = if is_due { acked } else { self.siblings.told };
        let found = self.block_after(after, self.shared(), BLOCK_BYTES, false);
        let is_news = asks || is_due || has_moved || !self.siblings.settled.is_empty();
        if found.is_none() && !is_news {
            return None;
        }
        let (first, last, block) = found.unwrap_or((acked.next(), after, Vec::new()));
        self.siblings.told = last;
        let was = if has_moved { self.siblings.was.take() } else { self.siblings.was };
        Some(wire::encode_note(&Note {
            asks,
            id: &self.id().0,
            was: was.as_ref().map_or(&[], |was| &was.0),
            epoch: self.epoch().filter(|_| !self.siblings.is_torn),
            at: self.seq,
            settled: core::mem::take(&mut self.siblings.settled),
            acked,
            minted,
            first,
            block: &block,
        }))
    }

    /// The newest turn that is on a disk that the siblings can read too.
    fn shared(&self) -> Turn {
        let durable = self.authors.first().map_or(Turn::ZERO, |me| me.durable);
        if self.is_alone { self.ceiling.unwrap_or_default() } else { durable }
    }

    /// Takes a note of a sibling.
    ///
    /// # Errors
    /// When the bytes are no note that this code can read; then nothing has changed.
    pub fn hear_note(&mut self, bytes: &[u8]) -> Result<(), BadFrame> {
        let note = wire::decode_note(bytes)?;
        self.siblings.are_there = true;
        self.siblings.all_is_due |= note.asks;
        let mut unsettled = Unsettled::default();
        self.show_note(note, &mut unsettled);
        self.rebase(unsettled);
        self.ask_of_other_lives();
        Ok(())
    }

    fn show_note(&mut self, note: Note<'_>, unsettled: &mut Unsettled) {
        if let Some(place) = self.sibling(note.was) {
            self.forget_after(place, Turn::ZERO, unsettled);
        }
        let Some(place) = self.sibling(note.id).or_else(|| self.meet(note.id)) else {
            return;
        };
        self.forget_after(place, note.minted, unsettled);
        let Some(author) = self.authors.get_mut(place) else { return };
        // Once a sibling is in another life, what was settled in the one before never counts.
        author.awaited.retain(|one| note.epoch.is_none() || one.epoch == note.epoch);
        let mut settled = note.settled;
        settled.retain(|one| one.turn <= author.minted);
        let heard = self.siblings.asked;
        let told = Awaited { epoch: note.epoch, at: note.at, settled, acked: note.acked, heard };
        self.await_effects(place, told, unsettled);
        let minted = self.authors.get(place).map_or(Turn::ZERO, |author| author.minted);
        if !self.is_stale {
            self.settle_siblings(self.seq, unsettled);
        }
        if note.first > minted.max(note.acked).next() {
            self.siblings.ask_is_due = self.room_for_siblings() > 0;
            return;
        }
        let mutations = wire::split_block(note.block);
        let mut room = self.room_for_siblings();
        for (turn, mutation) in (note.first.0..).map(Turn).zip(mutations.map_while(Result::ok)) {
            let Some(author) = self.authors.get_mut(place) else { break };
            if turn <= author.minted {
                continue;
            }
            if room == 0 {
                break;
            }
            room -= 1;
            author.minted = turn;
            let ordinal = self.enqueue(place, turn, mutation.into());
            unsettled.add(ordinal);
        }
    }

    /// Somebody else has taken over this replica's place on the disk, and delivers what lies there under
    /// the names that it has. Here that shows like a sibling's from now on; what came too late for the disk
    /// goes on under the spare id.
    ///
    /// # Errors
    /// Always [`Reconnect::NewIdentity`].
    pub fn dispossess(&mut self) -> Result<(), Reconnect> {
        self.leave();
        // The disk that it goes on with has none of the pages that have come.
        self.staging = None;
        let Some(me) = self.authors.first_mut() else { return Ok(()) };
        let (id, settled, last) = (me.id, me.settled, me.stored.max(me.settled));
        let count = usize::try_from(last.0 - settled.0).unwrap_or(usize::MAX);
        let theirs: Vec<Ordinal> = (0..count).map_while(|_| me.queue.pop_front()).collect();
        me.settled = last;
        // Where nothing is handed over, as under an id that the disk never had, nobody need be known.
        let place = if theirs.is_empty() { None } else { self.seat(id) };
        self.outbox.hand_over(last, place.unwrap_or(usize::MAX));
        self.change_identity();
        // What was not on the disk then never comes there.
        self.left = Turn::ZERO;
        self.siblings.was = None;
        let mut unsettled = Unsettled::default();
        for ordinal in &theirs {
            self.let_fail(*ordinal, &mut unsettled);
        }
        if let Some(author) = place.and_then(|place| self.authors.get_mut(place)) {
            (author.settled, author.minted) = (settled, last);
            author.queue.extend(theirs);
        } else {
            for ordinal in theirs {
                self.take_out(ordinal, &mut unsettled);
            }
        }
        // What hangs on an own write hangs on somebody else's now.
        self.rebase_all();
        Err(Reconnect::NewIdentity)
    }

    /// Only these replicas have a place on the disk, `ids` being their ids one behind the other. What others have
    /// shown is gone: they go on under another id, and the note that said so was missed.
    pub fn keep_siblings(&mut self, ids: &[u8]) {
        let mut unsettled = Unsettled::default();
        for place in 1..self.authors.len() {
            let is_it =
                |id: &[u8]| self.authors.get(place).is_some_and(|author| author.id.0 == *id);
            if !ids.chunks(16).any(is_it) {
                self.forget_after(place, Turn::ZERO, &mut unsettled);
            }
        }
        self.rebase(unsettled);
    }

    /// All that a sibling had on the disk is settled, and the disk holds the effects up to `at` of this
    /// life of the datastore.
    pub fn sibling_is_done(&mut self, id: ReplicaId, epoch: Option<Epoch>, at: Seq) {
        let Some(place) = self.sibling(&id.0) else { return };
        let Some(author) = self.authors.get_mut(place) else { return };
        let (acked, heard) = (author.minted, self.siblings.asked);
        let mut unsettled = Unsettled::default();
        let told = Awaited { epoch, at, settled: Vec::new(), acked, heard };
        self.await_effects(place, told, &mut unsettled);
        if self.is_stale {
            return;
        }
        self.settle_siblings(self.seq, &mut unsettled);
        self.rebase(unsettled);
        self.ask_of_other_lives();
    }

    /// Awaits the effects of what is settled of a sibling, where something of that is shown.
    fn await_effects(&mut self, place: usize, told: Awaited, unsettled: &mut Unsettled) {
        let is_shown = self.oldest(place, told.acked).is_some();
        match self.authors.get_mut(place) {
            Some(author) if is_shown => author.await_effects(told),
            _ => self.pass_over(place, told.acked, unsettled),
        }
    }

    /// Forgets a sibling's mutations up to `turn`, whose outcomes were missed.
    fn pass_over(&mut self, place: usize, turn: Turn, unsettled: &mut Unsettled) {
        while let Some(ordinal) = self.take_oldest(place, turn) {
            self.take_out(ordinal, unsettled);
        }
        if let Some(author) = self.authors.get_mut(place) {
            author.settled = author.settled.max(turn);
            author.minted = author.minted.max(author.settled);
        }
    }

    /// The oldest of a sibling's mutations, if that is of a turn up to `turn`.
    fn oldest(&self, place: usize, turn: Turn) -> Option<Ordinal> {
        let ordinal = *self.authors.get(place)?.queue.front()?;
        let is_due = self.outbox.get(ordinal).is_none_or(|entry| entry.turn <= turn);
        is_due.then_some(ordinal)
    }

    /// Takes it out of its queue.
    fn take_oldest(&mut self, place: usize, turn: Turn) -> Option<Ordinal> {
        self.oldest(place, turn)?;
        self.authors.get_mut(place)?.queue.pop_front()
    }

    /// Where a sibling that is known stands in the list of authors.
    fn sibling(&self, id: &[u8]) -> Option<usize> {
        let is_it = |author: &Author| author.id.0 == *id;
        self.authors.iter().skip(1).position(is_it).map(|place| place + 1)
    }

    /// Gives a sibling a place; `None` where there is no room, or it is this replica itself.
    fn meet(&mut self, id: &[u8]) -> Option<usize> {
        let id = ReplicaId(id.try_into().ok()?);
        if id == self.id() { None } else { self.seat(id) }
    }

    fn seat(&mut self, id: ReplicaId) -> Option<usize> {
        if self.authors.len() < AUTHORS_MAX {
            self.authors.push(Author::new(id));
            return Some(self.authors.len() - 1);
        }
        let place = self.authors.iter().skip(1).position(|author| author.queue.is_empty())? + 1;
        self.outbox.take_waiting(place, Turn(INTEGER_MAX));
        *self.authors.get_mut(place)? = Author::new(id);
        Some(place)
    }

    fn room_for_siblings(&self) -> usize {
        let shown: usize = self.authors.iter().skip(1).map(|author| author.queue.len()).sum();
        SIBLING_MUTATIONS_MAX.saturating_sub(shown)
    }

    /// Takes those outcomes of siblings whose effects are held at `seq`. Then those of all turns before are too; what was told
    /// first may be of later ones, as a note may be older than what the disk has said.
    pub(super) fn settle_siblings(&mut self, seq: Seq, unsettled: &mut Unsettled) {
        let epoch = self.epoch();
        for place in 1..self.authors.len() {
            let is_held = |one: &&Awaited| one.epoch == epoch && one.at <= seq;
            let Some(author) = self.authors.get_mut(place) else { break };
            let held = author.awaited.iter().filter(is_held).map(|one| one.acked).max();
            let Some(held) = held else { continue };
            let told = core::mem::take(&mut author.awaited);
            let mut later = Vec::new();
            for next in told {
                if next.acked > held {
                    later.push(next);
                } else if next.epoch == epoch {
                    for Settled { turn, outcome, .. } in next.settled {
                        self.settle_sibling(place, turn, outcome, unsettled);
                    }
                }
            }
            self.pass_over(place, held, unsettled);
            if let Some(author) = self.authors.get_mut(place) {
                author.awaited = later;
            }
        }
    }

    fn settle_sibling(
        &mut self,
        place: usize,
        turn: Turn,
        outcome: Outcome,
        unsettled: &mut Unsettled,
    ) {
        self.pass_over(place, turn.before(), unsettled);
        if let Some(ordinal) = self.take_oldest(place, turn) {
            self.finish(place, turn, outcome, ordinal, unsettled);
        }
        self.pass_over(place, turn, unsettled);
    }

    /// Forgets a sibling's mutations after `turn`.
    fn forget_after(&mut self, place: usize, turn: Turn, unsettled: &mut Unsettled) {
        while let Some(author) = self.authors.get_mut(place)
            && let Some(ordinal) = author.queue.back().copied()
            && self.outbox.get(ordinal).is_none_or(|entry| entry.turn > turn)
        {
            author.queue.pop_back();
            self.take_out(ordinal, unsettled);
        }
        if let Some(author) = self.authors.get_mut(place) {
            author.minted = author.minted.min(turn.max(author.settled));
        }
    }
}
