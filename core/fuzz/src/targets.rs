//! What is fuzzed. Each target takes any bytes, must not panic, must not claim much more memory than the
//! bytes are worth, and what it can read it must be able to write and read again.

use neap_core::{
    authority::{Admission, Authority, Moment, Settings},
    datastore::{Meta, Options},
    id::{Epoch, ReplicaId, Turn},
    mutation::{Condition, Op, check_ops},
    pool::{Choice, ident},
    replica::{Account, OpKind, Replica, ops_to_json},
    storage::{MemoryStorage, Storage},
    value::{canonical, check_object, check_value, check_values, merge_patch, minify},
    wire::{self, Down, RowRef, Up},
};
use serde_json::{Map, Value};

use crate::cap;

/// What a target may have alive at once whatever it is given: a decoder may believe a length as far as
/// this, and no further.
const ROOM: usize = 4 * 1024 * 1024;
/// What it may have alive for each byte that it is given, with the copies that the check makes: a small op or
/// row takes four bytes on the wire and fourteen times that in memory.
const ROOM_PER_BYTE: usize = 128;

/// Something that reads what strangers write.
#[derive(Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    run: fn(&[u8]),
}

pub const ALL: [Target; 9] = [
    Target { name: "up", run: up },
    Target { name: "down", run: down },
    Target { name: "ops", run: ops },
    Target { name: "rows", run: rows },
    Target { name: "stored", run: stored },
    Target { name: "json", run: json },
    Target { name: "patch", run: patch },
    Target { name: "authority", run: authority },
    Target { name: "replica", run: replica },
];

impl Target {
    /// Runs it over these bytes.
    ///
    /// # Panics
    /// When it breaks one of its promises.
    pub fn check(self, data: &[u8]) {
        let peak = cap::peak(|| (self.run)(data));
        let room = ROOM + ROOM_PER_BYTE * data.len();
        assert!(peak <= room, "{}: {} bytes claimed {peak}", self.name, data.len());
    }
}

fn up(data: &[u8]) {
    let Ok(frame) = wire::decode_up(data) else { return };
    let bytes = wire::encode_up(&frame);
    assert_eq!(wire::decode_up(&bytes).as_ref(), Ok(&frame));
    if let Up::Push(push) = frame {
        block(push.block);
    }
}

fn block(data: &[u8]) {
    let whole: Vec<&[u8]> = wire::split_block(data).map_while(Result::ok).collect();
    let mut again = Vec::new();
    for mutation in &whole {
        wire::append_to_block(&mut again, mutation);
        ops(mutation);
    }
    let split: Result<Vec<_>, _> = wire::split_block(&again).collect();
    assert_eq!(split, Ok(whole));
}

fn ops(data: &[u8]) {
    let Ok(ops) = wire::decode_ops(data) else { return };
    assert_eq!(wire::decode_ops(&wire::encode_ops(&ops)).as_ref(), Ok(&ops));
    // The items of a pool are judged when they are merged.
    if check_ops(&ops, "id").is_ok() && !ops.iter().any(Op::is_addition) {
        assert_eq!(check_values(&ops_to_json(data), None, |_, _| {}), Ok(()));
    }
}

fn down(data: &[u8]) {
    let Ok((frame, changes)) = wire::decode_down(data) else { return };
    let has_rows = !changes.is_empty();
    let Ok(rows) = changes.rows().collect::<Result<Vec<RowRef<'_>>, _>>() else { return };
    let packed = match &frame {
        Down::Welcome(_) | Down::Behind | Down::Presence(_) | Down::Rates(_) => Vec::new(),
        Down::Pool(_)
            if !has_rows && wire::decode_down(&wire::encode_down(&frame, &[])).is_ok() =>
        {
            Vec::new()
        }
        Down::Page(_) | Down::Delta(_) | Down::Pool(_) => {
            wire::encode_changes(rows.iter().copied())
        }
    };
    let bytes = wire::encode_down(&frame, &packed);
    let Ok((again, changes)) = wire::decode_down(&bytes) else { panic!("it cannot be read again") };
    assert_eq!((again, changes.rows().collect()), (frame, Ok(rows)));
}

