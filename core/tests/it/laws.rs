//! Laws that hold for all values and mutations, held against models written once more and as simply as
//! can be, over whatever proptest makes up.

use std::{borrow::Cow, collections::BTreeMap, convert::Infallible};

use neap_core::{
    id::{Seq, Turn},
    mutation::{Base, Condition, Found, Op, Reason, Stamp, resolve},
    replica::{OpKind, Replica},
    value::{canonical, merge_patch},
};
use proptest::{collection::vec, prelude::*};
use serde_json::{Map, Value, json};

use super::{
    props::{json, merge, object},
    spec::{NOW, authority, carry, join, replica},
};

/// A number as ECMA-262 prints it (Number::toString): as many digits as the shortest that Rust finds, but
/// of two that are equally near the even one.
fn printed(number: f64) -> String {
    if number == 0.0 {
        return "0".into();
    }
    let sign = if number < 0.0 { "-" } else { "" };
    let shortest = format!("{:e}", number.abs());
    let after_point = shortest.find('.').map_or(0, |dot| shortest.find('e').unwrap_or(0) - dot - 1);
    let nearest = format!("{:.after_point$e}", number.abs());
    let text = if nearest.parse() == Ok(number.abs()) { nearest } else { shortest };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = mantissa.replace('.', "");
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    let count = i32::try_from(digits.len()).unwrap_or(0);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    let at = |place: i32| digits.split_at(usize::try_from(place).unwrap_or(0));
    let body = if (count..=21).contains(&point) {
        format!("{digits}{}", zeros(point - count))
    } else if (1..=21).contains(&point) {
        let (whole, part) = at(point);
        format!("{whole}.{part}")
    } else if (-5..=0).contains(&point) {
        format!("0.{}{digits}", zeros(-point))
    } else {
        let (first, rest) = at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        format!("{first}{dot}{rest}e{:+}", point - 1)
    };
    format!("{sign}{body}")
}

/// RFC 8785 in a few lines.
fn naive_canonical(value: &Value) -> String {
    match value {
        Value::Number(number) => printed(number.as_f64().unwrap_or_default()),
        Value::Array(values) => {
            let values: Vec<_> = values.iter().map(naive_canonical).collect();
            format!("[{}]", values.join(","))
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| name.encode_utf16().collect::<Vec<_>>());
            let member = |(name, value): (&String, &Value)| {
                format!("{}:{}", Value::from(name.as_str()), naive_canonical(value))
            };
            let members: Vec<_> = members.into_iter().map(member).collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value.to_string(),
    }
}

/// The same value in other words: members the other way round, numbers with exponents, texts escaped,
/// white space between tokens.
fn in_other_words(value: &Value) -> String {
    let text = |text: &str| {
        let units = text.encode_utf16().map(|unit| format!("\\u{unit:04X}"));
        format!("\"{}\"", units.collect::<String>())
    };
    match value {
        Value::Number(number) => format!("{:e}", number.as_f64().unwrap_or_default()),
        Value::String(string) => text(string),
        Value::Array(values) => {
            let values: Vec<_> = values.iter().map(in_other_words).collect();
            format!("[ {} ]", values.join(" ,\n"))
        }
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                format!("{} : {}", text(name), in_other_words(value))
            };
            let members: Vec<_> = members.iter().rev().map(member).collect();
            format!("{{\t{}\r}}", members.join(","))
        }
        Value::Null | Value::Bool(_) => value.to_string(),
    }
}

const KEYS: [&str; 3] = ["a", "b", "c"];

/// What an op does, to be asked of any key.
#[derive(Clone, Debug)]
enum Act {
    Set(Value),
    Patch(Value),
    Delete,
}

#[derive(Clone, Debug)]
struct Step {
    key: &'static str,
    act: Act,
    only_if: Condition,
}

impl Step {
    fn data(&self) -> String {
        match &self.act {
            Act::Set(data) | Act::Patch(data) => data.to_string(),
            Act::Delete => String::new(),
        }
    }

    fn op<'a>(&'a self, data: &'a str) -> Op<'a> {
        let (collection, key, only_if) = ("c", self.key, self.only_if);
        match self.act {
            Act::Set(_) => Op::Set { collection, key, data, only_if },
            Act::Patch(_) => Op::Patch { collection, key, data, only_if },
            Act::Delete => Op::Delete { collection, key, only_if },
        }
    }

    fn kind(&self) -> OpKind {
        match self.act {
            Act::Set(_) => OpKind::Set,
            Act::Patch(_) => OpKind::Patch,
            Act::Delete => OpKind::Delete,
        }
    }
}

