//! R2.

use crate::{js, stored, streams};
use bytes::Bytes;
use futures_util::future::join;
use js_sys::Array;
use platform::{
    ByteRange, ByteStream, ObjectInfo, ObjectRead, ObjectServe, ObjectStore, Ops, PortError,
    PutBody, PutOptions,
};
use std::future::Future;
use wasm_bindgen::{JsCast, JsValue};
use worker::send::SendFuture;

/// The number in the text of R2's answer to a range that the object does not reach.
const RANGE_NOT_SATISFIABLE: &str = "(10039)";
const MAX_LISTED: usize = 1_000;

/// One R2 bucket.
#[derive(Clone, Debug)]
pub struct WorkerObjects {
    bucket: JsValue,
    ops: Ops,
}

impl WorkerObjects {
    pub(crate) fn new(bucket: JsValue, ops: Ops) -> Self {
        Self { bucket, ops }
    }

    /// Calls the bucket and counts it.
    async fn ask(&self, method: &str, args: &[JsValue]) -> Result<JsValue, PortError> {
        self.ops.add_r2_ops(1);
        let answer = js::ask(&self.bucket, method, args).await;
        answer.map_err(|thrown| failed(&thrown))
    }

    async fn put_stream(
        &self,
        key: &str,
        stream: ByteStream,
        length_bytes: u64,
        options: JsValue,
    ) -> Result<JsValue, PortError> {
        let (readable, writable) = streams::of_length(length_bytes).map_err(|t| failed(&t))?;
        let args = [JsValue::from_str(key), readable, options];
        let put = self.ask("put", &args);
        // Both to their end: a pump that failed makes the put fail too, and then the pump knows why.
        let (put, pumped) = join(put, streams::pump(stream, &writable, "objects")).await;
        pumped?;
        put
    }

    async fn of_upload(
        &self,
        (key, upload_id): (&str, &str),
        method: &str,
        args: &[JsValue],
    ) -> Result<JsValue, PortError> {
        self.ops.add_r2_ops(1);
        let resume = [JsValue::from_str(key), JsValue::from_str(upload_id)];
        let answer = async {
            let upload = js::call(&self.bucket, "resumeMultipartUpload", &resume)?;
            js::ask(&upload, method, args).await
        };
        answer.await.map_err(|thrown| failed(&thrown))
    }
}

fn failed(thrown: &JsValue) -> PortError {
    PortError::new("objects", js::text(thrown))
}

impl ObjectStore for WorkerObjects {
    fn put(
        &self,
        key: &str,
        body: PutBody,
        options: &PutOptions,
    ) -> impl Future<Output = Result<ObjectInfo, PortError>> + Send {
        self.ops.add_r2_puts(1);
        SendFuture::new(async move {
            let options = stored::put_options(options).map_err(|t| failed(&t))?;
            let object = match body {
                PutBody::Bytes(bytes) => {
                    let args = [JsValue::from_str(key), streams::array(&bytes), options];
                    self.ask("put", &args).await?
                }
                PutBody::Stream {
                    stream,
                    length_bytes,
                } => self.put_stream(key, stream, length_bytes, options).await?,
            };
            Ok(stored::info(&object))
        })
    }

    fn multipart_create(
        &self,
        key: &str,
        options: &PutOptions,
    ) -> impl Future<Output = Result<String, PortError>> + Send {
        self.ops.add_r2_puts(1);
        SendFuture::new(async move {
            let options = stored::put_options(options).map_err(|t| failed(&t))?;
            let args = [JsValue::from_str(key), options];
            let upload = self.ask("createMultipartUpload", &args).await?;
            Ok(js::string(&upload, "uploadId"))
        })
    }

    fn multipart_part(
        &self,
        key: &str,
        upload_id: &str,
        number: u16,
        bytes: Bytes,
    ) -> impl Future<Output = Result<String, PortError>> + Send {
        SendFuture::new(async move {
            let args = [JsValue::from(number), streams::array(&bytes)];
            drop(bytes);
            let part = self
                .of_upload((key, upload_id), "uploadPart", &args)
                .await?;
            Ok(js::string(&part, "etag"))
        })
    }

