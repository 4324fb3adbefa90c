//! OpenAI's GPT image models, and servers that speak like OpenAI.
//!
//! In scope: `POST {base}/images/generations`, synchronous; `GET {base}/models` as probe; cost by tokens.
//! Out of scope: streaming, edits, DALL-E.

use super::{
    MAX_BLOB_REPLY_BYTES, about_probe, about_submit, add_request_id, blank_image, outbound,
};
use crate::capability::{Dialect, Model};
use crate::classify::{self, Verdict};
use crate::error::{Accepted, Kind, ProviderError};
use crate::options::{Fitted, Unfit};
use crate::price::TokenUsage;
use crate::registry::Profile;
use crate::types::{
    Body, Flow, FormatContext, JobResult, OutboundRequest, ParseContext, Parsed, Phase,
    ProbeReport, RawResponse,
};
use crate::wire;
use api_types::{
    BackgroundKind, Billed, ImageFormat, ImageOptions, ImageResult, ImageState, ImageUsage,
    InputTokens, Moderation,
};
use http::Method;
use serde_json::{Map, Value, json};

const SUBMIT_MS: u64 = 180_000;
const PROBE_MS: u64 = 10_000;

/// The adapter.
#[derive(Clone, Debug)]
pub struct OpenAi {
    profile: Profile,
}

impl OpenAi {
    pub(crate) const fn new(profile: Profile) -> Self {
        Self { profile }
    }

    pub(crate) const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The rules between this vendor's options.
    pub(super) fn fit(fitted: Fitted) -> Result<Fitted, Unfit> {
        let lossless = matches!(fitted.effective.format, None | Some(ImageFormat::Png));
        let compressed = fitted
            .effective
            .provider_options
            .get("output_compression")
            .is_some_and(|level| level.as_u64() != Some(100));
        if lossless && compressed {
            return Err(Unfit::Invalid {
                field: "provider_options.output_compression".to_owned(),
                rule: "needs format jpeg or webp".to_owned(),
            });
        }
        Ok(fitted)
    }

    pub(super) fn submit_request(
        &self,
        model: &Model,
        prompt: &str,
        effective: &ImageOptions,
        context: &FormatContext<'_>,
    ) -> OutboundRequest {
        let url = self.profile.url(&["images", "generations"]);
        let body = Body::Json(Value::Object(body(model, prompt, effective)));
        let about = about_submit(model, prompt, effective, context);
        let timeout_ms = SUBMIT_MS.min(self.profile.timeout_ms().max(1_000));
        let mut request = outbound(
            &self.profile,
            Phase::Submit,
            Method::POST,
            url,
            body,
            about,
            timeout_ms,
        );
        request.max_response_bytes = MAX_BLOB_REPLY_BYTES;
        add_request_id(&mut request.headers, context, 0);
        request
    }

