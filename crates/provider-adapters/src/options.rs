//! Fits the standard options to a model: what it has is kept, what it lacks is adjusted, dropped or refused, and
//! every difference is a warning.
//!
//! In scope: the rules that hold for all vendors, driven by the model's data. Out of scope: the vendor's fields
//! (module `image`), prices.

use crate::capability::{Model, Sizes};
use crate::passthrough;
use crate::size::{self, Bounds, Size};
use api_types::{
    BackgroundKind, ImageFormat, ImageOptions, Moderation, OnUnsupported, Quality, Warning,
};

/// Why a model cannot serve a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The prompt is longer than the model reads.
    PromptTooLong {
        /// Most characters.
        limit: usize,
        /// Characters given.
        length: usize,
    },
    /// More images than a call makes.
    NTooLarge {
        /// Most images.
        limit: u32,
    },
    /// The model lacks an option that must not be changed.
    Unsupported {
        /// The option.
        option: String,
        /// What the model has, for a person.
        allowed: String,
    },
    /// No model could serve it: the request itself is wrong.
    Invalid {
        /// The member.
        field: String,
        /// The rule it breaks.
        rule: String,
    },
}

impl Unfit {
    /// The reason in `skipped`.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::PromptTooLong { .. } => "prompt_too_long",
            Self::NTooLarge { .. } => "n_too_large",
            Self::Unsupported { .. } => "option_unsupported",
            Self::Invalid { .. } => "invalid",
        }
    }

    /// The option concerned.
    pub fn option(&self) -> Option<&str> {
        match self {
            Self::Unsupported { option, .. } => Some(option),
            Self::Invalid { field, .. } => Some(field),
            Self::PromptTooLong { .. } | Self::NTooLarge { .. } => None,
        }
    }
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PromptTooLong { limit, length } => {
                write!(
                    f,
                    "the prompt has {length} characters, the model reads {limit}"
                )
            }
            Self::NTooLarge { limit } => write!(f, "at most {limit} images a request"),
            Self::Unsupported { option, allowed } => write!(f, "{option}: {allowed}"),
            Self::Invalid { field, rule } => write!(f, "{field}: {rule}"),
        }
    }
}

/// Options as the model gets them.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// Options as sent.
    pub effective: ImageOptions,
    /// Every difference to what was asked.
    pub warnings: Vec<Warning>,
}

/// What is wrong with options whatever the model.
pub fn check(prompt: &str, options: &ImageOptions) -> Result<(), Unfit> {
    let invalid = |field: &str, rule: &str| {
        Err(Unfit::Invalid {
            field: field.to_owned(),
            rule: rule.to_owned(),
        })
    };
    if prompt.is_empty() {
        return invalid("prompt", "must not be empty");
    }
    if prompt.contains('\0') {
        return invalid("prompt", "must not contain NUL");
    }
    if options.size.is_some() && options.aspect_ratio.is_some() {
        return invalid("aspect_ratio", "excludes size");
    }
    if let Some(text) = &options.size
        && Size::parse(text).is_none()
    {
        return invalid("size", "must be WIDTHxHEIGHT");
    }
    if let Some(text) = &options.aspect_ratio
        && size::parse_ratio(text).is_none()
    {
        return invalid("aspect_ratio", "must be W:H");
    }
    if !(1..=10).contains(&options.n) {
        return invalid("n", "must be 1 to 10");
    }
    if options
        .seed
        .is_some_and(|seed| seed == 0 || seed > 2_147_483_647)
    {
        return invalid("seed", "must be 1 to 2147483647");
    }
    if let Some(key) = options
        .provider_options
        .keys()
        .find(|key| passthrough::is_reserved(key))
    {
        return invalid(&format!("provider_options.{key}"), "is set by the platform");
    }
    Ok(())
}

struct Fit<'a> {
    policy: OnUnsupported,
    model: &'a Model,
    warnings: Vec<Warning>,
}

