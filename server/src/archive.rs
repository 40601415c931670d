//! Exports and imports as streams. Each piece is read, and each step carried out, between the groups of
//! the datastore's shard: what others do meanwhile goes on.

use std::{io, sync::Arc};

use axum::body::{Body, BodyDataStream, Bytes};
use futures_util::{StreamExt as _, stream};
use neap_core::{
    id::Name,
    limits::{MESSAGE_BYTES_MAX, PAGE_BYTES},
};
use neap_http::{Answer, Exporter, Importer, Piece, Write};
use tokio::sync::oneshot;

use crate::{
    queue::{Upshot, What},
    relay::Relay,
    rows::SqlRows,
};

/// An export that is under way.
struct Outgoing {
    relay: Arc<Relay>,
    id: Name,
    exporter: Box<Exporter>,
}

impl Outgoing {
    /// The next piece. The connection asks for it when there is room for it.
    async fn piece(self) -> Result<(Piece, Outgoing), Answer> {
        let Outgoing { relay, id, exporter } = self;
        let (reply, piece) = oneshot::channel();
        relay.ask(id.clone(), What::Piece { exporter, reply }).await;
        let (exporter, piece) = piece.await.map_err(|_| Answer::internal())?;
        Ok((piece?, Outgoing { relay, id, exporter }))
    }
}

/// How far an export has come.
enum Stage {
    /// This piece has been read and not been taken.
    Read(Piece, Outgoing),
    Going(Outgoing),
    Over,
}

impl Stage {
    async fn chunk(self) -> io::Result<Option<(Bytes, Stage)>> {
        let broken_off = || io::Error::other("the export was broken off");
        let (piece, outgoing) = match self {
            Stage::Read(piece, outgoing) => (piece, outgoing),
            Stage::Going(outgoing) => outgoing.piece().await.map_err(|_| broken_off())?,
            Stage::Over => return Ok(None),
        };
        match piece {
            Piece::More(lines) => Ok(Some((lines.into(), Stage::Going(outgoing)))),
            Piece::Last(lines) => Ok(Some((lines.into(), Stage::Over))),
            // The reader must see that this is not the whole.
            Piece::Gone => Err(broken_off()),
        }
    }
}

/// The body of an export's answer, or what is answered instead.
pub(crate) async fn export(
    relay: &Arc<Relay>,
    id: Name,
    exporter: Box<Exporter>,
) -> Result<Body, Answer> {
    let outgoing = Outgoing { relay: Arc::clone(relay), id, exporter };
    let first = match outgoing.piece().await? {
        (Piece::Gone, _) => return Err(Answer::absent()),
        (piece @ (Piece::More(_) | Piece::Last(_)), outgoing) => Stage::Read(piece, outgoing),
    };
    Ok(Body::from_stream(stream::try_unfold(first, Stage::chunk)))
}

/// Carries out an import as its body comes. It comes to its end also when the client is gone, so that
/// nothing of it is left then.
pub(crate) async fn import(
    relay: &Arc<Relay>,
    id: Name,
    importer: Box<Importer>,
    body: Body,
) -> Answer {
    let incoming = Incoming { relay: Arc::clone(relay), id, importer };
    let done = tokio::spawn(incoming.run(body.into_data_stream()));
    done.await.unwrap_or_else(|_| Answer::internal())
}

/// An import that is under way.
struct Incoming {
    relay: Arc<Relay>,
    id: Name,
    importer: Box<Importer>,
}

impl Incoming {
    async fn run(mut self, mut body: BodyDataStream) -> Answer {
        let answer = self.take_in(&mut body).await;
        if answer.status() != 201 {
            self.write(self.importer.abort()).await;
        }
        // Most clients hear an answer only when they have said all.
        let mut rest = 0_usize;
        while let Some(Ok(chunk)) = body.next().await {
            rest = rest.saturating_add(chunk.len());
            if rest > MESSAGE_BYTES_MAX {
                break;
            }
        }
        answer
    }

    async fn take_in(&mut self, body: &mut BodyDataStream) -> Answer {
        while let Some(chunk) = body.next().await {
            let Ok(chunk) = chunk else { return Answer::internal() };
            for part in chunk.chunks(PAGE_BYTES) {
                self.importer.feed(part);
                if let Some(answer) = self.carry_out().await {
                    return answer;
                }
            }
        }
        self.importer.end();
        self.carry_out().await.unwrap_or_else(Answer::internal)
    }

    /// Runs what has come so far. Gives the answer to the request, if there is one already.
    async fn carry_out(&mut self) -> Option<Answer> {
        while let Some(step) = self.importer.step() {
            let answer = self.write(step).await;
            if answer.status() != 204 {
                return Some(answer);
            }
        }
        None
    }

    async fn write(&self, run: Write<SqlRows>) -> Answer {
        let (reply, upshot) = oneshot::channel();
        self.relay.ask(self.id.clone(), What::Write { run, reply }).await;
        match upshot.await {
            Ok(Upshot::Answer(answer)) => answer,
            Ok(Upshot::Export(_) | Upshot::Import(_)) | Err(_) => Answer::internal(),
        }
    }
}
