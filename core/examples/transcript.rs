//! Prints what the machines do natively with a script that a seed decides, as JSON: every input of a replica
//! with what came out of it, and every mutation of an authority with its outcome. A test of the package runs
//! the same through the wasm builds and compares: `cargo run -p neap-core --example transcript -- SEED`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    unreachable_pub
)]

use neap_core::{
    authority::{Admission, Authority, Moment, Output, Settings},
    datastore::{Kind, Options},
    id::{Epoch, ReplicaId, Seq},
    mutation::{Condition, Op, Outcome},
    replica::{OpKind, Phase, Replica},
    storage::MemoryStorage,
};
use serde_json::{Value, json};

#[allow(dead_code)]
#[path = "../tests/it/sim/random.rs"]
mod random;

use random::Random;

const NOW: u64 = 1_700_000_000_000;
const MOMENT: Moment = Moment { now: NOW, dice: Epoch([7; 8]) };
const KEYS: [&str; 6] = ["a", "b", "longer-key", "q\"", "z", "é"];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An op: its kind, key, data and condition, as numbers and texts.
struct Step {
    kind: u8,
    key: &'static str,
    data: String,
    condition: u8,
    seq: u64,
}

impl Step {
    fn new(random: &mut Random) -> Step {
        let key = random.pick(&KEYS);
        let id = Value::from(key);
        let n = random.next() % 1_000;
        let members = [
            format!("{{\"id\":{id},\"n\":{n}}}"),
            format!("{{\"id\":{id},\"f\":{n}.5e-3,\"o\":{{\"x\":null,\"é\":[1,2]}}}}"),
            format!("{{\"o\":{{\"x\":{n},\"y\":null}},\"f\":null}}"),
            format!("{{\"n\":{n},\"s\":\"\\u00e9\\n😀\"}}"),
        ];
        let (kind, data) = match random.below(10) {
            0..4 => (0, members[random.below(2)].clone()),
            4..8 => (1, members[2 + random.below(2)].clone()),
            _ => (2, String::new()),
        };
        let condition = if random.once_in(3) { 1 + random.below(3) as u8 } else { 0 };
        let seq = if condition == 1 { 1 + random.next() % 40 } else { 0 };
        Step { kind, key, data, condition, seq }
    }

    fn only_if(&self) -> Condition {
        match self.condition {
            0 => Condition::None,
            1 => Condition::Seq(Seq(self.seq)),
            2 => Condition::Absent,
            _ => Condition::Present,
        }
    }