impl Fit<'_> {
    fn warn(&mut self, code: &str, option: &str, from: String, to: Option<String>) {
        self.warnings.push(Warning {
            code: code.to_owned(),
            option: Some(option.to_owned()),
            from: Some(from),
            to,
        });
    }

    /// Settles an option that the model lacks: the value to use instead, by the request's policy.
    fn settle<T>(
        &mut self,
        option: &str,
        from: &str,
        nearest: Option<(T, String)>,
        allowed: &str,
    ) -> Result<Option<T>, Unfit> {
        let from = from.to_owned();
        match (self.policy, nearest) {
            (OnUnsupported::Error, _) => Err(Unfit::Unsupported {
                option: option.to_owned(),
                allowed: format!("{} has {allowed}, not {from}", self.model.id),
            }),
            (OnUnsupported::Adjust, Some((value, to))) => {
                self.warn("option_adjusted", option, from, Some(to));
                Ok(Some(value))
            }
            (OnUnsupported::Adjust, None) | (OnUnsupported::Drop, _) => {
                self.warn("option_dropped", option, from, None);
                Ok(None)
            }
        }
    }

    fn quality(&mut self, asked: Option<Quality>) -> Result<Option<Quality>, Unfit> {
        let has = &self.model.qualities;
        let rank =
            |quality: Quality| (quality as u8).abs_diff(asked.unwrap_or(Quality::Medium) as u8);
        // Of two equally near, the cheaper one.
        let nearest = has
            .iter()
            .copied()
            .min_by_key(|quality| (rank(*quality), *quality));
        let default = nearest_to_medium(has);
        let Some(asked) = asked else {
            return Ok(default);
        };
        if has.contains(&asked) {
            return Ok(Some(asked));
        }
        let words = has
            .iter()
            .copied()
            .map(quality_word)
            .collect::<Vec<_>>()
            .join(", ");
        let nearest = nearest.map(|quality| (quality, quality_word(quality).to_owned()));
        let allowed = if words.is_empty() {
            "no quality".to_owned()
        } else {
            words
        };
        Ok(self
            .settle("quality", quality_word(asked), nearest, &allowed)?
            .or(default))
    }

    /// Size and ratio as sent; exactly one of them, or none where nothing can be asked for.
    fn shape(&mut self, options: &ImageOptions) -> Result<(Option<String>, Option<String>), Unfit> {
        let asked_size = options.size.as_deref().and_then(Size::parse);
        let asked_ratio = options
            .aspect_ratio
            .as_deref()
            .and_then(|text| Some((text, size::parse_ratio(text)?)));
        let model = self.model;
        let default = || match (&model.ratios[..], &model.sizes) {
            ([first, ..], _) => (None, Some(first.clone())),
            (_, Sizes::List { values } | Sizes::Multiple { values, .. }) => {
                (values.first().cloned(), None)
            }
            (_, Sizes::RatioOnly {} | Sizes::Fixed { .. }) => (None, None),
        };
        if let Some(asked) = asked_size {
            let chosen = match &model.sizes {
                Sizes::List { values } => size::nearest(values, asked.ratio(), asked.pixels()),
                Sizes::Multiple { .. } => {
                    let bounds = bounds(&model.sizes);
                    bounds.and_then(|bounds| {
                        if bounds.holds(asked) {
                            Some(asked)
                        } else {
                            bounds.fit(asked.ratio(), asked.pixels())
                        }
                    })
                }
                Sizes::Fixed { value } => Size::parse(value),
                Sizes::RatioOnly {} => None,
            };
            if chosen == Some(asked) {
                return Ok((Some(asked.to_string()), None));
            }
            if let Some(chosen) = chosen {
                let allowed = describe(&model.sizes);
                let kept = self.settle(
                    "size",
                    &asked.to_string(),
                    Some((chosen.to_string(), chosen.to_string())),
                    &allowed,
                )?;
                return Ok(kept.map_or_else(default, |size| (Some(size), None)));
            }
            let near = size::nearest_ratio(&model.ratios, asked.ratio())
                .map(|ratio| (ratio.to_owned(), ratio.to_owned()));
            let kept = self.settle("size", &asked.to_string(), near, "ratios only")?;
            return Ok(kept.map_or_else(default, |ratio| (None, Some(ratio))));
        }
        if let Some((text, ratio)) = asked_ratio {
            if let Some(same) = model.ratios.iter().find(|known| {
                size::parse_ratio(known).is_some_and(|known| (known - ratio).abs() < 1e-9)
            }) {
                return Ok((None, Some(same.clone())));
            }
            if !model.ratios.is_empty() {
                let near = size::nearest_ratio(&model.ratios, ratio)
                    .map(|ratio| (ratio.to_owned(), ratio.to_owned()));
                let kept = self.settle("aspect_ratio", text, near, &model.ratios.join(", "))?;
                return Ok(kept.map_or_else(default, |ratio| (None, Some(ratio))));
            }
            let chosen = match &model.sizes {
                Sizes::List { values } | Sizes::Multiple { values, .. } => {
                    let pixels = values
                        .first()
                        .and_then(|text| Size::parse(text))
                        .map_or(1 << 20, Size::pixels);
                    bounds(&model.sizes).map_or_else(
                        || size::nearest(values, ratio, pixels),
                        |bounds| bounds.fit(ratio, pixels),
                    )
                }
                Sizes::Fixed { value } => Size::parse(value),
                Sizes::RatioOnly {} => None,
            };
            let Some(chosen) = chosen else {
                self.settle::<()>("aspect_ratio", text, None, "no ratio")?;
                return Ok(default());
            };
            if size::same_ratio(chosen.ratio(), ratio) {
                return Ok((Some(chosen.to_string()), None));
            }
            let near = (chosen.to_string(), chosen.to_string());
            let kept = self.settle("aspect_ratio", text, Some(near), &describe(&model.sizes))?;
            return Ok(kept.map_or_else(default, |size| (Some(size), None)));
        }
        Ok(default())
    }

    fn format(
        &mut self,
        options: &ImageOptions,
        transparent: bool,
    ) -> Result<Option<ImageFormat>, Unfit> {
        let first = self.model.default_format();
        let has: Vec<ImageFormat> = if self.model.formats.is_empty() {
            vec![first]
        } else {
            self.model.formats.clone()
        };
        let fits = |format: &ImageFormat| {
            has.contains(format) && !(transparent && *format == ImageFormat::Jpeg)
        };
        let Some(asked) = options.format else {
            return Ok(None);
        };
        if fits(&asked) {
            return Ok(Some(asked));
        }
        let nearest = has
            .iter()
            .copied()
            .find(|format| fits(format))
            .map(|format| (format, format.as_str().to_owned()));
        let words = has
            .iter()
            .map(|format| format.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        self.settle("format", asked.as_str(), nearest, &words)
    }

    fn background(&self, asked: Option<BackgroundKind>) -> Result<(), Unfit> {
        let model = self.model;
        let choice = model.has("background");
        let refused = |allowed: &str| {
            Err(Unfit::Unsupported {
                option: "background".to_owned(),
                allowed: format!("{} has {allowed}", model.id),
            })
        };
        match asked {
            Some(BackgroundKind::Transparent) if !model.transparent => {
                refused("no transparent background")
            }
            Some(BackgroundKind::Opaque) if model.transparent && !choice => {
                refused("no opaque background")
            }
            _ => Ok(()),
        }
    }

    fn style(&mut self, asked: Option<&String>) -> Result<Option<String>, Unfit> {
        let Some(asked) = asked else {
            return Ok(None);
        };
        let known = self.model.styles.contains(asked) || self.model.style_presets.contains(asked);
        if known && self.model.has("style") {
            return Ok(Some(asked.clone()));
        }
        let words = self.model.styles.join(", ");
        let allowed = if words.is_empty() {
            "no style".to_owned()
        } else {
            words
        };
        self.settle("style", asked, None, &allowed)
    }

    fn seed(&mut self, asked: Option<u32>) -> Result<Option<u32>, Unfit> {
        let Some(asked) = asked else {
            return Ok(None);
        };
        let Some([low, high]) = self.model.seed else {
            return self.settle("seed", &asked.to_string(), None, "no seed");
        };
        if (low..=high).contains(&asked) {
            return Ok(Some(asked));
        }
        let near = asked.clamp(low, high);
        self.settle(
            "seed",
            &asked.to_string(),
            Some((near, near.to_string())),
            &format!("{low} to {high}"),
        )
    }

    fn moderation(&mut self, asked: Option<Moderation>) -> Result<Option<Moderation>, Unfit> {
        let word = |moderation: Moderation| match moderation {
            Moderation::Strict => "strict",
            Moderation::Default => "default",
            Moderation::Low => "low",
        };
        let choice = self.model.has("moderation");
        match asked {
            None => Ok(None),
            Some(Moderation::Default) => Ok(choice.then_some(Moderation::Default)),
            Some(Moderation::Low) if choice => Ok(Some(Moderation::Low)),
            Some(asked) => {
                let near = choice.then(|| (Moderation::Default, "default".to_owned()));
                self.settle("moderation", word(asked), near, "its own moderation")
            }
        }
    }
}

