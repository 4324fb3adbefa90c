//! Native ports and one whole run, for tests against the simulator.
//!
//! In scope: an HTTP client without pool and repeats, a clock that skips sleeps, submit to bytes. Out of scope: asserts.

#![allow(dead_code, reason = "each test file uses its own part")]
#![expect(clippy::unwrap_used, reason = "tests")]

use api_types::{
    AcquireDecision, AcquireReply, HeadroomSet, ImageOptions, ImageState, JobRef, LeaseId,
    LimiterStats, ProviderName, ProviderSettings, Timestamp,
};
use base64::Engine;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use platform::{
    Clock, HttpClient, HttpRequest, HttpResponse, PortError, Random, SendFailure, SendPhase,
};
use provider_adapters::{
    Advice, FormatContext, ImageAdapter, JobResult, JobStatus, ProviderSecret, Submission, registry,
};
use provider_driver::{BufferingReader, Driver, LeaseGrant, ProviderError, SubmitPermit};
use provider_sim::Simulator;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// HTTP over plain sockets; sends once, never reuses a connection.
#[derive(Clone)]
pub(crate) struct NativeHttp {
    client: Client<HttpConnector, Full<Bytes>>,
}

impl NativeHttp {
    pub(crate) fn new() -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .retry_canceled_requests(false)
            .build_http();
        Self { client }
    }
}

impl HttpClient for NativeHttp {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, SendFailure> {
        let mut outgoing = http::Request::builder()
            .method(request.method)
            .uri(&request.url);
        *outgoing.headers_mut().unwrap() = request.headers;
        let outgoing = outgoing.body(Full::new(request.body)).unwrap();
        let until = tokio::time::Instant::now() + Duration::from_millis(request.timeout_ms);
        let late = |cause: &str| SendFailure {
            phase: SendPhase::MaybeSent,
            timed_out: true,
            cause: cause.to_owned(),
        };
        let answered = tokio::time::timeout_at(until, self.client.request(outgoing)).await;
        let response = answered
            .map_err(|_| late("no head in time"))?
            .map_err(|error| SendFailure {
                phase: if error.is_connect() {
                    SendPhase::NotSent
                } else {
                    SendPhase::MaybeSent
                },
                timed_out: false,
                cause: error.to_string(),
            })?;
        let (head, body) = response.into_parts();
        let body = stream::unfold(Some(body.into_data_stream()), move |body| async move {
            let mut body = body?;
            match tokio::time::timeout_at(until, body.next()).await {
                Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some(body))),
                Ok(Some(Err(error))) => {
                    Some((Err(PortError::new("http", error.to_string())), None))
                }
                Ok(None) => None,
                Err(_) => Some((Err(PortError::new("http", "no body in time")), None)),
            }
        });
        Ok(HttpResponse {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.boxed(),
        })
    }
}

/// The machine's clock, in which a long sleep takes a moment and counts in full.
#[derive(Clone, Default)]
pub(crate) struct HastyClock {
    skipped_ms: Arc<AtomicI64>,
}

/// What a skipped sleep takes, in milliseconds.
const MOMENT_MS: u64 = 15;
/// Sleeps longer than the driver's pauses are guards that must not fire early.
const GUARD_MS: u64 = 20_000;

impl HastyClock {
    pub(crate) fn skip(&self, ms: i64) {
        self.skipped_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Sleeps for a moment that counts in full.
    pub(crate) async fn pass(&self, ms: u64) {
        let taken = ms.min(MOMENT_MS);
        tokio::time::sleep(Duration::from_millis(taken)).await;
        self.skip(i64::try_from(ms - taken).unwrap());
    }
}

impl Clock for HastyClock {
    #[expect(clippy::disallowed_methods, reason = "the native clock of these tests")]
    fn now_ms(&self) -> i64 {
        let real = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis();
        i64::try_from(real).unwrap() + self.skipped_ms.load(Ordering::SeqCst)
    }

