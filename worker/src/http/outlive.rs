//! Answers that outlive a trap.
//!
//! A trap ends the wasm of its isolate with all that was under way in it, also for other datastores. What
//! answers a request is therefore watched over by plain JavaScript.

use js_sys::{Array, JsString, Promise};
use neap_http::Answer;
use wasm_bindgen::prelude::*;
use worker::{Response, Result, wasm_bindgen_futures::future_to_promise, worker_sys::web_sys};

#[wasm_bindgen(module = "/src/http/outlive.js")]
extern "C" {
    fn outlive(promise: &Promise, status: u16, headers: &Array, body: &str) -> Promise;

    #[wasm_bindgen(catch)]
    fn breakable(response: &web_sys::Response) -> core::result::Result<web_sys::Response, JsValue>;
}

/// Runs what answers a request. Whoever asked hears [`Answer::lost`] with these headers where a trap ends
/// it before.
pub(crate) fn answering(
    run: impl Future<Output = Result<Response>> + 'static,
    headers: &[(&'static str, String)],
) -> Promise {
    let lost = Answer::lost();
    let pair = |(name, value): &(&str, String)| {
        Array::of2(&JsString::from(*name), &JsString::from(value.as_str()))
    };
    let headers: Array = lost.headers().iter().chain(headers).map(pair).collect();
    let promise = future_to_promise(async move {
        let response = run.await.map_err(JsValue::from)?;
        Ok(web_sys::Response::from(response).into())
    });
    outlive(&promise, lost.status(), &headers, &String::from_utf8_lossy(lost.body()))
}

/// Lets a streamed answer break off where a trap ends what it comes from.
pub(crate) fn breaking_off(response: Response) -> Result<Response> {
    Ok(breakable(&response.into())?.into())
}
