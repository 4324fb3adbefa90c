//! One held lease: signs of life while others work, and the commands that end it.
//!
//! In scope: renewing in time, patience with an object that does not answer. Out of scope: what is done under the lease.

use crate::deps::Deps;
use api_types::{
    JobRef, JobStage, LIMITER_VERSION, LeaseId, Release, ReleaseReason, Renew, Settle, SettleReply,
    Submitted,
};
use errors::{Code, Error, Result};
use futures_util::future::{Either, select};
use jobs::Deadline;
use platform::{CallContext, Clock, Ports};
use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};

/// A command whose answer decides nothing is tried that long before its caller goes on, in milliseconds.
const PATIENCE_MS: u64 = 20_000;
/// Between two tries, in milliseconds.
const TRY_AGAIN_MS: u64 = 2_000;

/// Another holder has the lease: stop, send nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

/// A lease that this run holds.
pub struct Lease<P: Ports> {
    deps: Deps<P>,
    context: CallContext,
    /// Name of the limiter object.
    pub object: String,
    /// The lease.
    pub lease_id: LeaseId,
    /// The permission number.
    pub epoch: u32,
    renew_at_ms: AtomicI64,
}

impl<P: Ports> Lease<P> {
    /// A lease that was granted or taken just now.
    pub fn new(
        deps: &Deps<P>,
        context: &CallContext,
        object: String,
        lease_id: LeaseId,
        epoch: u32,
    ) -> Self {
        let lease = Self {
            deps: deps.clone(),
            context: context.clone(),
            object,
            lease_id,
            epoch,
            renew_at_ms: AtomicI64::new(0),
        };
        lease.renewed();
        lease
    }

    fn renewed(&self) {
        let next = Deadline::after(self.deps.clock.now_ms(), self.deps.settings.renew_ms);
        self.renew_at_ms.store(next.at_ms(), Ordering::Relaxed);
    }

    fn until_renew_ms(&self) -> u64 {
        let at_ms = self.renew_at_ms.load(Ordering::Relaxed);
        u64::try_from(at_ms - self.deps.clock.now_ms()).unwrap_or(0)
    }

