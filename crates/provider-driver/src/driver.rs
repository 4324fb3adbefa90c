//! Sends what adapters format and hands back what they understand.
//!
//! In scope: one send per permit, deadlines, hosts, repeats of free reads. Out of scope: what an answer means
//! (`provider-adapters`), when to poll again and what to pay (the caller).

use crate::download::{Download, MAX_FILE_BYTES, MAX_REDIRECTS, checked};
use crate::permit::SubmitPermit;
use crate::reader::BufferingReader;
use crate::schedule::{PollSchedule, jittered};
use api_types::{ImageResult, JobRef, Timestamp, url_guard};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use platform::{
    ByteStream, Clock, HttpClient, HttpRequest, HttpResponse, Random, ReplyError, ReplyReader,
    SendFailure, SendPhase,
};
use provider_adapters::classify::{self, Reached, Verdict};
use provider_adapters::redact::Redactor;
use provider_adapters::{
    Accepted, Advice, Body, Flow, ImageAdapter, JobResult, JobStatus, Kind, OutboundRequest,
    ParseContext, Parsed, Phase, ProbeReport, ProviderError, ProviderSecret, RawResponse,
    Submission,
};
use std::pin::pin;
use url::Url;

/// With less time left nothing is sent, in milliseconds.
const LEAST_MS: i64 = 1_000;
/// Longest download, in milliseconds.
const DOWNLOAD_MS: u64 = 60_000;
/// Waits before a free read is repeated, in milliseconds.
const REPEATS_MS: [u64; 3] = [500, 1_000, 2_000];
/// Longest error answer that is read, in bytes.
const MAX_ERROR_BYTES: u64 = 64 << 10;

/// Runs adapters over the ports.
#[derive(Clone, Debug)]
pub struct Driver<H, C, R> {
    http: H,
    clock: C,
    random: R,
}

impl<H: HttpClient, C: Clock, R: Random> Driver<H, C, R> {
    /// A driver over those ports.
    pub const fn new(http: H, clock: C, random: R) -> Self {
        Self {
            http,
            clock,
            random,
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.clock.now_ms())
    }

    /// Sends a submit, once. The permit is gone whatever happens.
    ///
    /// # Errors
    /// The failure with what the vendor may have accepted; nothing is ever repeated here.
    pub async fn submit_job<Reader: ReplyReader>(
        &self,
        adapter: &ImageAdapter,
        permit: SubmitPermit,
        request: OutboundRequest,
        key: &ProviderSecret,
        deadline: Timestamp,
        reader: &mut Reader,
    ) -> Result<Submission, ProviderError> {
        let SubmitPermit(()) = permit;
        let parsed = self
            .exchange(adapter, &request, key, deadline, reader)
            .await?;
        match parsed {
            Parsed::Accepted { job, warnings } => Ok(Submission::Accepted { job, warnings }),
            Parsed::Done(result) => Ok(Submission::Done {
                job: self.own_handle(adapter, &request),
                result,
            }),
            Parsed::Status(_) | Parsed::Healthy(_) => Err(foreign(Accepted::Maybe)),
        }
    }

    /// Asks once how a job is going. An error with advice `Reconcile` says nothing about the job: ask again later.
    ///
    /// # Errors
    /// The answer failed or cannot be read; the job is unharmed.
    pub async fn check_status(
        &self,
        adapter: &ImageAdapter,
        job: &JobRef,
        key: &ProviderSecret,
        deadline: Timestamp,
    ) -> Result<JobStatus, ProviderError> {
        let request = adapter.status_request(job).ok_or_else(not_polled)?;
        let mut reader = BufferingReader::default();
        match self
            .exchange(adapter, &request, key, deadline, &mut reader)
            .await?
        {
            Parsed::Status(status) => Ok(clean_status(status, key)),
            _ => Err(foreign(Accepted::Yes)),
        }
    }

