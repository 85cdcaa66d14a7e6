//! One strip or tile of a TIFF file, decompressed.

use std::borrow::Cow;
use std::io::Read;

use super::directory::{Directory, number};
use super::layout::Layout;
use super::{broken, tag, variant};
use crate::pixels::{Error, Limits, jpeg, packed};

/// What is the same for all strips.
pub(super) struct Unpacker<'a> {
    compression: u64,
    /// Bits of a pixel of one plane, and samples in it.
    pixel_bits: usize,
    samples: usize,
    little: bool,
    /// Samples are stored as differences to the pixel before.
    differences: bool,
    /// Bits stand in each byte from the low end.
    reversed: bool,
    jpeg_tables: &'a [u8],
    /// Three JPEG components are luma and chroma.
    luma_chroma: bool,
    limits: &'a Limits,
}

impl<'a> Unpacker<'a> {
    pub(super) fn new(
        directory: &Directory<'a>,
        layout: &Layout,
        pixel_bits: usize,
        limits: &'a Limits,
    ) -> Result<Self, Error> {
        let predictor = directory.number(tag::PREDICTOR).unwrap_or(1);
        let compression = layout.compression;
        let predicts = matches!(compression, LZW | DEFLATE | DEFLATE_OLD);
        if predicts && predictor > 2 {
            return Err(variant(format!("predictor {predictor}")));
        }
        Ok(Self {
            compression,
            pixel_bits,
            samples: if layout.planar { 1 } else { layout.bits.len() },
            little: layout.little,
            differences: predicts && predictor == 2,
            reversed: directory.number(tag::FILL_ORDER) == Some(2),
            jpeg_tables: directory.bytes_of(tag::JPEG_TABLES).unwrap_or_default(),
            luma_chroma: directory.number(tag::PHOTOMETRIC) == Some(6),
            limits,
        })
    }

    /// Rows of `width` pixels, each filled to a whole byte.
    pub(super) fn unpack<'d>(&self, stored: &'d [u8], width: usize, height: usize) -> Result<Cow<'d, [u8]>, Error> {
        let row_bytes = packed::row_bytes(width, self.pixel_bits as u32);
        let length = row_bytes.saturating_mul(height);
        if length as u64 > self.limits.memory_bytes_max {
            return Err(Error::TooMuchMemory { bytes: length as u64, bytes_max: self.limits.memory_bytes_max });
        }
        let stored: Cow<'d, [u8]> = if self.reversed {
            let used = if self.compression == PLAIN { stored.get(..length).unwrap_or(stored) } else { stored };
            used.iter().map(|byte| byte.reverse_bits()).collect::<Vec<_>>().into()
        } else {
            stored.into()
        };
        let mut rows: Cow<'d, [u8]> = match self.compression {
            PLAIN => stored,
            LZW => lzw(&stored, length)?.into(),
            DEFLATE | DEFLATE_OLD => deflated(&stored, length)?.into(),
            PACKBITS => packbits(&stored, length).into(),
            FAX4 => fax4(&stored, width, height)?.into(),
            JPEG => self.jpeg(&stored, width, height)?.into(),
            other => return Err(variant(format!("compression {}", name(other)))),
        };
        match &mut rows {
            rows if rows.len() < length => return Err(broken("it ends too early")),
            Cow::Borrowed(rows) => *rows = rows.get(..length).unwrap_or_default(),
            Cow::Owned(rows) => rows.truncate(length),
        }
        if self.differences {
            self.add_up(rows.to_mut(), row_bytes)?;
        }
        Ok(rows)
    }

    /// Undoes horizontal differences.
    fn add_up(&self, rows: &mut [u8], row_bytes: usize) -> Result<(), Error> {
        let depth = self.pixel_bits / self.samples.max(1);
        if !matches!(depth, 8 | 16 | 32) {
            return Err(variant(format!("differences of {depth} bits")));
        }
        let sample_bytes = depth / 8;
        let distance = sample_bytes * self.samples;
        for row in rows.chunks_exact_mut(row_bytes) {
            for at in (distance..row_bytes).step_by(sample_bytes) {
                let value = |place: usize| row.get(place..place + sample_bytes).and_then(|v| number(v, self.little));
                let sum = value(at).unwrap_or_default().wrapping_add(value(at - distance).unwrap_or_default());
                if let Some(place) = row.get_mut(at..at + sample_bytes) {
                    for (index, byte) in place.iter_mut().enumerate() {
                        let shift = if self.little { index } else { sample_bytes - 1 - index } * 8;
                        *byte = (sum >> shift) as u8;
                    }
                }
            }
        }
        Ok(())
    }

    fn jpeg(&self, stored: &[u8], width: usize, height: usize) -> Result<Vec<u8>, Error> {
        // The tables stand in a JPEG file of their own: joined without its end and the other's start.
        let file = match self.jpeg_tables.len().checked_sub(2).and_then(|end| self.jpeg_tables.get(..end)) {
            Some(tables) => [tables, stored.get(2..).unwrap_or_default()].concat(),
            None => stored.to_vec(),
        };
        let (size, pixels) = jpeg::bare(&file, self.luma_chroma, self.limits)?;
        if size != (width, height) || pixels.len() * 8 != width * height * self.pixel_bits {
            return Err(broken("a JPEG strip of another size"));
        }
        Ok(pixels)
    }
}

