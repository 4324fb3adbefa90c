//! Workers KV.

use crate::js;
use platform::{KvStore, Ops, PortError};
use std::future::Future;
use wasm_bindgen::JsValue;
use worker::send::SendFuture;

/// One KV namespace.
#[derive(Clone, Debug)]
pub struct WorkerKv {
    namespace: JsValue,
    ops: Ops,
}

impl WorkerKv {
    pub(crate) fn new(namespace: JsValue, ops: Ops) -> Self {
        Self { namespace, ops }
    }

    fn ask(
        &self,
        method: &'static str,
        args: impl FnOnce() -> Result<Vec<JsValue>, JsValue>,
    ) -> impl Future<Output = Result<JsValue, PortError>> {
        self.ops.add_kv_ops(1);
        async move {
            let asked = async { js::ask(&self.namespace, method, &args()?).await };
            asked.await.map_err(|thrown| failed(&thrown))
        }
    }
}

fn failed(thrown: &JsValue) -> PortError {
    PortError::new("kv", js::text(thrown))
}

impl KvStore for WorkerKv {
    fn get(
        &self,
        key: &str,
        cache_ttl_s: u64,
    ) -> impl Future<Output = Result<Option<String>, PortError>> + Send {
        SendFuture::new(async move {
            let args = || {
                let options = [
                    ("type", JsValue::from_str("text")),
                    ("cacheTtl", JsValue::from_f64(cache_ttl_s as f64)),
                ];
                Ok(vec![JsValue::from_str(key), js::object(&options)?])
            };
            Ok(self.ask("get", args).await?.as_string())
        })
    }

    fn put(
        &self,
        key: &str,
        value: &str,
        expires_in_s: Option<u64>,
    ) -> impl Future<Output = Result<(), PortError>> + Send {
        SendFuture::new(async move {
            let args = || {
                let ttl = expires_in_s.map_or(JsValue::UNDEFINED, |s| JsValue::from_f64(s as f64));
                let options = js::object(&[("expirationTtl", ttl)])?;
                let (key, value) = (JsValue::from_str(key), JsValue::from_str(value));
                Ok(vec![key, value, options])
            };
            self.ask("put", args).await.map(|_| ())
        })
    }

    fn delete(&self, key: &str) -> impl Future<Output = Result<(), PortError>> + Send {
        SendFuture::new(async move {
            let args = || Ok(vec![JsValue::from_str(key)]);
            self.ask("delete", args).await.map(|_| ())
        })
    }
}
