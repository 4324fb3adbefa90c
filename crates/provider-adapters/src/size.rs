//! Sizes and ratios: reading them, and the nearest one that a model has.
//!
//! In scope: pure geometry. Out of scope: which option wins (module `options`).

/// Width and height, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

impl Size {
    /// Reads `WIDTHxHEIGHT`, both 1 to 65,535.
    pub fn parse(text: &str) -> Option<Self> {
        let (width, height) = pair(text, 'x', 65_535)?;
        Some(Self { width, height })
    }

    /// Pixels in all.
    pub const fn pixels(self) -> u64 {
        self.width as u64 * self.height as u64
    }

    /// Width over height.
    pub fn ratio(self) -> f64 {
        f64::from(self.width) / f64::from(self.height)
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

fn pair(text: &str, separator: char, most: u32) -> Option<(u32, u32)> {
    let (left, right) = text.split_once(separator)?;
    let number = |text: &str| -> Option<u32> {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = plain.then(|| text.parse().ok())??;
        (1..=most).contains(&number).then_some(number)
    };
    Some((number(left)?, number(right)?))
}

/// Reads `W:H`, both 1 to 1,000, as width over height.
pub fn parse_ratio(text: &str) -> Option<f64> {
    let (width, height) = pair(text, ':', 1_000)?;
    Some(f64::from(width) / f64::from(height))
}

/// How far apart two ratios are: |ln(a / b)|.
pub fn distance(left: f64, right: f64) -> f64 {
    (left / right).ln().abs()
}

/// Two ratios that nobody would tell apart: within 2 %.
pub fn same_ratio(left: f64, right: f64) -> bool {
    distance(left, right) <= 0.02
}

/// The nearest of `presets`: by ratio, then by pixels, then the first.
pub fn nearest(presets: &[String], ratio: f64, pixels: u64) -> Option<Size> {
    presets
        .iter()
        .filter_map(|text| Size::parse(text))
        .map(|size| {
            let off = distance(size.ratio(), ratio);
            let area = distance(size.pixels() as f64, pixels.max(1) as f64);
            (size, off, area)
        })
        .reduce(|best, next| {
            let nearer = next.1.total_cmp(&best.1).then(next.2.total_cmp(&best.2));
            if nearer.is_lt() { next } else { best }
        })
        .map(|(size, _, _)| size)
}

/// The nearest of `ratios`, as it is written.
pub fn nearest_ratio(ratios: &[String], ratio: f64) -> Option<&str> {
    ratios
        .iter()
        .filter_map(|text| Some((text.as_str(), distance(parse_ratio(text)?, ratio))))
        .reduce(|best, next| if next.1 < best.1 { next } else { best })
        .map(|(text, _)| text)
}

/// Bounds of computed sizes.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Both sides are multiples of it.
    pub of: u32,
    /// Shortest side.
    pub min: u32,
    /// Longest side.
    pub max: u32,
    /// Most pixels.
    pub max_pixels: u64,
    /// Longest side over shortest.
    pub max_ratio: u32,
}

impl Bounds {
    /// Whether the size is inside.
    pub fn holds(&self, size: Size) -> bool {
        let (short, long) = (size.width.min(size.height), size.width.max(size.height));
        size.width.is_multiple_of(self.of)
            && size.height.is_multiple_of(self.of)
            && short >= self.min
            && long <= self.max
            && size.pixels() <= self.max_pixels
            && u64::from(long) <= u64::from(short) * u64::from(self.max_ratio)
    }

