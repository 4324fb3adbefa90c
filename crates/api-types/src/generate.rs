//! `POST /generate`: the request, the answer, and the stored job that any worker instance can continue.

use crate::{
    BackgroundKind, CostBasis, CredentialId, Fallback, ImageFormat, ImageId, ImageOptions,
    ImageUsage, InstanceId, JobId, KeyId, Moderation, OnLimit, OnUnsupported, Optimize, OrgId,
    ProjectId, ProviderName, Quality, QualityCheck, Timestamp, UserId, Visibility, Warning,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The body of `POST /generate`. `api_key` is taken out by the middleware before this is parsed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GenerateRequest {
    /// What to draw, 1 to 32,000 characters.
    pub prompt: String,
    /// Instance, also as header `X-Instance-ID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// Project, also as header `X-Project-ID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// Provider; absent or `auto` lets the instance choose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Model, `provider/model`, alias, or `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Images, 1 to 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u32>,
    /// `WIDTHxHEIGHT`; excludes `aspect_ratio`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// `W:H`; excludes `size`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aspect_ratio: Option<String>,
    /// Effort.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// 1 to 2,147,483,647.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
    /// What should not be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negative_prompt: Option<String>,
    /// The provider's style.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub style: Option<String>,
    /// File format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<ImageFormat>,
    /// Background.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background: Option<BackgroundKind>,
    /// Whether the provider may rewrite the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enhance_prompt: Option<bool>,
    /// Moderation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moderation: Option<Moderation>,
    /// Members passed to the provider.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub provider_options: BTreeMap<String, Value>,
    /// What to do with an option that the model does not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_unsupported: Option<OnUnsupported>,
    /// What to optimize for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optimize: Option<Optimize>,
    /// Candidates above it are passed over, in micro-dollars for the whole request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost_usd_micros: Option<i64>,
    /// What follows the first candidate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    /// When the limit is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_limit: Option<OnLimit>,
    /// Longest wait for the answer, 1,000 to 900,000 ms (120,000).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u32>,
    /// A bucket that the instance is configured with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// Name of the file, at most 80 of `[A-Za-z0-9._-]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Who may read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
    /// At most 10 of at most 40 characters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Quality check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality_check: Option<QualityCheck>,
    /// Adds `route` to the answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub explain: bool,
}

impl GenerateRequest {
    /// The standard options of the request.
    pub fn options(&self) -> ImageOptions {
        ImageOptions {
            size: self.size.clone(),
            aspect_ratio: self.aspect_ratio.clone(),
            quality: self.quality,
            seed: self.seed,
            negative_prompt: self.negative_prompt.clone(),
            style: self.style.clone(),
            n: self.n.unwrap_or(1),
            format: self.format,
            background: self.background,
            enhance_prompt: self.enhance_prompt,
            moderation: self.moderation,
            provider_options: self.provider_options.clone(),
            on_unsupported: self.on_unsupported.unwrap_or_default(),
        }
    }
}

/// The first image, in the brief's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerateMetadata {
    /// Provider that made it.
    pub provider: ProviderName,
    /// Model that ran.
    pub model: String,
    /// `WIDTHxHEIGHT`, from the file.
    pub dimensions: String,
    /// From submit to the provider's finished answer, in milliseconds.
    pub generation_time_ms: u64,
    /// From the file.
    pub format: ImageFormat,
    /// The seed that was used.
    pub seed: Option<u64>,
}

/// One stored image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredImage {
    /// Id.
    pub image_id: ImageId,
    /// URL for the client. Empty where the form is stored: URLs are made when an answer is rendered.
    #[serde(default)]
    pub image_url: String,
    /// Key in the bucket.
    pub r2_path: String,
    /// Bucket.
    pub bucket: String,
    /// Size of the file.
    pub size_bytes: u64,
    /// `WIDTHxHEIGHT`, from the file.
    pub dimensions: String,
    /// From the file.
    pub format: ImageFormat,
    /// The seed that was used.
    pub seed: Option<u64>,
    /// `ok`, or what the quality check found.
    pub quality: String,
    /// SHA-256 of the file, lower-case hex.
    #[serde(default)]
    pub sha256: String,
    /// The prompt that was used, if the vendor changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revised_prompt: Option<String>,
}

