//! What the operator sets, and what holds where nothing is set.

use neap_core::{
    authority,
    limits::{OPENINGS_BURST, OPENINGS_PER_SECOND, SOCKETS_MAX},
};

use neap_core::rate::{Rate, Rates};

/// The relay's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bounds of the authority.
    pub bounds: authority::Settings,
    /// Most sockets of one datastore.
    pub sockets_max: usize,
    /// How fast one client may open sockets and datastores.
    pub openings: Rate,
    /// Secrets that tokens may be signed with; `None` in open mode.
    pub secrets: Option<Vec<String>>,
    /// Browser origins that may connect; `None` when all may.
    pub origins: Option<Vec<String>>,
}

impl Settings {
    /// Reads the settings by their names. One that makes no sense is complained of, and its default
    /// holds.
    pub fn read(get: impl Fn(&str) -> Option<String>, mut complain: impl FnMut(&str)) -> Self {
        let defaults = authority::Settings::default();
        let mut rate = |name, default| rate(get(name), name, default, &mut complain);
        let usual = Rates::default();
        let rates = Rates {
            mutations: rate("NEAP_RATE_MUTATIONS", usual.mutations),
            bytes: rate("NEAP_RATE_BYTES", usual.bytes),
        };
        let usual = Rate { per_second: OPENINGS_PER_SECOND, burst: OPENINGS_BURST };
        let openings = rate("NEAP_RATE_OPENINGS", usual);
        // No temporary datastore lives for no time.
        let ttl_max = u64::from(defaults.ttl_max);
        let ttl_max = number(get("NEAP_MAX_TTL"), "NEAP_MAX_TTL", ttl_max, 1, &mut complain);
        let mut number = |name, default| number(get(name), name, default, 0, &mut complain);
        let sockets_max = number("NEAP_MAX_SOCKETS", SOCKETS_MAX as u64);
        let bounds = authority::Settings {
            ttl_max: u32::try_from(ttl_max).unwrap_or(u32::MAX),
            records_max: number("NEAP_MAX_RECORDS", defaults.records_max),
            bytes_max: number("NEAP_MAX_BYTES", defaults.bytes_max),
            history: number("NEAP_HISTORY", defaults.history),
            rates,
        };
        Settings {
            bounds,
            openings,
            sockets_max: usize::try_from(sockets_max).unwrap_or(usize::MAX),
            secrets: secrets(&get, &mut complain),
            origins: origins(get("NEAP_ORIGINS"), &mut complain),
        }
    }
}

fn number(
    text: Option<String>,
    name: &str,
    default: u64,
    least: u64,
    complain: &mut impl FnMut(&str),
) -> u64 {
    let Some(text) = text else { return default };
    let whole = text.trim().parse().ok().filter(|number| *number >= least);
    whole.unwrap_or_else(|| {
        let above = if least > 0 { " above zero" } else { "" };
        complain(&format!("{name} is not a whole number{above}; {default} holds"));
        default
    })
}

fn rate(text: Option<String>, name: &str, default: Rate, complain: &mut impl FnMut(&str)) -> Rate {
    let Some(text) = text else { return default };
    Rate::parse(&text).unwrap_or_else(|| {
        let Rate { per_second, burst } = default;
        complain(&format!("{name} is not like 1000 or 1000:20000; {per_second}:{burst} holds"));
        default
    })
}

/// A secret that is set but empty signs nothing: the relay is then closed to everybody, not open. Nor does a previous one
/// alone leave it open: somebody has forgotten the other.
fn secrets(
    get: &impl Fn(&str) -> Option<String>,
    complain: &mut impl FnMut(&str),
) -> Option<Vec<String>> {
    let current = get("NEAP_SECRET");
    let previous = get("NEAP_SECRET_PREVIOUS").filter(|secret| !secret.is_empty());
    match &current {
        Some(secret) if secret.is_empty() => {
            complain("NEAP_SECRET is set to nothing; nobody is admitted");
        }
        None if previous.is_some() => {
            complain("NEAP_SECRET is not set; only tokens under NEAP_SECRET_PREVIOUS are admitted");
        }
        None => return None,
        Some(_) => {}
    }
    let all = [current, previous].into_iter().flatten();
    Some(all.filter(|secret| !secret.is_empty()).collect())
}

fn origins(text: Option<String>, complain: &mut impl FnMut(&str)) -> Option<Vec<String>> {
    let text = text?;
    let each = || text.split(',').map(str::trim);
    if text.trim().is_empty() || each().any(|origin| origin == "*") {
        return None;
    }
    let all: Vec<String> = each().filter(|origin| !origin.is_empty()).map(as_sent).collect();
    for origin in &all {
        let (_, host) = origin.split_once("://").unwrap_or_default();
        if host.is_empty() || host.contains(['/', '*', ' ']) {
            complain(&format!(
                "NEAP_ORIGINS has {origin}, which is no origin like https://app.example.com"
            ));
        }
    }
    Some(all)
}

