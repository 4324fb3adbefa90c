//! Images as adapters, the driver and image-gen pass them on.

use crate::{ProviderName, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Effort of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// Cheapest.
    Draft,
    /// Low.
    Low,
    /// The default.
    Medium,
    /// High.
    High,
    /// Most expensive.
    Max,
}

/// File format of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageFormat {
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP.
    Webp,
    /// AVIF.
    Avif,
    /// GIF.
    Gif,
}

impl ImageFormat {
    /// The word in JSON, which is also the file's extension.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Webp => "webp",
            Self::Avif => "avif",
            Self::Gif => "gif",
        }
    }

    /// Its `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Avif => "image/avif",
            Self::Gif => "image/gif",
        }
    }
}

/// Background of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackgroundKind {
    /// Opaque.
    Opaque,
    /// With an alpha channel.
    Transparent,
}

/// How strictly the provider moderates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moderation {
    /// Stricter than the provider's default.
    Strict,
    /// The provider's default.
    Default,
    /// As little as the provider allows.
    Low,
}

/// What to do with an option that the model does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnsupported {
    /// Nearest supported value, with a warning.
    #[default]
    Adjust,
    /// The candidate is skipped.
    Error,
    /// Left out, with a warning.
    Drop,
}

/// The options that every provider is asked with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageOptions {
    /// `WIDTHxHEIGHT` in pixels; excludes `aspect_ratio`.
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
    /// Images, 1 to 10.
    pub n: u32,
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
    /// Members passed to the provider, checked by the model's own schema.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub provider_options: BTreeMap<String, Value>,
    /// What to do with an option that the model does not have.
    pub on_unsupported: OnUnsupported,
}

impl Default for ImageOptions {
    fn default() -> Self {
        Self {
            size: None,
            aspect_ratio: None,
            quality: None,
            seed: None,
            negative_prompt: None,
            style: None,
            n: 1,
            format: None,
            background: None,
            enhance_prompt: None,
            moderation: None,
            provider_options: BTreeMap::new(),
            on_unsupported: OnUnsupported::Adjust,
        }
    }
}

/// Something that did not go exactly as asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// `option_adjusted`, `option_dropped`, `model_deprecated`, `api_deprecated`, `image_withheld`, `quality`, ...
    pub code: String,
    /// The option.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub option: Option<String>,
    /// What was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What was sent, or what follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// A provider's handle of one accepted job: everything that is needed to go on without the process that submitted it.
/// At most 4 KiB, never a secret. Stored on the lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRef {
    /// Version of this form.
    pub v: u32,
    /// The provider.
    pub provider: ProviderName,
    /// Its adapter.
    pub adapter: String,
    /// Version of the vendor's API.
    pub api: String,
    /// The model.
    pub model: String,
    /// Which part of a request that was split.
    pub part: u32,
    /// Images in this part.
    pub weight: u32,
    /// The vendor's id.
    pub job_id: String,
    /// Where to poll, if the vendor said so, or if the settings sent the job elsewhere than to the vendor's own address.
    pub poll_url: Option<String>,
    /// Where the result is, if the vendor said so.
    pub result_url: Option<String>,
    /// Where to cancel, if the vendor said so.
    pub cancel_url: Option<String>,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When the result is gone.
    pub expires_at: Timestamp,
}

/// State of one image of a provider's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageState {
    /// It can be stored.
    Ready,
    /// The provider keeps it back as unsafe.
    Withheld,
    /// There is none.
    Failed,
}

/// How a cost is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostBasis {
    /// The provider said so.
    Reported,
    /// From our price table.
    Table,
    /// The most that it can be; the outcome is unknown.
    Upper,
    /// Nothing was spent.
    None,
}

/// Tokens that a provider counted for images, in the form of OpenAI's API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageUsage {
    /// Of the prompt and of source images.
    pub input_tokens: u64,
    /// What these are.
    pub input_tokens_details: InputTokens,
    /// Of the images made.
    pub output_tokens: u64,
    /// All.
    pub total_tokens: u64,
}

/// Kinds of input tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputTokens {
    /// Of text.
    pub text_tokens: u64,
    /// Of images.
    pub image_tokens: u64,
}

impl CostBasis {
    /// The word in JSON and SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Table => "table",
            Self::Upper => "upper",
            Self::None => "none",
        }
    }
}

/// One image of a provider's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageResult {
    /// The vendor's URL, never shown to clients; `None` when the answer held the bytes.
    pub image_url: Option<String>,
    /// The provider.
    pub provider: ProviderName,
    /// The model that ran.
    pub model: String,
    /// Its index in the request.
    pub index: u32,
    /// Index of the blob that the reply reader took out of the answer.
    pub blob: Option<u32>,
    /// Its state.
    pub state: ImageState,
    /// The seed that was used.
    pub seed: Option<u64>,
    /// The prompt that was used, if the vendor changed it.
    pub revised_prompt: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_ref_format_unchanged() {
        let text = r#"{"v":1,"provider":"ideogram","adapter":"ideogram","api":"v2","model":"ideogram-3","part":0,"weight":2,"job_id":"dGVzdA","poll_url":null,"result_url":null,"cancel_url":null,"submitted_at":"2026-11-21T10:00:00.000Z","expires_at":"2026-11-22T10:00:00.000Z"}"#;
        let job: JobRef = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&job).unwrap(), text);
    }
}
