//! D1 `ledger`: what the limiter objects flush, and what image-gen reads and claims.
//!
//! In scope: the SQL of `migrations/ledger`. Out of scope: deciding (limiter, image-gen); the limiter objects are the
//! truth in flight, so each write here is harmless when it is repeated or comes late.

mod flush;
mod idempotency;
mod jobs;
mod upkeep;

pub use flush::flush;
pub use idempotency::{Claim, ClaimRow, claim, forget_claim, forget_expired_claims, take_over};
pub use jobs::{OPEN_JOBS, StoredJob, job, open_jobs};
pub use upkeep::{
    LimiterObject, finish_maintenance, forget_old_rejects, limiter_objects, limiter_objects_of,
    reject_message,
};
