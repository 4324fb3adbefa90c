//! What a vendor's data file says about its models, and the rows that settings add.
//!
//! In scope: the form of `data/*.json`, reading it once. Out of scope: prices (module `price`), what is done with it.

use crate::price::PriceRow;
use crate::types::AuthScheme;
use api_types::{ImageFormat, ImageOptions, Quality};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// A vendor's own limit, used where the configuration names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum LimitDefault {
    /// Images in progress at once.
    InFlightImages {
        /// How many.
        default: u32,
    },
    /// None is known.
    None {},
}

/// How often to ask for a job's state.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PollPolicy {
    /// First delay, in milliseconds.
    pub first_ms: u64,
    /// Each delay is the last one times this.
    pub factor: f64,
    /// Longest delay, in milliseconds.
    pub cap_ms: u64,
}

/// Which sizes a model draws.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Sizes {
    /// These.
    List {
        /// `WxH`, the default first.
        values: Vec<String>,
    },
    /// Any within bounds.
    Multiple {
        /// Both sides are multiples of it.
        of: u32,
        /// Shortest side.
        min: u32,
        /// Longest side.
        max: u32,
        /// Most pixels.
        max_pixels: u64,
        /// Longest side over shortest.
        max_ratio: u32,
        /// Proposals, the default first.
        values: Vec<String>,
    },
    /// Only a ratio can be asked for.
    RatioOnly {},
    /// Nothing can be asked for.
    Fixed {
        /// What comes.
        value: String,
    },
}

impl Default for Sizes {
    fn default() -> Self {
        Self::Fixed {
            value: "1024x1024".to_owned(),
        }
    }
}

/// Which word of the vendor stands for a quality.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WireQuality {
    /// The vendor's field.
    pub field: String,
    /// Its values.
    pub values: BTreeMap<Quality, String>,
}

/// Names of the vendor's fields for what differs between its models.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wire {
    /// Field of the size; `None` when it cannot be asked for.
    pub size: Option<String>,
    /// Field of the ratio.
    pub ratio: Option<String>,
    /// Field and words of the quality.
    pub quality: Option<WireQuality>,
}

/// How strictly a server speaks its protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// The vendor's own.
    #[default]
    Vendor,
    /// A server that speaks like it: the common fields, the negative prompt behind a bar.
    Compatible,
}

/// A name for a model at one quality.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// The name.
    pub name: String,
    /// The quality, where the request asks for none.
    pub quality: Quality,
}

/// One model.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Model {
    /// Id, as the vendor calls it.
    pub id: String,
    /// Name for people.
    pub label: String,
    /// Versions of the vendor's API that have it, the preferred one first.
    pub apis: Vec<String>,
    /// Other names for it.
    pub aliases: Vec<String>,
    /// Names that stand for a quality too.
    pub variants: Vec<Variant>,
    /// The provider's default.
    pub default: bool,
    /// Rank of its pictures, 1 to 5.
    pub tier: u32,
    /// Protocol.
    pub dialect: Dialect,
    /// Longest prompt, in Unicode scalar values; 0 for no limit of its own.
    pub max_prompt_chars: usize,
    /// Fewest and most images a call.
    pub n: Option<[u32; 2]>,
    /// Smallest and largest seed; `None` when it has none.
    pub seed: Option<[u32; 2]>,
    /// Sizes.
    pub sizes: Sizes,
    /// Ratios, the default first; empty when a ratio becomes a size.
    pub ratios: Vec<String>,
    /// Qualities; empty when there is no choice.
    pub qualities: Vec<Quality>,
    /// Formats, the default first; empty for PNG.
    pub formats: Vec<ImageFormat>,
    /// Of `negative_prompt`, `style`, `enhance_prompt`, `background`, `moderation`.
    pub options: Vec<String>,
    /// Styles.
    pub styles: Vec<String>,
    /// Styles that the vendor calls presets.
    pub style_presets: Vec<String>,
    /// Members that a request may pass on, each with its schema.
    pub passthrough: BTreeMap<String, Value>,
    /// Of these, at least one is there, or the vendor draws nothing.
    pub needs: Vec<String>,
    /// Whether it can draw a transparent background; without the option `background` it always does.
    pub transparent: bool,
    /// Names of the vendor's fields.
    pub wire: Wire,
    /// What one image takes, by quality, in milliseconds: our estimate, for as long as nobody has measured.
    pub typical_ms: BTreeMap<Quality, u64>,
    /// Day from which it is not chosen any more.
    pub deprecated_on: Option<String>,
    /// What follows it.
    pub replaced_by: Option<String>,
    /// `official`, `secondary`, `transcribed`.
    pub verified: String,
}

