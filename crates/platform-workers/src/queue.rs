//! Workers Queues.

use crate::js;
use platform::{MessageQueue, PortError};
use std::future::Future;
use wasm_bindgen::JsValue;
use worker::RawMessage;
use worker::send::SendFuture;

/// The producing side of one queue.
#[derive(Clone, Debug)]
pub struct WorkerQueue {
    queue: JsValue,
}

impl WorkerQueue {
    pub(crate) fn new(queue: JsValue) -> Self {
        Self { queue }
    }
}

impl MessageQueue for WorkerQueue {
    fn send(&self, body: &str) -> impl Future<Output = Result<(), PortError>> + Send {
        SendFuture::new(async move {
            let sent = async {
                // As text the JSON arrives as it was written; as JSON its numbers would become doubles.
                let options = js::object(&[("contentType", JsValue::from_str("text"))])?;
                js::ask(&self.queue, "send", &[JsValue::from_str(body), options]).await
            };
            let sent = sent.await.map(|_| ());
            sent.map_err(|thrown| PortError::new("queue", js::text(&thrown)))
        })
    }
}

/// The JSON text of a message as [`WorkerQueue`] sent it; `None` when something else sent it.
pub fn queue_text(message: &RawMessage) -> Option<String> {
    message.body().as_string()
}
