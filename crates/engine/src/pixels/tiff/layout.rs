//! What the numbers of a TIFF file mean: Pillow's table of modes, and the samples
//! of each.

use super::directory::{Directory, number};
use super::{broken, tag, variant};
use crate::pixels::raster::{Palette, Samples, clipped, unmultiplied};
use crate::pixels::{Error, packed};

/// Size and meaning of the picture.
pub(super) struct Layout {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) compression: u64,
    /// Bits of each sample of a pixel.
    pub(super) bits: Vec<u64>,
    /// Each sample has rows of its own.
    pub(super) planar: bool,
    pub(super) little: bool,
    mode: Mode,
}

/// Pillow's mode and raw mode in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Up to eight bits of grey.
    Grey {
        inverted: bool,
    },
    /// 16 bits and more, cut to 0..=255: whole numbers, with sign or without.
    Deep {
        signed: bool,
    },
    /// 32-bit floating point, cut to 0..=255.
    Float,
    GreyAlpha,
    Rgb,
    Rgba {
        multiplied: bool,
    },
    Indexed,
    IndexedAlpha,
    Cmyk,
    Ycbcr,
}

impl Layout {
    pub(super) fn new(directory: &Directory<'_>) -> Result<Self, Error> {
        let size = |name| directory.number(name).and_then(|value| u32::try_from(value).ok()).filter(|side| *side > 0);
        let (Some(width), Some(height)) = (size(tag::WIDTH), size(tag::HEIGHT)) else {
            return Err(broken("it states no size"));
        };
        let compression = directory.number(tag::COMPRESSION).unwrap_or(1);
        let planar = directory.number(tag::PLANAR) == Some(2);
        let mut extra = directory.numbers(tag::EXTRA);
        let mut bits = directory.numbers(tag::BITS);
        if bits.is_empty() {
            bits.push(1);
        }
        let mut count = directory.number(tag::SAMPLES).unwrap_or(1) as usize;
        let fillers = extra.len();
        if planar && extra.iter().all(|kind| *kind == 0) && fillers < bits.len() {
            // Planes that mean nothing stand at the end and are left out.
            bits.truncate(bits.len() - fillers);
            count = count.saturating_sub(fillers);
            extra.clear();
        }
        if count > 6 {
            return Err(variant(format!("{count} samples per pixel")));
        }
        bits.truncate(count);
        if let [one] = bits[..] {
            bits = vec![one; count];
        }
        let mut layout = Self { width, height, compression, bits, planar, little: directory.little, mode: Mode::Rgb };
        layout.mode = layout.mode(directory, &extra, count)?;
        Ok(layout)
    }

    pub(super) fn bits_per_pixel(&self) -> usize {
        self.bits.iter().sum::<u64>() as usize
    }

    fn mode(&self, directory: &Directory<'_>, extra: &[u64], count: usize) -> Result<Mode, Error> {
        let photometric = directory.number(tag::PHOTOMETRIC).unwrap_or(0);
        let formats = directory.numbers(tag::SAMPLE_FORMAT);
        let format = formats.first().copied().unwrap_or(1);
        let depth = self.bits.first().copied().unwrap_or(1);
        let unknown = || {
            variant(format!(
                "colours of kind {photometric} with {:?} bits, format {format}, extra {extra:?}",
                self.bits
            ))
        };
        if self.bits.len() != count || self.bits.iter().any(|bits| *bits != depth) {
            return Err(unknown());
        }
        if formats.iter().any(|other| *other != format) {
            return Err(unknown());
        }
        let (first_extra, fillers) = (extra.first().copied(), extra.iter().skip(1).all(|kind| *kind == 0));
        let colours = count - extra.len().min(count);
        let mode = match (photometric, format, depth, count) {
            (0 | 1, 1, 1 | 2 | 4 | 8, 1) => Mode::Grey { inverted: photometric == 0 },
            (1, 2, 8, 1) | (6, 1, 8, 1) => Mode::Grey { inverted: false },
            (0, 1, 16, 1) if self.little => Mode::Deep { signed: false },
            (1, 1, 16, 1) => Mode::Deep { signed: false },
            (1, 1, 32, 1) if self.little => Mode::Deep { signed: true },
            (1, 2, 16 | 32, 1) => Mode::Deep { signed: true },
            (0 | 1, 3, 32, 1) => Mode::Float,
            (1, 1, 8, 2) if first_extra == Some(0) => Mode::Grey { inverted: false },
            (1, 1, 8, 2) if first_extra == Some(2) => Mode::GreyAlpha,
            (2, 1, 8 | 16, 3) if extra.is_empty() => Mode::Rgb,
            (2, 1, 8 | 16, 4) if extra.is_empty() => Mode::Rgba { multiplied: false },
            (2, 1, 8, 4) if extra == [999] => Mode::Rgba { multiplied: false },
            (2, 1, 8, 4..=6) | (2, 1, 16, 4) if colours == 3 && fillers => match first_extra {
                Some(0) => Mode::Rgb,
                Some(1) => Mode::Rgba { multiplied: true },
                Some(2) => Mode::Rgba { multiplied: false },
                _ => return Err(unknown()),
            },
            (3, 1, 1 | 2 | 4 | 8, 1) => Mode::Indexed,
            (3, 1, 8, 2) if first_extra == Some(0) => Mode::Indexed,
            (3, 1, 8, 2) if first_extra == Some(2) => Mode::IndexedAlpha,
            (5, 1, 8, 4..=6) if colours == 4 && extra.iter().all(|kind| *kind == 0) => Mode::Cmyk,
            (5, 1, 16, 4) if extra.is_empty() => Mode::Cmyk,
            (6, 1, 8, 3) if extra.is_empty() && self.compression == 7 => Mode::Rgb,
            (6, 1, 8, 3) if extra.is_empty() && self.compression == 1 => Mode::Ycbcr,
            _ => return Err(unknown()),
        };
        if self.planar && count > 1 && depth != 8 {
            return Err(variant(format!("separate planes of {depth} bits")));
        }
        Ok(mode)
    }

