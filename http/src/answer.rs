//! What a request is answered.

use neap_core::authority::Trouble;

use crate::json::Object;

/// What a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    /// Answers with JSON.
    #[must_use]
    pub fn json(status: u16, body: Object) -> Answer {
        Answer::bytes(status, body.end())
    }

    /// Answers with JSON that was made before.
    #[must_use]
    pub fn bytes(status: u16, body: Vec<u8>) -> Answer {
        Answer::of_type(status, "application/json", body)
    }

    /// Answers with nothing.
    #[must_use]
    pub fn empty(status: u16) -> Answer {
        Answer { status, headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn of_type(status: u16, content_type: &str, body: Vec<u8>) -> Answer {
        let mut answer = Answer { status, headers: Vec::new(), body };
        answer.set("Content-Type", content_type);
        answer.set("Cache-Control", "no-store");
        answer
    }

    /// Says no (RFC 9457).
    #[must_use]
    pub fn problem(status: u16, code: &str, detail: &str) -> Answer {
        let body = Object::new()
            .text("type", "about:blank")
            .text("title", title(status))
            .number("status", u64::from(status))
            .text("code", code)
            .text("detail", detail);
        let mut answer = Answer::of_type(status, PROBLEM, body.end());
        match status {
            401 => answer.set("WWW-Authenticate", "Bearer"),
            426 => answer.set("Upgrade", "websocket"),
            _ => {}
        }
        answer
    }

    /// Says that the relay is there, and which.
    #[must_use]
    pub(crate) fn health() -> Answer {
        let version = env!("CARGO_PKG_VERSION");
        Answer::json(200, Object::new().flag("ok", true).text("version", version))
    }

    /// Our own fault.
    #[must_use]
    pub fn internal() -> Answer {
        Answer::problem(500, "internal", "the relay failed; nothing was changed")
    }

    /// The relay was restarted while it was at it. Whether anything was done cannot be told.
    #[must_use]
    pub fn lost() -> Answer {
        let detail =
            "the relay was restarted meanwhile; whether it has carried this out is not known";
        let mut answer = Answer::problem(503, "unavailable", detail);
        answer.set("Retry-After", "1");
        answer
    }

    /// Our own fault, as far as it can be told: nothing of it has happened.
    #[must_use]
    pub fn trouble<E>(trouble: &Trouble<E>) -> Answer {
        match trouble {
            Trouble::Foreign => Answer::foreign(),
            Trouble::Storage(_) | Trouble::Corrupt => Answer::internal(),
        }
    }

    /// Where the datastore was stored by another version of the relay. It is left as it is.
    #[must_use]
    pub fn foreign() -> Answer {
        let detail =
            "another version of the relay has stored this datastore, and this one cannot read it";
        Answer::problem(500, "stored-format", detail)
    }

    /// Where there is no datastore, or none any more.
    #[must_use]
    pub fn absent() -> Answer {
        Answer::problem(404, "not-found", "there is no such datastore")
    }

    /// Where nothing is served.
    #[must_use]
    pub fn nothing_here() -> Answer {
        Answer::problem(404, "not-found", "there is nothing here")
    }

    /// Where a body is longer than [`BODY_BYTES_MAX`](neap_core::limits::BODY_BYTES_MAX).
    #[must_use]
    pub fn too_large() -> Answer {
        Answer::problem(413, "too-large", "a body is at most 1 MiB")
    }

    /// Where a body has broken off.
    #[must_use]
    pub fn torn() -> Answer {
        Answer::problem(400, "invalid-json", "the body has broken off")
    }

    /// Says that it was too fast, and after how many seconds it is not.
    pub(crate) fn too_fast(seconds: u64) -> Answer {
        let mut answer = Answer::problem(429, "rate-limited", "too much in a short time");
        answer.set("Retry-After", &seconds.to_string());
        answer
    }

    /// Says what method would do.
    pub(crate) fn wrong_method(allow: &str) -> Answer {
        let mut answer = Answer::problem(405, "method-not-allowed", "not with this method");
        answer.set("Allow", allow);
        answer
    }

    /// Answers what a browser asks before a request from another origin.
    pub(crate) fn preflight(allow: Option<&str>) -> Answer {
        let mut answer = Answer::empty(204);
        if let Some(allow) = allow {
            answer.set("Allow", allow);
        }
        answer.set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE, OPTIONS");
        let allowed = "Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key";
        answer.set("Access-Control-Allow-Headers", allowed);
        answer.set("Access-Control-Max-Age", "86400");
        answer
    }

    /// Marks the answer with the seq of the record that it shows.
    pub(crate) fn with_etag(mut self, seq: u64) -> Answer {
        self.set("ETag", &format!("\"{seq}\""));
        self
    }

    /// Says of JSON that was made before that it is a problem.
    pub(crate) fn into_problem(self) -> Answer {
        Answer::of_type(self.status, PROBLEM, self.body)
    }

    fn set(&mut self, name: &'static str, value: &str) {
        self.headers.push((name, value.into()));
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The headers, each name once.
    #[must_use]
    pub fn headers(&self) -> &[(&'static str, String)] {
        &self.headers
    }

    /// The body; empty where there is none.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body, given away.
    #[must_use]
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }
}

/// The type of a body that says no (RFC 9457).
const PROBLEM: &str = "application/problem+json";

fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        507 => "Insufficient Storage",
        _ => "Internal Server Error",
    }
}
