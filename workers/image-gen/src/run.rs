//! The run of a job over its candidates: acquire, attempt, settle; what a request and the queue consumer share.
//!
//! In scope: the order of the candidates and of the writes between their objects, what the caller learns. Out of scope: one
//! attempt (`attempt`), how it ends (`ending`), the decision what follows a failure (`fallback`).
//! Architecture invariants: at each instant one limiter object knows the job: the old row becomes `handover` before the next
//! object is asked, and is ended after that one has the job. Nothing is sent at the next object before the old one has
//! confirmed its end: whoever has taken a `handover` over knows that nobody else has sent what follows it.

use crate::attempt::Start;
use crate::credentials;
use crate::deps::Deps;
use crate::fallback::Follow;
use crate::lease::{Lease, Released};
use crate::refusals::Refusals;
use crate::settling;
use api_types::{
    Acquire, AcquireDecision, AttemptState, AttemptView, GenerateJob, GenerateResponse,
    HeadroomSet, InstanceConfig, JobCandidate, JobView, LIMITER_VERSION, LeaseId, Limits,
    ReleaseReason, Settle, Work, limiter_object_name,
};
use errors::{Code, Error, Result};
use jobs::Deadline;
use platform::{Background, CallContext, Clock, Ports};
use provider_adapters::{Flow, registry};
use provider_driver::LeaseGrant;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    /// This run has recorded the end of the job, and nothing of it is charged: the last attempt was not billed, and
    /// those before were not either, or none would have followed them (`fallback::follow`).
    pub unspent: bool,
    /// Time that the provider took, in milliseconds.
    pub provider_ms: u64,
    /// The consumer runs it: whoever waits asks for the job.
    pub parked: bool,
    /// `(name, start, end)` of its parts, in milliseconds since the epoch.
    pub timings: Vec<(&'static str, i64, i64)>,
    /// Since when a provider is at work, in milliseconds since the epoch.
    pub provider_since_ms: Option<i64>,
}

/// What a run has done so far, for an answer that cannot wait for its end.
#[derive(Default)]
pub struct Progress(Mutex<Noted>);

#[derive(Default)]
struct Noted {
    report: Option<Report>,
    /// The answer was that nothing has begun: nothing may begin any more.
    refused: bool,
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, report: &Report) {
        self.lock().report = Some(report.clone());
    }

    /// Whether a job that an object has just granted may begin: not after an answer that it has not.
    fn begins(&self, report: &Report) -> bool {
        let mut noted = self.lock();
        if !noted.refused {
            noted.report = Some(report.clone());
        }
        !noted.refused
    }

    /// The report of a run that goes on. One that no object has acknowledged goes on no further: its client may send the
    /// same again, and the job that the answer named would not be found.
    pub fn so_far(&self, job: &GenerateJob, now_ms: i64) -> Report {
        let mut noted = self.lock();
        let report = noted.report.clone();
        let mut report = report.unwrap_or_else(|| Report::new(job.clone()));
        noted.refused = !report.known;
        drop(noted);
        if !report.known {
            report.end = End::Failed(not_begun());
        }
        if let Some(since_ms) = report.provider_since_ms {
            report.timings.push(("provider", since_ms, now_ms));
            report.provider_ms += u64::try_from(now_ms - since_ms).unwrap_or(0);
        }
        report
    }
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
    /// Where it notes what it does, for whoever may stop waiting.
    pub progress: Option<Arc<Progress>>,
    /// Until when a job that no object knows may be begun: a claim of `Idempotency-Key` may be taken over after it.
    pub begin_by: Option<BeginBy>,
}

/// Until when a claimed job may be begun.
#[derive(Clone, Copy, Debug)]
pub struct BeginBy {
    /// No object is asked for the first time after it.
    pub ask: Deadline,
    /// An answer that comes after it may be one to a job that was begun a second time meanwhile.
    pub answered: Deadline,
}

/// A failed attempt whose row stands as `handover`.
pub struct Passed<P: Ports> {
    /// Its lease.
    pub lease: Lease<P>,
    /// What it was settled with.
    pub settle: Settle,
    /// What the caller is told if no other candidate takes the job.
    pub error: Error,
    /// It was taken over from a holder that was lost: that one cannot confirm the end of this row any more.
    pub taken: bool,
}

/// What an attempt leads to.
pub(crate) enum Step<P: Ports> {
    Over(End),
    /// The next attempt.
    Again(Box<Passed<P>>, Follow),
    /// The next candidate; no object knows the job.
    NextUnsent(Error),
}

/// What an object answered.
enum Answer<P: Ports> {
    /// With the provider's median, in milliseconds.
    Granted(Lease<P>, LeaseGrant, u64),
    /// Not there, not now: the next candidate.
    Refused,
    Existing(Box<AttemptView>),
    /// No answer: it may be written.
    Silent(Lease<P>, Error),
}

