//! An app that undoes what it has done: what it brings back must be what the order had right before that.

use std::{collections::BTreeMap, rc::Rc};

use neap_core::{
    id::{Epoch, Seq, Turn},
    mutation::Condition,
    wire::{self, Down},
};

use super::{
    Check,
    client::Client,
    disk::Entry,
    fail,
    naive::{Act, Draft, Id, Op, Place, Record, State, resolve},
    oracle::{Life, never},
    sabotage::Sabotage,
    world::{World, trace},
};

/// The record under each key that a mutation changes, before it and after it.
pub(crate) type Ground = BTreeMap<Place, [Option<Rc<Record>>; 2]>;

/// What an app knew when it made a mutation: the life and the seq that it held, and how many of its own had come out otherwise
/// than it had seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    epoch: Option<Epoch>,
    seq: Seq,
    surprises: u64,
}

fn text(record: Option<&Rc<Record>>) -> Option<&str> {
    record.map(|record| &*record.text)
}

/// The records before and after a mutation, each known.
fn texts(sides: &[Option<Rc<Record>>; 2]) -> [Option<Option<&str>>; 2] {
    sides.each_ref().map(|side| Some(text(side.as_ref())))
}

/// What the order had under a key before a seq and at it, as far as that is known.
fn sides_of<'a>(life: &'a Life, seq: Seq, at: &Place) -> [Option<Option<&'a str>>; 2] {
    let state = |seq: u64| life.states.get(usize::try_from(seq).unwrap_or(usize::MAX));
    [seq.0 - 1, seq.0].map(|seq| state(seq).map(|state| text(state.get(at))))
}

impl Client {
    /// What undoes a mutation will be refused.
    pub(super) fn undo_fails(&mut self, undone: Id) {
        for entry in &mut self.pending {
            if self.undos.get(&entry.id) == Some(&undone) {
                entry.ops = Rc::new(never(&entry.ops));
            }
        }
    }
}

impl World {
    /// The app sees what its new mutation changes.
    pub(super) fn sees(&mut self, place: usize, view: &State, entry: &Entry) {
        let client = &mut self.clients[place];
        let (epoch, seq) = (client.records, client.replica.seq());
        client.made.insert(entry.id, Known { epoch, seq, surprises: client.surprises });
        let draft = resolve(view, entry.id, &entry.ops, client.replica.epoch());
        if draft.refusal.is_some() {
            return;
        }
        let sides = |at| (at, [view.get(&at).cloned(), draft.now.get(&at).cloned()]);
        let ground = draft.changed().into_iter().map(sides).collect();
        client.grounds.insert(entry.id, ground);
    }

    /// The app undoes one of its pending mutations, if that is as it left it.
    pub(super) fn undo(&mut self, place: usize) -> Check {
        let confirmed = self.confirmed_of(place)?;
        let (view, newest) = self.view_of(place, confirmed);
        let client = &self.clients[place];
        let is_as_left = |entry: &Entry| {
            let is_undone = client.undos.values().any(|undone| *undone == entry.id);
            let ground = client.grounds.get(&entry.id);
            let ground = ground.filter(|ground| !ground.is_empty() && !is_undone);
            let as_left = |(at, [_, after]): (&Place, &[Option<Rc<Record>>; 2])| {
                text(view.get(at)) == text(after.as_ref())
            };
            ground.is_some_and(|ground| ground.iter().all(as_left))
        };
        let all: Vec<usize> =
            (0..client.pending.len()).filter(|at| is_as_left(&client.pending[*at])).collect();
        if all.is_empty() {
            return Ok(());
        }
        let at = self.random.pick(&all);
        let client = &self.clients[place];
        let entry = client.pending[at].clone();
        let ground = client.grounds[&entry.id].clone();
        let (beneath, _) = self.view_before(place, self.confirmed_of(place)?, entry.ordinal);
        let stands =
            ground.iter().all(|(at, [before, _])| text(beneath.get(at)) == text(before.as_ref()));
        let turn = Turn(client.replica.settled().0 + 1 + at as u64);
        let epoch = client.replica.epoch();
        let replica = &mut self.clients[place].replica;
        replica.begin();
        if replica.undo(turn) != stands {
            return fail("RE13", format!("turn {} stands as it was seen: {stands}", turn.0));
        }
        if !stands {
            replica.abort();
            self.see("undo refused here");
            return Ok(());
        }
        let id = self.oracle.mutations.len();
        let mut draft = Draft::new(&view, id, epoch);
        let mut ops = Vec::new();
        for (at, [before, after]) in ground {
            let seq = view.get(&at).and_then(|record| record.seq);
            let wanted = match after {
                Some(_) => Condition::Seq(seq.map_or(Seq::ZERO, Seq)),
                None => Condition::Absent,
            };
            let cond = self.meant(place, wanted, newest.get(&at));
            let act = before.map_or(Act::Delete, |record| Act::Set(record.json.clone()));
            let op = Op { place: at, act, cond };
            self.say(place, &op, wanted)?;
            draft.step(&op);
            ops.push(op);
        }
        let refused = draft.refusal.is_some();
        let Ok(turn) = self.clients[place].replica.commit() else {
            return fail("MU8", "a sound undo was not taken".into());
        };
        trace!(
            self,
            "replica {place}: turn {} = mutation {id} undoes {}: {ops:?}", turn.0, entry.id
        );
        self.oracle.undos.insert(id);
        self.clients[place].undos.insert(id, entry.id);
        self.enqueue(place, turn, ops, refused)?;
        self.drain(place)
    }

