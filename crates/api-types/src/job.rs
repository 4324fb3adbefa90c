//! Jobs as clients see them.

use crate::{
    AttemptView, CostBasis, GenerateJob, GenerateMetadata, GenerateResponse, InstanceId, JobId,
    ProjectId, ProviderName, Settle, Timestamp,
};
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
    /// With `admitted`: how long it waited for its place, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited_ms: Option<u64>,
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
    /// Place in the provider's queue; null for a job that does not wait in one.
    #[serde(default)]
    pub position: Option<u32>,
    /// How much longer it will take, by the median of its provider; null when that is not known, or when it is over.
    #[serde(default)]
    pub eta_ms: Option<u64>,
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

impl JobView {
    /// The job as one of its attempts knows it. URLs are empty: they are made when an answer is rendered.
    pub fn of(attempt: &AttemptView) -> Self {
        let job = GenerateJob::of(attempt);
        Self {
            job_id: attempt.job_id.clone(),
            state: attempt.job_state,
            stage: attempt.stage,
            version: attempt.version,
            instance_id: attempt.instance_id.clone(),
            project_id: attempt.project_id.clone(),
            provider: attempt.provider.clone(),
            model: attempt.model.clone(),
            attempts: attempt.attempt_no,
            position: None,
            eta_ms: None,
            cost_usd_micros: if attempt.outcome.is_none() {
                Some(0)
            } else {
                attempt.cost_usd_micros
            },
            estimate_usd_micros: attempt.estimate_usd_micros,
            cancel_requested: attempt.cancel_requested,
            created_at: job
                .as_ref()
                .map_or(attempt.created_at, |job| job.admitted_at),
            updated_at: attempt.updated_at,
            result: job
                .as_ref()
                .and_then(|job| GenerateResponse::of(attempt, job)),
            error: attempt.error.clone(),
            timeline: attempt.timeline.clone(),
            request_id: attempt.request_id.clone(),
        }
    }
}

impl GenerateJob {
    /// The stored job of an attempt; `None` for work that is not image generation.
    pub fn of(attempt: &AttemptView) -> Option<Self> {
        serde::Deserialize::deserialize(&attempt.job).ok()
    }
}

impl GenerateResponse {
    /// The answer of a succeeded attempt, with empty URLs; `None` while it has not succeeded.
    pub fn of(attempt: &AttemptView, job: &GenerateJob) -> Option<Self> {
        if attempt.job_state != JobState::Succeeded {
            return None;
        }
        let first = attempt.images.first()?;
        let candidate = job.candidates.get(job.candidate as usize);
        let mut warnings = candidate.map_or_else(Vec::new, |candidate| candidate.warnings.clone());
        warnings.extend(attempt.warnings.iter().cloned());
        Some(Self {
            success: true,
            image_url: String::new(),
            r2_path: first.r2_path.clone(),
            metadata: GenerateMetadata {
                provider: attempt.provider.clone(),
                model: attempt.model.clone(),
                dimensions: first.dimensions.clone(),
                generation_time_ms: attempt.generation_ms.unwrap_or(0),
                format: first.format,
                seed: first.seed,
            },
            request_id: attempt.request_id.clone(),
            job_id: attempt.job_id.clone(),
            cost_usd_micros: attempt.cost_usd_micros,
            cost_basis: attempt.cost_basis.unwrap_or(CostBasis::None),
            attempts: attempt.attempt_no,
            withheld: attempt.withheld,
            images: attempt.images.clone(),
            effective: candidate
                .map_or_else(Default::default, |candidate| candidate.effective.clone()),
            warnings,
            usage: attempt.usage,
            route: job.route(&attempt.provider, &attempt.model, attempt.attempt_no),
        })
    }

    /// The answer of an attempt that its holder has just settled as succeeded: the same as [`Self::of`] gives for it
    /// later. `None` without an image.
    pub fn of_settle(settle: &Settle, job: &GenerateJob) -> Option<Self> {
        let first = settle.images.first()?;
        let candidate = job.candidates.get(job.candidate as usize)?;
        let mut warnings = candidate.warnings.clone();
        warnings.extend(settle.warnings.iter().cloned());
        Some(Self {
            success: true,
            image_url: String::new(),
            r2_path: first.r2_path.clone(),
            metadata: GenerateMetadata {
                provider: candidate.provider.clone(),
                model: candidate.model.clone(),
                dimensions: first.dimensions.clone(),
                generation_time_ms: settle.generation_ms.unwrap_or(0),
                format: first.format,
                seed: first.seed,
            },
            request_id: job.request_id.clone(),
            job_id: job.job_id.clone(),
            cost_usd_micros: settle.cost_usd_micros,
            cost_basis: settle.cost_basis,
            attempts: job.attempt_no,
            withheld: settle.withheld,
            images: settle.images.clone(),
            effective: candidate.effective.clone(),
            warnings,
            usage: settle.usage,
            route: job.route(&candidate.provider, &candidate.model, job.attempt_no),
        })
    }
}

impl GenerateJob {
    /// How the provider was chosen, for `explain`.
    fn route(&self, provider: &ProviderName, model: &str, attempts: u32) -> Option<Value> {
        self.request.explain.then(|| {
            serde_json::json!({
                "candidates": self.candidates.iter().map(|candidate| serde_json::json!({
                    "provider": candidate.provider,
                    "model": candidate.model,
                    "estimate_usd_micros": candidate.estimate_usd_micros,
                    "score": candidate.score,
                })).collect::<Vec<_>>(),
                "chosen": { "provider": provider, "model": model },
                "attempts": attempts,
                "skipped": self.skipped,
            })
        })
    }
}
