//! Properties, calls and errors of JavaScript values by name; nothing here can throw through Rust frames.

use js_sys::{Array, Function, Object, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

/// What JavaScript threw.
pub(crate) type Thrown = JsValue;

pub(crate) fn get(object: &JsValue, name: &str) -> Result<JsValue, Thrown> {
    Reflect::get(object, &JsValue::from_str(name))
}

/// A property, or `undefined` where it cannot be read.
pub(crate) fn peek(object: &JsValue, name: &str) -> JsValue {
    get(object, name).unwrap_or(JsValue::UNDEFINED)
}

pub(crate) fn set(object: &Object, name: &str, value: &JsValue) -> Result<(), Thrown> {
    Reflect::set(object, &JsValue::from_str(name), value).map(|_| ())
}

/// Calls a method with the arguments.
pub(crate) fn call(object: &JsValue, method: &str, args: &[JsValue]) -> Result<JsValue, Thrown> {
    let function = get(object, method)?;
    let function = function.dyn_ref::<Function>().ok_or_else(|| {
        let text = format!("there is no method `{method}`");
        JsValue::from(js_sys::Error::new(&text))
    })?;
    Reflect::apply(function, object, &args.iter().collect::<Array>())
}

/// `new Name(..)` of a global class.
pub(crate) fn construct(class: &str, args: &[JsValue]) -> Result<JsValue, Thrown> {
    let class = get(&js_sys::global(), class)?;
    let class: &Function = class.unchecked_ref();
    Reflect::construct(class, &args.iter().collect::<Array>())
}

/// Waits for a promise.
pub(crate) async fn settle(promise: JsValue) -> Result<JsValue, Thrown> {
    JsFuture::from(Promise::resolve(&promise)).await
}

/// Calls a method that returns a promise and waits for it.
pub(crate) async fn ask(
    object: &JsValue,
    method: &str,
    args: &[JsValue],
) -> Result<JsValue, Thrown> {
    settle(call(object, method, args)?).await
}

pub(crate) fn object(members: &[(&str, JsValue)]) -> Result<JsValue, Thrown> {
    let object = Object::new();
    for (name, value) in members {
        if !value.is_undefined() {
            set(&object, name, value)?;
        }
    }
    Ok(object.into())
}

/// The text of a thrown value with that of its cause, which D1 puts the essential into.
pub(crate) fn text(thrown: &JsValue) -> String {
    let message = message(thrown);
    let cause = peek(thrown, "cause");
    if cause.is_null() || cause.is_undefined() {
        return message;
    }
    let cause = self::message(&cause);
    if message.contains(&cause) {
        message
    } else {
        format!("{message}: {cause}")
    }
}

fn message(thrown: &JsValue) -> String {
    if let Some(text) = thrown.as_string() {
        return text;
    }
    let text = peek(thrown, "message").as_string();
    text.unwrap_or_else(|| format!("{thrown:?}"))
}

/// The name of an error: `TypeError`, `TimeoutError`.
pub(crate) fn error_name(thrown: &JsValue) -> String {
    peek(thrown, "name").as_string().unwrap_or_default()
}

/// A text property, or the empty text.
pub(crate) fn string(object: &JsValue, name: &str) -> String {
    peek(object, name).as_string().unwrap_or_default()
}

/// A number property, or 0.
pub(crate) fn number(object: &JsValue, name: &str) -> f64 {
    peek(object, name).as_f64().unwrap_or(0.0)
}
