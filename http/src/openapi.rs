//! The interface, machine-readable.

use crate::Answer;

/// Kept by hand beside the router; the test below holds each against the other.
const DOCUMENT: &str = include_str!("openapi.json");

/// Gives the document (OpenAPI 3.1).
pub(crate) fn answer() -> Answer {
    Answer::bytes(200, DOCUMENT.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

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
