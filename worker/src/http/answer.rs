//! What a request is answered.

use worker::{Headers, Response, ResponseBuilder, Result};

use super::json::Object;

/// What a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    status: u16,
    body: Vec<u8>,
    etag: Option<u64>,
    allow: Option<&'static str>,
}

impl Answer {
    /// Answers with JSON.
    pub(crate) fn json(status: u16, body: Object) -> Answer {
        Answer { status, body: body.end(), etag: None, allow: None }
    }

    /// Answers with JSON that was made before.
    pub(crate) fn bytes(status: u16, body: Vec<u8>) -> Answer {
        Answer { status, body, etag: None, allow: None }
    }

    /// Answers with nothing.
    pub(crate) fn empty(status: u16) -> Answer {
        Answer::bytes(status, Vec::new())
    }

    /// Says no (RFC 9457).
    pub(crate) fn problem(status: u16, code: &str, detail: &str) -> Answer {
        let body = Object::new()
            .text("type", "about:blank")
            .text("title", title(status))
            .number("status", u64::from(status))
            .text("code", code)
            .text("detail", detail);
        Answer::json(status, body)
    }

    /// Says that the relay is there, and which.
    pub(crate) fn health() -> Answer {
        let version = env!("CARGO_PKG_VERSION");
        Answer::json(200, Object::new().flag("ok", true).text("version", version))
    }

    /// Our own fault. Whether anything was done cannot be told.
    pub(crate) fn internal() -> Answer {
        Answer::problem(500, "internal", "the relay failed; nothing was changed")
    }

    /// Says what method would do.
    pub(crate) fn wrong_method(allow: &'static str) -> Answer {
        let mut answer = Answer::problem(405, "method-not-allowed", "not with this method");
        answer.allow = Some(allow);
        answer
    }

    /// Marks the answer with the seq of the record that it shows.
    pub(crate) fn with_etag(mut self, seq: u64) -> Answer {
        self.etag = Some(seq);
        self
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Gives it to the platform.
    pub(crate) fn respond(self) -> Result<Response> {
        let headers = Headers::new();
        if !self.body.is_empty() {
            let is_problem = self.status >= 400 && self.status != 409;
            let kind = if is_problem || self.is_plain_problem() {
                "application/problem+json"
            } else {
                "application/json"
            };
            headers.set("Content-Type", kind)?;
            headers.set("Cache-Control", "no-store")?;
        }
        if let Some(seq) = self.etag {
            headers.set("ETag", &format!("\"{seq}\""))?;
        }
        if let Some(allow) = self.allow {
            headers.set("Allow", allow)?;
        }
        match self.status {
            401 => headers.set("WWW-Authenticate", "Bearer")?,
            426 => headers.set("Upgrade", "websocket")?,
            _ => {}
        }
        let builder = ResponseBuilder::new().with_status(self.status).with_headers(headers);
        Ok(if self.body.is_empty() { builder.empty() } else { builder.fixed(self.body) })
    }

    /// A refused mutation is a 409 too, and no problem document but its outcome.
    fn is_plain_problem(&self) -> bool {
        self.status == 409 && self.body.starts_with(b"{\"type\"")
    }
}

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