    /// A sign of life. An object that does not answer is asked again soon: the lease lasts for two renewals.
    async fn renew(&self, stage: JobStage) -> Result<(), Lost> {
        let command = Renew {
            v: LIMITER_VERSION,
            lease_id: self.lease_id.clone(),
            epoch: self.epoch,
            stage: Some(stage),
        };
        let reply = self
            .deps
            .limiter
            .renew(&self.object, &command, &self.context)
            .await;
        match reply {
            Ok(_) => {
                self.renewed();
                Ok(())
            }
            Err(error) if matches!(error.code, Code::LeaseLost | Code::NotFound) => {
                self.renewed();
                Err(Lost)
            }
            Err(_) => {
                let soon = Deadline::after(self.deps.clock.now_ms(), TRY_AGAIN_MS);
                self.renew_at_ms.store(soon.at_ms(), Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// Waits that long, alive.
    ///
    /// # Errors
    /// [`Lost`] as soon as a renewal is refused.
    pub async fn wait(&self, ms: u64, stage: JobStage) -> Result<(), Lost> {
        let end = Deadline::after(self.deps.clock.now_ms(), ms);
        loop {
            let left_ms = end.left_ms(self.deps.clock.now_ms());
            if left_ms == 0 {
                return Ok(());
            }
            let renew_ms = self.until_renew_ms();
            if renew_ms == 0 {
                self.renew(stage).await?;
                continue;
            }
            self.deps.clock.sleep(left_ms.min(renew_ms)).await;
        }
    }

    /// Does `work`, alive. It is never broken off: what it has begun at a provider is a fact, whoever holds the lease.
    pub async fn during<T>(&self, stage: JobStage, work: impl Future<Output = T> + Send) -> T {
        let mut work = pin!(work);
        loop {
            let timer = pin!(self.deps.clock.sleep(self.until_renew_ms()));
            if let Either::Right((done, _)) = select(timer, work.as_mut()).await {
                return done;
            }
            let renew = pin!(self.renew(stage));
            if let Either::Right((done, _)) = select(renew, work.as_mut()).await {
                return done;
            }
        }
    }

    /// Stores the provider's handle. After 20 s without an answer the caller polls on with the id it holds.
    pub async fn submitted(&self, job_ref: &JobRef) {
        let command = Submitted {
            v: LIMITER_VERSION,
            lease_id: self.lease_id.clone(),
            job_ref: job_ref.clone(),
        };
        let end = self.patience();
        let sent = loop {
            let limiter = &self.deps.limiter;
            match limiter
                .submitted(&self.object, &command, &self.context)
                .await
            {
                Err(error) if self.again(end, &error).await => {}
                done => break done,
            }
        };
        match sent {
            // The command extends the holder as a renewal does.
            Ok(_) => self.renewed(),
            Err(error) => {
                tracing::error!(%error, lease_id = %self.lease_id, "the provider's job id is not recorded");
            }
        }
    }

    /// Declares the outcome.
    ///
    /// # Errors
    /// 503 `limiter_unavailable` after 20 s; what is stored is found again by its keys.
    pub async fn settle(&self, command: &Settle) -> Result<SettleReply> {
        let end = self.patience();
        loop {
            let limiter = &self.deps.limiter;
            match limiter.settle(&self.object, command, &self.context).await {
                Err(error) if self.again(end, &error).await => {}
                done => return done,
            }
        }
    }

    /// Gives the lease back. A failure is harmless: its deadline does the same later.
    pub async fn release(&self, reason: ReleaseReason) {
        let command = Release {
            v: LIMITER_VERSION,
            lease_id: self.lease_id.clone(),
            epoch: self.epoch,
            reason,
        };
        let released = self
            .deps
            .limiter
            .release(&self.object, &command, &self.context)
            .await;
        if let Err(error) = released {
            tracing::warn!(%error, lease_id = %self.lease_id, "a lease was not given back");
        }
    }

    /// Ends a hand-over: the job is with another object now. Only an `Ok` makes sure that nobody else goes on with it, so
    /// without one the caller sends nothing.
    pub async fn handed_over(&self) -> bool {
        let command = Release {
            v: LIMITER_VERSION,
            lease_id: self.lease_id.clone(),
            epoch: self.epoch,
            reason: ReleaseReason::HandedOver,
        };
        let end = self.patience();
        loop {
            match self
                .deps
                .limiter
                .release(&self.object, &command, &self.context)
                .await
            {
                Ok(_) => return true,
                Err(error) if self.again(end, &error).await => {}
                Err(error) => {
                    tracing::warn!(%error, lease_id = %self.lease_id, "a hand-over was not confirmed");
                    return false;
                }
            }
        }
    }

    /// Gives it to the consumer, certainly unsent. The caller sends nothing whatever the answer is: it may have been done.
    pub async fn hand_over_unsent(&self) {
        let command = Release {
            v: LIMITER_VERSION,
            lease_id: self.lease_id.clone(),
            epoch: self.epoch,
            reason: ReleaseReason::HandoffUnsent,
        };
        let end = self.patience();
        loop {
            let limiter = &self.deps.limiter;
            match limiter.release(&self.object, &command, &self.context).await {
                Err(error) if self.again(end, &error).await => {}
                Err(error) => {
                    tracing::error!(%error, lease_id = %self.lease_id, "a job is not handed over");
                    return;
                }
                Ok(_) => return,
            }
        }
    }

    fn patience(&self) -> Deadline {
        Deadline::after(self.deps.clock.now_ms(), PATIENCE_MS)
    }

    /// Whether a command is sent again after that failure; sleeps if so.
    async fn again(&self, end: Deadline, error: &Error) -> bool {
        let left_ms = end.left_ms(self.deps.clock.now_ms());
        let again = error.code == Code::LimiterUnavailable && left_ms > TRY_AGAIN_MS;
        if again {
            self.deps.clock.sleep(TRY_AGAIN_MS).await;
        }
        again
    }
}
