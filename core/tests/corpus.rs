//! Replays what fuzzing has found interesting (`fuzz/`), under the same promises: no panic, no memory
//! beyond what the bytes are worth, and what was read can be written and read again.
#![allow(unsafe_code, unreachable_pub, missing_docs, clippy::wildcard_enum_match_arm)]

#[path = "../fuzz/src/cap.rs"]
mod cap;
#[path = "../fuzz/src/targets.rs"]
mod targets;

use neap_core::{
    id::Seq,
    limits::{FRAME_BYTES_MAX, MUTATION_BYTES_MAX},
    wire::{self, RowRef},
};

#[global_allocator]
static ALLOCATOR: cap::Counting = cap::Counting;

fn from_hex(line: &str) -> Vec<u8> {
    let digit = |at: usize| line.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = (0..line.len()).step_by(2).map(digit).collect();
    bytes.unwrap_or_else(|| panic!("no hex: {line}"))
}

/// [WI5] Whatever bytes come, reading them is harmless: the corpus of each fuzz target.
#[test]
fn wi5_the_corpus_is_harmless() {
    for target in targets::ALL {
        let path = format!("{}/fuzz/corpus/{}.txt", env!("CARGO_MANIFEST_DIR"), target.name);
        let corpus = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(corpus.lines().count() >= 20, "{path} is not there");
        corpus.lines().for_each(|line| target.check(&from_hex(line)));
    }
}

/// [WI7] Bytes claim no more memory than they are worth: lengths that nothing follows, and the largest
/// frames full of the smallest parts.
#[test]
fn wi7_a_few_bytes_claim_little() {
    let endless = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    for target in targets::ALL {
        for kind in 0..8 {
            target.check(&[&[kind], &endless[..]].concat());
            target.check(&[&[kind, 1, 2], &endless[..]].concat());
        }
        for smallest in [&[0][..], &[0, 0, 0, 0], &[2, 0, 0, 0], &[1; 21], b"[{\"\":0},"] {
            let full = smallest.repeat(FRAME_BYTES_MAX / 4 / smallest.len());
            target.check(&full);
            // A count that the parts bear out.
            target.check(&[&[0xff, 0xff, 0x0f], &full[3..]].concat());
        }
    }
    let row = |seq| RowRef { collection: "", key: "", seq: Seq(seq), data: None };
    let rows = wire::encode_changes((1..FRAME_BYTES_MAX as u64 / 8).map(row));
    targets::ALL
        .iter()
        .filter(|target| target.name == "rows")
        .for_each(|target| target.check(&rows));
    let deletes = [2, 0, 0, 0].repeat(MUTATION_BYTES_MAX / 4);
    let many = [&[0xff, 0xff, 0x0d][..], &deletes].concat();
    let claimed = cap::peak(|| assert_eq!(wire::decode_ops(&many), Err(wire::BadFrame)));
    assert!(
        claimed < 1024,
        "too many ops are refused before they are read, not with {claimed} bytes"
    );
}
