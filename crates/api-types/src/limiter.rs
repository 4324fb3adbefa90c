//! Commands of the `RateLimiter` object and its answers. Unknown members are accepted: the object's code may be a
//! release older or newer than its caller.

use crate::{
    CostBasis, CredentialId, ImageId, ImageUsage, InstanceId, JobError, JobId, JobRef, JobStage,
    JobState, KeyId, LeaseId, OrgId, ProjectId, ProviderName, StoredImage, TimelineEvent,
    Timestamp, Warning, WindowLimit,
};
use errors::Code;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Version of all commands.
pub const LIMITER_VERSION: u32 = 1;

/// The limits in force, with the version of the configuration they come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Older ones are ignored.
    pub config_version: i64,
    /// Requests in any 60 s; `None` for no such limit.
    pub rpm: Option<u32>,
    /// Tokens in any 60 s.
    pub tpm: Option<u32>,
    /// Images in progress at once.
    pub max_inflight_images: Option<u32>,
    /// Further windows.
    #[serde(default)]
    pub windows: Vec<WindowLimit>,
}

/// What kind of work a lease is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Images; handed to the queue consumer when its holder is lost.
    #[default]
    Image,
    /// Text; never handed over.
    Text,
}

/// `acquire`: rate, tokens, in-flight weight and breaker in one decision, and the lease with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Acquire {
    /// Version of the commands.
    pub v: u32,
    /// Minted by the caller, so that a repeated command is recognised.
    pub lease_id: LeaseId,
    /// The job.
    pub job_id: JobId,
    /// The attempt (from 1); `{job_id}:{attempt_no}` is unique.
    pub attempt_no: u32,
    /// Instance.
    pub instance_id: InstanceId,
    /// Provider.
    pub provider: ProviderName,
    /// Vendor calls, for the request windows.
    pub calls: u32,
    /// Images, for the in-flight limit.
    pub images: u32,
    /// Tokens, estimated.
    #[serde(default)]
    pub tokens: u32,
    /// Kind of work.
    #[serde(default)]
    pub work: Work,
    /// Model.
    pub model: String,
    /// Organization.
    pub org_id: OrgId,
    /// Project.
    #[serde(default)]
    pub project_id: Option<ProjectId>,
    /// Key.
    #[serde(default)]
    pub key_id: Option<KeyId>,
    /// The request.
    pub request_id: String,
    /// Its trace.
    #[serde(default)]
    pub traceparent: String,
    /// Expected price, in micro-dollars; `None` when unknown and allowed.
    pub estimate_usd_micros: Option<i64>,
    /// The most it can cost.
    pub upper_usd_micros: Option<i64>,
    /// Date of the price row.
    #[serde(default)]
    pub price_version: Option<String>,
    /// Limits in force.
    pub limits: Limits,
    /// How long the job may run in all, in milliseconds.
    pub run_ms: u64,
    /// How long the caller holds it without a sign of life, in milliseconds.
    pub holder_ms: u64,
    /// Ids of the images to be.
    #[serde(default)]
    pub image_ids: Vec<ImageId>,
    /// The stored job ([`crate::GenerateJob`]), at most 128 KiB.
    pub job: Value,
}

/// Why an acquire was not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitedReason {
    /// A window of requests is full.
    Requests,
    /// The window of tokens is full.
    Tokens,
    /// Images in progress.
    Inflight,
    /// The breaker is open.
    Breaker,
    /// The provider asked us to wait.
    ProviderBackoff,
    /// Too many attempts after the first lately.
    RetryBudget,
    /// An operator paused the provider.
    Paused,
    /// The outbox is too long: the ledger has been away.
    Ledger,
}

/// One limit and what is left of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headroom {
    /// The limit.
    pub limit: u32,
    /// What is left.
    pub remaining: u32,
    /// When all of it is free again, in milliseconds from now.
    pub reset_ms: u64,
}

