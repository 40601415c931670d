//! What an app does with its replica.

use std::rc::Rc;

use neap_core::{
    id::{Seq, Turn},
    mutation::{Condition, Op as Real},
    replica::OpKind,
};

use super::{
    Check,
    disk::Entry,
    fail,
    history::Said,
    naive::{
        Act, COLLECTIONS, Cond, Draft, Id, KEYS, Op, Place, State, any_patch, any_record, resolve,
    },
    oracle::names_of,
    world::{World, trace},
};

/// An op for the authority, which owns its texts.
pub(crate) struct RealOp {
    place: Place,
    data: Option<(OpKind, String)>,
    only_if: Condition,
}

impl RealOp {
    pub(crate) fn borrow(&self) -> Real<'_> {
        let (collection, key) = names_of(self.place);
        let only_if = self.only_if;
        match &self.data {
            Some((OpKind::Patch, data)) => Real::Patch { collection, key, data, only_if },
            Some((_, data)) => Real::Set { collection, key, data, only_if },
            None => Real::Delete { collection, key, only_if },
        }
    }
}

/// The ops of a request, which has no turns to speak of.
pub(crate) fn real_ops(ops: &[Op]) -> Vec<RealOp> {
    let real = |op: &Op| RealOp {
        place: op.place,
        data: match &op.act {
            Act::Set(json) => Some((OpKind::Set, json.text())),
            Act::Patch(json) => Some((OpKind::Patch, json.text())),
            Act::Delete => None,
        },
        only_if: match op.cond {
            Cond::None => Condition::None,
            Cond::Absent => Condition::Absent,
            Cond::Present => Condition::Present,
            Cond::At(seq) | Cond::Seq(seq, _) => Condition::Seq(Seq(seq)),
            Cond::By(_) | Cond::Pending(_) | Cond::Never => Condition::Seq(Seq::ZERO),
        },
    };
    ops.iter().map(real).collect()
}

/// What the newest pending mutation with an effect on each key is.
pub(crate) type Newest = std::collections::BTreeMap<Place, Id>;

impl World {
    /// What a replica's confirmed records must be.
    pub(crate) fn confirmed_of(&self, place: usize) -> Result<&State, super::Violation> {
        let client = &self.clients[place];
        let seq = client.replica.seq().0;
        let Some(epoch) = client.records else {
            return if seq == 0 { Ok(&self.empty) } else { fail("RE1", "seq of no life".into()) };
        };
        let Some(life) = self.oracle.life(epoch) else {
            return fail("ST1", "a replica knows a life that was never stored".into());
        };
        match life.states.get(usize::try_from(seq).unwrap_or(usize::MAX)) {
            Some(state) => Ok(state),
            None => fail("ST1", format!("a replica is at {seq}, the head is {}", life.head())),
        }
    }

    /// What a replica's view must be.
    pub(crate) fn view_of(&self, place: usize, confirmed: &State) -> (State, Newest) {
        self.view_before(place, confirmed, u64::MAX)
    }

    /// What a replica's view must be beneath what stands at an ordinal or after it.
    pub(super) fn view_before(&self, place: usize, confirmed: &State, end: u64) -> (State, Newest) {
        let client = &self.clients[place];
        let epoch = client.replica.epoch();
        let mut view = confirmed.clone();
        let mut newest = Newest::new();
        for entry in client.shows().into_iter().take_while(|entry| entry.ordinal < end) {
            let draft = resolve(&view, entry.id, &entry.ops, epoch);
            if draft.refusal.is_some() {
                continue;
            }
            for place in draft.changed() {
                if client.is_own(entry) {
                    newest.insert(place, entry.id);
                } else {
                    newest.remove(&place);
                }
            }
            view = draft.now;
        }
        (view, newest)
    }

    fn any_act(&mut self, place: Place) -> Act {
        self.unique += 1;
        match self.random.below(10) {
            0..5 => Act::Set(any_record(&mut self.random, place, self.unique)),
            5..8 => Act::Patch(any_patch(&mut self.random, place, self.unique)),
            _ => Act::Delete,
        }
    }