    /// Fetches the result of a finished job; repeats at most 3 times.
    ///
    /// # Errors
    /// The last failure, or what the vendor says became of the job.
    pub async fn fetch_result(
        &self,
        adapter: &ImageAdapter,
        job: &JobRef,
        key: &ProviderSecret,
        deadline: Timestamp,
    ) -> Result<JobResult, ProviderError> {
        let request = adapter.result_request(job).ok_or_else(not_polled)?;
        let mut waits = self.waits();
        loop {
            let mut reader = BufferingReader::default();
            let error = match self
                .exchange(adapter, &request, key, deadline, &mut reader)
                .await
            {
                Ok(Parsed::Done(result)) => return Ok(result),
                Ok(_) => return Err(foreign(Accepted::Yes)),
                Err(error) => error,
            };
            let wait = waits.next().filter(|_| is_passing(&error));
            let Some(wait) = wait else {
                return Err(error);
            };
            if !self
                .pause(wait.max(error.retry_after_ms.unwrap_or(0)), deadline)
                .await
            {
                return Err(error);
            }
        }
    }

    /// Opens an image that the vendor named by URL; repeats the request, not the reading, at most 3 times.
    ///
    /// # Errors
    /// `contract_mismatch`: a host that is not listed (ask again: the list may grow), too many redirects, too large.
    /// `expired_result`: 403, 404, 410. Otherwise the last failure.
    pub async fn open_result(
        &self,
        adapter: &ImageAdapter,
        image: &ImageResult,
        deadline: Timestamp,
    ) -> Result<Download, ProviderError> {
        let text = image.image_url.as_deref().unwrap_or_default();
        let mut url = checked_url(adapter, text)?;
        let (mut redirects, mut waits) = (0, self.waits());
        loop {
            let error = match self.get_file(&url, deadline).await {
                Ok(response) if (300..400).contains(&response.status) => {
                    redirects += 1;
                    if redirects > MAX_REDIRECTS {
                        return Err(mismatch("more than 3 redirects"));
                    }
                    url = follow(adapter, &url, &response.headers)?;
                    continue;
                }
                Ok(response) if response.status == 200 => return self.opened(response),
                Ok(response) if matches!(response.status, 403 | 404 | 410) => {
                    let mut error = ProviderError::new(Kind::ExpiredResult, Accepted::Yes)
                        .with_billed(api_types::Billed::Yes);
                    error.http_status = Some(response.status);
                    return Err(error);
                }
                Ok(response) => {
                    let head = RawResponse {
                        status: response.status,
                        headers: response.headers,
                        body: Bytes::new(),
                    };
                    classify::refused(
                        adapter.flow(),
                        Phase::Download,
                        &head,
                        Verdict::default(),
                        self.now(),
                    )
                }
                Err(error) => error,
            };
            let wait = waits.next().filter(|_| is_passing(&error));
            let Some(wait) = wait else {
                return Err(error);
            };
            if !self
                .pause(wait.max(error.retry_after_ms.unwrap_or(0)), deadline)
                .await
            {
                return Err(error);
            }
        }
    }

    /// Shows by a free call whether vendor and key work.
    ///
    /// # Errors
    /// Why they do not.
    pub async fn probe(
        &self,
        adapter: &ImageAdapter,
        key: &ProviderSecret,
        deadline: Timestamp,
    ) -> Result<ProbeReport, ProviderError> {
        let request = adapter.probe_request();
        let mut reader = BufferingReader::default();
        match self
            .exchange(adapter, &request, key, deadline, &mut reader)
            .await?
        {
            Parsed::Healthy(report) => Ok(report),
            _ => Err(foreign(Accepted::No)),
        }
    }

    /// Delays between polls of that job, from now on.
    pub fn poll_schedule(&self, adapter: &ImageAdapter, job: &JobRef) -> PollSchedule {
        let policy = adapter
            .poll_policy()
            .unwrap_or(provider_adapters::capability::PollPolicy {
                first_ms: 2_000,
                factor: 1.5,
                cap_ms: 30_000,
            });
        let elapsed_ms = (self.now().ms() - job.submitted_at.ms())
            .max(0)
            .cast_unsigned();
        PollSchedule::new(policy, elapsed_ms, self.random.next_u64())
    }