    fn multipart_complete(
        &self,
        key: &str,
        upload_id: &str,
        parts: &[(u16, String)],
    ) -> impl Future<Output = Result<ObjectInfo, PortError>> + Send {
        SendFuture::new(async move {
            let parts = parts.iter().map(|(number, tag)| {
                js::object(&[
                    ("partNumber", JsValue::from(*number)),
                    ("etag", JsValue::from_str(tag)),
                ])
            });
            let parts = parts.collect::<Result<Array, JsValue>>();
            let args = [parts.map_err(|thrown| failed(&thrown))?.into()];
            let object = self.of_upload((key, upload_id), "complete", &args).await?;
            // The answer to `complete` lacks the metadata.
            Ok(self
                .head(key)
                .await?
                .unwrap_or_else(|| stored::info(&object)))
        })
    }

    fn multipart_abort(
        &self,
        key: &str,
        upload_id: &str,
    ) -> impl Future<Output = Result<(), PortError>> + Send {
        SendFuture::new(async move {
            let aborted = self.of_upload((key, upload_id), "abort", &[]).await;
            aborted.map(|_| ())
        })
    }

    fn get(&self, key: &str) -> impl Future<Output = Result<Option<ObjectRead>, PortError>> + Send {
        SendFuture::new(async move {
            let object = self.ask("get", &[JsValue::from_str(key)]).await?;
            Ok(stored::present(object).map(|object| ObjectRead {
                info: stored::info(&object),
                body: streams::read(&js::peek(&object, "body"), "objects"),
            }))
        })
    }

    fn serve(
        &self,
        key: &str,
        range: Option<ByteRange>,
    ) -> impl Future<Output = Result<Option<ObjectServe>, PortError>> + Send {
        SendFuture::new(async move {
            let mut args = vec![JsValue::from_str(key)];
            if let Some(range) = range {
                args.push(stored::get_options(range).map_err(|thrown| failed(&thrown))?);
            }
            let object = match self.ask("get", &args).await {
                Err(error) if error.cause.contains(RANGE_NOT_SATISFIABLE) => {
                    return Ok(self.head(key).await?.map(|info| ObjectServe {
                        info,
                        range: None,
                        body: stored::native(JsValue::NULL),
                    }));
                }
                answer => answer?,
            };
            Ok(stored::present(object).map(|object| ObjectServe {
                info: stored::info(&object),
                range: range.and_then(|_| stored::range(&object)),
                body: stored::native(js::peek(&object, "body")),
            }))
        })
    }

    fn head(
        &self,
        key: &str,
    ) -> impl Future<Output = Result<Option<ObjectInfo>, PortError>> + Send {
        SendFuture::new(async move {
            let object = self.ask("head", &[JsValue::from_str(key)]).await?;
            Ok(stored::present(object).map(|object| stored::info(&object)))
        })
    }

    fn delete(&self, key: &str) -> impl Future<Output = Result<(), PortError>> + Send {
        SendFuture::new(async move {
            let deleted = self.ask("delete", &[JsValue::from_str(key)]).await;
            deleted.map(|_| ())
        })
    }

    fn list(
        &self,
        prefix: &str,
    ) -> impl Future<Output = Result<Vec<ObjectInfo>, PortError>> + Send {
        SendFuture::new(async move {
            let mut listed = Vec::new();
            let mut cursor = JsValue::UNDEFINED;
            // With metadata R2 cuts pages short, so one page may be far from all.
            loop {
                let include = ["httpMetadata", "customMetadata"].map(JsValue::from_str);
                let options = js::object(&[
                    ("prefix", JsValue::from_str(prefix)),
                    ("include", include.iter().collect::<Array>().into()),
                    ("cursor", cursor),
                ]);
                let options = options.map_err(|thrown| failed(&thrown))?;
                let page = self.ask("list", &[options]).await?;
                let objects: Array = js::peek(&page, "objects").unchecked_into();
                listed.extend(objects.iter().map(|object| stored::info(&object)));
                listed.truncate(MAX_LISTED);
                if js::peek(&page, "truncated").is_falsy() || listed.len() == MAX_LISTED {
                    return Ok(listed);
                }
                cursor = js::peek(&page, "cursor");
            }
        })
    }
}
