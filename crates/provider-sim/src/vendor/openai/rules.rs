//! Reads an image request and applies the rules of each model family.
//!
//! In scope: fields, sizes, formats, defaults. Not in scope: tokens and prices (`models`).

use super::models::{Family, MODELS};
use crate::contract::{self, Fault, Field, Problem, Shape, nullable};
use crate::picture::Format;
use serde_json::{Map, Value};

/// All fields of the contract.
pub(super) const FIELDS: &[Field] = &[
    contract::field(
        "prompt",
        Shape::Text {
            min: 1,
            max: 32_000,
        },
    ),
    nullable("model", Shape::Text { min: 1, max: 200 }),
    nullable("n", Shape::Whole { min: 1, max: 10 }),
    nullable("size", Shape::Text { min: 1, max: 20 }),
    nullable(
        "quality",
        Shape::Word(&[
            "auto", "low", "medium", "high", "xhigh", "max", "standard", "hd",
        ]),
    ),
    nullable(
        "background",
        Shape::Word(&["transparent", "opaque", "auto"]),
    ),
    nullable("output_format", Shape::Word(&["png", "jpeg", "webp"])),
    nullable("output_compression", Shape::Whole { min: 0, max: 100 }),
    nullable("moderation", Shape::Word(&["auto", "low"])),
    nullable("style", Shape::Word(&["vivid", "natural"])),
    nullable("response_format", Shape::Word(&["url", "b64_json"])),
    nullable("stream", Shape::Flag),
    nullable("partial_images", Shape::Whole { min: 0, max: 3 }),
    nullable("user", Shape::Text { min: 0, max: 512 }),
];

/// Fields that the older models do not take.
const GPT_ONLY: [&str; 6] = [
    "background",
    "output_format",
    "output_compression",
    "moderation",
    "stream",
    "partial_images",
];

/// What a request asks for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) model: &'static str,
    pub(super) family: Family,
    pub(super) prompt: String,
    pub(super) images: u32,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Never `auto`.
    pub(super) quality: &'static str,
    pub(super) format: Format,
    /// JPEG quality, 0 to 100.
    pub(super) compression: u8,
    pub(super) transparent: bool,
    /// A link instead of base64.
    pub(super) link: bool,
}

impl Request {
    pub(super) fn is_gpt(&self) -> bool {
        !matches!(self.family, Family::DallE2 | Family::DallE3)
    }
}

/// Why a body was not read.
#[derive(Debug)]
pub(super) enum Wrong {
    Model(String),
    Field(Fault),
}

impl From<Fault> for Wrong {
    fn from(fault: Fault) -> Self {
        Self::Field(fault)
    }
}

/// Checks a body and reads it.
pub(super) fn read(body: &Map<String, Value>) -> Result<Request, Wrong> {
    contract::check(body, &[FIELDS], &["prompt"])?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let given = |name: &str| body.get(name).is_some_and(|value| !value.is_null());
    let name = text("model").unwrap_or("dall-e-2");
    let Some((model, family, _, _)) = MODELS.iter().copied().find(|row| row.0 == name) else {
        return Err(Wrong::Model(name.to_owned()));
    };
    let older = matches!(family, Family::DallE2 | Family::DallE3);
    let foreign = |field: &str| Fault::new(field, Problem::Unknown);
    if older {
        if let Some(field) = GPT_ONLY.iter().find(|field| given(field)) {
            return Err(foreign(field).into());
        }
    } else if given("response_format") {
        return Err(foreign("response_format").into());
    }
    if given("style") && family != Family::DallE3 {
        return Err(foreign("style").into());
    }
    if given("partial_images") || body.get("stream") == Some(&Value::Bool(true)) {
        return Err(Fault::rule("stream", "streaming is not simulated").into());
    }
    let prompt = text("prompt").unwrap_or_default();
    let longest = match family {
        Family::DallE2 => 1_000,
        Family::DallE3 => 4_000,
        _ => 32_000,
    };
    if prompt.chars().count() > longest {
        return Err(Fault::new("prompt", Problem::TooLong(longest)).into());
    }
    let images = body.get("n").and_then(Value::as_u64).unwrap_or(1) as u32;
    if family == Family::DallE3 && images > 1 {
        return Err(Fault::new("n", Problem::TooLarge(1)).into());
    }
    let (width, height) = size(text("size").unwrap_or("auto"), family)?;
    let format = text("output_format")
        .and_then(Format::from_name)
        .unwrap_or(Format::Png);
    let transparent = text("background") == Some("transparent");
    if transparent && format == Format::Jpeg {
        return Err(Fault::rule(
            "background",
            "a transparent background needs output_format png or webp",
        )
        .into());
    }
    let compression = body.get("output_compression").and_then(Value::as_u64);
    if format == Format::Png && compression.is_some_and(|compression| compression != 100) {
        return Err(Fault::rule(
            "output_compression",
            "PNG takes no output_compression below 100",
        )
        .into());
    }
    Ok(Request {
        model,
        family,
        prompt: prompt.to_owned(),
        images,
        width,
        height,
        quality: quality(text("quality").unwrap_or("auto"), family)?,
        format,
        compression: compression.unwrap_or(100).min(100) as u8,
        transparent,
        link: older && text("response_format") != Some("b64_json"),
    })
}