/// What is left of each limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadroomSet {
    /// Requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Headroom>,
    /// Tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Headroom>,
    /// Images in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Headroom>,
}

/// What the object has seen lately; orders candidates, decides nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimiterStats {
    /// Median of finished generations, in milliseconds; 0 when none is known.
    pub median_ms: u64,
    /// Failures per thousand of the last outcomes.
    pub errors_per_mille: u32,
    /// Images in progress.
    pub inflight_images: u32,
    /// When the breaker lets the next call through, in milliseconds from now; 0 when closed.
    pub breaker_ms: u64,
}

/// The decision on an acquire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AcquireDecision {
    /// The caller holds the lease and may send.
    Granted {
        /// The lease.
        lease_id: LeaseId,
        /// Permission number; another holder gets a higher one.
        epoch: u32,
        /// This call decides whether the breaker closes.
        probe: bool,
    },
    /// Not now.
    Limited {
        /// Why.
        reason: LimitedReason,
        /// When it fits, in milliseconds from now; the longest of all delays.
        retry_after_ms: u64,
        /// Whether the delay is an estimate.
        estimated: bool,
    },
    /// Never under these limits.
    Refused {
        /// `request_exceeds_limit`.
        code: Code,
        /// Which limit.
        limit: String,
        /// Its value.
        value: u64,
    },
    /// This attempt exists already.
    Existing(Box<AttemptView>),
}

/// Answer of `acquire`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AcquireReply {
    /// The decision.
    pub decision: AcquireDecision,
    /// What is left.
    #[serde(default)]
    pub headroom: HeadroomSet,
    /// What it has seen.
    #[serde(default)]
    pub stats: LimiterStats,
}

/// State of one attempt inside the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    /// Given to the queue consumer, certainly unsent.
    Granted,
    /// Bytes may be on the wire.
    Held,
    /// The provider's job id is known.
    Submitted,
    /// Failed here, the job goes on elsewhere.
    Handover,
    /// Nobody knows whether it ran.
    Unknown,
    /// Over.
    Settled,
}

impl AttemptState {
    /// The word in JSON and SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Held => "held",
            Self::Submitted => "submitted",
            Self::Handover => "handover",
            Self::Unknown => "unknown",
            Self::Settled => "settled",
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Images are stored.
    Succeeded,
    /// Cancelled.
    Cancelled,
    /// Strict quality check.
    QualityRejected,
    /// Nobody knows whether it ran.
    Unknown,
    /// The key was refused.
    Auth,
    /// The account has nothing left.
    Quota,
    /// The provider refused for its own limits.
    RateLimited,
    /// The provider calls our request wrong.
    Invalid,
    /// Content refused.
    RejectedBySafety,
    /// No answer in time, certainly not accepted or certainly over.
    Timeout,
    /// Down or unreachable.
    Unavailable,
    /// Success without an image, or unreadable.
    NoOutput,
    /// Finished, but the file is gone.
    ResultLost,
}

impl Outcome {
    /// The word in JSON and SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Cancelled => "cancelled",
            Self::QualityRejected => "quality_rejected",
            Self::Unknown => "unknown",
            Self::Auth => "auth",
            Self::Quota => "quota",
            Self::RateLimited => "rate_limited",
            Self::Invalid => "invalid",
            Self::RejectedBySafety => "rejected_by_safety",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::NoOutput => "no_output",
            Self::ResultLost => "result_lost",
        }
    }
}

/// Whether the provider charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Billed {
    /// It did.
    Yes,
    /// It did not.
    No,
    /// It must be assumed.
    Assumed,
}

impl Billed {
    /// The word in JSON and SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Assumed => "assumed",
        }
    }
}

/// What follows a settled attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// The job is over.
    Final,
    /// The next candidate is tried: the row becomes `handover` until `release(handed_over)`.
    Fallback,
    /// The same provider is tried again as the next attempt.
    Retry,
}

