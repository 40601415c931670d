//! Requests under an `Idempotency-Key`, made by callers that may not hear the answer and ask again.

use std::rc::Rc;

use neap_core::{
    authority::{Authority, Moment, Trouble},
    limits::IDEMPOTENCY_MS,
    mutation::Outcome,
};
use neap_http::{Answer, Buckets, Head, Pass, Request, Settings, Todo};

use super::{
    Check, fail,
    history::Said,
    naive::{Act, Cond, Id, Json, Op},
    oracle::{Order, names_of},
    relay::Input,
    storage::{Broken, Disk},
    world::{World, trace},
};

/// A request as it is made. A repeat is the same again, or has another body.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Its place among all that callers have to say.
    which: usize,
    key: String,
    ops: Rc<Vec<Op>>,
    body: String,
}

/// What callers have to say.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    all: Vec<Asked>,
    /// How often the relay has been restarted.
    pub(crate) restarts: u64,
}

#[derive(Debug)]
struct Asked {
    call: Call,
    /// The mutation that it is, until it has been decided.
    id: Option<Id>,
    /// Whether it has been sent and its caller waits in vain, as far as anybody knows.
    is_unanswered: bool,
}

/// An answer that was given first under a key.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    body: String,
    at: u64,
    restarts: u64,
    /// Whether an import has brought it.
    pub(crate) is_copied: bool,
    status: u16,
    answer: Vec<u8>,
}

/// What a request was answered in a group.
#[derive(Debug)]
pub(crate) struct Answered {
    call: Call,
    is_alive: bool,
    status: u16,
    answer: Vec<u8>,
}

impl Answered {
    pub(crate) fn of(call: &Call, is_alive: bool, answer: &Answer) -> Answered {
        let (status, answer) = (answer.status(), answer.body().to_vec());
        Answered { call: call.clone(), is_alive, status, answer }
    }

    fn code(&self) -> Option<String> {
        let answer: serde_json::Value = serde_json::from_slice(&self.answer).ok()?;
        Some(answer.get("code")?.as_str()?.into())
    }

    /// Whether it says this outcome.
    fn says(&self, outcome: Outcome) -> bool {
        let answer: Option<serde_json::Value> = serde_json::from_slice(&self.answer).ok();
        let seq = answer.as_ref().and_then(|answer| answer.get("seq"));
        match outcome {
            Outcome::Accepted(at) => {
                self.status == 200 && seq.and_then(serde_json::Value::as_u64) == Some(at.0)
            }
            Outcome::Unchanged => self.status == 200 && seq == Some(&serde_json::Value::Null),
            // What is asked for here adds to no pool.
            Outcome::Added(_) => false,
            Outcome::Refused(refusal) => {
                self.status == 409 && self.code().as_deref() == Some(refusal.reason.code())
            }
        }
    }
}

impl Call {
    /// Makes it, as a relay's shell does.
    pub(crate) fn make(
        &self,
        authority: &mut Authority<Disk>,
        moment: Moment,
    ) -> Result<Answer, Trouble<Broken>> {
        let header = |name| Ok::<_, ()>((name == "Idempotency-Key").then(|| self.key.clone()));
        let Ok(head) = Head::read("POST", "/v1/datastores/a/mutations", header) else {
            return Ok(Answer::internal());
        };
        let admission = neap_core::authority::Admission::OPEN;
        let pass = Pass { id: "a".into(), admission, payer: 0 };
        let body = self.body.clone().into_bytes();
        let request = Request { head, pass, body, now: moment.now };
        let settings = Settings::read(|_| None, |_| {});
        match neap_http::answer(&settings, &mut Buckets::default(), request) {
            Todo::Write(mut write) => write(authority, moment),
            Todo::Answer(answer) => Ok(answer),
            _ => Ok(Answer::internal()),
        }
    }
}

impl World {
    /// Somebody asks for a mutation under a key, or asks again.
    pub(super) fn call(&mut self) -> Check {
        let count = self.calls.all.len();
        if count > 0 && !self.random.once_in(3) {
            let which = count - 1 - self.random.below(count.min(4));
            return self.repeat(which);
        }
        let id = self.mint_request();
        let ops = Rc::clone(&self.oracle.mutations[id].ops);
        let body = body_of(&ops);
        let call = Call { which: count, key: format!("key-{count}"), ops, body };
        self.calls.all.push(Asked { call: call.clone(), id: Some(id), is_unanswered: true });
        trace!(self, "caller: asks for mutation {id} under {}", call.key);
        self.relay.queue.push(Input::Call(call));
        Ok(())
    }

    fn repeat(&mut self, which: usize) -> Check {
        let Asked { call, is_unanswered, .. } = &mut self.calls.all[which];
        let mut call = call.clone();
        let was_lost = std::mem::replace(is_unanswered, true);
        if self.random.once_in(6) {
            self.unique += 1;
            call.body =
                call.body.replacen("{\"ops\"", &format!("{{ \"n\":{},\"ops\"", self.unique), 1);
        }
        let is_queued = |input: &Input| matches!(input, Input::Call(other) if other.which == which);
        if was_lost && !self.relay.queue.iter().any(is_queued) {
            self.see("repeated after a lost answer");
        }
        trace!(self, "caller: repeats {}", call.key);
        self.relay.queue.push(Input::Call(call));
        Ok(())
    }

