//! Draws the picture that a vendor would have made: real files, of the asked size, that show the prompt.
//!
//! In scope: the colour field, the text, PNG, JPEG and lossless WebP files, the mark that names the
//! request, padding to a wanted file size. Not in scope: vector pictures, blurred and black answers.
//! Equal pictures give equal bytes: everything is derived from the fields of [`Picture`].

mod canvas;
mod field;
mod file;
mod lettering;

use bytes::Bytes;
use canvas::Canvas;
use std::fmt::Write as _;

/// File format of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// PNG, with real alpha for a transparent background.
    Png,
    /// Baseline JPEG.
    Jpeg,
    /// Lossless WebP.
    Webp,
}

impl Format {
    /// Format by its name on the wire.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "png" => Some(Self::Png),
            "jpeg" => Some(Self::Jpeg),
            "webp" => Some(Self::Webp),
            _ => None,
        }
    }

    /// Name on the wire.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Webp => "webp",
        }
    }

    /// Media type of the file.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
        }
    }
}

/// Everything that a picture depends on.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) model: String,
    pub(crate) prompt: String,
    pub(crate) seed: u64,
    /// Position in its request, from 0.
    pub(crate) index: u32,
    /// Pictures of its request.
    pub(crate) count: u32,
    /// Pixels.
    pub(crate) width: u32,
    /// Pixels.
    pub(crate) height: u32,
    pub(crate) format: Format,
    pub(crate) transparent: bool,
    /// JPEG quality, 1 to 100.
    pub(crate) quality: u8,
    /// Wanted size of the file; reached by padding, or approached by a plain field.
    pub(crate) file_bytes: Option<u64>,
}

/// A picture that an encoder refused; only sizes out of every contract's range get here.
#[derive(Debug)]
pub(crate) struct PictureError(pub(crate) String);

impl Picture {
    /// Draws and encodes the file.
    pub(crate) fn draw(&self) -> Result<Bytes, PictureError> {
        let full = file::encode(self, &self.paint(false))?;
        let Some(wanted) = self.file_bytes else {
            return Ok(full.into());
        };
        let fits = |file: &Vec<u8>| file.len() as u64 <= wanted;
        let base = if fits(&full) {
            full
        } else {
            // One pixel of another colour: only the smallest file is a blank picture.
            let mut plain = self.paint(true);
            if let Some([red, _, _, alpha]) = plain.pixels.first_chunk_mut() {
                (*red, *alpha) = (*red ^ 0x80, 255);
            }
            let dotted = file::encode(self, &plain)?;
            if fits(&dotted) {
                dotted
            } else {
                file::encode(self, &self.paint(true))?
            }
        };
        Ok(file::pad(self.format, base, wanted).into())
    }

    fn paint(&self, plain: bool) -> Canvas {
        let mut canvas = Canvas::new(self.width, self.height);
        field::paint(&mut canvas, self, plain);
        if !plain {
            lettering::paint(&mut canvas, &self.prompt, &self.footer());
        }
        canvas
    }

    fn footer(&self) -> String {
        let Self {
            model,
            width,
            height,
            seed,
            count,
            ..
        } = self;
        let place = self.index + 1;
        format!("{model}  {width}x{height}  seed {seed}  {place}/{count}  SIMULATED")
    }

