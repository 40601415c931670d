//! Properties of the small parts, over whatever proptest makes up.

use neap_core::{
    id::{Seq, Turn},
    limits::INTEGER_MAX,
    mutation::{Condition, Op},
    value::{Invalid, check_object, merge_patch},
    wire::*,
};
use proptest::{collection::vec, prelude::*};
use serde_json::{Map, Value};

/// JSON without duplicate names, to a small depth.
pub(super) fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-1e300..1e300).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((name(), inner), 0..5)
                .prop_map(|members| { Value::Object(members.into_iter().collect::<Map<_, _>>()) }),
        ]
    })
}

/// Names that meet each other often, some of which have to be escaped.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec!["a", "b", "c", "é", "\"", "\\", "\n"]).prop_map(String::from),
        any::<String>(),
    ]
}

pub(super) fn object() -> impl Strategy<Value = Value> {
    vec((name(), json()), 0..16)
        .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>()))
}

/// RFC 7396, section 2.
pub(super) fn merge(target: Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else { return patch.clone() };
    let mut target = match target {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    for (name, change) in changes {
        if change.is_null() {
            target.remove(name);
        } else {
            let before = target.remove(name).unwrap_or(Value::Null);
            target.insert(name.clone(), merge(before, change));
        }
    }
    Value::Object(target)
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        Just(Condition::None),
        Just(Condition::Absent),
        Just(Condition::Present),
        (0..=INTEGER_MAX).prop_map(|seq| Condition::Seq(Seq(seq))),
        (0..=INTEGER_MAX).prop_map(|turn| Condition::Mine(Turn(turn))),
    ]
}

proptest! {
    /// [VA5] What serde_json writes can be stored, and the scanner takes it.
    #[test]
    fn va5_sound_json_is_taken(value in object()) {
        prop_assert_eq!(check_object(&value.to_string(), "id").map(drop), Ok(()));
    }

    /// [VA6] What the scanner takes, serde_json takes as an object too, whatever was done to the text.
    #[test]
    fn va6_what_is_taken_is_json(
        value in object(),
        at in any::<prop::sample::Index>(),
        with in proptest::sample::select(vec!["", "\"", "{", "}", ",", ":", "0", "e", "-", ".", "\\", "\\ud800", " ", "1e999"]),
        removed in 0..3_usize,
    ) {
        let mut text: Vec<char> = value.to_string().chars().collect();
        let at = at.index(text.len());
        let end = (at + removed).min(text.len());
        text.splice(at..end, with.chars());
        let text: String = text.into_iter().collect();
        let parsed = serde_json::from_str::<Value>(&text);
        match check_object(&text, "id") {
            Ok(_) => prop_assert!(parsed.is_ok_and(|value| value.is_object()), "{}", text),
            // It refuses more: white space, and what serde_json resolves silently.
            Err(Invalid::Syntax | Invalid::Duplicate | Invalid::NotObject) => {}
            Err(Invalid::Number | Invalid::String) => prop_assert!(parsed.is_err(), "{}", text),
            Err(Invalid::Depth) => {}
        }
    }

    /// [VA7] A patch makes what the RFC says, and what can be stored again.
    #[test]
    fn va7_patches_merge_as_a_naive_merge_does(target in object(), patch in object()) {
        let merged = merge_patch(&target.to_string(), &patch.to_string());
        prop_assert_eq!(check_object(&merged, "id").map(drop), Ok(()), "{}", &merged);
        let parsed: Value = serde_json::from_str(&merged).unwrap_or_default();
        prop_assert_eq!(parsed, merge(target, &patch));
    }

    /// [WI5] Whatever bytes come, decoding them is harmless.
    #[test]
    fn wi5_any_bytes_are_harmless(bytes in vec(any::<u8>(), 0..300)) {
        let _ = decode_up(&bytes);
        if let Ok((_, changes)) = decode_down(&bytes) {
            let _ = changes.rows().count();
        }
        let _ = decode_ops(&bytes);
        let _ = decode_changes(&bytes).map(|changes| changes.rows().count());
        let _ = split_block(&bytes).count();
    }

    /// [WI6] A mutation, a block and rows come out as they went in.
    #[test]
    fn wi6_mutations_and_rows_round_trip(
        texts in vec((name(), name(), any::<Option<String>>(), condition()), 0..8),
    ) {
        let ops: Vec<Op<'_>> = texts
            .iter()
            .map(|(collection, key, data, only_if)| match data {
                Some(data) => Op::Set { collection, key, data, only_if: *only_if },
                None => Op::Delete { collection, key, only_if: *only_if },
            })
            .collect();
        let bytes = encode_ops(&ops);
        prop_assert_eq!(decode_ops(&bytes), Ok(ops));
        let mut block = Vec::new();
        append_to_block(&mut block, &bytes);
        append_to_block(&mut block, &bytes);
        let split: Result<Vec<_>, _> = split_block(&block).collect();
        prop_assert_eq!(split, Ok(vec![&*bytes, &*bytes]));
        let rows: Vec<RowRef<'_>> = (1..)
            .zip(&texts)
            .map(|(seq, (collection, key, data, _))| RowRef {
                collection,
                key,
                seq: Seq(seq),
                data: data.as_deref(),
            })
            .collect();
        let bytes = encode_changes(rows.iter().copied());
        let unpacked: Result<Vec<_>, _> =
            decode_changes(&bytes).and_then(|changes| changes.rows().collect());
        prop_assert_eq!(unpacked, Ok(rows));
    }
}
