//! The run of a job over its candidates: acquire, attempt, settle; what a request and the queue consumer share.
//!
//! In scope: the order of writes, fallback, what the caller learns. Out of scope: one attempt (`attempt`), the decision what
//! follows a failure (`fallback`).
//! Architecture invariant: at each instant one limiter object knows the job: the old row becomes `handover` before the next
//! object is asked, and is ended after that one has the job.

use crate::attempt::{Attempt, Produced, Start, Trouble};
use crate::credentials;
use crate::deps::Deps;
use crate::fallback::{Follow, Situation, follow};
use crate::lease::Lease;
use crate::refusals::Refusals;
use crate::settling;
use api_types::{
    Acquire, AcquireDecision, GenerateJob, GenerateResponse, HeadroomSet, InstanceConfig,
    JobCandidate, JobView, LIMITER_VERSION, LeaseId, Limits, Next, ReleaseReason, Settle,
    StateQuery, StateReply, Work, limiter_object_name,
};
use errors::{Code, Error, Result};
use jobs::Deadline;
use platform::{Background, CallContext, Clock, Ports, Random};
use provider_adapters::{Flow, registry};
use provider_driver::LeaseGrant;
use std::sync::Arc;

/// Synchronous calls with a longer median are made by the consumer, in milliseconds.
const MAX_INTERACTIVE_MS: u64 = 20_000;

/// How a run ended for whoever waits for it.
#[derive(Clone, Debug)]
pub enum End {
    /// Images are stored; URLs are not made yet.
    Succeeded(Box<GenerateResponse>),
    /// It failed, or its outcome is unknown.
    Failed(Error),
    /// Nobody waited any more, or another holder has it: the job goes on.
    GoesOn,
}

/// What a run tells.
#[derive(Clone, Debug)]
pub struct Report {
    /// How it ended.
    pub end: End,
    /// The job as it stands.
    pub job: GenerateJob,
    /// Whether a limiter object knows the job.
    pub known: bool,
    /// What is left of the limits of the last object asked.
    pub headroom: HeadroomSet,
    /// What it has cost, in micro-dollars; `None` when unknown.
    pub cost_usd_micros: Option<i64>,
    /// Time that the provider took, in milliseconds.
    pub provider_ms: u64,
    /// The consumer runs it: whoever waits asks for the job.
    pub parked: bool,
    /// `(name, start, end)` of its parts, in milliseconds since the epoch.
    pub timings: Vec<(&'static str, i64, i64)>,
}

/// A run and what it needs.
pub struct Run<P: Ports> {
    /// Dependencies.
    pub deps: Deps<P>,
    /// Configuration of the instance.
    pub config: Arc<InstanceConfig>,
    /// What correlates its calls.
    pub context: CallContext,
    /// When nobody waits for it any more.
    pub deadline: Deadline,
    /// A client waits, and may leave: slow synchronous calls go to the consumer, which nobody can disconnect.
    pub interactive: bool,
}

/// A failed attempt whose row stands as `handover`.
pub struct Passed<P: Ports> {
    /// Its lease.
    pub lease: Lease<P>,
    /// What it was settled with.
    pub settle: Settle,
    /// What the caller is told if no other candidate takes the job.
    pub error: Error,
}

/// What an attempt leads to.
enum Step<P: Ports> {
    Over(End),
    Again(Box<Passed<P>>, Follow),
    NextUnsent(Error),
}

/// What an object answered.
enum Answer<P: Ports> {
    /// With the provider's median, in milliseconds.
    Granted(Lease<P>, LeaseGrant, u64),
    /// Not there, not now: the next candidate.
    Refused,
    Existing(Box<api_types::AttemptView>),
}

impl Report {
    fn new(job: GenerateJob) -> Self {
        Self {
            end: End::GoesOn,
            job,
            known: false,
            headroom: HeadroomSet::default(),
            cost_usd_micros: Some(0),
            provider_ms: 0,
            parked: false,
            timings: Vec::new(),
        }
    }
}

impl<P: Ports> Run<P> {
    /// Runs the job from its current candidate on. `passed` is the failed attempt that it comes from.
    pub async fn start(&self, job: GenerateJob, passed: Option<Passed<P>>) -> Report {
        let mut report = Report::new(job);
        report.known = passed.is_some();
        report.end = self.candidates(&mut report, passed).await;
        report
    }

