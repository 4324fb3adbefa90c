//! The OpenAI-compatible endpoints: shapes of the public API of that vendor, and our members inside `switchyard`.

use crate::{GenerateRequest, ImageFormat, ImageUsage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `POST /v1/images/generations`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenAiImageRequest {
    /// What to draw.
    pub prompt: String,
    /// Model id, `provider/id`, or `auto`.
    pub model: Option<String>,
    /// Images, 1 to 10.
    pub n: Option<u32>,
    /// `WIDTHxHEIGHT` or `auto`.
    pub size: Option<String>,
    /// `low`, `medium`, `high`, `auto`, `standard`, `hd`.
    pub quality: Option<String>,
    /// `url` or `b64_json`.
    pub response_format: Option<String>,
    /// `transparent`, `opaque`, `auto`.
    pub background: Option<String>,
    /// `png`, `jpeg`, `webp`.
    pub output_format: Option<ImageFormat>,
    /// 0 to 100.
    pub output_compression: Option<u32>,
    /// `auto` or `low`.
    pub moderation: Option<String>,
    /// Style.
    pub style: Option<String>,
    /// Accepted and not sent on.
    pub user: Option<String>,
    /// Only `false`.
    pub stream: Option<bool>,
    /// Our own members, as in `POST /generate`, without `prompt`.
    pub switchyard: Option<GenerateRequest>,
}

/// One image of the answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OpenAiImage {
    /// Signed URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub b64_json: Option<String>,
    /// The prompt that was used, if the vendor changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revised_prompt: Option<String>,
}

/// The answer of `POST /v1/images/generations`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenAiImageResponse {
    /// Seconds since the epoch.
    pub created: i64,
    /// The images.
    pub data: Vec<OpenAiImage>,
    /// Tokens, where the provider counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<ImageUsage>,
}

/// The inside of an error answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenAiErrorBody {
    /// For a person.
    pub message: String,
    /// `invalid_request_error`, `rate_limit_error`, `server_error`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// The member at fault.
    pub param: Option<String>,
    /// The code.
    pub code: Option<String>,
}

/// An error answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenAiError {
    /// Its inside.
    pub error: OpenAiErrorBody,
}

/// One model of `GET /v1/models`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenAiModel {
    /// `provider/model`.
    pub id: String,
    /// Always `model`.
    pub object: String,
    /// Always 0: not known.
    pub created: i64,
    /// The provider.
    pub owned_by: String,
    /// Our own members: options (JSON Schema), prices, median, availability.
    pub switchyard: Value,
}

/// Answer of `GET /v1/models`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenAiModelList {
    /// Always `list`.
    pub object: String,
    /// The models.
    pub data: Vec<OpenAiModel>,
}
