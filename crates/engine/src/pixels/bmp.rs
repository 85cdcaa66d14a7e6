//! BMP: palettes, 16, 24 and 32 bits, bit fields and both run-length codings, as
//! Pillow reads them. It must not know what a picture is for.

mod runs;

use super::number::{u16_le, u32_le};
use super::raster::{Palette, Samples};
use super::{Decoded, Error, Limits, Orientation, Raster, packed};

/// Reads a BMP file.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, Error> {
    let header = Header::read(bytes)?;
    limits.check(header.width, header.height, 4 + 4 + 3)?;
    let layout = Layout::new(bytes, &header)?;
    let rows = match header.compression {
        1 | 2 => runs::rows(bytes, layout.offset, &header)?,
        _ => raw_rows(bytes, &layout, &header)?,
    };
    let samples = layout.samples(&rows, &header)?;
    let raster = Raster { width: header.width, height: header.height, samples };
    Ok(Decoded { raster, orientation: Orientation::default() })
}

fn broken(reason: impl Into<String>) -> Error {
    Error::Broken { format: "BMP", reason: reason.into() }
}

fn variant(what: impl Into<String>) -> Error {
    Error::Variant { format: "BMP", what: what.into() }
}

/// The file header and the fields of the information header that count.
struct Header {
    /// Where the pixels begin, as stated.
    offset: usize,
    /// Length of the information header.
    length: usize,
    width: u32,
    height: u32,
    /// The first row is the top one.
    down: bool,
    bits: u32,
    compression: u32,
    colours: usize,
    /// Bytes of a colour in the palette.
    colour_bytes: usize,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, Error> {
        let short = || broken("its header is too short");
        let long = |at| u32_le(bytes, at).ok_or_else(short);
        let word = |at| u16_le(bytes, at).map(u32::from).ok_or_else(short);
        let (offset, length) = (long(10)? as usize, long(14)? as usize);
        let header = match length {
            12 => {
                let (width, height, bits) = (word(18)?, word(20)?, word(24)?);
                let down = false;
                Self { offset, length, width, height, down, bits, compression: 0, colours: 0, colour_bytes: 3 }
            }
            40 | 52 | 56 | 64 | 108 | 124 => {
                let down = bytes.get(25) == Some(&0xFF);
                let (width, height, bits) = (long(18)?, long(22)?, word(28)?);
                let height = if down { height.wrapping_neg() } else { height };
                let (compression, colours) = (long(30)?, long(46)? as usize);
                Self { offset, length, width, height, down, bits, compression, colours, colour_bytes: 4 }
            }
            other => return Err(variant(format!("a header of {other} bytes"))),
        };
        if header.width == 0 || header.height == 0 {
            return Err(broken("its header states no size"));
        }
        match header.bits {
            1 | 4 | 8 | 16 | 24 | 32 => {}
            bits => return Err(variant(format!("{bits} bits per pixel"))),
        }
        let colours = if header.colours == 0 { 1 << header.bits.min(31) } else { header.colours };
        Ok(Self { colours, ..header })
    }

    /// Bytes of a row in the file, filled to a multiple of four.
    fn stride(&self) -> usize {
        ((self.width as usize * self.bits as usize + 31) >> 3) & !3
    }
}

/// What the stored numbers mean.
struct Layout {
    offset: usize,
    pixel: Pixel,
}

enum Pixel {
    /// Places in a palette.
    Indexed(Box<Palette>),
    /// One bit for black and white.
    Bilevel,
    /// One byte for a level.
    Grey,
    /// Two bytes: so many bits of green, five of the others.
    Words { green_bits: u32 },
    /// Bytes of a pixel and where red, green, blue and perhaps alpha are in it.
    Bytes { count: usize, colours: [usize; 3], alpha: Option<usize> },
}

impl Layout {
    fn new(bytes: &[u8], header: &Header) -> Result<Self, Error> {
        let mut offset = header.offset;
        let mut place = 14 + header.length;
        if offset == place && header.bits <= 8 {
            offset = offset.saturating_add(header.colour_bytes.saturating_mul(header.colours));
        }
        let pixel = match (header.compression, header.bits) {
            (0..=2, 1 | 4 | 8) => {
                if header.colours > 65536 {
                    return Err(variant(format!("a palette of {} colours", header.colours)));
                }
                let end = (place + header.colour_bytes * header.colours).min(bytes.len());
                let palette = bytes.get(place..end).unwrap_or_default();
                place = end;
                palette_pixel(palette, header)
            }
            (0, 16) => Pixel::Words { green_bits: 5 },
            (0, 24) => Pixel::Bytes { count: 3, colours: [2, 1, 0], alpha: None },
            (0, 32) => Pixel::Bytes { count: 4, colours: [2, 1, 0], alpha: None },
            (3, 16 | 24 | 32) => {
                let masks = masks(bytes, header)?;
                if header.length == 40 {
                    place += 12;
                }
                masked_pixel(header.bits, masks)?
            }
            (compression, bits) => return Err(variant(format!("compression {compression} with {bits} bits"))),
        };
        Ok(Self { offset: if offset == 0 { place } else { offset }, pixel })
    }

    /// Bytes of a row that hold pixels, in what Pillow makes of the bits.
    fn row_bytes(&self, header: &Header) -> usize {
        let width = header.width as usize;
        match &self.pixel {
            Pixel::Indexed(_) => packed::row_bytes(width, header.bits),
            Pixel::Bilevel => packed::row_bytes(width, 1),
            Pixel::Grey => width,
            Pixel::Words { .. } => width * 2,
            Pixel::Bytes { count, .. } => width * count,
        }
    }