fn rows(data: &[u8]) {
    let Ok(changes) = wire::decode_changes(data) else { return };
    let Ok(rows) = changes.rows().collect::<Result<Vec<RowRef<'_>>, _>>() else { return };
    let bytes = wire::encode_changes(rows.iter().copied());
    let again = wire::decode_changes(&bytes);
    assert_eq!(again.map(|changes| changes.rows().collect()), Ok(Ok(rows)));
}

fn fresh() -> Replica {
    Replica::new(ReplicaId([1; 16]), ReplicaId([2; 16]), 7, Options::default())
}

/// Everything that a disk may hold, torn or worse.
fn stored(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    let mut one = fresh();
    match kind % 8 {
        0 => {
            let Ok(meta) = wire::decode_stored::<Meta>(data) else { return };
            let again = wire::encode_stored(&meta);
            assert_eq!(wire::decode_stored(&again), Ok(meta));
            let mut storage = MemoryStorage::new();
            let Ok(()) = storage.put_meta(data);
            let authority = Authority::load(storage, Settings::default());
            assert!(authority.is_ok());
        }
        1 => {
            let Ok(account) = wire::decode_stored::<Account>(data) else { return };
            let _ = one.restore_account(data);
            assert_eq!(wire::decode_stored(&wire::encode_stored(&account)), Ok(account));
        }
        2 => drop(one.restore_info(data)),
        3 => {
            let _ = one.restore_rows(data);
            // No disk tears a page like this; a package with a mistake in it might.
            let mut page = data.to_vec();
            page.extend(wire::seal(data, one.page_count() as u64).to_le_bytes());
            let _ = one.restore_page(page);
            for key in one.keys("c") {
                let _ = (one.get("c", &key), one.meta("c", &key));
            }
            let set = one.mutate(OpKind::Set, "c", "k", r#"{"id":"k"}"#, Condition::None);
            one.durable(set.unwrap_or_default());
            (0..one.page_count()).for_each(|page| drop(one.page(page)));
        }
        4 => drop(one.restore_frame(data)),
        5 => {
            let _ = one.restore_block(Turn(1), data);
            one.restore_gap(Turn(u64::from(data.first().copied().unwrap_or(0))));
        }
        6 => {
            let Ok(mut authority) = Authority::load(MemoryStorage::new(), Settings::default())
            else {
                return;
            };
            authority.restore(1, data);
            let _ = authority.commit();
        }
        _ => {
            // The ledger's row of the replica that says Hello.
            let mut storage = MemoryStorage::new();
            let Ok(()) = storage.put_entry(&ReplicaId([1; 16]), 0, data);
            converse(storage, &[]);
        }
    }
    one.restored();
    let _ = (one.account(), one.info(), one.pending());
}

/// RFC 7396, section 2.
fn merge(target: Value, patch: &Value) -> Value {
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

fn parse(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

fn json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = check_values(text, Some("id"), |_, _| {});
    if let Ok(small) = minify(text)
        && check_value(&small, None).is_ok()
    {
        assert!(parse(text).is_some() && parse(text) == parse(&small), "minify changed it");
    }
    if check_value(text, Some("id")).is_err() {
        assert!(check_object(text, "id").is_err());
        return;
    }
    let value = parse(text);
    assert!(value.is_some(), "taken, and no JSON to others");
    assert_eq!(check_object(text, "id").is_ok(), value.as_ref().is_some_and(Value::is_object));
    let once = canonical(text).unwrap_or_else(|bad| panic!("sound, and not canonical: {bad:?}"));
    assert_eq!(canonical(&once).as_ref(), Ok(&once), "it is no fixed point");
    assert_eq!(doubles(parse(&once)), doubles(value), "it says something else");
    assert!(!ident(&once, Some("id")).is_empty());
}

/// The value with its numbers as doubles, which is all that canonical JSON knows.
fn doubles(value: Option<Value>) -> Option<Value> {
    Some(match value? {
        Value::Number(number) => Value::from(number.as_f64()? + 0.0),
        Value::Array(values) => {
            Value::Array(values.into_iter().filter_map(|value| doubles(Some(value))).collect())
        }
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter_map(|(name, value)| Some((name, doubles(Some(value))?)))
                .collect(),
        ),
        value => value,
    })
}

/// A record and a patch, with a line's end between them.
fn patch(data: &[u8]) {
    let Some((record, patch)) =
        std::str::from_utf8(data).ok().and_then(|text| text.split_once('\n'))
    else {
        return;
    };
    if check_object(record, "id").is_err() || check_object(patch, "id").is_err() {
        return;
    }
    let merged = merge_patch(record, patch);
    let (Some(before), Some(change)) = (parse(record), parse(patch)) else {
        panic!("taken, and no JSON")
    };
    assert_eq!(parse(&merged), Some(merge(before, &change)), "{merged}");
    assert_eq!(merge_patch(&merged, patch), merged, "merging twice is merging once");
    assert_eq!(check_object(&merged, "id").map(drop), Ok(()), "{merged}");
}

const MOMENT: Moment = Moment { now: 1_700_000_000_000, dice: Epoch([3; 8]) };

/// A replica says Hello to an authority over this storage, which then hears these frames.
fn converse(storage: MemoryStorage, frames: &[&[u8]]) -> Option<(Replica, Vec<Box<[u8]>>)> {
    use neap_core::authority::Output;
    let mut authority = Authority::load(storage, Settings::default()).ok()?;
    let mut one = fresh();
    one.connected(MOMENT.now);
    authority.connect(1, Admission::OPEN, MOMENT.now);
    let hello = one.take_frame()?;
    let mut said = Vec::new();
    for frame in std::iter::once(&*hello).chain(frames.iter().copied()) {
        authority.receive(1, frame, MOMENT).ok()?;
        for output in authority.commit().ok()? {
            if let Output::Send { frame, .. } = output {
                said.push(frame);
            }
        }
    }
    Some((one, said))
}

/// Frames, each with its length in one byte before it.
fn frames(data: &[u8]) -> Vec<&[u8]> {
    let mut rest = data;
    let mut found = Vec::new();
    while let Some((&length, after)) = rest.split_first() {
        let (frame, after) = after.split_at(usize::from(length).min(after.len()));
        found.push(frame);
        rest = after;
    }
    found
}

/// What a peer says to an authority after an honest Hello, and what it is answered.
fn authority(data: &[u8]) {
    let Some((mut one, said)) = converse(MemoryStorage::new(), &frames(data)) else { return };
    let _ = one.open_pool("~p", Choice { primary: None, retain: None });
    for frame in said {
        assert!(wire::decode_down(&frame).is_ok(), "the authority says what is no frame");
        let _ = one.received(&frame, MOMENT.now);
    }
}

/// What a peer says to a replica that has a pending edit and an open pool.
fn replica(data: &[u8]) {
    use neap_core::{mutation::Condition, replica::OpKind};
    let Some((mut one, said)) = converse(MemoryStorage::new(), &[]) else { return };
    let _ = one.open_pool("~p", Choice { primary: None, retain: None });
    let edit = one.mutate(OpKind::Set, "c", "k", r#"{"id":"k"}"#, Condition::None);
    one.durable(edit.unwrap_or_default());
    for frame in said.iter().map(|frame| &**frame).chain(frames(data)) {
        let _ = one.received(frame, MOMENT.now);
        one.info_saved();
        while let Some(frame) = one.take_frame() {
            assert!(wire::decode_up(&frame).is_ok(), "the replica says what is no frame");
        }
        while one.take_changes().is_some() {}
        while one.take_events().is_some() {}
    }
    assert!(
        one.get("c", "k").is_none_or(|text| check_object(text, "id").is_ok() || text.len() > 10)
    );
    let _ = (one.account(), one.info(), one.keys("c"), one.digest());
}