    fn any_place(&mut self) -> Place {
        (self.random.below(COLLECTIONS.len()), self.random.below(KEYS.len()))
    }

    /// Makes a mutation that goes over HTTP.
    pub(crate) fn mint_request(&mut self) -> Id {
        let place = self.any_place();
        let act = self.any_act(place);
        let cond = match (self.random.below(4), self.oracle.lives.last()) {
            (0, Some(life)) => {
                Cond::At(life.now().get(&place).and_then(|record| record.seq).unwrap_or(1))
            }
            (1, _) => Cond::Present,
            (2, _) => Cond::Absent,
            _ => Cond::None,
        };
        let id = self.oracle.record(vec![Op { place, act, cond }]);
        self.said.push(Said::Invoked(id));
        id
    }

    /// An app edits.
    pub(crate) fn edit(&mut self, place: usize) -> Check {
        if self.lanes.pools && self.random.once_in(4) {
            return self.add(place);
        }
        if self.random.once_in(20) {
            return self.edit_many(place);
        }
        if self.random.once_in(8) {
            return self.undo(place);
        }
        let confirmed = self.confirmed_of(place)?;
        let (view, newest) = self.view_of(place, confirmed);
        let id = self.oracle.mutations.len();
        let epoch = self.clients[place].replica.epoch();
        let records = self.clients[place].records;
        let is_stale = records.is_some() && records != epoch;
        let several = self.random.once_in(3);
        let count = if several { 1 + self.random.below(4) } else { 1 };
        let mut draft = Draft::new(&view, id, epoch);
        let mut ops = Vec::new();
        self.clients[place].replica.begin();
        for _ in 0..count {
            let at = self.any_place();
            let act = self.any_act(at);
            let wanted = match self.any_condition(&view, at) {
                // Nobody can know a seq of a datastore that he has never met.
                Condition::Seq(_) if records.is_none() => Condition::Seq(Seq::ZERO),
                wanted => wanted,
            };
            let cond = match wanted {
                Condition::Seq(_) if draft.touched.contains(&at) => Cond::By(id),
                wanted => self.meant(place, wanted, newest.get(&at)),
            };
            if matches!(cond, Cond::By(writer) if writer != id) {
                self.report.sights.see("condition on an own pending turn");
            }
            let op = Op { place: at, act, cond };
            self.say(place, &op, wanted)?;
            draft.step(&op);
            ops.push(op);
            self.check_draft(place, &draft)?;
        }
        if self.random.once_in(15) {
            self.clients[place].replica.abort();
            return self.check_client(place);
        }
        if is_stale {
            self.report.sights.see("edit on stale records");
        }
        let refused = draft.refusal.is_some();
        let Ok(turn) = self.clients[place].replica.commit() else {
            return fail("MU8", "a sound mutation was not taken".into());
        };
        trace!(self, "replica {place}: turn {} = mutation {id}: {ops:?}", turn.0);
        self.enqueue(place, turn, ops, refused)?;
        self.drain(place)
    }

    /// What a condition means, where `writer` is the newest own pending mutation with an effect on the key.
    pub(super) fn meant(&self, place: usize, wanted: Condition, writer: Option<&Id>) -> Cond {
        let client = &self.clients[place];
        match (wanted, writer) {
            (Condition::None | Condition::Mine(_), _) => Cond::None,
            (Condition::Absent, _) => Cond::Absent,
            (Condition::Present, _) => Cond::Present,
            (Condition::Seq(_), Some(writer)) => Cond::By(*writer),
            (Condition::Seq(seq), None) => {
                let here = client.records.filter(|_| client.records == client.replica.epoch());
                here.map_or(Cond::Never, |epoch| Cond::Seq(seq.0, epoch))
            }
        }
    }

    /// Adds an op to the real mutation.
    pub(super) fn say(&mut self, place: usize, op: &Op, only_if: Condition) -> Check {
        let (collection, key) = names_of(op.place);
        let (kind, data) = match &op.act {
            Act::Set(json) => (OpKind::Set, json.text()),
            Act::Patch(json) => (OpKind::Patch, json.text()),
            Act::Delete => (OpKind::Delete, String::new()),
        };
        match self.clients[place].replica.op(kind, collection, key, &data, only_if) {
            Ok(()) => Ok(()),
            Err(malformed) => fail("MU8", format!("a sound op was not taken: {malformed:?}")),
        }
    }

