//! Style that is not a test decays.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files of the crate with their texts, by their paths from its root.
fn sources() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> =
        ["src", "tests", "examples", "fuzz/src"].map(|name| root().join(name)).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap_or(&path).to_string_lossy();
                found
                    .insert(name.replace('\\', "/"), fs::read_to_string(&path).unwrap_or_default());
            }
        }
    }
    assert!(found.len() > 20, "the sources were not found");
    found
}

/// Numbers like VA1 that stand between `open` and `close`.
fn numbers(text: &str, open: &str, close: char) -> BTreeSet<String> {
    let inside = |part: &str| part.split_once(close).map(|(number, _)| number.to_owned());
    let is_number = |number: &String| {
        let (letters, digits) = number.split_at(number.len().min(2));
        letters.bytes().all(|byte| byte.is_ascii_uppercase())
            && !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    text.split(open).skip(1).filter_map(inside).filter(is_number).collect()
}

/// [TI1] Every rule of SPEC.md has a test that carries its number, or a check of the simulator; and
/// every number that a test or a check carries is a rule.
#[test]
fn ti1_rules_and_tests_are_the_same() {
    let spec = fs::read_to_string(root().join("SPEC.md")).unwrap_or_default();
    let rules = numbers(&spec, "- **", '*');
    assert_eq!(rules.len(), spec.matches("\n- **").count(), "a number stands for one rule");
    let mut shown = BTreeSet::new();
    for (name, text) in sources() {
        shown.extend(numbers(&text, "/// [", ']'));
        if name.contains("/sim/") {
            let squeezed: String = text.split_whitespace().collect();
            shown.extend(numbers(&squeezed, "fail(\"", '"'));
        }
    }
    let untested: Vec<_> = rules.difference(&shown).collect();
    let unruled: Vec<_> = shown.difference(&rules).collect();
    assert!(
        untested.is_empty() && unruled.is_empty(),
        "no test: {untested:?}, no rule: {unruled:?}"
    );
}

/// [TI2] Nothing points up: who may use whom inside the crate.
#[test]
fn ti2_imports_point_down() {
    let below: &[(&str, &[&str])] = &[
        ("src/store", &["replica", "wire"]),
        ("src/authority", &["replica", "store"]),
        ("src/replica", &["authority", "store"]),
        ("src/wire", &["authority", "replica", "storage", "store"]),
        ("src/storage", &["authority", "replica", "store"]),
        ("src/datastore", &["authority", "replica", "wire", "storage", "mutation"]),
        ("src/mutation", &["authority", "replica", "wire", "storage", "datastore"]),
        ("src/pool", &["authority", "replica", "wire", "storage", "datastore", "mutation"]),
        ("src/record", &["authority", "replica", "wire", "storage", "datastore", "mutation"]),
        (
            "src/value",
            &["authority", "replica", "wire", "storage", "datastore", "mutation", "record"],
        ),
        (
            "src/id",
            &[
                "authority",
                "replica",
                "wire",
                "storage",
                "datastore",
                "mutation",
                "record",
                "value",
            ],
        ),
    ];
    for (name, text) in sources() {
        let code = code_of(&text);
        for (place, never) in below {
            if !name.starts_with(&format!("{place}.rs")) && !name.starts_with(&format!("{place}/"))
            {
                continue;
            }
            for other in *never {
                let uses = imports(&code).iter().any(|import| import == other);
                assert!(!uses, "{name} uses {other}");
            }
        }
    }
}

/// The text without comments.
fn code_of(text: &str) -> String {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// First words of what is imported from the crate's root.
fn imports(code: &str) -> Vec<String> {
    let word = |text: &str| {
        text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
    };
    let mut found = Vec::new();
    for part in code.split("crate::").skip(1) {
        let Some(list) = part.strip_prefix('{') else {
            found.push(word(part));
            continue;
        };
        let mut depth = 1;
        let mut at_start = true;
        for (place, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => at_start = true,
                c if depth == 1 && at_start && !c.is_whitespace() => {
                    found.push(word(&list[place..]));
                    at_start = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

/// [TI3] A file has at most 400 lines.
#[test]
fn ti3_files_are_short() {
    for (name, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= 400, "{name} has {lines} lines");
    }
}

/// [TI4] What is left to do is an issue, not a comment.
#[test]
fn ti4_nothing_is_left_to_do() {
    for (name, text) in sources() {
        for word in ["TODO", "FIXME", "XXX"] {
            let marked = format!("{word}:");
            assert!(name.ends_with("tidy.rs") || !text.contains(&marked), "{name} has a {word}");
        }
    }
}

/// Names of all tests of the workspace, Rust's and JavaScript's, read from their sources.
fn test_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let workspace = root().parent().unwrap_or(root());
    let mut folders: Vec<PathBuf> =
        ["core", "http", "server", "wasm", "worker", "tools", "www", "bench"]
            .map(|name| workspace.join(name))
            .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() && !["node_modules", "target", "dist", "build"].contains(&&*name) {
                folders.push(path);
                continue;
            }
            let (open, close) = match &*name {
                name if name.ends_with(".rs") => ("fn ", '('),
                name if name.ends_with(".test.mjs") => ("test(\"", '"'),
                _ => continue,
            };
            let text = fs::read_to_string(&path).unwrap_or_default();
            let found = text.split(open).skip(1).filter_map(|part| part.split_once(close));
            names.extend(found.map(|(name, _)| name.to_owned()));
        }
    }
    names
}

/// [TI5] What SPEC.md says of the seed names rules and tests that exist; each of the 47 traps has a line.
#[test]
fn ti5_the_seed_is_shown() {
    let spec = fs::read_to_string(root().join("SPEC.md")).unwrap_or_default();
    let (rules, names) = (numbers(&spec, "- **", '*'), test_names());
    let (_, seed) = spec.split_once("## The seed").unwrap_or_default();
    let rows = seed.lines().filter(|line| line.starts_with("| "));
    let mut traps = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let &[what, _, shown] = cells.as_slice() else { panic!("three cells: {row}") };
        if shown == "shown by" {
            continue;
        }
        traps.extend(what.split(' ').next().and_then(|number| number.parse::<usize>().ok()));
        // Names of tests stand in backticks, numbers of rules between them.
        for (place, part) in shown.split('`').enumerate() {
            let words = part.split(", ").map(str::trim).filter(|word| !word.is_empty());
            let is_known = |word| rules.contains(word);
            let known =
                if place % 2 == 1 { names.contains(part) } else { words.clone().all(is_known) };
            assert!(known, "no such rule or test: {part:?} in {row}");
        }
        assert!(!shown.is_empty(), "nothing shows {what}");
    }
    assert_eq!(traps, (1..=47).collect::<Vec<_>>());
}
