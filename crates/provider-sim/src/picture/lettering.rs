//! Writes the prompt and the footer into the picture.
//!
//! In scope: wrapping, the largest size that fits, black or white by contrast. Not in scope: shaping of
//! scripts that the bundled font does not hold; such letters appear as the font's replacement box.

use super::canvas::{Canvas, Colour};
use ab_glyph::{Font, FontRef, ScaleFont, point};
use std::sync::LazyLock;

static FONT: LazyLock<Option<FontRef<'static>>> = LazyLock::new(|| {
    FontRef::try_from_slice(include_bytes!("../../assets/NotoSans-Subset.ttf")).ok()
});

/// Letters shown at most; a longer prompt ends in an ellipsis.
const LETTERS: usize = 1_200;

const BLACK: Colour = [16, 16, 20];
pub(super) const WHITE: Colour = [250, 250, 248];

/// Writes the prompt into the middle and the footer at the lower edge.
pub(super) fn paint(canvas: &mut Canvas, prompt: &str, footer: &str) {
    let Some(font) = FONT.as_ref() else {
        return;
    };
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    let text = shown(prompt);
    let (size, lines) = fit(
        font,
        &text,
        width * 0.86,
        height * 0.66,
        height.min(width) / 9.0,
    );
    let line_height = size * 1.25;
    let top = (height * 0.46 - line_height * lines.len() as f32 / 2.0).max(0.0);
    let bottom = top + line_height * lines.len() as f32;
    let ink = contrast(canvas, width * 0.07, top, width * 0.93, bottom);
    for (number, line) in lines.iter().enumerate() {
        let left = (width - breadth(font, line, size)) / 2.0;
        let baseline = top + line_height * number as f32 + size;
        write(canvas, font, line, size, left, baseline, ink);
    }
    let mut size = (height.min(width) / 42.0).max(8.0);
    let broad = breadth(font, footer, size);
    if broad > width * 0.96 {
        size *= width * 0.96 / broad;
    }
    let baseline = height - size * 0.7;
    let ink = contrast(canvas, 0.0, height - size * 2.0, width, height);
    write(canvas, font, footer, size, size * 0.7, baseline, ink);
}

fn shown(prompt: &str) -> String {
    let words = prompt.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= LETTERS {
        return words;
    }
    words.chars().take(LETTERS).chain(['…']).collect()
}

/// The largest size, and the lines at that size, that stay inside the box; at the smallest size lines are cut off.
fn fit(
    font: &FontRef<'_>,
    text: &str,
    width: f32,
    height: f32,
    largest: f32,
) -> (f32, Vec<String>) {
    let mut size = largest.max(9.0);
    loop {
        let mut lines = wrap(font, text, width / size);
        let room = (height / (size * 1.25)).max(1.0) as usize;
        if lines.len() <= room {
            return (size, lines);
        }
        if size <= 9.0 {
            lines.truncate(room);
            return (size, lines);
        }
        size = (size * 0.86).max(9.0);
    }
}

fn wrap(font: &FontRef<'_>, text: &str, width_em: f32) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut used) = (String::new(), 0.0);
    let space = advance(font, ' ');
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let broad: f32 = word.chars().map(|letter| advance(font, letter)).sum();
        if !line.is_empty() && used + space + broad > width_em {
            lines.push(std::mem::take(&mut line));
            used = 0.0;
        }
        if !line.is_empty() {
            line.push(' ');
            used += space;
        }
        for letter in word.chars() {
            let step = advance(font, letter);
            if !line.is_empty() && used + step > width_em {
                lines.push(std::mem::take(&mut line));
                used = 0.0;
            }
            line.push(letter);
            used += step;
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// Advance of a letter in em.
fn advance(font: &FontRef<'_>, letter: char) -> f32 {
    font.as_scaled(1.0).h_advance(font.glyph_id(letter))
}

fn breadth(font: &FontRef<'_>, line: &str, size: f32) -> f32 {
    line.chars()
        .map(|letter| advance(font, letter))
        .sum::<f32>()
        * size
}

fn contrast(canvas: &mut Canvas, left: f32, top: f32, right: f32, bottom: f32) -> Colour {
    let light = canvas.brightness(left as u32, top as u32, right as u32, bottom.ceil() as u32);
    if light > 140 { BLACK } else { WHITE }
}

fn write(
    canvas: &mut Canvas,
    font: &FontRef<'_>,
    line: &str,
    size: f32,
    left: f32,
    baseline: f32,
    ink: Colour,
) {
    let mut pen = left;
    for letter in line.chars() {
        let glyph = font
            .glyph_id(letter)
            .with_scale_and_position(size, point(pen, baseline));
        pen += advance(font, letter) * size;
        let Some(outline) = font.outline_glyph(glyph) else {
            continue;
        };
        let bounds = outline.px_bounds();
        outline.draw(|x, y, cover| {
            let (x, y) = (bounds.min.x + x as f32, bounds.min.y + y as f32);
            if x >= 0.0 && y >= 0.0 {
                canvas.blend(
                    x as u32,
                    y as u32,
                    ink,
                    (cover.clamp(0.0, 1.0) * 255.0) as u8,
                );
            }
        });
    }
}
