//! The models of Ideogram's API version 2 and the fields that each takes.
//!
//! In scope: names, fields, allowed values, from the vendor's API description. Not in scope: prices, and rules
//! between fields.

use crate::contract::{Field, Shape, field, nullable};

/// Ratios of the 3.0 models.
pub(super) const RATIOS: &[&str] = &[
    "auto", "1x3", "3x1", "1x2", "2x1", "9x16", "16x9", "10x16", "16x10", "2x3", "3x2", "3x4",
    "4x3", "4x5", "5x4", "1x1",
];

/// Sizes of the 3.0 model.
pub(super) const RESOLUTIONS_3: &[&str] = &[
    "512x1536",
    "576x1408",
    "576x1472",
    "576x1536",
    "640x1344",
    "640x1408",
    "640x1472",
    "640x1536",
    "704x1152",
    "704x1216",
    "704x1280",
    "704x1344",
    "704x1408",
    "704x1472",
    "736x1312",
    "768x1088",
    "768x1216",
    "768x1280",
    "768x1344",
    "800x1280",
    "832x960",
    "832x1024",
    "832x1088",
    "832x1152",
    "832x1216",
    "832x1248",
    "864x1152",
    "896x960",
    "896x1024",
    "896x1088",
    "896x1120",
    "896x1152",
    "960x832",
    "960x896",
    "960x1024",
    "960x1088",
    "1024x832",
    "1024x896",
    "1024x960",
    "1024x1024",
    "1088x768",
    "1088x832",
    "1088x896",
    "1088x960",
    "1120x896",
    "1152x704",
    "1152x832",
    "1152x864",
    "1152x896",
    "1216x704",
    "1216x768",
    "1216x832",
    "1248x832",
    "1280x704",
    "1280x768",
    "1280x800",
    "1312x736",
    "1344x640",
    "1344x704",
    "1344x768",
    "1408x576",
    "1408x640",
    "1408x704",
    "1472x576",
    "1472x640",
    "1472x704",
    "1536x512",
    "1536x576",
    "1536x640",
];

/// Sizes of the 4.0 model: those that are known, the vendor has more.
pub(super) const RESOLUTIONS_4: &[&str] = &[
    "2048x2048",
    "1440x2880",
    "2880x1440",
    "1664x2496",
    "2496x1664",
    "1792x2240",
    "2240x1792",
    "1440x2560",
    "2560x1440",
    "1600x2560",
    "2560x1600",
    "1728x2304",
    "2304x1728",
    "1296x3168",
    "3168x1296",
    "1152x2944",
    "2944x1152",
    "1248x3328",
    "3328x1248",
    "1280x3072",
    "3072x1280",
    "1024x3072",
    "3072x1024",
];

/// Style presets of the 3.0 model.
pub(super) const STYLE_PRESETS: &[&str] = &[
    "80s_illustration",
    "90s_nostalgia",
    "abstract_organic",
    "analog_nostalgia",
    "art_brut",
    "art_deco",
    "art_poster",
    "aura",
    "avant_garde",
    "bauhaus",
    "blueprint",
    "blurry_motion",
    "bright_art",
    "c4d_cartoon",
    "childrens_book",
    "collage",
    "coloring_book_i",
    "coloring_book_ii",
    "cubism",
    "dark_aura",
    "doodle",
    "double_exposure",
    "dramatic_cinema",
    "editorial",
    "emotional_minimal",
    "ethereal_party",
    "expired_film",
    "flat_art",
    "flat_vector",
    "forest_reverie",
    "geo_minimalist",
    "glass_prism",
    "golden_hour",
    "graffiti_i",
    "graffiti_ii",
    "halftone_print",
    "high_contrast",
    "hippie_era",
    "iconic",
    "japandi_fusion",
    "jazzy",
    "long_exposure",
    "magazine_editorial",
    "minimal_illustration",
    "mixed_media",
    "monochrome",
    "nightlife",
    "oil_painting",
    "old_cartoons",
    "paint_gesture",
    "pop_art",
    "retro_etching",
    "riviera_pop",
    "spotlight_80s",
    "stylized_red",
    "surreal_collage",
    "travel_poster",
    "vintage_geo",
    "vintage_poster",
    "watercolor",
    "weird",
    "woodblock_print",
];

const SPEEDS: &[&str] = &["turbo", "default", "quality"];

/// Fields that every model takes.
pub(super) const COMMON: &[Field] = &[
    field(
        "prompt",
        Shape::Text {
            min: 1,
            max: 10_000,
        },
    ),
    field("magic_prompt", Shape::Word(&["auto", "on", "off"])),
    field(
        "seed",
        Shape::Whole {
            min: 0,
            max: 2_147_483_647,
        },
    ),
    field("num_images", Shape::Whole { min: 1, max: 8 }),
    nullable("enable_copyright_detection", Shape::Flag),
    field("async", Shape::Flag),
    field("webhook_url", Shape::PublicUrl),
    nullable("private", Shape::Flag),
    field("target_collection_id", Shape::Text { min: 0, max: 200 }),
];

