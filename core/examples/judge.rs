//! Holds a history that real replicas and a real relay have made against the simulator's naive order:
//! `… | cargo run --release -p neap-core --example judge`. The torture test of the package feeds it.
//!
//! It reads `{"moments": [[mark, "made" | "told"], …], "mutations": {mark: …}, "records": [[collection, key, seq, data], …]}`
//! and ends with an error unless every accepted mutation could be accepted where it stands, all of them together make the
//! records, every refusal was possible between its making and the end, and whoever was answered before another was made
//! stands before it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::{
    collections::BTreeMap,
    io::{Read, stdin},
    process::ExitCode,
    rc::Rc,
};

use neap_core::mutation::Reason;
use serde_json::Value;

#[allow(dead_code)]
#[path = "../tests/it/sim/naive.rs"]
mod naive;
#[allow(dead_code)]
#[path = "../tests/it/sim/random.rs"]
mod random;

use naive::{Act, Cond, Json, Op, Place, Record, State, resolve};

/// Collections and keys of the history, by their places among the simulator's.
const COLLECTIONS: [&str; 2] = ["red", "green"];
const KEYS: [&str; 4] = ["k0", "k1", "k2", "k3"];

/// What an app made.
struct Mutation {
    /// Whose it is: the replica's tag, and the author's name, who may go on under another id with what is pending.
    by: String,
    author: String,
    op: Option<Op>,
    /// The seq of `ifSeq`, which means the replica's own newest write where that was pending.
    if_seq: Option<u64>,
    seq: Option<u64>,
    refused: Option<Reason>,
    /// The seq that its replica held when it was made.
    from: u64,
}

fn text(value: &Value) -> &'static str {
    // A history is read once.
    Box::leak(value.as_str().unwrap_or_default().to_owned().into_boxed_str())
}

fn json(value: &Value) -> Json {
    match value {
        Value::Number(number) => Json::Number(number.as_u64().unwrap_or_default()),
        Value::String(_) => Json::Text(text(value)),
        Value::Object(members) => {
            let member =
                |(name, value): (&String, &Value)| (text(&name.as_str().into()), json(value));
            Json::Object(members.iter().map(member).collect())
        }
        Value::Null | Value::Bool(_) | Value::Array(_) => Json::Null,
    }
}

fn place(collection: &Value, key: &Value) -> Option<Place> {
    let collection = COLLECTIONS.iter().position(|name| collection == name)?;
    Some((collection, KEYS.iter().position(|name| key == name)?))
}

fn mutation(mark: &str, told: &Value) -> Mutation {
    let condition = &told["condition"];
    let if_seq = condition["ifSeq"].as_u64();
    let cond = match (&condition["ifAbsent"], &condition["ifPresent"], if_seq) {
        (Value::Bool(true), _, _) => Cond::Absent,
        (_, Value::Bool(true), _) => Cond::Present,
        (_, _, Some(seq)) => Cond::At(seq),
        _ => Cond::None,
    };
    let act = match told["kind"].as_str() {
        Some("set") => Some(Act::Set(json(&told["data"]))),
        Some("patch") => Some(Act::Patch(json(&told["data"]))),
        Some("delete") => Some(Act::Delete),
        _ => None,
    };
    let op = act.zip(place(&told["collection"], &told["key"])).map(|(act, place)| Op {
        place,
        act,
        cond,
    });
    let by = told["by"].as_str().unwrap_or_default().to_owned();
    let refused = told["refused"].as_str().and_then(Reason::from_code);
    let seq = told["seq"].as_u64();
    let author = mark.split('-').nth(1).unwrap_or_default().to_owned();
    Mutation { by, author, op, if_seq, seq, refused, from: told["from"].as_u64().unwrap_or(0) }
}

impl Mutation {
    /// What the order makes of it in a state: the state after it, or why not.
    fn run(&self, id: usize, before: &State, writers: &[&Mutation]) -> Result<State, Reason> {
        let Some(op) = &self.op else { return Ok(before.clone()) };
        let verdict = |op: &Op| {
            let draft = resolve(before, id, std::slice::from_ref(op), None);
            draft.refusal.map_or(Ok(draft.now), |(reason, _)| Err(reason))
        };
        let plain = verdict(op);
        let writer = before.get(&op.place).map(|record| record.writer);
        let is_own = |other: &&Mutation| other.by == self.by || other.author == self.author;
        let own = writer.filter(|writer| writers.get(*writer).is_some_and(is_own));
        match (plain, self.if_seq.and(own)) {
            (Err(Reason::PreconditionFailed), Some(writer)) => {
                verdict(&Op { cond: Cond::By(writer), ..op.clone() })
            }
            (plain, _) => plain,
        }
    }
}

