//! Which PNG files show nothing, whatever their colours, depth, filters and the split of their bytes.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test: what is not there fails it"
)]

use png::{BitDepth, ColorType, Filter};
use proptest::prelude::*;
use r2_manager::{Blank, Probe, ProbeError, Prober};

struct Sheet {
    width: u32,
    height: u32,
    colour: ColorType,
    depth: BitDepth,
    filter: Filter,
}

impl Sheet {
    fn new(width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            colour: ColorType::Rgb,
            depth: BitDepth::Eight,
            filter: Filter::NoFilter,
        }
    }

    fn bits(&self) -> usize {
        self.colour.samples() * self.depth as usize
    }

    fn row_bytes(&self) -> usize {
        (self.width as usize * self.bits()).div_ceil(8)
    }

    /// All bytes of one value: one colour in every type and depth but for the bits behind the last pixel.
    fn plain(&self, byte: u8) -> Vec<u8> {
        vec![byte; self.row_bytes() * self.height as usize]
    }

    fn file(&self, pixels: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.width, self.height);
        encoder.set_color(self.colour);
        encoder.set_depth(self.depth);
        encoder.set_filter(self.filter);
        if self.colour == ColorType::Indexed {
            encoder.set_palette(vec![7; 768]);
        }
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(pixels).unwrap();
        writer.finish().unwrap();
        file
    }
}

fn probe(chunks: &[&[u8]]) -> Result<Probe, ProbeError> {
    let mut prober = Prober::default();
    for chunk in chunks {
        prober.feed(chunk);
    }
    prober.finish()
}

fn blank(file: &[u8]) -> Option<Blank> {
    probe(&[file]).unwrap().blank
}

fn noise(length: usize) -> impl Iterator<Item = u8> {
    (0..length as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8)
}

const FILTERS: [Filter; 5] = [
    Filter::NoFilter,
    Filter::Sub,
    Filter::Up,
    Filter::Avg,
    Filter::Paeth,
];

fn kinds() -> Vec<(ColorType, BitDepth)> {
    use BitDepth::{Eight, Four, One, Sixteen, Two};
    use ColorType::{Grayscale, GrayscaleAlpha, Indexed, Rgb, Rgba};
    let allowed = [
        (Grayscale, &[One, Two, Four, Eight, Sixteen][..]),
        (Indexed, &[One, Two, Four, Eight]),
        (Rgb, &[Eight, Sixteen]),
        (GrayscaleAlpha, &[Eight, Sixteen]),
        (Rgba, &[Eight, Sixteen]),
    ];
    let each = |(colour, depths): (ColorType, &'static [BitDepth])| {
        depths.iter().map(move |depth| (colour, *depth))
    };
    allowed.into_iter().flat_map(each).collect()
}

#[test]
fn one_colour_is_blank_and_one_other_pixel_is_not_in_every_type_and_depth() {
    for (colour, depth) in kinds() {
        // Not a multiple of 8 pixels: the last byte of a row of small pixels is not full.
        let sheet = Sheet {
            colour,
            depth,
            ..Sheet::new(19, 17)
        };
        for byte in [0, 0xff] {
            let mut pixels = sheet.plain(byte);
            let what = format!("{colour:?} {depth:?} {byte}");
            assert_eq!(blank(&sheet.file(&pixels)), Some(Blank::Seen), "{what}");
            let row = 8 * sheet.row_bytes();
            for at in [row, row + sheet.row_bytes() - 1] {
                let mut changed = pixels.clone();
                // The highest bits: in the last byte they are a pixel's.
                changed[at] ^= 0x80;
                // The last byte of a pixel with alpha is its opacity.
                let unseen = byte == 0
                    && at == row
                    && matches!(colour, ColorType::GrayscaleAlpha | ColorType::Rgba);
                let expected = unseen.then_some(Blank::Seen);
                assert_eq!(blank(&sheet.file(&changed)), expected, "{what} at {at}");
            }
            // Behind the last pixel.
            if sheet.bits() < 8 {
                pixels[sheet.row_bytes() - 1] ^= 1;
                assert_eq!(blank(&sheet.file(&pixels)), Some(Blank::Seen), "{what}");
            }
        }
    }
}

#[test]
fn every_eighth_row_is_looked_at_and_all_of_them_have_one_colour() {
    let sheet = Sheet::new(40, 33);
    for (row, expected) in [(0, None), (7, Some(Blank::Seen)), (8, None), (32, None)] {
        let mut pixels = sheet.plain(9);
        pixels[row * 120 + 60] = 10;
        assert_eq!(blank(&sheet.file(&pixels)), expected, "row {row}");
    }
    // Each row is of one colour, and they differ: that is a gradient.
    let gradient: Vec<u8> = (0..33_u8).flat_map(|row| [row; 120]).collect();
    assert_eq!(blank(&sheet.file(&gradient)), None);
}

