//! What an operator hears: one line of JSON for each connect, refusal, reset and error, and beside it a data
//! point for Analytics Engine where that is bound.
//!
//! No line holds a record, a key, a token or a public id, which is a permission in open mode: an object is
//! named as the platform names it. A flood is counted, not told: see [`LOG_LINES_MAX`].

use std::cell::Cell;

use js_sys::{Array, Object as JsObject, Reflect};
use neap_core::{
    authority::Stats,
    limits::{LOG_LINES_MAX, LOG_WINDOW_MS},
};
use neap_http::Object;
use wasm_bindgen::prelude::*;

use crate::platform::now;

/// The binding of the Analytics Engine's data set, where there is one.
const ANALYTICS: &str = "NEAP_ANALYTICS";

#[wasm_bindgen]
extern "C" {
    /// A data set of Analytics Engine.
    type Analytics;

    #[wasm_bindgen(method, catch, js_name = writeDataPoint)]
    fn write(this: &Analytics, point: &JsObject) -> Result<(), JsValue>;

    #[wasm_bindgen(js_namespace = console, js_name = log)]
    fn line(text: &str);
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A socket was taken.
    Connect,
    /// A socket is gone.
    Leave,
    /// Somebody was told no: a request, a socket, or mutations.
    Refusal,
    /// A group of jobs was rolled back, and the object's memory thrown away.
    Reset,
    /// Something failed that should not.
    Error,
}

impl Event {
    const fn name(self) -> &'static str {
        match self {
            Event::Connect => "connect",
            Event::Leave => "leave",
            Event::Refusal => "refusal",
            Event::Reset => "reset",
            Event::Error => "error",
        }
    }
}

thread_local! {
    /// Since when lines are counted, how many were written, how many were not.
    static WINDOW: Cell<(u64, u32, u64)> = const { Cell::new((0, 0, 0)) };
}

/// Takes a place in the log: how many lines have been left out before this one, or `None` when this one is.
fn place() -> Option<u64> {
    let now = now();
    let (since, written, dropped) = WINDOW.get();
    if now.abs_diff(since) >= LOG_WINDOW_MS {
        WINDOW.set((now, 1, 0));
        return Some(dropped);
    }
    if written < LOG_LINES_MAX {
        WINDOW.set((since, written.saturating_add(1), 0));
        return Some(dropped);
    }
    WINDOW.set((since, written, dropped.saturating_add(1)));
    None
}

/// Tells where one object's events go.
pub(crate) struct Log {
    object: String,
    analytics: Option<Analytics>,
}

impl Log {
    /// Logs for an object, or for the worker itself where that has no name.
    pub(crate) fn new(object: String, bindings: &JsValue) -> Self {
        let bound = Reflect::get(bindings, &JsValue::from_str(ANALYTICS)).ok();
        let bound = bound.filter(|value| value.is_object());
        Log { object, analytics: bound.map(JsCast::unchecked_into) }
    }

    /// Tells what has happened: a public code or, for a fault of ours, what the platform said of it; how often;
    /// and how the datastore stands.
    pub(crate) fn tell(&self, event: Event, code: &str, count: u64, stats: Stats) {
        let Some(dropped) = place() else { return };
        // Nobody needs to read of each tab that is closed.
        if event != Event::Leave {
            let mut text = Object::new().text("event", event.name()).text("code", code);
            if !self.object.is_empty() {
                text = text.text("object", &self.object);
            }
            text = text.number("count", count).number("sockets", stats.sockets);
            if dropped > 0 {
                text = text.number("dropped", dropped);
            }
            line(&String::from_utf8_lossy(&text.end()));
        }
        if let Some(analytics) = &self.analytics {
            // Counters that fail are no reason to fail.
            let _ = point(&self.object, event, code, count, stats).map(|it| analytics.write(&it));
        }
    }
}

/// A data point: one index, two texts, nine numbers, in an order that ARCHITECTURE.md writes down and that never
/// changes.
fn point(
    object: &str,
    event: Event,
    code: &str,
    count: u64,
    stats: Stats,
) -> Result<JsObject, JsValue> {
    let point = JsObject::new();
    let put = |name: &str, values: Array| Reflect::set(&point, &JsValue::from_str(name), &values);
    put("indexes", Array::of1(&JsValue::from_str(object)))?;
    put("blobs", Array::of2(&JsValue::from_str(event.name()), &JsValue::from_str(code)))?;
    let counts = stats.counts;
    let numbers = [
        count,
        stats.sockets,
        stats.members,
        stats.records,
        stats.bytes,
        stats.tombstones,
        counts.mutations,
        counts.refusals,
        counts.wakes,
    ];
    put("doubles", numbers.iter().map(|number| JsValue::from_f64(*number as f64)).collect())?;
    Ok(point)
}
