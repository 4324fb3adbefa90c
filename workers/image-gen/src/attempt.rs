//! One attempt under a held lease: submit once, or go on with a known provider job, and poll until it is done.
//!
//! In scope: the steps between the lease and the provider's finished answer. Out of scope: from there to stored images
//! (`delivery`), leases of other candidates and what a failure leads to (`run`), the exchange itself (`provider-driver`).
//! Architecture invariant: a permit is needed to submit, and only a fresh lease gives one; resuming has none.

use crate::credentials::{self, Access, Holder, Opened};
use crate::deps::Deps;
use crate::lease::{Lease, Lost};
use crate::settling;
use crate::storing::Shelf;
use api_types::{
    CostBasis, CredentialId, GenerateJob, ImageResult, ImageState, ImageUsage, InstanceConfig,
    JobCandidate, JobRef, JobStage, ProviderSettings, StoredImage, Timestamp, Warning,
};
use errors::{Code, Error};
use futures_util::future::join;
use jobs::Deadline;
use lookup::CredentialOutcome;
use platform::{Clock, Ports};
use provider_adapters::{
    Accepted, ActualCost, Advice, FormatContext, ImageAdapter, JobResult, JobStatus, Kind,
    ProviderError, ProviderSecret, Submission,
};
use provider_driver::{LeaseGrant, SubmitPermit};
use r2_manager::{StoreError, StreamingReader, UploadResult};
use std::sync::{Mutex, MutexGuard, PoisonError};

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
    pub cost_basis: CostBasis,
    /// Tokens, if the provider counts them.
    pub tokens: Option<u32>,
    /// The same by kind.
    pub usage: Option<ImageUsage>,
    /// From submit to the finished answer, in milliseconds; `None` when nobody saw both.
    pub generation_ms: Option<u64>,
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
        /// What the provider charged for it.
        cost: ActualCost,
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
pub(crate) struct Way {
    pub(crate) adapter: ImageAdapter,
    settings: ProviderSettings,
    key: Mutex<Key>,
}

struct Key {
    opened: Opened,
    /// It was read again once already.
    renewed: bool,
    /// The one that the stored job names.
    named: Option<CredentialId>,
}

impl Way {
    fn opened(&self) -> Opened {
        self.lock().opened.clone()
    }

    pub(crate) fn secret(&self) -> ProviderSecret {
        self.lock().opened.secret.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Key> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the vendor rejected the key itself. Its other refusals of that kind (403, an unknown model) are about what the
/// account may do: the same key works elsewhere, and another one would not be looked for because of them.
fn is_key_rejected(error: &ProviderError) -> bool {
    error.kind == Kind::Auth && error.http_status == Some(401)
}

/// A finished answer.
pub(crate) struct Finished {
    pub(crate) result: JobResult,
    /// What the result can be asked for with; `None` where the answer of the submit was all there is.
    pub(crate) job_ref: Option<JobRef>,
    pub(crate) generation_ms: u64,
    /// Blobs of a synchronous answer that the reader has stored already, by index.
    pub(crate) blobs: Vec<Result<UploadResult, StoreError>>,
}

impl<P: Ports> Attempt<'_, P> {
    /// Runs it to stored images. Whatever went wrong, the provider's handle is told before the lease is let go: without it
    /// nobody could go on.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn work(&self, start: Start) -> Result<Produced, Trouble> {
        let outcome = self.steps(start).await;
        if outcome.is_err() {
            self.lease.tell_again(true).await;
        }
        outcome
    }

    async fn steps(&self, start: Start) -> Result<Produced, Trouble> {
        match start {
            Start::Submit(grant) => {
                let way = self.open(None).await.map_err(Trouble::NotSent)?;
                self.name_key(&way)
                    .await
                    .map_err(|error| match error.code {
                        Code::LeaseLost | Code::NotFound => Trouble::Lost,
                        _ => Trouble::NotSent(error),
                    })?;
                let finished = self.submit(&way, grant).await?;
                self.store(&way, self.priced(finished)).await
            }
            Start::Resume(job_ref) => {
                let way = self.open(Some(&job_ref)).await.map_err(|error| {
                    // The provider has the work; without its key nobody can ask for it.
                    ProviderError::new(Kind::Auth, Accepted::Yes)
                        .with_advice(Advice::Reconcile)
                        .with_internal(error.to_string())
                })?;
                let finished = self.poll(&way, job_ref).await?;
                self.store(&way, self.priced(finished)).await
            }
        }
    }