    /// Goes on under a lease that the consumer has taken.
    pub async fn resume(&self, job: GenerateJob, lease: Lease<P>, start: Start) -> Report {
        let mut report = Report::new(job);
        report.known = true;
        let step = self.attempt(&mut report, lease, start, false).await;
        report.end = match step {
            Step::Over(end) => end,
            Step::NextUnsent(error) => {
                report.job.candidate += 1;
                let end = self.candidates(&mut report, None).await;
                first_error(end, error)
            }
            Step::Again(passed, follow) => {
                self.advance(&mut report.job, follow).await;
                self.candidates(&mut report, Some(*passed)).await
            }
        };
        report
    }

    async fn candidates(&self, report: &mut Report, mut passed: Option<Passed<P>>) -> End {
        let mut refusals = Refusals::default();
        let mut unsent = None;
        let mut repeated = false;
        while let Some(candidate) = report
            .job
            .candidates
            .get(report.job.candidate as usize)
            .cloned()
        {
            let asked_ms = self.deps.clock.now_ms();
            let answer = self.acquire(report, &candidate, &mut refusals).await;
            let now_ms = self.deps.clock.now_ms();
            report.timings.push(("admit", asked_ms, now_ms));
            match answer {
                Ok(Answer::Granted(lease, grant, median_ms)) => {
                    report.known = true;
                    if let Some(old) = passed.take()
                        && old.lease.object != lease.object
                        && !old.lease.handed_over().await
                    {
                        // The consumer may have the job by now: two paths must not both send.
                        lease.release(ReleaseReason::NotSent).await;
                        return End::GoesOn;
                    }
                    if self.is_too_slow(&candidate, median_ms) {
                        report.parked = true;
                        lease.hand_over_unsent().await;
                        return End::GoesOn;
                    }
                    let start = Start::Submit(grant);
                    match self.attempt(report, lease, start, repeated).await {
                        Step::Over(end) => return end,
                        Step::Again(failed, follow) => {
                            repeated = matches!(follow, Follow::Same { .. });
                            self.advance(&mut report.job, follow).await;
                            passed = Some(*failed);
                        }
                        Step::NextUnsent(error) => {
                            unsent = Some(error);
                            report.job.candidate += 1;
                        }
                    }
                }
                Ok(Answer::Refused) => report.job.candidate += 1,
                Ok(Answer::Existing(view)) => {
                    report.known = true;
                    return Self::existing(report, &view);
                }
                Err(error) => {
                    return End::Failed(match passed {
                        Some(old) => self.give_up(report, old).await,
                        None => error,
                    });
                }
            }
        }
        let error = match passed {
            Some(old) => {
                // The attempt that was prepared was never sent.
                report.job.attempt_no -= 1;
                self.give_up(report, old).await
            }
            None => match (unsent, refusals.into_error()) {
                (_, Some(error)) | (Some(error), None) => error,
                (None, None) => Error::internal("a job without candidates"),
            },
        };
        End::Failed(error)
    }

    /// No candidate is left: the failed attempt is the end.
    async fn give_up(&self, report: &Report, old: Passed<P>) -> Error {
        let settle = Settle {
            next: Next::Final,
            ..old.settle
        };
        if let Err(error) = old.lease.settle(&settle).await {
            tracing::warn!(%error, job_id = %report.job.job_id, "the end of a job is not recorded");
        }
        old.error
    }