    /// More than a day passes, after which nobody knows an answer.
    pub(super) fn pass_a_day(&mut self) -> Check {
        self.now += IDEMPOTENCY_MS + 1 - self.random.below(2) as u64;
        self.tick_all()
    }

    /// A group's answers have reached their callers.
    pub(super) fn note_answers(&mut self, inputs: &[Input]) {
        for input in inputs {
            if let Input::Call(call) = input {
                self.calls.all[call.which].is_unanswered = false;
            }
        }
    }

    /// An answer is that of the first request under the key, or of the order.
    pub(super) fn take_answer(&mut self, said: &Answered) -> Check {
        let key = &said.call.key;
        if !said.is_alive {
            let is_right = said.status == 404;
            return if is_right { Ok(()) } else { fail("EX1", format!("{key}: {}", said.status)) };
        }
        let (now, restarts) = (self.now, self.calls.restarts);
        let is_elsewhere =
            self.oracle.lives.iter().rev().skip(1).any(|life| life.answers.contains_key(key));
        let Some(life) = self.oracle.newest() else { return Ok(()) };
        let before = life.answers.get(key).cloned();
        if let Some(kept) = before.as_ref().filter(|kept| now <= kept.at + IDEMPOTENCY_MS) {
            return self.check_repeat(said, kept);
        }
        let id = self.id_of(said.call.which);
        let Some(life) = self.oracle.newest() else { return Ok(()) };
        let order = Order { epoch: life.epoch, head: life.head(), records_max: life.records_max };
        let (outcome, ..) = order.verdict(life.now(), id, &said.call.ops);
        if !said.says(outcome) {
            let answer = String::from_utf8_lossy(&said.answer);
            return fail("ON3", format!("{key} is {} {answer}, must be {outcome:?}", said.status));
        }
        let (body, status, answer) = (said.call.body.clone(), said.status, said.answer.clone());
        life.answers.insert(
            key.clone(),
            Kept { body, at: now, restarts, is_copied: false, status, answer },
        );
        if before.is_some() {
            self.see("answer forgotten");
        } else if is_elsewhere {
            self.see("answer of another life");
        }
        self.take_request(id, outcome)
    }

    fn check_repeat(&mut self, said: &Answered, kept: &Kept) -> Check {
        let Answered { call, status, answer, .. } = said;
        if kept.body != call.body {
            if (*status, said.code().as_deref()) != (422, Some("idempotency-mismatch")) {
                return fail("ON2", format!("{} has another body and is {status}", call.key));
            }
            self.see("another body under the key");
            return Ok(());
        }
        if (*status, answer) != (kept.status, &kept.answer) {
            let texts = [answer, &kept.answer].map(|text| String::from_utf8_lossy(text));
            return fail("ON1", format!("{} is {status} {texts:?}, was {}", call.key, kept.status));
        }
        self.see("request repeated");
        if kept.is_copied {
            self.see("answer of an import");
        }
        if kept.restarts < self.calls.restarts {
            self.see("repeated after a restart");
        }
        Ok(())
    }

    /// The mutation that a request is: another one each time that it is decided.
    fn id_of(&mut self, which: usize) -> Id {
        if let Some(id) = self.calls.all[which].id.take() {
            return id;
        }
        let ops = (*self.calls.all[which].call.ops).clone();
        let id = self.oracle.record(ops);
        self.said.push(Said::Invoked(id));
        id
    }
}

/// The body of a request for a mutation.
fn body_of(ops: &[Op]) -> String {
    let steps: Vec<String> = ops.iter().map(step_of).collect();
    format!("{{\"ops\":[{}]}}", steps.join(","))
}

fn step_of(op: &Op) -> String {
    let (collection, key) = names_of(op.place);
    let key = Json::Text(key).text();
    let (verb, data) = match &op.act {
        Act::Set(json) => ("set", format!(",\"data\":{}", json.text())),
        Act::Patch(json) => ("patch", format!(",\"data\":{}", json.text())),
        Act::Delete => ("delete", String::new()),
    };
    let only_if = match op.cond {
        Cond::None => String::new(),
        Cond::Absent => ",\"if\":{\"absent\":true}".into(),
        Cond::Present => ",\"if\":{\"present\":true}".into(),
        Cond::At(seq) | Cond::Seq(seq, _) => format!(",\"if\":{{\"seq\":{seq}}}"),
        Cond::By(_) | Cond::Pending(_) | Cond::Never => ",\"if\":{\"seq\":0}".into(),
    };
    format!("{{\"op\":\"{verb}\",\"collection\":\"{collection}\",\"key\":{key}{data}{only_if}}}")
}