    fn op(&self) -> Op<'_> {
        let (collection, key, data, only_if) = ("c", self.key, &*self.data, self.only_if());
        match self.kind {
            0 => Op::Set { collection, key, data, only_if },
            1 => Op::Patch { collection, key, data, only_if },
            _ => Op::Delete { collection, key, only_if },
        }
    }

    /// As an op over HTTP. Data is text, and must come as it is.
    fn to_json(&self) -> String {
        let (key, data) = (Value::from(self.key), &self.data);
        let op = match self.kind {
            0 => format!(r#""set","data":{data}"#),
            1 => format!(r#""patch","key":{key},"data":{data}"#),
            _ => format!(r#""delete","key":{key}"#),
        };
        let condition = match self.condition {
            0 => String::new(),
            1 => format!(r#","if":{{"seq":{}}}"#, self.seq),
            2 => r#","if":{"absent":true}"#.into(),
            _ => r#","if":{"present":true}"#.into(),
        };
        format!(r#"{{"collection":"c","op":{op}{condition}}}"#)
    }
}

/// Replicas around an authority; what the first takes and gives is written down.
struct World {
    authority: Authority<MemoryStorage>,
    replicas: Vec<Replica>,
    sessions: Vec<Option<u64>>,
    last: u64,
    tape: Vec<Value>,
}

impl World {
    fn take(&mut self, at: usize, said: Value, input: impl FnOnce(&mut Replica) -> Value) {
        let replica = &mut self.replicas[at];
        let gave = input(replica);
        while replica.take_changes().is_some() {}
        while replica.take_events().is_some() {}
        let mut blocks = Vec::new();
        while let Some((_, last, block)) = replica.take_block() {
            blocks.push(hex(&block));
            replica.durable(last);
        }
        let _ = replica.take_journal();
        replica.info_saved();
        replica.saved(replica.settled());
        let mut frames = Vec::new();
        while let Some(frame) = replica.take_frame() {
            frames.push(frame);
        }
        if at == 0 {
            let shown: Vec<_> = KEYS.iter().map(|key| replica.get("c", key)).collect();
            self.tape.push(json!({
                "do": said, "gave": gave, "blocks": blocks,
                "frames": frames.iter().map(|frame| hex(frame)).collect::<Vec<_>>(),
                "shown": shown, "digest": replica.digest().to_hex(), "seq": replica.seq().0,
                "pending": replica.pending(), "account": hex(&replica.account()),
            }));
        }
        let Some(session) = self.sessions[at] else { return };
        for frame in frames {
            self.authority.receive(session, &frame, MOMENT).unwrap();
        }
    }

    fn commit(&mut self) -> bool {
        let outputs = self.authority.commit().unwrap();
        let is_busy = !outputs.is_empty();
        for output in outputs {
            let Output::Send { to, frame } = output else { continue };
            for at in 0..self.replicas.len() {
                if self.sessions[at].is_some_and(|session| to.contains(&session)) {
                    let said = json!(["received", hex(&frame), NOW]);
                    self.take(at, said, |one| json!(u8::from(one.received(&frame, NOW).is_err())));
                }
            }
        }
        is_busy
    }

    fn edit(&mut self, at: usize, step: &Step) {
        let kind = [OpKind::Set, OpKind::Patch, OpKind::Delete][usize::from(step.kind)];
        let said = json!(["mutate", step.kind, "c", step.key, step.data, step.condition, step.seq]);
        self.take(at, said, |one| {
            let turn = one.mutate(kind, "c", step.key, &step.data, step.only_if());
            json!(turn.unwrap().0)
        });
    }

    fn turn_connection(&mut self, at: usize) {
        if let Some(session) = self.sessions[at].take() {
            self.authority.disconnect(session, NOW);
            self.take(at, json!(["closed", 1006]), |one| {
                one.closed(1006);
                Value::Null
            });
            return;
        }
        self.last += 1;
        self.sessions[at] = Some(self.last);
        self.authority.connect(self.last, Admission::OPEN, NOW);
        self.take(at, json!(["connected", NOW]), |one| {
            one.connected(NOW);
            Value::Null
        });
    }
}

fn empty() -> Authority<MemoryStorage> {
    Authority::load(MemoryStorage::new(), Settings::default()).unwrap()
}

fn replica_script(random: &mut Random) -> Value {
    let options = Options { kind: Some(Kind::Permanent), ..Options::default() };
    let replica = |name: u8| {
        Replica::new(ReplicaId([name; 16]), ReplicaId([name + 100; 16]), 7, options.clone())
    };
    let replicas: Vec<_> = (1..=3).map(replica).collect();
    let mut world =
        World { authority: empty(), replicas, sessions: vec![None; 3], last: 0, tape: Vec::new() };
    for _ in 0..400 {
        let at = random.below(3);
        match random.below(12) {
            0 => world.turn_connection(at),
            1..4 => drop(world.commit()),
            _ => world.edit(at, &Step::new(random)),
        }
    }
    for at in 0..3 {
        if world.sessions[at].is_none() {
            world.turn_connection(at);
        }
    }
    while world.commit() {}
    assert!(world.replicas.iter().all(|one| one.phase() == Phase::Live && one.pending() == 0));
    Value::from(world.tape)
}

fn authority_script(random: &mut Random) -> Value {
    let mut authority = empty();
    let options = Options { kind: Some(Kind::Permanent), ..Options::default() };
    authority.open(&options, MOMENT).unwrap();
    let mut mutations = Vec::new();
    for _ in 0..200 {
        let steps: Vec<_> = (0..=random.below(3)).map(|_| Step::new(random)).collect();
        let ops: Vec<_> = steps.iter().map(Step::op).collect();
        let outcome = match authority.mutate(&ops, MOMENT).unwrap().unwrap().unwrap() {
            Outcome::Accepted(seq) | Outcome::Added(seq) => json!(seq.0),
            Outcome::Unchanged => Value::Null,
            Outcome::Refused(refusal) => json!(refusal.reason.code()),
        };
        let ops: Vec<_> = steps.iter().map(Step::to_json).collect();
        let body = format!("{{\"ops\":[{}]}}", ops.join(","));
        mutations.push(json!({ "body": body, "outcome": outcome }));
    }
    let meta = authority.meta().unwrap();
    json!({ "mutations": mutations, "digest": meta.totals.digest.to_hex(), "seq": meta.head.0 })
}

fn main() {
    let seed = std::env::args().nth(1).and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut random = Random::new(seed);
    let replica = replica_script(&mut random);
    let authority = authority_script(&mut random);
    println!("{}", json!({ "replica": replica, "authority": authority }));
}
