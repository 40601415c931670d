//! Every kind of frame and of stored value, byte for byte. `golden.txt` is what is out in the world:
//! a frame that differs from it needs another `wire::VERSION`, a stored value another format.

use neap_core::{
    datastore::{Info, Kind, Options},
    id::{Epoch, ReplicaId, Seq, Turn},
    mutation::{Condition, Op, Outcome, Reason, Refusal},
    pool::{Choice, Retain, Terms},
    rate::{Bucket, Rates},
    record::Digest,
    wire::*,
};

fn mutation() -> Vec<u8> {
    encode_ops(&[
        Op::Set {
            collection: "tasks",
            key: "milk",
            data: r#"{"id":"milk"}"#,
            only_if: Condition::None,
        },
        Op::Patch {
            collection: "tasks",
            key: "milk",
            data: r#"{"n":1}"#,
            only_if: Condition::Seq(Seq(300)),
        },
        Op::Patch {
            collection: "tasks",
            key: "egg",
            data: "{}",
            only_if: Condition::Mine(Turn(2)),
        },
        Op::Delete { collection: "notes", key: "é", only_if: Condition::Present },
        Op::Delete { collection: "notes", key: "f", only_if: Condition::Absent },
    ])
}

fn ups() -> Vec<(&'static str, Vec<u8>)> {
    let introduction = |role, birth| Introduction {
        id: ReplicaId([7; 16]),
        role,
        generation: 3,
        attempt: 2,
        birth,
        acked: Turn(5),
    };
    let hello = Hello {
        version: 1,
        options: Options {
            kind: Some(Kind::Permanent),
            primary: Some("id".into()),
            ttl: Some(3_600),
            sliding: Some(true),
        },
        epoch: Some(Epoch([1; 8])),
        cursor: Cursor { after: Seq(300), floor: Seq(299) },
        authors: vec![
            introduction(Role::Speaker, Some(1_700_000_000_000)),
            introduction(Role::Listener, None),
        ],
    };
    let first = Hello {
        version: 1,
        options: Options::default(),
        epoch: None,
        cursor: Cursor::default(),
        authors: vec![introduction(Role::Speaker, None)],
    };
    let mut block = Vec::new();
    append_to_block(&mut block, &mutation());
    append_to_block(&mut block, &mutation());
    let push = Push { author: 0, acked: Turn(5), first: Turn(6), block: &block };
    let choice = Choice { primary: Some("id"), retain: Some(Retain::Converged) };
    let pool = |ask| encode_up(&Up::Pool(PoolUp { pool: "~p", ask }));
    vec![
        ("up hello", encode_up(&Up::Hello(hello))),
        ("up hello of a new replica", encode_up(&Up::Hello(first))),
        ("up push", encode_up(&Up::Push(push))),
        ("up next", encode_up(&Up::Next(Cursor { after: Seq(1), floor: Seq(2) }))),
        ("up read", encode_up(&Up::Read(300_000))),
        ("up pool open", pool(PoolAsk::Open { choice, after: Seq(300) })),
        ("up pool next", pool(PoolAsk::Next(Seq(300)))),
        ("up pool ack", pool(PoolAsk::Ack(Seq(300)))),
        ("up pool leave", pool(PoolAsk::Leave)),
        ("up presence", encode_up(&Up::Presence(Some(r#"{"x":1}"#)))),
        ("up presence of nothing", encode_up(&Up::Presence(None))),
    ]
}

fn rows() -> Vec<u8> {
    let row = |collection, key, seq, data| RowRef { collection, key, seq: Seq(seq), data };
    encode_changes([
        row("tasks", "milk", 298, Some(r#"{"id":"milk"}"#)),
        row("tasks", "q\"", 299, Some(r#"{"id":"q\""}"#)),
        row("notes", "gone", 299, None),
    ])
}

fn downs() -> Vec<(&'static str, Vec<u8>)> {
    let welcome = Welcome {
        version: 1,
        info: Info {
            kind: Kind::Temp,
            primary: "id".into(),
            ttl: 3_600,
            sliding: false,
            expires_at: Some(1_700_003_600_000),
        },
        epoch: Epoch([1; 8]),
        head: Seq(300),
        standings: vec![
            Standing::New(1_700_000_000_000),
            Standing::Settled(Turn(5)),
            Standing::Forgotten,
        ],
        now: 1_700_000_000_000,
        rates: Rates::default(),
        debt: Bucket { mutations: 300, bytes: 0 },
    };
    let refusal = |reason| Outcome::Refused(Refusal { reason, op: 1 });
    let outcomes = [
        Outcome::Accepted(Seq(299)),
        Outcome::Unchanged,
        Outcome::Added(Seq(7)),
        refusal(Reason::NotFound),
        refusal(Reason::PreconditionFailed),
        refusal(Reason::TooLarge),
        refusal(Reason::StorageFull),
        refusal(Reason::Forbidden),
        refusal(Reason::OutcomeUnknown),
        refusal(Reason::OptionsMismatch),
        refusal(Reason::InvalidData),
    ];
    let settled: Vec<Settled> = (6..)
        .zip(outcomes)
        .map(|(turn, outcome)| Settled { author: 0, turn: Turn(turn), outcome })
        .collect();
    let cursor = |after| Cursor { after: Seq(after), floor: Seq(9) };
    let page =
        |last| Down::Page(Page { from: cursor(0), cursor: cursor(299), head: Seq(300), last });
    let last = Last { digest: Digest([8; 16]), settled: settled.clone() };
    let delta = Delta {
        from: Seq(297),
        to: Seq(299),
        digest: Digest([8; 16]),
        expires_at: Some(Some(1_700_003_600_000)),
        settled,
    };
    let shown = vec![
        Shown { who: 300, state: Some(r#"{"x":1}"#.into()) },
        Shown { who: (1 << 53) - 1, state: None },
    ];
    let presence = Presence { is_whole: true, shown };
    let frame = |down: &Down, changes: &[u8]| encode_down(down, changes).into_vec();
    vec![
        ("down welcome", frame(&Down::Welcome(welcome), &[])),
        ("down page", frame(&page(None), &rows())),
        ("down last page", frame(&page(Some(last)), &rows())),
        ("down delta", frame(&Down::Delta(delta), &rows())),
        ("down behind", frame(&Down::Behind, &[])),
        ("down presence", frame(&Down::Presence(presence), &[])),
        ("down rates", frame(&Down::Rates(Rates::default().share(2)), &[])),
    ]
}

/// What is said of pools, and an addition.
fn pool_downs() -> Vec<(&'static str, Vec<u8>)> {
    let frame = |news, changes: &[u8]| {
        encode_down(&Down::Pool(PoolDown { pool: "~p".into(), news }), changes).into_vec()
    };
    let terms = Terms { primary: Some("id".into()), retain: Retain::Converged };
    let digest = Digest([8; 16]);
    let last = Some(PoolLast { terms, drained: Seq(1), digest, added: 301 });
    let (from, to) = (Seq(1), Seq(300));
    let item = RowRef { collection: "~p", key: "a", seq: Seq(300), data: Some(r#"{"id":"a"}"#) };
    let items = encode_changes([item]);
    vec![
        ("down pool page", frame(PoolNews::Page { from, to, last: None }, &items)),
        ("down last pool page", frame(PoolNews::Page { from, to, last }, &items)),
        ("down pool delta", frame(PoolNews::Delta { from, to, drained: Seq(1), digest }, &items)),
        ("down converged", frame(PoolNews::Converged { seq: to, digest, drained: true }, &[])),
        ("down mismatch", frame(PoolNews::Mismatch, &[])),
    ]
}

fn addition() -> Vec<u8> {
    let choice = Choice { primary: Some("id"), retain: Some(Retain::Ttl) };
    let (ident, data) = ("a", r#"{"id":"a"}"#);
    encode_ops(&[Op::Add { pool: "~p", ident, data, choice }])
}

fn all() -> Vec<(&'static str, Vec<u8>)> {
    let mut all = ups();
    all.extend(downs());
    all.extend(pool_downs());
    all.push(("mutation", mutation()));
    all.push(("addition", addition()));
    all.push(("rows", rows()));
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// [WI3] Frames keep their bytes as long as the version stays.
#[test]
fn wi3_frames_keep_their_bytes() {
    let now: Vec<String> =
        all().iter().map(|(name, bytes)| format!("{name}: {}", hex(bytes))).collect();
    let committed: Vec<&str> = include_str!("golden.txt").lines().skip(1).collect();
    assert_eq!(
        now,
        committed,
        "the wire has changed: raise wire::VERSION, keep what old peers need, then write:\n{}",
        now.join("\n")
    );
    let version = format!("version {VERSION}");
    assert_eq!(include_str!("golden.txt").lines().next(), Some(&*version));
}

/// [WI4] What was encoded is what is decoded.
#[test]
fn wi4_golden_frames_decode() {
    for (name, bytes) in ups() {
        let decoded = decode_up(&bytes).map(|up| encode_up(&up));
        assert_eq!(decoded.as_ref(), Ok(&bytes), "{name}");
    }
    for (name, bytes) in downs().into_iter().chain(pool_downs()) {
        let Ok((down, changes)) = decode_down(&bytes) else { panic!("{name}") };
        let rows: Result<Vec<_>, _> = changes.rows().collect();
        let Ok(rows) = rows else { panic!("{name}") };
        let has_rows = match &down {
            Down::Page(_) | Down::Delta(_) => true,
            Down::Pool(down) => {
                matches!(down.news, PoolNews::Page { .. } | PoolNews::Delta { .. })
            }
            Down::Welcome(_) | Down::Behind | Down::Presence(_) | Down::Rates(_) => false,
        };
        let changes = if has_rows { encode_changes(rows) } else { Vec::new() };
        assert_eq!(encode_down(&down, &changes).into_vec(), bytes, "{name}");
    }
}
