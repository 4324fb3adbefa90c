//! Reads a generate request and applies the rules between its fields.
//!
//! In scope: exclusive fields, sizes, defaults. Not in scope: single fields (`contract`, `models`).

use super::models::{CHARACTER, COMMON, Model};
use crate::contract::{self, Fault};
use serde_json::{Map, Value};

/// What a request asks for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) prompt: String,
    pub(super) images: u32,
    pub(super) seed: Option<u64>,
    pub(super) asynchronous: bool,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Rendering speed or quality: what the price depends on.
    pub(super) tier: String,
}

/// Size of each ratio at one megapixel.
const RATIO_SIZES: [(&str, u32, u32); 16] = [
    ("auto", 1024, 1024),
    ("1x1", 1024, 1024),
    ("1x3", 512, 1536),
    ("3x1", 1536, 512),
    ("1x2", 704, 1408),
    ("2x1", 1408, 704),
    ("9x16", 736, 1312),
    ("16x9", 1312, 736),
    ("10x16", 800, 1280),
    ("16x10", 1280, 800),
    ("2x3", 832, 1248),
    ("3x2", 1248, 832),
    ("3x4", 864, 1152),
    ("4x3", 1152, 864),
    ("4x5", 896, 1120),
    ("5x4", 1120, 896),
];

/// Longest side of a picture, also of an upscaled one.
const LONGEST: u32 = 4096;

/// Checks a body and reads it.
pub(super) fn read(body: &Map<String, Value>, model: &Model) -> Result<Request, Fault> {
    contract::check(body, &[COMMON, model.fields], &["prompt"])?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    if body.contains_key("resolution") && body.contains_key("aspect_ratio") {
        return Err(Fault::rule(
            "resolution",
            "'resolution' and 'aspect_ratio' exclude each other",
        ));
    }
    if body.contains_key("style_preset") && body.contains_key("style_codes") {
        return Err(Fault::rule(
            "style_preset",
            "'style_preset' and 'style_codes' exclude each other",
        ));
    }
    if model.name == "ideogram-3-character" && text(CHARACTER).is_none() {
        return Err(Fault::rule(CHARACTER, "a character reference is needed"));
    }
    if let Some(quality @ ("very_low" | "very_high")) = text("quality") {
        return Err(Fault::rule(
            "quality",
            format!("quality '{quality}' needs source images"),
        ));
    }
    let (width, height) = if let Some(size) = text("resolution") {
        contract::size(size).unwrap_or(model.size)
    } else if let Some(ratio) = text("aspect_ratio") {
        let row = RATIO_SIZES.iter().find(|row| row.0 == ratio);
        row.map_or(model.size, |row| (row.1, row.2))
    } else if let Some(size) = text("size") {
        free_size(size, model)?
    } else {
        model.size
    };
    let factor = match text("upscale_factor") {
        Some("x2") => 2,
        Some("x4") => 4,
        _ => 1,
    };
    let longest = (width.max(height) * factor).max(LONGEST);
    let default_tier = if model.name == "ideogram-4-5" {
        "high"
    } else {
        "default"
    };
    Ok(Request {
        prompt: text("prompt").unwrap_or_default().to_owned(),
        images: body.get("num_images").and_then(Value::as_u64).unwrap_or(1) as u32,
        seed: body.get("seed").and_then(Value::as_u64),
        asynchronous: body.get("async").and_then(Value::as_bool).unwrap_or(false),
        width: width * factor * LONGEST / longest,
        height: height * factor * LONGEST / longest,
        tier: text("rendering_speed")
            .or(text("quality"))
            .unwrap_or(default_tier)
            .to_owned(),
    })
}

/// Sizes of 4.5: multiples of 32 from 256, at most 2048x2048 pixels in all, ratio up to 6:1.
fn free_size(text: &str, model: &Model) -> Result<(u32, u32), Fault> {
    match text {
        "auto" => return Ok(model.size),
        "source" => return Err(Fault::rule("size", "size 'source' needs source images")),
        _ => {}
    }
    let (width, height) = contract::size(text)
        .ok_or_else(|| Fault::rule("size", "'size' must be auto, source or WIDTHxHEIGHT"))?;
    let sound = width % 32 == 0
        && height % 32 == 0
        && width.min(height) >= 256
        && u64::from(width) * u64::from(height) <= 2048 * 2048
        && width.max(height) <= 6 * width.min(height);
    if sound {
        Ok((width, height))
    } else {
        Err(Fault::rule(
            "size",
            "'size' must be multiples of 32, at least 256, at most 2048x2048 pixels in all, ratio up to 6:1",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::models::{RATIOS, RESOLUTIONS_3};
    use super::*;
    use serde_json::json;

    fn read_as(model: &str, body: &Value) -> Result<Request, String> {
        let model = Model::from_name(model).unwrap();
        read(body.as_object().unwrap(), model).map_err(|fault| fault.to_string())
    }

    #[test]
    fn every_ratio_has_a_listed_size() {
        for ratio in RATIOS {
            let request =
                read_as("ideogram-3", &json!({"prompt": "a", "aspect_ratio": ratio})).unwrap();
            let size = format!("{}x{}", request.width, request.height);
            assert!(RESOLUTIONS_3.contains(&size.as_str()), "{ratio}: {size}");
        }
    }

    #[test]
    fn upscaling_multiplies_up_to_the_longest_side() {
        let size = |ratio: &str, factor: &str| {
            let body = json!({"prompt": "a", "aspect_ratio": ratio, "upscale_factor": factor});
            let request = read_as("ideogram-3-transparent", &body).unwrap();
            (request.width, request.height)
        };
        assert_eq!(size("1x1", "x1"), (1024, 1024));
        assert_eq!(size("1x1", "x4"), (4096, 4096));
        assert_eq!(size("3x1", "x4"), (4096, 1365));
    }

    #[test]
    fn exclusive_fields_are_refused() {
        for body in [
            json!({"prompt": "a", "resolution": "1024x1024", "aspect_ratio": "1x1"}),
            json!({"prompt": "a", "style_preset": "weird", "style_codes": ["00000000"]}),
        ] {
            assert!(
                read_as("ideogram-3", &body)
                    .unwrap_err()
                    .contains("exclude")
            );
        }
    }

    #[test]
    fn the_newest_model_takes_free_sizes_within_its_bounds() {
        let read_size = |size: &str| read_as("ideogram-4-5", &json!({"prompt": "a", "size": size}));
        for good in ["auto", "2048x2048", "256x1536", "1536x256"] {
            assert!(read_size(good).is_ok(), "{good}");
        }
        for bad in [
            "source",
            "1000x1000",
            "224x224",
            "4096x2048",
            "256x1568",
            "big",
        ] {
            assert!(read_size(bad).is_err(), "{bad}");
        }
        assert!(
            read_as(
                "ideogram-4-5",
                &json!({"prompt": "a", "quality": "very_low"})
            )
            .is_err()
        );
        assert!(
            read_as(
                "ideogram-4",
                &json!({"prompt": "a", "negative_prompt": "b"})
            )
            .is_err()
        );
    }
}