/// `submitted`: the provider's job id, recorded before anyone waits for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Submitted {
    /// Version of the commands.
    pub v: u32,
    /// The lease.
    pub lease_id: LeaseId,
    /// The provider's handle.
    pub job_ref: JobRef,
}

/// `renew`: a sign of life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renew {
    /// Version of the commands.
    pub v: u32,
    /// The lease.
    pub lease_id: LeaseId,
    /// The permission number.
    pub epoch: u32,
    /// What it is doing.
    #[serde(default)]
    pub stage: Option<JobStage>,
    /// The credential that is used from now on; the stored job names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_id: Option<CredentialId>,
}

/// Answer of `submitted`, `renew` and `release`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseReply {
    /// It was written.
    pub ok: bool,
    /// Somebody asked to cancel the job.
    #[serde(default)]
    pub cancel_requested: bool,
}

/// `settle`: outcome and cost, after R2 has acknowledged. With `cancelled`, not billed and without a handle the attempt was
/// certainly never sent: it leaves the window and the books, and its error says why the job ends with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settle {
    /// Version of the commands.
    pub v: u32,
    /// The lease.
    pub lease_id: LeaseId,
    /// The permission number; an older one is accepted, results are facts.
    pub epoch: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether it was charged.
    pub billed: Billed,
    /// What was charged, in micro-dollars; `None` when unknown.
    pub cost_usd_micros: Option<i64>,
    /// How the cost is known.
    pub cost_basis: CostBasis,
    /// Tokens used; replaces the estimate at its original instant.
    #[serde(default)]
    pub tokens: Option<u32>,
    /// The same by kind, for the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<ImageUsage>,
    /// Stored images.
    #[serde(default)]
    pub images: Vec<StoredImage>,
    /// Images kept back.
    #[serde(default)]
    pub withheld: u32,
    /// What did not go as asked.
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<JobError>,
    /// The provider asked us to wait that long.
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
    /// The provider told its own in-flight limit.
    #[serde(default)]
    pub observed_max_inflight: Option<u32>,
    /// From submit to the provider's finished answer, in milliseconds.
    #[serde(default)]
    pub generation_ms: Option<u64>,
    /// Whether the outcome says that the provider is unhealthy (`None`: says nothing).
    #[serde(default)]
    pub breaker_failure: Option<bool>,
    /// What follows.
    pub next: Next,
}

/// Answer of `settle`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettleReply {
    /// It is written.
    pub ok: bool,
    /// Another settle came first; its outcome stands.
    pub already: bool,
    /// State of the job now.
    pub state: JobState,
}

/// Why a lease is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseReason {
    /// Certainly nothing was sent: the entry leaves the window.
    NotSent,
    /// The holder stops; the queue consumer goes on at once: `submitted` is resumed, `held` becomes `unknown` and is
    /// reconciled, because bytes may be on the wire.
    Handoff,
    /// As `handoff`, and certainly nothing was sent: the queue consumer may run it.
    HandoffUnsent,
    /// The next candidate has the job: ends a `handover`.
    HandedOver,
}

/// `release`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Version of the commands.
    pub v: u32,
    /// The lease.
    pub lease_id: LeaseId,
    /// The permission number.
    pub epoch: u32,
    /// Why.
    pub reason: ReleaseReason,
}

/// `take`: the queue consumer asks for the lease it was woken for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Take {
    /// Version of the commands.
    pub v: u32,
    /// The lease.
    pub lease_id: LeaseId,
    /// How long it will hold it without a sign of life, in milliseconds.
    pub holder_ms: u64,
}

/// What the taker may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TakeMode {
    /// Certainly unsent: send it.
    Run,
    /// The provider has it: poll.
    Resume,
    /// Bytes may have been sent: find out, never send.
    Reconcile,
    /// A failed attempt whose fallback was lost: go on with the next candidate.
    Fallback,
}