const IDEOGRAM_3: &[Field] = &[
    field("aspect_ratio", Shape::Word(RATIOS)),
    field("resolution", Shape::Word(RESOLUTIONS_3)),
    field("rendering_speed", Shape::Word(SPEEDS)),
    field(
        "negative_prompt",
        Shape::Text {
            min: 0,
            max: 10_000,
        },
    ),
    field(
        "style_type",
        Shape::Word(&[
            "auto",
            "general",
            "realistic",
            "design",
            "custom",
            "fiction",
            "stylized",
        ]),
    ),
    field("style_preset", Shape::Word(STYLE_PRESETS)),
    field("style_codes", Shape::HexCodes),
    field("color_palette", Shape::Object),
];

const IDEOGRAM_3_TRANSPARENT: &[Field] = &[
    field("aspect_ratio", Shape::Word(RATIOS)),
    field("rendering_speed", Shape::Word(SPEEDS)),
    field(
        "negative_prompt",
        Shape::Text {
            min: 0,
            max: 10_000,
        },
    ),
    field("upscale_factor", Shape::Word(&["x1", "x2", "x4"])),
];

const IDEOGRAM_3_CHARACTER: &[Field] = &[
    field("aspect_ratio", Shape::Word(RATIOS)),
    field("resolution", Shape::Word(RESOLUTIONS_3)),
    field("rendering_speed", Shape::Word(SPEEDS)),
    field(
        "negative_prompt",
        Shape::Text {
            min: 0,
            max: 10_000,
        },
    ),
    field("style_type", Shape::Word(&["auto", "realistic", "fiction"])),
    field(CHARACTER, Shape::Text { min: 1, max: 200 }),
];

/// The field that names a character where no file of it is sent.
pub(super) const CHARACTER: &str = "character_reference_collection_id";

const IDEOGRAM_2: &[Field] = &[
    field("aspect_ratio", Shape::Word(RATIOS)),
    field("rendering_speed", Shape::Word(SPEEDS)),
    field(
        "negative_prompt",
        Shape::Text {
            min: 0,
            max: 10_000,
        },
    ),
    field("style_type", Shape::Word(STYLES_2)),
];

const IDEOGRAM_2A: &[Field] = &[
    field("aspect_ratio", Shape::Word(RATIOS)),
    field("rendering_speed", Shape::Word(SPEEDS)),
    field("style_type", Shape::Word(STYLES_2)),
];

const STYLES_2: &[&str] = &[
    "auto",
    "general",
    "realistic",
    "design",
    "render_3d",
    "anime",
];

const IDEOGRAM_4: &[Field] = &[
    field("resolution", Shape::Word(RESOLUTIONS_4)),
    field("rendering_speed", Shape::Word(SPEEDS)),
];

const IDEOGRAM_4_5: &[Field] = &[
    nullable("size", Shape::Text { min: 1, max: 20 }),
    field(
        "quality",
        Shape::Word(&["very_low", "low", "medium", "high", "very_high"]),
    ),
];

/// One model.
pub(super) struct Model {
    pub(super) name: &'static str,
    /// Beside the common ones.
    pub(super) fields: &'static [Field],
    /// Size when the request names none.
    pub(super) size: (u32, u32),
    pub(super) transparent: bool,
}

const fn model(
    name: &'static str,
    fields: &'static [Field],
    side: u32,
    transparent: bool,
) -> Model {
    Model {
        name,
        fields,
        size: (side, side),
        transparent,
    }
}

const MODELS: &[Model] = &[
    model("ideogram-3", IDEOGRAM_3, 1024, false),
    model("ideogram-4", IDEOGRAM_4, 2048, false),
    model("ideogram-4-5", IDEOGRAM_4_5, 1024, false),
    model("ideogram-3-transparent", IDEOGRAM_3_TRANSPARENT, 1024, true),
    model("ideogram-4-transparent", &[], 2048, true),
    model("ideogram-3-character", IDEOGRAM_3_CHARACTER, 1024, false),
    model("ideogram-2", IDEOGRAM_2, 1024, false),
    model("ideogram-2a", IDEOGRAM_2A, 1024, false),
    model("p-image-ideogram", &[], 1024, false),
    model("z-image", &[], 1024, false),
    model("auto", &[], 1024, false),
    model("gpt-image-2-5-flare", &[], 1024, false),
    model("gpt-image-2-5-sunburst", &[], 1024, false),
    model("gpt-image-2", &[], 1024, false),
    model("nano-banana-2", &[], 1024, false),
    model("nano-banana-pro", &[], 1024, false),
];

impl Model {
    /// A model by its name in the path.
    pub(super) fn from_name(name: &str) -> Option<&'static Self> {
        MODELS.iter().find(|model| model.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_have_the_lengths_of_the_description() {
        let lengths = [
            RATIOS.len(),
            RESOLUTIONS_3.len(),
            RESOLUTIONS_4.len(),
            STYLE_PRESETS.len(),
        ];
        assert_eq!(lengths, [16, 69, 23, 62]);
    }
}
