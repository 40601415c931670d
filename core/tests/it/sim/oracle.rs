//! What must be true: every mutation that an app made, and what the order made of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use neap_core::{
    id::{Epoch, ReplicaId, Turn},
    mutation::{Outcome, Reason},
    record::{Digest, Row},
};

use super::{
    Check,
    disk::Image,
    fail,
    naive::{COLLECTIONS, Cond, Id, KEYS, Op, Place, Record, State, resolve},
    once::Kept,
    pools::{Addition, NaivePool, POOLS},
};

/// A mutation as its app made it.
#[derive(Debug)]
pub(crate) struct Mutation {
    pub(crate) ops: Rc<Vec<Op>>,
    /// What it adds to a pool; then it has no ops.
    pub(crate) adds: Option<Addition>,
}

/// One incarnation of the datastore.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) epoch: Epoch,
    /// What holds at each seq.
    pub(crate) states: Vec<State>,
    /// Deleted keys, with the seq of the deletion.
    pub(crate) tombstones: BTreeMap<Place, u64>,
    /// What became of each replica's turns.
    pub(crate) ledger: BTreeMap<ReplicaId, Vec<Outcome>>,
    /// What became of each mutation.
    pub(crate) outcomes: BTreeMap<Id, Outcome>,
    /// Mutations in the order of their arrival.
    pub(crate) arrived: Vec<Id>,
    pub(crate) records_max: usize,
    pub(crate) horizon: u64,
    pub(crate) pools: [NaivePool; POOLS.len()],
    /// What was answered under each `Idempotency-Key`.
    pub(crate) answers: BTreeMap<String, Kept>,
    /// What had arrived in the life that this one is a copy of.
    pub(crate) copied: BTreeSet<Id>,
    /// What arrived without the conditions on writes of which its author could not hear.
    pub(crate) bent: BTreeMap<Id, Rc<Vec<Op>>>,
}

/// What a verdict needs to know besides the records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) epoch: Epoch,
    pub(crate) head: u64,
    pub(crate) records_max: usize,
}

impl Order {
    /// What the order must make of a mutation that arrives now.
    pub(crate) fn verdict(self, now: &State, id: Id, ops: &[Op]) -> (Outcome, State, Vec<Place>) {
        let refused = |reason, op| Outcome::Refused(neap_core::mutation::Refusal { reason, op });
        let draft = resolve(now, id, ops, Some(self.epoch));
        if let Some((reason, op)) = draft.refusal {
            return (refused(reason, op), State::new(), Vec::new());
        }
        let changed = draft.changed();
        if changed.is_empty() {
            return (Outcome::Unchanged, State::new(), changed);
        }
        let mut state = draft.now.clone();
        if state.len() > now.len() && state.len() > self.records_max {
            return (refused(Reason::StorageFull, 0), State::new(), Vec::new());
        }
        let seq = self.head + 1;
        for place in &changed {
            if let Some(record) = state.get(place) {
                let Record { writer, json, text, .. } = &**record;
                let (json, text) = (json.clone(), text.clone());
                let record = Record { seq: Some(seq), writer: *writer, json, text };
                state.insert(*place, Rc::new(record));
            }
        }
        (Outcome::Accepted(neap_core::id::Seq(seq)), state, changed)
    }
}

impl Life {
    pub(crate) fn head(&self) -> u64 {
        self.states.len() as u64 - 1
    }

    pub(crate) fn now(&self) -> &State {
        self.states.last().unwrap_or_else(|| unreachable!("a life begins with a state"))
    }

    pub(crate) fn settled(&self, replica: &ReplicaId) -> u64 {
        self.ledger.get(replica).map_or(0, |outcomes| outcomes.len() as u64)
    }

    /// Lets a mutation arrive; tells whether that makes the outcome that was seen.
    pub(crate) fn arrive(&mut self, id: Id, ops: &[Op], seen: Outcome) -> Result<(), Outcome> {
        let order = Order { epoch: self.epoch, head: self.head(), records_max: self.records_max };
        let (outcome, state, changed) = order.verdict(self.now(), id, ops);
        if outcome != seen {
            return Err(outcome);
        }
        self.arrived.push(id);
        if let Outcome::Accepted(seq) = outcome {
            for place in changed {
                if state.contains_key(&place) {
                    self.tombstones.remove(&place);
                } else {
                    self.tombstones.insert(place, seq.0);
                }
            }
            self.states.push(state);
        }
        Ok(())
    }

