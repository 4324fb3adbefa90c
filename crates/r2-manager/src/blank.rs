//! Whether a PNG shows anything: its rows are decoded while they pass, and looked at one by one.
//!
//! In scope: all colour types and depths, any split of the bytes into chunks. Memory is one deflate window and two rows, and
//! only until the first two pixels differ, which in most pictures is in their first row.
//! Out of scope: whether the file is whole (`probe`), checksums, interlaced files and those over [`MAX_PIXELS`] or with rows
//! over [`MAX_ROW_BYTES`]: nobody looks at their rows.

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush, MZStatus};

/// Rows 0, 8, 16 and so on are looked at; the others are decoded because rows are written as differences.
const EVERY_ROW: u32 = 8;
/// 4 megapixels, so that 2048x2048 is one of them.
const MAX_PIXELS: u64 = 4 * 1024 * 1024;
/// A picture may be one row of millions of pixels, and two rows are in memory.
const MAX_ROW_BYTES: usize = 128 * 1024;
const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
const IHDR_BYTES: usize = 13;
const CRC_BYTES: u32 = 4;

/// What the rows say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// All pixels of the rows that are looked at have one colour, or all are fully transparent.
    Blank,
    /// Two of them differ.
    Drawn,
}

/// Watches the bytes of one file from its first.
#[derive(Clone, Default)]
pub(crate) struct BlankWatch {
    state: State,
}

#[derive(Clone)]
enum State {
    Reading(Box<Reader>),
    /// `None`: no PNG, one whose rows nobody looks at, or a broken one.
    Over(Option<Rows>),
}

impl Default for State {
    fn default() -> Self {
        Self::Reading(Box::default())
    }
}

impl std::fmt::Debug for BlankWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verdict = match &self.state {
            State::Reading(_) => None,
            State::Over(rows) => Some(rows),
        };
        f.debug_tuple("BlankWatch").field(&verdict).finish()
    }
}

impl BlankWatch {
    /// The next bytes.
    pub(crate) fn feed(&mut self, chunk: &[u8]) {
        let State::Reading(reader) = &mut self.state else {
            return;
        };
        match reader.feed(chunk) {
            Ok(()) => {}
            Err(End::Seen(rows)) => self.state = State::Over(Some(rows)),
            Err(End::Unknown) => self.state = State::Over(None),
        }
    }

    /// What is known by now.
    pub(crate) fn rows(&self) -> Option<Rows> {
        match self.state {
            State::Reading(_) => None,
            State::Over(rows) => rows,
        }
    }
}

/// Why no further byte is read.
enum End {
    Seen(Rows),
    Unknown,
}

/// Where in the file the next byte is.
#[derive(Clone, Copy, Default)]
enum Place {
    #[default]
    Signature,
    ChunkHead,
    Ihdr,
    Idat {
        left: u32,
    },
    Skip {
        left: u32,
    },
}

#[derive(Clone, Default)]
struct Reader {
    place: Place,
    /// What has come of a part that is only understood whole.
    held: Vec<u8>,
    /// From the header on.
    decoder: Option<Decoder>,
}

impl Reader {
    fn feed(&mut self, mut input: &[u8]) -> Result<(), End> {
        while !input.is_empty() {
            match self.place {
                Place::Signature => {
                    if self.hold(&mut input, SIGNATURE.len()) {
                        if self.held != SIGNATURE {
                            return Err(End::Unknown);
                        }
                        self.go(Place::ChunkHead);
                    }
                }
                Place::ChunkHead => {
                    if self.hold(&mut input, 8) {
                        let place = self.chunk()?;
                        self.go(place);
                    }
                }
                Place::Ihdr => {
                    if self.hold(&mut input, IHDR_BYTES) {
                        self.decoder = Some(Decoder::new(&self.held).ok_or(End::Unknown)?);
                        self.go(Place::Skip { left: CRC_BYTES });
                    }
                }
                Place::Idat { left } => {
                    let data = cut(&mut input, left);
                    self.decoder.as_mut().ok_or(End::Unknown)?.feed(data)?;
                    let left = left - data.len() as u32;
                    self.place = match left {
                        0 => Place::Skip { left: CRC_BYTES },
                        left => Place::Idat { left },
                    };
                }
                Place::Skip { left } => {
                    let left = left - cut(&mut input, left).len() as u32;
                    self.place = match left {
                        0 => Place::ChunkHead,
                        left => Place::Skip { left },
                    };
                }
            }
        }
        Ok(())
    }