    async fn sleep(&self, ms: u64) {
        if ms >= GUARD_MS {
            return tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        self.pass(ms).await;
    }
}

/// A counter is random enough to spread jitter.
#[derive(Clone, Default)]
pub(crate) struct Counter(Arc<AtomicU64>);

impl Random for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0.fetch_add(1, Ordering::SeqCst).to_le_bytes()[0];
        }
    }
}

pub(crate) type TestDriver = Driver<NativeHttp, HastyClock, Counter>;

/// A fresh permit, as a granted lease gives it.
pub(crate) fn permit() -> SubmitPermit {
    let granted = AcquireReply {
        decision: AcquireDecision::Granted {
            lease_id: LeaseId::parse("0199a1c2-0000-7000-8000-000000000009").unwrap(),
            epoch: 1,
            probe: false,
        },
        headroom: HeadroomSet::default(),
        stats: LimiterStats::default(),
    };
    SubmitPermit::from_lease(LeaseGrant::of_acquire(&granted).unwrap())
}

/// Settings of a provider that is the simulator; `vendor` is `ideogram`, `openai` or `localai`.
pub(crate) fn settings(sim: &Simulator, vendor: &str) -> ProviderSettings {
    let host = |base: String| base.trim_start_matches("http://").to_owned();
    let model = if vendor == "localai" {
        json!("sd-3.5")
    } else {
        Value::Null
    };
    let adapter = if vendor == "ideogram" {
        "ideogram"
    } else {
        "openai"
    };
    let value = json!({"adapter": adapter, "base_url": sim.base(vendor), "allow_private_host": true,
        "default_model": model, "extra_result_hosts": [host(sim.image_host())], "extra_api_hosts": [host(sim.alt_host())]});
    serde_json::from_value(value).unwrap()
}

pub(crate) fn adapter_of(settings: &ProviderSettings, vendor: &str) -> ImageAdapter {
    registry::image(&ProviderName::parse(vendor).unwrap(), settings).unwrap()
}

/// What became of one image.
#[derive(Debug)]
pub(crate) enum File {
    /// The bytes.
    Bytes(Vec<u8>),
    /// It could not be opened.
    Closed(ProviderError),
    /// It broke while it was read.
    Broken(String),
    /// It was kept back or is missing.
    None(ImageState),
}

/// How a run ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The submit failed.
    Refused(ProviderError),
    /// The vendor ended the job.
    Failed(ProviderError),
    /// The vendor forgot the job.
    Expired,
    /// Polling went on as long as the test lets it.
    Lost(ProviderError),
    /// There is a result.
    Done(JobResult, Vec<File>),
}

/// One whole run with its job id.
pub(crate) struct Run {
    pub(crate) sim: Arc<Simulator>,
    pub(crate) clock: HastyClock,
    pub(crate) driver: TestDriver,
    pub(crate) adapter: ImageAdapter,
    pub(crate) key: ProviderSecret,
    pub(crate) polls: u32,
}

impl Run {
    pub(crate) fn new(sim: &Arc<Simulator>, vendor: &str, key: &str) -> Self {
        let clock = HastyClock::default();
        Self {
            sim: sim.clone(),
            driver: Driver::new(NativeHttp::new(), clock.clone(), Counter::default()),
            clock,
            adapter: adapter_of(&settings(sim, vendor), vendor),
            key: ProviderSecret::of_key(key),
            polls: 0,
        }
    }

    pub(crate) fn deadline(&self, ms: i64) -> Timestamp {
        Timestamp(self.clock.now_ms()).plus_ms(ms)
    }

