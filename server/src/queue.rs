//! What a shard is asked for.

use axum::body::Bytes;
use neap_core::{
    authority::{Admission, Authority, Moment, SessionId, Trouble},
    id::Name,
};
use neap_http::{Answer, Request, Write};
use tokio::sync::oneshot;

use crate::{
    links::Link,
    rows::{Failure, SqlRows},
};

/// Something for a shard to do with a datastore.
pub(crate) struct Job {
    pub(crate) id: Name,
    pub(crate) what: What,
}

/// What is to be done.
pub(crate) enum What {
    /// Answer a request.
    Request { request: Request, reply: oneshot::Sender<Answer> },
    /// Take a socket, and name its session; no name where there are too many.
    Welcome { admission: Admission, link: Link, reply: oneshot::Sender<Option<SessionId>> },
    /// Take a frame.
    Frame { session: SessionId, bytes: Bytes },
    /// Answer with how far the datastore has come.
    Ping { session: SessionId },
    /// Another token of a session's bearer.
    Token { session: SessionId, token: String },
    /// Ask a socket that has been silent whether it is there.
    Probe { session: SessionId },
    /// Forget a socket that is gone.
    Leave { session: SessionId },
}

/// One step of a group.
pub(crate) enum Step {
    Frame { session: SessionId, bytes: Bytes },
    Ask { run: Write<SqlRows>, answer: Option<Answer>, reply: oneshot::Sender<Answer> },
}

impl Step {
    pub(crate) fn run(
        &mut self,
        authority: &mut Authority<SqlRows>,
        moment: Moment,
    ) -> Result<(), Trouble<Failure>> {
        match self {
            Step::Frame { session, bytes } => authority.receive(*session, bytes, moment),
            Step::Ask { run, answer, .. } => {
                *answer = Some(run(authority, moment)?);
                Ok(())
            }
        }
    }

    /// Tells what came of it. Only for a group that has been committed.
    pub(crate) fn tell(self) {
        if let Step::Ask { answer, reply, .. } = self {
            // Whoever has gone away does not hear it.
            let _ = reply.send(answer.unwrap_or_else(Answer::internal));
        }
    }
}