/// The 200 of `POST /generate`, and the `result` of a succeeded job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerateResponse {
    /// Always true.
    pub success: bool,
    /// The first image's URL.
    pub image_url: String,
    /// The first image's key.
    pub r2_path: String,
    /// The first image's facts.
    pub metadata: GenerateMetadata,
    /// Quote it when you ask for help.
    pub request_id: String,
    /// The job.
    pub job_id: JobId,
    /// What the provider charged, in micro-dollars; null when unknown.
    pub cost_usd_micros: Option<i64>,
    /// How the cost is known.
    pub cost_basis: CostBasis,
    /// Submissions over all providers.
    pub attempts: u32,
    /// Images that the provider kept back.
    pub withheld: u32,
    /// All stored images.
    pub images: Vec<StoredImage>,
    /// The options as they were sent.
    pub effective: ImageOptions,
    /// What did not go exactly as asked.
    pub warnings: Vec<Warning>,
    /// Tokens, where the provider counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<ImageUsage>,
    /// With `explain`: how the provider was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Value>,
}

/// One provider and model that may serve the job, in the order to try.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobCandidate {
    /// Provider.
    pub provider: ProviderName,
    /// Model.
    pub model: String,
    /// Options as this model gets them.
    pub effective: ImageOptions,
    /// What did not go exactly as asked.
    pub warnings: Vec<Warning>,
    /// Images, for the in-flight lease.
    pub weight: u32,
    /// Calls of the vendor, for the request window.
    pub calls: u32,
    /// The most tokens that the vendor will count, for the token window; 0 where it counts none.
    #[serde(default)]
    pub tokens: u32,
    /// Expected price in micro-dollars; null when unknown and allowed.
    pub estimate_usd_micros: Option<i64>,
    /// The most it can cost.
    pub upper_usd_micros: Option<i64>,
    /// Date of the price row.
    pub price_version: Option<String>,
    /// How it compares with the others; only with `explain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Score>,
}

/// How a candidate compares with the best one, each 0 to 1,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Score {
    /// Price.
    pub cost: u32,
    /// Median time and waiting.
    pub speed: u32,
    /// The model's tier.
    pub quality: u32,
    /// One minus the error rate.
    pub availability: u32,
    /// The weighted sum that orders, 0 to 100,000.
    pub total: u32,
}

/// Who asked, as far as the job needs it later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCaller {
    /// Instance.
    pub instance_id: InstanceId,
    /// Organization.
    pub org_id: OrgId,
    /// Project.
    pub project_id: Option<ProjectId>,
    /// Key; `None` for system callers.
    pub key_id: Option<KeyId>,
    /// User; `None` for project keys.
    pub user_id: Option<UserId>,
}

/// Everything that is needed to run or continue a generation; stored on the lease, at most 128 KiB, never a secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerateJob {
    /// Version of this form.
    pub v: u32,
    /// The job.
    pub job_id: JobId,
    /// The request that made it.
    pub request_id: String,
    /// Who asked.
    pub caller: JobCaller,
    /// What was asked, without `api_key`.
    pub request: GenerateRequest,
    /// Candidates in order; the attempt in progress is `candidates[candidate]`.
    pub candidates: Vec<JobCandidate>,
    /// Which one is being tried.
    pub candidate: u32,
    /// Submissions so far, this one included (from 1).
    pub attempt_no: u32,
    /// The most submissions.
    pub max_attempts: u32,
    /// The credential that the attempt uses.
    pub credential_id: Option<CredentialId>,
    /// Ids of the images to be, `n` of them, fixed before anything is sent.
    pub image_ids: Vec<ImageId>,
    /// Bucket.
    pub bucket: String,
    /// Who may read the images.
    pub visibility: Visibility,
    /// When it was admitted; part of the keys of its objects.
    pub admitted_at: Timestamp,
    /// Why other candidates were passed over; only with `explain`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
}

/// Why a candidate was passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Provider.
    pub provider: String,
    /// Model; empty when the provider was passed over as a whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// `not_requested`, `disabled`, `no_credentials`, `unknown_model`, `model_not_allowed`, `deprecated`,
    /// `prompt_too_long`, `n_too_large`, `option_unsupported`, `price_unknown`, `over_max_cost`, `breaker_open`, ...
    pub reason: String,
    /// The option, if the reason is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub option: Option<String>,
    /// More, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