impl Report {
    fn new(job: GenerateJob) -> Self {
        Self {
            end: End::GoesOn,
            job,
            known: false,
            headroom: HeadroomSet::default(),
            cost_usd_micros: Some(0),
            unspent: false,
            provider_ms: 0,
            parked: false,
            timings: Vec::new(),
            provider_since_ms: None,
        }
    }
}

impl<P: Ports> Run<P> {
    pub(crate) fn note(&self, report: &Report) {
        if let Some(progress) = &self.progress {
            progress.note(report);
        }
    }

    fn may_begin(&self, report: &Report) -> bool {
        let progress = self.progress.as_ref();
        progress.is_none_or(|progress| progress.begins(report))
    }

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
            // Only for a job that no object knows, and this one is known.
            Step::NextUnsent(error) => End::Failed(error),
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
            self.note(report);
            let asked_ms = self.deps.clock.now_ms();
            if !report.known && self.begin_by.is_some_and(|by| by.ask.is_over(asked_ms)) {
                return End::Failed(begun_too_late());
            }
            let answer = self.acquire(report, &candidate, &mut refusals).await;
            let now_ms = self.deps.clock.now_ms();
            report.timings.push(("admit", asked_ms, now_ms));
            match answer {
                Ok(Answer::Granted(lease, grant, median_ms)) => {
                    if !report.known && self.begin_by.is_some_and(|by| by.answered.is_over(now_ms))
                    {
                        self.give_back(lease, ReleaseReason::NotSent).await;
                        return End::Failed(begun_too_late());
                    }
                    let known = std::mem::replace(&mut report.known, true);
                    if !known && !self.may_begin(report) {
                        report.known = false;
                        self.give_back(lease, ReleaseReason::NotSent).await;
                        return End::Failed(not_begun());
                    }
                    let lease = match passed.take() {
                        Some(old) if old.lease.object != lease.object => {
                            match self.confirmed(old, lease).await {
                                Some(lease) => lease,
                                None => return End::GoesOn,
                            }
                        }
                        Some(_) | None => lease,
                    };
                    if self.is_too_slow(&candidate, median_ms) {
                        report.parked = true;
                        self.give_back(lease, ReleaseReason::HandoffUnsent).await;
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
                    let left = match passed.take() {
                        Some(old) => self.take_back(report, old, &view).await,
                        None => None,
                    };
                    let Some(left) = left else {
                        return Self::existing(report, &view);
                    };
                    passed = Some(left);
                }
                Ok(Answer::Silent(lease, error)) => {
                    let why = passed.as_ref().map(|old| old.error.clone());
                    self.disown(lease, why);
                    return self.refused_by_us(report, passed, error).await;
                }
                Err(error) => return self.refused_by_us(report, passed, error).await,
            }
        }
        match passed {
            Some(old) => {
                // The attempt that was prepared was never sent.
                report.job.attempt_no -= 1;
                self.give_up(report, old).await
            }
            None => End::Failed(match (unsent, refusals.into_error()) {
                (_, Some(error)) | (Some(error), None) => error,
                (None, None) => Error::internal("a job without candidates"),
            }),
        }
    }

    /// No object can be asked any more: the failed attempt is the end, and without one nothing has begun.
    async fn refused_by_us(
        &self,
        report: &mut Report,
        passed: Option<Passed<P>>,
        error: Error,
    ) -> End {
        match passed {
            Some(old) => self.give_up(report, old).await,
            None => End::Failed(error),
        }
    }

    /// An acquire without an answer may have been written, and nothing will be sent under it: said in the background as soon
    /// as the object answers. `why` a job ends that is known elsewhere.
    fn disown(&self, lease: Lease<P>, why: Option<Error>) {
        self.deps.background.spawn(async move {
            match why {
                None => {
                    lease.release(ReleaseReason::NotSent).await;
                }
                // Unwritten it is unknown there, which is as good.
                Some(why) => drop(lease.settle(&settling::unsent(&lease, &why)).await),
            }
        });
    }

    /// Ends the hand-over of the old attempt, now that `lease` has the job, and gives that back. Without a confirmation
    /// nothing is sent.
    async fn confirmed(&self, old: Passed<P>, lease: Lease<P>) -> Option<Lease<P>> {
        match old.lease.release(ReleaseReason::HandedOver).await {
            Released::Done => Some(lease),
            // Another holder goes on from there: two paths must not both send.
            Released::Lost => {
                self.give_back(lease, ReleaseReason::NotSent).await;
                None
            }
            // Written or not: the new lease keeps the job until that is known. If not, the next taker of the old one finds
            // it here.
            Released::Silent => {
                self.confirm_late(old, lease);
                None
            }
        }
    }

    /// Asks once more, in the background and while the new lease lasts: once the old part is known to be over, the job is
    /// unsent here and the consumer may send it. Still without an answer, the deadlines of both leases decide.
    fn confirm_late(&self, old: Passed<P>, lease: Lease<P>) {
        self.deps.background.spawn(async move {
            match old.lease.release(ReleaseReason::HandedOver).await {
                Released::Done => {
                    let unsent = ReleaseReason::HandoffUnsent;
                    lease.release_while_it_lasts(unsent).await;
                }
                Released::Lost => {
                    lease.release_while_it_lasts(ReleaseReason::NotSent).await;
                }
                Released::Silent => tracing::error!(
                    lease_id = %lease.lease_id,
                    "a hand-over is not confirmed; what follows it was not sent"
                ),
            }
        });
    }

    /// Somebody has the attempt that was asked for. Gives the attempt to go on from, when that one was taken back.
    ///
    /// A taker knows that it was never sent: whoever had the old row before has not confirmed its end, and cannot any more.
    /// A row that somebody may be about to give back is no place to leave a job at, so the old one stays until it is clear.
    async fn take_back(
        &self,
        report: &mut Report,
        old: Passed<P>,
        view: &AttemptView,
    ) -> Option<Passed<P>> {
        let object = limiter_object_name(&view.instance_id, &view.provider);
        let unsent = old.taken
            && object != old.lease.object
            && view.attempt_no == report.job.attempt_no
            && view.job_refs.is_empty();
        let lease = Lease::new(
            &self.deps,
            &self.context,
            object,
            view.lease_id.clone(),
            view.epoch,
        );
        match view.state {
            AttemptState::Held | AttemptState::Granted if unsent => {
                let released = lease.release(ReleaseReason::NotSent).await;
                (released == Released::Done).then_some(old)
            }
            AttemptState::Held | AttemptState::Granted => None,
            // Its holder died. What was booked for it is taken back, and its row has the job from now on.
            AttemptState::Unknown if unsent => {
                let settle = settling::unsent(&lease, &old.error);
                let passed = self
                    .record(
                        report,
                        lease,
                        settle,
                        old.error,
                        Follow::Same { after_ms: 0 },
                    )
                    .await
                    .ok()?;
                old.lease.release(ReleaseReason::HandedOver).await;
                report.job.attempt_no += 1;
                report.job.max_attempts = report.job.max_attempts.saturating_add(1);
                Some(passed)
            }
            _ => {
                old.lease.release(ReleaseReason::HandedOver).await;
                None
            }
        }
    }

    async fn advance(&self, job: &mut GenerateJob, follow: Follow) {
        job.attempt_no += 1;
        match follow {
            Follow::Same { after_ms } => self.deps.clock.sleep(after_ms).await,
            Follow::Next | Follow::End | Follow::Unknown => job.candidate += 1,
        }
    }

    /// Whether a disconnect could cut the paid call: after it only 30 s are left. What the vendor's models take at that
    /// quality counts beside the median, which there is none of at first, and which quick calls hide slow ones in.
    fn is_too_slow(&self, candidate: &JobCandidate, median_ms: u64) -> bool {
        let settings = self.config.edited.providers.get(&candidate.provider);
        self.interactive
            && settings
                .and_then(|settings| registry::image(&candidate.provider, settings).ok())
                .is_some_and(|adapter| {
                    let typical_ms = adapter.typical_ms(&candidate.model, &candidate.effective);
                    adapter.flow() == Flow::Sync && median_ms.max(typical_ms) > MAX_INTERACTIVE_MS
                })
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
            tokens: candidate.tokens,
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
            Err(error) if error.code == Code::LimiterUnavailable => {
                return Ok(Answer::Silent(lease(1), error));
            }
            Err(error) => return Err(error),
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
    pub(crate) fn existing(report: &mut Report, view: &AttemptView) -> End {
        let view = JobView::of(view);
        report.cost_usd_micros = view.cost_usd_micros;
        match (jobs::final_error(&view), view.result) {
            (_, Some(result)) => End::Succeeded(Box::new(result)),
            (Some(error), None) => End::Failed(error),
            (None, None) => End::GoesOn,
        }
    }
}

/// The wait was over before an object had the job.
fn not_begun() -> Error {
    Error::new(
        Code::LimiterUnavailable,
        "The rate limiter has not answered within the wait; nothing was sent.",
    )
    .with_retry_after_ms(1_000)
}

/// Somebody else may have begun the job that this request claimed.
fn begun_too_late() -> Error {
    Error::new(
        Code::Overloaded,
        "The request took too long to begin; nothing was sent.",
    )
    .with_retry_after_ms(1_000)
}
