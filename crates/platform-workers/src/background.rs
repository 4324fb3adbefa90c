//! `waitUntil`.

use crate::js;
use crate::{ConsoleLevel, console_log};
use platform::Background;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::future_to_promise;

/// The context of the event: it keeps the isolate until the work is done.
#[derive(Clone, Debug)]
pub struct WorkerBackground {
    context: JsValue,
}

impl WorkerBackground {
    pub(crate) fn new(context: JsValue) -> Self {
        Self { context }
    }
}

impl Background for WorkerBackground {
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        // The work may unwind: its promise then rejects, and nothing of it is used again.
        let work = AssertUnwindSafe(work);
        let promise = future_to_promise(AssertUnwindSafe(async move {
            work.0.await;
            Ok(JsValue::UNDEFINED)
        }));
        if let Err(thrown) = js::call(&self.context, "waitUntil", &[promise.into()]) {
            let line = format!("waitUntil refused: {}", js::text(&thrown));
            console_log(ConsoleLevel::Error, &line);
        }
    }
}