    /// The same with its cost. The answer of a poll does not show what was asked for; the candidate does.
    fn priced(&self, mut finished: Finished) -> Finished {
        finished.result.cost = settling::cost(finished.result.cost, self.candidate);
        finished
    }

    /// When the job must be over, whoever waits.
    pub(crate) fn run_deadline(&self) -> Timestamp {
        let run_ms = i64::try_from(self.deps.settings.run_ms).unwrap_or(i64::MAX);
        Timestamp(self.deps.clock.now_ms()).plus_ms(run_ms)
    }

    /// The way to the provider, with the current key, or to a known job with the one that this belongs to.
    async fn open(&self, known: Option<&JobRef>) -> Result<Way, Error> {
        let name = &self.candidate.provider;
        let Access {
            settings,
            adapter,
            opened,
        } = match known {
            Some(job_ref) => {
                let asked = (name, job_ref, self.job.credential_id.as_ref());
                credentials::to_resume(self.deps, self.config, asked, self.lease.context()).await?
            }
            None => credentials::to_submit(self.deps, self.config, name)?,
        };
        Ok(Way {
            adapter,
            settings,
            key: Mutex::new(Key {
                opened,
                renewed: false,
                named: self.job.credential_id.clone(),
            }),
        })
    }

    fn holder<'h>(
        &'h self,
        settings: &'h ProviderSettings,
        adapter: &'h ImageAdapter,
    ) -> Holder<'h> {
        Holder {
            config: self.config,
            provider: &self.candidate.provider,
            settings,
            adapter,
        }
    }

    /// Reports a rejected key and reads it again, once: true when there is another one now.
    async fn renew_key(&self, way: &Way) -> bool {
        let used = way.opened();
        self.tell_key(way, CredentialOutcome::AuthFailed);
        if std::mem::replace(&mut way.lock().renewed, true) {
            return false;
        }
        let holder = self.holder(&way.settings, &way.adapter);
        let renewed = holder.renewed(self.deps, &used, self.lease.context()).await;
        match renewed {
            Some(opened) => {
                way.lock().opened = opened;
                true
            }
            None => false,
        }
    }

    /// The stored job names a key before anything is sent with it: whoever goes on from there asks with the same one.
    ///
    /// # Errors
    /// As [`Lease::name_credential`].
    async fn name_key(&self, way: &Way) -> Result<(), Error> {
        let unnamed = {
            let key = way.lock();
            key.opened
                .id
                .clone()
                .filter(|id| key.named.as_ref() != Some(id))
        };
        if let Some(id) = unnamed {
            self.lease.name_credential(&id).await?;
            way.lock().named = Some(id);
        }
        Ok(())
    }

    fn tell_key(&self, way: &Way, outcome: CredentialOutcome) {
        credentials::report(self.deps, &way.opened(), outcome, self.lease.context());
    }

    /// For so many images of which nothing is known yet but what they should cost.
    pub(crate) fn shelf(&self, images: u32) -> Shelf<'_> {
        Shelf {
            job: self.job,
            candidate: self.candidate,
            lease_id: &self.lease.lease_id,
            cost_usd_micros: self.candidate.estimate_usd_micros,
            cost_basis: None,
            images,
            withheld: 0,
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
        let shelf = self.shelf(wanted);
        let targets = self.deps.buckets.in_order(&self.job.bucket);
        let started_ms = self.deps.clock.now_ms();
        let mut permit = SubmitPermit::from_lease(grant);
        let (submission, reader) = loop {
            let mut reader =
                StreamingReader::new(targets.clone(), self.deps.clock.clone(), |index| {
                    let now = Timestamp(self.deps.clock.now_ms());
                    // An image without an id cannot be told from another one.
                    let image_id = shelf.image_id(index)?;
                    Some(shelf.options(&image_id, None, None, now))
                });
            let submission = self
                .lease
                .during(
                    JobStage::Submitting,
                    self.deps.driver.submit_job(
                        &way.adapter,
                        permit,
                        part.clone(),
                        &way.secret(),
                        self.run_deadline(),
                        &mut reader,
                    ),
                )
                .await;
            match submission {
                // The configuration may be older than the key: certainly not accepted, so the new one is tried at once.
                Err(error)
                    if is_key_rejected(&error)
                        && self.renew_key(way).await
                        && self.name_key(way).await.is_ok() =>
                {
                    permit = SubmitPermit::after(error)?;
                }
                done => break (done, reader),
            }
        };
        if submission.is_ok() {
            self.tell_key(way, CredentialOutcome::Ok);
        }
        let elapsed = |now_ms: i64| u64::try_from(now_ms - started_ms).unwrap_or(0);
        let generation_ms = elapsed(self.deps.clock.now_ms());
        match submission {
            Ok(Submission::Done { result, .. }) => Ok(Finished {
                result,
                job_ref: None,
                generation_ms,
                blobs: reader.into_stored(),
            }),
            Ok(Submission::Accepted { job, .. }) => self.accepted(way, job).await,
            Err(mut error) => {
                let blobs = reader.into_stored();
                match error.job.take() {
                    // Unreadable but for its handle: the job is known, so it is asked for like any other.
                    Some(job) => self.accepted(way, *job).await,
                    None if error.kind == Kind::ContractMismatch
                        && error.accepted == Accepted::Yes
                        && blobs.iter().any(Result::is_ok) =>
                    {
                        tracing::warn!(
                            job_id = self.job.job_id.as_str(),
                            internal = error.internal,
                            "an answer broke off after its images"
                        );
                        Ok(Finished {
                            result: self.cut_result(wanted, &blobs),
                            job_ref: None,
                            generation_ms,
                            blobs,
                        })
                    }
                    None => Err(error.into()),
                }
            }
        }
    }

    /// The result of a synchronous answer that broke off after images that are stored by now: they were paid for, and
    /// nobody can ask for them again. What was in the rest, the usage above all, nobody knows; an image that did not
    /// arrive is a lost one.
    fn cut_result(&self, wanted: u32, blobs: &[Result<UploadResult, StoreError>]) -> JobResult {
        let arrived = u32::try_from(blobs.len()).unwrap_or(u32::MAX);
        let images = (0..wanted.max(arrived))
            .map(|index| ImageResult {
                image_url: None,
                provider: self.candidate.provider.clone(),
                model: self.candidate.model.clone(),
                index,
                blob: Some(index),
                state: ImageState::Ready,
                seed: None,
                revised_prompt: None,
            })
            .collect();
        let (usd_micros, basis) = match self.candidate.estimate_usd_micros {
            Some(estimate) => (Some(estimate), CostBasis::Table),
            None => (self.candidate.upper_usd_micros, CostBasis::Upper),
        };
        JobResult {
            images,
            cost: ActualCost { usd_micros, basis },
            tokens: None,
            usage: None,
            warnings: Vec::new(),
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
                        &way.secret(),
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
                        job_ref: Some(job_ref),
                        generation_ms,
                        blobs: Vec::new(),
                    });
                }
                Ok(JobStatus::Expired) => {
                    return Err(ProviderError::new(Kind::ExpiredResult, Accepted::Yes).into());
                }
                // A job that was submitted under a key whose time is over: asked again at once with the current one.
                Err(error) if is_key_rejected(&error) && self.renew_key(way).await => {
                    // Without it the next holder finds the same way.
                    drop(self.name_key(way).await);
                    continue;
                }
                // The job is unharmed by a poll that failed.
                Err(error) if error.advice == Advice::Reconcile => {
                    at_least_ms = error.retry_after_ms.unwrap_or(0);
                }
                Ok(JobStatus::Failed(error)) | Err(error) => return Err(error.into()),
            }
            // In case the object was away when it was first told.
            self.lease.tell_again(false).await;
            let Some(delay_ms) = delays.next() else {
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
                    &way.secret(),
                    self.run_deadline(),
                ),
            )
            .await
    }
}
