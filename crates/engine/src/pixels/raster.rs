//! A decoded picture in the layout of its file, and its way to RGB: what vLLM's
//! loader does with each of Pillow's modes. It must not know file formats.

use super::RgbImage;

/// A decoded picture.
pub(super) struct Raster {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) samples: Samples,
}

/// Rows from the top, without padding. The names in brackets are Pillow's modes.
pub(super) enum Samples {
    /// One byte (L, 1); `clear` is a level that is transparent.
    Grey { levels: Vec<u8>, clear: Option<u8> },
    /// Grey and alpha (LA).
    GreyAlpha(Vec<u8>),
    /// Red, green, blue (RGB).
    Rgb(Vec<u8>),
    /// Red, green, blue, alpha (RGBA).
    Rgba(Vec<u8>),
    /// Places in a palette of red, green, blue, alpha (P).
    Indexed { places: Vec<u8>, palette: Box<Palette> },
    /// Cyan, magenta, yellow, black (CMYK).
    Cmyk(Vec<u8>),
    /// Luma and chroma of JPEG (YCbCr).
    Ycbcr(Vec<u8>),
}

/// 256 colours, each red, green, blue, alpha.
pub(super) struct Palette(pub(super) [[u8; 4]; 256]);

impl Palette {
    /// Colours from three bytes each; what is missing stays black.
    pub(super) fn from_rgb(bytes: &[u8]) -> Self {
        let mut palette = Self([[0, 0, 0, 255]; 256]);
        for (colour, rgb) in palette.0.iter_mut().zip(bytes.chunks_exact(3)) {
            colour.iter_mut().zip(rgb).for_each(|(to, from)| *to = *from);
        }
        palette
    }
}

impl Raster {
    /// The picture as RGB: transparency onto white, the rest by Pillow's `convert`.
    pub(super) fn into_rgb(self) -> RgbImage {
        let pixels = match self.samples {
            Samples::Rgb(pixels) => pixels,
            Samples::Grey { levels, clear } => {
                mapped(&levels, |[level]| [if clear == Some(level) { 255 } else { level }; 3])
            }
            Samples::GreyAlpha(pixels) => mapped(&pixels, |[level, alpha]| on_white([level, level, level, alpha])),
            Samples::Rgba(pixels) => mapped(&pixels, on_white),
            Samples::Indexed { places, palette } => {
                let shown = palette.0.map(on_white);
                mapped(&places, |[place]| shown[usize::from(place)])
            }
            Samples::Cmyk(pixels) => mapped(&pixels, cmyk),
            Samples::Ycbcr(pixels) => mapped(&pixels, ycbcr),
        };
        RgbImage { width: self.width, height: self.height, pixels }
    }
}

/// Whole numbers as levels: cut to 0..=255, not scaled (I, I;16).
pub(super) fn clipped(value: i64) -> u8 {
    value.clamp(0, 255) as u8
}

/// Removes the multiplication by alpha (RGBa, La).
pub(super) fn unmultiplied(level: u8, alpha: u8) -> u8 {
    match alpha {
        0 | 255 => level,
        _ => (255 * u32::from(level) / u32::from(alpha)).min(255) as u8,
    }
}

fn mapped<const N: usize>(samples: &[u8], pixel: impl Fn([u8; N]) -> [u8; 3]) -> Vec<u8> {
    let mut pixels = Vec::with_capacity(samples.len() / N * 3);
    for sample in samples.chunks_exact(N) {
        pixels.extend(sample.try_into().map(&pixel).unwrap_or_default());
    }
    pixels
}

/// Pillow's paste with a mask, onto white.
fn on_white([red, green, blue, alpha]: [u8; 4]) -> [u8; 3] {
    let alpha = u32::from(alpha);
    [red, green, blue].map(|level| over_255(255 * (255 - alpha) + u32::from(level) * alpha) as u8)
}

/// A number up to 255 x 255 divided by 255, rounded, without a division.
fn over_255(value: u32) -> u32 {
    let value = value + 128;
    ((value >> 8) + value) >> 8
}

fn cmyk([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    let light = 255 - u32::from(black);
    [cyan, magenta, yellow].map(|ink| light.saturating_sub(over_255(u32::from(ink) * light)) as u8)
}

/// Pillow's own conversion: its tables have six fraction bits and are rounded by adding
/// a half and cutting, below zero too.
fn ycbcr([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let part = |factor: f64, chroma: u8| (factor * (f64::from(chroma) - 128.0) * 64.0 + 0.5) as i64;
    let (y, red, blue) = (i64::from(y), part(1.402, cr), part(1.772, cb));
    let green = part(-0.344_136, cb) + part(-0.714_136, cr);
    [red, green, blue].map(|chroma| clipped(y + (chroma >> 6)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dividing_by_255_rounds() {
        for value in 0..=255 * 255_u32 {
            assert_eq!(over_255(value), (value * 2 + 255) / 510, "{value}");
        }
    }

    #[test]
    fn inks_darken() {
        assert_eq!(cmyk([0, 0, 0, 0]), [255; 3]);
        assert_eq!(cmyk([255, 0, 128, 0]), [0, 255, 127]);
        assert_eq!(cmyk([9, 9, 9, 255]), [0; 3]);
    }
}
