//! Streams of bytes across the border.

use crate::js;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use js_sys::{BigInt, Uint8Array};
use platform::{ByteStream, PortError};
use wasm_bindgen::{JsCast, JsValue};
use worker::send::SendFuture;

/// A reader of a JavaScript stream; dropped before the end it cancels the stream, so that its connection is freed.
struct Reader {
    inner: JsValue,
    port: &'static str,
    ended: bool,
}

impl Drop for Reader {
    fn drop(&mut self) {
        if !self.ended {
            // Nobody is left to tell that cancelling failed.
            let _ = js::call(&self.inner, "cancel", &[]);
        }
    }
}

impl Reader {
    async fn next(&mut self) -> Option<Result<Bytes, PortError>> {
        if self.ended {
            return None;
        }
        match js::ask(&self.inner, "read", &[]).await {
            Ok(result) if js::peek(&result, "done").is_truthy() => {
                self.ended = true;
                None
            }
            Ok(result) => Some(Ok(bytes(&js::peek(&result, "value")))),
            Err(thrown) => {
                self.ended = true;
                Some(Err(PortError::new(self.port, js::text(&thrown))))
            }
        }
    }
}

/// The bytes of an array or a view of one.
pub(crate) fn bytes(value: &JsValue) -> Bytes {
    match value.dyn_ref::<Uint8Array>() {
        Some(array) => array.to_vec().into(),
        None => Uint8Array::new(value).to_vec().into(),
    }
}

pub(crate) fn array(bytes: &[u8]) -> JsValue {
    Uint8Array::from(bytes).into()
}

/// The bytes of a `ReadableStream`; of nothing where there is none, as in an answer without a body.
pub(crate) fn read(readable: &JsValue, port: &'static str) -> ByteStream {
    if !readable.is_object() {
        return stream::empty().boxed();
    }
    let reader = match js::call(readable, "getReader", &[]) {
        Ok(reader) => reader,
        Err(thrown) => {
            let failed = PortError::new(port, js::text(&thrown));
            return stream::iter([Err(failed)]).boxed();
        }
    };
    let reader = Reader {
        inner: reader,
        port,
        ended: false,
    };
    let next = |mut reader: Reader| {
        SendFuture::new(async move {
            let item = reader.next().await?;
            Some((item, reader))
        })
    };
    stream::unfold(reader, next).boxed()
}

/// The two ends of a `FixedLengthStream`: what is read, what is written.
pub(crate) fn of_length(length_bytes: u64) -> Result<(JsValue, JsValue), JsValue> {
    let fixed = js::construct("FixedLengthStream", &[BigInt::from(length_bytes).into()])?;
    Ok((js::get(&fixed, "readable")?, js::get(&fixed, "writable")?))
}

/// Writes the whole stream into a `WritableStream` and closes it; aborts it when the stream breaks.
pub(crate) async fn pump(
    mut stream: ByteStream,
    writable: &JsValue,
    port: &'static str,
) -> Result<(), PortError> {
    let failed = |thrown: JsValue| PortError::new(port, js::text(&thrown));
    let writer = js::call(writable, "getWriter", &[]).map_err(failed)?;
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => {
                let written = js::ask(&writer, "write", &[array(&chunk)]).await;
                written.map_err(failed)?;
            }
            Err(error) => {
                let reason = JsValue::from_str(&error.cause);
                // The reader fails with the same reason; that is the failure that counts.
                let _ = js::ask(&writer, "abort", &[reason]).await;
                return Err(error);
            }
        }
    }
    js::ask(&writer, "close", &[]).await.map_err(failed)?;
    Ok(())
}

/// A `ReadableStream` of a body.
pub(crate) fn readable(body: axum::body::Body) -> JsValue {
    let chunks = body.into_data_stream().map(|chunk| match chunk {
        Ok(chunk) => Ok(array(&chunk)),
        Err(error) => Err(js_sys::Error::new(&error.to_string()).into()),
    });
    wasm_streams::ReadableStream::from_stream(chunks)
        .into_raw()
        .into()
}