fn quality(asked: &str, family: Family) -> Result<&'static str, Fault> {
    let allowed: &[&'static str] = match family {
        Family::DallE2 => &["standard"],
        Family::DallE3 => &["standard", "hd"],
        Family::Gpt1 | Family::Gpt2 => &["low", "medium", "high"],
        Family::Gpt25 => &["low", "medium", "high", "xhigh", "max"],
    };
    let default = if matches!(family, Family::DallE2 | Family::DallE3) {
        "standard"
    } else {
        "medium"
    };
    if asked == "auto" {
        return Ok(default);
    }
    allowed
        .iter()
        .find(|word| **word == asked)
        .copied()
        .ok_or_else(|| Fault::new("quality", Problem::Value(allowed.join(", "))))
}

fn size(asked: &str, family: Family) -> Result<(u32, u32), Fault> {
    let allowed: &[&str] = match family {
        Family::DallE2 => &["256x256", "512x512", "1024x1024"],
        Family::DallE3 => &["1024x1024", "1792x1024", "1024x1792"],
        Family::Gpt1 | Family::Gpt2 | Family::Gpt25 => &["1024x1024", "1536x1024", "1024x1536"],
    };
    if asked == "auto" {
        return Ok((1024, 1024));
    }
    let free = matches!(family, Family::Gpt2 | Family::Gpt25);
    let sound = |(width, height): &(u32, u32)| {
        let (long, short) = (*width.max(height), *width.min(height));
        width % 16 == 0
            && height % 16 == 0
            && short > 0
            && long <= 3 * short
            && long <= 3840
            && short <= 2160
    };
    let size = contract::size(asked);
    if let Some(size) = size.filter(sound)
        && (free || allowed.contains(&asked))
    {
        return Ok(size);
    }
    let mut words = allowed.join(", ");
    if free {
        words.push_str(", or WIDTHxHEIGHT in multiples of 16, ratio 1:3 to 3:1, up to 3840x2160");
    }
    Err(Fault::new("size", Problem::Value(format!("auto, {words}"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wrong_field(body: &Value) -> String {
        match read(body.as_object().unwrap()) {
            Ok(_) => "none".to_owned(),
            Err(Wrong::Model(_)) => "model".to_owned(),
            Err(Wrong::Field(fault)) => fault.field,
        }
    }

    #[test]
    fn each_family_takes_its_own_fields_and_values() {
        let cases = [
            (
                json!({"prompt": "a", "model": "gpt-image-2.5-flare", "quality": "max"}),
                "none",
            ),
            (
                json!({"prompt": "a", "model": "gpt-image-2", "quality": "max"}),
                "quality",
            ),
            (
                json!({"prompt": "a", "model": "gpt-image-2", "size": "1536x864"}),
                "none",
            ),
            (
                json!({"prompt": "a", "model": "gpt-image-2", "size": "2160x3840"}),
                "none",
            ),
            (
                json!({"prompt": "a", "model": "gpt-image-2", "size": "1000x1000"}),
                "size",
            ),
            (
                json!({"prompt": "a", "model": "gpt-image-2", "size": "4096x2160"}),
                "size",
            ),
            (
                json!({"prompt": "a", "model": "gpt-image-2", "size": "0x0"}),
                "size",
            ),
            (
                json!({"prompt": "a", "model": "gpt-image-1.5", "size": "1536x864"}),
                "size",
            ),
            (
                json!({"prompt": "a", "model": "gpt-image-2", "response_format": "b64_json"}),
                "response_format",
            ),
            (
                json!({"prompt": "a", "model": "gpt-image-2", "background": "transparent", "output_format": "jpeg"}),
                "background",
            ),
            (
                json!({"prompt": "a", "model": "gpt-image-2", "output_compression": 50}),
                "output_compression",
            ),
            (
                json!({"prompt": "a", "model": "gpt-image-2", "output_format": "webp", "output_compression": 50}),
                "none",
            ),
            (
                json!({"prompt": "a", "model": "gpt-image-2", "style": "vivid"}),
                "style",
            ),
            (
                json!({"prompt": "a", "model": "gpt-image-2", "stream": true}),
                "stream",
            ),
            (
                json!({"prompt": "a", "model": "gpt-image-2", "n": null, "size": null}),
                "none",
            ),
            (
                json!({"prompt": "a", "model": "dall-e-3", "style": "vivid", "quality": "hd"}),
                "none",
            ),
            (json!({"prompt": "a", "model": "dall-e-3", "n": 2}), "n"),
            (
                json!({"prompt": "a", "model": "dall-e-2", "output_format": "png"}),
                "output_format",
            ),
            (
                json!({"prompt": "a".repeat(4001), "model": "dall-e-3"}),
                "prompt",
            ),
            (json!({"prompt": "a", "model": "gpt-9"}), "model"),
        ];
        for (body, due) in cases {
            assert_eq!(wrong_field(&body), due, "{body}");
        }
    }
}
