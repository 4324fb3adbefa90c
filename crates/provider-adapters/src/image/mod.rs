//! Image vendors behind one closed enum: a vendor that misses a method does not compile.
//!
//! In scope: dispatch, and what all vendors share. Out of scope: each vendor's fields (its own module).

mod ideogram_v2;
mod openai;

pub use ideogram_v2::Ideogram;
pub use openai::OpenAi;

use crate::capability::{Model, PollPolicy};
use crate::error::ProviderError;
use crate::options::{self, Fitted, Unfit};
use crate::price::{Estimate, PriceUnknown};
use crate::registry::Profile;
use crate::types::{
    About, AuthScheme, Body, Flow, FormatContext, Formatted, Label, OutboundRequest, ParseContext,
    Parsed, Phase, RawResponse,
};
use api_types::{ImageOptions, ImageResult, ImageState, JobRef, Timestamp};
use http::{HeaderMap, HeaderValue, Method};
use url::Url;

/// Longest JSON answer without blobs, in bytes.
pub const MAX_JSON_BYTES: u64 = 1 << 20;
/// Longest answer with blobs, in bytes as sent.
pub const MAX_BLOB_REPLY_BYTES: u64 = 64 << 20;

const USER_AGENT: &str = concat!("switchyard/", env!("CARGO_PKG_VERSION"));

/// An image vendor, with the instance's settings.
#[derive(Clone, Debug)]
pub enum ImageAdapter {
    /// Ideogram, API version 2.
    Ideogram(Ideogram),
    /// OpenAI's GPT image models, and servers that speak like it.
    OpenAi(OpenAi),
}

impl ImageAdapter {
    /// The provider with its settings.
    pub const fn profile(&self) -> &Profile {
        match self {
            Self::Ideogram(adapter) => adapter.profile(),
            Self::OpenAi(adapter) => adapter.profile(),
        }
    }

    /// How it delivers.
    pub const fn flow(&self) -> Flow {
        match self {
            Self::Ideogram(_) => Flow::Poll,
            Self::OpenAi(_) => Flow::Sync,
        }
    }

    /// How it takes its key.
    pub fn auth(&self) -> &'static AuthScheme {
        &self.profile().data().auth
    }

    /// Whether it can send images in parts.
    pub const fn supports_streaming(&self) -> bool {
        matches!(self, Self::OpenAi(_))
    }

    /// Its models.
    pub fn capabilities(&self) -> &[Model] {
        self.profile().models()
    }

    /// What one image of that model takes, in milliseconds; 0 when nothing is known of it.
    pub fn typical_ms(&self, model: &str, options: &ImageOptions) -> u64 {
        let model = self.profile().model(model);
        model.map_or(0, |model| model.typical_ms(options))
    }

    /// How often to ask for a job's state; `None` for a synchronous vendor.
    pub fn poll_policy(&self) -> Option<PollPolicy> {
        self.profile().data().poll
    }

    /// Fits options to a model without formatting anything.
    ///
    /// # Errors
    /// Why the model cannot serve it.
    pub fn fit(
        &self,
        model: &Model,
        prompt: &str,
        options: &ImageOptions,
    ) -> Result<Fitted, Unfit> {
        let fitted = options::fit(model, prompt, options)?;
        match self {
            Self::Ideogram(_) => Ok(fitted),
            Self::OpenAi(_) => OpenAi::fit(fitted),
        }
    }

    /// Turns a request into the vendor's.
    ///
    /// # Errors
    /// `invalid`, accepted no: the model is unknown or cannot serve it.
    pub fn format_request(
        &self,
        prompt: &str,
        options: &ImageOptions,
        context: &FormatContext<'_>,
    ) -> Result<Formatted, ProviderError> {
        let model = self.profile().model(context.model).ok_or_else(|| {
            ProviderError::refused(format!(
                "Provider {} has no model {}.",
                self.profile().name(),
                context.model
            ))
        })?;
        let fitted = self.fit(model, prompt, options).map_err(|unfit| {
            let mut error =
                ProviderError::refused(format!("The model cannot serve this: {unfit}."));
            error.provider_code = Some(unfit.reason().to_owned());
            error
        })?;
        let part = match self {
            Self::Ideogram(adapter) => {
                adapter.submit_request(model, prompt, &fitted.effective, context)
            }
            Self::OpenAi(adapter) => {
                adapter.submit_request(model, prompt, &fitted.effective, context)
            }
        };
        Ok(Formatted {
            weight: fitted.effective.n,
            parts: vec![part],
            effective: fitted.effective,
            warnings: fitted.warnings,
        })
    }

    /// Understands an answer.
    ///
    /// # Errors
    /// What the vendor refused or what cannot be read, judged.
    pub fn parse_response(
        &self,
        phase: Phase,
        response: &RawResponse,
        context: &ParseContext<'_>,
    ) -> Result<Parsed, ProviderError> {
        match self {
            Self::Ideogram(adapter) => adapter.parse(phase, response, context),
            Self::OpenAi(adapter) => adapter.parse(phase, response, context),
        }
    }

    /// The one call that asks for a job's state; `None` for a synchronous vendor.
    pub fn status_request(&self, job: &JobRef) -> Option<OutboundRequest> {
        match self {
            Self::Ideogram(adapter) => Some(adapter.job_request(Phase::Status, job)),
            Self::OpenAi(_) => None,
        }
    }

    /// The base URL below which a job was submitted, by its handle: the settings may name another one by now. `None` where
    /// the handle does not say.
    pub fn base_of(&self, job: &JobRef) -> Option<String> {
        match self {
            Self::Ideogram(adapter) => adapter.base_of(job),
            Self::OpenAi(_) => None,
        }
    }

    /// The call that asks for a job's result; `None` for a synchronous vendor.
    pub fn result_request(&self, job: &JobRef) -> Option<OutboundRequest> {
        match self {
            Self::Ideogram(adapter) => Some(adapter.job_request(Phase::Result, job)),
            Self::OpenAi(_) => None,
        }
    }

    /// The call that cancels a job; `None` where the vendor has none.
    pub const fn cancel_request(&self, _job: &JobRef) -> Option<OutboundRequest> {
        match self {
            Self::Ideogram(_) | Self::OpenAi(_) => None,
        }
    }

    /// A free call that shows whether vendor and key work.
    pub fn probe_request(&self) -> OutboundRequest {
        match self {
            Self::Ideogram(adapter) => adapter.probe_request(),
            Self::OpenAi(adapter) => adapter.probe_request(),
        }
    }

    /// What effective options will cost.
    ///
    /// # Errors
    /// No valid price row.
    pub fn estimate_cost(
        &self,
        model: &Model,
        effective: &ImageOptions,
        prompt: &str,
        now: Timestamp,
    ) -> Result<Estimate, PriceUnknown> {
        self.profile()
            .prices()
            .estimate(&model.id, effective, prompt.len() as u64, now)
    }
}