/// Steps whose conditions often hold: records of these keys have been written at seqs up to three.
fn step(conditions: bool) -> impl Strategy<Value = Step> {
    let member = prop_oneof![
        Just(Value::Null),
        (0..3_i32).prop_map(Value::from),
        Just(json!({ "x": null, "y": 1 })),
    ];
    let members = vec((proptest::sample::select(vec!["n", "o"]), member), 0..3);
    let seqs = if conditions { 4 } else { 0 };
    let acts = (0..3_usize, 0..5_usize, members, 0..5_u64 + seqs);
    acts.prop_map(|(key, act, members, cond)| {
        let key = KEYS[key];
        let mut data: Map<String, Value> = Map::from_iter([("id".into(), key.into())]);
        data.extend(members.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let act = match act {
            0 | 1 => Act::Set(Value::Object(data)),
            2 | 3 => Act::Patch(Value::Object(data)),
            _ => Act::Delete,
        };
        let only_if = match cond {
            0 => Condition::Absent,
            1 => Condition::Present,
            2..5 => Condition::None,
            seq => Condition::Seq(Seq(seq - 5)),
        };
        Step { key, act, only_if }
    })
}

/// Records by their keys, with the seq of the last write; none while that is pending.
type Records = BTreeMap<&'static str, (Option<u64>, Value)>;

/// What a mutation makes of records, or why not.
fn naive_resolve(before: &Records, steps: &[Step]) -> Result<Records, (Reason, u32)> {
    let mut now = before.clone();
    for (at, step) in (0..).zip(steps) {
        let record = now.get(step.key).cloned();
        let holds = match step.only_if {
            Condition::None => true,
            Condition::Absent => record.is_none(),
            Condition::Present => record.is_some(),
            Condition::Seq(seq) => {
                seq.0 > 0 && record.as_ref().is_some_and(|one| one.0 == Some(seq.0))
            }
            Condition::Mine(_) => false,
        };
        if !holds {
            return Err((Reason::PreconditionFailed, at));
        }
        match (&step.act, record) {
            (Act::Set(data), _) => drop(now.insert(step.key, (None, data.clone()))),
            (Act::Patch(_), None) => return Err((Reason::NotFound, at)),
            (Act::Patch(patch), Some((_, data))) => {
                let merged = merge(data.clone(), patch);
                if merged != data {
                    now.insert(step.key, (None, merged));
                }
            }
            (Act::Delete, _) => drop(now.remove(step.key)),
        }
    }
    Ok(now)
}

struct Held(BTreeMap<&'static str, (u64, String)>);

impl Base for Held {
    type Error = Infallible;

    fn find(&self, _: &str, key: &str) -> Result<Option<Found<'_>>, Infallible> {
        Ok(self.0.get(key).map(|(seq, data)| Found {
            stamp: Stamp::Ordered(Seq(*seq)),
            data: Cow::Borrowed(data),
        }))
    }
}

/// What is done to a replica with pending edits.
#[derive(Clone, Debug)]
enum Event {
    /// It makes a mutation.
    Mine(Vec<Step>),
    /// Somebody else does, and everybody hears of it.
    Theirs(Vec<Step>),
    /// Its oldest edits are on its disk, and so they go out and are settled.
    Stored(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => vec(step(false), 1..4).prop_map(Event::Mine),
        2 => vec(step(false), 1..3).prop_map(Event::Theirs),
        1 => (1..3_usize).prop_map(Event::Stored),
    ]
}

fn mutate(one: &mut Replica, steps: &[Step]) -> Turn {
    one.begin();
    for step in steps {
        let said = one.op(step.kind(), "c", step.key, &step.data(), step.only_if);
        assert_eq!(said, Ok(()), "{step:?}");
    }
    one.commit().unwrap_or_else(|bad| panic!("{bad:?}"))
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("no JSON: {text}"))
}

fn confirmed(one: &Replica) -> Records {
    let found = |key: &'static str| {
        let (seq, data) = one.confirmed("c", key)?;
        Some((key, (Some(seq.0), parse(data))))
    };
    KEYS.into_iter().filter_map(found).collect()
}

/// [VA8] Of two shortest forms that are equally near the even one is chosen, as JavaScript does.
#[test]
fn va8_ties_go_to_the_even_digit() {
    assert_eq!(canonical("-904903714023.15625"), Ok("-904903714023.1562".into()));
    assert_eq!(printed(-904_903_714_023.156_2), "-904903714023.1562");
}

