//! The relay of Neap: a worker that lets requests in, and one Durable Object for each datastore.
//!
//! This file is the worker: it takes the URL apart, looks at method, origin, size and token, and hands
//! the request to the datastore's object. The object never sees a request that has not been let in.
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

use futures_util::StreamExt as _;
use neap_core::{authority::Admission, limits::BODY_BYTES_MAX};
use worker::{Context, Env, Fetcher, Headers, Request, RequestInit, Response, Result, event};

mod admit;
#[cfg(feature = "contract")]
mod contract;
mod http;
mod object;
mod platform;
mod relay;
mod route;
mod settings;
mod storage;

use admit::{Denied, Grant, TOKEN_PROTOCOL, allows_origin, suffices};
use http::{ADMISSION, Answer, Opening, PROTOCOL, mint_id, refuse_socket, to_js};
pub use object::Datastore;
use platform::now;
use route::{Method, NoRoute, Route, Target, split_url};
use settings::Settings;

/// The binding of the Durable Objects.
const DATASTORES: &str = "DATASTORES";
/// The binding of the demo's static files, where there are any.
const ASSETS: &str = "ASSETS";

/// Headers of a request that an object is told.
const FORWARDED: [&str; 3] = ["If-Match", "If-None-Match", "Idempotency-Key"];

#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> Result<Response> {
    let url = request.inner().url();
    let (path, _) = split_url(&url);
    let Some(rest) =
        path.strip_prefix("/v1").filter(|rest| rest.is_empty() || rest.starts_with('/'))
    else {
        return match env.get_binding::<Fetcher>(ASSETS) {
            Ok(assets) => assets.fetch_request(request).await,
            Err(_) => Answer::problem(404, "not-found", "there is nothing here").respond(),
        };
    };
    let settings = Settings::read(env.as_ref());
    let origin = request.headers().get("Origin")?;
    let route = Route::parse(rest);
    let response = if allows_origin(&settings, origin.as_deref()) {
        enter(request, &env, &settings, route).await
    } else {
        deny(&route, &request, Denied::Forbidden, "this origin may not connect")
    };
    let response = match response {
        Ok(response) => response,
        Err(error) => {
            worker::console_error!("{error}");
            Answer::internal().respond()?
        }
    };
    share(response, &settings, origin.as_deref())
}

/// Lets a request in, or says why not.
async fn enter(
    mut request: Request,
    env: &Env,
    settings: &Settings,
    route: core::result::Result<Route, NoRoute>,
) -> Result<Response> {
    let method = Method::from_name(&request.inner().method());
    let Route { target, id } = match &route {
        _ if method == Some(Method::Options) => return preflight(&route),
        Err(no_route) => return no_route.answer().respond(),
        Ok(route) => route.clone(),
    };
    let Some((method, need)) =
        method.and_then(|method| Some((method, route.as_ref().ok()?.need(method)?)))
    else {
        return Answer::wrong_method(route.map_or("", |route| route.allow())).respond();
    };
    if target == Target::Health {
        return Answer::health().respond();
    }
    let protocols = Protocols::read(request.headers())?;
    if target == Target::Socket && !is_upgrade(&request)? {
        let detail = "this is a WebSocket; ask for an upgrade";
        return Answer::problem(426, "upgrade-required", detail).respond();
    }
    let token = bearer(request.headers())?.or_else(|| protocols.token.clone());
    let grant = match Grant::check(settings, token.as_deref(), now()) {
        Ok(grant) => grant,
        Err(denied) => return deny(&route, &request, denied, "a valid token is needed"),
    };
    if target == Target::Socket && !protocols.has_ours {
        return refuse_socket(4400, "bad-request", false);
    }
    let body = match body(&mut request).await? {
        Ok(body) => body,
        Err(answer) => return answer.respond(),
    };
    let id = if target == Target::Datastores {
        match Opening::parse(&body) {
            Ok(opening) => opening.id().map_or_else(mint_id, String::from),
            Err(answer) => return answer.respond(),
        }
    } else {
        id
    };
    let admission = grant.to(&id).and_then(|admission| {
        suffices(&admission, need)?;
        Ok(admission)
    });
    match admission {
        Ok(admission) => forward(&request, env, &route, method, &id, admission, &body).await,
        Err(denied) => deny(&route, &request, denied, "the token does not allow this"),
    }
}

/// Hands a request to the object of its datastore. What a client sends in our own header never
/// arrives there, since the request is made anew.
async fn forward(
    request: &Request,
    env: &Env,
    route: &core::result::Result<Route, NoRoute>,
    method: Method,
    id: &str,
    admission: Admission,
    body: &[u8],
) -> Result<Response> {
    let headers = Headers::new();
    for name in FORWARDED {
        if let Some(value) = request.headers().get(name)? {
            headers.set(name, &value)?;
        }
    }
    headers.set(ADMISSION, &admit::to_header(&admission))?;
    let is_socket = route.as_ref().is_ok_and(|route| route.target == Target::Socket);
    if is_socket {
        headers.set("Upgrade", "websocket")?;
    }
    let url = request.inner().url();
    let is_opening = route.as_ref().is_ok_and(|route| route.target == Target::Datastores);
    let url = if is_opening { format!("https://relay/v1/datastores/{id}") } else { url };
    let mut init = RequestInit::new();
    init.with_method(method.into()).with_headers(headers);
    if !body.is_empty() {
        init.with_body(Some(to_js(body)));
    }
    let inner = Request::new_with_init(&url, &init)?;
    let stub = env.durable_object(DATASTORES)?.id_from_name(id)?.get_stub()?;
    stub.fetch_with_request(inner).await
}