    fn go(&mut self, place: Place) {
        self.held.clear();
        self.place = place;
    }

    /// Collects; whether that many are there now.
    fn hold(&mut self, input: &mut &[u8], wanted: usize) -> bool {
        let missing = wanted.saturating_sub(self.held.len()) as u32;
        self.held.extend_from_slice(cut(input, missing));
        self.held.len() >= wanted
    }

    /// What follows the head of a chunk.
    fn chunk(&self) -> Result<Place, End> {
        let (length, kind) = self.held.split_at_checked(4).ok_or(End::Unknown)?;
        let length: [u8; 4] = length.try_into().map_err(|_| End::Unknown)?;
        let left = u32::from_be_bytes(length);
        match (kind, &self.decoder) {
            (b"IHDR", None) if left == IHDR_BYTES as u32 => Ok(Place::Ihdr),
            // The header comes first and once; rows are missing if the end comes now.
            (b"IHDR" | b"IEND", _) | (_, None) => Err(End::Unknown),
            (b"IDAT", Some(_)) if left > 0 => Ok(Place::Idat { left }),
            (_, Some(_)) => Ok(Place::Skip {
                left: left.checked_add(CRC_BYTES).ok_or(End::Unknown)?,
            }),
        }
    }
}

/// Takes up to that many bytes from the front.
fn cut<'a>(input: &mut &'a [u8], most: u32) -> &'a [u8] {
    let (front, rest) = input.split_at(input.len().min(most as usize));
    *input = rest;
    front
}

/// The size of what is compared.
#[derive(Clone, Copy)]
enum Pixel {
    /// 1, 2 or 4 bits.
    Bits(u32),
    /// Whole bytes; the last ones may say how opaque it is.
    Bytes { bytes: usize, alpha: usize },
}

#[derive(Clone)]
struct Decoder {
    inflate: Box<InflateState>,
    pixel: Pixel,
    width: u32,
    height: u32,
    /// The next row's place.
    row: u32,
    /// Its filter type and its bytes, as far as they are there.
    current: Vec<u8>,
    filled: usize,
    /// The bytes of the row above, decoded.
    above: Vec<u8>,
    /// The only one so far.
    colour: Option<[u8; 8]>,
}

impl Decoder {
    /// By the header's 13 bytes; `None` when nobody looks at such rows.
    fn new(ihdr: &[u8]) -> Option<Self> {
        let number = |at: usize| {
            let four: [u8; 4] = ihdr.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_be_bytes(four))
        };
        let (width, height) = (number(0)?, number(4)?);
        let [depth, colour_type, 0, 0, 0] = *ihdr.get(8..IHDR_BYTES)? else {
            return None;
        };
        let pixels = u64::from(width) * u64::from(height);
        if pixels == 0 || pixels > MAX_PIXELS {
            return None;
        }
        let pixel = pixel(depth, colour_type)?;
        let row_bits = u64::from(width)
            * match pixel {
                Pixel::Bits(bits) => u64::from(bits),
                Pixel::Bytes { bytes, .. } => bytes as u64 * 8,
            };
        let row_bytes = usize::try_from(row_bits.div_ceil(8)).ok()?;
        (row_bytes <= MAX_ROW_BYTES).then(|| Self {
            inflate: InflateState::new_boxed(DataFormat::ZLibIgnoreChecksum),
            pixel,
            width,
            height,
            row: 0,
            current: vec![0; row_bytes + 1],
            filled: 0,
            above: vec![0; row_bytes],
            colour: None,
        })
    }

    fn feed(&mut self, mut data: &[u8]) -> Result<(), End> {
        loop {
            let room = self.current.get_mut(self.filled..).ok_or(End::Unknown)?;
            let done = inflate(&mut self.inflate, data, room, MZFlush::None);
            data = data.get(done.bytes_consumed..).ok_or(End::Unknown)?;
            self.filled += done.bytes_written;
            if self.filled == self.current.len() {
                self.row_is_whole()?;
                self.filled = 0;
                continue;
            }
            match done.status {
                Ok(MZStatus::Ok) if done.bytes_consumed + done.bytes_written > 0 => {}
                // All that came is used up.
                Ok(MZStatus::Ok) | Err(miniz_oxide::MZError::Buf) => return Ok(()),
                // The data are broken, or are over before the rows are.
                Ok(_) | Err(_) => return Err(End::Unknown),
            }
        }
    }

    fn row_is_whole(&mut self) -> Result<(), End> {
        let unit = match self.pixel {
            Pixel::Bits(_) => 1,
            Pixel::Bytes { bytes, .. } => bytes,
        };
        let (filter, bytes) = self.current.split_first_mut().ok_or(End::Unknown)?;
        unfilter(*filter, unit, bytes, &self.above).ok_or(End::Unknown)?;
        self.above.copy_from_slice(bytes);
        if self.row.is_multiple_of(EVERY_ROW) {
            let colour = self.only_colour().ok_or(End::Seen(Rows::Drawn))?;
            if *self.colour.get_or_insert(colour) != colour {
                return Err(End::Seen(Rows::Drawn));
            }
        }
        self.row += 1;
        if self.row == self.height {
            return Err(End::Seen(Rows::Blank));
        }
        Ok(())
    }

    /// The colour that all pixels of the last row have. A palette is not looked up: two entries are two colours.
    fn only_colour(&self) -> Option<[u8; 8]> {
        match self.pixel {
            Pixel::Bytes { bytes, alpha } => {
                let mut pixels = self.above.chunks_exact(bytes);
                let first = colour(pixels.next()?, alpha);
                pixels.all(|it| colour(it, alpha) == first).then_some(first)
            }
            Pixel::Bits(bits) => {
                let first = self.above.first()? >> (8 - bits);
                let whole = (0..8 / bits).fold(0, |byte: u8, _| (byte << bits) | first);
                // Behind the last pixel the bits mean nothing.
                let over = (self.width * bits) % 8;
                let (last, others) = self.above.split_last()?;
                let mask = if over == 0 { 0xff } else { !(0xff_u8 >> over) };
                let same = others.iter().all(|byte| *byte == whole) && (last ^ whole) & mask == 0;
                same.then_some([first, 0, 0, 0, 0, 0, 0, 0])
            }
        }
    }
}