proptest! {
    /// [VA8] Any double is printed as ECMA-262 does, and reads back as itself.
    #[test]
    fn va8_numbers(bits: u64) {
        let number = f64::from_bits(bits);
        prop_assume!(number.is_finite());
        let once = canonical(&format!("{number:e}")).unwrap_or_default();
        prop_assert_eq!(&once, &printed(number));
        prop_assert_eq!(once.parse::<f64>(), Ok(number));
    }

    /// [VA8] Equal values have one canonical form, in whatever words they come; it is its own, and it is
    /// what a naive reading of the RFC gives.
    #[test]
    fn va8_equal_values_have_one_form(value in json()) {
        let once = canonical(&value.to_string());
        prop_assert_eq!(once.as_deref(), Ok(&*naive_canonical(&value)));
        prop_assert_eq!(&canonical(&in_other_words(&value)), &once);
        prop_assert_eq!(&canonical(once.as_deref().unwrap_or_default()), &once);
    }

    /// [VA7] Merging twice is merging once; the empty patch changes no byte, and neither does removing
    /// what is not there.
    #[test]
    fn va7_laws_of_merging(target in object(), patch in object()) {
        let (target, patch) = (target.to_string(), patch.to_string());
        let merged = merge_patch(&target, &patch);
        prop_assert_eq!(merge_patch(&merged, &patch), merged);
        prop_assert_eq!(merge_patch(&target, "{}"), &*target);
        prop_assert_eq!(merge_patch(&target, r#"{"is not there":null}"#), target);
    }

    /// [MU1] [MU2] [MU3] [MU4] [MU5] A mutation does what a naive model does, or is refused as it is there.
    #[test]
    fn mu1_resolve_does_what_a_naive_model_does(
        sets in vec(step(false), 0..4),
        steps in vec(step(true), 1..6),
    ) {
        let mut before = Records::new();
        for (seq, step) in (1..).zip(&sets) {
            if let Act::Set(data) = &step.act {
                before.insert(step.key, (Some(seq), data.clone()));
            }
        }
        let held = |(key, (seq, data)): (&&'static str, &(Option<u64>, Value))| {
            (*key, (seq.unwrap_or(0), data.to_string()))
        };
        let base = Held(before.iter().map(held).collect());
        let data: Vec<String> = steps.iter().map(Step::data).collect();
        let ops: Vec<Op<'_>> = steps.iter().zip(&data).map(|(step, data)| step.op(data)).collect();
        let Ok(verdict) = resolve(&ops, Turn(9), &base);
        match (verdict, naive_resolve(&before, &steps)) {
            (Err(refusal), Err(wanted)) => prop_assert_eq!((refusal.reason, refusal.op), wanted),
            (Ok(resolution), Ok(now)) => {
                let mut made = before.clone();
                for effect in resolution.effects() {
                    let key = KEYS.into_iter().find(|key| **key == *effect.key).unwrap_or_default();
                    match effect.data {
                        Some(data) => drop(made.insert(key, (None, parse(&data)))),
                        None => prop_assert!(made.remove(key).is_some(), "{} was not there", key),
                    }
                }
                prop_assert_eq!(made, now);
            }
            (verdict, wanted) => prop_assert!(false, "{verdict:?}, must be {wanted:?}"),
        }
    }

    /// [RE2] Whatever others do in between, a replica shows what is confirmed with its pending mutations
    /// replayed on top.
    #[test]
    fn re2_the_view_is_confirmed_and_pending(events in vec(event(), 1..12)) {
        let mut authority = authority();
        let (mut one, mut other) = (replica(1), replica(2));
        join(&mut authority, 1, &mut one, NOW);
        join(&mut authority, 2, &mut other, NOW);
        let mut made: Vec<(Turn, Vec<Step>)> = Vec::new();
        for event in events {
            match event {
                Event::Mine(steps) => made.push((mutate(&mut one, &steps), steps)),
                Event::Theirs(steps) => {
                    let turn = mutate(&mut other, &steps);
                    other.durable(turn);
                }
                Event::Stored(count) => {
                    let turn = Turn(one.settled().0 + count as u64);
                    one.durable(turn);
                }
            }
            carry(&mut authority, &mut [(1, &mut one), (2, &mut other)], NOW);
            let mut view = confirmed(&one);
            for (turn, steps) in &made {
                if *turn > one.settled() && let Ok(after) = naive_resolve(&view, steps) {
                    view = after;
                }
            }
            for key in KEYS {
                let wanted = view.get(key).map(|(_, data)| data.clone());
                prop_assert_eq!(one.get("c", key).map(parse), wanted, "{}", key);
            }
            prop_assert_eq!(&confirmed(&one), &confirmed(&other));
        }
    }
}
