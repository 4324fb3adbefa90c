//! Whether an instance still has work: image-gen is asked by its binding.
//!
//! In scope: the one question and how it fails. Out of scope: what follows from the answer (`delete`).

use crate::abuse::AbuseGuard;
use crate::deps::Deps;
use api_types::{InstanceId, RunningReply};
use errors::{Code, Error, Result};
use http::{HeaderMap, HeaderValue, Method};
use platform::{CallContext, HttpClient, HttpRequest, Ports, collect};

/// The exchange may take this long, in milliseconds: image-gen asks its objects too.
const TIMEOUT_MS: u64 = 10_000;
/// The answer names at most 20 jobs.
const MAX_REPLY_BYTES: u64 = 64 * 1024;

fn unavailable(internal: impl Into<String>) -> Error {
    Error::new(
        Code::LedgerUnavailable,
        "image-gen does not say whether work is running, so nothing was deleted.",
    )
    .with_internal(internal)
    .with_retry_after_ms(2_000)
}

impl<P: Ports, G: AbuseGuard> Deps<P, G> {
    /// What runs; `None` where image-gen is not bound.
    ///
    /// # Errors
    /// 503 when it does not answer, or says something else.
    pub(super) async fn running(
        &self,
        instance_id: &InstanceId,
        call: &CallContext,
    ) -> Result<Option<RunningReply>> {
        let Some(image_gen) = &self.image_gen else {
            return Ok(None);
        };
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-request-id", &call.request_id),
            ("traceparent", &call.traceparent),
        ] {
            if let Ok(value) = HeaderValue::from_str(value)
                && !value.is_empty()
            {
                headers.insert(name, value);
            }
        }
        let request = HttpRequest {
            method: Method::GET,
            // On a service binding the host says nothing; a name that resolves nowhere shows mistakes early.
            url: format!("http://image-gen/internal/v1/running/{instance_id}"),
            headers,
            body: String::new().into(),
            timeout_ms: TIMEOUT_MS,
        };
        let response = image_gen
            .send(request)
            .await
            .map_err(|failure| unavailable(failure.cause))?;
        let status = response.status;
        let body = collect(response.body, MAX_REPLY_BYTES)
            .await
            .map_err(|error| unavailable(format!("{error:?}")))?;
        if status != 200 {
            return Err(unavailable(format!("status {status}")));
        }
        let reply: RunningReply = serde_json::from_slice(&body)
            .map_err(|error| unavailable(format!("running: {error}")))?;
        if reply.instance_id != *instance_id {
            return Err(unavailable("the answer is about another instance"));
        }
        Ok(Some(reply))
    }
}