    /// The app hears of the outcome of its oldest mutation. What it may undo must be what the order has; what was undone
    /// already, and is not, will be refused.
    pub(super) fn stands(&mut self, place: usize, seq: Option<Seq>, is_overtaken: bool) -> Check {
        let client = &mut self.clients[place];
        let Some(entry) = client.pending.front() else { return Ok(()) };
        let id = entry.id;
        if seq.is_none() || is_overtaken {
            client.undo_fails(id);
            client.surprises += 1;
        }
        if let Some(seq) = seq.filter(|_| is_overtaken) {
            self.check_overtaken(place, id, seq)?;
        }
        let client = &mut self.clients[place];
        if let Some(accepted) = seq.zip(client.replica.epoch()) {
            client.accepted.insert(id, accepted);
        }
        let (ground, undone) = (client.grounds.remove(&id), client.undos.remove(&id));
        let (Some(seq), Some(epoch)) = (seq, client.replica.epoch()) else { return Ok(()) };
        let Some(life) = self.oracle.life(epoch) else { return Ok(()) };
        let state = |seq: u64| life.states.get(usize::try_from(seq).unwrap_or(usize::MAX));
        if let Some(undone) = undone {
            // Who reads a disk that was left knows of no undo.
            if self.oracle.left.contains(&id) {
                return Ok(());
            }
            let Some((first, of)) = self.clients[place].accepted.get(&undone) else {
                return fail("RE13", format!("mutation {id} undoes {undone}, which had no effect"));
            };
            let [before, after] = [first.0 - 1, seq.0].map(state);
            // What was undone may have been in the life before.
            let (Some(before), Some(after), true) = (before, after, *of == epoch) else {
                return Ok(());
            };
            let mut places = self.oracle.mutations[id].ops.iter().map(|op| op.place);
            if let Some(at) = places.find(|at| text(before.get(at)) != text(after.get(at))) {
                return fail(
                    "RE13",
                    format!("mutation {id} brings back another {at:?} than {undone} met"),
                );
            }
            self.report.sights.see("undone");
        }
        let Some(ground) = ground else { return Ok(()) };
        if is_overtaken && self.sabotage != Some(Sabotage::DeafToOthers) {
            self.report.sights.see("overtaken");
            return Ok(());
        }
        for (at, sides) in &ground {
            let really = sides_of(life, seq, at);
            if really != texts(sides) {
                return fail(
                    "RE13",
                    format!("mutation {id} met {really:?}, and the app saw {sides:?}"),
                );
            }
        }
        Ok(())
    }

    /// Who is told that others have come in between must be told nothing that could not be: in a delta, that the order had
    /// what the app saw; in a page, that nobody else has written at all, or has anything pending that it saw.
    fn check_overtaken(&self, place: usize, id: Id, seq: Seq) -> Check {
        let client = &self.clients[place];
        let (Some(epoch), Some(known)) = (client.replica.epoch(), client.made.get(&id)) else {
            return Ok(());
        };
        let (Some(life), Some(ground)) = (self.oracle.life(epoch), client.grounds.get(&id)) else {
            return Ok(());
        };
        let frame = client.frame.as_ref().and_then(|frame| wire::decode_down(frame).ok());
        if let Some((Down::Delta(_), _)) = frame {
            let is_as_seen = |op: &Op| {
                let really = sides_of(life, seq, &op.place);
                ground.get(&op.place).map_or(really[0] == really[1], |seen| really == texts(seen))
            };
            if self.oracle.mutations[id].ops.iter().all(is_as_seen) {
                return fail(
                    "RE13",
                    format!("mutation {id} at {} has met what the app saw", seq.0),
                );
            }
            return Ok(());
        }
        let is_between = |(own, (at, of)): &(&Id, &(Seq, Epoch))| {
            let adds = self.oracle.mutations[**own].adds.is_some();
            !adds && *of == epoch && known.seq < *at && *at < seq
        };
        let own = client.accepted.iter().filter(is_between).count() as u64;
        let are_others = known.seq.0 + own + 1 < seq.0 || client.device.is_some();
        // It has just counted one.
        let is_surprised = known.surprises + 1 < client.surprises;
        if known.epoch != Some(epoch) || is_surprised || are_others {
            return Ok(());
        }
        fail("RE13", format!("nobody has come in before mutation {id} at {}", seq.0))
    }
}
