//! The Durable Object as the platform sees it: a class and its handlers.

use std::rc::Rc;

use js_sys::Promise;
use wasm_bindgen::prelude::*;
use worker::worker_sys::web_sys;

use crate::{
    http::{self, outlive::answering},
    log::Log,
    platform::{self, Socket, State},
    relay::{Relay, sanitised},
};

/// The object. Its handlers are plain synchronous functions, but for `fetch`, and look at the size of a
/// message before they copy it.
#[wasm_bindgen]
pub struct Datastore {
    relay: Rc<Relay>,
}

#[wasm_bindgen]
impl Datastore {
    /// Opens nothing: an id that nobody creates must leave nothing behind.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(state: JsValue, env: &JsValue) -> Datastore {
        let state: State = state.unchecked_into();
        let log = Log::new(state.name(), env);
        Datastore { relay: Relay::new(state, platform::settings(env), log) }
    }

    /// Answers a request that the worker has forwarded.
    pub fn fetch(&self, request: web_sys::Request) -> Promise {
        let relay = Rc::clone(&self.relay);
        answering(async move { http::serve(&relay, request.into()).await }, &[])
    }

    /// A frame, or a text, has arrived.
    #[wasm_bindgen(js_name = webSocketMessage)]
    pub fn websocket_message(&self, socket: JsValue, message: JsValue) {
        self.relay.hear(&socket.unchecked_into(), &message);
    }

    /// The peer has closed, or the connection has broken.
    #[wasm_bindgen(js_name = webSocketClose)]
    pub fn websocket_close(&self, socket: JsValue, code: f64) {
        let socket: Socket = socket.unchecked_into();
        self.relay.leave(&socket);
        // Without an answer the client's closing handshake hangs and ends as 1006.
        let _ = socket.close(sanitised(code), "");
    }

    /// The connection has failed.
    #[wasm_bindgen(js_name = webSocketError)]
    pub fn websocket_error(&self, socket: JsValue, _error: JsValue) {
        let socket: Socket = socket.unchecked_into();
        self.relay.leave(&socket);
        let _ = socket.close(1011, "");
    }

    /// Something is due: the datastore's expiry, or that of a token.
    pub fn alarm(&self) {
        self.relay.wake();
    }
}