    pub(crate) async fn submit(
        &self,
        job_id: &str,
        attempt_no: u32,
        prompt: &str,
        options: &ImageOptions,
        within_ms: i64,
        reader: &mut BufferingReader,
    ) -> Result<Submission, ProviderError> {
        self.submit_with(
            permit(),
            job_id,
            attempt_no,
            prompt,
            options,
            within_ms,
            reader,
        )
        .await
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "a test names everything that it sends"
    )]
    pub(crate) async fn submit_with(
        &self,
        permit: SubmitPermit,
        job_id: &str,
        attempt_no: u32,
        prompt: &str,
        options: &ImageOptions,
        within_ms: i64,
        reader: &mut BufferingReader,
    ) -> Result<Submission, ProviderError> {
        let model = self.adapter.profile().default_model().unwrap().id.clone();
        let context = FormatContext {
            model: &model,
            job_id,
            attempt_no,
        };
        let mut formatted = self.adapter.format_request(prompt, options, &context)?;
        let part = formatted.parts.remove(0);
        self.driver
            .submit_job(
                &self.adapter,
                permit,
                part,
                &self.key,
                self.deadline(within_ms),
                reader,
            )
            .await
    }

    /// Polls until the vendor says how it ended, at most `most` times.
    pub(crate) async fn poll(&mut self, job: &JobRef, most: u32) -> Result<JobResult, End> {
        let mut schedule = self.driver.poll_schedule(&self.adapter, job);
        let mut last = None;
        while self.polls < most {
            let Some(wait) = schedule.next_after(
                last.as_ref()
                    .and_then(|error: &ProviderError| error.retry_after_ms),
            ) else {
                break;
            };
            self.clock.pass(wait).await;
            self.polls += 1;
            match self
                .driver
                .check_status(&self.adapter, job, &self.key, self.deadline(60_000))
                .await
            {
                Ok(JobStatus::Pending { .. }) => {}
                Ok(JobStatus::Completed {
                    result: Some(result),
                }) => return Ok(result),
                Ok(JobStatus::Completed { result: None }) => {
                    let result = self
                        .driver
                        .fetch_result(&self.adapter, job, &self.key, self.deadline(60_000))
                        .await;
                    return result.map_err(End::Failed);
                }
                Ok(JobStatus::Expired) => return Err(End::Expired),
                Err(error) if error.advice == Advice::Reconcile => last = Some(error),
                Ok(JobStatus::Failed(error)) | Err(error) => return Err(End::Failed(error)),
            }
        }
        Err(End::Lost(
            last.unwrap_or_else(|| ProviderError::refused("still pending")),
        ))
    }

    pub(crate) async fn files(&self, result: &JobResult, reader: &BufferingReader) -> Vec<File> {
        let mut files = Vec::new();
        for image in &result.images {
            files.push(match (image.state, image.blob) {
                (ImageState::Ready, Some(blob)) => {
                    let text = &reader.blobs[blob as usize];
                    base64::engine::general_purpose::STANDARD
                        .decode(text)
                        .map_or_else(|error| File::Broken(error.to_string()), File::Bytes)
                }
                (ImageState::Ready, None) => match self
                    .driver
                    .open_result(&self.adapter, image, self.deadline(60_000))
                    .await
                {
                    Ok(mut download) => {
                        let mut bytes = Vec::new();
                        loop {
                            match download.body.next().await {
                                Some(Ok(chunk)) => bytes.extend_from_slice(&chunk),
                                Some(Err(error)) => break File::Broken(error.cause),
                                None => break File::Bytes(bytes),
                            }
                        }
                    }
                    Err(error) => File::Closed(error),
                },
                (state, _) => File::None(state),
            });
        }
        files
    }

    /// Submit, poll, download.
    pub(crate) async fn whole(
        &mut self,
        job_id: &str,
        prompt: &str,
        options: &ImageOptions,
        within_ms: i64,
    ) -> End {
        let mut reader = BufferingReader::default();
        let result = match self
            .submit(job_id, 1, prompt, options, within_ms, &mut reader)
            .await
        {
            Err(error) => return End::Refused(error),
            Ok(Submission::Done { result, .. }) => result,
            Ok(Submission::Accepted { job, .. }) => match self.poll(&job, 12).await {
                Ok(result) => result,
                Err(end) => return end,
            },
        };
        let files = self.files(&result, &reader).await;
        End::Done(result, files)
    }
}