    fn check_draft(&self, place: usize, draft: &Draft<'_>) -> Check {
        if draft.refusal.is_some() {
            return Ok(());
        }
        for at in &draft.touched {
            let (collection, key) = names_of(*at);
            let shown = self.clients[place].replica.draft_get(collection, key);
            if shown != draft.now.get(at).map(|record| &*record.text) {
                return fail("RE6", format!("a transaction sees {shown:?}"));
            }
        }
        Ok(())
    }

    fn any_condition(&mut self, view: &State, place: Place) -> Condition {
        match self.random.below(10) {
            0 => Condition::Absent,
            1 => Condition::Present,
            2..5 => {
                let shown = view.get(&place).and_then(|record| record.seq);
                let right = shown.unwrap_or(1 + self.random.next() % 20);
                Condition::Seq(Seq(if self.random.once_in(6) { right + 1 } else { right }))
            }
            _ => Condition::None,
        }
    }

    fn edit_many(&mut self, place: usize) -> Check {
        let collection = self.random.below(COLLECTIONS.len());
        let mut texts = Vec::new();
        let mut all = Vec::new();
        for _ in 0..=self.random.below(4) {
            let at = (collection, self.random.below(KEYS.len()));
            self.unique += 1;
            let json = any_record(&mut self.random, at, self.unique);
            texts.push(json.text());
            all.push(Op { place: at, act: Act::Set(json), cond: Cond::None });
        }
        let replica = &mut self.clients[place].replica;
        let before = replica.minted();
        let list = format!("[{}]", texts.join(","));
        if replica.set_many(COLLECTIONS[collection], &list).is_err() {
            return fail("MU8", "sound records were not taken".into());
        }
        for (op, text) in all.into_iter().zip(texts) {
            // The caller shows them.
            if self.clients[place].watched[collection] {
                self.clients[place].mirror.insert(op.place, text);
            }
            let turn = Turn(before.0 + 1 + self.minted_since(place, before));
            self.enqueue(place, turn, vec![op], false)?;
        }
        self.drain(place)
    }

    fn minted_since(&self, place: usize, before: Turn) -> u64 {
        let client = &self.clients[place];
        let settled = client.replica.settled();
        settled.0 + client.pending.len() as u64 - before.0
    }

    pub(super) fn enqueue(
        &mut self,
        place: usize,
        turn: Turn,
        ops: Vec<Op>,
        refused: bool,
    ) -> Check {
        let id = self.oracle.record(ops);
        self.said.push(Said::Invoked(id));
        let ops = Rc::clone(&self.oracle.mutations[id].ops);
        let (view, _) = self.view_of(place, self.confirmed_of(place)?);
        let entry = self.clients[place].entry_of(id, ops);
        self.sees(place, &view, &entry);
        let client = &mut self.clients[place];
        client.pending.push_back(entry);
        if refused {
            client.doomed.insert(id);
        }
        self.name_pending(place, turn, id)
    }

    /// Gives a mutation its name.
    pub(crate) fn name_pending(&mut self, place: usize, turn: Turn, id: Id) -> Check {
        let client = &self.clients[place];
        // Whoever reads the forsaken disk gives these turns to other mutations.
        if client.ceiling.is_some_and(|ceiling| turn > ceiling) {
            return Ok(());
        }
        self.oracle.name(client.id, turn, id, client.replica.epoch())
    }

    /// Whether what shows under an item's identity is an addition of a sibling without an outcome.
    pub(crate) fn is_a_siblings(&self, place: usize, pool: usize, ident: &str) -> bool {
        let client = &self.clients[place];
        let adds = |entry: &&Entry| {
            self.added_by(entry).is_some_and(|addition| {
                addition.pool == pool && addition.items.iter().any(|item| item.ident == ident)
            })
        };
        let newest = client.shows().into_iter().rev().find(adds);
        newest.is_some_and(|entry| !client.is_own(entry))
    }
}
