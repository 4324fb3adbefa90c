//! How an attempt ends: what is declared, and whether anything follows.
//!
//! In scope: the settle of a success, of a failure and of an attempt that was never sent. Out of scope: the attempt itself
//! (`attempt`), the decision what follows (`fallback`), the next candidate (`run`).

use crate::attempt::{Attempt, Produced, Start, Trouble};
use crate::fallback::{Follow, Situation, follow};
use crate::lease::{Lease, Released};
use crate::run::{End, Passed, Report, Run, Step};
use crate::settling;
use api_types::{
    AttemptState, AttemptView, Billed, GenerateResponse, JobCandidate, Next, ReleaseReason, Settle,
    StateQuery, StateReply,
};
use errors::{Code, Error};
use platform::{Background, Clock, Ports, Random};
use provider_adapters::ProviderError;

impl<P: Ports> Run<P> {
    /// Runs one attempt under its lease, to its end.
    pub(crate) async fn attempt(
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
            let error = Error::internal("a lease without its candidate");
            return self.unsent(report, lease, error, false).await;
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
        report.provider_since_ms = Some(started_ms);
        self.note(report);
        let mut outcome = attempt.work(start).await;
        report.provider_since_ms = None;
        if let Err(Trouble::Provider(error)) = &mut outcome {
            settling::forget_prompt(&mut error.internal, &report.job.request.prompt);
        }
        let now_ms = self.deps.clock.now_ms();
        let duration_ms = u64::try_from(now_ms - started_ms).unwrap_or(0);
        settling::log_attempt(&candidate, &report.job, &outcome, duration_ms);
        match outcome {
            Ok(produced) => {
                let generation_ms = produced.generation_ms.unwrap_or(0);
                report.provider_ms += generation_ms.min(duration_ms);
                let generated_ms = i64::try_from(generation_ms).unwrap_or(0);
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

    /// What the object knows of the job.
    async fn view(&self, report: &Report, lease: &Lease<P>) -> Option<AttemptView> {
        let query = StateQuery {
            job_id: Some(report.job.job_id.clone()),
            open: 0,
        };
        let limiter = &self.deps.limiter;
        match limiter.state(&lease.object, &query, &self.context).await {
            Ok(StateReply::Job(view)) => Some(*view),
            _ => None,
        }
    }

    async fn look_up(&self, report: &mut Report, lease: &Lease<P>) -> End {
        match self.view(report, lease).await {
            Some(view) => Self::existing(report, &view),
            None => End::GoesOn,
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
        match trouble {
            Trouble::Lost => Step::Over(End::GoesOn),
            Trouble::GaveUp => {
                lease.release(ReleaseReason::Handoff).await;
                Step::Over(End::GoesOn)
            }
            Trouble::NotSent(error) => self.unsent(report, lease, error, has_next).await,
            Trouble::Storage {
                cause,
                resumable,
                cost,
            } => {
                let error = Error::new(
                    Code::StorageError,
                    "The image was made and could not be stored yet.",
                )
                .with_internal(cause)
                .with_detail("kind", "storage")
                .with_detail("provider", candidate.provider.as_str())
                .with_detail("model", candidate.model.as_str());
                report.cost_usd_micros = cost.usd_micros;
                if resumable {
                    // The lease is kept: its deadline wakes the consumer, by when the bucket may be back.
                    return Step::Over(End::Failed(error));
                }
                // The bytes are gone with this call, unless a bucket has them whose answer was lost.
                let settle = settling::unknown(&lease, candidate, &error, Some(cost));
                report.cost_usd_micros = settle.cost_usd_micros;
                Step::Over(self.end(report, &lease, &settle, error).await)
            }
            Trouble::Provider(error) => {
                self.refused(report, lease, candidate, error, has_next, repeated)
                    .await
            }
        }
    }

    /// Certainly nothing was sent. A job that only this lease knows is given back as if it had never been; one that is
    /// known elsewhere goes on from here, or ends here, so that it is never without a place.
    async fn unsent(
        &self,
        report: &mut Report,
        lease: Lease<P>,
        error: Error,
        has_next: bool,
    ) -> Step<P> {
        if self.interactive && report.job.attempt_no == 1 {
            self.give_back(lease, ReleaseReason::NotSent).await;
            report.known = false;
            return if has_next {
                Step::NextUnsent(error)
            } else {
                Step::Over(End::Failed(error))
            };
        }
        let settle = settling::unsent(&lease, &error);
        if has_next {
            // It does not count as one of the job's submissions.
            report.job.max_attempts = report.job.max_attempts.saturating_add(1);
            self.pass_on(report, lease, settle, error, Follow::Next)
                .await
        } else {
            Step::Over(self.end(report, &lease, &settle, error).await)
        }
    }

    /// The provider failed, or may have.
    async fn refused(
        &self,
        report: &mut Report,
        lease: Lease<P>,
        candidate: &JobCandidate,
        error: ProviderError,
        has_next: bool,
        repeated: bool,
    ) -> Step<P> {
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
        let settle = settling::failed(&lease, candidate, &error, &answer, follow);
        match follow {
            Follow::End | Follow::Unknown => {
                report.cost_usd_micros = settle.cost_usd_micros;
                Step::Over(self.end(report, &lease, &settle, answer).await)
            }
            Follow::Same { .. } | Follow::Next => {
                self.pass_on(report, lease, settle, answer, follow).await
            }
        }
    }

    /// Settles an attempt that another one follows.
    async fn pass_on(
        &self,
        report: &mut Report,
        lease: Lease<P>,
        settle: Settle,
        answer: Error,
        follow: Follow,
    ) -> Step<P> {
        match self.record(report, lease, settle, answer, follow).await {
            Ok(passed) => Step::Again(Box::new(passed), follow),
            Err(end) => Step::Over(end),
        }
    }

    /// Makes a row `handover`. Without a record of this attempt another one could follow it twice.
    pub(crate) async fn record(
        &self,
        report: &mut Report,
        lease: Lease<P>,
        mut settle: Settle,
        answer: Error,
        follow: Follow,
    ) -> Result<Passed<P>, End> {
        settle.next = if follow == Follow::Next {
            Next::Fallback
        } else {
            Next::Retry
        };
        match lease.settle(&settle).await {
            Ok(reply) if !reply.already => {}
            // A repeat finds its own record.
            Ok(_) => match self.view(report, &lease).await {
                Some(view) if is_own_handover(&view, &lease) => {}
                Some(view) => return Err(Self::existing(report, &view)),
                None => return Err(End::GoesOn),
            },
            Err(unsettled) => {
                tracing::error!(error = %unsettled, "a failed attempt is not settled");
                // Written or not: if it is, the job goes on from there.
                return Err(End::GoesOn);
            }
        }
        Ok(Passed {
            lease,
            settle,
            error: answer,
            taken: false,
        })
    }

    /// No candidate is left: the failed attempt is the end.
    pub(crate) async fn give_up(&self, report: &mut Report, old: Passed<P>) -> End {
        let settle = Settle {
            next: Next::Final,
            ..old.settle
        };
        match old.lease.settle(&settle).await {
            // Another holder goes on, or has ended it otherwise.
            Ok(reply) if reply.already => self.look_up(report, &old.lease).await,
            Ok(_) => {
                report.unspent = settle.billed == Billed::No;
                End::Failed(old.error)
            }
            Err(error) => {
                tracing::warn!(%error, job_id = %report.job.job_id, "the end of a job is not recorded");
                // The hand-over stands, and its alarm looks for room again.
                End::GoesOn
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
            Ok(_) => {
                report.unspent = settle.billed == Billed::No;
                End::Failed(error)
            }
            Err(unsettled) => {
                tracing::error!(error = %unsettled, job_id = %report.job.job_id, "an outcome is not settled");
                self.settle_late(lease, settle);
                End::Failed(error)
            }
        }
    }
}

impl<P: Ports> Run<P> {
    /// Declares it again in the background: without it the row would be booked at the most it can cost.
    fn settle_late(&self, lease: &Lease<P>, settle: &Settle) {
        let (lease, settle) = (lease.again(), settle.clone());
        self.deps.background.spawn(async move {
            drop(lease.settle_while_it_lasts(&settle).await);
        });
    }

    /// Gives an unsent lease back. Without an answer the same is said again in the background: nobody else would know that
    /// nothing was sent.
    pub(crate) async fn give_back(&self, lease: Lease<P>, reason: ReleaseReason) -> Released {
        let released = lease.release(reason).await;
        if released == Released::Silent {
            self.deps.background.spawn(async move {
                lease.release_while_it_lasts(reason).await;
            });
        }
        released
    }
}

/// Whether the row stands as this holder's own settle left it.
fn is_own_handover<P: Ports>(view: &AttemptView, lease: &Lease<P>) -> bool {
    view.lease_id == lease.lease_id
        && view.state == AttemptState::Handover
        && view.epoch == lease.epoch
}
