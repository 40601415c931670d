//! The few things of the platform that the worker crate lacks, or that it lets throw.
//!
//! A JavaScript exception that passes through an import without `catch` counts as a trap, and a trap
//! resets every object of the isolate. So whatever can throw is bound here again, with `catch`.

use js_sys::{Array, JsString, Promise, Uint8Array};
use neap_http::Settings;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// A Durable Object's state.
    #[derive(Clone)]
    pub(crate) type State;

    #[wasm_bindgen(method, catch, getter)]
    pub(crate) fn storage(this: &State) -> Result<Storage, JsValue>;

    #[wasm_bindgen(method, catch, getter)]
    fn id(this: &State) -> Result<ObjectId, JsValue>;

    /// A Durable Object's name for itself.
    type ObjectId;

    /// What the object's id was made of.
    #[wasm_bindgen(method, catch, getter, js_name = name)]
    fn origin(this: &ObjectId) -> Result<Option<String>, JsValue>;

    #[wasm_bindgen(method, catch, js_name = toString)]
    fn text(this: &ObjectId) -> Result<String, JsValue>;

    #[wasm_bindgen(method, catch, js_name = getWebSockets)]
    pub(crate) fn sockets(this: &State) -> Result<Vec<Socket>, JsValue>;

    #[wasm_bindgen(method, catch, js_name = acceptWebSocket)]
    pub(crate) fn accept(this: &State, socket: &Socket) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = setWebSocketAutoResponse)]
    pub(crate) fn set_auto_response(this: &State, pair: &AutoResponse) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = setWebSocketAutoResponse)]
    pub(crate) fn clear_auto_response(this: &State) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = waitUntil)]
    pub(crate) fn wait_until(this: &State, promise: &Promise) -> Result<(), JsValue>;

    /// What the platform answers by itself, without waking the object.
    #[wasm_bindgen(js_name = WebSocketRequestResponsePair)]
    pub(crate) type AutoResponse;

    #[wasm_bindgen(constructor, catch, js_class = WebSocketRequestResponsePair)]
    pub(crate) fn new(request: &str, response: &str) -> Result<AutoResponse, JsValue>;

    /// A Durable Object's storage.
    #[derive(Clone)]
    pub(crate) type Storage;

    #[wasm_bindgen(method, catch, getter)]
    pub(crate) fn sql(this: &Storage) -> Result<Sql, JsValue>;

    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(
        this: &Storage,
        body: &mut dyn FnMut() -> Result<JsValue, JsValue>,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, js_name = setAlarm)]
    pub(crate) fn set_alarm(this: &Storage, at_ms: f64) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch, js_name = deleteAlarm)]
    pub(crate) fn delete_alarm(this: &Storage) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch, js_name = deleteAll)]
    pub(crate) fn delete_all(this: &Storage) -> Result<Promise, JsValue>;

    /// The SQL side of the storage.
    #[derive(Clone)]
    pub(crate) type Sql;

    #[wasm_bindgen(method, catch, js_name = exec)]
    pub(crate) fn exec0(this: &Sql, text: &JsString) -> Result<Cursor, JsValue>;

    #[wasm_bindgen(method, catch, js_name = exec)]
    pub(crate) fn exec1(this: &Sql, text: &JsString, a: &JsValue) -> Result<Cursor, JsValue>;

    #[wasm_bindgen(method, catch, js_name = exec)]
    pub(crate) fn exec2(
        this: &Sql,
        text: &JsString,
        a: &JsValue,
        b: &JsValue,
    ) -> Result<Cursor, JsValue>;

    #[wasm_bindgen(method, catch, variadic, js_name = exec)]
    pub(crate) fn exec_all(this: &Sql, text: &JsString, values: &Array) -> Result<Cursor, JsValue>;

    #[wasm_bindgen(method, catch, js_name = exec)]
    pub(crate) fn exec4(
        this: &Sql,
        text: &JsString,
        a: &JsValue,
        b: &JsValue,
        c: &JsValue,
        d: &JsValue,
    ) -> Result<Cursor, JsValue>;

    /// The rows of a statement, still to be read.
    pub(crate) type Cursor;

    #[wasm_bindgen(method, catch)]
    pub(crate) fn raw(this: &Cursor) -> Result<RawRows, JsValue>;

    #[cfg(feature = "contract")]
    #[wasm_bindgen(method, catch, getter, js_name = rowsWritten)]
    pub(crate) fn rows_written(this: &Cursor) -> Result<f64, JsValue>;

    #[cfg(feature = "contract")]
    #[wasm_bindgen(method, catch, getter, js_name = rowsRead)]
    pub(crate) fn rows_read(this: &Cursor) -> Result<f64, JsValue>;

    /// The rows of a statement as arrays.
    pub(crate) type RawRows;

    #[wasm_bindgen(method, catch, js_name = toArray)]
    pub(crate) fn to_array(this: &RawRows) -> Result<Array, JsValue>;

    /// A WebSocket, on either side.
    #[derive(Clone)]
    pub(crate) type Socket;

    #[wasm_bindgen(method, catch, js_name = accept)]
    pub(crate) fn accept_now(this: &Socket) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch)]
    pub(crate) fn send(this: &Socket, bytes: &Uint8Array) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = send)]
    pub(crate) fn send_text(this: &Socket, text: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch)]
    pub(crate) fn close(this: &Socket, code: u16, reason: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = serializeAttachment)]
    pub(crate) fn attach(this: &Socket, bytes: &Uint8Array) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = deserializeAttachment)]
    pub(crate) fn attachment(this: &Socket) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, getter, js_name = readyState)]
    pub(crate) fn ready_state(this: &Socket) -> Result<u16, JsValue>;

    /// The name of the socket's session, as long as this object of it lives: after a sleep the
    /// platform makes another one, which has none.
    #[wasm_bindgen(method, catch, getter, structural, js_name = neapSession)]
    pub(crate) fn session(this: &Socket) -> Result<Option<f64>, JsValue>;

    #[wasm_bindgen(method, catch, setter, structural, js_name = neapSession)]
    pub(crate) fn set_session(this: &Socket, name: f64) -> Result<(), JsValue>;

    /// Bytes that wait for a slow receiver; undefined where the runtime does not tell.
    #[wasm_bindgen(method, catch, getter, js_name = bufferedAmount)]
    fn buffered_amount(this: &Socket) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_name = setTimeout)]
    pub(crate) fn set_timeout(callback: &JsValue, delay_ms: f64);
}