fn nearest_to_medium(has: &[Quality]) -> Option<Quality> {
    let rank = |quality: Quality| (quality as u8).abs_diff(Quality::Medium as u8);
    has.iter()
        .copied()
        .min_by_key(|quality| (rank(*quality), *quality))
}

const fn quality_word(quality: Quality) -> &'static str {
    match quality {
        Quality::Draft => "draft",
        Quality::Low => "low",
        Quality::Medium => "medium",
        Quality::High => "high",
        Quality::Max => "max",
    }
}

const fn bounds(sizes: &Sizes) -> Option<Bounds> {
    match sizes {
        Sizes::Multiple {
            of,
            min,
            max,
            max_pixels,
            max_ratio,
            ..
        } => Some(Bounds {
            of: *of,
            min: *min,
            max: *max,
            max_pixels: *max_pixels,
            max_ratio: *max_ratio,
        }),
        _ => None,
    }
}

fn describe(sizes: &Sizes) -> String {
    match sizes {
        Sizes::List { values } => format!("{} sizes", values.len()),
        Sizes::Multiple {
            of,
            min,
            max,
            max_ratio,
            ..
        } => {
            format!("multiples of {of}, {min} to {max}, ratio up to {max_ratio}:1")
        }
        Sizes::RatioOnly {} => "ratios only".to_owned(),
        Sizes::Fixed { value } => format!("only {value}"),
    }
}

