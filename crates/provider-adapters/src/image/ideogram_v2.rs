//! Ideogram, API version 2: submit with `async`, poll, download within a day.
//!
//! In scope: `POST /v2/image/generate/{model}`, `GET /v2/generations/{id}`, the free dry run as probe.
//! Out of scope: version 1 and legacy, source images, webhooks.

use super::{about_job, about_probe, about_submit, add_request_id, blank_image, job_ref, outbound};
use crate::capability::Model;
use crate::classify::{self, Verdict};
use crate::error::{Accepted, Advice, Kind, ProviderError};
use crate::registry::{Profile, below};
use crate::types::{
    ActualCost, Body, Flow, FormatContext, JobResult, JobStatus, OutboundRequest, ParseContext,
    Parsed, Phase, ProbeReport, RawResponse,
};
use crate::wire;
use api_types::{Billed, ImageOptions, ImageResult, ImageState, JobRef, Warning};
use http::Method;
use serde_json::{Map, Value, json};
use url::Url;

const SUBMIT_MS: u64 = 30_000;
const STATUS_MS: u64 = 15_000;
const RESULT_MS: u64 = 30_000;
const PROBE_MS: u64 = 10_000;

/// The vendor's ids are short; a longer one would not fit into a handle.
const MAX_ID_BYTES: usize = 512;
/// A handle has 4 KiB in all; a longer address is left out of it.
const MAX_URL_BYTES: usize = 2_000;

/// The adapter.
#[derive(Clone, Debug)]
pub struct Ideogram {
    profile: Profile,
}

impl Ideogram {
    pub(crate) const fn new(profile: Profile) -> Self {
        Self { profile }
    }

    pub(crate) const fn profile(&self) -> &Profile {
        &self.profile
    }

    pub(super) fn submit_request(
        &self,
        model: &Model,
        prompt: &str,
        effective: &ImageOptions,
        context: &FormatContext<'_>,
    ) -> OutboundRequest {
        let url = self.profile.url(&["v2", "image", "generate", &model.id]);
        let body = Body::Json(Value::Object(body(model, prompt, effective)));
        let about = about_submit(model, prompt, effective, context);
        let mut request = outbound(
            &self.profile,
            Phase::Submit,
            Method::POST,
            url,
            body,
            about,
            SUBMIT_MS,
        );
        add_request_id(&mut request.headers, context, 0);
        request
    }

    pub(super) fn job_request(&self, phase: Phase, job: &JobRef) -> OutboundRequest {
        let url = self.poll_url(&job.job_id);
        let timeout_ms = if phase == Phase::Status {
            STATUS_MS
        } else {
            RESULT_MS
        };
        outbound(
            &self.profile,
            phase,
            Method::GET,
            url,
            Body::Empty,
            about_job(job),
            timeout_ms,
        )
    }

    /// The base below which a job was submitted; `None` when its handle names no address of ours.
    pub(super) fn base_of(&self, job: &JobRef) -> Option<String> {
        let Some(poll_url) = &job.poll_url else {
            return Some(self.profile.data().base_url.clone());
        };
        let poll_url = Url::parse(poll_url).ok()?;
        let mut base = poll_url.clone();
        base.path_segments_mut().ok()?.pop().pop().pop();
        (below(&base, &poll_path(&job.job_id)) == poll_url).then(|| base.to_string())
    }

    pub(super) fn probe_request(&self) -> OutboundRequest {
        let model = self
            .profile
            .default_model()
            .map_or("ideogram-3", |model| model.id.as_str());
        let mut url = self.profile.url(&["v2", "image", "generate", model]);
        url.set_query(Some("dry_run=true"));
        let body = Body::Json(
            json!({"prompt": "a lighthouse", "num_images": 1, "private": true, "async": true}),
        );
        outbound(
            &self.profile,
            Phase::Probe,
            Method::POST,
            url,
            body,
            about_probe(),
            PROBE_MS,
        )
    }

    pub(super) fn parse(
        &self,
        phase: Phase,
        response: &RawResponse,
        context: &ParseContext<'_>,
    ) -> Result<Parsed, ProviderError> {
        if !(200..300).contains(&response.status) {
            return refusal(phase, response, context);
        }
        let body = wire::json(response).filter(|_| wire::says_json(&response.headers));
        let Some(body) = body else {
            return Err(self.unreadable(phase, "not JSON", response, context));
        };
        match phase {
            Phase::Submit => self.accepted(&body, response, context),
            Phase::Status => self.status(&body, response, context).map(Parsed::Status),
            Phase::Result => self.result(&body, response, context),
            Phase::Probe if body.get("object").and_then(Value::as_str) == Some("price_quote") => {
                Ok(Parsed::Healthy(ProbeReport { models: Vec::new() }))
            }
            _ => Err(self.unreadable(phase, "no price quote", response, context)),
        }
    }