/// Gives each record that was written its seq.
fn numbered(state: State, id: usize, seq: u64) -> State {
    let number = |(place, record): (Place, Rc<Record>)| {
        if record.writer != id || record.seq.is_some() {
            return (place, record);
        }
        let (json, text) = (record.json.clone(), record.text.clone());
        (place, Rc::new(Record { seq: Some(seq), writer: id, json, text }))
    };
    state.into_iter().map(number).collect()
}

fn judge(history: &Value) -> Result<String, String> {
    let told = history["mutations"].as_object().ok_or("no mutations")?;
    let all: BTreeMap<&str, Mutation> =
        told.iter().map(|(mark, told)| (mark.as_str(), mutation(mark, told))).collect();
    let mut order: Vec<(&str, &Mutation)> = all
        .iter()
        .filter(|(_, made)| made.seq.is_some())
        .map(|(mark, made)| (*mark, made))
        .collect();
    order.sort_by_key(|(_, made)| made.seq);
    let writers: Vec<&Mutation> = order.iter().map(|(_, made)| *made).collect();

    let mut states = vec![State::new()];
    for (id, (mark, made)) in order.iter().enumerate() {
        let (now, seq) = (states.last().cloned().unwrap_or_default(), id as u64 + 1);
        if made.seq != Some(seq) {
            return Err(format!("{mark} has seq {:?}, and {seq} is next", made.seq));
        }
        let after = made.run(id, &now, &writers);
        let after =
            after.map_err(|reason| format!("{mark} at {seq} was not to be taken: {reason:?}"))?;
        states.push(numbered(after, id, seq));
    }

    let mut records = BTreeMap::new();
    for record in history["records"].as_array().into_iter().flatten() {
        if let Some(place) = place(&record[0], &record[1]) {
            records.insert(place, (record[2].as_u64(), record[3].clone()));
        }
    }
    let last = states.last().into_iter().flatten();
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let wanted: BTreeMap<_, _> =
        last.map(|(place, record)| (*place, (record.seq, parsed(&record.text)))).collect();
    if wanted != records {
        return Err(format!("the records are {records:?}, and not {wanted:?}"));
    }

    let mut refusals = 0;
    for (mark, made) in &all {
        let Some(reason) = made.refused else { continue };
        refusals += 1;
        let from = usize::try_from(made.from).unwrap_or(usize::MAX);
        let mut later = states.iter().skip(from);
        // A chain on an own pending write also breaks when that is refused: of such no state tells.
        let is_chain = made.if_seq.is_some() && reason == Reason::PreconditionFailed;
        if !is_chain
            && !later.any(|state| made.run(usize::MAX, state, &writers).err() == Some(reason))
        {
            return Err(format!("{mark} was refused as {reason:?}, and there was no cause"));
        }
    }

    let (mut newest, mut moments) = (0, 0);
    let mut before: BTreeMap<&str, u64> = BTreeMap::new();
    for moment in history["moments"].as_array().into_iter().flatten() {
        moments += 1;
        let mark = moment[0].as_str().unwrap_or_default();
        let seq = all.get(mark).and_then(|made| made.seq).unwrap_or(0);
        if moment[1] == "made" {
            before.insert(mark, newest);
        } else if before.get(mark).is_some_and(|answered| seq > 0 && seq < *answered) {
            return Err(format!(
                "{mark} has seq {seq}, and one that was answered before it was made stands behind it"
            ));
        } else {
            newest = newest.max(seq);
        }
    }
    Ok(format!(
        "{} accepted, {refusals} refused, {moments} moments: one order explains them",
        order.len()
    ))
}

fn main() -> ExitCode {
    let mut input = String::new();
    let read = stdin().read_to_string(&mut input).map_err(|error| error.to_string());
    let history =
        read.and_then(|_| serde_json::from_str(&input).map_err(|error| error.to_string()));
    match history.and_then(|history| judge(&history)) {
        Ok(verdict) => println!("{verdict}"),
        Err(violation) => {
            eprintln!("judge: {violation}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
