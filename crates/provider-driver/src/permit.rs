//! The right to send one submit: a type that cannot be copied, made only where sending is allowed.
//!
//! In scope: where a permit comes from. Out of scope: leases (`rate-limiter`).

use api_types::{AcquireDecision, AcquireReply, LeaseId, TakeMode, TakeReply};
use provider_adapters::{Accepted, ProviderError};

/// A lease that its holder may send under: granted just now, and certainly unsent.
#[derive(Debug)]
pub struct LeaseGrant {
    lease_id: LeaseId,
    epoch: u32,
}

impl LeaseGrant {
    /// The grant in an answer of `acquire` or `enqueue`; `None` when it was not granted.
    pub fn of_acquire(reply: &AcquireReply) -> Option<Self> {
        match &reply.decision {
            AcquireDecision::Granted {
                lease_id, epoch, ..
            } => Some(Self {
                lease_id: lease_id.clone(),
                epoch: *epoch,
            }),
            AcquireDecision::Limited { .. }
            | AcquireDecision::Refused { .. }
            | AcquireDecision::Existing(_) => None,
        }
    }

    /// The grant in an answer of `take`; `None` unless the attempt is certainly unsent.
    pub fn of_take(reply: &TakeReply) -> Option<Self> {
        match reply {
            TakeReply::Taken {
                epoch,
                mode: TakeMode::Run,
                attempt,
            } => Some(Self {
                lease_id: attempt.lease_id.clone(),
                epoch: *epoch,
            }),
            TakeReply::Taken { .. } | TakeReply::Busy { .. } => None,
        }
    }

    /// The lease.
    pub const fn lease_id(&self) -> &LeaseId {
        &self.lease_id
    }

    /// The permission number.
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }
}

/// The right to send one submit; the send consumes it.
#[derive(Debug)]
pub struct SubmitPermit(pub(crate) ());

impl SubmitPermit {
    /// From a fresh lease.
    pub fn from_lease(grant: LeaseGrant) -> Self {
        drop(grant);
        Self(())
    }

    /// From a failure after which sending again cannot pay twice: it was certainly not accepted, or the vendor itself
    /// said that the job ended without a result.
    ///
    /// # Errors
    /// The failure itself, when it may have been accepted.
    pub fn after(error: ProviderError) -> Result<Self, ProviderError> {
        if error.accepted == Accepted::No || error.finished {
            Ok(Self(()))
        } else {
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::{HeadroomSet, LimitedReason, LimiterStats};
    use provider_adapters::Kind;

    fn reply(decision: AcquireDecision) -> AcquireReply {
        AcquireReply {
            decision,
            headroom: HeadroomSet::default(),
            stats: LimiterStats::default(),
        }
    }

    #[test]
    fn only_a_grant_gives_a_permit() {
        let lease_id = LeaseId::parse("0199a1c2-0000-7000-8000-000000000001").unwrap();
        let granted = reply(AcquireDecision::Granted {
            lease_id: lease_id.clone(),
            epoch: 1,
            probe: false,
        });
        let grant = LeaseGrant::of_acquire(&granted).unwrap();
        assert_eq!((grant.lease_id(), grant.epoch()), (&lease_id, 1));
        let limited = reply(AcquireDecision::Limited {
            reason: LimitedReason::Requests,
            retry_after_ms: 1,
            estimated: false,
        });
        assert!(LeaseGrant::of_acquire(&limited).is_none());
    }

    #[test]
    fn a_failure_that_may_have_been_accepted_gives_none() {
        let error = |accepted| ProviderError::new(Kind::Unavailable, accepted);
        assert!(SubmitPermit::after(error(Accepted::No)).is_ok());
        assert!(SubmitPermit::after(error(Accepted::Maybe)).is_err());
        assert!(SubmitPermit::after(error(Accepted::Yes)).is_err());
        assert!(SubmitPermit::after(error(Accepted::Yes).ended()).is_ok());
    }
}