    async fn advance(&self, job: &mut GenerateJob, follow: Follow) {
        job.attempt_no += 1;
        match follow {
            Follow::Same { after_ms } => self.deps.clock.sleep(after_ms).await,
            Follow::Next | Follow::End | Follow::Unknown => job.candidate += 1,
        }
    }

    /// Whether a disconnect could cut the paid call: after it only 30 s are left.
    fn is_too_slow(&self, candidate: &JobCandidate, median_ms: u64) -> bool {
        let settings = self.config.edited.providers.get(&candidate.provider);
        self.interactive
            && median_ms > MAX_INTERACTIVE_MS
            && settings
                .and_then(|settings| registry::image(&candidate.provider, settings).ok())
                .is_some_and(|adapter| adapter.flow() == Flow::Sync)
    }

    fn limits(&self, candidate: &JobCandidate) -> Limits {
        let provider = &candidate.provider;
        let edited = &self.config.edited;
        let own = edited
            .rate_limits
            .get(provider)
            .cloned()
            .unwrap_or_default();
        let adapter = edited
            .providers
            .get(provider)
            .map_or(provider.as_str(), |settings| {
                settings.adapter_name(provider)
            });
        Limits {
            config_version: self.config.config_version,
            rpm: own.rpm,
            tpm: own.tpm,
            max_inflight_images: own
                .max_inflight_images
                .or_else(|| provider_adapters::default_limit(adapter)),
            windows: own.windows,
        }
    }

    async fn acquire(
        &self,
        report: &mut Report,
        candidate: &JobCandidate,
        refusals: &mut Refusals,
    ) -> Result<Answer<P>> {
        report.job.credential_id = credentials::credential_id(&self.config, &candidate.provider);
        let job = &report.job;
        let lease_id = LeaseId::parse(&self.deps.uuid())
            .map_err(|error| Error::internal(error.to_string()))?;
        let command = Acquire {
            v: LIMITER_VERSION,
            lease_id: lease_id.clone(),
            job_id: job.job_id.clone(),
            attempt_no: job.attempt_no,
            instance_id: job.caller.instance_id.clone(),
            provider: candidate.provider.clone(),
            calls: candidate.calls,
            images: candidate.weight,
            tokens: 0,
            work: Work::Image,
            model: candidate.model.clone(),
            org_id: job.caller.org_id.clone(),
            project_id: job.caller.project_id.clone(),
            key_id: job.caller.key_id.clone(),
            request_id: job.request_id.clone(),
            traceparent: self.context.traceparent.clone(),
            estimate_usd_micros: candidate.estimate_usd_micros,
            upper_usd_micros: candidate.upper_usd_micros,
            price_version: candidate.price_version.clone(),
            limits: self.limits(candidate),
            run_ms: self.deps.settings.run_ms,
            holder_ms: self.deps.settings.holder_ms,
            image_ids: job.image_ids.clone(),
            job: serde_json::to_value(job).map_err(|error| Error::internal(error.to_string()))?,
        };
        let object = limiter_object_name(&command.instance_id, &command.provider);
        let lease = |epoch| {
            Lease::new(
                &self.deps,
                &self.context,
                object.clone(),
                lease_id.clone(),
                epoch,
            )
        };
        let reply = match self.deps.limiter.acquire(&command, &self.context).await {
            Ok(reply) => reply,
            Err(error) => {
                if error.code == Code::LimiterUnavailable {
                    // It may have been written, and nothing will be sent: say so as soon as the object answers.
                    let lease = lease(1);
                    self.deps
                        .background
                        .spawn(async move { lease.release(ReleaseReason::NotSent).await });
                }
                return Err(error);
            }
        };
        report.headroom = reply.headroom;
        self.deps.memory.note_stats(
            &command.instance_id,
            &command.provider,
            reply.stats,
            self.deps.clock.now_ms(),
        );
        let median_ms = reply.stats.median_ms;
        let grant = LeaseGrant::of_acquire(&reply);
        Ok(match (reply.decision, grant) {
            (AcquireDecision::Granted { epoch, .. }, Some(grant)) => {
                Answer::Granted(lease(epoch), grant, median_ms)
            }
            (AcquireDecision::Existing(view), _) => Answer::Existing(view),
            (decision, _) => {
                refusals.add(&command.provider, &decision);
                Answer::Refused
            }
        })
    }

