//! What a file's own bytes say about it, seen while they pass: format, dimensions, whether the end is there, whether there
//! is anything to see.
//!
//! In scope: any split of the bytes into chunks, constant memory. Out of scope: whether it is what was asked for.

use crate::blank::{BlankWatch, Rows};
use crate::dimensions::{announced_length, dimensions, format};
use api_types::ImageFormat;

/// Headers are looked for in that many first bytes; metadata of cameras and colour profiles stands before them.
const MAX_HEAD_BYTES: usize = 512 * 1024;
const TAIL_BYTES: usize = 16;
const PNG_END: &[u8] = b"\x00\x00\x00\x00IEND\xaeB`\x82";
/// Under 0.005 bytes a pixel no encoder keeps a picture.
const PIXELS_PER_BYTE: u64 = 200;

/// Why a picture seems to show nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blank {
    /// Its rows were looked at, and have one colour.
    Seen,
    /// Nobody looked, but the file is smaller than any picture of that size.
    Suspected,
}

impl Blank {
    /// The word in JSON and ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seen => "blank",
            Self::Suspected => "suspect_blank",
        }
    }
}

/// The facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// From the first bytes.
    pub format: ImageFormat,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Whether it seems to show nothing.
    pub blank: Option<Blank>,
}

impl Probe {
    /// `WIDTHxHEIGHT`.
    pub fn dimensions(&self) -> String {
        format!("{}x{}", self.width, self.height)
    }
}

/// Why the bytes are not a whole picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeError {
    /// There are none.
    Empty,
    /// They are something else.
    NotAnImage,
    /// The header does not tell the dimensions.
    NoDimensions,
    /// The end is missing.
    Truncated,
}

impl std::fmt::Display for ProbeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "the file is empty",
            Self::NotAnImage => "the file is not a picture",
            Self::NoDimensions => "the file does not tell its dimensions",
            Self::Truncated => "the end of the file is missing",
        })
    }
}

/// Watches the bytes of one file.
#[derive(Clone, Debug, Default)]
pub struct Prober {
    head: Vec<u8>,
    tail: Vec<u8>,
    length_bytes: u64,
    format: Option<ImageFormat>,
    dimensions: Option<(u32, u32)>,
    blank: BlankWatch,
}

