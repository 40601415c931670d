//! What a URL speaks of, and what may be done with it.

use std::borrow::Cow;

use neap_core::id::{check_key, check_name};
use percent_encoding::percent_decode_str;

use crate::admit::Need;

/// Methods of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

impl Method {
    pub(crate) fn from_name(name: &str) -> Option<Method> {
        Some(match name {
            // Whoever carries the answer leaves its body out.
            "GET" | "HEAD" => Method::Get,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "DELETE" => Method::Delete,
            "OPTIONS" => Method::Options,
            _ => return None,
        })
    }
}

/// What a path under `/v1` speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Health,
    Openapi,
    Datastores,
    Datastore,
    Records {
        collection: String,
    },
    Record {
        collection: String,
        key: String,
    },
    Mutations,
    Changes,
    Items {
        pool: String,
    },
    Socket,
    Stats,
    Export,
    Import,
    #[cfg(feature = "contract")]
    Contract,
}

/// A path under `/v1`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) target: Target,
    /// The datastore; empty where the path names none.
    pub(crate) id: String,
}

/// Why a path speaks of nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoute {
    Unknown,
    /// A datastore or a collection has a bad name.
    Name,
    /// A key is empty or too long.
    Key,
}

impl Route {
    /// Takes apart what follows `/v1`.
    pub(crate) fn parse(rest: &str) -> Result<Route, NoRoute> {
        let mut parts = rest.strip_prefix('/').ok_or(NoRoute::Unknown)?.split('/');
        let plain = |target| Ok(Route { target, id: String::new() });
        let first = parts.next().unwrap_or("");
        let id = parts.next();
        match (first, id) {
            ("health", None) => return plain(Target::Health),
            ("openapi.json", None) => return plain(Target::Openapi),
            ("datastores", None) => return plain(Target::Datastores),
            ("datastores", Some(_)) => {}
            _ => return Err(NoRoute::Unknown),
        }
        let rest: Vec<&str> = parts.collect();
        let target = match rest.as_slice() {
            [] => Target::Datastore,
            ["mutations"] => Target::Mutations,
            ["pools", pool, "items"] => Target::Items { pool: name(pool)? },
            ["changes"] => Target::Changes,
            ["socket"] => Target::Socket,
            ["export"] => Target::Export,
            ["import"] => Target::Import,
            ["stats"] => Target::Stats,
            #[cfg(feature = "contract")]
            ["contract"] => Target::Contract,
            ["collections", collection, "records"] => {
                Target::Records { collection: name(collection)? }
            }
            ["collections", collection, "records", key] => {
                let collection = name(collection)?;
                Target::Record { collection, key: decode_key(key)? }
            }
            _ => return Err(NoRoute::Unknown),
        };
        Ok(Route { target, id: name(id.unwrap_or(""))? })
    }

    /// The methods that it takes, as `Allow` tells them.
    pub(crate) fn allow(&self) -> &'static str {
        match self.target {
            Target::Health
            | Target::Openapi
            | Target::Records { .. }
            | Target::Changes
            | Target::Socket
            | Target::Stats
            | Target::Export => "GET, HEAD, OPTIONS",
            Target::Datastores | Target::Mutations | Target::Import => "POST, OPTIONS",
            Target::Items { .. } => "GET, HEAD, POST, OPTIONS",
            Target::Datastore => "GET, HEAD, PATCH, DELETE, OPTIONS",
            Target::Record { .. } => "GET, HEAD, PUT, PATCH, DELETE, OPTIONS",
            #[cfg(feature = "contract")]
            Target::Contract => "POST, OPTIONS",
        }
    }

    /// Whether it takes a method, and what that needs.
    pub(crate) fn need(&self, method: Method) -> Option<Need> {
        Some(match (&self.target, method) {
            (
                Target::Health
                | Target::Openapi
                | Target::Records { .. }
                | Target::Record { .. }
                | Target::Changes
                | Target::Items { .. }
                | Target::Socket
                | Target::Stats
                | Target::Datastore,
                Method::Get,
            ) => Need::Read,
            (Target::Datastores | Target::Mutations | Target::Items { .. }, Method::Post) => {
                Need::Write
            }
            (Target::Record { .. }, Method::Put | Method::Patch | Method::Delete) => Need::Write,
            (Target::Datastore, Method::Patch | Method::Delete)
            | (Target::Export, Method::Get)
            | (Target::Import, Method::Post) => Need::Admin,
            #[cfg(feature = "contract")]
            (Target::Contract, Method::Post) => Need::Admin,
            _ => return None,
        })
    }
}

/// What is percent-encoded, and nothing that only begins as if it were.
fn decode(part: &str) -> Option<Cow<'_, str>> {
    let is_escape = |rest: &str| {
        rest.as_bytes().first_chunk::<2>().is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
    };
    part.split('%').skip(1).all(is_escape).then_some(())?;
    percent_decode_str(part).decode_utf8().ok()
}

fn name(part: &str) -> Result<String, NoRoute> {
    let name = decode(part).ok_or(NoRoute::Name)?;
    check_name(&name).map_err(|_| NoRoute::Name)?;
    Ok(name.into_owned())
}

fn decode_key(part: &str) -> Result<String, NoRoute> {
    let key = decode(part).ok_or(NoRoute::Key)?;
    check_key(&key).map_err(|_| NoRoute::Key)?;
    Ok(key.into_owned())
}