    /// The size inside that has the ratio, as far as the bounds let it, and about that many pixels.
    pub fn fit(&self, ratio: f64, pixels: u64) -> Option<Size> {
        let most = f64::from(self.max_ratio);
        let ratio = ratio.clamp(1.0 / most, most);
        let of = f64::from(self.of.max(1));
        let pixels = pixels.clamp(1, self.max_pixels) as f64;
        let ideal_width = (pixels * ratio).sqrt();
        let mut best: Option<(Size, f64, f64)> = None;
        // A few multiples around the ideal: rounding one side decides the other.
        for step in -3_i32..=3 {
            let width = self.clamp_side(((ideal_width / of).round() + f64::from(step)) * of);
            for height in [
                self.clamp_side((f64::from(width) / ratio / of).floor() * of),
                self.clamp_side((f64::from(width) / ratio / of).ceil() * of),
            ] {
                let size = Size { width, height };
                if !self.holds(size) {
                    continue;
                }
                let off = distance(size.ratio(), ratio);
                let area = distance(size.pixels() as f64, pixels);
                // Within 2 % a ratio is kept; then the pixels decide.
                let rank = (off - 0.02).max(0.0);
                let nearer = best.is_none_or(|(_, best_rank, best_area)| {
                    rank.total_cmp(&best_rank)
                        .then(area.total_cmp(&best_area))
                        .is_lt()
                });
                if nearer {
                    best = Some((size, rank, area));
                }
            }
        }
        best.map(|(size, _, _)| size)
    }

    fn clamp_side(&self, side: f64) -> u32 {
        let of = self.of.max(1);
        let low = self.min.div_ceil(of) * of;
        let high = (self.max / of * of).max(low);
        (side.max(0.0) as u32).clamp(low, high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn only_plain_positive_numbers_are_sizes() {
        assert_eq!(Size::parse("1024x768").map(Size::pixels), Some(786_432));
        for bad in [
            "", "x", "0x1", "1x0", "+1x1", "1 x1", "1x1x1", "1X1", "99999x1", "auto", "１x1",
        ] {
            assert!(Size::parse(bad).is_none(), "{bad}");
        }
        assert!(parse_ratio("16:9").is_some() && parse_ratio("16x9").is_none());
    }

    #[test]
    fn ratio_counts_before_pixels_and_the_first_wins_a_tie() {
        let presets = texts(&["512x512", "1024x1024", "1536x1024", "1024x1024"]);
        let near = |text: &str| {
            let size = Size::parse(text).unwrap();
            nearest(&presets, size.ratio(), size.pixels())
                .unwrap()
                .to_string()
        };
        assert_eq!(near("1000x1000"), "1024x1024");
        assert_eq!(near("100x100"), "512x512");
        assert_eq!(near("300x200"), "1536x1024");
        assert_eq!(nearest_ratio(&texts(&["1:1", "16:9"]), 1.7), Some("16:9"));
        assert_eq!(nearest_ratio(&texts(&["1:1", "16:9"]), 0.01), Some("1:1"));
    }

    proptest! {
        #[test]
        fn no_preset_is_nearer(width in 1_u32..5000, height in 1_u32..5000,
            sides in proptest::collection::vec((64_u32..4096, 64_u32..4096), 1..40)) {
            let presets: Vec<String> = sides.iter().map(|(w, h)| format!("{w}x{h}")).collect();
            let asked = Size { width, height };
            let chosen = nearest(&presets, asked.ratio(), asked.pixels()).unwrap();
            let off = |size: Size| (distance(size.ratio(), asked.ratio()), distance(size.pixels() as f64, asked.pixels() as f64));
            let (ratio, area) = off(chosen);
            for preset in &presets {
                let (other_ratio, other_area) = off(Size::parse(preset).unwrap());
                prop_assert!(other_ratio > ratio || (other_ratio - ratio).abs() < 1e-12 && other_area >= area - 1e-12);
            }
        }

        #[test]
        fn computed_sizes_stay_inside_their_bounds(ratio in 0.05_f64..20.0, pixels in 1_u64..40_000_000) {
            for bounds in [
                Bounds { of: 16, min: 256, max: 3840, max_pixels: 8_294_400, max_ratio: 3 },
                Bounds { of: 32, min: 256, max: 4096, max_pixels: 4_194_304, max_ratio: 6 },
            ] {
                let size = bounds.fit(ratio, pixels);
                prop_assert!(size.is_some_and(|size| bounds.holds(size)), "{size:?}");
                let most = f64::from(bounds.max_ratio);
                if (1.05 / most..most / 1.05).contains(&ratio) && (900_000..4_000_000).contains(&pixels) {
                    let size = size.unwrap();
                    prop_assert!(distance(size.ratio(), ratio) < 0.04, "{size} {ratio}");
                }
            }
        }
    }
}
