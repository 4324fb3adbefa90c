//! A plane of pixels with straight alpha.
//!
//! In scope: blending one pixel or a run of a row. Not in scope: what is drawn.

/// Red, green, blue.
pub(super) type Colour = [u8; 3];

/// Pixels in rows, four bytes each: red, green, blue, alpha.
pub(super) struct Canvas {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) pixels: Vec<u8>,
}

impl Canvas {
    /// A transparent black plane.
    pub(super) fn new(width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            pixels: vec![0; width as usize * height as usize * 4],
        }
    }

    /// The pixels of one row; empty below the last.
    pub(super) fn row(&mut self, y: u32) -> &mut [u8] {
        let stride = self.width as usize * 4;
        let start = stride * y as usize;
        self.pixels
            .get_mut(start..start + stride)
            .unwrap_or_default()
    }

    /// Blends a colour over one pixel; `cover` is 0 to 255. Outside the plane nothing happens.
    pub(super) fn blend(&mut self, x: u32, y: u32, colour: Colour, cover: u8) {
        if x >= self.width || y >= self.height {
            return;
        }
        let start = x as usize * 4;
        if let Some(pixel) = self.row(y).get_mut(start..start + 4) {
            over(pixel, colour, cover);
        }
    }

    /// Mean brightness, 0 to 255, of a rectangle, from every fourth pixel; transparent pixels count as white.
    pub(super) fn brightness(&mut self, left: u32, top: u32, right: u32, bottom: u32) -> u32 {
        let (mut sum, mut count) = (0_u64, 0_u64);
        for y in (top..bottom.min(self.height)).step_by(4) {
            let span = left as usize * 4..right.min(self.width) as usize * 4;
            for pixel in self.row(y).get(span).unwrap_or_default().chunks_exact(16) {
                if let [red, green, blue, alpha, ..] = *pixel {
                    let light =
                        (u64::from(red) * 299 + u64::from(green) * 587 + u64::from(blue) * 114)
                            / 1000;
                    sum += if alpha < 128 { 255 } else { light };
                    count += 1;
                }
            }
        }
        u32::try_from(sum / count.max(1)).unwrap_or(255)
    }
}

/// Puts a colour over one pixel of four bytes.
pub(super) fn over(pixel: &mut [u8], colour: Colour, cover: u8) {
    let [red, green, blue, alpha] = pixel else {
        return;
    };
    let cover = u32::from(cover);
    let below = u32::from(*alpha) * (255 - cover) / 255;
    let total = cover + below;
    if total == 0 {
        return;
    }
    for (channel, wanted) in [red, green, blue].into_iter().zip(colour) {
        let mixed = (u32::from(wanted) * cover + u32::from(*channel) * below) / total;
        *channel = mixed.min(255) as u8;
    }
    *alpha = total.min(255) as u8;
}