/// A request with what every call has.
fn outbound(
    profile: &Profile,
    phase: Phase,
    method: Method,
    url: Url,
    body: Body,
    about: About,
    timeout_ms: u64,
) -> OutboundRequest {
    let mut headers = profile.headers().clone();
    headers.insert(
        http::header::USER_AGENT,
        HeaderValue::from_static(USER_AGENT),
    );
    headers.insert(
        http::header::ACCEPT,
        HeaderValue::from_static("application/json"),
    );
    if matches!(body, Body::Json(_)) {
        headers.insert(
            http::header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
    }
    OutboundRequest {
        phase,
        method,
        url,
        headers,
        body,
        timeout_ms,
        max_response_bytes: MAX_JSON_BYTES,
        about,
    }
}

fn add_request_id(headers: &mut HeaderMap, context: &FormatContext<'_>, part: u32) {
    let text = format!("{}.{}.{part}", context.job_id, context.attempt_no);
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert("x-request-id", value);
    }
}

fn about_submit(
    model: &Model,
    prompt: &str,
    effective: &ImageOptions,
    context: &FormatContext<'_>,
) -> About {
    About {
        model: model.id.clone(),
        api: model.api().to_owned(),
        part: 0,
        weight: effective.n,
        job_id: format!("{}.0", context.job_id),
        effective: Some(effective.clone()),
        prompt_bytes: prompt.len() as u64,
        submitted_at: None,
        expires_at: None,
    }
}

fn about_job(job: &JobRef) -> About {
    About {
        model: job.model.clone(),
        api: job.api.clone(),
        part: job.part,
        weight: job.weight,
        job_id: job.job_id.clone(),
        effective: None,
        prompt_bytes: 0,
        submitted_at: Some(job.submitted_at),
        expires_at: Some(job.expires_at),
    }
}

fn about_probe() -> About {
    About {
        model: String::new(),
        api: String::new(),
        part: 0,
        weight: 0,
        job_id: String::new(),
        effective: None,
        prompt_bytes: 0,
        submitted_at: None,
        expires_at: None,
    }
}

/// The handle of a job that was accepted now.
fn job_ref(label: Label<'_>, context: &ParseContext<'_>, job_id: String, ttl_s: u32) -> JobRef {
    JobRef {
        v: 1,
        provider: label.provider.clone(),
        adapter: label.adapter.to_owned(),
        api: context.about.api.clone(),
        model: context.about.model.clone(),
        part: context.about.part,
        weight: context.about.weight,
        job_id,
        poll_url: None,
        result_url: None,
        cancel_url: None,
        submitted_at: context.now,
        expires_at: context.now.plus_ms(i64::from(ttl_s) * 1_000),
    }
}

/// An image of which nothing is known but its place.
fn blank_image(label: Label<'_>, context: &ParseContext<'_>, index: u32) -> ImageResult {
    ImageResult {
        image_url: None,
        provider: label.provider.clone(),
        model: context.about.model.clone(),
        index,
        blob: None,
        state: ImageState::Failed,
        seed: None,
        revised_prompt: None,
    }
}
