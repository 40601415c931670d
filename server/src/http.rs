//! HTTP: between `neap_http` and axum.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, PoisonError},
};

use axum::{
    body::Body,
    extract::{ConnectInfo, FromRequestParts as _, Request, State, WebSocketUpgrade},
    http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use futures_util::StreamExt as _;
use neap_core::{id::Name, limits::MESSAGE_BYTES_MAX};
use neap_http::{Answer, Denial, Exporter, Head, Incoming, PROTOCOL, Pass, enter, share};
use tokio::sync::oneshot;

use crate::{
    archive, complain,
    links::Link,
    queue::{Upshot, What},
    relay::Relay,
    shard::{dice, now},
    socket::{self, Seat},
};

/// The header in which `neap_http` looks for the client's address.
const CLIENT: &str = "CF-Connecting-IP";

/// Answers a request.
pub(crate) async fn handle(
    State(relay): State<Arc<Relay>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let Ok(head) = head_of(&relay, peer, &request) else { return respond(Answer::internal()) };
    if !head.is_ours() {
        return files(&relay, request).await;
    }
    let (mut parts, body) = request.into_parts();
    let mut response = match let_in(&relay, &head, &mut parts, body).await {
        Reply::Answer(answer) => respond(answer),
        Reply::Stream(response) => response,
        Reply::Socket(response) => return response,
    };
    for (name, value) in share(&relay.settings, head.header("Origin")) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

enum Reply {
    Answer(Answer),
    Stream(Response),
    Socket(Response),
}

/// Lets a request in and has it answered, or says why not.
async fn let_in(relay: &Arc<Relay>, head: &Head, parts: &mut Parts, body: Body) -> Reply {
    let visit = match enter(&relay.settings, head, now()) {
        Ok(visit) => visit,
        Err(denial) => return deny(denial, parts, body).await,
    };
    let is_socket = visit.is_socket();
    let (bytes, body) = if head.is_streamed() {
        (Vec::new(), body)
    } else {
        match read(&parts.headers, body).await {
            Ok(Some(bytes)) => (bytes, Body::empty()),
            Ok(None) => return Reply::Answer(Answer::too_large()),
            Err(_) => return Reply::Answer(Answer::torn()),
        }
    };
    let fresh = match dice() {
        Ok(dice) => Name::mint(dice),
        Err(failure) => {
            complain(&format!("{failure:?}"));
            return Reply::Answer(Answer::internal());
        }
    };
    let admitted = {
        let mut openings = relay.openings.lock().unwrap_or_else(PoisonError::into_inner);
        visit.admit(&relay.settings, &mut openings, &bytes, || String::from(&*fresh))
    };
    let pass = match admitted {
        Ok(pass) => pass,
        Err(denial) => return deny(denial, parts, body).await,
    };
    let Ok(id) = Name::new(&pass.id) else { return Reply::Answer(Answer::internal()) };
    if is_socket {
        return take_socket(relay, id, &pass, parts).await;
    }
    let (reply, upshot) = oneshot::channel();
    let request = neap_http::Request { head: head.clone(), pass, body: bytes, now: now() };
    relay.ask(id.clone(), What::Request { request, reply }).await;
    match upshot.await {
        Ok(Upshot::Answer(answer)) => Reply::Answer(answer),
        Ok(Upshot::Export(exporter)) => match archive::export(relay, id, exporter).await {
            Ok(body) => Reply::Stream(begin(&Exporter::head(), body)),
            Err(answer) => Reply::Answer(answer),
        },
        Ok(Upshot::Import(importer)) => {
            Reply::Answer(archive::import(relay, id, importer, body).await)
        }
        Err(_) => Reply::Answer(Answer::internal()),
    }
}

async fn take_socket(relay: &Arc<Relay>, id: Name, pass: &Pass, parts: &mut Parts) -> Reply {
    // Before the handshake is answered: whoever has been let in holds a place before any later one.
    let (link, mail) = Link::new(id.clone(), pass.admission.until);
    let seat = Seat::take(relay, id, pass.admission, link).await;
    upgrade(parts, move |socket| socket::serve(socket, seat, mail)).await
}

/// Says no, when all has been said: before that an answer is lost on most clients.
async fn deny(denial: Denial, parts: &mut Parts, body: Body) -> Reply {
    let _ = read(&parts.headers, body).await;
    match denial {
        Denial::Answer(answer) => Reply::Answer(answer),
        Denial::Socket { code, reason, .. } => {
            upgrade(parts, move |socket| socket::refuse(socket, code, reason)).await
        }
    }
}

/// Makes a WebSocket of a request, in our subprotocol where the client offers it.
async fn upgrade<F: Future<Output = ()> + Send + 'static>(
    parts: &mut Parts,
    run: impl FnOnce(axum::extract::ws::WebSocket) -> F + Send + 'static,
) -> Reply {
    match WebSocketUpgrade::from_request_parts(parts, &()).await {
        Ok(upgrade) => {
            let bounded =
                upgrade.max_message_size(MESSAGE_BYTES_MAX).max_frame_size(MESSAGE_BYTES_MAX);
            Reply::Socket(bounded.protocols([PROTOCOL]).on_upgrade(run))
        }
        Err(why) => Reply::Answer(Answer::problem(400, "bad-request", &why.body_text())),
    }
}

/// Reads a body; `None` when it is longer than it may be.
async fn read(headers: &HeaderMap, body: Body) -> Result<Option<Vec<u8>>, axum::Error> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let mut incoming = Incoming::new(length);
    let mut stream = body.into_data_stream();
    while incoming.goes_on()
        && let Some(chunk) = stream.next().await
    {
        incoming.take(&chunk?);
    }
    Ok(incoming.end())
}

