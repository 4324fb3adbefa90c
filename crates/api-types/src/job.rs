//! Jobs as clients see them.

use crate::{GenerateResponse, InstanceId, JobId, ProjectId, ProviderName, Timestamp};
use errors::Code;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for a place.
    Queued,
    /// In progress.
    Running,
    /// Nobody knows whether the provider ran it; never submitted again.
    Unknown,
    /// Done; the images are stored.
    Succeeded,
    /// Refused or lost; no further attempt.
    Failed,
    /// Cancelled before anything was spent.
    Cancelled,
    /// Attempts used up.
    Dead,
}

impl JobState {
    /// The word in JSON and SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Unknown => "unknown",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Dead => "dead",
        }
    }

    /// Whether it never changes again.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Succeeded | Self::Failed | Self::Cancelled | Self::Dead
        )
    }
}

/// What a running job is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStage {
    /// Has its place.
    Admitted,
    /// Bytes go to the provider.
    Submitting,
    /// The provider works.
    Polling,
    /// The result is fetched.
    Fetching,
    /// The result is stored.
    Storing,
}

/// Why a job did not succeed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobError {
    /// The code that a synchronous answer would have had.
    pub code: Code,
    /// One sentence.
    pub message: String,
    /// Machine-readable details (`kind`, `provider`).
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub details: Value,
}

/// One event of a job's life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineEvent {
    /// When.
    pub at: Timestamp,
    /// `admitted`, `submitted`, `handoff`, `resumed`, `fallback`, `stored`, `succeeded`, `failed`, `unknown`.
    pub event: String,
    /// Provider, where it matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
}

/// The answer of `GET /jobs/{id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobView {
    /// Id.
    pub job_id: JobId,
    /// State.
    pub state: JobState,
    /// Stage while running.
    pub stage: Option<JobStage>,
    /// Rises with every change.
    pub version: i64,
    /// Instance.
    pub instance_id: InstanceId,
    /// Project.
    pub project_id: Option<ProjectId>,
    /// Provider of the current or last attempt.
    pub provider: ProviderName,
    /// Model of the current or last attempt.
    pub model: String,
    /// Submissions so far.
    pub attempts: u32,
    /// What it has cost so far, in micro-dollars; null when unknown.
    pub cost_usd_micros: Option<i64>,
    /// What it is expected to cost.
    pub estimate_usd_micros: Option<i64>,
    /// Whether somebody asked to cancel it.
    pub cancel_requested: bool,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// The body that `POST /generate` would have answered, once succeeded.
    pub result: Option<GenerateResponse>,
    /// Why it did not succeed.
    pub error: Option<JobError>,
    /// What happened, oldest first.
    pub timeline: Vec<TimelineEvent>,
    /// The request that made it.
    pub request_id: String,
}
