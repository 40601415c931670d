//! The HTTP interface inside the object: requests that the worker has let in.

use std::rc::Rc;

use js_sys::Uint8Array;
use neap_core::{authority::Admission, datastore::Meta};
use wasm_bindgen::{JsCast, JsValue};
use worker::{Request, Response, Result, WebSocketPair};

use crate::{
    admit,
    platform::{self, Socket},
    relay::{self, Relay},
    route::{Method, Route, Target, split_url},
};

pub(crate) mod answer;
mod changes;
mod datastores;
pub(crate) mod input;
mod json;
mod mutations;
mod query;
mod records;

pub(crate) use answer::Answer;
pub(crate) use datastores::Opening;
#[cfg(feature = "contract")]
pub(crate) use json::Object;

/// The header in which the worker tells the object what a request may do.
pub(crate) const ADMISSION: &str = "neap-admission";
/// The protocol of the sockets.
pub(crate) const PROTOCOL: &str = "neap.v1";

/// A request that the worker has let in.
struct Call {
    admission: Admission,
    id: String,
    query: String,
    headers: input::Headers,
    body: Vec<u8>,
}

/// Answers a request that the worker has forwarded.
pub(crate) async fn serve(relay: &Rc<Relay>, mut request: Request) -> Result<Response> {
    let url = request.inner().url();
    let (path, query) = split_url(&url);
    let route = path.strip_prefix("/v1").and_then(|rest| Route::parse(rest).ok());
    let method = Method::from_name(&request.inner().method());
    let headers = request.headers();
    let admission = headers.get(ADMISSION)?.and_then(|text| admit::from_header(&text));
    let (Some(Route { target, id }), Some(method), Some(admission)) = (route, method, admission)
    else {
        return Answer::internal().respond();
    };
    if target == Target::Socket {
        return take_socket(relay, admission);
    }
    let headers = match input::Headers::read(headers)? {
        Ok(headers) => headers,
        Err(answer) => return answer.respond(),
    };
    let query = query.to_owned();
    let body = request.bytes().await?;
    let call = Call { admission, id, query, headers, body };
    answer(relay, target, method, call).await.respond()
}

async fn answer(relay: &Rc<Relay>, target: Target, method: Method, call: Call) -> Answer {
    match (target, method) {
        (Target::Datastore, Method::Post) => datastores::open(relay, call).await,
        (Target::Datastore, Method::Get) => datastores::get(relay, &call),
        (Target::Datastore, Method::Patch) => datastores::alter(relay, call).await,
        (Target::Datastore, Method::Delete) => datastores::remove(relay).await,
        (Target::Records { collection }, Method::Get) => records::list(relay, &collection, &call),
        (Target::Record { collection, key }, Method::Get) => {
            records::get(relay, &collection, &key, &call)
        }
        (Target::Record { collection, key }, method) => {
            records::write(relay, collection, key, method, call).await
        }
        (Target::Mutations, Method::Post) => mutations::apply(relay, call).await,
        (Target::Changes, Method::Get) => changes::get(relay, &call),
        #[cfg(feature = "contract")]
        (Target::Contract, _) => crate::contract::answer(relay, &call.body),
        _ => Answer::internal(),
    }
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
pub(crate) fn refuse_socket(code: u16, reason: &str, offers_ours: bool) -> Result<Response> {
    let pair = WebSocketPair::new()?;
    let raw: &JsValue = pair.server.as_ref().as_ref();
    relay::refuse(raw.unchecked_ref::<Socket>(), code, reason);
    if offers_ours { switch_protocols(pair.client) } else { Response::from_websocket(pair.client) }
}

fn switch_protocols(client: worker::WebSocket) -> Result<Response> {
    let response = Response::from_websocket(client)?;
    response.headers().set("Sec-WebSocket-Protocol", PROTOCOL)?;
    Ok(response)
}

/// Where there is no datastore, or none any more.
fn absent() -> Answer {
    Answer::problem(404, "not-found", "there is no such datastore")
}

/// The JavaScript form of a moment in milliseconds since 1970: ISO 8601 in UTC.
fn moment(ms: u64) -> String {
    let date = js_sys::Date::new(&JsValue::from_f64(ms as f64));
    if date.get_time().is_nan() { String::new() } else { String::from(date.to_iso_string()) }
}

fn is_open(meta: Option<&Meta>) -> core::result::Result<&Meta, Answer> {
    meta.ok_or_else(absent)
}

/// Bytes of a body as JavaScript has them.
pub(crate) fn to_js(bytes: &[u8]) -> JsValue {
    Uint8Array::from(bytes).into()
}

/// Sixteen hex digits for each eight random bytes: a public id.
pub(crate) fn mint_id() -> String {
    platform::dice::<16>().iter().map(|byte| format!("{byte:02x}")).collect()
}