/// What is compared of a pixel: nothing of one that nobody sees.
fn colour(pixel: &[u8], alpha: usize) -> [u8; 8] {
    let mut colour = [0; 8];
    let opacity = pixel.iter().rev().take(alpha);
    if alpha == 0 || opacity.clone().any(|byte| *byte != 0) {
        for (to, from) in colour.iter_mut().zip(pixel) {
            *to = *from;
        }
    }
    colour
}

/// By the standard's table of colour types and the depths that each may have.
fn pixel(depth: u8, colour_type: u8) -> Option<Pixel> {
    let samples = match (colour_type, depth) {
        (0 | 3, 1 | 2 | 4) => return Some(Pixel::Bits(u32::from(depth))),
        (0, 8 | 16) | (3, 8) => 1,
        (2, 8 | 16) => 3,
        (4, 8 | 16) => 2,
        (6, 8 | 16) => 4,
        _ => return None,
    };
    let each = usize::from(depth / 8);
    Some(Pixel::Bytes {
        bytes: samples * each,
        alpha: if colour_type >= 4 { each } else { 0 },
    })
}

/// Adds what the filter has taken away; `unit` is the distance to the same byte of the pixel on the left.
fn unfilter(filter: u8, unit: usize, row: &mut [u8], above: &[u8]) -> Option<()> {
    if filter > 4 {
        return None;
    }
    if filter == 0 {
        return Some(());
    }
    for (at, up) in above.iter().enumerate() {
        let before = at.checked_sub(unit);
        let left = before.and_then(|at| row.get(at)).copied().unwrap_or(0);
        let up_left = before.and_then(|at| above.get(at)).copied().unwrap_or(0);
        let guess = match filter {
            1 => left,
            2 => *up,
            3 => u8::midpoint(left, *up),
            _ => paeth(left, *up, up_left),
        };
        let byte = row.get_mut(at)?;
        *byte = byte.wrapping_add(guess);
    }
    Some(())
}

/// The one of the three that is nearest to `left + up - up_left`, by the standard's order of ties.
fn paeth(left: u8, up: u8, up_left: u8) -> u8 {
    let (a, b, c) = (i16::from(left), i16::from(up), i16::from(up_left));
    let (to_a, to_b, to_c) = ((b - c).abs(), (a - c).abs(), (a + b - 2 * c).abs());
    if to_a <= to_b && to_a <= to_c {
        left
    } else if to_b <= to_c {
        up
    } else {
        up_left
    }
}