/// Answer of `take`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TakeReply {
    /// The caller holds it now.
    Taken {
        /// New permission number.
        epoch: u32,
        /// What it may do.
        mode: TakeMode,
        /// The attempt with the stored job.
        attempt: Box<AttemptView>,
    },
    /// Nothing to do: somebody alive holds it, or it is over.
    Busy {
        /// Its state.
        state: AttemptState,
        /// When asking again makes sense, in milliseconds.
        retry_after_ms: u64,
    },
}

/// One attempt as the object sees it; also the answer of `state` for a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptView {
    /// The lease.
    pub lease_id: LeaseId,
    /// The job.
    pub job_id: JobId,
    /// The attempt.
    pub attempt_no: u32,
    /// Its state.
    pub state: AttemptState,
    /// State of the job as far as this object knows.
    pub job_state: JobState,
    /// What it is doing.
    pub stage: Option<JobStage>,
    /// Permission number.
    pub epoch: u32,
    /// Instance.
    pub instance_id: InstanceId,
    /// Organization.
    pub org_id: OrgId,
    /// Project.
    pub project_id: Option<ProjectId>,
    /// Key.
    pub key_id: Option<KeyId>,
    /// Provider.
    pub provider: ProviderName,
    /// Model.
    pub model: String,
    /// The request.
    pub request_id: String,
    /// Its trace.
    #[serde(default)]
    pub traceparent: String,
    /// Rises with every change: `attempt_no` x 1,000 + step.
    pub version: i64,
    /// When it was admitted.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Expected price.
    pub estimate_usd_micros: Option<i64>,
    /// The most it can cost.
    pub upper_usd_micros: Option<i64>,
    /// What was charged.
    pub cost_usd_micros: Option<i64>,
    /// How the cost is known.
    pub cost_basis: Option<CostBasis>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Whether somebody asked to cancel it.
    pub cancel_requested: bool,
    /// The provider's handles, by part.
    pub job_refs: Vec<JobRef>,
    /// Ids of the images to be.
    pub image_ids: Vec<ImageId>,
    /// Stored images.
    pub images: Vec<StoredImage>,
    /// Images kept back.
    pub withheld: u32,
    /// What did not go as asked.
    pub warnings: Vec<Warning>,
    /// Tokens, where the provider counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<ImageUsage>,
    /// From submit to the provider's finished answer, in milliseconds.
    pub generation_ms: Option<u64>,
    /// Why it failed.
    pub error: Option<JobError>,
    /// What happened.
    pub timeline: Vec<TimelineEvent>,
    /// The stored job.
    pub job: Value,
}

/// Answer of `sweep`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepReply {
    /// Wake-ups sent again.
    pub dispatched: u32,
    /// Rows flushed to the ledger.
    pub flushed: u32,
}

/// What an object answers to a command that it does not execute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimiterRefusal {
    /// `invalid_request` (400), `not_found` (404), `lease_lost` (409), `internal_error` (500).
    pub error: Code,
    /// Why.
    pub message: String,
}

/// The one name of the limiter object of a provider in an instance.
pub fn limiter_object_name(instance_id: &InstanceId, provider: &ProviderName) -> String {
    format!("instance:{instance_id}:provider:{provider}")
}

/// The instance that a limiter object of that name serves; `None` for a name of another form.
pub fn instance_of_limiter_object(name: &str) -> Option<InstanceId> {
    let (instance, provider) = name.strip_prefix("instance:")?.split_once(":provider:")?;
    ProviderName::parse(provider).ok()?;
    InstanceId::parse(instance).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_limiter_object_is_reversible() {
        let instance = InstanceId::parse("production").unwrap();
        let provider = ProviderName::parse("ideogram").unwrap();
        let name = limiter_object_name(&instance, &provider);
        assert_eq!(name, "instance:production:provider:ideogram");
        assert_eq!(instance_of_limiter_object(&name), Some(instance));
        for other in [
            "o",
            "instance:production",
            "instance:UP:provider:ideogram",
            "instance:a:provider:",
        ] {
            assert_eq!(instance_of_limiter_object(other), None, "{other}");
        }
    }
}