    fn unreadable(
        &self,
        phase: Phase,
        why: &str,
        response: &RawResponse,
        context: &ParseContext<'_>,
    ) -> ProviderError {
        let mut error = classify::unreadable(Flow::Poll, phase, why, response);
        if phase == Phase::Submit
            && let Some(id) =
                wire::scan_string(&response.body, "generation_id").filter(|id| is_id(id))
        {
            error = error.with_advice(Advice::Reconcile);
            error.job = Some(Box::new(self.handle(context, id)));
        }
        error
    }

    /// The handle names where the job lives, unless that is the vendor's own address: settings may change meanwhile.
    fn handle(&self, context: &ParseContext<'_>, id: &str) -> JobRef {
        let mut job = job_ref(
            self.profile.label(),
            context,
            id.to_owned(),
            self.profile.data().result_ttl_s,
        );
        if !self.profile.is_vendors_own() {
            let url = self.poll_url(id).to_string();
            job.poll_url = Some(url).filter(|url| url.len() <= MAX_URL_BYTES);
        }
        job
    }

    fn poll_url(&self, id: &str) -> Url {
        self.profile.url(&poll_path(id))
    }

    fn accepted(
        &self,
        body: &Value,
        response: &RawResponse,
        context: &ParseContext<'_>,
    ) -> Result<Parsed, ProviderError> {
        let id = body
            .get("generation_id")
            .and_then(Value::as_str)
            .filter(|id| is_id(id));
        let Some(id) = id else {
            return Err(self.unreadable(Phase::Submit, "no generation_id", response, context));
        };
        Ok(Parsed::Accepted {
            job: self.handle(context, id),
            warnings: warnings(body, response),
        })
    }

    fn status(
        &self,
        body: &Value,
        response: &RawResponse,
        context: &ParseContext<'_>,
    ) -> Result<JobStatus, ProviderError> {
        match body.get("status").and_then(Value::as_str) {
            Some("pending") => Ok(JobStatus::Pending {
                progress: None,
                queue_position: None,
            }),
            Some("completed") => Ok(match self.completed(body, response, context) {
                Ok(result) => JobStatus::Completed {
                    result: Some(result),
                },
                Err(error) => JobStatus::Failed(error),
            }),
            Some("failed") => Ok(JobStatus::Failed(failed(body))),
            _ => Err(self.unreadable(Phase::Status, "unknown status", response, context)),
        }
    }

    fn result(
        &self,
        body: &Value,
        response: &RawResponse,
        context: &ParseContext<'_>,
    ) -> Result<Parsed, ProviderError> {
        match self.status(body, response, context)? {
            JobStatus::Completed {
                result: Some(result),
            } => Ok(Parsed::Done(result)),
            JobStatus::Failed(error) => Err(error),
            _ => {
                let error = ProviderError::new(Kind::Unavailable, Accepted::Yes);
                Err(error.with_internal("the job is still pending"))
            }
        }
    }

    fn completed(
        &self,
        body: &Value,
        response: &RawResponse,
        context: &ParseContext<'_>,
    ) -> Result<JobResult, ProviderError> {
        let reported = body
            .get("usage_cost_usd_micros")
            .and_then(Value::as_i64)
            .filter(|reported| *reported >= 0);
        let about = context.about;
        let items = body
            .get("data")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        let images: Vec<ImageResult> = (0..about.weight.max(1))
            .map(|index| self.image(items.get(index as usize), index, context))
            .collect();
        if !images.iter().any(|image| image.state == ImageState::Ready) {
            let withheld = images
                .iter()
                .any(|image| image.state == ImageState::Withheld);
            let (kind, billed) = if withheld {
                (Kind::RejectedBySafety, Billed::Yes)
            } else {
                (Kind::NoOutput, Billed::Assumed)
            };
            let mut error = ProviderError::new(kind, Accepted::Yes)
                .with_advice(Advice::Never)
                .with_billed(billed)
                .with_cost(ActualCost::reported(reported))
                .with_internal(wire::excerpt(&response.body))
                .ended();
            error.http_status = Some(response.status);
            return Err(error);
        }
        let prices = self.profile.prices();
        let cost = prices.actual(
            &about.model,
            about.effective.as_ref(),
            about.prompt_bytes,
            reported,
            None,
            context.now,
        );
        Ok(JobResult {
            images,
            cost,
            tokens: None,
            usage: None,
            warnings: warnings(body, response),
        })
    }

    fn image(&self, item: Option<&Value>, index: u32, context: &ParseContext<'_>) -> ImageResult {
        let mut image = blank_image(self.profile.label(), context, index);
        let Some(item) = item else {
            return image;
        };
        image.seed = item.get("seed").and_then(Value::as_u64);
        let url = item
            .get("url")
            .and_then(Value::as_str)
            .filter(|url| !url.is_empty());
        if item.get("is_image_safe").and_then(Value::as_bool) == Some(false) {
            image.state = ImageState::Withheld;
        } else if let Some(url) = url {
            image.state = ImageState::Ready;
            image.image_url = Some(url.to_owned());
        }
        image.revised_prompt = item
            .get("prompt")
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .map(str::to_owned);
        image
    }
}

