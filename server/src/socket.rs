//! One WebSocket: frames in to its shard, messages out as they come.

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

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
};
use tokio::{
    sync::{mpsc::UnboundedReceiver, oneshot},
    time::timeout,
};

use crate::{
    links::{self, Link, Waiting},
    queue::What,
    relay::Relay,
};

/// The request that is answered with epoch and head.
const PING: &str = "ping";
/// A peer that is silent for so long is asked whether it is there …
const SILENCE: Duration = Duration::from_secs(60);
/// … and has so long to answer, or to answer a close.
const PATIENCE: Duration = Duration::from_secs(20);

/// Takes a socket that was let in, until it ends.
pub(crate) async fn serve(socket: WebSocket, relay: Arc<Relay>, id: Name, admission: Admission) {
    let (sink, mut stream) = socket.split();
    let (link, inbox, waiting) = Link::new(id.clone(), admission.until);
    let mut writer = tokio::spawn(write(sink, inbox, waiting));
    let (reply, session) = oneshot::channel();
    relay.ask(id.clone(), What::Welcome { admission, link, reply }).await;
    let Ok(Some(session)) = session.await else {
        // Its shard has said why.
        let _ = timeout(PATIENCE, drain(stream)).await;
        return;
    };
    tokio::select! {
        () = hear(&mut stream, &relay, &id, session) => {
            relay.ask(id, What::Leave { session }).await;
        }
        _ = &mut writer => {
            // We have closed, or cannot write any more; the peer may still have to answer.
            relay.ask(id, What::Leave { session }).await;
            let _ = timeout(PATIENCE, drain(stream)).await;
            return;
        }
    }
    // Nothing is sent any more once the shard has let go of it.
    if timeout(PATIENCE, &mut writer).await.is_err() {
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
async fn hear(stream: &mut SplitStream<WebSocket>, relay: &Relay, id: &Name, session: SessionId) {
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
        relay.ask(id.clone(), what).await;
    }
}

/// Sends what comes, until a close has been sent or nothing comes any more.
async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut inbox: UnboundedReceiver<Message>,
    waiting: Waiting,
) {
    while let Some(message) = inbox.recv().await {
        let is_close = matches!(message, Message::Close(_));
        let size = match &message {
            Message::Binary(bytes) => bytes.len(),
            Message::Text(text) => text.len(),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => 0,
        };
        if sink.send(message).await.is_err() || is_close {
            return;
        }
        waiting.fetch_sub(size, Ordering::Relaxed);
    }
}

async fn drain(mut stream: SplitStream<WebSocket>) {
    while let Some(Ok(_)) = stream.next().await {}
}
