//! Mutations over ordered maps, written once more and as simply as can be: what the machines do is
//! held against this. It shares no code with them.

use std::{collections::BTreeMap, rc::Rc};

use neap_core::{id::Epoch, mutation::Reason};

use super::random::Random;

pub(crate) const COLLECTIONS: [&str; 2] = ["tasks", "notes"];
/// In the order of their bytes; one has to be escaped in JSON, one is not ASCII.
pub(crate) const KEYS: [&str; 6] = ["a", "b", "longer-key", "q\"", "z", "é"];

/// A collection and a key, by their places in the lists above.
pub(crate) type Place = (usize, usize);
/// Names a mutation for ever, whatever turns it goes under.
pub(crate) type Id = usize;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Number(u64),
    Text(&'static str),
    Object(Vec<(&'static str, Json)>),
}

impl Json {
    pub(crate) fn text(&self) -> String {
        match self {
            Json::Null => "null".into(),
            Json::Number(number) => number.to_string(),
            Json::Text(text) => format!("\"{}\"", text.replace('"', "\\\"")),
            Json::Object(members) => {
                let member = |(name, value): &(&str, Json)| format!("\"{name}\":{}", value.text());
                format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
            }
        }
    }

    /// RFC 7396, section 2, almost word for word.
    fn merge(self, patch: &Json) -> Json {
        let Json::Object(changes) = patch else {
            return patch.clone();
        };
        let mut members = match self {
            Json::Object(members) => members,
            Json::Null | Json::Number(_) | Json::Text(_) => Vec::new(),
        };
        for (name, change) in changes {
            let at = members.iter().position(|(other, _)| other == name);
            match (change, at) {
                (Json::Null, Some(at)) => drop(members.remove(at)),
                (Json::Null, None) => {}
                (change, Some(at)) => members[at].1 = members[at].1.clone().merge(change),
                (change, None) => members.push((name, Json::Null.merge(change))),
            }
        }
        Json::Object(members)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Act {
    Set(Json),
    Patch(Json),
    Delete,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cond {
    None,
    Absent,
    Present,
    /// At this seq of this epoch.
    Seq(u64, Epoch),
    /// At this seq, whatever the epoch: a request does not say.
    At(u64),
    /// Last written by this mutation.
    By(Id),
    /// The same, as long as that has no outcome.
    Pending(Id),
    /// It speaks of a life that is over.
    Never,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Op {
    pub(crate) place: Place,
    pub(crate) act: Act,
    pub(crate) cond: Cond,
}

#[derive(Debug)]
pub(crate) struct Record {
    /// None while its writer is pending.
    pub(crate) seq: Option<u64>,
    pub(crate) writer: Id,
    pub(crate) json: Json,
    pub(crate) text: String,
}

pub(crate) type State = BTreeMap<Place, Rc<Record>>;

/// A mutation on its way through a state.
pub(crate) struct Draft<'a> {
    before: &'a State,
    pub(crate) now: State,
    pub(crate) touched: Vec<Place>,
    pub(crate) refusal: Option<(Reason, u32)>,
    id: Id,
    epoch: Option<Epoch>,
    count: u32,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(before: &'a State, id: Id, epoch: Option<Epoch>) -> Self {
        let now = before.clone();
        Draft { before, now, touched: Vec::new(), refusal: None, id, epoch, count: 0 }
    }

    pub(crate) fn step(&mut self, op: &Op) {
        let at = self.count;
        self.count += 1;
        if self.refusal.is_some() {
            return;
        }
        if let Err(reason) = self.judge(op) {
            self.refusal = Some((reason, at));
        }
    }

    fn judge(&mut self, op: &Op) -> Result<(), Reason> {
        let record = self.now.get(&op.place).cloned();
        let holds = match op.cond {
            Cond::None => true,
            Cond::Absent => record.is_none(),
            Cond::Present => record.is_some(),
            Cond::Seq(seq, epoch) => {
                record.as_ref().is_some_and(|record| record.seq == Some(seq))
                    && self.epoch == Some(epoch)
            }
            Cond::At(seq) => record.as_ref().is_some_and(|record| record.seq == Some(seq)),
            Cond::Pending(id) => {
                record.as_ref().is_some_and(|record| record.writer == id && record.seq.is_none())
            }
            Cond::By(id) => record.as_ref().is_some_and(|record| record.writer == id),
            Cond::Never => false,
        };
        if !holds {
            return Err(Reason::PreconditionFailed);
        }
        let json = match (&op.act, record) {
            (Act::Set(json), _) => json.clone(),
            (Act::Patch(_), None) => return Err(Reason::NotFound),
            (Act::Patch(patch), Some(record)) => {
                let merged = record.json.clone().merge(patch);
                if merged == record.json {
                    return Ok(());
                }
                merged
            }
            (Act::Delete, None) => return Ok(()),
            (Act::Delete, Some(_)) => {
                self.now.remove(&op.place);
                self.touched.push(op.place);
                return Ok(());
            }
        };
        let record = Record { seq: None, writer: self.id, text: json.text(), json };
        self.now.insert(op.place, Rc::new(record));
        self.touched.push(op.place);
        Ok(())
    }

    /// The keys that it changes.
    pub(crate) fn changed(&self) -> Vec<Place> {
        let mut changed = self.touched.clone();
        changed.sort_unstable();
        changed.dedup();
        changed.retain(|place| self.before.contains_key(place) || self.now.contains_key(place));
        changed
    }
}

/// Runs a whole mutation.
pub(crate) fn resolve<'a>(
    before: &'a State,
    id: Id,
    ops: &[Op],
    epoch: Option<Epoch>,
) -> Draft<'a> {
    let mut draft = Draft::new(before, id, epoch);
    for op in ops {
        draft.step(op);
    }
    draft
}

/// A record, with a number in it that no other has.
pub(crate) fn any_record(random: &mut Random, place: Place, unique: u64) -> Json {
    let mut members = vec![("id", Json::Text(KEYS[place.1])), ("n", Json::Number(unique))];
    if random.once_in(2) {
        members.push(("a", Json::Number(random.next() % 3)));
    }
    if random.once_in(3) {
        members.push(("o", any_object(random)));
    }
    Json::Object(members)
}

fn any_object(random: &mut Random) -> Json {
    let x = ("x", Json::Number(random.next() % 3));
    let y = ("y", Json::Text("é\""));
    Json::Object(if random.once_in(2) { vec![x, y] } else { vec![x] })
}

/// A patch, which may change nothing.
pub(crate) fn any_patch(random: &mut Random, place: Place, unique: u64) -> Json {
    let mut members = Vec::new();
    if random.once_in(4) {
        members.push(("id", Json::Text(KEYS[place.1])));
    }
    if !random.once_in(4) {
        members.push(("n", Json::Number(unique)));
    }
    match random.below(5) {
        0 => members.push(("a", Json::Null)),
        1 => members.push(("a", Json::Number(random.next() % 3))),
        2 => members.push(("o", Json::Object(vec![("x", Json::Null)]))),
        3 => members.push(("o", any_object(random))),
        _ => {}
    }
    Json::Object(members)
}
