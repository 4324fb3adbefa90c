//! The queue `jobs`: wake-ups for work whose holder is gone.
//!
//! In scope: reading a message, taking the lease, going on where it stands. Out of scope: sending wake-ups (the limiter object).
//! Architecture invariant: a message gives no right. `take` does, so a lost message costs time and a repeated one nothing.

use crate::attempt::Start;
use crate::deps::Deps;
use crate::lease::{Lease, Patience};
use crate::reconcile::{Accept, Search};
use crate::run::{End, Passed, Run};
use crate::settling;
use api_types::{
    AttemptView, Billed, CostBasis, GenerateJob, InstanceConfig, InstanceId, JobError, JobMessage,
    LIMITER_VERSION, Next, Outcome, Settle, StateQuery, Take, TakeMode, TakeReply,
    instance_of_limiter_object,
};
use errors::{Code, Error, Result};
use jobs::Deadline;
use platform::{CallContext, Clock, Database, Ports};
use provider_driver::LeaseGrant;
use std::sync::Arc;
use tracing::Instrument;

/// Messages are forwarded once at most.
const MAX_HOP: u32 = 1;

/// What becomes of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is done with.
    Ack,
    /// It comes again.
    Retry {
        /// After that long, in seconds.
        delay_s: u32,
    },
}

/// Handles one message of the queue of that name. Never fails: every failure is a verdict.
///
/// 1. Read it; an unreadable one is kept in `queue_rejects`. 2. Look the instance up anew; not to be had: later. 3. `take`;
///    busy or unknown: done. 4. Run, resume, reconcile or fall back, as `take` allows.
pub async fn handle<P: Ports>(
    deps: &Deps<P>,
    queue: &str,
    id: &str,
    body: Option<&str>,
) -> Verdict {
    let text = body.unwrap_or_default();
    let message = match serde_json::from_str::<JobMessage>(text) {
        Ok(message) if message.v == 1 && message.hop <= MAX_HOP => message,
        Ok(_) => return reject(deps, queue, id, text, "version or hop").await,
        Err(error) => return reject(deps, queue, id, text, &error.to_string()).await,
    };
    let Some(instance_id) = instance_of_limiter_object(&message.object) else {
        return reject(deps, queue, id, text, "the name of the object").await;
    };
    let context = CallContext {
        request_id: message.request_id.clone(),
        traceparent: message.traceparent.clone(),
    };
    let span = tracing::info_span!(
        "message",
        request_id = message.request_id,
        instance_id = tracing::field::Empty,
    );
    if queue.ends_with("-dlq") {
        return dead(deps, &message, &context).instrument(span).await;
    }
    let worked = work(deps, &instance_id, &message, &context).instrument(span);
    match worked.await {
        Ok(()) => Verdict::Ack,
        Err(error) if error.code.retryable() => {
            tracing::warn!(%error, job_id = message.job_id, "a wake-up is tried again");
            Verdict::Retry { delay_s: 5 }
        }
        Err(error) => {
            // The lease's deadline wakes somebody again; the object counts how often.
            tracing::error!(%error, job_id = message.job_id, "a wake-up failed");
            Verdict::Ack
        }
    }
}

async fn reject<P: Ports>(deps: &Deps<P>, queue: &str, id: &str, body: &str, why: &str) -> Verdict {
    tracing::warn!(queue, why, "a message cannot be read");
    let now_ms = deps.clock.now_ms();
    let row = store::ledger::reject_message(id, queue, body, why, now_ms);
    if let Err(error) = deps.database.query(row).await {
        tracing::warn!(%error, "an unreadable message is not kept");
    }
    Verdict::Ack
}

/// A message that failed as often as the queue allows: the object decides what follows.
async fn dead<P: Ports>(deps: &Deps<P>, message: &JobMessage, context: &CallContext) -> Verdict {
    let query = StateQuery {
        job_id: api_types::JobId::parse(&message.job_id).ok(),
        open: 0,
    };
    let state = deps.limiter.state(&message.object, &query, context).await;
    let swept = deps.limiter.sweep(&message.object, context).await;
    tracing::error!(
        job_id = message.job_id,
        object = message.object,
        known = state.is_ok(),
        swept = swept.is_ok(),
        "a wake-up ended in the dead-letter queue"
    );
    Verdict::Ack
}

async fn work<P: Ports>(
    deps: &Deps<P>,
    instance_id: &InstanceId,
    message: &JobMessage,
    context: &CallContext,
) -> Result<()> {
    tracing::Span::current().record("instance_id", instance_id.as_str());
    // Before anything is taken: what was unsent a moment ago is not any more once somebody holds it.
    let config = deps.config(instance_id, context).await?;
    let reply = match take(deps, message, context).await {
        Ok(reply) => reply,
        Err(error) if error.code == Code::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let grant = LeaseGrant::of_take(&reply);
    let TakeReply::Taken {
        epoch,
        mode,
        attempt,
    } = reply
    else {
        return Ok(());
    };
    let context = CallContext {
        request_id: attempt.request_id.clone(),
        traceparent: context.traceparent.clone(),
    };
    let lease = Lease::new(
        deps,
        &context,
        message.object.clone(),
        message.lease_id.clone(),
        epoch,
    );
    let Some(job) = GenerateJob::of(&attempt) else {
        let error = Error::internal("the stored job of an image attempt is unreadable");
        if grant.is_some() {
            lease.settle(&settling::unsent(&lease, &error)).await?;
        }
        return Err(error);
    };
    let taken = Taken {
        deps,
        config,
        context,
        attempt: *attempt,
        job,
    };
    taken.go_on(lease, mode, grant).await
}

/// Takes the lease, tried for a while with one nonce: a lease that is taken and whose taker does not know it is lost.
async fn take<P: Ports>(
    deps: &Deps<P>,
    message: &JobMessage,
    context: &CallContext,
) -> Result<TakeReply> {
    let take = Take {
        v: LIMITER_VERSION,
        lease_id: message.lease_id.clone(),
        holder_ms: deps.settings.holder_ms,
    };
    let taker = deps.uuid();
    let patience = Patience::new(deps);
    loop {
        let taken = deps.limiter.take(&message.object, &take, &taker, context);
        match taken.await {
            Err(error) if patience.again(deps, &error).await => {}
            done => return done,
        }
    }
}

struct Taken<'a, P: Ports> {
    deps: &'a Deps<P>,
    config: Arc<InstanceConfig>,
    context: CallContext,
    attempt: AttemptView,
    job: GenerateJob,
}

