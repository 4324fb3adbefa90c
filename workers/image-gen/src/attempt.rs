//! One attempt under a held lease: submit once, or go on with a known provider job; poll, fetch, store.
//!
//! In scope: the steps between the lease and the settle. Out of scope: leases of other candidates and what a failure leads
//! to (`run`), the exchange itself (`provider-driver`).
//! Architecture invariant: a permit is needed to submit, and only a fresh lease gives one; resuming has none.

use crate::credentials;
use crate::deps::Deps;
use crate::lease::{Lease, Lost};
use crate::storing::{Shelf, StoreTrouble, fetch_and_store, provider_fault};
use api_types::{
    GenerateJob, ImageResult, ImageState, InstanceConfig, JobCandidate, JobRef, JobStage,
    ProviderSettings, QualityCheck, StoredImage, Timestamp, Warning,
};
use errors::Error;
use futures_util::{FutureExt, StreamExt, future::join, stream};
use jobs::Deadline;
use platform::{Clock, Ports};
use provider_adapters::{
    Accepted, Advice, FormatContext, ImageAdapter, JobResult, JobStatus, Kind, ProviderError,
    ProviderSecret, Submission, registry,
};
use provider_driver::{LeaseGrant, SubmitPermit};
use r2_manager::{StoreError, Stored, StreamingReader};

/// Images of one attempt that are fetched at the same time; an invocation has 6 connections.
const PARALLEL_IMAGES: usize = 4;
/// Pause before the first poll of a resumed job, in milliseconds.
const RESUME_PAUSE_MS: u64 = 1_000;

/// Where the attempt begins.
pub enum Start {
    /// Nothing was sent.
    Submit(LeaseGrant),
    /// The provider has it.
    Resume(JobRef),
}

/// What an attempt brought.
#[derive(Clone, Debug)]
pub struct Produced {
    /// Stored images, in order.
    pub images: Vec<StoredImage>,
    /// Images that the provider kept back.
    pub withheld: u32,
    /// What did not go as asked.
    pub warnings: Vec<Warning>,
    /// What the check of a strict request refuses.
    pub rejected: bool,
    /// What it cost, in micro-dollars; `None` when unknown.
    pub cost_usd_micros: Option<i64>,
    /// How that is known.
    pub cost_basis: api_types::CostBasis,
    /// Tokens, if the provider counts them.
    pub tokens: Option<u32>,
    /// From submit to the finished answer, in milliseconds.
    pub generation_ms: u64,
}

/// Why an attempt brought nothing.
#[derive(Debug)]
pub enum Trouble {
    /// Certainly nothing was sent.
    NotSent(Error),
    /// The provider failed, or may have.
    Provider(ProviderError),
    /// No bucket took what the provider has made.
    Storage {
        /// For the log.
        cause: String,
        /// The provider still has it: it can be fetched again.
        resumable: bool,
    },
    /// Nobody waits any more; the provider works on.
    GaveUp,
    /// Another holder has the lease.
    Lost,
}

impl From<Lost> for Trouble {
    fn from(_: Lost) -> Self {
        Self::Lost
    }
}

impl From<ProviderError> for Trouble {
    fn from(error: ProviderError) -> Self {
        Self::Provider(error)
    }
}

/// One attempt and all it needs.
pub struct Attempt<'a, P: Ports> {
    /// Dependencies.
    pub deps: &'a Deps<P>,
    /// Configuration of the instance.
    pub config: &'a InstanceConfig,
    /// The job, at the candidate that is tried.
    pub job: &'a GenerateJob,
    /// That candidate.
    pub candidate: &'a JobCandidate,
    /// The lease.
    pub lease: &'a Lease<P>,
    /// When nobody waits any more; between polls only.
    pub deadline: Deadline,
}

/// The opened way to a provider.
struct Way {
    adapter: ImageAdapter,
    secret: ProviderSecret,
}

/// A finished answer.
struct Finished {
    result: JobResult,
    job_ref: JobRef,
    generation_ms: u64,
    /// Blobs of a synchronous answer that the reader has stored already, by index.
    blobs: Vec<Result<Stored, StoreError>>,
}