    /// Compares the rows that are stored with what must be there.
    pub(crate) fn check_rows(&self, rows: &[Row], horizon: u64) -> Check {
        let mut seen = BTreeSet::new();
        for row in rows {
            let place = place_of(&row.collection, &row.key);
            let known = seen.insert(place);
            let wanted = match (&row.data, place.and_then(|place| self.now().get(&place))) {
                (Some(data), Some(record)) => {
                    record.seq == Some(row.seq.0) && record.text == **data
                }
                (None, None) => {
                    place.and_then(|place| self.tombstones.get(&place)) == Some(&row.seq.0)
                }
                (Some(_), None) | (None, Some(_)) => false,
            };
            if !known || !wanted {
                return fail("AP1", format!("the relay stores {row:?}"));
            }
        }
        let kept = self.tombstones.values().filter(|seq| **seq > horizon).count();
        let live = self.now().len();
        if rows.len() < live + kept || rows.iter().filter(|row| row.data.is_some()).count() != live
        {
            return fail("AP1", format!("{} rows for {live} and {kept}", rows.len()));
        }
        Ok(())
    }

    pub(crate) fn digest(&self) -> Digest {
        digest_of(self.now())
    }
}

pub(crate) fn digest_of(state: &State) -> Digest {
    let mut digest = Digest::EMPTY;
    for (place, record) in state {
        let seq = neap_core::id::Seq(record.seq.unwrap_or(0));
        let (collection, key) = names_of(*place);
        digest.add(Digest::of(collection, key, seq, record.text.as_bytes()));
    }
    digest
}

pub(crate) fn names_of(place: Place) -> (&'static str, &'static str) {
    (COLLECTIONS[place.0], KEYS[place.1])
}

pub(crate) fn place_of(collection: &str, key: &str) -> Option<Place> {
    let collection = COLLECTIONS.iter().position(|name| *name == collection)?;
    Some((collection, KEYS.iter().position(|name| *name == key)?))
}

/// Ops whose conditions on what some mutations wrote never hold.
pub(crate) fn without(ops: &[Op], writers: &BTreeSet<Id>) -> Vec<Op> {
    let mut ops = ops.to_vec();
    for op in &mut ops {
        if matches!(op.cond, Cond::By(writer) if writers.contains(&writer)) {
            op.cond = Cond::Never;
        }
    }
    ops
}

/// What conditions speak of that is not among these mutations.
pub(crate) fn settled_writers(ops: &[Op], pending: &BTreeSet<Id>) -> BTreeSet<Id> {
    let writer = |op: &Op| match op.cond {
        Cond::By(writer) if !pending.contains(&writer) => Some(writer),
        _ => None,
    };
    ops.iter().filter_map(writer).collect()
}

/// Ops whose conditions never hold.
pub(crate) fn never(ops: &[Op]) -> Vec<Op> {
    let never = |op: &Op| Op { cond: Cond::Never, ..op.clone() };
    ops.iter().map(never).collect()
}

/// Conditions on seqs hold no more.
pub(crate) fn without_seqs(ops: &mut [Op]) {
    for op in ops {
        if matches!(op.cond, Cond::Seq(..) | Cond::At(_)) {
            op.cond = Cond::Never;
        }
    }
}

/// All that apps did, and all lives of the datastore.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pub(crate) mutations: Vec<Mutation>,
    pub(crate) lives: Vec<Life>,
    /// Which mutation goes under which name, and whether that name was ever sent.
    pub(crate) names: BTreeMap<(ReplicaId, Turn), (Id, bool)>,
    /// What apps were told that nobody knows of.
    pub(crate) unknown: BTreeSet<Id>,
    /// What an app was told the outcome of.
    pub(crate) told: BTreeSet<Id>,
    /// What one life of a replica has not heard the outcome of, since another life has. Its conditions on
    /// what that wrote never hold.
    pub(crate) unheard: BTreeSet<Id>,
    /// What lies on disks that were left to others, who deliver it.
    pub(crate) left: BTreeSet<Id>,
    /// What came back from a disk that did not know of which life its seqs are.
    pub(crate) lifeless: BTreeSet<Id>,
    /// What undoes another one, and is refused where others have come in between.
    pub(crate) undos: BTreeSet<Id>,
    /// What was sent under one name and has another since, and the life that its author had met then.
    pub(crate) renamed: BTreeMap<Id, Option<Epoch>>,
}

