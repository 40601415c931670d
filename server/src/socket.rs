//! One WebSocket: frames in to its shard, messages out as they come.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    extract::ws::{Message, WebSocket},
};
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use neap_core::{
    authority::{Admission, SessionId},
    id::Name,
    limits::FRAME_BYTES_MAX,
    wire::PING,
};
use neap_http::{TEXT_BYTES_MAX, TOKEN};
use tokio::{runtime::Handle, sync::oneshot, time::timeout};

use crate::{
    links::{self, Link, Mail},
    queue::What,
    relay::Relay,
};

/// A peer that is silent for so long is asked whether it is there …
const SILENCE: Duration = Duration::from_secs(60);
/// … and has so long to answer, or to answer a close.
const PATIENCE: Duration = Duration::from_secs(20);

/// A session's place in its datastore, which it leaves when this is dropped.
pub(crate) struct Seat {
    relay: Arc<Relay>,
    id: Name,
    session: SessionId,
}

impl Seat {
    /// Takes a place for a link; `None` where there is none, and then the link is told why.
    pub(crate) async fn take(
        relay: &Arc<Relay>,
        id: Name,
        admission: Admission,
        link: Link,
    ) -> Option<Seat> {
        let (reply, session) = oneshot::channel();
        relay.ask(id.clone(), What::Welcome { admission, link, reply }).await;
        let session = session.await.ok().flatten()?;
        Some(Seat { relay: Arc::clone(relay), id, session })
    }

    async fn ask(&self, what: What) {
        self.relay.ask(self.id.clone(), what).await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let (relay, id, session) = (Arc::clone(&self.relay), self.id.clone(), self.session);
        // Without a runtime the server ends, and so do all sessions.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { relay.ask(id, What::Leave { session }).await });
        }
    }
}

/// Serves a socket that was let in, until it ends.
pub(crate) async fn serve(socket: WebSocket, seat: Option<Seat>, mail: Mail) {
    let (sink, mut stream) = socket.split();
    let mut writer = tokio::spawn(write(sink, mail));
    let is_gone = match &seat {
        Some(seat) => tokio::select! {
            () = hear(&mut stream, seat) => true,
            // We have closed, or cannot write any more.
            _ = &mut writer => false,
        },
        None => false,
    };
    drop(seat);
    if !is_gone {
        // The peer may still have to answer.
        let _ = timeout(PATIENCE, drain(stream)).await;
    }
    // Nothing is sent any more once the shard has let go of it.
    if !writer.is_finished() && timeout(PATIENCE, &mut writer).await.is_err() {
        writer.abort();
    }
}

/// Accepts a socket only to close it with a code: a browser hides the status of a failed upgrade.
pub(crate) async fn refuse(mut socket: WebSocket, code: u16, reason: &'static str) {
    if socket.send(links::close(code, reason)).await.is_ok() {
        let _ = timeout(PATIENCE, async { while let Some(Ok(_)) = socket.recv().await {} }).await;
    }
}

/// Passes on what the peer says, until it closes or is gone.
async fn hear(stream: &mut SplitStream<WebSocket>, seat: &Seat) {
    let session = seat.session;
    let mut is_asked = false;
    loop {
        let patience = if is_asked { PATIENCE } else { SILENCE };
        let what = match timeout(patience, stream.next()).await {
            Ok(Some(Ok(message))) => {
                is_asked = false;
                match message {
                    // No frame is empty, so one that is too large ends its session as one that is no
                    // frame, and so does a text.
                    Message::Binary(bytes) if bytes.len() <= FRAME_BYTES_MAX => {
                        What::Frame { session, bytes }
                    }
                    Message::Text(text) if text.as_str() == PING => What::Ping { session },
                    Message::Text(text)
                        if text.starts_with(TOKEN) && text.len() <= TEXT_BYTES_MAX =>
                    {
                        let token = text.strip_prefix(TOKEN).unwrap_or_default().into();
                        What::Token { session, token }
                    }
                    Message::Binary(_) | Message::Text(_) => {
                        What::Frame { session, bytes: Bytes::new() }
                    }
                    // Reading on answers the peer.
                    Message::Ping(_) | Message::Pong(_) | Message::Close(_) => continue,
                }
            }
            Ok(Some(Err(_)) | None) => return,
            Err(_) if is_asked => return,
            Err(_) => {
                is_asked = true;
                What::Probe { session }
            }
        };
        seat.ask(what).await;
    }
}

/// Sends what comes, until a close has been sent or nothing comes any more.
async fn write(mut sink: SplitSink<WebSocket, Message>, mut mail: Mail) {
    while let Some(message) = mail.next().await {
        let is_close = matches!(message, Message::Close(_));
        let size = match &message {
            Message::Binary(bytes) => bytes.len(),
            Message::Text(text) => text.len(),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => 0,
        };
        if sink.send(message).await.is_err() || is_close {
            return;
        }
        mail.sent(size);
    }
}

async fn drain(mut stream: SplitStream<WebSocket>) {
    while let Some(Ok(_)) = stream.next().await {}
}
