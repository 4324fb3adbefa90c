//! The values that pass between adapter, driver and caller.
//!
//! In scope: requests, answers, handles, results. Out of scope: errors (module `error`), data files (`capability`).

use crate::ProviderError;
use api_types::{
    CostBasis, ImageOptions, ImageResult, ImageUsage, JobRef, ProviderName, Secret, Timestamp,
    Warning,
};
use bytes::Bytes;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

/// Which step of the exchange with a vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Work is asked for; may cost money.
    Submit,
    /// How is it going?
    Status,
    /// What came out?
    Result,
    /// The file itself.
    Download,
    /// Please stop.
    Cancel,
    /// Does key and vendor work? Free.
    Probe,
}

impl Phase {
    /// The word in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Status => "status",
            Self::Result => "result",
            Self::Download => "download",
            Self::Cancel => "cancel",
            Self::Probe => "probe",
        }
    }
}

/// How a vendor delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Submit, then poll.
    Poll,
    /// The answer of the submit is the result.
    Sync,
}

/// Body of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// None.
    Empty,
    /// JSON.
    Json(Value),
}

/// What a call is about; travels with the request so that its answer can be read.
#[derive(Clone, Debug, PartialEq)]
pub struct About {
    /// Model, as in the data.
    pub model: String,
    /// Version of the vendor's API.
    pub api: String,
    /// Which part of a request that was split.
    pub part: u32,
    /// Images in this part.
    pub weight: u32,
    /// The vendor's id of the job; for a submit ours, with the part.
    pub job_id: String,
    /// Options as sent; `None` after the submit.
    pub effective: Option<ImageOptions>,
    /// Length of the prompt in bytes; 0 after the submit.
    pub prompt_bytes: u64,
    /// When the work was submitted; `None` before.
    pub submitted_at: Option<Timestamp>,
    /// When the vendor forgets the result; `None` before.
    pub expires_at: Option<Timestamp>,
}

/// One call of a vendor, without the key: the driver adds it by the adapter's [`AuthScheme`].
#[derive(Clone, Debug, PartialEq)]
pub struct OutboundRequest {
    /// Step.
    pub phase: Phase,
    /// Method.
    pub method: http::Method,
    /// URL.
    pub url: Url,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Body,
    /// Whole exchange, in milliseconds.
    pub timeout_ms: u64,
    /// Longest answer, in bytes. Blobs in it are counted by the reply reader.
    pub max_response_bytes: u64,
    /// What it is about.
    pub about: About,
}

/// A request ready to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Formatted {
    /// The calls; each needs a permit of its own.
    pub parts: Vec<OutboundRequest>,
    /// Options as sent.
    pub effective: ImageOptions,
    /// What did not go exactly as asked.
    pub warnings: Vec<Warning>,
    /// Images, for the in-flight lease.
    pub weight: u32,
}

/// What formatting needs besides prompt and options.
#[derive(Clone, Copy, Debug)]
pub struct FormatContext<'a> {
    /// Model, id or alias.
    pub model: &'a str,
    /// Our job id.
    pub job_id: &'a str,
    /// The attempt (from 1).
    pub attempt_no: u32,
}

/// How a vendor takes its key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthScheme {
    /// Name of the header.
    pub header: String,
    /// What stands before the key.
    pub prefix: String,
}

/// An answer, read; each large base64 text in its JSON is replaced by `blob:<index>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawResponse {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// What reading an answer needs besides the answer.
#[derive(Clone, Copy, Debug)]
pub struct ParseContext<'a> {
    /// Now.
    pub now: Timestamp,
    /// What the call was about.
    pub about: &'a About,
}

/// An answer, understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Parsed {
    /// The vendor has the job.
    Accepted {
        /// Its handle.
        job: JobRef,
        /// What the vendor wants us to know.
        warnings: Vec<Warning>,
    },
    /// The result.
    Done(JobResult),
    /// How it is going.
    Status(JobStatus),
    /// The vendor and the key work.
    Healthy(ProbeReport),
}

/// What a submit brought.
#[derive(Clone, Debug, PartialEq)]
pub enum Submission {
    /// The vendor works on it; poll.
    Accepted {
        /// The handle: store it before anything else.
        job: JobRef,
        /// What the vendor wants us to know.
        warnings: Vec<Warning>,
    },
    /// A synchronous vendor has finished.
    Done {
        /// The handle, with our own id.
        job: JobRef,
        /// What came out.
        result: JobResult,
    },
}

/// How a job is going.
#[derive(Clone, Debug, PartialEq)]
pub enum JobStatus {
    /// It is worked on.
    Pending {
        /// Percent, if told.
        progress: Option<u8>,
        /// Place in the vendor's queue, if told.
        queue_position: Option<u32>,
    },
    /// It is done.
    Completed {
        /// The result, where the status answer held it: then `fetch_result` is not needed.
        result: Option<JobResult>,
    },
    /// The vendor ended it without a result.
    Failed(ProviderError),
    /// The vendor has forgotten it: its life is over.
    Expired,
}

/// What came out of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobResult {
    /// One for each image asked for, in order: ready, withheld or failed. At least one is ready.
    pub images: Vec<ImageResult>,
    /// What it cost.
    pub cost: ActualCost,
    /// Tokens used, if the vendor counts them.
    pub tokens: Option<u32>,
    /// The same by kind.
    pub usage: Option<ImageUsage>,
    /// What the vendor wants us to know.
    pub warnings: Vec<Warning>,
}

/// What was charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActualCost {
    /// Micro-dollars; `None` when the vendor does not say and the adapter does not know what was asked for, or its price:
    /// then the caller's own estimate counts. Never 0 for unknown.
    pub usd_micros: Option<i64>,
    /// How it is known.
    pub basis: CostBasis,
}

impl ActualCost {
    /// What the vendor itself says.
    pub const fn reported(usd_micros: Option<i64>) -> Self {
        Self {
            usd_micros,
            basis: CostBasis::Reported,
        }
    }
}

/// What a free call told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeReport {
    /// Models the vendor lists; empty if it does not list any.
    pub models: Vec<String>,
}

/// The opened credential of a provider. Prints as `*****`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ProviderSecret {
    /// The key; empty where a self-hosted server has none.
    pub api_key: Secret,
    /// Account, where the vendor's URLs need one.
    #[serde(default)]
    pub account: Option<String>,
    /// Secret of its webhooks.
    #[serde(default)]
    pub webhook_secret: Option<Secret>,
}

impl ProviderSecret {
    /// Reads the JSON that the envelope held.
    ///
    /// # Errors
    /// The text is not a credential; the message never quotes it.
    pub fn parse(plain: &[u8]) -> Result<Self, MalformedSecret> {
        serde_json::from_slice(plain).map_err(|_| MalformedSecret)
    }

    /// A key alone.
    pub fn of_key(api_key: impl Into<String>) -> Self {
        Self {
            api_key: Secret::new(api_key),
            account: None,
            webhook_secret: None,
        }
    }
}

/// The opened text is no credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedSecret;

impl std::fmt::Display for MalformedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the stored credential is malformed")
    }
}

impl std::error::Error for MalformedSecret {}

/// Whose call it is: what every image of its answer is labelled with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label<'a> {
    pub(crate) provider: &'a ProviderName,
    pub(crate) adapter: &'static str,
}
