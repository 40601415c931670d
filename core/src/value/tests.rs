use alloc::{format, string::String, string::ToString, vec::Vec};

use super::*;

fn checked(text: &str) -> Result<(), Invalid> {
    check_object(text, "id").map(drop)
}

/// [VA1] What is stored is minified JSON with finite numbers, whole strings and unique names.
#[test]
fn va1_only_sound_objects_are_taken() {
    for text in [
        "{}",
        r#"{"id":"a","n":[1,-0,1.5e3,true,false,null,{"x":{}}],"s":"\u0061\n\ud83d\ude00é😀"}"#,
        r#"{"__proto__":{"a":1},"constructor":1}"#,
        r#"{"n":1.7976931348623157e308}"#,
        r#"{"n":0e999999999999999999999}"#,
        r#"{"n":1e-999999999999999999999}"#,
    ] {
        assert_eq!(checked(text), Ok(()), "{text}");
    }
    for (text, why) in [
        ("", Invalid::NotObject),
        ("[]", Invalid::NotObject),
        ("\"a\"", Invalid::NotObject),
        ("{", Invalid::Syntax),
        ("{}x", Invalid::Syntax),
        (r#"{"a":1,}"#, Invalid::Syntax),
        (r#"{"a": 1}"#, Invalid::Syntax),
        (r#"{"a":01}"#, Invalid::Syntax),
        (r#"{"a":.5}"#, Invalid::Syntax),
        (r#"{"a":1.}"#, Invalid::Syntax),
        (r#"{"a":1e}"#, Invalid::Syntax),
        (r#"{"a":+1}"#, Invalid::Syntax),
        (r#"{"a":NaN}"#, Invalid::Syntax),
        (r#"{a:1}"#, Invalid::Syntax),
        (r#"{"a":1,"a":2}"#, Invalid::Duplicate),
        (r#"{"a":1,"\u0061":2}"#, Invalid::Duplicate),
        (r#"{"x":{"b":1,"c":[],"b":2}}"#, Invalid::Duplicate),
        (r#"{"a":1e400}"#, Invalid::Number),
        (r#"{"a":1.797693134862315808e308}"#, Invalid::Number),
        (r#"{"a":"\ud800"}"#, Invalid::String),
        (r#"{"a":"\udc00\ud800"}"#, Invalid::String),
        (r#"{"a":"\x"}"#, Invalid::String),
        ("{\"a\":\"\u{1}\"}", Invalid::String),
    ] {
        assert_eq!(checked(text), Err(why), "{text}");
    }
}

/// [VA2] The record is the first of 32 levels.
#[test]
fn va2_depth_is_bounded() {
    let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(checked(&nested(31)), Ok(()));
    assert_eq!(checked(&nested(32)), Err(Invalid::Depth));
    assert_eq!(checked(&nested(100_000)), Err(Invalid::Depth));
}

/// [VA3] Names are compared as texts, also among many.
#[test]
fn va3_duplicates_are_found_among_many() {
    let many = |last: &str| {
        let names: Vec<_> = (0..100).map(|n| format!("\"n{n}\":{n}")).collect();
        format!("{{{},{last}}}", names.join(","))
    };
    assert_eq!(checked(&many("\"m\":1")), Ok(()));
    assert_eq!(checked(&many("\"n57\":1")), Err(Invalid::Duplicate));
    assert_eq!(checked(&many("\"\\u006e57\":1")), Err(Invalid::Duplicate));
}

#[test]
fn members_are_found_and_read() {
    let found = check_object(r#"{"a":{"id":"no"},"id":"x\"\u00e9\ud83d\ude00"}"#, "id");
    let raw = found.ok().flatten().unwrap_or("");
    assert_eq!(as_string(raw).as_deref(), Some("x\"é😀"));
    assert_eq!(as_string("12"), None);
}

#[test]
fn arrays_are_split() {
    let mut seen = Vec::new();
    let text = r#"[{"id":"a"},{"x":1}]"#;
    assert_eq!(check_array(text, "id", |record, key| seen.push((record, key))), Ok(()));
    assert_eq!(seen, [(r#"{"id":"a"}"#, Some("\"a\"")), (r#"{"x":1}"#, None)]);
    assert_eq!(check_array("[]", "id", |_, _| {}), Ok(()));
    assert_eq!(check_array("[1]", "id", |_, _| {}), Err(Invalid::NotObject));
}

/// What was likely after the object before changes nothing of what an object is, nor of what is found in it.
#[test]
fn an_object_is_read_alike_behind_any_other() {
    let objects = [
        "{}",
        r#"{"id":"a"}"#,
        r#"{"id":"a","n":1}"#,
        r#"{"n":1,"id":"a"}"#,
        r#"{"id":"a","n":1,"id":"b"}"#,
        r#"{"id":"a","n":1,"\u006e":2}"#,
        r#"{"id":"a","n":{"id":"no","n":1}}"#,
        r#"{"id":"a","n":[{"n":1,"id":2,"n":3}]}"#,
        r#"{"id":"a","nn":1}"#,
        r#"{"id" :1}"#,
        r#"{"\u0069d":"a","n":1}"#,
        r#"{"n":1,"m":2}"#,
    ];
    let all = || objects.iter().flat_map(|one| objects.iter().map(move |other| [*one, *other]));
    for triple in all().flat_map(|[one, other]| objects.map(|last| [one, other, last])) {
        let mut seen = Vec::new();
        let text = format!("[{}]", triple.join(","));
        let result = check_array(&text, "id", |record, key| seen.push((record.to_string(), key)));
        let alone =
            triple.map(|object| check_object(object, "id").map(|key| (object.to_string(), key)));
        let sound: Vec<_> = alone.iter().map_while(|object| object.clone().ok()).collect();
        assert_eq!(seen, sound, "{text}");
        assert_eq!(
            result,
            alone.iter().find_map(|object| object.clone().err()).map_or(Ok(()), Err),
            "{text}"
        );
    }
}

#[test]
fn white_space_goes_between_tokens_only() {
    assert_eq!(minify(" { \"a b\" : [ 1 , 2 ] }\n").as_deref(), Ok("{\"a b\":[1,2]}"));
    for text in ["[1 2]", "tr ue", "- 1", "1 .5", "\"a", "\"\\"] {
        assert_eq!(minify(text), Err(Invalid::Syntax), "{text}");
    }
}

#[test]
fn strings_are_written_as_json_stringify_does() {
    let mut out = Vec::new();
    write_string(&mut out, "a\"\\\n\u{1}\u{1f}é");
    assert_eq!(String::from_utf8_lossy(&out), r#""a\"\\\n\u0001\u001fé""#.to_string());
}

/// [VA4] A patch is a JSON Merge Patch: the examples of RFC 7396, appendix A, whose patch is an object.
#[test]
fn va4_patches_merge_as_the_rfc_says() {
    for (target, patch, result) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{}"#),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        (r#"{}"#, r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        (r#"{"\u0061":1}"#, r#"{"a":2}"#, r#"{"\u0061":2}"#),
    ] {
        assert_eq!(merge_patch(target, patch), result, "{target} + {patch}");
    }
}