/// A socket that is open.
const OPEN: u16 = 1;

impl Socket {
    /// Whether frames can still be sent.
    pub(crate) fn is_open(&self) -> bool {
        self.ready_state().is_ok_and(|state| state == OPEN)
    }

    /// Bytes that wait for a slow receiver, as far as the runtime tells.
    pub(crate) fn backlog(&self) -> f64 {
        self.buffered_amount().ok().and_then(|bytes| bytes.as_f64()).unwrap_or(0.0)
    }

    /// The bytes kept beside the socket.
    pub(crate) fn attached(&self) -> Option<Vec<u8>> {
        let kept = self.attachment().ok()?;
        Some(kept.dyn_into::<Uint8Array>().ok()?.to_vec())
    }
}

impl State {
    /// What the platform calls the object: 64 hex digits, from which nobody learns its public id.
    pub(crate) fn name(&self) -> String {
        self.id().and_then(|id| id.text()).unwrap_or_default()
    }

    /// The public id of the object's datastore.
    pub(crate) fn public_id(&self) -> Option<String> {
        self.id().and_then(|id| id.origin()).ok().flatten()
    }
}

impl Storage {
    /// Runs `body` in a transaction: all of it is stored, or where it fails nothing.
    pub(crate) fn transaction<T, E>(
        &self,
        mut body: impl FnMut() -> Result<T, E>,
    ) -> Result<T, Undone<E>> {
        let mut done = None;
        let ran = self.transaction_sync(&mut || match body() {
            Ok(value) => {
                done = Some(Ok(value));
                Ok(JsValue::UNDEFINED)
            }
            Err(error) => {
                done = Some(Err(error));
                // Any exception rolls back.
                Err(JsValue::FALSE)
            }
        });
        match (ran, done) {
            (Ok(_), Some(Ok(value))) => Ok(value),
            (_, Some(Err(error))) => Err(Undone::Body(error)),
            (Err(error), _) => Err(Undone::Commit(say(&error))),
            (Ok(_), None) => Err(Undone::Commit("the transaction did not run".into())),
        }
    }
}

/// Why a transaction has been rolled back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Undone<E> {
    /// What ran inside failed.
    Body(E),
    /// The platform failed.
    Commit(String),
}

/// The text of a JavaScript exception.
pub(crate) fn say(error: &JsValue) -> String {
    let message = js_sys::Reflect::get(error, &JsValue::from_str("message")).ok();
    message.and_then(|text| text.as_string()).unwrap_or_else(|| format!("{error:?}"))
}

/// The relay's settings, from the worker's bindings.
pub(crate) fn settings(bindings: &JsValue) -> Settings {
    Settings::read(
        |name| setting(bindings, name),
        |complaint| worker::console_error!("{complaint}"),
    )
}

/// A setting: a text among the bindings.
fn setting(bindings: &JsValue, name: &str) -> Option<String> {
    js_sys::Reflect::get(bindings, &JsValue::from_str(name)).ok()?.as_string()
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    // Casts from floats saturate; the clock is far from both ends.
    js_sys::Date::now() as u64
}

/// Fresh random bytes. All zero should the platform have none, which it always has.
pub(crate) fn dice<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        worker::console_error!("no random bytes: {error}");
    }
    bytes
}

/// Two hex digits for each of sixteen random bytes: a public id.
pub(crate) fn mint_id() -> String {
    dice::<16>().iter().map(|byte| format!("{byte:02x}")).collect()
}
