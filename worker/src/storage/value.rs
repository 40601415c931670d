//! Values as they cross between SQLite, JavaScript and here.

use core::cell::RefCell;

use js_sys::{Array, Uint8Array};
use neap_core::{id::Seq, pool::Item, record::Digest};
use wasm_bindgen::{JsCast, JsValue};

use super::Failure;
use crate::platform::Cursor;

/// The last text that was handed to JavaScript.
#[derive(Default)]
pub(super) struct Kept(RefCell<Option<(Box<str>, JsValue)>>);

impl Kept {
    pub(super) fn give(&self, text: &str) -> JsValue {
        let Ok(mut kept) = self.0.try_borrow_mut() else { return JsValue::from_str(text) };
        match &*kept {
            Some((last, value)) if **last == *text => value.clone(),
            Some(_) | None => {
                let value = JsValue::from_str(text);
                *kept = Some((text.into(), value.clone()));
                value
            }
        }
    }
}

pub(super) fn read(cursor: Cursor) -> Result<Array, Failure> {
    let rows = cursor.raw()?.to_array()?;
    #[cfg(feature = "contract")]
    crate::contract::count_rows(&cursor);
    Ok(rows)
}

pub(super) fn first(cursor: Cursor) -> Result<Option<Array>, Failure> {
    let rows = read(cursor)?;
    if rows.length() == 0 {
        return Ok(None);
    }
    rows.get(0).dyn_into::<Array>().map(Some).map_err(|_| Failure::Shape)
}

/// Numbers of the core stay below 2^53, where a double is exact.
pub(super) fn integer(number: u64) -> JsValue {
    JsValue::from_f64(number as f64)
}

pub(super) fn number(value: &JsValue) -> Result<u64, Failure> {
    let number = value.as_f64().ok_or(Failure::Shape)?;
    let is_exact = (0.0..=js_sys::Number::MAX_SAFE_INTEGER).contains(&number);
    if is_exact && number.fract() == 0.0 { Ok(number as u64) } else { Err(Failure::Shape) }
}

pub(super) fn bytes(bytes: &[u8]) -> JsValue {
    Uint8Array::from(bytes).into()
}

pub(super) fn blob(value: &JsValue) -> Result<Vec<u8>, Failure> {
    if value.is_instance_of::<js_sys::ArrayBuffer>() {
        Ok(Uint8Array::new(value).to_vec())
    } else {
        Err(Failure::Shape)
    }
}

pub(super) fn text(value: &JsValue) -> Result<Box<str>, Failure> {
    value.as_string().map(String::into_boxed_str).ok_or(Failure::Shape)
}

pub(super) fn data(value: &JsValue) -> Result<Option<Box<str>>, Failure> {
    if value.is_null() { Ok(None) } else { text(value).map(Some) }
}

/// What `item` and `items` select.
pub(super) fn item(row: &Array) -> Result<Item, Failure> {
    let hash = blob(&row.get(1))?.try_into().map_err(|_| Failure::Shape)?;
    Ok(Item { seq: Seq(number(&row.get(0))?), hash: Digest(hash), data: data(&row.get(2))? })
}