    /// The JSON of the mark `switchyard-sim`, in ASCII so that a PNG text chunk can hold it.
    fn mark(&self) -> String {
        let json = serde_json::json!({
            "prompt": self.prompt, "seed": self.seed, "model": self.model, "index": self.index,
        })
        .to_string();
        let mut ascii = String::with_capacity(json.len());
        for unit in json.chars() {
            if unit.is_ascii() {
                ascii.push(unit);
            } else {
                let mut pair = [0_u16; 2];
                for half in unit.encode_utf16(&mut pair) {
                    // Writing to a string cannot fail.
                    write!(ascii, "\\u{half:04x}").ok();
                }
            }
        }
        ascii
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn picture() -> Picture {
        Picture {
            model: "ideogram-3".into(),
            prompt: "a red lighthouse, 灯台 🎨 ñ".into(),
            seed: 7,
            index: 1,
            count: 4,
            width: 320,
            height: 200,
            format: Format::Png,
            transparent: false,
            quality: 90,
            file_bytes: None,
        }
    }

    #[test]
    fn every_format_decodes_to_the_asked_size() {
        for format in [Format::Png, Format::Jpeg, Format::Webp] {
            for (width, height) in [(320, 200), (1, 1), (16, 512)] {
                let bytes = Picture {
                    width,
                    height,
                    format,
                    ..picture()
                }
                .draw()
                .unwrap();
                let decoded = image::load_from_memory(&bytes).unwrap();
                assert_eq!((decoded.width(), decoded.height()), (width, height));
            }
        }
    }

    #[test]
    fn each_input_changes_the_bytes_and_the_same_input_does_not() {
        let first = picture().draw().unwrap();
        assert_eq!(first, picture().draw().unwrap());
        let others = [
            Picture {
                prompt: "a blue lighthouse".into(),
                ..picture()
            },
            Picture {
                seed: 8,
                ..picture()
            },
            Picture {
                model: "ideogram-4".into(),
                ..picture()
            },
            Picture {
                index: 2,
                ..picture()
            },
        ];
        for other in others {
            assert_ne!(first, other.draw().unwrap());
        }
    }

    /// The mark and the field depend on the prompt as well, so neither the file nor all of its pixels tell about the text.
    #[test]
    fn the_text_depends_on_the_prompt_and_not_on_the_seed() {
        let lettering = |prompt: &str, seed: u64| -> BTreeSet<(u32, u32)> {
            let bytes = Picture {
                prompt: prompt.into(),
                seed,
                ..picture()
            }
            .draw()
            .unwrap();
            let decoded = image::load_from_memory(&bytes).unwrap().to_rgb8();
            // Full ink only: no field is as light. The footer shows the seed.
            let written = decoded
                .enumerate_pixels()
                .filter(|(_, y, pixel)| *y < 180 && pixel.0 == lettering::WHITE);
            written.map(|(x, y, _)| (x, y)).collect()
        };
        // On navy the ink is white, whatever the seed.
        let first = lettering("a navy lighthouse", 7);
        assert!(first.len() > 50, "{}", first.len());
        assert!(first != lettering("a navy fox", 7), "another prompt");
        assert!(first == lettering("a navy lighthouse", 8), "another seed");
        assert!(lettering("", 7).is_empty());
    }

    #[test]
    fn a_transparent_background_has_real_alpha() {
        for format in [Format::Png, Format::Webp] {
            let bytes = Picture {
                format,
                transparent: true,
                ..picture()
            }
            .draw()
            .unwrap();
            let decoded = image::load_from_memory(&bytes).unwrap().to_rgba8();
            assert!(decoded.pixels().any(|pixel| pixel.0[3] == 0));
            assert!(decoded.pixels().any(|pixel| pixel.0[3] == 255));
        }
    }

    #[test]
    fn a_colour_word_chooses_the_hue() {
        for (word, channel) in [("red", 0), ("green", 1), ("blue", 2)] {
            let bytes = Picture {
                prompt: format!("something {word}"),
                ..picture()
            }
            .draw()
            .unwrap();
            let decoded = image::load_from_memory(&bytes).unwrap().to_rgb8();
            let mut sums = [0_u64; 3];
            for pixel in decoded.pixels() {
                for (sum, value) in sums.iter_mut().zip(pixel.0) {
                    *sum += u64::from(value);
                }
            }
            assert_eq!(sums.iter().max(), Some(&sums[channel]), "{word}: {sums:?}");
        }
    }

    #[test]
    fn a_wanted_size_is_reached_by_padding_in_every_format() {
        for format in [Format::Png, Format::Jpeg, Format::Webp] {
            let bytes = Picture {
                format,
                file_bytes: Some(400_000),
                ..picture()
            }
            .draw()
            .unwrap();
            assert!(
                bytes.len().abs_diff(400_000) < 64,
                "{format:?}: {}",
                bytes.len()
            );
            let decoded = image::load_from_memory(&bytes).unwrap();
            assert_eq!((decoded.width(), decoded.height()), (320, 200));
        }
    }

    #[test]
    fn a_small_wanted_size_is_a_plain_field_and_only_the_smallest_is_blank() {
        let usual = picture().draw().unwrap().len();
        for (wanted, colours) in [(usual - 1, 2), (10, 1)] {
            let file_bytes = Some(wanted as u64);
            let small = Picture {
                file_bytes,
                ..picture()
            };
            let small = small.draw().unwrap();
            assert!(small.len() < usual);
            let decoded = image::load_from_memory(&small).unwrap().to_rgba8();
            let seen: BTreeSet<_> = decoded.pixels().map(|pixel| pixel.0).collect();
            assert_eq!(seen.len(), colours, "{wanted} bytes");
        }
    }

    #[test]
    fn the_mark_survives_letters_beyond_latin() {
        let bytes = picture().draw().unwrap();
        let decoder = png::Decoder::new(std::io::Cursor::new(&bytes[..]));
        let reader = decoder.read_info().unwrap();
        let chunk = &reader.info().uncompressed_latin1_text[0];
        assert_eq!(chunk.keyword, "switchyard-sim");
        let mark: serde_json::Value = serde_json::from_str(&chunk.text).unwrap();
        assert_eq!(mark["prompt"], picture().prompt);
        assert_eq!(mark["index"], 1);
    }

    #[test]
    fn a_long_prompt_and_a_long_word_fit() {
        for prompt in ["word ".repeat(2000), "x".repeat(10_000), String::new()] {
            assert!(
                Picture {
                    prompt,
                    ..picture()
                }
                .draw()
                .is_ok()
            );
        }
    }
}
