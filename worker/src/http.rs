//! HTTP inside the object, requests that the worker has let in, and between `neap_http` and the platform.

use std::rc::Rc;

use js_sys::Uint8Array;
use neap_core::authority::Admission;
use neap_http::{Answer, Head, PROTOCOL, Todo};
use wasm_bindgen::{JsCast, JsValue};
use worker::{Headers, Request, Response, ResponseBuilder, Result, WebSocketPair};

use crate::{
    platform::{Socket, now},
    relay::{self, Relay},
};

mod archive;
pub(crate) mod outlive;
pub(crate) mod pass;

/// The header in which the worker tells the object what a request may do.
pub(crate) const PASS: &str = "neap-pass";

/// The header in which the worker tells the object the URL as it came: one that a request is made with loses the
/// keys `.` and `..`, which stand for other paths there.
pub(crate) const URL: &str = "neap-url";

/// Answers a request that the worker has forwarded.
pub(crate) async fn serve(relay: &Rc<Relay>, mut request: Request) -> Result<Response> {
    let head = head_of(&request, &request.headers().get(URL)?.unwrap_or_default())?;
    let Some(pass) = request.headers().get(PASS)?.and_then(|text| pass::read(&text)) else {
        return respond(Answer::internal());
    };
    let admission = pass.admission;
    let body = if head.is_streamed() { Vec::new() } else { request.bytes().await? };
    let bytes = body.len();
    let asked = neap_http::Request { head, pass, body, now: now() };
    respond(match relay.plan(asked) {
        Todo::Answer(answer) => answer,
        Todo::Read(run) => relay.read(run),
        Todo::Write(run) => relay.write(run, bytes).await,
        Todo::Remove => match relay.remove().await {
            Ok(true) => Answer::empty(204),
            Ok(false) => Answer::absent(),
            Err(()) => Answer::internal(),
        },
        Todo::Export(exporter) => return archive::export(relay, exporter),
        Todo::Import(importer) => archive::import(relay, importer, request).await,
        Todo::Socket => return take_socket(relay, admission),
        #[cfg(feature = "contract")]
        Todo::Contract(order) => crate::contract::answer(relay, &order),
    })
}

/// Reads a request to a URL but for its body.
pub(crate) fn head_of(request: &Request, url: &str) -> Result<Head> {
    Head::read(&request.inner().method(), url, |name| request.headers().get(name))
}

/// Gives an answer to the platform.
pub(crate) fn respond(answer: Answer) -> Result<Response> {
    let builder = begin(&answer)?;
    let body = answer.into_body();
    Ok(if body.is_empty() { builder.empty() } else { builder.fixed(body) })
}

/// A response without its body.
fn begin(answer: &Answer) -> Result<ResponseBuilder> {
    let headers = Headers::new();
    for (name, value) in answer.headers() {
        headers.set(name, value)?;
    }
    Ok(ResponseBuilder::new().with_status(answer.status()).with_headers(headers))
}

/// Accepts the socket and hands it to the authority.
fn take_socket(relay: &Rc<Relay>, admission: Admission) -> Result<Response> {
    let pair = WebSocketPair::new()?;
    let raw: &JsValue = pair.server.as_ref().as_ref();
    relay.welcome(raw.unchecked_ref::<Socket>(), admission);
    switch_protocols(pair.client)
}

/// Accepts a socket only to close it with a code, which a browser shows, as it does not show the
/// status of a failed upgrade.
pub(crate) fn refuse_socket(code: u16, reason: &str, speaks_ours: bool) -> Result<Response> {
    let pair = WebSocketPair::new()?;
    let raw: &JsValue = pair.server.as_ref().as_ref();
    relay::refuse(raw.unchecked_ref::<Socket>(), code, reason);
    if speaks_ours { switch_protocols(pair.client) } else { Response::from_websocket(pair.client) }
}

fn switch_protocols(client: worker::WebSocket) -> Result<Response> {
    let response = Response::from_websocket(client)?;
    response.headers().set("Sec-WebSocket-Protocol", PROTOCOL)?;
    Ok(response)
}

/// Bytes of a body as JavaScript has them.
pub(crate) fn to_js(bytes: &[u8]) -> JsValue {
    Uint8Array::from(bytes).into()
}