    /// Somebody has this attempt already: this run was thought dead.
    fn existing(report: &mut Report, view: &api_types::AttemptView) -> End {
        let view = JobView::of(view);
        report.cost_usd_micros = view.cost_usd_micros;
        match (jobs::final_error(&view), view.result) {
            (_, Some(result)) => End::Succeeded(Box::new(result)),
            (Some(error), None) => End::Failed(error),
            (None, None) => End::GoesOn,
        }
    }

    async fn attempt(
        &self,
        report: &mut Report,
        lease: Lease<P>,
        start: Start,
        repeated: bool,
    ) -> Step<P> {
        let Some(candidate) = report
            .job
            .candidates
            .get(report.job.candidate as usize)
            .cloned()
        else {
            return Step::NextUnsent(Error::internal("a lease without its candidate"));
        };
        let started_ms = self.deps.clock.now_ms();
        let attempt = Attempt {
            deps: &self.deps,
            config: &self.config,
            job: &report.job,
            candidate: &candidate,
            lease: &lease,
            deadline: self.deadline,
        };
        let mut outcome = attempt.work(start).await;
        if let Err(Trouble::Provider(error)) = &mut outcome {
            settling::forget_prompt(&mut error.internal, &report.job.request.prompt);
        }
        let now_ms = self.deps.clock.now_ms();
        let duration_ms = u64::try_from(now_ms - started_ms).unwrap_or(0);
        settling::log_attempt(&candidate, &report.job, &outcome, duration_ms);
        match outcome {
            Ok(produced) => {
                report.provider_ms += produced.generation_ms.min(duration_ms);
                let generated_ms = i64::try_from(produced.generation_ms).unwrap_or(0);
                let made_ms = (started_ms + generated_ms).min(now_ms);
                report.timings.push(("provider", started_ms, made_ms));
                report.timings.push(("store", made_ms, now_ms));
                Step::Over(self.succeed(report, &lease, &produced).await)
            }
            Err(trouble) => {
                report.provider_ms += duration_ms;
                report.timings.push(("provider", started_ms, now_ms));
                self.fail(report, lease, &candidate, trouble, repeated)
                    .await
            }
        }
    }

    async fn succeed(&self, report: &mut Report, lease: &Lease<P>, produced: &Produced) -> End {
        let settle = settling::produced(lease, produced);
        report.cost_usd_micros = settle.cost_usd_micros;
        let settled = lease.settle(&settle).await;
        settling::log_usage(&report.job, &settle);
        match settled {
            // Another holder was faster: what it has declared is the truth.
            Ok(reply) if reply.already => return self.look_up(report, lease).await,
            Ok(_) => {}
            // The images are safe under keys that the next holder finds; the answer need not wait for that.
            Err(error) => {
                tracing::error!(%error, job_id = %report.job.job_id, "a stored result is not settled");
            }
        }
        if let Some(error) = &settle.error {
            let error =
                Error::new(error.code, error.message.clone()).with_details(error.details.clone());
            return End::Failed(error);
        }
        match GenerateResponse::of_settle(&settle, &report.job) {
            Some(response) => End::Succeeded(Box::new(response)),
            None => End::Failed(Error::internal("a result without an image")),
        }
    }

    async fn look_up(&self, report: &mut Report, lease: &Lease<P>) -> End {
        let query = StateQuery {
            job_id: Some(report.job.job_id.clone()),
        };
        let state = self
            .deps
            .limiter
            .state(&lease.object, &query, &self.context)
            .await;
        match state {
            Ok(StateReply::Job(view)) => Self::existing(report, &view),
            _ => End::GoesOn,
        }
    }

