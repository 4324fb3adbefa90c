//! Prices of the simulated Ideogram, from a table of its own.
//!
//! In scope: price of one picture, the quote of `dry_run`. Not in scope: the product's price data, which
//! must be able to disagree with this one.

use super::models::Model;
use super::rules::Request;
use serde_json::{Value, json};

/// Model, speed or quality (`*` any), millionths of a US dollar. Models whose price the vendor
/// has not published stand here with a made-up one.
const PRICES: &[(&str, &str, u64)] = &[
    ("ideogram-4-5", "very_low", 30_000),
    ("ideogram-4-5", "low", 30_000),
    ("ideogram-4-5", "medium", 60_000),
    ("ideogram-4-5", "*", 100_000),
    ("ideogram-4", "turbo", 30_000),
    ("ideogram-4", "quality", 100_000),
    ("ideogram-4", "*", 60_000),
    ("ideogram-3", "turbo", 30_000),
    ("ideogram-3", "quality", 90_000),
    ("ideogram-3", "*", 60_000),
    ("ideogram-3-transparent", "turbo", 40_000),
    ("ideogram-3-transparent", "quality", 100_000),
    ("ideogram-3-transparent", "*", 70_000),
    ("ideogram-4-transparent", "*", 70_000),
    ("ideogram-3-character", "turbo", 100_000),
    ("ideogram-3-character", "quality", 200_000),
    ("ideogram-3-character", "*", 150_000),
    ("ideogram-2", "turbo", 50_000),
    ("ideogram-2", "*", 80_000),
    ("ideogram-2a", "turbo", 25_000),
    ("ideogram-2a", "*", 40_000),
    ("p-image-ideogram", "*", 10_000),
    ("z-image", "*", 5_000),
    ("gpt-image-2-5-flare", "*", 52_900),
    ("gpt-image-2-5-sunburst", "*", 52_900),
    ("gpt-image-2", "*", 53_000),
    ("nano-banana-2", "*", 67_200),
    ("nano-banana-pro", "*", 134_400),
    ("auto", "*", 60_000),
];

/// Price of one picture, in millionths of a US dollar.
pub(super) fn usd_micros(model: &Model, request: &Request) -> u64 {
    PRICES
        .iter()
        .find(|row| row.0 == model.name && (row.1 == "*" || row.1 == request.tier))
        .map_or(60_000, |row| row.2)
}

/// The answer of `dry_run`; a credit is one cent.
pub(super) fn quote(model: &Model, request: &Request, total_usd_micros: u64) -> Value {
    json!({
        "object": "price_quote",
        "billing_identifier": format!("{}:{}", model.name, request.tier),
        "quantity": request.images,
        "usd_micros": total_usd_micros,
        "credit_millis": total_usd_micros / 10,
        "qualifier": "exact",
    })
}
