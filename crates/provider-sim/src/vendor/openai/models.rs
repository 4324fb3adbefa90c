//! OpenAI's image models, the tokens that a picture costs, and the price of tokens.
//!
//! In scope: a table of the simulator's own. Not in scope: the product's price data, which must be able to
//! disagree with this one.

use super::rules::Request;
use serde_json::{Value, json};

/// What a model can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    DallE2,
    DallE3,
    /// gpt-image-1, -1-mini, -1.5: three sizes.
    Gpt1,
    /// gpt-image-2: free sizes.
    Gpt2,
    /// gpt-image-2.5: also the qualities xhigh and max.
    Gpt25,
}

/// Id, family, price of a text token and of an output token in millionths of a US dollar.
pub(super) const MODELS: [(&str, Family, u64, u64); 12] = [
    ("gpt-image-2.5-flare", Family::Gpt25, 5, 30),
    ("gpt-image-2.5-flare-2026-09-08", Family::Gpt25, 5, 30),
    ("gpt-image-2.5-sunburst", Family::Gpt25, 5, 30),
    ("gpt-image-2.5-sunburst-2026-09-08", Family::Gpt25, 5, 30),
    ("gpt-image-2", Family::Gpt2, 5, 30),
    ("gpt-image-2-2026-04-21", Family::Gpt2, 5, 30),
    ("gpt-image-1.5", Family::Gpt1, 5, 32),
    ("gpt-image-1.5-2025-12-16", Family::Gpt1, 5, 32),
    ("gpt-image-1-mini", Family::Gpt1, 2, 8),
    ("gpt-image-1", Family::Gpt1, 5, 40),
    ("dall-e-3", Family::DallE3, 0, 0),
    ("dall-e-2", Family::DallE2, 0, 0),
];

/// Output tokens of one picture: quality, square, upright or wide of 1.5 megapixels.
const TOKENS_25: [(&str, u64, u64); 5] = [
    ("low", 196, 158),
    ("medium", 439, 343),
    ("high", 1_756, 1_372),
    ("xhigh", 3_122, 2_459),
    ("max", 7_024, 5_488),
];
const TOKENS_2: [(&str, u64, u64); 3] = [
    ("low", 200, 165),
    ("medium", 1_767, 1_367),
    ("high", 7_034, 5_500),
];
const TOKENS_1: [(&str, u64, u64); 3] = [
    ("low", 272, 408),
    ("medium", 1_056, 1_584),
    ("high", 4_160, 6_240),
];

/// What a request used and costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) text_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) usd_micros: u64,
}

impl Usage {
    pub(super) fn json(self) -> Value {
        json!({
            "input_tokens": self.text_tokens, "output_tokens": self.output_tokens,
            "total_tokens": self.text_tokens + self.output_tokens,
            "input_tokens_details": {"text_tokens": self.text_tokens, "image_tokens": 0},
        })
    }
}

/// Tokens and price of a request: text is a token per four bytes.
pub(super) fn usage(request: &Request) -> Usage {
    let text_tokens = (request.prompt.len() as u64).div_ceil(4);
    let (family, text_price, output_price) = MODELS
        .iter()
        .find(|row| row.0 == request.model)
        .map_or((Family::Gpt25, 5, 30), |row| (row.1, row.2, row.3));
    let images = u64::from(request.images);
    let table: &[(&str, u64, u64)] = match family {
        Family::DallE2 => return flat(images, 20_000),
        Family::DallE3 if request.quality == "hd" => return flat(images, 80_000),
        Family::DallE3 => return flat(images, 40_000),
        Family::Gpt1 => &TOKENS_1,
        Family::Gpt2 => &TOKENS_2,
        Family::Gpt25 => &TOKENS_25,
    };
    let row = table.iter().find(|row| row.0 == request.quality);
    let (square, long) = row.map_or((439, 343), |row| (row.1, row.2));
    let each = match (request.width, request.height) {
        (1024, 1024) => square,
        (1024, 1536) | (1536, 1024) => long,
        // Free sizes: by pixels.
        (width, height) => (square * u64::from(width) * u64::from(height)).div_ceil(1024 * 1024),
    };
    let output_tokens = each * images;
    Usage {
        text_tokens,
        output_tokens,
        usd_micros: text_tokens * text_price + output_tokens * output_price,
    }
}

const fn flat(images: u64, each_usd_micros: u64) -> Usage {
    Usage {
        text_tokens: 0,
        output_tokens: 0,
        usd_micros: images * each_usd_micros,
    }
}

/// The answer of `GET /models`.
pub(super) fn list() -> Value {
    let items: Vec<Value> = MODELS
        .iter()
        .map(|row| json!({"id": row.0, "object": "model", "created": 1_756_684_800, "owned_by": "system"}))
        .collect();
    json!({"object": "list", "data": items})
}
