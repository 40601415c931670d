//! What the operator sets, and what holds where nothing is set.

use neap_core::{authority, limits::SOCKETS_MAX};
use wasm_bindgen::JsValue;

use crate::platform::setting;

/// The relay's settings.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Bounds of the authority.
    pub(crate) bounds: authority::Settings,
    /// Most sockets of one datastore.
    pub(crate) sockets_max: usize,
    /// Secrets that tokens may be signed with; `None` in open mode.
    pub(crate) secrets: Option<Vec<String>>,
    /// Browser origins that may connect; `None` when all may.
    pub(crate) origins: Option<Vec<String>>,
}

impl Settings {
    /// Reads the settings from the worker's bindings. One that makes no sense is told in the log, and
    /// its default holds.
    pub(crate) fn read(bindings: &JsValue) -> Self {
        let defaults = authority::Settings::default();
        let ttl_max = number(bindings, "NEAP_MAX_TTL", u64::from(defaults.ttl_max));
        let sockets_max = number(bindings, "NEAP_MAX_SOCKETS", SOCKETS_MAX as u64);
        Settings {
            bounds: authority::Settings {
                ttl_max: u32::try_from(ttl_max).unwrap_or(u32::MAX),
                records_max: number(bindings, "NEAP_MAX_RECORDS", defaults.records_max),
                bytes_max: number(bindings, "NEAP_MAX_BYTES", defaults.bytes_max),
                history: number(bindings, "NEAP_HISTORY", defaults.history),
            },
            sockets_max: usize::try_from(sockets_max).unwrap_or(usize::MAX),
            secrets: secrets(bindings),
            origins: origins(setting(bindings, "NEAP_ORIGINS")),
        }
    }
}

fn number(bindings: &JsValue, name: &str, default: u64) -> u64 {
    let Some(text) = setting(bindings, name) else { return default };
    text.trim().parse().unwrap_or_else(|_| {
        worker::console_error!("{name} is not a whole number; {default} holds");
        default
    })
}

/// A secret that is set but empty signs nothing: the relay is then closed to everybody, not open.
fn secrets(bindings: &JsValue) -> Option<Vec<String>> {
    let current = setting(bindings, "NEAP_SECRET")?;
    if current.is_empty() {
        worker::console_error!("NEAP_SECRET is set to nothing; nobody is admitted");
    }
    let previous = setting(bindings, "NEAP_SECRET_PREVIOUS");
    let all = [Some(current), previous].into_iter().flatten();
    Some(all.filter(|secret| !secret.is_empty()).collect())
}

fn origins(text: Option<String>) -> Option<Vec<String>> {
    let text = text?;
    let each = || text.split(',').map(|origin| origin.trim().trim_end_matches('/'));
    if text.trim().is_empty() || each().any(|origin| origin == "*") {
        return None;
    }
    Some(each().filter(|origin| !origin.is_empty()).map(String::from).collect())
}
