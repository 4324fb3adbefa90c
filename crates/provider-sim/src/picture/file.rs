//! Encodes a canvas as a file, marks it, and pads it to a wanted size.
//!
//! In scope: PNG, JPEG, lossless WebP and their free-form chunks. Not in scope: drawing.

use super::canvas::Canvas;
use super::{Format, Picture, PictureError};
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;

/// Keyword of the mark in every file.
const KEYWORD: &str = "switchyard-sim";

/// Largest content of one JPEG segment: a 16-bit length that counts itself.
const SEGMENT_BYTES: usize = 65_533;

fn refused(error: impl std::fmt::Display) -> PictureError {
    PictureError(error.to_string())
}

/// Encodes the canvas in the picture's format, with its mark.
pub(super) fn encode(picture: &Picture, canvas: &Canvas) -> Result<Vec<u8>, PictureError> {
    let alpha = picture.transparent && picture.format != Format::Jpeg;
    let opaque: Vec<u8>;
    let pixels = if alpha {
        &canvas.pixels
    } else {
        opaque = without_alpha(&canvas.pixels);
        &opaque
    };
    let (width, height) = (canvas.width, canvas.height);
    let kind = if alpha {
        ExtendedColorType::Rgba8
    } else {
        ExtendedColorType::Rgb8
    };
    match picture.format {
        Format::Png => encode_png(picture, pixels, alpha),
        Format::Jpeg => {
            let mut bytes = Vec::new();
            JpegEncoder::new_with_quality(&mut bytes, picture.quality.clamp(1, 100))
                .encode(pixels, width, height, kind)
                .map_err(refused)?;
            let mark = format!("{KEYWORD}\0{}", picture.mark());
            Ok(with_jpeg_comments(&bytes, mark.as_bytes()))
        }
        Format::Webp => {
            let mut bytes = Vec::new();
            WebPEncoder::new_lossless(&mut bytes)
                .encode(pixels, width, height, kind)
                .map_err(refused)?;
            let mark = format!("{KEYWORD}\0{}", picture.mark());
            Ok(with_webp_chunk(bytes, *b"SIMU", mark.as_bytes()))
        }
    }
}

fn encode_png(picture: &Picture, pixels: &[u8], alpha: bool) -> Result<Vec<u8>, PictureError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, picture.width, picture.height);
    encoder.set_color(if alpha {
        png::ColorType::Rgba
    } else {
        png::ColorType::Rgb
    });
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    // A fixed filter: the adaptive one costs more time than it saves bytes on smooth fields.
    encoder.set_filter(png::Filter::Up);
    encoder
        .add_text_chunk(KEYWORD.into(), picture.mark())
        .map_err(refused)?;
    let mut writer = encoder.write_header().map_err(refused)?;
    writer.write_image_data(pixels).map_err(refused)?;
    writer.finish().map_err(refused)?;
    Ok(bytes)
}

fn without_alpha(pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(pixels.len() / 4 * 3);
    for pixel in pixels.chunks_exact(4) {
        bytes.extend_from_slice(pixel.get(..3).unwrap_or_default());
    }
    bytes
}

/// Adds free-form content until the file has about `wanted` bytes; a larger file is left as it is.
pub(super) fn pad(format: Format, mut bytes: Vec<u8>, wanted: u64) -> Vec<u8> {
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    // A chunk costs up to 12 bytes of its own.
    let Some(missing) = wanted.checked_sub(bytes.len() + 12) else {
        return bytes;
    };
    match format {
        Format::Png => {
            let mut chunk = b"siMu".to_vec();
            chunk.resize(4 + missing, 0);
            let check = crc(&chunk);
            // Before the 12 bytes of IEND.
            let end = bytes.split_off(bytes.len().saturating_sub(12));
            bytes.extend_from_slice(&(missing as u32).to_be_bytes());
            bytes.extend_from_slice(&chunk);
            bytes.extend_from_slice(&check.to_be_bytes());
            bytes.extend_from_slice(&end);
            bytes
        }
        Format::Jpeg => {
            let own = 4 * missing.div_ceil(SEGMENT_BYTES);
            with_jpeg_comments(&bytes, &vec![0; missing.saturating_sub(own)])
        }
        Format::Webp => with_webp_chunk(bytes, *b"SIMP", &vec![0; missing]),
    }
}

/// The checksum of PNG chunks (ISO 3309).
fn crc(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0_u32; 256];
        let mut index = 0_usize;
        while index < 256 {
            let mut value = index as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 {
                    0xEDB8_8320 ^ (value >> 1)
                } else {
                    value >> 1
                };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    !bytes.iter().fold(!0_u32, |sum, byte| {
        let index = (sum ^ u32::from(*byte)) & 0xFF;
        TABLE.get(index as usize).copied().unwrap_or_default() ^ (sum >> 8)
    })
}

fn with_jpeg_comments(bytes: &[u8], content: &[u8]) -> Vec<u8> {
    let (start, rest) = bytes.split_at(2.min(bytes.len()));
    let mut marked = Vec::with_capacity(bytes.len() + content.len() + 64);
    marked.extend_from_slice(start);
    for part in content.chunks(SEGMENT_BYTES) {
        marked.extend_from_slice(&[0xFF, 0xFE]);
        marked.extend_from_slice(&((part.len() + 2) as u16).to_be_bytes());
        marked.extend_from_slice(part);
    }
    marked.extend_from_slice(rest);
    marked
}

fn with_webp_chunk(mut bytes: Vec<u8>, name: [u8; 4], content: &[u8]) -> Vec<u8> {
    bytes.extend_from_slice(&name);
    bytes.extend_from_slice(&(content.len() as u32).to_le_bytes());
    bytes.extend_from_slice(content);
    if content.len() % 2 == 1 {
        bytes.push(0);
    }
    let riff = (bytes.len().saturating_sub(8) as u32).to_le_bytes();
    if let Some(field) = bytes.get_mut(4..8) {
        field.copy_from_slice(&riff);
    }
    bytes
}
