//! The interface, machine-readable.

use crate::{Answer, Settings};

/// Kept by hand beside the router; the test below holds each against the other.
const DOCUMENT: &str = include_str!("openapi.json");

/// What it says that a relay's settings may make untrue.
const TTL_MAX: &str = r#""maximum": 2592000"#;
const NEEDS_TOKEN: &str = r#""security": [{"token""#;

/// Gives the document (OpenAPI 3.1), as it is true of a relay with these settings.
pub(crate) fn answer(settings: &Settings) -> Answer {
    let ttl_max = format!(r#""maximum": {}"#, settings.bounds.ttl_max);
    let text = DOCUMENT.replace(TTL_MAX, &ttl_max);
    let text = match settings.secrets {
        Some(_) => text,
        None => text.replace(NEEDS_TOKEN, r#""security": [{}, {"token""#),
    };
    Answer::bytes(200, text.into_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::route::{Method, Route, Target};

    /// Every target, as its path is written in the document.
    fn paths() -> BTreeMap<&'static str, Route> {
        let (collection, key) = (String::from("c"), String::from("k"));
        let all = [
            Target::Health,
            Target::Openapi,
            Target::Datastores,
            Target::Datastore,
            Target::Records { collection: collection.clone() },
            Target::Record { collection, key },
            Target::Mutations,
            Target::Changes,
            Target::Items { pool: "p".into() },
            Target::Socket,
            Target::Stats,
            Target::Export,
            Target::Import,
        ];
        let path = |target: &Target| match target {
            Target::Health => "/v1/health",
            Target::Openapi => "/v1/openapi.json",
            Target::Datastores => "/v1/datastores",
            Target::Datastore => "/v1/datastores/{id}",
            Target::Records { .. } => "/v1/datastores/{id}/collections/{collection}/records",
            Target::Record { .. } => "/v1/datastores/{id}/collections/{collection}/records/{key}",
            Target::Mutations => "/v1/datastores/{id}/mutations",
            Target::Items { .. } => "/v1/datastores/{id}/pools/{pool}/items",
            Target::Changes => "/v1/datastores/{id}/changes",
            Target::Socket => "/v1/datastores/{id}/socket",
            Target::Export => "/v1/datastores/{id}/export",
            Target::Import => "/v1/datastores/{id}/import",
            Target::Stats => "/v1/datastores/{id}/stats",
            #[cfg(feature = "contract")]
            Target::Contract => "",
        };
        all.map(|target| (path(&target), Route { target, id: String::new() })).into()
    }

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    const METHODS: [(&str, Method); 5] = [
        ("get", Method::Get),
        ("post", Method::Post),
        ("put", Method::Put),
        ("patch", Method::Patch),
        ("delete", Method::Delete),
    ];

    #[test]
    fn the_router_and_the_document_have_the_same_paths_and_methods() {
        let document = document();
        let described = document["paths"].as_object().unwrap();
        let routes = paths();
        assert!(described.keys().eq(routes.keys()), "{:?} {:?}", described.keys(), routes.keys());
        for (path, route) in routes {
            let sample = path.strip_prefix("/v1").unwrap();
            let sample =
                sample.replace("{id}", "a").replace("{collection}", "c").replace("{pool}", "p");
            let parsed = Route::parse(&sample.replace("{key}", "k")).unwrap();
            assert_eq!(parsed.target, route.target, "{path}");
            for (name, method) in METHODS {
                let is_described = described[path].get(name).is_some();
                assert_eq!(is_described, route.need(method).is_some(), "{name} {path}");
                let is_allowed = route.allow().contains(&name.to_uppercase());
                assert_eq!(is_described, is_allowed, "{name} {path}");
            }
        }
    }

    #[test]
    fn the_document_says_what_is_true_of_this_relay() {
        let served = |name: &'static str, value: &'static str| {
            let get = |asked: &str| (asked == name).then(|| String::from(value));
            let settings = Settings::read(get, |complaint| assert_eq!(complaint, ""));
            serde_json::from_slice::<Value>(answer(&settings).body()).unwrap()
        };
        let ttl_max = "/components/schemas/Ttl/maximum";
        let security = "/paths/~1v1~1datastores/post/security";
        let open = served("NEAP_MAX_TTL", "77");
        assert_eq!(open.pointer(ttl_max).unwrap(), 77);
        assert_eq!(open.pointer(security).unwrap(), &json!([{}, {"token": ["write"]}]));
        let closed = served("NEAP_SECRET", "s");
        assert_eq!(closed, document());
        let usual = Settings::read(|_| None, |_| {}).bounds.ttl_max;
        assert_eq!(closed.pointer(ttl_max).unwrap(), usual);
        assert_eq!(closed.pointer(security).unwrap(), &json!([{"token": ["write"]}]));
        // Each place is found by its text.
        let operations = || {
            METHODS.iter().flat_map(|(name, _)| paths().into_keys().map(move |path| (path, name)))
        };
        let guarded = operations()
            .filter(|(path, name)| !closed["paths"][path][name]["security"][0].is_null());
        assert_eq!(DOCUMENT.matches(NEEDS_TOKEN).count(), guarded.count());
    }

    #[test]
    fn every_reference_leads_somewhere_and_the_version_is_ours() {
        fn visit(value: &Value, whole: &Value) {
            if let Some(link) = value.get("$ref").and_then(Value::as_str) {
                assert!(whole.pointer(link.strip_prefix('#').unwrap()).is_some(), "{link}");
            }
            match value {
                Value::Object(members) => members.values().for_each(|value| visit(value, whole)),
                Value::Array(values) => values.iter().for_each(|value| visit(value, whole)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        let document = document();
        visit(&document, &document);
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(document["openapi"], "3.1.0");
    }
}