    /// One call and its answer.
    async fn exchange<Reader: ReplyReader>(
        &self,
        adapter: &ImageAdapter,
        request: &OutboundRequest,
        key: &ProviderSecret,
        deadline: Timestamp,
        reader: &mut Reader,
    ) -> Result<Parsed, ProviderError> {
        let started_ms = self.clock.now_ms();
        let redactor = Redactor::new(key);
        let result = self
            .send_and_read(adapter, request, key, deadline, reader)
            .await;
        let result = result.map_err(|error| redactor.clean_error(error));
        let (outcome, accepted, status) = match &result {
            Ok(_) => ("ok", None, None),
            Err(error) => (error.kind.as_str(), Some(error.accepted), error.http_status),
        };
        tracing::debug!(
            provider = %adapter.profile().name(),
            model = %request.about.model,
            phase = request.phase.as_str(),
            outcome,
            accepted = ?accepted,
            http_status = status,
            duration_ms = self.clock.now_ms() - started_ms,
            "provider call"
        );
        result
    }

    async fn send_and_read<Reader: ReplyReader>(
        &self,
        adapter: &ImageAdapter,
        request: &OutboundRequest,
        key: &ProviderSecret,
        deadline: Timestamp,
        reader: &mut Reader,
    ) -> Result<Parsed, ProviderError> {
        let private = adapter.profile().is_private();
        if url_guard::check(request.url.as_str(), private).is_err()
            || !adapter.profile().is_api_host(&request.url)
        {
            let host = url_guard::host_port(&request.url);
            let error = unsent(request.phase, Kind::ContractMismatch);
            return Err(
                error.with_internal(format!("host {host} is not an API host of the provider"))
            );
        }
        let headers = with_key(adapter, &request.headers, key).map_err(|why| {
            let mut error = unsent(request.phase, Kind::Auth);
            why.clone_into(&mut error.internal);
            error
        })?;
        let body = match &request.body {
            Body::Empty => Bytes::new(),
            Body::Json(value) => Bytes::from(value.to_string()),
        };
        let outgoing = HttpRequest {
            method: request.method.clone(),
            url: request.url.as_str().to_owned(),
            headers,
            body,
            timeout_ms: self
                .time_left(request.timeout_ms, deadline)
                .ok_or_else(|| unsent(request.phase, Kind::Timeout))?,
        };
        let response = self
            .http
            .send(outgoing)
            .await
            .map_err(|failure| broken(request.phase, failure))?;
        let status = response.status;
        let headers = response.headers;
        let content_type = text_of(&headers, header::CONTENT_TYPE);
        let is_success = (200..300).contains(&status);
        let (body, lost) = if !is_success {
            (read_partly(response.body, MAX_ERROR_BYTES).await.0, None)
        } else if adapter.flow() == Flow::Poll {
            // Small answers without images, and what arrived of a cut one may still name the job.
            read_partly(response.body, request.max_response_bytes).await
        } else {
            match reader
                .read(&content_type, response.body, request.max_response_bytes)
                .await
            {
                Ok(body) => (body, None),
                Err(error) => (Bytes::new(), Some(error)),
            }
        };
        let raw = RawResponse {
            status,
            headers,
            body,
        };
        let context = ParseContext {
            now: self.now(),
            about: &request.about,
        };
        let parsed = adapter.parse_response(request.phase, &raw, &context);
        match (lost, parsed) {
            (None, parsed) => parsed,
            (Some(error), Ok(Parsed::Accepted { job, .. })) => Err(unread(
                adapter.flow(),
                request.phase,
                status,
                &error,
                Some(job),
            )),
            (Some(error), Err(judged)) => Err(unread(
                adapter.flow(),
                request.phase,
                status,
                &error,
                judged.job.map(|job| *job),
            )),
            (Some(error), Ok(_)) => {
                Err(unread(adapter.flow(), request.phase, status, &error, None))
            }
        }
    }