/// Says no: to a request with a status, to a socket with a close code.
fn deny(
    route: &core::result::Result<Route, NoRoute>,
    request: &Request,
    denied: Denied,
    detail: &str,
) -> Result<Response> {
    let (status, code) = match denied {
        Denied::Unauthorized => (401_u16, "unauthorized"),
        Denied::Elsewhere => (404, "not-found"),
        Denied::Forbidden => (403, "forbidden"),
    };
    let is_socket = route.as_ref().is_ok_and(|route| route.target == Target::Socket);
    if is_socket && is_upgrade(request)? {
        let protocols = Protocols::read(request.headers())?;
        return refuse_socket(status.saturating_add(4_000), code, protocols.has_ours);
    }
    let detail = if status == 404 { "there is no such datastore" } else { detail };
    Answer::problem(status, code, detail).respond()
}

impl NoRoute {
    fn answer(self) -> Answer {
        match self {
            NoRoute::Unknown => Answer::problem(404, "not-found", "there is nothing here"),
            NoRoute::Name => {
                Answer::problem(400, "invalid-name", "a name is 1 to 64 of A-Z a-z 0-9 _ -")
            }
            NoRoute::Key => {
                Answer::problem(400, "invalid-key", "a key is a text of 1 to 512 bytes of UTF-8")
            }
        }
    }
}

/// Answers what a browser asks before a request from another origin.
fn preflight(route: &core::result::Result<Route, NoRoute>) -> Result<Response> {
    let response = Answer::empty(204).respond()?;
    if let Ok(route) = route {
        response.headers().set("Allow", route.allow())?;
    }
    let headers = response.headers();
    headers.set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE, OPTIONS")?;
    let allowed = "Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key";
    headers.set("Access-Control-Allow-Headers", allowed)?;
    headers.set("Access-Control-Max-Age", "86400")?;
    Ok(response)
}

/// Lets pages of other origins read an answer.
fn share(response: Response, settings: &Settings, origin: Option<&str>) -> Result<Response> {
    if response.status_code() == 101 {
        return Ok(response);
    }
    // The headers of an object's answer cannot be changed; a copy of them can.
    let headers = response.headers().clone();
    match (&settings.origins, origin) {
        (None, _) => headers.set("Access-Control-Allow-Origin", "*")?,
        (Some(_), Some(origin)) if allows_origin(settings, Some(origin)) => {
            headers.set("Access-Control-Allow-Origin", origin)?;
            headers.append("Vary", "Origin")?;
        }
        (Some(_), _) => headers.append("Vary", "Origin")?,
    }
    headers.set("Access-Control-Expose-Headers", "ETag, Retry-After")?;
    Ok(response.with_headers(headers))
}

/// The subprotocols that a socket offers.
struct Protocols {
    has_ours: bool,
    token: Option<String>,
}

impl Protocols {
    fn read(headers: &Headers) -> Result<Protocols> {
        let offered = headers.get("Sec-WebSocket-Protocol")?.unwrap_or_default();
        let each = || offered.split(',').map(str::trim);
        Ok(Protocols {
            has_ours: each().any(|protocol| protocol == PROTOCOL),
            token: each()
                .find_map(|protocol| protocol.strip_prefix(TOKEN_PROTOCOL))
                .map(String::from),
        })
    }
}

fn is_upgrade(request: &Request) -> Result<bool> {
    let upgrade = request.headers().get("Upgrade")?;
    Ok(upgrade.is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket")))
}

fn bearer(headers: &Headers) -> Result<Option<String>> {
    let Some(value) = headers.get("Authorization")? else { return Ok(None) };
    let token = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    Ok(token.map(|(_, token)| token.trim().to_owned()))
}

/// Reads a body, no further than it may be long.
async fn body(request: &mut Request) -> Result<core::result::Result<Vec<u8>, Answer>> {
    let too_large = || Answer::problem(413, "too-large", "a body is at most 1 MiB");
    let length = request.headers().get("Content-Length")?.and_then(|text| text.parse::<u64>().ok());
    if length.is_some_and(|length| usize::try_from(length).map_or(true, |len| len > BODY_BYTES_MAX))
    {
        return Ok(Err(too_large()));
    }
    if request.inner().body().is_none() {
        return Ok(Ok(Vec::new()));
    }
    let mut bytes = Vec::new();
    let mut stream = request.stream()?;
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk?);
        if bytes.len() > BODY_BYTES_MAX {
            return Ok(Err(too_large()));
        }
    }
    Ok(Ok(bytes))
}

impl From<Method> for worker::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => worker::Method::Get,
            Method::Post => worker::Method::Post,
            Method::Put => worker::Method::Put,
            Method::Patch => worker::Method::Patch,
            Method::Delete => worker::Method::Delete,
            Method::Options => worker::Method::Options,
        }
    }
}