    /// Samples from rows without padding but that to a whole byte.
    pub(super) fn samples(&self, rows: Vec<u8>, directory: &Directory<'_>) -> Result<Samples, Error> {
        Ok(match self.mode {
            Mode::Grey { inverted } => {
                let depth = self.bits.first().copied().unwrap_or(8) as u32;
                let step = (255 / ((1_u32 << depth) - 1)) as u8;
                let turned = if inverted { 255 } else { 0 };
                Samples::Grey {
                    levels: self.first_samples(&rows).map(|level| (level * step) ^ turned).collect(),
                    clear: None,
                }
            }
            Mode::Deep { signed } => Samples::Grey { levels: self.deep(&rows, signed), clear: None },
            Mode::Float => {
                let value = |bytes: &[u8]| f32::from_bits(number(bytes, self.little).unwrap_or_default() as u32);
                Samples::Grey { levels: rows.chunks_exact(4).map(|bytes| value(bytes) as u8).collect(), clear: None }
            }
            Mode::GreyAlpha => Samples::GreyAlpha(rows),
            Mode::Rgb => Samples::Rgb(self.first_bytes::<3>(rows)),
            Mode::Rgba { multiplied } => {
                let mut pixels = self.first_bytes::<4>(rows);
                if multiplied {
                    for [red, green, blue, alpha] in pixels.as_chunks_mut::<4>().0 {
                        for level in [red, green, blue] {
                            *level = unmultiplied(*level, *alpha);
                        }
                    }
                }
                Samples::Rgba(pixels)
            }
            Mode::Indexed => Samples::Indexed {
                places: self.first_samples(&rows).collect(),
                palette: Box::new(self.palette(directory)),
            },
            Mode::IndexedAlpha => {
                let palette = self.palette(directory);
                let coloured = |[place, alpha]: &[u8; 2]| {
                    let [red, green, blue, _] = palette.0[usize::from(*place)];
                    [red, green, blue, *alpha]
                };
                Samples::Rgba(rows.as_chunks().0.iter().flat_map(coloured).collect())
            }
            Mode::Cmyk => Samples::Cmyk(self.first_bytes::<4>(rows)),
            Mode::Ycbcr => Samples::Ycbcr(rows),
        })
    }

    /// The first sample of each pixel, of eight bits or fewer.
    fn first_samples<'r>(&self, rows: &'r [u8]) -> impl Iterator<Item = u8> + 'r {
        let depth = self.bits.first().copied().unwrap_or(8) as u32;
        let (width, count) = (self.width as usize, self.bits.len().max(1));
        let row_bytes = packed::row_bytes(width * count, depth).max(1);
        let row_samples = move |row: &'r [u8]| packed::samples(row, depth, width * count).step_by(count);
        rows.chunks_exact(row_bytes).flat_map(row_samples)
    }

    /// The first N samples of each pixel as bytes; of 16 bits the high byte.
    fn first_bytes<const N: usize>(&self, rows: Vec<u8>) -> Vec<u8> {
        let wide = self.bits.first() == Some(&16);
        if !wide && self.bits.len() == N {
            return rows;
        }
        let (sample_bytes, high) = if wide { (2, usize::from(self.little)) } else { (1, 0) };
        let pixel_bytes = sample_bytes * self.bits.len().max(1);
        let pixel = |bytes: &[u8]| -> [u8; N] {
            std::array::from_fn(|sample| bytes.get(sample * sample_bytes + high).copied().unwrap_or_default())
        };
        rows.chunks_exact(pixel_bytes).flat_map(pixel).collect()
    }

    fn deep(&self, rows: &[u8], signed: bool) -> Vec<u8> {
        let depth = self.bits.first().copied().unwrap_or(16);
        let spare = 64 - depth.min(64);
        let value = |bytes: &[u8]| {
            let value = number(bytes, self.little).unwrap_or_default();
            if signed { ((value << spare) as i64) >> spare } else { value as i64 }
        };
        rows.chunks_exact((depth / 8).max(1) as usize).map(|bytes| clipped(value(bytes))).collect()
    }

    /// The high bytes of the colour map: all reds, all greens, all blues.
    fn palette(&self, directory: &Directory<'_>) -> Palette {
        let map = directory.numbers(tag::COLOUR_MAP);
        let count = map.len() / 3;
        let part = |place: usize| map.get(place).map_or(0, |value| (value >> 8) as u8);
        let colours = (0..count).flat_map(|place| [part(place), part(count + place), part(2 * count + place)]);
        Palette::from_rgb(&colours.collect::<Vec<u8>>())
    }
}