    async fn get_file(
        &self,
        url: &Url,
        deadline: Timestamp,
    ) -> Result<HttpResponse, ProviderError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("image/*"));
        let request = HttpRequest {
            method: Method::GET,
            url: url.as_str().to_owned(),
            headers,
            body: Bytes::new(),
            timeout_ms: self
                .time_left(DOWNLOAD_MS, deadline)
                .ok_or_else(|| unsent(Phase::Download, Kind::Timeout))?,
        };
        self.http
            .send(request)
            .await
            .map_err(|failure| broken(Phase::Download, failure))
    }

    fn opened(&self, response: HttpResponse) -> Result<Download, ProviderError> {
        let length: Option<u64> = text_of(&response.headers, header::CONTENT_LENGTH)
            .parse()
            .ok();
        if length == Some(0) {
            return Err(ProviderError::new(Kind::NoOutput, Accepted::Yes)
                .with_internal("the file is empty"));
        }
        if length.is_some_and(|length| length > MAX_FILE_BYTES) {
            return Err(mismatch(&format!(
                "the file is larger than {MAX_FILE_BYTES} bytes"
            )));
        }
        // A compressed transfer announces the length of something else than what arrives.
        let encoded = response.headers.contains_key(header::CONTENT_ENCODING);
        let length = length.filter(|_| !encoded);
        let content_type = Some(text_of(&response.headers, header::CONTENT_TYPE));
        Ok(Download {
            content_type: content_type.filter(|text| !text.is_empty()),
            content_length: length,
            body: checked(response.body, length, self.clock.clone()),
        })
    }

    /// Time for a call, in milliseconds; `None` when less than a second is left.
    fn time_left(&self, timeout_ms: u64, deadline: Timestamp) -> Option<u64> {
        let left = deadline.ms() - self.clock.now_ms();
        (left >= LEAST_MS).then(|| timeout_ms.min(left.cast_unsigned()))
    }

    fn waits(&self) -> impl Iterator<Item = u64> + use<H, C, R> {
        let mut seed = self.random.next_u64();
        REPEATS_MS
            .into_iter()
            .map(move |ms| jittered(ms, 25, &mut seed))
    }

    /// Waits, if the deadline lets it and a second is left then.
    async fn pause(&self, ms: u64, deadline: Timestamp) -> bool {
        let after = self.clock.now_ms().saturating_add_unsigned(ms);
        if deadline.ms() - after < LEAST_MS {
            return false;
        }
        pin!(self.clock.sleep(ms)).await;
        true
    }

    fn own_handle(&self, adapter: &ImageAdapter, request: &OutboundRequest) -> JobRef {
        let now = self.now();
        let data = adapter.profile().data();
        JobRef {
            v: 1,
            provider: adapter.profile().name().clone(),
            adapter: data.adapter.clone(),
            api: request.about.api.clone(),
            model: request.about.model.clone(),
            part: request.about.part,
            weight: request.about.weight,
            job_id: request.about.job_id.clone(),
            poll_url: None,
            result_url: None,
            cancel_url: None,
            submitted_at: now,
            expires_at: now.plus_ms(i64::from(data.result_ttl_s) * 1_000),
        }
    }
}

/// A refusal of our own: nothing was sent.
fn unsent(phase: Phase, kind: Kind) -> ProviderError {
    match phase {
        Phase::Submit | Phase::Probe | Phase::Cancel => ProviderError::new(kind, Accepted::No),
        Phase::Status | Phase::Result | Phase::Download => {
            ProviderError::new(kind, Accepted::Yes).with_advice(Advice::Reconcile)
        }
    }
}

fn not_polled() -> ProviderError {
    ProviderError::new(Kind::NoOutput, Accepted::Yes)
        .with_internal("this vendor has no jobs to ask for")
}

fn foreign(accepted: Accepted) -> ProviderError {
    ProviderError::new(Kind::ContractMismatch, accepted)
        .with_internal("an answer to another question")
}

fn mismatch(why: &str) -> ProviderError {
    ProviderError::new(Kind::ContractMismatch, Accepted::Yes).with_internal(why)
}

