//! A request without its body.

use crate::{
    PROTOCOL,
    admit::{TOKEN_PROTOCOL, subject},
    route::{Method, Route, Target},
};

/// A request without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The method; `None` where it is none of the interface's.
    pub(crate) method: Option<Method>,
    /// The path, percent-encoded as it came.
    pub(crate) path: String,
    /// What follows the question mark, as it came.
    pub(crate) query: String,
    headers: Vec<(&'static str, String)>,
}

impl Head {
    /// The headers that the interface looks at.
    pub const HEADERS: [&'static str; 8] = [
        "Authorization",
        "CF-Connecting-IP",
        "Idempotency-Key",
        "If-Match",
        "If-None-Match",
        "Origin",
        "Sec-WebSocket-Protocol",
        "Upgrade",
    ];

    /// Reads a request, of whose URL only path and query count, asking for each header by its name.
    ///
    /// # Errors
    /// What `header` fails with.
    pub fn read<E>(
        method: &str,
        url: &str,
        mut header: impl FnMut(&'static str) -> Result<Option<String>, E>,
    ) -> Result<Head, E> {
        let mut headers = Vec::new();
        for name in Self::HEADERS {
            if let Some(value) = header(name)? {
                headers.push((name, value));
            }
        }
        let (path, query) = split_url(url);
        Ok(Head {
            method: Method::from_name(method),
            path: path.into(),
            query: query.into(),
            headers,
        })
    }

    /// Whether its path is one of the interface's, which begin with `/v1`.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.rest().is_some()
    }

    /// Whether its body is to be read as it comes, however long it is, and not before it is answered.
    #[must_use]
    pub fn is_streamed(&self) -> bool {
        let route = self.rest().and_then(|rest| Route::parse(rest).ok());
        self.method == Some(Method::Post) && route.is_some_and(|to| to.target == Target::Import)
    }

    /// What follows `/v1` in the path, if the interface has it.
    pub(crate) fn rest(&self) -> Option<&str> {
        let rest = self.path.strip_prefix("/v1")?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    /// The value of one of [`HEADERS`](Self::HEADERS).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(found, _)| *found == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether it asks for a WebSocket.
    pub(crate) fn is_upgrade(&self) -> bool {
        let upgrade = self.header("Upgrade");
        upgrade.is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"))
    }

    /// Whether our subprotocol is among those that it offers.
    pub(crate) fn speaks_ours(&self) -> bool {
        self.protocols().any(|protocol| protocol == PROTOCOL)
    }

    /// The token that it bears.
    pub(crate) fn token(&self) -> Option<&str> {
        let bearer = self.header("Authorization").and_then(|value| value.split_once(' '));
        let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let offered = || self.protocols().find_map(|one| one.strip_prefix(TOKEN_PROTOCOL));
        bearer.map(|(_, token)| token.trim()).or_else(offered)
    }

    /// Stands for the client's address, which the platform in front of the relay tells.
    pub(crate) fn client(&self) -> u64 {
        subject(self.header("CF-Connecting-IP").unwrap_or(""))
    }

    fn protocols(&self) -> impl Iterator<Item = &str> {
        let offered = self.header("Sec-WebSocket-Protocol").unwrap_or("");
        offered.split(',').map(str::trim)
    }
}

/// The path and the query of a URL.
fn split_url(url: &str) -> (&str, &str) {
    let after = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after.find(['/', '?', '#']).and_then(|at| after.get(at..)).unwrap_or("/");
    let path = path.split_once('#').map_or(path, |(path, _)| path);
    path.split_once('?').unwrap_or((path, ""))
}
