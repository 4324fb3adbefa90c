//! Durable Objects of one class.

use crate::js;
use platform::{ActorError, ActorReply, Actors, CallContext, Ops};
use std::future::Future;
use wasm_bindgen::JsValue;
use worker::send::SendFuture;

/// A Durable Object namespace; objects are found by name.
#[derive(Clone, Debug)]
pub struct WorkerActors {
    namespace: JsValue,
    ops: Ops,
}

impl WorkerActors {
    pub(crate) fn new(namespace: JsValue, ops: Ops) -> Self {
        Self { namespace, ops }
    }

    async fn fetch(
        &self,
        name: &str,
        command: &str,
        body: &str,
        context: &CallContext,
    ) -> Result<ActorReply, JsValue> {
        let id = js::call(&self.namespace, "idFromName", &[JsValue::from_str(name)])?;
        let stub = js::call(&self.namespace, "get", &[id])?;
        let headers = js::object(&[
            ("content-type", JsValue::from_str("application/json")),
            ("x-request-id", JsValue::from_str(&context.request_id)),
            ("traceparent", header(&context.traceparent)),
        ])?;
        let init = js::object(&[
            ("method", JsValue::from_str("POST")),
            ("headers", headers),
            ("body", JsValue::from_str(body)),
        ])?;
        let url = JsValue::from_str(&format!("https://do/v1/{command}"));
        let response = js::ask(&stub, "fetch", &[url, init]).await?;
        let body = js::ask(&response, "text", &[]).await?;
        Ok(ActorReply {
            status: js::number(&response, "status") as u16,
            body: body.as_string().unwrap_or_default(),
        })
    }
}

fn header(value: &str) -> JsValue {
    if value.is_empty() {
        JsValue::UNDEFINED
    } else {
        JsValue::from_str(value)
    }
}

impl Actors for WorkerActors {
    fn call(
        &self,
        name: &str,
        command: &str,
        body: String,
        context: &CallContext,
    ) -> impl Future<Output = Result<ActorReply, ActorError>> + Send {
        self.ops.add_do_calls(1);
        SendFuture::new(async move {
            let reply = self.fetch(name, command, &body, context).await;
            reply.map_err(|thrown| ActorError {
                overloaded: js::peek(&thrown, "overloaded").is_truthy(),
                cause: js::text(&thrown),
            })
        })
    }
}
