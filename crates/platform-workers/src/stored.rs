//! R2's descriptions of objects and of how to store them.

use crate::js;
use js_sys::{Array, Object};
use platform::{ByteRange, NativeBody, ObjectInfo, PutOptions, ServedBody};
use std::sync::Arc;
use wasm_bindgen::{JsCast, JsValue};

/// What R2 says of an object, custom metadata sorted by name.
pub(crate) fn info(object: &JsValue) -> ObjectInfo {
    let http = js::peek(object, "httpMetadata");
    ObjectInfo {
        key: js::string(object, "key"),
        size_bytes: js::number(object, "size") as u64,
        etag: js::string(object, "httpEtag"),
        content_type: js::string(&http, "contentType"),
        metadata: metadata(&js::peek(object, "customMetadata")),
        uploaded_ms: uploaded_ms(object),
    }
}

fn uploaded_ms(object: &JsValue) -> i64 {
    let date = js::peek(object, "uploaded");
    let ms = js::call(&date, "getTime", &[]);
    ms.ok().and_then(|ms| ms.as_f64()).unwrap_or(0.0) as i64
}

fn metadata(object: &JsValue) -> Vec<(String, String)> {
    if !object.is_object() {
        return Vec::new();
    }
    let entries = Object::entries(object.unchecked_ref());
    let pairs = entries.iter().map(|entry| {
        let entry: Array = entry.unchecked_into();
        let text = |index| entry.get(index).as_string().unwrap_or_default();
        (text(0), text(1))
    });
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort();
    pairs
}

pub(crate) fn put_options(options: &PutOptions) -> Result<JsValue, JsValue> {
    let content_type = match options.content_type.as_str() {
        "" => JsValue::UNDEFINED,
        text => JsValue::from_str(text),
    };
    let http = js::object(&[("contentType", content_type)])?;
    let custom = Object::new();
    for (name, value) in &options.metadata {
        js::set(&custom, name, &JsValue::from_str(value))?;
    }
    js::object(&[("httpMetadata", http), ("customMetadata", custom.into())])
}

pub(crate) fn get_options(range: ByteRange) -> Result<JsValue, JsValue> {
    let number = |n: u64| JsValue::from_f64(n as f64);
    let range = match range {
        ByteRange::From { offset, length } => js::object(&[
            ("offset", number(offset)),
            ("length", length.map_or(JsValue::UNDEFINED, number)),
        ]),
        ByteRange::Suffix { length } => js::object(&[("suffix", number(length))]),
    };
    js::object(&[("range", range?)])
}

/// First byte and length of what R2 has opened.
pub(crate) fn range(object: &JsValue) -> Option<(u64, u64)> {
    let range = js::peek(object, "range");
    if !range.is_object() {
        return None;
    }
    let size = js::number(object, "size") as u64;
    let number = |name: &str| js::peek(&range, name).as_f64().map(|n| n as u64);
    if let Some(suffix) = number("suffix") {
        let length = suffix.min(size);
        return Some((size - length, length));
    }
    let offset = number("offset").unwrap_or(0);
    let rest = size.saturating_sub(offset);
    Some((offset, number("length").unwrap_or(rest).min(rest)))
}

/// R2 answers `null` for a missing object.
pub(crate) fn present(object: JsValue) -> Option<JsValue> {
    object.is_object().then_some(object)
}

/// A stream that never passes through our memory.
pub(crate) fn native(stream: JsValue) -> ServedBody {
    ServedBody::Native(NativeBody(Arc::new(stream)))
}
