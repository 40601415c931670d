//! Exports and imports as streams of the platform. Each piece is read, and each step carried out, in a
//! turn of its own: what others do meanwhile goes on.

use std::rc::Rc;

use futures_util::{StreamExt as _, stream};
use neap_core::limits::PAGE_BYTES;
use neap_http::{Answer, Exporter, Importer, Piece};
use worker::{Error, Request, Response, Result};

use super::{begin, outlive::breaking_off, respond};
use crate::relay::Relay;

/// An export that is under way.
struct Outgoing {
    relay: Rc<Relay>,
    exporter: Exporter,
    /// A piece that has been read and not been taken.
    piece: Option<Piece>,
}

impl Outgoing {
    /// The next chunk. The platform asks for it when there is room for it.
    fn chunk(mut self) -> Result<Option<(Vec<u8>, Self)>> {
        let piece = match self.piece.take() {
            Some(piece) => piece,
            None => self.relay.read_piece(&mut self.exporter).unwrap_or(Piece::Gone),
        };
        match piece {
            Piece::More(lines) => Ok(Some((lines, self))),
            Piece::Last(lines) if lines.is_empty() => Ok(None),
            Piece::Last(lines) => {
                self.piece = Some(Piece::Last(Vec::new()));
                Ok(Some((lines, self)))
            }
            // The reader must see that this is not the whole.
            Piece::Gone => Err(Error::RustError("the export was broken off".into())),
        }
    }
}

/// Answers with the pieces of an export.
pub(super) fn export(relay: &Rc<Relay>, mut exporter: Exporter) -> Result<Response> {
    let first = match relay.read_piece(&mut exporter) {
        Ok(Piece::Gone) => return respond(Answer::absent()),
        Ok(first) => first,
        Err(answer) => return respond(answer),
    };
    let outgoing = Outgoing { relay: Rc::clone(relay), exporter, piece: Some(first) };
    let chunks = stream::try_unfold(outgoing, |outgoing| async { outgoing.chunk() });
    breaking_off(begin(&Exporter::head())?.from_stream(chunks)?)
}

/// Carries out an import as its body comes.
pub(super) async fn import(
    relay: &Rc<Relay>,
    mut importer: Importer,
    mut request: Request,
) -> Answer {
    let answer = match take_in(relay, &mut importer, &mut request).await {
        Ok(answer) => answer,
        Err(error) => {
            worker::console_error!("import: {error}");
            Answer::internal()
        }
    };
    if answer.status() != 201 {
        relay.write(importer.abort(), 0).await;
    }
    answer
}

async fn take_in(
    relay: &Rc<Relay>,
    importer: &mut Importer,
    request: &mut Request,
) -> Result<Answer> {
    if request.inner().body().is_some() {
        let mut body = request.stream()?;
        while let Some(chunk) = body.next().await {
            for part in chunk?.chunks(PAGE_BYTES) {
                importer.feed(part);
                if let Some(answer) = carry_out(relay, importer).await {
                    return Ok(answer);
                }
            }
        }
    }
    importer.end();
    Ok(carry_out(relay, importer).await.unwrap_or_else(Answer::internal))
}

/// Runs what has come so far. Gives the answer to the request, if there is one already.
async fn carry_out(relay: &Rc<Relay>, importer: &mut Importer) -> Option<Answer> {
    while let Some(step) = importer.step() {
        let answer = relay.write(step, PAGE_BYTES).await;
        if answer.status() != 204 {
            return Some(answer);
        }
    }
    None
}