#[test]
fn rows_are_decoded_exactly_whatever_their_filter() {
    for filter in FILTERS {
        for (colour, depth) in kinds() {
            let sheet = Sheet {
                colour,
                depth,
                filter,
                ..Sheet::new(64, 41)
            };
            // Noise between the rows that are looked at: one byte decoded wrongly would be seen in the next of them.
            let row_bytes = sheet.row_bytes();
            let mut pixels: Vec<u8> = noise(row_bytes * 41).collect();
            for row in pixels.chunks_mut(row_bytes).step_by(8) {
                row.fill(0xff);
            }
            let what = format!("{filter:?} {colour:?} {depth:?}");
            assert_eq!(blank(&sheet.file(&pixels)), Some(Blank::Seen), "{what}");
        }
    }
}

#[test]
fn what_nobody_sees_has_no_colour() {
    let sheet = Sheet {
        colour: ColorType::Rgba,
        ..Sheet::new(30, 30)
    };
    let mut pixels: Vec<u8> = noise(30 * 30 * 4).collect();
    for pixel in pixels.chunks_mut(4) {
        pixel[3] = 0;
    }
    assert_eq!(blank(&sheet.file(&pixels)), Some(Blank::Seen));
    pixels[3] = 1;
    assert_eq!(blank(&sheet.file(&pixels)), None);
}

#[test]
fn rows_that_nobody_looks_at_are_judged_by_the_size_of_the_file() {
    let white = |width, height| {
        let sheet = Sheet {
            colour: ColorType::Grayscale,
            ..Sheet::new(width, height)
        };
        let mut file = sheet.file(&sheet.plain(0xff));
        // Far under 0.005 bytes a pixel.
        assert!(file.len() < 9_000, "{}", file.len());
        assert_eq!(blank(&file).is_some(), width * height > 9_000);
        // Interlaced; its checksum is nobody's business here.
        file[28] = 1;
        (blank(&file), file)
    };
    assert_eq!(white(2_048, 2_048).0, Some(Blank::Suspected), "interlaced");
    let large = Sheet {
        colour: ColorType::Grayscale,
        ..Sheet::new(2_049, 2_048)
    };
    let file = large.file(&large.plain(0));
    assert_eq!(blank(&file), Some(Blank::Suspected), "over 4 megapixels");
    let wide = Sheet {
        colour: ColorType::Rgba,
        ..Sheet::new(32_769, 100)
    };
    let file = wide.file(&wide.plain(0));
    assert_eq!(blank(&file), Some(Blank::Suspected), "a row over 128 KiB");
    let largest = Sheet::new(2_048, 2_048);
    let file = largest.file(&largest.plain(3));
    assert_eq!(blank(&file), Some(Blank::Seen), "4 megapixels");
}

#[test]
fn the_bound_of_the_size_is_five_thousandths_of_a_byte_a_pixel() {
    // A JPEG of 1000x1000 by its header: 5,000 bytes are the bound.
    let jpeg = |length: usize| {
        let mut file = b"\xff\xd8\xff\xc0\x00\x11\x08\x03\xe8\x03\xe8\x03".to_vec();
        file.resize(length - 2, 0x11);
        file.extend(b"\xff\xd9");
        file
    };
    assert_eq!(blank(&jpeg(4_999)), Some(Blank::Suspected));
    assert_eq!(blank(&jpeg(5_000)), None);
}

proptest! {
    #[test]
    fn the_split_into_chunks_does_not_matter(cuts in prop::collection::vec(any::<u16>(), 0..9), dot in prop::option::of(0_usize..3_000)) {
        let sheet = Sheet { filter: Filter::Paeth, ..Sheet::new(50, 20) };
        let mut pixels = sheet.plain(200);
        if let Some(at) = dot {
            pixels[at] = 1;
        }
        let file = sheet.file(&pixels);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| usize::from(cut) % file.len()).collect();
        cuts.extend([0, file.len()]);
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &file[pair[0]..pair[1]]).collect();
        let expected = probe(&[&file]).unwrap();
        let seen = dot.is_none_or(|at| at / 150 % 8 != 0);
        prop_assert_eq!(expected.blank, seen.then_some(Blank::Seen));
        prop_assert_eq!(probe(&chunks), Ok(expected));
        let bytes: Vec<&[u8]> = file.chunks(1).collect();
        prop_assert_eq!(probe(&bytes), Ok(expected));
    }

    #[test]
    fn changed_and_cut_files_never_make_it_fall_over(
        which in 0_usize..15, filter in 0_usize..5, end in any::<u16>(),
        changes in prop::collection::vec((any::<u16>(), any::<u8>()), 0..20),
        header in prop::collection::vec((16_usize..29, any::<u8>()), 0..3),
    ) {
        let (colour, depth) = kinds()[which % kinds().len()];
        let sheet = Sheet { colour, depth, filter: FILTERS[filter], ..Sheet::new(33, 25) };
        let pixels: Vec<u8> = noise(sheet.row_bytes() * 25).collect();
        let mut file = sheet.file(&pixels);
        let length = file.len();
        for (at, with) in changes {
            file[usize::from(at) % length] = with;
        }
        for (at, with) in header {
            file[at] = with;
        }
        let cut = usize::from(end) % length;
        let _ = probe(&[&file[..cut], &file[cut..]]);
        let _ = probe(&[&file[..cut]]);
    }
}