/// Fits options to a model.
///
/// # Errors
/// Why the model cannot serve it under the request's `on_unsupported`.
pub fn fit(model: &Model, prompt: &str, options: &ImageOptions) -> Result<Fitted, Unfit> {
    check(prompt, options)?;
    let length = prompt.chars().count();
    if model.max_prompt_chars > 0 && length > model.max_prompt_chars {
        return Err(Unfit::PromptTooLong {
            limit: model.max_prompt_chars,
            length,
        });
    }
    if options.n > model.max_n() {
        return Err(Unfit::NTooLarge {
            limit: model.max_n(),
        });
    }
    let mut fit = Fit {
        policy: options.on_unsupported,
        model,
        warnings: Vec::new(),
    };
    fit.background(options.background)?;
    let transparent = options.background == Some(BackgroundKind::Transparent);
    let (size, aspect_ratio) = fit.shape(options)?;
    let quality = fit.quality(options.quality)?;
    let seed = fit.seed(options.seed)?;
    let negative_prompt = match &options.negative_prompt {
        Some(text) if !model.has("negative_prompt") => {
            fit.settle("negative_prompt", text, None, "no negative prompt")?
        }
        other => other.clone(),
    };
    let style = fit.style(options.style.as_ref())?;
    let format = fit.format(options, transparent)?;
    let enhance_prompt = match options.enhance_prompt {
        // Leaving the prompt alone is what a model without the option does.
        Some(false) if !model.has("enhance_prompt") => None,
        Some(true) if !model.has("enhance_prompt") => {
            fit.settle("enhance_prompt", "true", None, "no prompt enhancement")?
        }
        other => other,
    };
    let moderation = fit.moderation(options.moderation)?;
    passthrough::check(model, options)?;
    Ok(Fitted {
        effective: ImageOptions {
            size,
            aspect_ratio,
            quality,
            seed,
            negative_prompt,
            style,
            n: options.n,
            format,
            background: options.background,
            enhance_prompt,
            moderation,
            provider_options: options.provider_options.clone(),
            on_unsupported: options.on_unsupported,
        },
        warnings: fit.warnings,
    })
}
