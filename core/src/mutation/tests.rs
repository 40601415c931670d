use alloc::{format, string::String, vec};
use core::convert::Infallible;

use super::*;

/// Records by collection and key, all of seq 7.
struct Records(Vec<(&'static str, &'static str, &'static str)>);

impl Base for Records {
    type Error = Infallible;

    fn find(&self, collection: &str, key: &str) -> Result<Option<Found<'_>>, Infallible> {
        let row = self.0.iter().find(|row| row.0 == collection && row.1 == key);
        Ok(row.map(|row| Found { stamp: Stamp::Ordered(Seq(7)), data: Cow::Borrowed(row.2) }))
    }
}

fn set<'a>(key: &'a str, data: &'a str) -> Op<'a> {
    Op::Set { collection: "c", key, data, only_if: Condition::None }
}

fn patch<'a>(key: &'a str, data: &'a str) -> Op<'a> {
    Op::Patch { collection: "c", key, data, only_if: Condition::None }
}

fn delete(key: &str) -> Op<'_> {
    Op::Delete { collection: "c", key, only_if: Condition::None }
}

/// Resolves turn 3 over one record `a` and shows the effects.
fn verdict(ops: &[Op<'_>]) -> Result<Vec<String>, (Reason, u32)> {
    let base = Records(vec![("c", "a", r#"{"id":"a","n":1}"#)]);
    let Ok(result) = resolve(ops, Turn(3), &base);
    let show = |effect: Effect| match effect.data {
        Some(data) => format!("{} = {data}", effect.key),
        None => format!("{} gone", effect.key),
    };
    match result {
        Ok(resolution) => Ok(resolution.effects().map(show).collect()),
        Err(refusal) => Err((refusal.reason, refusal.op)),
    }
}

fn check(ops: &[Op<'_>], effects: &[&str]) {
    assert_eq!(verdict(ops), Ok(effects.iter().map(|effect| String::from(*effect)).collect()));
}

/// [MU1] Set replaces the whole record; patch merges; delete removes.
#[test]
fn mu1_ops_do_what_they_say() {
    check(&[set("a", r#"{"id":"a"}"#)], &[r#"a = {"id":"a"}"#]);
    check(&[set("b", r#"{"id":"b"}"#)], &[r#"b = {"id":"b"}"#]);
    check(&[patch("a", r#"{"x":2}"#)], &[r#"a = {"id":"a","n":1,"x":2}"#]);
    check(&[delete("a")], &["a gone"]);
}

/// [MU2] A set always changes something; a patch or delete that changes nothing does not.
#[test]
fn mu2_what_changes_nothing_has_no_effect() {
    check(&[set("a", r#"{"id":"a","n":1}"#)], &[r#"a = {"id":"a","n":1}"#]);
    check(&[patch("a", r#"{"n":1}"#)], &[]);
    check(&[delete("b")], &[]);
    check(&[set("b", r#"{"id":"b"}"#), delete("b")], &[]);
}

/// [MU3] Ops see what those before them did, and each key has one effect.
#[test]
fn mu3_ops_see_those_before_them() {
    check(
        &[set("b", r#"{"id":"b"}"#), patch("b", r#"{"n":1}"#), patch("b", r#"{"n":2}"#)],
        &[r#"b = {"id":"b","n":2}"#],
    );
    check(&[delete("a"), set("a", r#"{"id":"a"}"#)], &[r#"a = {"id":"a"}"#]);
    let many: Vec<_> = (0..40).map(|n| format!("k{n}")).collect();
    let mut ops: Vec<_> = many.iter().map(|key| set(key, "{}")).collect();
    ops.extend(many.iter().map(|key| delete(key)));
    check(&ops, &[]);
}

/// [MU4] A mutation is refused as a whole, and says over which op it fell.
#[test]
fn mu4_a_refusal_names_the_op() {
    let missing = [set("b", r#"{"id":"b"}"#), patch("x", "{}")];
    assert_eq!(verdict(&missing), Err((Reason::NotFound, 1)));
}

/// [MU5] Conditions hold or refuse, also within a mutation.
#[test]
fn mu5_conditions() {
    let data = r#"{"id":"a"}"#;
    for (condition, holds) in [
        (Condition::None, true),
        (Condition::Present, true),
        (Condition::Absent, false),
        (Condition::Seq(Seq(7)), true),
        (Condition::Seq(Seq(6)), false),
        (Condition::Mine(Turn(3)), false),
    ] {
        let result = verdict(&[set("a", data).under(condition)]);
        assert_eq!(result.is_ok(), holds, "{condition:?}");
    }
    for (condition, holds) in
        [(Condition::Absent, true), (Condition::Present, false), (Condition::Seq(Seq::ZERO), false)]
    {
        let result = verdict(&[delete("b").under(condition)]);
        assert_eq!(result.is_ok(), holds, "{condition:?}");
    }
    let chain = |turn| [set("a", data), delete("a").under(Condition::Mine(Turn(turn)))];
    assert!(verdict(&chain(3)).is_ok());
    assert_eq!(verdict(&chain(2)), Err((Reason::PreconditionFailed, 1)));
}

/// [MU6] Limits are judged while a mutation is applied, alike on both sides.
#[test]
fn mu6_limits_of_what_changes() {
    let text = "x".repeat(200_000);
    let patches: Vec<_> = (0..2).map(|n| format!(r#"{{"f{n}":"{text}"}}"#)).collect();
    let twice: Vec<_> = patches.iter().map(|data| patch("a", data)).collect();
    assert_eq!(verdict(&twice), Err((Reason::TooLarge, 1)));

    let keys: Vec<_> = (0..5).map(|n| format!("k{n}")).collect();
    let sets: Vec<_> = keys.iter().map(|key| set(key, &patches[0])).collect();
    assert_eq!(verdict(&sets), Err((Reason::TooLarge, 4)));
}

/// [MU7] What is malformed is told without looking at any record.
#[test]
fn mu7_malformed_ops_have_codes() {
    let long = "k".repeat(513);
    let large = format!(r#"{{"id":"a","x":"{}"}}"#, "x".repeat(RECORD_BYTES_MAX));
    for (op, code) in [
        (set("a", r#"{"id":"b"}"#), "key-mismatch"),
        (set("a", r#"{"x":"a"}"#), "key-mismatch"),
        (set("a", r#"{"id":1}"#), "key-mismatch"),
        (patch("a", r#"{"id":null}"#), "key-mismatch"),
        (set("", r#"{"id":""}"#), "invalid-key"),
        (delete(&long), "invalid-key"),
        (set("a", "[]"), "invalid-data"),
        (set("a", &large), "too-large"),
        (Op::Delete { collection: "a b", key: "a", only_if: Condition::None }, "invalid-name"),
    ] {
        assert_eq!(op.check("id").map_err(Malformed::code), Err(code), "{op:?}");
    }
    assert_eq!(patch("a", r#"{"id":"a","n":2}"#).check("id"), Ok(()));
    let many = vec![delete("a"); OPS_MAX + 1];
    assert_eq!(check_ops(&many, "id"), Err(Malformed::OpCount));
}