fn broken(phase: Phase, failure: SendFailure) -> ProviderError {
    let reached = match failure.phase {
        SendPhase::NotSent => Reached::NotSent,
        SendPhase::MaybeSent => Reached::MaybeSent,
    };
    classify::broken(phase, reached, failure.timed_out, failure.cause)
}

/// The head of a success arrived, its body did not, or not all of it.
fn unread(
    flow: Flow,
    phase: Phase,
    status: u16,
    error: &ReplyError,
    job: Option<JobRef>,
) -> ProviderError {
    let why = match error {
        ReplyError::TooLarge { max_bytes } => {
            format!("the answer is longer than {max_bytes} bytes")
        }
        ReplyError::Broken(cause) => format!("the answer broke off: {cause}"),
        ReplyError::Storage(cause) => format!("storing the answer's images failed: {cause}"),
        ReplyError::Malformed(cause) => format!("the answer is malformed: {cause}"),
    };
    let response = RawResponse {
        status,
        headers: HeaderMap::new(),
        body: Bytes::new(),
    };
    let error = classify::unreadable(flow, phase, &why, &response);
    match job {
        Some(job) => {
            let mut error = error.with_advice(Advice::Reconcile);
            error.job = Some(Box::new(job));
            error
        }
        None => error,
    }
}

/// What arrives of a body, at most `max_bytes`, and why it is not all of it.
async fn read_partly(mut body: ByteStream, max_bytes: u64) -> (Bytes, Option<ReplyError>) {
    let mut all = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => return (all.freeze(), Some(ReplyError::Broken(error.cause))),
        };
        let room = (max_bytes as usize).saturating_sub(all.len());
        if chunk.len() > room {
            all.extend_from_slice(chunk.get(..room).unwrap_or_default());
            return (all.freeze(), Some(ReplyError::TooLarge { max_bytes }));
        }
        all.extend_from_slice(&chunk);
    }
    (all.freeze(), None)
}

fn with_key(
    adapter: &ImageAdapter,
    headers: &HeaderMap,
    key: &ProviderSecret,
) -> Result<HeaderMap, &'static str> {
    let mut headers = headers.clone();
    let api_key = key.api_key.expose();
    if !api_key.is_empty() {
        let scheme = adapter.auth();
        let name = HeaderName::try_from(scheme.header.as_str())
            .map_err(|_| "the header of the key is malformed")?;
        let text = format!("{}{api_key}", scheme.prefix);
        let mut value =
            HeaderValue::try_from(text).map_err(|_| "the key does not fit into a header")?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn text_of(headers: &HeaderMap, name: HeaderName) -> String {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn clean_status(status: JobStatus, key: &ProviderSecret) -> JobStatus {
    match status {
        JobStatus::Failed(error) => JobStatus::Failed(Redactor::new(key).clean_error(error)),
        other => other,
    }
}

/// Whether the same read may succeed soon.
fn is_passing(error: &ProviderError) -> bool {
    error.advice == Advice::Reconcile
        && matches!(
            error.kind,
            Kind::Unavailable | Kind::Timeout | Kind::RateLimited | Kind::ContractMismatch
        )
}

fn checked_url(adapter: &ImageAdapter, text: &str) -> Result<Url, ProviderError> {
    let profile = adapter.profile();
    let url = url_guard::check(text, profile.is_private())
        .map_err(|refused| mismatch(&format!("result URL {refused}")))?;
    if !profile.is_result_host(&url) {
        let host = url_guard::host_port(&url);
        let mut error = mismatch(&format!(
            "result host {host} is not listed; add it to extra_result_hosts"
        ))
        .with_advice(Advice::Reconcile);
        error.public = format!("The provider's result is on the host {host}, which is not listed.");
        error.public.truncate(error.public.floor_char_boundary(300));
        return Err(error);
    }
    Ok(url)
}

fn follow(adapter: &ImageAdapter, from: &Url, headers: &HeaderMap) -> Result<Url, ProviderError> {
    let target = text_of(headers, header::LOCATION);
    let joined = from
        .join(&target)
        .map_err(|_| mismatch("a redirect to nowhere"))?;
    checked_url(adapter, joined.as_str())
}
