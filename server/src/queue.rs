//! What a shard is asked for.

use axum::body::Bytes;
use neap_core::{
    authority::{Admission, Authority, Moment, SessionId, Trouble},
    id::Name,
};
use neap_http::{Answer, Exporter, Importer, Piece, Request, Settings, Write, renew};
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
    /// Answer a request, or say how it goes on.
    Request { request: Request, reply: Reply },
    /// Read the next piece of an export.
    Piece {
        exporter: Box<Exporter>,
        reply: oneshot::Sender<(Box<Exporter>, Result<Piece, Answer>)>,
    },
    /// Take the next step of an import.
    Write { run: Write<SqlRows>, reply: Reply },
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

/// What a request comes to.
pub(crate) enum Upshot {
    /// This answer.
    Answer(Answer),
    /// An answer that is streamed, piece by piece.
    Export(Box<Exporter>),
    /// A body that is to be read as it comes.
    Import(Box<Importer>),
}

/// Where somebody waits to hear it. Whoever has gone away does not.
pub(crate) type Reply = oneshot::Sender<Upshot>;

/// One step of a group.
pub(crate) enum Step {
    Frame { session: SessionId, bytes: Bytes },
    Token { session: SessionId, token: String, renewed: Renewed },
    Ask { run: Write<SqlRows>, answer: Option<Answer>, reply: Reply },
}

/// Until when another token holds, or the code and the reason that its socket is closed with.
pub(crate) type Renewed = Option<Result<u64, (u16, &'static str)>>;

impl Step {
    /// Removes the datastore; every session hears that it is gone.
    pub(crate) fn remove(reply: Reply) -> Step {
        let run = Box::new(|authority: &mut Authority<_>, moment: Moment| {
            if authority.alive(moment.now).is_none() {
                return Ok(Answer::absent());
            }
            authority.destroy()?;
            Ok(Answer::empty(204))
        });
        Step::Ask { run, answer: None, reply }
    }

    pub(crate) fn run(
        &mut self,
        authority: &mut Authority<SqlRows>,
        (settings, id): (&Settings, &Name),
        moment: Moment,
    ) -> Result<(), Trouble<Failure>> {
        match self {
            Step::Frame { session, bytes } => authority.receive(*session, bytes, moment),
            Step::Token { session, token, renewed } => {
                *renewed = renew(authority, settings, id, *session, token, moment.now);
                Ok(())
            }
            Step::Ask { run, answer, .. } => {
                *answer = Some(run(authority, moment)?);
                Ok(())
            }
        }
    }

    /// Tells what came of it. Only for a group that has been committed.
    pub(crate) fn tell(self) {
        if let Step::Ask { answer, reply, .. } = self {
            let _ = reply.send(Upshot::Answer(answer.unwrap_or_else(Answer::internal)));
        }
    }
}
