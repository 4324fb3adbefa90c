//! Where verdicts and configurations come from: config-service over its binding.
//!
//! In scope: the two internal calls, telling an answer (also a refusal) from a failure. Out of scope: repeating,
//! caching, the breaker (module `resolve`).

use api_types::{
    Ciphertext, CredentialId, InstanceConfig, InstanceId, ProviderName, ResolveReply,
    ResolveRequest, Timestamp,
};
use errors::{Code, Error, ErrorBody, Result};
use http::{HeaderMap, HeaderValue, Method, header};
use platform::{CallContext, HttpClient, HttpRequest, collect};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::future::Future;

/// One call may take this long, body included, in milliseconds.
pub(crate) const CALL_TIMEOUT_MS: u64 = 2_000;
/// The effective configuration has at most 256 KB; the rest of the answer is small.
const MAX_REPLY_BYTES: u64 = 512 * 1024;

/// Answers who calls and with which configuration. Errors below 500 are answers, all others are failures.
pub trait ConfigSource: Clone + Send + Sync + 'static {
    /// `POST /internal/v1/resolve`.
    fn resolve(
        &self,
        request: ResolveRequest,
        context: &CallContext,
    ) -> impl Future<Output = Result<ResolveReply>> + Send;

    /// `GET /internal/v1/config/{instance_id}?have=`; `None` when `have` is the current version.
    fn config(
        &self,
        instance_id: &InstanceId,
        have: Option<i64>,
        context: &CallContext,
    ) -> impl Future<Output = Result<Option<InstanceConfig>>> + Send;
}

/// The failure of config-service, as callers see it.
pub(crate) fn unavailable(internal: impl Into<String>) -> Error {
    Error::new(
        Code::ConfigUnavailable,
        "The control plane does not answer.",
    )
    .with_internal(internal)
    .with_retry_after_ms(2_000)
}

/// For workers that look nothing up; each call fails.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSource;

impl ConfigSource for NoSource {
    async fn resolve(
        &self,
        _request: ResolveRequest,
        _context: &CallContext,
    ) -> Result<ResolveReply> {
        Err(unavailable("this worker has no config source"))
    }

    async fn config(
        &self,
        _instance_id: &InstanceId,
        _have: Option<i64>,
        _context: &CallContext,
    ) -> Result<Option<InstanceConfig>> {
        Err(unavailable("this worker has no config source"))
    }
}

/// A provider key as config-service stores it. What else it is bound to stands in the reader's own context, which must agree.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SealedCredential {
    /// Which one.
    pub credential_id: CredentialId,
    /// The host that it was sealed for, and the only one that it may be sent to.
    pub host: String,
    /// The envelope.
    pub ciphertext: Ciphertext,
}

/// What a provider made of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialOutcome {
    /// It works.
    Ok,
    /// It was rejected.
    AuthFailed,
}

/// One item of a report about keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CredentialReport {
    /// Which key.
    pub credential_id: CredentialId,
    /// What the provider made of it.
    pub outcome: CredentialOutcome,
    /// When it was sent there.
    pub at: Timestamp,
}

/// config-service by its service binding.
#[derive(Clone, Debug)]
pub struct ServiceSource<H> {
    http: H,
}

impl<H: HttpClient> ServiceSource<H> {
    /// Over that binding.
    pub fn new(http: H) -> Self {
        Self { http }
    }

    /// `GET /internal/v1/credentials/{instance_id}/{provider}?credential_id=`: that key, also a previous one until its time
    /// is over; without an id the current one, past every cache.
    ///
    /// # Errors
    /// 404 `not_found`: there is no such key any more; 503 `config_unavailable`.
    pub async fn credential(
        &self,
        instance_id: &InstanceId,
        provider: &ProviderName,
        credential_id: Option<&CredentialId>,
        context: &CallContext,
    ) -> Result<SealedCredential> {
        let query = credential_id.map_or_else(String::new, |id| format!("?credential_id={id}"));
        let path = format!("/internal/v1/credentials/{instance_id}/{provider}{query}");
        let bytes = self.call(Method::GET, path, None, context).await?;
        serde_json::from_slice(&bytes.unwrap_or_default())
            .map_err(|error| unavailable(format!("credential: {error}")))
    }

    /// `POST /internal/v1/credentials/report`, at most 100 items. Repeatable.
    ///
    /// # Errors
    /// 503 `config_unavailable`.
    pub async fn report(&self, items: &[CredentialReport], context: &CallContext) -> Result<()> {
        let path = "/internal/v1/credentials/report".to_owned();
        let body = json!({ "items": items }).to_string();
        self.call(Method::POST, path, Some(body), context)
            .await
            .map(drop)
    }

    async fn call(
        &self,
        method: Method,
        path: String,
        body: Option<String>,
        context: &CallContext,
    ) -> Result<Option<Vec<u8>>> {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-request-id", &context.request_id),
            ("traceparent", &context.traceparent),
        ] {
            if let Ok(value) = HeaderValue::from_str(value)
                && !value.is_empty()
            {
                headers.insert(name, value);
            }
        }
        if body.is_some() {
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
        }
        let request = HttpRequest {
            method,
            // On a service binding the host says nothing; a name that resolves nowhere shows mistakes early.
            url: format!("http://config-service{path}"),
            headers,
            body: body.unwrap_or_default().into(),
            timeout_ms: CALL_TIMEOUT_MS,
        };
        let response = self
            .http
            .send(request)
            .await
            .map_err(|failure| unavailable(failure.cause))?;
        let status = response.status;
        let bytes = collect(response.body, MAX_REPLY_BYTES)
            .await
            .map_err(|error| unavailable(format!("{error:?}")))?;
        match status {
            200 | 204 => Ok(Some(bytes.to_vec())),
            304 => Ok(None),
            400..500 => Err(match serde_json::from_slice::<ErrorBody>(&bytes) {
                Ok(body) => body.into_error(),
                Err(_) => unavailable(format!("status {status} without an error body")),
            }),
            _ => Err(unavailable(format!("status {status}"))),
        }
    }
}

impl<H: HttpClient> ConfigSource for ServiceSource<H> {
    async fn resolve(
        &self,
        request: ResolveRequest,
        context: &CallContext,
    ) -> Result<ResolveReply> {
        let bytes = self
            .call(
                Method::POST,
                "/internal/v1/resolve".to_owned(),
                Some(request.to_json()),
                context,
            )
            .await?
            .unwrap_or_default();
        serde_json::from_slice(&bytes).map_err(|error| unavailable(format!("resolve: {error}")))
    }

    async fn config(
        &self,
        instance_id: &InstanceId,
        have: Option<i64>,
        context: &CallContext,
    ) -> Result<Option<InstanceConfig>> {
        let query = have.map_or_else(String::new, |version| format!("?have={version}"));
        let path = format!("/internal/v1/config/{instance_id}{query}");
        self.call(Method::GET, path, None, context)
            .await?
            .map(|bytes| {
                serde_json::from_slice(&bytes)
                    .map_err(|error| unavailable(format!("config: {error}")))
            })
            .transpose()
    }
}
