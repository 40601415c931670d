//! The Durable Object as the platform sees it: a class and its handlers.
#![allow(missing_docs, reason = "the macro writes methods without any")]

use std::rc::Rc;

use wasm_bindgen::prelude::*;
use worker::{DurableObject, Env, Request, Response, Result, durable_object};

use crate::{
    http,
    log::Log,
    platform::{self, Socket, State},
    relay::{Relay, sanitised},
};

/// The object. Only `fetch` goes through the worker crate; the other handlers are exported below, as
/// plain synchronous functions, and look at the size of a message before they copy it.
#[durable_object(fetch)]
pub struct Datastore {
    relay: Rc<Relay>,
}

impl DurableObject for Datastore {
    /// Opens nothing: an id that nobody creates must leave nothing behind.
    fn new(state: worker::State, env: Env) -> Self {
        let raw: &JsValue = state.as_raw().as_ref();
        let settings = platform::settings(env.as_ref());
        let state: State = raw.clone().unchecked_into();
        let log = Log::new(state.name(), env.as_ref());
        Datastore { relay: Relay::new(state, settings, log) }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        http::serve(&self.relay, request).await
    }
}

#[wasm_bindgen]
impl Datastore {
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
