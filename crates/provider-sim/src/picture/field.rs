//! The colour field behind the text: a gradient of two colours and five to nine shapes.
//!
//! In scope: colours, also from colour words of the prompt, and shapes. Not in scope: text.

use super::Picture;
use super::canvas::{Canvas, Colour, over};
use ring::digest::{Context, SHA256};

/// Hue in degrees, saturation and lightness in percent, by colour word.
const WORDS: [(&str, u16, u8, u8); 22] = [
    ("red", 2, 80, 48),
    ("crimson", 348, 80, 44),
    ("scarlet", 8, 88, 50),
    ("orange", 28, 90, 55),
    ("amber", 40, 90, 52),
    ("gold", 46, 85, 50),
    ("golden", 46, 85, 50),
    ("yellow", 54, 92, 56),
    ("lime", 84, 75, 48),
    ("green", 130, 65, 38),
    ("teal", 178, 65, 36),
    ("turquoise", 174, 65, 50),
    ("cyan", 188, 80, 50),
    ("blue", 222, 80, 48),
    ("navy", 226, 70, 24),
    ("purple", 276, 65, 44),
    ("violet", 270, 70, 54),
    ("pink", 334, 80, 70),
    ("brown", 24, 50, 30),
    ("black", 240, 6, 12),
    ("white", 40, 10, 92),
    ("grey", 220, 5, 50),
];

/// Numbers derived from the picture's fields, always in the same order.
struct Dice(u64);

impl Dice {
    fn new(picture: &Picture) -> Self {
        let mut context = Context::new(&SHA256);
        for part in [picture.model.as_bytes(), picture.prompt.as_bytes()] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        context.update(&picture.seed.to_le_bytes());
        context.update(&picture.index.to_le_bytes());
        let digest = context.finish();
        Self(digest.as_ref().iter().fold(0, |sum: u64, byte| {
            sum.rotate_left(8)
                .wrapping_mul(31)
                .wrapping_add(u64::from(*byte))
        }))
    }

    /// The next number below `limit` (`SplitMix64`).
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }

    fn fraction(&mut self) -> f32 {
        self.below(10_000) as f32 / 10_000.0
    }
}

/// Paints the field; `plain` leaves one colour only, for the smallest file.
pub(super) fn paint(canvas: &mut Canvas, picture: &Picture, plain: bool) {
    let mut dice = Dice::new(picture);
    let (hue, saturation, lightness) = base_colour(&picture.prompt, &mut dice);
    let first = from_hsl(hue, saturation, lightness);
    if plain {
        let alpha = if picture.transparent { 0 } else { 255 };
        let [red, green, blue] = first;
        for pixel in canvas.pixels.chunks_exact_mut(4) {
            pixel.copy_from_slice(&[red, green, blue, alpha]);
        }
        return;
    }
    let second = from_hsl(hue + 40.0, saturation * 0.9, (lightness * 0.62).max(0.06));
    let angle = dice.fraction() * std::f32::consts::TAU;
    if !picture.transparent {
        gradient(canvas, first, second, angle);
    }
    for _ in 0..5 + dice.below(5) {
        shape(
            canvas,
            &mut dice,
            hue,
            saturation,
            lightness,
            picture.transparent,
        );
    }
}

fn base_colour(prompt: &str, dice: &mut Dice) -> (f32, f32, f32) {
    // Always rolled, so that a colour word changes the colour and not the shapes.
    let (hue, saturation, lightness) = (
        dice.fraction() * 360.0,
        0.45 + dice.fraction() * 0.35,
        0.40 + dice.fraction() * 0.22,
    );
    let lower = prompt.to_lowercase();
    let named = lower
        .split(|letter: char| !letter.is_alphanumeric())
        .find_map(|word| {
            let word = if word == "gray" { "grey" } else { word };
            WORDS.iter().find(|row| row.0 == word)
        });
    named.map_or((hue, saturation, lightness), |row| {
        (
            f32::from(row.1),
            f32::from(row.2) / 100.0,
            f32::from(row.3) / 100.0,
        )
    })
}

fn gradient(canvas: &mut Canvas, first: Colour, second: Colour, angle: f32) {
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    let (along, down) = (angle.cos(), angle.sin());
    let reach = (along.abs() * width + down.abs() * height).max(1.0);
    let steps: Vec<[u8; 4]> = (0..=1024_u16)
        .map(|step| {
            let part = f32::from(step) / 1024.0;
            let mix = |index: usize| {
                let from = f32::from(first.get(index).copied().unwrap_or_default());
                let to = f32::from(second.get(index).copied().unwrap_or_default());
                (from + (to - from) * part) as u8
            };
            [mix(0), mix(1), mix(2), 255]
        })
        .collect();
    for y in 0..canvas.height {
        let base = (y as f32 - height / 2.0) * down - width / 2.0 * along + reach / 2.0;
        for (x, pixel) in canvas.row(y).chunks_exact_mut(4).enumerate() {
            let part = (base + x as f32 * along) / reach;
            let step = ((part * 1024.0) as usize).min(1024);
            if let Some(colour) = steps.get(step) {
                pixel.copy_from_slice(colour);
            }
        }
    }
}

fn shape(
    canvas: &mut Canvas,
    dice: &mut Dice,
    hue: f32,
    saturation: f32,
    lightness: f32,
    solid: bool,
) {
    let turn = (dice.fraction() - 0.5) * 60.0;
    let light = (lightness + (dice.fraction() - 0.5) * 0.5).clamp(0.08, 0.92);
    let colour = from_hsl(hue + turn, saturation, light);
    let cover = if solid {
        255
    } else {
        70 + dice.below(110) as u8
    };
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    let size = width.min(height) * (0.08 + dice.fraction() * 0.24);
    let (middle_x, middle_y) = (dice.fraction() * width, dice.fraction() * height);
    let kind = dice.below(3);
    let top = (middle_y - size).max(0.0) as u32;
    let bottom = ((middle_y + size) as u32).min(canvas.height);
    for y in top..bottom {
        let offset = y as f32 + 0.5 - middle_y;
        let half = match kind {
            0 => (size * size - offset * offset).max(0.0).sqrt(),
            1 => size,
            _ => f32::midpoint(offset, size),
        };
        let left = (middle_x - half).max(0.0) as usize;
        let right = ((middle_x + half).max(0.0) as usize).min(canvas.width as usize);
        if let Some(run) = canvas.row(y).get_mut(left.min(right) * 4..right * 4) {
            for pixel in run.chunks_exact_mut(4) {
                over(pixel, colour, cover);
            }
        }
    }
}

fn from_hsl(hue: f32, saturation: f32, lightness: f32) -> Colour {
    let reach = saturation * lightness.min(1.0 - lightness);
    let channel = |offset: f32| {
        let place = (offset + hue / 30.0).rem_euclid(12.0);
        let value = lightness - reach * (place - 3.0).min(9.0 - place).clamp(-1.0, 1.0);
        (value * 255.0).round() as u8
    };
    [channel(0.0), channel(8.0), channel(4.0)]
}