    pub(super) fn probe_request(&self) -> OutboundRequest {
        let url = self.profile.url(&["models"]);
        outbound(
            &self.profile,
            Phase::Probe,
            Method::GET,
            url,
            Body::Empty,
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
        let request_id = wire::header(&response.headers, "x-request-id");
        let request_id =
            (!request_id.is_empty()).then(|| request_id.chars().take(200).collect::<String>());
        let parsed = if (200..300).contains(&response.status) {
            let body = wire::json(response).filter(|_| wire::says_json(&response.headers));
            match (body, phase) {
                (Some(body), Phase::Submit) => {
                    self.images(&body, response, context).map(Parsed::Done)
                }
                (Some(body), Phase::Probe) => models(&body).map(Parsed::Healthy).ok_or_else(|| {
                    classify::unreadable(Flow::Sync, phase, "no list of models", response)
                }),
                _ => Err(classify::unreadable(
                    Flow::Sync,
                    phase,
                    "not JSON",
                    response,
                )),
            }
        } else {
            let verdict = verdict(response);
            Err(classify::refused(
                Flow::Sync,
                phase,
                response,
                verdict,
                context.now,
            ))
        };
        parsed.map_err(|mut error| {
            error.provider_request_id = request_id;
            error
        })
    }

    fn images(
        &self,
        body: &Value,
        response: &RawResponse,
        context: &ParseContext<'_>,
    ) -> Result<JobResult, ProviderError> {
        let about = context.about;
        let Some(items) = body.get("data").and_then(Value::as_array) else {
            return Err(classify::unreadable(
                Flow::Sync,
                Phase::Submit,
                "no data",
                response,
            ));
        };
        let usage = body.get("usage").and_then(tokens);
        let prices = self.profile.prices();
        let cost = prices.actual(
            &about.model,
            about.effective.as_ref(),
            about.prompt_bytes,
            None,
            usage,
            context.now,
        );
        let images: Vec<ImageResult> = (0..about.weight.max(1))
            .map(|index| self.image(items.get(index as usize), index, context))
            .collect();
        if !images.iter().any(|image| image.state == ImageState::Ready) {
            let mut error = ProviderError::new(Kind::NoOutput, Accepted::Yes)
                .with_billed(Billed::Assumed)
                .with_internal(wire::excerpt(&response.body));
            error.cost = usage.and(cost.usd_micros).map(|_| cost);
            error.http_status = Some(response.status);
            return Err(error);
        }
        let total = body.pointer("/usage/total_tokens").and_then(Value::as_u64);
        Ok(JobResult {
            images,
            cost,
            tokens: total.and_then(|total| u32::try_from(total).ok()),
            usage: usage.map(|usage| told(usage, total)),
            warnings: Vec::new(),
        })
    }

    fn image(&self, item: Option<&Value>, index: u32, context: &ParseContext<'_>) -> ImageResult {
        let mut image = blank_image(self.profile.label(), context, index);
        let Some(item) = item else {
            return image;
        };
        let text = |name: &str| {
            item.get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        if let Some(blob) =
            text("b64_json").and_then(|text| text.strip_prefix("blob:")?.parse().ok())
        {
            image.state = ImageState::Ready;
            image.blob = Some(blob);
        } else if let Some(url) = text("url") {
            image.state = ImageState::Ready;
            image.image_url = Some(url.to_owned());
        }
        image.revised_prompt = text("revised_prompt").map(str::to_owned);
        image
    }
}

fn models(body: &Value) -> Option<ProbeReport> {
    let items = body.get("data")?.as_array()?;
    let ids = items.iter().filter_map(|item| item.get("id")?.as_str());
    Some(ProbeReport {
        models: ids.take(1_000).map(str::to_owned).collect(),
    })
}

fn tokens(usage: &Value) -> Option<TokenUsage> {
    let count = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64);
    let image_out = count("/output_tokens")?;
    let all_in = count("/input_tokens").unwrap_or(0);
    let image_in = count("/input_tokens_details/image_tokens")
        .unwrap_or(0)
        .min(all_in);
    Some(TokenUsage {
        text_in: count("/input_tokens_details/text_tokens").unwrap_or(all_in - image_in),
        image_in,
        image_out,
    })
}

/// The same for our own clients.
fn told(usage: TokenUsage, total: Option<u64>) -> ImageUsage {
    let input_tokens = usage.text_in.saturating_add(usage.image_in);
    ImageUsage {
        input_tokens,
        input_tokens_details: InputTokens {
            text_tokens: usage.text_in,
            image_tokens: usage.image_in,
        },
        output_tokens: usage.image_out,
        total_tokens: total.unwrap_or(input_tokens.saturating_add(usage.image_out)),
    }
}

fn verdict(response: &RawResponse) -> Verdict {
    let body = wire::json(response).unwrap_or(Value::Null);
    let error = body.get("error").unwrap_or(&Value::Null);
    let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    let (code, kind_word, message) = (text("code"), text("type"), text("message"));
    let safety = matches!(code, "moderation_blocked" | "content_policy_violation")
        || message.to_ascii_lowercase().contains("safety system");
    let kind = match response.status {
        400 if safety => Some(Kind::RejectedBySafety),
        429 if code == "insufficient_quota" || kind_word == "insufficient_quota" => {
            Some(Kind::Quota)
        }
        404 if code == "model_not_found" => Some(Kind::Auth),
        _ => None,
    };
    // A quality that only newer models know is refused by name.
    let own_code = if response.status == 400 && text("param") == "quality" {
        "option_unsupported"
    } else {
        code
    };
    Verdict {
        kind,
        envelope: error.get("message").is_some_and(Value::is_string),
        code: (!own_code.is_empty()).then(|| own_code.chars().take(100).collect()),
        observed_limit: None,
    }
}

fn body(model: &Model, prompt: &str, effective: &ImageOptions) -> Map<String, Value> {
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| {
        body.insert(name.to_owned(), value);
    };
    put("model", json!(model.id));
    let compatible = model.dialect == Dialect::Compatible;
    match &effective.negative_prompt {
        Some(negative) if compatible => put("prompt", json!(format!("{prompt}|{negative}"))),
        _ => put("prompt", json!(prompt)),
    }
    put("n", json!(effective.n));
    if let (Some(field), Some(size)) = (&model.wire.size, &effective.size) {
        put(field, json!(size));
    }
    if let Some((field, word)) = model.wire_quality(effective) {
        put(field, json!(word));
    }
    if compatible {
        put("response_format", json!("b64_json"));
    } else {
        if let Some(format) = effective.format {
            put("output_format", json!(format.as_str()));
        }
        if effective.background == Some(BackgroundKind::Transparent) {
            put("background", json!("transparent"));
        } else if effective.background == Some(BackgroundKind::Opaque) {
            put("background", json!("opaque"));
        }
        match effective.moderation {
            Some(Moderation::Low) => put("moderation", json!("low")),
            Some(_) => put("moderation", json!("auto")),
            None => {}
        }
    }
    for (name, value) in &effective.provider_options {
        put(name, value.clone());
    }
    body
}
