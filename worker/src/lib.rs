//! The relay of Neap: a worker that lets requests in, and one Durable Object for each datastore.
//!
//! This file is the worker: `neap_http` says who may come in, and the worker hands the request to the
//! datastore's object. The object never sees a request that has not been let in.
//!
//! Nothing here may panic, whatever comes in: a panic would reset every object of the isolate.
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::todo,
    clippy::unimplemented,
    clippy::unreachable,
    clippy::unwrap_used
)]

use std::cell::RefCell;

use futures_util::StreamExt as _;
use js_sys::Promise;
use neap_core::authority::Stats;
use neap_http::{Answer, Buckets, Denial, Head, Incoming, Pass, Settings, enter, share};
use percent_encoding::{CONTROLS, utf8_percent_encode};
use wasm_bindgen::prelude::*;
use worker::{
    Env, Fetcher, Headers, Method, Request, RequestInit, Response, Result, worker_sys::web_sys,
};

#[cfg(feature = "contract")]
mod contract;
mod http;
mod log;
mod object;
mod platform;
mod relay;
mod storage;

use http::{PASS, URL, head_of, outlive::answering, pass, refuse_socket, respond, to_js};
use log::{Event, Log};
pub use object::Datastore;
use platform::{mint_id, now, settings};

/// The binding of the Durable Objects.
const DATASTORES: &str = "DATASTORES";
/// The binding of the demo's static files, where there are any.
const ASSETS: &str = "ASSETS";

thread_local! {
    /// How fast clients have opened datastores lately, as far as this isolate has seen.
    static OPENINGS: RefCell<Buckets> = RefCell::default();
}

/// Headers of a request that an object is told.
const FORWARDED: [&str; 3] = ["If-Match", "If-None-Match", "Idempotency-Key"];

/// Answers a request, whatever becomes of the wasm meanwhile.
#[wasm_bindgen]
pub fn fetch(request: web_sys::Request, env: Env, _context: JsValue) -> Promise {
    let request = Request::from(request);
    let settings = settings(env.as_ref());
    let origin = request.headers().get("Origin").ok().flatten();
    let shared = share(&settings, origin.as_deref());
    let headers = shared.clone();
    answering(async move { serve(request, &env, &settings, shared).await }, &headers)
}

async fn serve(
    request: Request,
    env: &Env,
    settings: &Settings,
    shared: Vec<(&'static str, String)>,
) -> Result<Response> {
    let head = head_of(&request, &request.inner().url())?;
    if !head.is_ours() {
        return match env.get_binding::<Fetcher>(ASSETS) {
            Ok(assets) => assets.fetch_request(request).await,
            Err(_) => respond(Answer::nothing_here()),
        };
    }
    let log = Log::new(String::new(), env.as_ref());
    let response = match let_in(request, env, settings, &head, &log).await {
        Ok(response) => response,
        Err(error) => {
            log.tell(Event::Error, &error.to_string(), 1, Stats::default());
            respond(Answer::internal())?
        }
    };
    if response.status_code() == 101 {
        return Ok(response);
    }
    // The headers of an object's answer cannot be changed; a copy of them can.
    let headers = response.headers().clone();
    for (name, value) in shared {
        headers.set(name, &value)?;
    }
    Ok(response.with_headers(headers))
}

/// Lets a request in, or says why not.
async fn let_in(
    mut request: Request,
    env: &Env,
    settings: &Settings,
    head: &Head,
    log: &Log,
) -> Result<Response> {
    let visit = match enter(settings, head, now()) {
        Ok(visit) => visit,
        Err(denial) => return deny(denial, &mut request, log).await,
    };
    let is_socket = visit.is_socket();
    let (bytes, payload) = if head.is_streamed() {
        (Vec::new(), request.inner().body().map(JsValue::from))
    } else {
        let bytes = match body(&mut request).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return respond(Answer::too_large()),
            Err(_) => return respond(Answer::torn()),
        };
        // A request that reads may bring a body, which means nothing, and of which the platform makes no request.
        let has_body = !bytes.is_empty() && !is_reading(&request.method());
        let payload = has_body.then(|| to_js(&bytes));
        (bytes, payload)
    };
    let admitted = OPENINGS.with(|openings| match openings.try_borrow_mut() {
        Ok(mut openings) => visit.admit(settings, &mut openings, &bytes, mint_id),
        Err(_) => visit.admit(settings, &mut Buckets::default(), &bytes, mint_id),
    });
    match admitted {
        Ok(pass) => forward(&request, env, &pass, is_socket, payload, log).await,
        Err(denial) => deny(denial, &mut request, log).await,
    }
}

/// Says no, when all has been said: before that an answer is lost on most clients.
async fn deny(denial: Denial, request: &mut Request, log: &Log) -> Result<Response> {
    let _ = body(request).await;
    match denial {
        Denial::Answer(answer) => {
            // Those without a valid claim, or too fast; whoever only mistypes is no news.
            let told = match answer.status() {
                401 => Some("unauthorized"),
                403 => Some("forbidden"),
                429 => Some("rate-limited"),
                _ => None,
            };
            if let Some(told) = told {
                log.tell(Event::Refusal, told, 1, Stats::default());
            }
            respond(answer)
        }
        Denial::Socket { code, reason, speaks_ours } => {
            log.tell(Event::Refusal, reason, 1, Stats::default());
            refuse_socket(code, reason, speaks_ours)
        }
    }
}

/// Hands a request to the object of its datastore. A deploy, or whatever else restarts an object, cuts off
/// what it was at: reading is then tried again, of anything else nobody knows whether it was carried out.
async fn forward(
    request: &Request,
    env: &Env,
    admitted: &Pass,
    is_socket: bool,
    body: Option<JsValue>,
    log: &Log,
) -> Result<Response> {
    let ask = async || {
        let inner = inner(request, admitted, is_socket, body.clone())?;
        let stub = env.durable_object(DATASTORES)?.id_from_name(&admitted.id)?.get_stub()?;
        stub.fetch_with_request(inner).await
    };
    let mut answered = ask().await;
    if answered.is_err() && is_reading(&request.method()) {
        answered = ask().await;
    }
    answered.or_else(|error| {
        log.tell(Event::Error, &error.to_string(), 1, Stats::default());
        respond(Answer::lost())
    })
}

fn is_reading(method: &Method) -> bool {
    matches!(method, Method::Get | Method::Head)
}

/// The request that an object gets. What a client sends in our own header never arrives there, since the
/// request is made anew.
fn inner(
    request: &Request,
    admitted: &Pass,
    is_socket: bool,
    body: Option<JsValue>,
) -> Result<Request> {
    let headers = Headers::new();
    for name in FORWARDED {
        if let Some(value) = request.headers().get(name)? {
            headers.set(name, &value)?;
        }
    }
    headers.set(PASS, &pass::write(admitted))?;
    let url = request.inner().url();
    headers.set(URL, &utf8_percent_encode(&url, CONTROLS).to_string())?;
    if is_socket {
        headers.set("Upgrade", "websocket")?;
    }
    let mut init = RequestInit::new();
    init.with_method(request.method()).with_headers(headers);
    init.with_body(body);
    Request::new_with_init(&url, &init)
}

/// Reads a body; `None` when it is longer than it may be.
async fn body(request: &mut Request) -> Result<Option<Vec<u8>>> {
    let mut incoming = Incoming::new(request.headers().get("Content-Length")?.as_deref());
    if request.inner().body().is_some() {
        let mut stream = request.stream()?;
        while incoming.goes_on()
            && let Some(chunk) = stream.next().await
        {
            incoming.take(&chunk?);
        }
    }
    Ok(incoming.end())
}