fn refusal(
    phase: Phase,
    response: &RawResponse,
    context: &ParseContext<'_>,
) -> Result<Parsed, ProviderError> {
    if response.status == 404 && matches!(phase, Phase::Status | Phase::Result) {
        let over = context
            .about
            .expires_at
            .is_some_and(|end| context.now >= end);
        if over && phase == Phase::Status {
            return Ok(Parsed::Status(JobStatus::Expired));
        }
        let (kind, advice) = if over {
            (Kind::ExpiredResult, Advice::Never)
        } else {
            (Kind::ContractMismatch, Advice::Reconcile)
        };
        let billed = if over { Billed::Yes } else { Billed::Assumed };
        let mut error = ProviderError::new(kind, Accepted::Yes)
            .with_advice(advice)
            .with_billed(billed);
        error.http_status = Some(404);
        error.internal = format!("404: {}", wire::excerpt(&response.body));
        return Err(error);
    }
    let verdict = verdict(phase, response);
    Err(classify::refused(
        Flow::Poll,
        phase,
        response,
        verdict,
        context.now,
    ))
}

fn poll_path(id: &str) -> [&str; 3] {
    ["v2", "generations", id]
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_ID_BYTES && id != "." && id != ".."
}

fn failed(body: &Value) -> ProviderError {
    let reason = body
        .get("failure_reason")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let safety = reason.contains("content_policy") || reason.contains("safety");
    let (kind, advice) = if safety {
        (Kind::RejectedBySafety, Advice::Never)
    } else {
        (Kind::Unavailable, Advice::Fallback)
    };
    let mut error = ProviderError::new(kind, Accepted::Yes)
        .with_advice(advice)
        .with_billed(Billed::No)
        .with_cost(ActualCost::reported(Some(0)))
        .with_internal(format!("failure_reason: {reason}"))
        .ended();
    error.provider_code = (!reason.is_empty()).then(|| reason.chars().take(100).collect());
    error
}

fn verdict(phase: Phase, response: &RawResponse) -> Verdict {
    let body = wire::json(response).unwrap_or(Value::Null);
    let reason = body.get("reject_reason").and_then(Value::as_str);
    let kind = match (response.status, reason) {
        (402 | 429, Some("inflight_limit")) => Some(Kind::RateLimited),
        (
            402 | 429,
            Some(
                "insufficient_funds"
                | "subscription_required"
                | "daily_limit"
                | "priority_credit_required",
            ),
        ) => Some(Kind::Quota),
        (402 | 429, Some("feature_limit")) => Some(Kind::Auth),
        (422, _) if phase == Phase::Submit => Some(Kind::RejectedBySafety),
        _ => None,
    };
    let limit = body.get("max_inflight_requests").and_then(Value::as_u64);
    Verdict {
        kind,
        envelope: body.get("error").is_some_and(Value::is_string),
        code: reason.map(str::to_owned),
        observed_limit: limit
            .filter(|_| reason == Some("inflight_limit"))
            .and_then(|limit| u32::try_from(limit).ok()),
    }
}

fn warnings(body: &Value, response: &RawResponse) -> Vec<Warning> {
    let told = response.headers.contains_key("deprecation")
        || body.get("notice").is_some_and(Value::is_string);
    if !told {
        return Vec::new();
    }
    let successor = wire::header(&response.headers, "link")
        .split(',')
        .find(|link| link.contains("successor-version"))
        .and_then(|link| link.split_once('<')?.1.split_once('>'))
        .map(|(target, _)| target.to_owned());
    vec![Warning {
        code: "api_deprecated".to_owned(),
        option: None,
        from: None,
        to: successor,
    }]
}

fn body(model: &Model, prompt: &str, effective: &ImageOptions) -> Map<String, Value> {
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| {
        body.insert(name.to_owned(), value);
    };
    put("prompt", json!(prompt));
    let magic = match effective.enhance_prompt {
        Some(true) => "on",
        Some(false) => "off",
        None => "auto",
    };
    put("magic_prompt", json!(magic));
    put("num_images", json!(effective.n));
    if let Some(seed) = effective.seed {
        put("seed", json!(seed));
    }
    if let (Some(field), Some(size)) = (&model.wire.size, &effective.size) {
        put(field, json!(size));
    }
    if let (Some(field), Some(ratio)) = (&model.wire.ratio, &effective.aspect_ratio) {
        put(field, json!(ratio.replace(':', "x")));
    }
    if let Some((field, word)) = model.wire_quality(effective) {
        put(field, json!(word));
    }
    if let Some(text) = &effective.negative_prompt {
        put("negative_prompt", json!(text));
    }
    if let Some(style) = &effective.style {
        let field = if model.styles.contains(style) {
            "style_type"
        } else {
            "style_preset"
        };
        put(field, json!(style));
    }
    for (name, value) in &effective.provider_options {
        put(name, value.clone());
    }
    put("private", json!(true));
    put("async", json!(true));
    body
}