impl Model {
    /// Whether `name` means it.
    pub fn is_called(&self, name: &str) -> bool {
        self.id == name
            || self.aliases.iter().any(|alias| alias == name)
            || self.variants.iter().any(|variant| variant.name == name)
    }

    /// Options of a request that calls it so: a name may stand for a quality.
    pub fn options_as(&self, name: &str, options: &ImageOptions) -> ImageOptions {
        let variant = self.variants.iter().find(|variant| variant.name == name);
        let named = variant.map(|variant| variant.quality);
        ImageOptions {
            quality: options.quality.or(named),
            ..options.clone()
        }
    }

    /// Whether it has that option.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|known| known == option)
    }

    /// Most images a call.
    pub fn max_n(&self) -> u32 {
        self.n.map_or(1, |[_, most]| most)
    }

    /// The format it draws by default.
    pub fn default_format(&self) -> ImageFormat {
        self.formats.first().copied().unwrap_or(ImageFormat::Png)
    }

    /// The version of the vendor's API that is used.
    pub fn api(&self) -> &str {
        self.apis.first().map_or("v1", String::as_str)
    }

    /// A model of a self-hosted server that the settings name without describing it.
    pub(crate) fn compatible(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            label: id.to_owned(),
            apis: vec!["v1".to_owned()],
            tier: 2,
            dialect: Dialect::Compatible,
            max_prompt_chars: 32_000,
            n: Some([1, 10]),
            sizes: Sizes::Multiple {
                of: 8,
                min: 64,
                max: 4_096,
                max_pixels: 4_096 * 4_096,
                max_ratio: 8,
                values: vec!["1024x1024".to_owned()],
            },
            options: vec!["negative_prompt".to_owned()],
            wire: Wire {
                size: Some("size".to_owned()),
                ..Wire::default()
            },
            verified: "settings".to_owned(),
            ..Self::default()
        }
    }

    /// What one image takes at the quality of `options`, in milliseconds; 0 when nothing is known of that.
    pub fn typical_ms(&self, options: &ImageOptions) -> u64 {
        let quality = options.quality.unwrap_or(Quality::Medium);
        self.typical_ms.get(&quality).copied().unwrap_or(0)
    }

    /// The vendor's word for the quality of `options`.
    pub(crate) fn wire_quality(&self, options: &ImageOptions) -> Option<(&str, &str)> {
        let wire = self.wire.quality.as_ref()?;
        let word = wire.values.get(&options.quality?)?;
        Some((&wire.field, word))
    }
}

/// A vendor's data file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VendorData {
    /// Version of this form.
    pub schema: u32,
    /// Adapter.
    pub adapter: String,
    /// Version of the content.
    pub revision: String,
    /// Where the vendor is.
    pub base_url: String,
    /// How it takes its key.
    pub auth: AuthScheme,
    /// Further hosts of its API.
    pub api_hosts: Vec<String>,
    /// Hosts of its results; `*.` for any name below.
    pub result_hosts: Vec<String>,
    /// Life of a result, in seconds.
    pub result_ttl_s: u32,
    /// Its own limit.
    pub limit: LimitDefault,
    /// How often to ask; `None` for a synchronous vendor.
    #[serde(default)]
    pub poll: Option<PollPolicy>,
    /// Its models, the default marked.
    pub models: Vec<Model>,
    /// Its prices.
    pub prices: Vec<PriceRow>,
}

/// The built-in data of an adapter; an error text when the file is bad, `None` for an unknown adapter.
pub fn vendor_data(adapter: &str) -> Option<Result<&'static VendorData, &'static str>> {
    static IDEOGRAM: OnceLock<Result<VendorData, String>> = OnceLock::new();
    static OPENAI: OnceLock<Result<VendorData, String>> = OnceLock::new();
    let (cell, text) = match adapter {
        "ideogram" => (&IDEOGRAM, include_str!("../data/ideogram.json")),
        "openai" => (&OPENAI, include_str!("../data/openai.json")),
        _ => return None,
    };
    let read = cell.get_or_init(|| serde_json::from_str(text).map_err(|error| error.to_string()));
    Some(read.as_ref().map_err(String::as_str))
}

/// The adapter's own limit of images in flight, where the configuration names none.
pub fn default_limit(adapter: &str) -> Option<u32> {
    match vendor_data(adapter)?.ok()?.limit {
        LimitDefault::InFlightImages { default } => Some(default),
        LimitDefault::None {} => None,
    }
}