impl<P: Ports> Taken<'_, P> {
    async fn go_on(self, lease: Lease<P>, mode: TakeMode, grant: Option<LeaseGrant>) -> Result<()> {
        let run = Run {
            deps: self.deps.clone(),
            config: self.config.clone(),
            context: self.context.clone(),
            deadline: Deadline::after(self.deps.clock.now_ms(), self.deps.settings.consumer_ms),
            interactive: false,
            progress: None,
            begin_by: None,
        };
        let job_id = self.job.job_id.clone();
        let report = match (mode, grant, self.attempt.job_refs.last().cloned()) {
            (TakeMode::Run, Some(grant), _) => {
                run.resume(self.job, lease, Start::Submit(grant)).await
            }
            (TakeMode::Fallback, ..) => self.fall_back(&run, lease).await,
            (TakeMode::Reconcile | TakeMode::Resume | TakeMode::Run, _, job_ref) => {
                // Without a handle nobody brings what is missing, once nobody can be storing any more.
                let accept = if job_ref.is_none() && self.is_old() {
                    Accept::Any
                } else {
                    Accept::Whole
                };
                if self.find(&lease, accept).await? {
                    return Ok(());
                }
                match job_ref {
                    Some(job_ref) => run.resume(self.job, lease, Start::Resume(job_ref)).await,
                    None => return self.leave_unknown(&lease).await,
                }
            }
        };
        let end = match &report.end {
            End::Succeeded(_) => "succeeded",
            End::Failed(error) => error.code.as_str(),
            End::GoesOn => "goes_on",
        };
        tracing::info!(job_id = job_id.as_str(), end, "a job was continued");
        Ok(())
    }

    /// Whether the attempt is older than anybody may work on one.
    fn is_old(&self) -> bool {
        let run_ms = i64::try_from(self.deps.settings.run_ms).unwrap_or(i64::MAX);
        self.attempt.created_at.plus_ms(run_ms).ms() <= self.deps.clock.now_ms()
    }

    /// Whether the bucket had the result, which is then settled.
    async fn find(&self, lease: &Lease<P>, accept: Accept) -> Result<bool> {
        let Some(candidate) = self.job.candidates.get(self.job.candidate as usize) else {
            return Ok(false);
        };
        let search = Search {
            deps: self.deps,
            config: &self.config,
            job: &self.job,
            candidate,
            lease,
        };
        let found = search
            .result(accept)
            .await
            .map_err(|error| Error::internal(error.to_string()))?;
        let Some(settle) = found else {
            return Ok(false);
        };
        settling::log_usage(&self.job, &settle);
        lease.settle(&settle).await?;
        Ok(true)
    }

    async fn leave_unknown(&self, lease: &Lease<P>) -> Result<()> {
        let Some(candidate) = self.job.candidates.get(self.job.candidate as usize) else {
            return Ok(());
        };
        let error = Error::new(
            Code::OutcomeUnknown,
            "Nobody knows whether the provider ran this.",
        )
        .with_detail("kind", Outcome::Unknown.as_str())
        .with_detail("provider", candidate.provider.as_str())
        .with_detail("model", candidate.model.as_str());
        let settle = settling::unknown(lease, candidate, &error, None);
        lease.settle(&settle).await.map(|_| ())
    }

    /// A failed attempt whose successor was lost on the way.
    async fn fall_back(self, run: &Run<P>, lease: Lease<P>) -> crate::run::Report {
        let attempt = self.attempt;
        let stored = attempt.error.unwrap_or(JobError {
            code: Code::ProviderError,
            message: "The provider failed.".to_owned(),
            details: serde_json::json!({"kind": Outcome::Unavailable.as_str()}),
        });
        let error =
            Error::new(stored.code, stored.message.clone()).with_details(stored.details.clone());
        let settle = Settle {
            v: LIMITER_VERSION,
            lease_id: lease.lease_id.clone(),
            epoch: lease.epoch,
            outcome: attempt.outcome.unwrap_or(Outcome::Unavailable),
            billed: Billed::No,
            cost_usd_micros: attempt.cost_usd_micros,
            cost_basis: attempt.cost_basis.unwrap_or(CostBasis::None),
            tokens: None,
            usage: None,
            images: Vec::new(),
            withheld: 0,
            warnings: Vec::new(),
            error: Some(stored),
            retry_after_ms: None,
            observed_max_inflight: None,
            generation_ms: None,
            breaker_failure: None,
            next: Next::Final,
        };
        let mut job = self.job;
        job.attempt_no = attempt.attempt_no + 1;
        // The row does not say which of both was meant; without another candidate it was the same one.
        if job.candidate as usize + 1 < job.candidates.len() {
            job.candidate += 1;
        }
        let passed = Passed {
            lease,
            settle,
            error,
            taken: true,
        };
        run.start(job, Some(passed)).await
    }
}