const PLAIN: u64 = 1;
const FAX4: u64 = 4;
const LZW: u64 = 5;
const JPEG: u64 = 7;
const DEFLATE: u64 = 8;
const DEFLATE_OLD: u64 = 32946;
const PACKBITS: u64 = 32773;

fn name(compression: u64) -> String {
    let name = match compression {
        2 => "CCITT RLE",
        3 => "fax group 3",
        6 => "old JPEG",
        34925 => "LZMA",
        50000 => "Zstandard",
        50001 => "WebP",
        other => return other.to_string(),
    };
    name.to_owned()
}

fn lzw(stored: &[u8], length: usize) -> Result<Vec<u8>, Error> {
    let mut decoder = weezl::decode::Decoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8);
    let mut out = vec![0; length];
    let (mut rest, mut filled) = (stored, 0);
    while filled < length {
        let result = decoder.decode_bytes(rest, out.get_mut(filled..).unwrap_or_default());
        rest = rest.get(result.consumed_in..).unwrap_or_default();
        filled += result.consumed_out;
        match result.status {
            Ok(weezl::LzwStatus::Ok) if result.consumed_in + result.consumed_out > 0 => {}
            Ok(_) => break,
            Err(error) => return Err(broken(error.to_string())),
        }
    }
    out.truncate(filled);
    Ok(out)
}

fn deflated(stored: &[u8], length: usize) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    let mut reader = flate2::read::ZlibDecoder::new(stored).take(length as u64);
    reader.read_to_end(&mut out).map_err(|error| broken(error.to_string()))?;
    Ok(out)
}

fn packbits(mut stored: &[u8], length: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while let (Some((count, rest)), true) = (stored.split_first(), out.len() < length) {
        let used = match count {
            0..=127 => {
                let copied = rest.get(..usize::from(*count) + 1).unwrap_or(rest);
                out.extend_from_slice(copied);
                copied.len()
            }
            128 => 0,
            129..=255 => {
                out.extend(std::iter::repeat_n(rest.first().copied().unwrap_or_default(), 257 - usize::from(*count)));
                1
            }
        };
        stored = rest.get(used..).unwrap_or_default();
    }
    out
}

/// Black is 1, as in the file.
fn fax4(stored: &[u8], width: usize, height: usize) -> Result<Vec<u8>, Error> {
    let size = u16::try_from(width).ok().zip(u16::try_from(height).ok());
    let (wide, high) = size.ok_or_else(|| variant("a fax of more than 65535 pixels"))?;
    let mut out = Vec::with_capacity(width.div_ceil(8) * height);
    fax::decoder::decode_g4(stored.iter().copied(), wide, Some(high), |line| {
        let mut row = vec![0; width.div_ceil(8)];
        for (x, colour) in fax::decoder::pels(line, wide).enumerate() {
            if let (fax::Color::Black, Some(byte)) = (colour, row.get_mut(x / 8)) {
                *byte |= 0x80 >> (x % 8);
            }
        }
        out.extend(row);
    });
    Ok(out)
}