/// An origin as browsers send it (WHATWG URL, 4.5): in lower case, without the port that is its scheme's own.
fn as_sent(origin: &str) -> String {
    let origin = origin.trim_end_matches('/').to_ascii_lowercase();
    let usual = if origin.starts_with("https:") { ":443" } else { ":80" };
    origin.strip_suffix(usual).unwrap_or(&origin).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_told_with_its_default() {
        let told = include_str!("../../template/README.md");
        let says =
            |name: &str, default: String| told.contains(&format!("| `{name}` | {default} |"));
        let usual = Settings::read(|_| None, |_| {});
        let authority::Settings { ttl_max, records_max, bytes_max, history, rates } = usual.bounds;
        let rate = |Rate { per_second, burst }| format!("{per_second}:{burst}");
        let defaults = [
            ("NEAP_SECRET", "none".into()),
            ("NEAP_SECRET_PREVIOUS", "none".into()),
            ("NEAP_ORIGINS", "`*`".into()),
            ("NEAP_MAX_RECORDS", records_max.to_string()),
            ("NEAP_MAX_BYTES", bytes_max.to_string()),
            ("NEAP_MAX_SOCKETS", usual.sockets_max.to_string()),
            ("NEAP_MAX_TTL", ttl_max.to_string()),
            ("NEAP_HISTORY", history.to_string()),
            ("NEAP_RATE_MUTATIONS", rate(rates.mutations)),
            ("NEAP_RATE_BYTES", rate(rates.bytes)),
            ("NEAP_RATE_OPENINGS", rate(usual.openings)),
        ];
        for (name, default) in &defaults {
            assert!(says(name, default.clone()), "{name} {default}");
        }
        let asked = std::cell::RefCell::new(Vec::new());
        let some = |name: &str| {
            asked.borrow_mut().push(name.to_owned());
            Some("1".into())
        };
        Settings::read(some, |_| {});
        let mut asked = asked.into_inner();
        asked.sort();
        asked.dedup();
        let mut known = defaults.map(|(name, _)| name);
        known.sort_unstable();
        assert_eq!(asked, known, "the table is whole");
    }

    #[test]
    fn what_makes_no_sense_is_complained_of_and_opens_nothing() {
        let read = |of: &str, is: &str| {
            let mut complaints = Vec::new();
            let get = |name: &str| (name == of).then(|| is.into());
            let settings = Settings::read(get, |text| complaints.push(text.to_owned()));
            (settings, complaints)
        };
        let (settings, complaints) = read("NEAP_SECRET_PREVIOUS", "old");
        assert_eq!(settings.secrets, Some(vec!["old".into()]));
        let why = "NEAP_SECRET is not set; only tokens under NEAP_SECRET_PREVIOUS are admitted";
        assert_eq!(complaints, [why]);
        assert_eq!(read("NEAP_SECRET_PREVIOUS", "").0.secrets, None);
        assert_eq!(read("NEAP_SECRET", "").0.secrets, Some(Vec::new()));
        let (settings, complaints) = read("NEAP_MAX_TTL", "0");
        assert_eq!(settings.bounds.ttl_max, authority::Settings::default().ttl_max);
        assert_eq!(complaints, ["NEAP_MAX_TTL is not a whole number above zero; 2592000 holds"]);
        assert_eq!(read("NEAP_MAX_RECORDS", "0").1, Vec::<String>::new(), "that takes nothing new");
    }

    #[test]
    fn origins_are_meant_as_browsers_write_them() {
        let read = |text: &str| {
            let mut complaints = 0;
            let get = |name: &str| (name == "NEAP_ORIGINS").then(|| text.into());
            (Settings::read(get, |_| complaints += 1).origins, complaints)
        };
        let some = |all: &[&str]| Some(all.iter().map(ToString::to_string).collect());
        assert_eq!(read("*"), (None, 0));
        assert_eq!(read(" https://a.b , * "), (None, 0));
        assert_eq!(read("HTTPS://App.Example.com:443/"), (some(&["https://app.example.com"]), 0));
        assert_eq!(read("http://a:80,http://a:8080"), (some(&["http://a", "http://a:8080"]), 0));
        assert_eq!(read("https://a:80"), (some(&["https://a:80"]), 0));
        for none in
            ["a.b", "https://*.a.b", "https://a.b/path", "https://", "https://a.b https://c.d"]
        {
            assert_eq!(read(none).1, 1, "{none}");
        }
    }
}
