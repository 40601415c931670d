//! Values that cross the boundary: JSON text, written by hand so that no JSON library rides along.

use alloc::{vec, vec::Vec};

use neap_core::{
    id::Seq,
    replica::{Change, Event, Origin, PoolState, ResetReason, Watch, ops_to_json},
    value::write_string,
    wire::{Presence, Shown},
};

/// Text is handed over in pieces of about this size, so that the buffers stay small: linear memory
/// that has grown never shrinks.
pub(crate) const PIECE_BYTES: usize = 256 * 1024;

/// Appends one change: its key, and where records are watched what was and what is.
pub(crate) fn write_change(out: &mut Vec<u8>, change: &Change) {
    out.push(b'[');
    write_string(out, &change.key);
    if change.watch == Watch::Records {
        for data in [&change.before, &change.after] {
            out.push(b',');
            out.extend(data.as_ref().map_or(&b"null"[..], |data| data.as_bytes()));
        }
    }
    out.push(b']');
}

/// Begins a piece of changes of one collection and origin.
pub(crate) fn begin_changes(collection: &str, origin: Origin) -> Vec<u8> {
    let mut out = vec![b'['];
    write_string(&mut out, collection);
    out.extend(match origin {
        Origin::Local => b",0,[",
        Origin::Remote => b",1,[",
    });
    out
}

/// Events as a JSON array, accepted turns in a row as one; nothing where there is none.
pub(crate) fn events_to_json(take: &mut dyn FnMut() -> Option<Event>) -> Option<Vec<u8>> {
    let mut next = Some(take()?);
    let mut out = vec![b'['];
    while let Some(event) = next {
        next = take();
        if out.len() > 1 {
            out.push(b',');
        }
        match event {
            Event::Accepted { turn, seq } => {
                tagged(&mut out, "settled", &[]);
                write_number(&mut out, turn.0);
                out.extend(b",[");
                write_seq(&mut out, seq);
                let mut last = turn;
                while let Some(Event::Accepted { turn, seq }) = next
                    && turn == last.next()
                {
                    last = turn;
                    out.push(b',');
                    write_seq(&mut out, seq);
                    next = take();
                }
                out.push(b']');
            }
            Event::Overtaken(turn) => {
                tagged(&mut out, "overtaken", &[]);
                write_number(&mut out, turn.0);
            }
            Event::Refused { turn, refusal, ops } => {
                tagged(&mut out, "refused", &[]);
                write_number(&mut out, turn.0);
                for text in [refusal.reason.code(), refusal.reason.message()] {
                    out.push(b',');
                    write_string(&mut out, text);
                }
                out.push(b',');
                out.extend(ops_to_json(&ops).bytes());
            }
            Event::Welcome => tagged(&mut out, "welcome", &[]),
            Event::Turned => tagged(&mut out, "turned", &[]),
            Event::Live => tagged(&mut out, "live", &[]),
            Event::Reset(ResetReason::Epoch) => tagged(&mut out, "reset", &["epoch"]),
            Event::Reset(ResetReason::History) => tagged(&mut out, "reset", &["history"]),
            Event::Renumbered => tagged(&mut out, "renumbered", &[]),
            Event::Expired => tagged(&mut out, "expired", &[]),
            Event::Stopped(code) => tagged(&mut out, "stopped", &[code]),
            Event::Pool(name) => tagged(&mut out, "pool", &[&name]),
            Event::Unseen => tagged(&mut out, "unseen", &[]),
            Event::Mismatch(name) => tagged(&mut out, "mismatch", &[&name]),
            Event::Presence(news) => write_presence(&mut out, &news),
            Event::Trouble(code) => tagged(&mut out, "error", &[code]),
        }
        out.push(b']');
    }
    out.push(b']');
    Some(out)
}

/// What a pool has converged on.
pub(crate) fn convergence(state: PoolState) -> Vec<u8> {
    let mut out = vec![b'['];
    write_number(&mut out, state.seq.0);
    out.push(b',');
    write_string(&mut out, &state.digest.to_hex());
    out.push(b']');
    out
}

/// `["presence", whether it is all, [[who, state or null], …]]`.
fn write_presence(out: &mut Vec<u8>, news: &Presence) {
    tagged(out, "presence", &[]);
    out.extend(if news.is_whole { &b",1,["[..] } else { b",0,[" });
    for (place, Shown { who, state }) in news.shown.iter().enumerate() {
        out.extend(if place > 0 { &b",[\""[..] } else { b"[\"" });
        write_number(out, *who);
        out.extend(b"\",");
        out.extend(state.as_ref().map_or(&b"null"[..], |state| state.as_bytes()));
        out.push(b']');
    }
    out.push(b']');
}

/// Begins an event: its name and texts; a comma follows where more does.
fn tagged(out: &mut Vec<u8>, name: &str, texts: &[&str]) {
    out.push(b'[');
    write_string(out, name);
    for text in texts {
        out.push(b',');
        write_string(out, text);
    }
    if matches!(name, "settled" | "refused" | "overtaken") {
        out.push(b',');
    }
}

fn write_seq(out: &mut Vec<u8>, seq: Option<Seq>) {
    match seq {
        Some(seq) => write_number(out, seq.0),
        None => out.extend(b"null"),
    }
}

fn write_number(out: &mut Vec<u8>, mut number: u64) {
    let start = out.len();
    loop {
        out.push(b'0' + u8::try_from(number % 10).unwrap_or(0));
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}

#[cfg(test)]
mod tests {
    use neap_core::{
        id::Turn,
        mutation::{Reason, Refusal},
    };

    use super::*;

    fn json(events: Vec<Event>) -> Option<String> {
        let mut events = events.into_iter();
        events_to_json(&mut || events.next()).map(|out| String::from_utf8(out).unwrap_or_default())
    }

    #[test]
    fn events_become_json() {
        let accepted =
            |turn, seq: Option<u64>| Event::Accepted { turn: Turn(turn), seq: seq.map(Seq) };
        let refusal = Refusal { reason: Reason::NotFound, op: 0 };
        let events = vec![
            accepted(1, Some(10)),
            accepted(2, None),
            Event::Refused { turn: Turn(3), refusal, ops: Box::new([0]) },
            accepted(4, Some(1_000)),
            Event::Reset(ResetReason::Epoch),
            Event::Live,
        ];
        assert_eq!(
            json(events).as_deref(),
            Some(
                r#"[["settled",1,[10,null]],["refused",3,"not-found","there is no record to patch under this key",[]],["settled",4,[1000]],["reset","epoch"],["live"]]"#
            )
        );
        assert_eq!(json(Vec::new()), None);
        let shown = |who, state: Option<&str>| Shown { who, state: state.map(Into::into) };
        let shown = vec![shown(7, Some(r#"{"x":1}"#)), shown((1 << 53) - 1, None)];
        let events = vec![Event::Presence(Presence { is_whole: true, shown }), Event::Live];
        assert_eq!(
            json(events).as_deref(),
            Some(r#"[["presence",1,[["7",{"x":1}],["9007199254740991",null]]],["live"]]"#)
        );
    }
}
