//! One held lease: signs of life while others work, and the commands that end it.
//!
//! In scope: renewing in time, patience with an object that does not answer. Out of scope: what is done under the lease.

use crate::deps::Deps;
use api_types::{
    CredentialId, JobRef, JobStage, LIMITER_VERSION, LeaseId, Release, ReleaseReason, Renew,
    Settle, SettleReply, Submitted,
};
use errors::{Code, Error, Result};
use futures_util::future::{Either, select};
use jobs::Deadline;
use platform::{CallContext, Clock, Ports};
use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A command whose answer decides nothing is tried that long before its caller goes on, in milliseconds.
const PATIENCE_MS: u64 = 20_000;
/// Between two tries, in milliseconds.
const TRY_AGAIN_MS: u64 = 2_000;

/// Another holder has the lease: stop, send nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

/// How long a command is tried again while its object does not answer.
#[derive(Clone, Copy, Debug)]
pub struct Patience(Deadline);

impl Patience {
    /// 20 s from now on.
    pub fn new<P: Ports>(deps: &Deps<P>) -> Self {
        Self(Deadline::after(deps.clock.now_ms(), PATIENCE_MS))
    }

    /// One try.
    pub fn none<P: Ports>(deps: &Deps<P>) -> Self {
        Self(Deadline::after(deps.clock.now_ms(), 0))
    }

    /// Whether a command is sent again after that failure; sleeps if so.
    pub async fn again<P: Ports>(&self, deps: &Deps<P>, error: &Error) -> bool {
        let left_ms = self.0.left_ms(deps.clock.now_ms());
        let again = error.code == Code::LimiterUnavailable && left_ms > TRY_AGAIN_MS;
        if again {
            deps.clock.sleep(TRY_AGAIN_MS).await;
        }
        again
    }
}

/// How giving a lease back went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// It is written.
    Done,
    /// Another holder has it, or it is over.
    Lost,
    /// The object did not answer: nobody knows whether it is written. The lease's deadline decides.
    Silent,
}

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
    /// The provider's handle, while the object has not acknowledged it.
    untold: Mutex<Option<JobRef>>,
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
            untold: Mutex::new(None),
        };
        lease.renewed();
        lease
    }

    /// The same holder for work that goes on after it.
    #[must_use]
    pub fn again(&self) -> Self {
        Self::new(
            &self.deps,
            &self.context,
            self.object.clone(),
            self.lease_id.clone(),
            self.epoch,
        )
    }

    /// What correlates the calls of this holder.
    pub const fn context(&self) -> &CallContext {
        &self.context
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
            credential_id: None,
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

    /// Has the stored job name the credential that is used from now on; a sign of life as well.
    ///
    /// # Errors
    /// 409 `lease_lost`, 404: another holder has it; 503 `limiter_unavailable`: nobody knows whether it is written.
    pub async fn name_credential(&self, credential_id: &CredentialId) -> Result<()> {
        let command = Renew {
            v: LIMITER_VERSION,
            lease_id: self.lease_id.clone(),
            epoch: self.epoch,
            stage: None,
            credential_id: Some(credential_id.clone()),
        };
        let limiter = &self.deps.limiter;
        limiter.renew(&self.object, &command, &self.context).await?;
        self.renewed();
        Ok(())
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

    /// Stores the provider's handle. After 20 s without an answer the caller polls on with the id it holds, and it is told
    /// again later.
    pub async fn submitted(&self, job_ref: &JobRef) {
        *self.untold() = Some(job_ref.clone());
        self.tell(Patience::new(&self.deps)).await;
    }

    /// Tells the provider's handle once more, if the object has not acknowledged it: nobody else could ever ask for the
    /// result. Without patience it is one try.
    pub async fn tell_again(&self, patient: bool) {
        let patience = if patient {
            Patience::new(&self.deps)
        } else {
            Patience::none(&self.deps)
        };
        self.tell(patience).await;
    }

    async fn tell(&self, patience: Patience) {
        let Some(job_ref) = self.untold().clone() else {
            return;
        };
        let command = Submitted {
            v: LIMITER_VERSION,
            lease_id: self.lease_id.clone(),
            job_ref,
        };
        let sent = loop {
            let limiter = &self.deps.limiter;
            match limiter
                .submitted(&self.object, &command, &self.context)
                .await
            {
                Err(error) if patience.again(&self.deps, &error).await => {}
                done => break done,
            }
        };
        match sent {
            Ok(_) => {
                *self.untold() = None;
                // The command extends the holder as a renewal does.
                self.renewed();
            }
            Err(error) => {
                tracing::error!(%error, lease_id = %self.lease_id, "the provider's job id is not recorded");
            }
        }
    }

    fn untold(&self) -> MutexGuard<'_, Option<JobRef>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Declares the outcome.
    ///
    /// # Errors
    /// 503 `limiter_unavailable` after 20 s; what is stored is found again by its keys.
    pub async fn settle(&self, command: &Settle) -> Result<SettleReply> {
        let patience = Patience::new(&self.deps);
        loop {
            let limiter = &self.deps.limiter;
            match limiter.settle(&self.object, command, &self.context).await {
                Err(error) if patience.again(&self.deps, &error).await => {}
                done => return done,
            }
        }
    }

    /// As [`Lease::settle`], tried for as long as a holder may be silent: what is told afterwards finds the row given up.
    ///
    /// # Errors
    /// As [`Lease::settle`].
    pub async fn settle_while_it_lasts(&self, command: &Settle) -> Result<SettleReply> {
        let lasts = self.lasts();
        loop {
            match self.settle(command).await {
                Err(error) if error.code == Code::LimiterUnavailable && !self.is_over(lasts) => {}
                done => return done,
            }
        }
    }

    /// As [`Lease::release`], tried for as long as a holder may be silent.
    pub async fn release_while_it_lasts(&self, reason: ReleaseReason) -> Released {
        let lasts = self.lasts();
        loop {
            let released = self.release(reason).await;
            if released != Released::Silent || self.is_over(lasts) {
                return released;
            }
        }
    }

    fn lasts(&self) -> Deadline {
        Deadline::after(self.deps.clock.now_ms(), self.deps.settings.holder_ms)
    }

    fn is_over(&self, deadline: Deadline) -> bool {
        deadline.is_over(self.deps.clock.now_ms())
    }

    /// Gives the lease back, tried for 20 s.
    pub async fn release(&self, reason: ReleaseReason) -> Released {
        let command = Release {
            v: LIMITER_VERSION,
            lease_id: self.lease_id.clone(),
            epoch: self.epoch,
            reason,
        };
        let patience = Patience::new(&self.deps);
        loop {
            let limiter = &self.deps.limiter;
            match limiter.release(&self.object, &command, &self.context).await {
                Ok(_) => return Released::Done,
                Err(error) if patience.again(&self.deps, &error).await => {}
                Err(error) => {
                    tracing::warn!(%error, lease_id = %self.lease_id, ?reason, "a lease was not given back");
                    return match error.code {
                        Code::LimiterUnavailable => Released::Silent,
                        _ => Released::Lost,
                    };
                }
            }
        }
    }
}