impl Prober {
    /// The next bytes.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.length_bytes += chunk.len() as u64;
        self.keep_tail(chunk);
        self.blank.feed(chunk);
        let wants_head = self.dimensions.is_none()
            || (self.format == Some(ImageFormat::Avif)
                && announced_length(ImageFormat::Avif, &self.head).is_none());
        if !wants_head || self.head.len() >= MAX_HEAD_BYTES {
            return;
        }
        let room = MAX_HEAD_BYTES - self.head.len();
        self.head
            .extend_from_slice(chunk.get(..room).unwrap_or(chunk));
        if self.format.is_none() {
            self.format = format(&self.head);
        }
        self.dimensions = self
            .format
            .and_then(|format| dimensions(format, &self.head));
    }

    fn keep_tail(&mut self, chunk: &[u8]) {
        let fresh = chunk
            .get(chunk.len().saturating_sub(TAIL_BYTES)..)
            .unwrap_or(chunk);
        self.tail.extend_from_slice(fresh);
        let surplus = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..surplus);
    }

    /// The format, as soon as the first bytes tell.
    pub fn format(&self) -> Option<ImageFormat> {
        self.format
    }

    /// Bytes so far.
    pub fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    /// The facts of the whole file.
    pub fn finish(&self) -> Result<Probe, ProbeError> {
        if self.length_bytes == 0 {
            return Err(ProbeError::Empty);
        }
        let format = self.format.ok_or(ProbeError::NotAnImage)?;
        if !self.has_end(format) {
            return Err(ProbeError::Truncated);
        }
        let (width, height) = self.dimensions.ok_or(ProbeError::NoDimensions)?;
        Ok(Probe {
            format,
            width,
            height,
            blank: self.blank(width, height),
        })
    }

    fn blank(&self, width: u32, height: u32) -> Option<Blank> {
        match self.blank.rows() {
            Some(Rows::Drawn) => None,
            Some(Rows::Blank) => Some(Blank::Seen),
            None => {
                let pixels = u64::from(width) * u64::from(height);
                let small = self.length_bytes.saturating_mul(PIXELS_PER_BYTE) < pixels;
                small.then_some(Blank::Suspected)
            }
        }
    }

    fn has_end(&self, format: ImageFormat) -> bool {
        match format {
            ImageFormat::Png => self.tail.ends_with(PNG_END),
            // Some encoders pad after the marker.
            ImageFormat::Jpeg => {
                let padding = self.tail.iter().rev().take_while(|b| **b == 0).count();
                self.tail
                    .get(..self.tail.len() - padding)
                    .is_some_and(|tail| tail.ends_with(b"\xff\xd9"))
            }
            ImageFormat::Gif => self.tail.last() == Some(&0x3b),
            ImageFormat::Webp | ImageFormat::Avif => announced_length(format, &self.head)
                .is_some_and(|announced| self.length_bytes >= announced),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn png(width: u32, height: u32, body: usize) -> Vec<u8> {
        let mut file = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR".to_vec();
        file.extend(width.to_be_bytes());
        file.extend(height.to_be_bytes());
        file.extend(b"\x08\x02\x00\x00\x00crc!");
        file.extend(std::iter::repeat_n(0xab, body));
        file.extend(PNG_END);
        file
    }

    fn jpeg() -> Vec<u8> {
        let mut file =
            b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00".to_vec();
        file.extend(b"\xff\xff\xe1\x00\x06exif");
        file.extend(b"\xff\xc0\x00\x11\x08\x02\x00\x03\x00\x03");
        file.extend([0x11; 9]);
        file.extend(b"\xff\xda\x00\x02scan\xff\xd9");
        file
    }

    fn webp(kind: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut file = b"RIFF".to_vec();
        file.extend((12 + payload.len() as u32).to_le_bytes());
        file.extend(b"WEBP");
        file.extend(kind);
        file.extend((payload.len() as u32).to_le_bytes());
        file.extend(payload);
        file
    }

    fn gif() -> Vec<u8> {
        let mut file = b"GIF89a".to_vec();
        file.extend([0x40, 0x01, 0xf0, 0x00, 0, 0, 0]);
        file.extend([0x2c; 20]);
        file.push(0x3b);
        file
    }

    fn avif() -> Vec<u8> {
        let mut file = b"\x00\x00\x00\x14ftypavif\x00\x00\x00\x00mif1".to_vec();
        let mut meta = b"\x00\x00\x00\x00metaxxxx".to_vec();
        meta.extend(b"\x00\x00\x00\x14ispe\x00\x00\x00\x00\x00\x00\x00\x40\x00\x00\x00\x20");
        meta.extend(b"\x00\x00\x00\x14ispe\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x02\x00");
        let length = meta.len() as u32;
        meta[..4].copy_from_slice(&length.to_be_bytes());
        file.extend(meta);
        file.extend(b"\x00\x00\x00\x28mdat");
        file.extend([0x55; 32]);
        file
    }

    fn files() -> Vec<(Vec<u8>, Probe)> {
        let fact = |format, width, height| Probe {
            format,
            width,
            height,
            blank: None,
        };
        let mut files = vec![
            (png(1024, 768, 300), fact(ImageFormat::Png, 1024, 768)),
            (jpeg(), fact(ImageFormat::Jpeg, 768, 512)),
            (gif(), fact(ImageFormat::Gif, 320, 240)),
            (
                webp(b"VP8X", &[0, 0, 0, 0, 0xff, 3, 0, 0xff, 1, 0]),
                fact(ImageFormat::Webp, 1024, 512),
            ),
            (
                webp(b"VP8 ", b"abc\x9d\x01\x2a\x40\x01\xf0\x00rest"),
                fact(ImageFormat::Webp, 320, 240),
            ),
            (
                webp(b"VP8L", &[0x2f, 0x3f, 0xc1, 0x3b, 0, 1, 2, 3]),
                fact(ImageFormat::Webp, 320, 240),
            ),
            (avif(), fact(ImageFormat::Avif, 1024, 512)),
        ];
        for (file, probe) in &mut files {
            let pixels = u64::from(probe.width * probe.height);
            if file.len() as u64 * 1_000 < pixels * 5 {
                probe.blank = Some(Blank::Suspected);
            }
        }
        files
    }

    fn probe(chunks: &[&[u8]]) -> Result<Probe, ProbeError> {
        let mut prober = Prober::default();
        for chunk in chunks {
            prober.feed(chunk);
        }
        prober.finish()
    }

    #[test]
    fn whole_files_tell_format_and_dimensions() {
        for (file, expected) in files() {
            assert_eq!(probe(&[&file]), Ok(expected));
            let bytes: Vec<&[u8]> = file.chunks(1).collect();
            assert_eq!(probe(&bytes), Ok(expected), "byte by byte");
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        for (file, expected) in files() {
            for end in 0..file.len() {
                let result = probe(&[&file[..end]]);
                assert!(result.is_err(), "{:?} cut at {end}", expected.format);
            }
        }
    }

    #[test]
    fn other_answers_are_not_images() {
        for text in [
            "<!doctype html><p>busy</p>",
            "{\"error\":\"gone\"}",
            "%PDF-1.7",
            "<svg/>",
        ] {
            assert_eq!(probe(&[text.as_bytes()]), Err(ProbeError::NotAnImage));
        }
        assert_eq!(probe(&[]), Err(ProbeError::Empty));
        assert_eq!(probe(&[&png(0, 5, 3)]), Err(ProbeError::NoDimensions));
    }

    proptest! {
        #[test]
        fn the_split_into_chunks_does_not_matter(which in 0_usize..7, cuts in prop::collection::vec(0_usize..400, 0..6)) {
            let (file, expected) = files().swap_remove(which);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % file.len()).collect();
            cuts.extend([0, file.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &file[pair[0]..pair[1]]).collect();
            prop_assert_eq!(probe(&chunks), Ok(expected));
        }

        #[test]
        fn changed_bytes_never_make_it_fall_over(which in 0_usize..7, changes in prop::collection::vec((0_usize..400, any::<u8>()), 1..40)) {
            let (mut file, _) = files().swap_remove(which);
            let length = file.len();
            for (at, with) in changes {
                file[at % length] = with;
            }
            let _ = probe(&[&file]);
        }
    }
}