    async fn fail(
        &self,
        report: &mut Report,
        lease: Lease<P>,
        candidate: &JobCandidate,
        trouble: Trouble,
        repeated: bool,
    ) -> Step<P> {
        let has_next = report.job.candidate as usize + 1 < report.job.candidates.len();
        let error = match trouble {
            Trouble::Lost => return Step::Over(End::GoesOn),
            Trouble::GaveUp => {
                lease.release(ReleaseReason::Handoff).await;
                return Step::Over(End::GoesOn);
            }
            Trouble::NotSent(error) => {
                lease.release(ReleaseReason::NotSent).await;
                report.known = false;
                return if has_next {
                    Step::NextUnsent(error)
                } else {
                    Step::Over(End::Failed(error))
                };
            }
            Trouble::Storage { cause, resumable } => {
                let error = Error::new(
                    Code::StorageError,
                    "The image was made and could not be stored yet.",
                )
                .with_internal(cause);
                report.cost_usd_micros = None;
                if !resumable {
                    // The bytes are gone with this call, and it was paid for.
                    let settle = settling::unknown(&lease, candidate, &error);
                    report.cost_usd_micros = settle.cost_usd_micros;
                    return Step::Over(self.end(report, &lease, &settle, error).await);
                }
                // The lease is kept: its deadline wakes the consumer, by when the bucket may be back.
                return Step::Over(End::Failed(error));
            }
            Trouble::Provider(error) => error,
        };
        let situation = Situation {
            has_next,
            attempts_left: report
                .job
                .max_attempts
                .saturating_sub(report.job.attempt_no),
            repeated,
            fallback_on_safety: self.config.edited.routing.fallback_on_safety,
            left_ms: self.deadline.left_ms(self.deps.clock.now_ms()),
            random: self.deps.random.next_u64(),
        };
        let follow = follow(&error, situation);
        let answer = Error::from(&error)
            .with_detail("provider", candidate.provider.as_str())
            .with_detail("model", candidate.model.as_str());
        let mut settle = settling::failed(&lease, candidate, &error, &answer, follow);
        match follow {
            Follow::End | Follow::Unknown => {
                report.cost_usd_micros = settle.cost_usd_micros;
                Step::Over(self.end(report, &lease, &settle, answer).await)
            }
            Follow::Same { .. } | Follow::Next => {
                settle.next = if follow == Follow::Next {
                    Next::Fallback
                } else {
                    Next::Retry
                };
                match lease.settle(&settle).await {
                    Ok(reply) if !reply.already => Step::Again(
                        Box::new(Passed {
                            lease,
                            settle,
                            error: answer,
                        }),
                        follow,
                    ),
                    // Without a record of the first attempt a second one could follow it twice.
                    Ok(_) => Step::Over(self.look_up(report, &lease).await),
                    Err(unsettled) => {
                        tracing::error!(error = %unsettled, "a failed attempt is not settled");
                        Step::Over(End::Failed(answer))
                    }
                }
            }
        }
    }

    /// Settles the end of a job and says what the caller is told.
    async fn end(
        &self,
        report: &mut Report,
        lease: &Lease<P>,
        settle: &Settle,
        error: Error,
    ) -> End {
        settling::log_usage(&report.job, settle);
        match lease.settle(settle).await {
            Ok(reply) if reply.already => self.look_up(report, lease).await,
            Ok(_) => End::Failed(error),
            Err(unsettled) => {
                tracing::error!(error = %unsettled, job_id = %report.job.job_id, "an outcome is not settled");
                End::Failed(error)
            }
        }
    }
}

/// The refusals of later candidates hide why the first one could not be used; that reason is the better answer.
fn first_error(end: End, error: Error) -> End {
    match end {
        End::Failed(_) => End::Failed(error),
        end => end,
    }
}