impl<P: Ports> Attempt<'_, P> {
    /// Runs it to stored images.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn work(&self, start: Start) -> Result<Produced, Trouble> {
        match start {
            Start::Submit(grant) => {
                let way = self.open().map_err(Trouble::NotSent)?;
                let finished = self.submit(&way, grant).await?;
                self.store(&way, finished).await
            }
            Start::Resume(job_ref) => {
                let way = self.open().map_err(|error| {
                    // The provider has the work; without its key nobody can ask for it.
                    ProviderError::new(Kind::Auth, Accepted::Yes)
                        .with_advice(Advice::Reconcile)
                        .with_internal(error.to_string())
                })?;
                let finished = self.poll(&way, job_ref).await?;
                self.store(&way, finished).await
            }
        }
    }

    /// When the job must be over, whoever waits.
    fn run_deadline(&self) -> Timestamp {
        let run_ms = i64::try_from(self.deps.settings.run_ms).unwrap_or(i64::MAX);
        Timestamp(self.deps.clock.now_ms()).plus_ms(run_ms)
    }

    fn open(&self) -> Result<Way, Error> {
        let name = &self.candidate.provider;
        // Without settings the name is the adapter.
        let unset = ProviderSettings::default();
        let configured = self.config.edited.providers.get(name);
        let settings = configured.unwrap_or(&unset);
        let adapter = registry::image(name, settings)?;
        let secret = credentials::open(self.deps, self.config, name, settings, &adapter)?;
        Ok(Way { adapter, secret })
    }

    fn shelf(&self, cost_usd_micros: Option<i64>, images: u32) -> Shelf<'_> {
        Shelf {
            job: self.job,
            candidate: self.candidate,
            lease_id: &self.lease.lease_id,
            cost_usd_micros,
            images,
        }
    }

    async fn submit(&self, way: &Way, grant: LeaseGrant) -> Result<Finished, Trouble> {
        let formatted = way
            .adapter
            .format_request(
                &self.job.request.prompt,
                &self.candidate.effective,
                &FormatContext {
                    model: &self.candidate.model,
                    job_id: self.job.job_id.as_str(),
                    attempt_no: self.job.attempt_no,
                },
            )
            .map_err(|error| Trouble::NotSent(Error::from(error)))?;
        let mut parts = formatted.parts.into_iter();
        let (Some(part), None) = (parts.next(), parts.next()) else {
            // `plan` offers no candidate that needs several calls.
            return Err(Trouble::NotSent(Error::internal(
                "the request was not formatted into one call",
            )));
        };
        let wanted = u32::try_from(self.job.image_ids.len()).unwrap_or(u32::MAX);
        let shelf = self.shelf(self.candidate.estimate_usd_micros, wanted);
        let targets = self.deps.buckets.in_order(&self.job.bucket);
        let mut reader = StreamingReader::new(targets, |index| {
            let now = Timestamp(self.deps.clock.now_ms());
            match shelf.image_id(index) {
                Some(image_id) => shelf.options(&image_id, None, now),
                // A key that every bucket refuses: an image without an id cannot be told from another one.
                None => r2_manager::StoreOptions {
                    key: Box::new(|_| String::new()),
                    metadata: Vec::new(),
                },
            }
        });
        let started_ms = self.deps.clock.now_ms();
        let submission = self
            .lease
            .during(
                JobStage::Submitting,
                self.deps.driver.submit_job(
                    &way.adapter,
                    SubmitPermit::from_lease(grant),
                    part,
                    &way.secret,
                    self.run_deadline(),
                    &mut reader,
                ),
            )
            .await;
        let elapsed = |now_ms: i64| u64::try_from(now_ms - started_ms).unwrap_or(0);
        match submission {
            Ok(Submission::Done { job, result }) => Ok(Finished {
                result,
                job_ref: job,
                generation_ms: elapsed(self.deps.clock.now_ms()),
                blobs: reader.into_stored(),
            }),
            Ok(Submission::Accepted { job, .. }) => self.accepted(way, job).await,
            Err(mut error) => match error.job.take() {
                // Unreadable but for its handle: the job is known, so it is asked for like any other.
                Some(job) => self.accepted(way, *job).await,
                None => Err(error.into()),
            },
        }
    }

    /// Records the handle during the first poll delay, before anybody polls.
    async fn accepted(&self, way: &Way, job_ref: JobRef) -> Result<Finished, Trouble> {
        let mut schedule = self.deps.driver.poll_schedule(&way.adapter, &job_ref);
        let first_ms = schedule.next().unwrap_or(1_000).min(self.left_ms());
        let sleep = self.deps.clock.sleep(first_ms);
        join(self.lease.submitted(&job_ref), sleep).await;
        self.poll_on(way, job_ref, schedule).await
    }

    async fn poll(&self, way: &Way, job_ref: JobRef) -> Result<Finished, Trouble> {
        // Whoever held the lease before may have asked a moment ago, and vendors count polls.
        let pause_ms = RESUME_PAUSE_MS.min(self.left_ms());
        self.lease.wait(pause_ms, JobStage::Polling).await?;
        let schedule = self.deps.driver.poll_schedule(&way.adapter, &job_ref);
        self.poll_on(way, job_ref, schedule).await
    }

    fn left_ms(&self) -> u64 {
        self.deadline.left_ms(self.deps.clock.now_ms())
    }

    /// Asks, then waits, until the provider is done or nobody waits any more.
    async fn poll_on(
        &self,
        way: &Way,
        job_ref: JobRef,
        schedule: impl Iterator<Item = u64> + Send,
    ) -> Result<Finished, Trouble> {
        let mut delays = schedule;
        loop {
            let mut at_least_ms = 0;
            let status = self
                .lease
                .during(
                    JobStage::Polling,
                    self.deps.driver.check_status(
                        &way.adapter,
                        &job_ref,
                        &way.secret,
                        self.run_deadline(),
                    ),
                )
                .await;
            match status {
                Ok(JobStatus::Pending { .. }) => {}
                Ok(JobStatus::Completed { result }) => {
                    let now_ms = self.deps.clock.now_ms();
                    let generation_ms =
                        u64::try_from(now_ms - job_ref.submitted_at.ms()).unwrap_or(0);
                    let result = match result {
                        Some(result) => result,
                        None => self.fetch_result(way, &job_ref).await?,
                    };
                    return Ok(Finished {
                        result,
                        job_ref,
                        generation_ms,
                        blobs: Vec::new(),
                    });
                }
                Ok(JobStatus::Expired) => {
                    return Err(ProviderError::new(Kind::ExpiredResult, Accepted::Yes).into());
                }
                // The job is unharmed by a poll that failed.
                Err(error) if error.advice == Advice::Reconcile => {
                    at_least_ms = error.retry_after_ms.unwrap_or(0);
                }
                Ok(JobStatus::Failed(error)) | Err(error) => return Err(error.into()),
            }
            let Some(delay_ms) = delays.next() else {
                // Once more, in case the object was away when it was first told: nobody can poll without it.
                self.lease.submitted(&job_ref).await;
                return Err(ProviderError::new(Kind::Timeout, Accepted::Yes)
                    .with_advice(Advice::Reconcile)
                    .into());
            };
            let left_ms = self.left_ms();
            let pause_ms = delay_ms.max(at_least_ms);
            self.lease
                .wait(pause_ms.min(left_ms), JobStage::Polling)
                .await?;
            // A wait that was cut short is no reason to ask early: the next holder asks in time.
            if pause_ms > left_ms {
                // Once more, in case the object was away when it was first told: nobody can poll without it.
                self.lease.submitted(&job_ref).await;
                return Err(Trouble::GaveUp);
            }
        }
    }

    async fn fetch_result(&self, way: &Way, job_ref: &JobRef) -> Result<JobResult, ProviderError> {
        self.lease
            .during(
                JobStage::Fetching,
                self.deps.driver.fetch_result(
                    &way.adapter,
                    job_ref,
                    &way.secret,
                    self.run_deadline(),
                ),
            )
            .await
    }

    async fn store(&self, way: &Way, finished: Finished) -> Result<Produced, Trouble> {
        let Finished {
            result,
            job_ref,
            generation_ms,
            blobs,
        } = finished;
        let ready: Vec<&ImageResult> = result
            .images
            .iter()
            .filter(|image| image.state == ImageState::Ready)
            .collect();
        let count = u32::try_from(ready.len()).unwrap_or(u32::MAX);
        let shelf = self.shelf(result.cost.usd_micros, count);
        let mut storing = Vec::with_capacity(ready.len());
        for image in ready {
            storing.push(self.store_one(way, &shelf, image, &blobs, &job_ref).boxed());
        }
        let work = stream::iter(storing)
            .buffered(PARALLEL_IMAGES)
            .collect::<Vec<_>>()
            .boxed();
        let outcomes = self.lease.during(JobStage::Storing, work).await;

        let check = self
            .job
            .request
            .quality_check
            .unwrap_or(self.config.edited.quality_check);
        let mut produced = Produced {
            images: Vec::new(),
            withheld: 0,
            warnings: result.warnings.clone(),
            rejected: false,
            cost_usd_micros: result.cost.usd_micros,
            cost_basis: result.cost.basis,
            tokens: result.tokens,
            generation_ms,
        };
        let mut fault = None;
        for (image, outcome) in outcomes {
            match outcome {
                Ok(stored) => {
                    let Some(id) = shelf.image_id(image.blob.unwrap_or(image.index)) else {
                        continue;
                    };
                    let (stored, found) = shelf.stored(&id, image, stored, check);
                    produced.rejected |= found.is_some() && check == QualityCheck::Strict;
                    produced.warnings.extend(found);
                    produced.images.push(stored);
                }
                Err(StoreTrouble::Storage(cause)) => {
                    return Err(Trouble::Storage {
                        cause,
                        resumable: image.blob.is_none(),
                    });
                }
                Err(StoreTrouble::Provider(error)) => {
                    produced.warnings.push(image_warning("image_lost", image));
                    fault = Some(error);
                }
            }
        }
        for image in &result.images {
            match image.state {
                ImageState::Ready => {}
                ImageState::Withheld => {
                    produced.withheld += 1;
                    produced
                        .warnings
                        .push(image_warning("image_withheld", image));
                }
                ImageState::Failed => {
                    produced.warnings.push(image_warning("image_failed", image));
                }
            }
        }
        if produced.images.is_empty() {
            let error = fault.unwrap_or_else(|| ProviderError::new(Kind::NoOutput, Accepted::Yes));
            return Err(error.into());
        }
        Ok(produced)
    }

    async fn store_one<'a>(
        &self,
        way: &Way,
        shelf: &Shelf<'_>,
        image: &'a ImageResult,
        blobs: &[Result<Stored, StoreError>],
        job_ref: &JobRef,
    ) -> (&'a ImageResult, Result<Stored, StoreTrouble>) {
        (image, self.place(way, shelf, image, blobs, job_ref).await)
    }

    async fn place(
        &self,
        way: &Way,
        shelf: &Shelf<'_>,
        image: &ImageResult,
        blobs: &[Result<Stored, StoreError>],
        job_ref: &JobRef,
    ) -> Result<Stored, StoreTrouble> {
        if let Some(blob) = image.blob {
            let missing =
                || StoreTrouble::Provider(ProviderError::new(Kind::NoOutput, Accepted::Yes));
            return match blobs.get(blob as usize).ok_or_else(missing)? {
                Ok(stored) => Ok(stored.clone()),
                Err(error) => Err(provider_fault(error).map_or_else(
                    || StoreTrouble::Storage(error.to_string()),
                    StoreTrouble::Provider,
                )),
            };
        }
        let Some(image_id) = shelf.image_id(image.index) else {
            return Err(StoreTrouble::Provider(ProviderError::new(
                Kind::ContractMismatch,
                Accepted::Yes,
            )));
        };
        let deadline = self.run_deadline();
        let fetched = fetch_and_store(self.deps, shelf, &way.adapter, &image_id, image, deadline);
        match fetched.await {
            // Links to files end before the result does: one fresh result gives new ones.
            Err(StoreTrouble::Provider(error)) if error.kind == Kind::ExpiredResult => {
                let fresh = self
                    .deps
                    .driver
                    .fetch_result(&way.adapter, job_ref, &way.secret, self.run_deadline())
                    .await
                    .map_err(StoreTrouble::Provider)?;
                match fresh.images.into_iter().find(|it| it.index == image.index) {
                    Some(image) => {
                        let deadline = self.run_deadline();
                        fetch_and_store(self.deps, shelf, &way.adapter, &image_id, &image, deadline)
                            .await
                    }
                    None => Err(StoreTrouble::Provider(error)),
                }
            }
            stored => stored,
        }
    }
}

fn image_warning(code: &str, image: &ImageResult) -> Warning {
    Warning {
        code: code.to_owned(),
        option: None,
        from: Some(image.index.to_string()),
        to: None,
    }
}