impl Oracle {
    pub(crate) fn record(&mut self, ops: Vec<Op>) -> Id {
        self.mutations.push(Mutation { ops: Rc::new(ops), adds: None });
        self.mutations.len() - 1
    }

    pub(crate) fn life(&self, epoch: Epoch) -> Option<&Life> {
        self.lives.iter().rev().find(|life| life.epoch == epoch)
    }

    /// What lies on a disk that has not heard that nobody knows of it can be applied yet.
    pub(crate) fn forget_unknown(&mut self, image: &Image) {
        for entry in image.outbox() {
            self.unknown.remove(&entry.id);
        }
    }

    pub(crate) fn newest(&mut self) -> Option<&mut Life> {
        self.lives.last_mut()
    }

    /// Gives a mutation a name. A name that was ever sent is taken for ever.
    pub(crate) fn name(
        &mut self,
        replica: ReplicaId,
        turn: Turn,
        id: Id,
        met: Option<Epoch>,
    ) -> Check {
        match self.names.get(&(replica, turn)) {
            Some((other, true)) if *other != id => {
                fail("OU1", format!("turn {} of {replica:?} was sent as another", turn.0))
            }
            Some((other, sent)) if *other == id && *sent => Ok(()),
            Some(_) | None => {
                let is_it = |((of, _), (named, sent)): (&(ReplicaId, Turn), &(Id, bool))| {
                    *named == id && *of != replica && *sent
                };
                if self.names.iter().any(is_it) {
                    self.renamed.entry(id).or_insert(met);
                }
                self.names.insert((replica, turn), (id, false));
                Ok(())
            }
        }
    }

    /// Whoever reads a replica's disk gives the turns after the last one there to other mutations.
    pub(crate) fn free_names(&mut self, replica: ReplicaId, last: Turn) {
        self.names.retain(|(of, turn), _| *of != replica || *turn <= last);
    }

    /// Lets the turn of a replica arrive. Tells apart what must not be and what only does not fit.
    pub(crate) fn arrive(
        &mut self,
        replica: ReplicaId,
        turn: Turn,
        seen: Outcome,
        added: Option<Outcome>,
    ) -> Result<Result<(), Outcome>, super::Violation> {
        let Some((id, _)) = self.names.get(&(replica, turn)).copied() else {
            return fail("LE1", format!("nobody made turn {} of {replica:?}", turn.0));
        };
        if self.unknown.contains(&id) {
            return fail("LE6", format!("mutation {id} was told as unknown, and is applied"));
        }
        let ops = Rc::clone(&self.mutations[id].ops);
        let Some(life) = self.lives.last_mut() else {
            return fail("LE1", "settled in no life".into());
        };
        if let Some(wanted) = added {
            if wanted != seen {
                return Ok(Err(wanted));
            }
            life.arrived.push(id);
        } else if let Err(wanted) = life.arrive(id, &ops, seen) {
            let mut ops = without(&ops, &self.unheard);
            if self.lifeless.contains(&id) {
                without_seqs(&mut ops);
            }
            if life.arrive(id, &ops, seen).is_err() {
                ops = never(&ops);
                if !self.undos.contains(&id) || life.arrive(id, &ops, seen).is_err() {
                    return Ok(Err(wanted));
                }
            }
            life.bent.insert(id, Rc::new(ops));
        }
        // [LE5] A copy does not know by its new name what was renamed in a third life.
        let is_strange = life.copied.contains(&id)
            && self.renamed.get(&id).is_some_and(|met| *met != Some(life.epoch));
        let before = life.outcomes.insert(id, seen);
        if let Some(before) = before.filter(|_| !is_strange) {
            return fail("LE2", format!("mutation {id} took effect twice: {before:?}, {seen:?}"));
        }
        life.ledger.entry(replica).or_default().push(seen);
        Ok(Ok(()))
    }
}