/// Reads a request but for its body.
fn head_of(relay: &Relay, peer: SocketAddr, request: &Request) -> Result<Head, ()> {
    let header = |name: &str| -> Option<String> {
        // Bytes are characters there, as everywhere on the web (Fetch, section 2.2.2).
        let text = |value: &HeaderValue| value.as_bytes().iter().copied().map(char::from).collect();
        let all: Vec<String> = request.headers().get_all(name).iter().map(text).collect();
        (!all.is_empty()).then(|| all.join(", "))
    };
    let url = request.uri().path_and_query().map_or("/", |path| path.as_str());
    Head::read(request.method().as_str(), url, |name| {
        if name != CLIENT {
            return Ok(header(name));
        }
        let told = relay.client_header.as_deref().and_then(header);
        Ok(Some(told.unwrap_or_else(|| peer.ip().to_string())))
    })
}

fn respond(answer: Answer) -> Response {
    let head = answer.clone();
    begin(&head, Body::from(answer.into_body()))
}

/// A response with the head of an answer.
fn begin(answer: &Answer, body: Body) -> Response {
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        response = response.header(*name, value);
    }
    response.body(body).unwrap_or_else(|error| {
        complain(&error.to_string());
        respond(Answer::internal())
    })
}

/// Serves the demo's files, where there are any.
async fn files(relay: &Relay, request: Request) -> Response {
    let Some(files) = &relay.files else { return respond(Answer::nothing_here()) };
    // Vite puts a hash into the name of every file below /assets/; all others keep their names when
    // they change.
    let is_hashed = request.uri().path().starts_with("/assets/");
    let mut response = match files.clone().try_call(request).await {
        Ok(response) => response.into_response(),
        Err(error) => return respond(no_file(&error)),
    };
    let cache = if is_hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
    if response.status().is_success() {
        let headers = response.headers_mut();
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if let Some(text) = kind.filter(|kind| kind.starts_with("text/") && !kind.contains(';'))
            && let Ok(kind) = HeaderValue::try_from(format!("{text}; charset=utf-8"))
        {
            headers.insert(header::CONTENT_TYPE, kind);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    response
}

fn no_file(error: &io::Error) -> Answer {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    if matches!(error.kind(), NotADirectory | NotFound | PermissionDenied) {
        return Answer::nothing_here();
    }
    complain(&error.to_string());
    Answer::internal()
}
