//! Format and dimensions from the first bytes of a picture.
//!
//! In scope: PNG, JPEG, WebP, AVIF, GIF. Out of scope: decoding pixels. Every read is bounds-checked: the bytes come
//! from outside.

use api_types::ImageFormat;

fn be16(bytes: &[u8], at: usize) -> Option<u32> {
    let pair: [u8; 2] = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
    Some(u32::from(u16::from_be_bytes(pair)))
}

fn le16(bytes: &[u8], at: usize) -> Option<u32> {
    let pair: [u8; 2] = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
    Some(u32::from(u16::from_le_bytes(pair)))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    let four: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    Some(u32::from_be_bytes(four))
}

fn le24(bytes: &[u8], at: usize) -> Option<u32> {
    let three: [u8; 3] = bytes.get(at..at.checked_add(3)?)?.try_into().ok()?;
    Some(u32::from_le_bytes([three[0], three[1], three[2], 0]))
}

/// The format that the first 16 bytes announce.
pub(crate) fn format(head: &[u8]) -> Option<ImageFormat> {
    if head.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some(ImageFormat::Png)
    } else if head.starts_with(b"\xff\xd8\xff") {
        Some(ImageFormat::Jpeg)
    } else if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
        Some(ImageFormat::Webp)
    } else if head.starts_with(b"GIF87a") || head.starts_with(b"GIF89a") {
        Some(ImageFormat::Gif)
    } else if head.get(4..8) == Some(b"ftyp")
        && matches!(head.get(8..12), Some(b"avif" | b"avis" | b"mif1" | b"msf1"))
    {
        Some(ImageFormat::Avif)
    } else {
        None
    }
}

/// Width and height; `None` when these bytes do not hold them (yet).
pub(crate) fn dimensions(format: ImageFormat, head: &[u8]) -> Option<(u32, u32)> {
    let found = match format {
        ImageFormat::Png => (head.get(12..16) == Some(b"IHDR"))
            .then(|| Some((be32(head, 16)?, be32(head, 20)?)))
            .flatten(),
        ImageFormat::Gif => Some((le16(head, 6)?, le16(head, 8)?)),
        ImageFormat::Jpeg => jpeg(head),
        ImageFormat::Webp => webp(head),
        ImageFormat::Avif => avif(head),
    };
    found.filter(|(width, height)| *width > 0 && *height > 0)
}

fn jpeg(head: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    loop {
        if *head.get(at)? != 0xff {
            return None;
        }
        let marker = *head.get(at + 1)?;
        match marker {
            // Fill bytes, and markers without a length.
            0xff => at += 1,
            0x01 | 0xd0..=0xd8 => at += 2,
            // Start of frame, all kinds but DHT, JPG and DAC: precision, height, width.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                return Some((be16(head, at + 7)?, be16(head, at + 5)?));
            }
            // Scan data or the end before any frame.
            0xd9 | 0xda => return None,
            _ => {
                at = at
                    .checked_add(2)?
                    .checked_add(be16(head, at + 2)? as usize)?;
            }
        }
    }
}

fn webp(head: &[u8]) -> Option<(u32, u32)> {
    match head.get(12..16)? {
        b"VP8X" => Some((le24(head, 24)? + 1, le24(head, 27)? + 1)),
        b"VP8 " => (head.get(23..26) == Some(b"\x9d\x01\x2a"))
            .then(|| Some((le16(head, 26)? & 0x3fff, le16(head, 28)? & 0x3fff)))
            .flatten(),
        b"VP8L" => {
            let bits: [u8; 4] = head.get(21..25)?.try_into().ok()?;
            let bits = u32::from_le_bytes(bits);
            (head.get(20) == Some(&0x2f))
                .then_some(((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1))
        }
        _ => None,
    }
}

/// The largest `ispe` property: smaller ones are tiles, thumbnails or alpha planes.
fn avif(head: &[u8]) -> Option<(u32, u32)> {
    head.windows(4)
        .enumerate()
        .filter(|(_, name)| *name == b"ispe")
        .filter_map(|(at, _)| Some((be32(head, at + 8)?, be32(head, at + 12)?)))
        .max_by_key(|(width, height)| u64::from(*width) * u64::from(*height))
}

/// How long the file says it is, where its head tells: RIFF and the boxes of AVIF.
pub(crate) fn announced_length(format: ImageFormat, head: &[u8]) -> Option<u64> {
    match format {
        ImageFormat::Webp => {
            let size: [u8; 4] = head.get(4..8)?.try_into().ok()?;
            Some(u64::from(u32::from_le_bytes(size)) + 8)
        }
        ImageFormat::Avif => avif_length(head),
        _ => None,
    }
}

/// Where the box with the picture's data ends; a file cut between two boxes lacks it.
fn avif_length(head: &[u8]) -> Option<u64> {
    let mut at = 0_usize;
    loop {
        let size = match be32(head, at)? {
            1 => {
                let large: [u8; 8] = head.get(at + 8..at + 16)?.try_into().ok()?;
                usize::try_from(u64::from_be_bytes(large)).ok()?
            }
            size => size as usize,
        };
        // Size 0 means: to the end of the file, wherever that is.
        let end = at.checked_add(size.max(8))?;
        if head.get(at + 4..at + 8)? == b"mdat" {
            return u64::try_from(end).ok();
        }
        at = end;
    }
}