    fn samples(self, rows: &[u8], header: &Header) -> Result<Samples, Error> {
        let row_bytes = self.row_bytes(header);
        let width = header.width as usize;
        let by_bits = |depth| rows.chunks_exact(row_bytes).flat_map(move |row| packed::samples(row, depth, width));
        // Run-length codings have one byte for each pixel.
        let unpacked = matches!(header.compression, 1 | 2);
        Ok(match self.pixel {
            Pixel::Indexed(palette) if unpacked => Samples::Indexed { places: rows.to_vec(), palette },
            Pixel::Indexed(palette) => Samples::Indexed { places: by_bits(header.bits).collect(), palette },
            Pixel::Bilevel if unpacked => return Err(variant("run lengths in black and white")),
            Pixel::Bilevel => Samples::Grey { levels: by_bits(1).map(|bit| bit * 255).collect(), clear: None },
            Pixel::Grey => Samples::Grey { levels: rows.to_vec(), clear: None },
            Pixel::Words { green_bits } => {
                let pixels = rows.as_chunks().0.iter().flat_map(|pair| word(u16::from_le_bytes(*pair), green_bits));
                Samples::Rgb(pixels.collect())
            }
            Pixel::Bytes { count, colours: [r, g, b], alpha } => {
                let part = |pixel: &[u8], at: usize| pixel.get(at).copied().unwrap_or_default();
                let pixels = rows.chunks_exact(count);
                match alpha {
                    Some(a) => Samples::Rgba(pixels.flat_map(|pixel| [r, g, b, a].map(|at| part(pixel, at))).collect()),
                    None => Samples::Rgb(pixels.flat_map(|pixel| [r, g, b].map(|at| part(pixel, at))).collect()),
                }
            }
        })
    }
}

/// A palette of nothing but greys in order is none, for Pillow.
fn palette_pixel(palette: &[u8], header: &Header) -> Pixel {
    let step = if header.colours == 2 { 255 } else { 1 };
    let is_grey = |place: usize| {
        let colour = palette.get(place * header.colour_bytes..).and_then(|rest| rest.get(..3));
        colour.is_some_and(|colour| colour.iter().all(|part| *part == (place * step) as u8))
    };
    if (0..header.colours).all(is_grey) {
        return if header.colours <= 2 { Pixel::Bilevel } else { Pixel::Grey };
    }
    let rgb: Vec<u8> =
        palette.chunks_exact(header.colour_bytes).flat_map(|colour| colour.iter().take(3).rev().copied()).collect();
    Pixel::Indexed(Box::new(Palette::from_rgb(&rgb)))
}

/// Masks of red, green, blue and alpha.
fn masks(bytes: &[u8], header: &Header) -> Result<[u32; 4], Error> {
    let mask = |place: usize| u32_le(bytes, 14 + 40 + place * 4).ok_or_else(|| broken("its masks are missing"));
    let alpha = if header.length >= 56 { mask(3)? } else { 0 };
    Ok([mask(0)?, mask(1)?, mask(2)?, alpha])
}

/// The layouts that Pillow knows.
fn masked_pixel(bits: u32, masks: [u32; 4]) -> Result<Pixel, Error> {
    const B0: u32 = 0xFF;
    const B1: u32 = 0xFF00;
    const B2: u32 = 0xFF_0000;
    const B3: u32 = 0xFF00_0000;
    let [red, green, blue, _] = masks;
    let bytes = |count, colours, alpha| Ok(Pixel::Bytes { count, colours, alpha });
    match (bits, masks) {
        (32, [B2, B1, B0, 0]) => bytes(4, [2, 1, 0], None),
        (32, [B3, B2, B1, 0]) => bytes(4, [3, 2, 1], None),
        (32, [B3, B1, B0, 0]) => bytes(4, [3, 1, 0], None),
        (32, [B3, B2, B1, B0]) => bytes(4, [3, 2, 1], Some(0)),
        (32, [B0, B1, B2, B3]) => bytes(4, [0, 1, 2], Some(3)),
        (32, [B2, B1, B0, B3] | [0, 0, 0, 0]) => bytes(4, [2, 1, 0], Some(3)),
        (32, [B3, B1, B0, B2]) => bytes(4, [3, 1, 0], Some(2)),
        (24, _) if [red, green, blue] == [B2, B1, B0] => bytes(3, [2, 1, 0], None),
        (16, _) if [red, green, blue] == [0xF800, 0x7E0, 0x1F] => Ok(Pixel::Words { green_bits: 6 }),
        (16, _) if [red, green, blue] == [0x7C00, 0x3E0, 0x1F] => Ok(Pixel::Words { green_bits: 5 }),
        _ => Err(variant(format!("bit fields {red:X}, {green:X}, {blue:X}"))),
    }
}

fn word(pixel: u16, green_bits: u32) -> [u8; 3] {
    let part = |shift: u32, bits: u32| {
        let most = (1_u32 << bits) - 1;
        ((u32::from(pixel) >> shift & most) * 255 / most) as u8
    };
    [part(5 + green_bits, 5), part(5, green_bits), part(0, 5)]
}

/// The rows that hold pixels, from the top, without what fills them.
fn raw_rows(bytes: &[u8], layout: &Layout, header: &Header) -> Result<Vec<u8>, Error> {
    let (stride, row_bytes) = (header.stride(), layout.row_bytes(header));
    if row_bytes > stride {
        return Err(variant("a grey palette of this size"));
    }
    let height = header.height as usize;
    let mut rows = Vec::with_capacity(row_bytes * height);
    for y in 0..height {
        let y = if header.down { y } else { height - 1 - y };
        let at = layout.offset.saturating_add(y * stride);
        rows.extend_from_slice(bytes.get(at..at.saturating_add(row_bytes)).ok_or_else(|| broken("it ends too early"))?);
    }
    Ok(rows)
}
