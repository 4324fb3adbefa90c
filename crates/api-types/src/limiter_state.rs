//! What a limiter object tells when it is asked for its `state`: one job, or its gauges. Unknown members are accepted.
//!
//! In scope: the question and its answers. Out of scope: the commands that change something (module `limiter`).

use crate::{AttemptView, JobId, JobState, Limits, Timestamp};
use serde::{Deserialize, Serialize};

/// `state`: of one job, or of the object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateQuery {
    /// The job; `None` asks for the object's gauges.
    #[serde(default)]
    pub job_id: Option<JobId>,
    /// With the gauges: name so many of the attempts that are not settled.
    #[serde(default)]
    pub open: u32,
}

/// One attempt that is not settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenAttempt {
    /// Its job.
    pub job_id: JobId,
    /// State of the job as far as this object knows.
    pub job_state: JobState,
    /// When it was admitted.
    pub created_at: Timestamp,
}

/// Gauges of the object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimiterGauges {
    /// Calls in the last 60 s.
    pub requests_in_window: u32,
    /// Tokens in the last 60 s.
    pub tokens_in_window: u32,
    /// Images in progress.
    pub inflight_images: u32,
    /// Attempts that are not settled.
    pub open_attempts: u32,
    /// Of these, with unknown outcome.
    pub unknown_attempts: u32,
    /// Rows that the ledger does not have yet.
    pub outbox_rows: u32,
    /// Age of the oldest of them, in milliseconds.
    pub outbox_age_ms: u64,
    /// Events that the state of their job did not have; each was ignored.
    #[serde(default)]
    pub illegal_transitions: u64,
    /// When the breaker lets the next call through, in milliseconds; 0 when closed.
    pub breaker_ms: u64,
    /// The in-flight maximum in force.
    pub effective_max_inflight: Option<u32>,
    /// When the alarm rings, milliseconds since the epoch.
    pub alarm_at_ms: Option<i64>,
    /// Limits in force.
    pub limits: Limits,
    /// Calls in each of the limits' `windows`, in their order.
    #[serde(default)]
    pub calls_in_windows: Vec<u32>,
    /// How long the provider's own back-off lasts, in milliseconds; 0 when there is none.
    #[serde(default)]
    pub backoff_ms: u64,
    /// The in-flight maximum that the provider has named, where it is below the configured one or there is no other.
    #[serde(default)]
    pub calibrated_max_inflight: Option<u32>,
    /// Attempts that are not settled, the oldest first, as many as were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<OpenAttempt>,
}

/// Answer of `state`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateReply {
    /// The newest attempt of the job.
    Job(Box<AttemptView>),
    /// No such job here.
    NoJob,
    /// The object.
    Gauges(Box<LimiterGauges>),
}
