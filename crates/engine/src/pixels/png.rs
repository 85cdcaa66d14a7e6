//! PNG: every colour type, depth and interlacing; of an animation the first frame.
//! The `png` crate inflates and unfilters; what the numbers mean and what a damaged
//! file is, is Pillow's choice. It must not know what a picture is for.

use std::borrow::Cow;
use std::io::{Cursor, Read};

use super::number::{u16_be, u32_be};
use super::raster::Palette;
use super::{Decoded, Error, Limits, Raster, exif, packed, raster};
use raster::Samples;

/// Reads a PNG file.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, Error> {
    let chunks = Chunks::read(bytes)?;
    limits.check(chunks.width, chunks.height, u64::from(chunks.depth.div_ceil(8)) * 4 + 4 + 3)?;
    let rows =
        Rows { width: chunks.width as usize, depth: chunks.depth, bytes: inflated(&whole(bytes, chunks.cut), limits)? };
    let samples = samples(rows, &chunks)?;
    let profile = chunks.exif.or(chunks.raw_profile);
    let orientation = exif::orientation(profile.as_deref(), chunks.xmp.as_deref());
    Ok(Decoded { raster: Raster { width: chunks.width, height: chunks.height, samples }, orientation })
}

fn broken(reason: impl Into<String>) -> Error {
    Error::Broken { format: "PNG", reason: reason.into() }
}

/// Unfiltered rows from the top.
struct Rows {
    width: usize,
    depth: u32,
    bytes: Vec<u8>,
}

impl Rows {
    /// All samples of one channel of 8 bits or fewer.
    fn unpacked(&self) -> Vec<u8> {
        let row_bytes = packed::row_bytes(self.width, self.depth);
        self.bytes.chunks_exact(row_bytes).flat_map(|row| packed::samples(row, self.depth, self.width)).collect()
    }

    /// The bytes as they are, or the high byte of each 16-bit sample.
    fn high_bytes(self) -> Vec<u8> {
        if self.depth == 16 { self.bytes.into_iter().step_by(2).collect() } else { self.bytes }
    }
}

fn samples(rows: Rows, chunks: &Chunks<'_>) -> Result<Samples, Error> {
    let clear = chunks.transparency.and_then(|data| u16_be(data, 0));
    Ok(match (chunks.colour, chunks.depth) {
        (0, 16) => {
            let levels = rows
                .bytes
                .chunks_exact(2)
                .map(|pair| raster::clipped(u16_be(pair, 0).unwrap_or_default().into()))
                .collect();
            // Pillow compares with the low byte of the level, after clipping.
            Samples::Grey { levels, clear: clear.map(|level| level as u8) }
        }
        (0, depth) => {
            let step = (255 / ((1_u32 << depth) - 1)) as u8;
            let levels = rows.unpacked().into_iter().map(|level| level * step).collect();
            // Pillow scales the level that is clear for one bit only.
            let clear = clear.map(|level| if depth == 1 { if level == 0 { 0 } else { 255 } } else { level as u8 });
            Samples::Grey { levels, clear }
        }
        (2, _) => Samples::Rgb(rows.high_bytes()),
        (3, _) => {
            let mut palette = Palette::from_rgb(chunks.palette.unwrap_or_default());
            for (colour, alpha) in palette.0.iter_mut().zip(chunks.transparency.unwrap_or_default()) {
                colour[3] = *alpha;
            }
            Samples::Indexed { places: rows.unpacked(), palette: Box::new(palette) }
        }
        (4, _) => Samples::GreyAlpha(rows.high_bytes()),
        (6, _) => Samples::Rgba(rows.high_bytes()),
        (colour, depth) => return Err(broken(format!("colour type {colour} with {depth} bits"))),
    })
}

/// The file with an end. Pillow does not miss it, nor the checksum of the last chunk of
/// data, as long as the picture is complete; the decoder does.
fn whole<'a>(bytes: &'a [u8], cut: Option<&'a [u8]>) -> Cow<'a, [u8]> {
    let Some(cut) = cut else { return bytes.into() };
    let mut file = bytes.get(..bytes.len() - cut.len()).unwrap_or_default().to_vec();
    if let (Some(length), Some(b"IDAT"), Some(data)) = (u32_be(cut, 0), cut.get(4..8), cut.get(8..)) {
        let data = data.get(..length as usize).unwrap_or(data);
        file.extend((data.len() as u32).to_be_bytes());
        file.extend_from_slice(b"IDAT");
        file.extend_from_slice(data);
        file.extend_from_slice(&[0; 4]);
    }
    file.extend_from_slice(b"\0\0\0\0IEND\xAE\x42\x60\x82");
    file.into()
}

fn inflated(bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, Error> {
    let memory = png::Limits { bytes: usize::try_from(limits.memory_bytes_max).unwrap_or(usize::MAX) };
    let mut options = png::DecodeOptions::default();
    // Pillow does not look at the checksum of a chunk of data, but at that of all data.
    options.set_ignore_crc(true);
    options.set_ignore_adler32(false);
    options.set_ignore_text_chunk(true);
    options.set_ignore_iccp_chunk(true);
    let mut decoder = png::Decoder::new_with_options(Cursor::new(bytes), options);
    decoder.set_limits(memory);
    let wrong = |error: png::DecodingError| broken(error.to_string());
    let mut reader = decoder.read_info().map_err(wrong)?;
    let mut rows = vec![0; reader.output_buffer_size().ok_or_else(|| broken("its rows are too long"))?];
    let frame = reader.next_frame(&mut rows).map_err(wrong)?;
    rows.truncate(frame.buffer_size());
    if (frame.width, frame.height) != (reader.info().width, reader.info().height) {
        return Err(broken("its first frame is smaller than the picture"));
    }
    Ok(rows)
}

/// The chunks around the picture's data.
#[derive(Default)]
struct Chunks<'a> {
    width: u32,
    height: u32,
    depth: u32,
    colour: u8,
    palette: Option<&'a [u8]>,
    transparency: Option<&'a [u8]>,
    exif: Option<Vec<u8>>,
    /// EXIF as ImageMagick writes it into a text.
    raw_profile: Option<Vec<u8>>,
    xmp: Option<Vec<u8>>,
    /// What is left where the end is missing: nothing, or a chunk that is cut.
    cut: Option<&'a [u8]>,
    /// Bytes of all texts unzipped so far.
    unzipped_bytes: usize,
}

impl<'a> Chunks<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut chunks = Self::default();
        let mut rest = bytes.get(8..).unwrap_or_default();
        let (mut before_data, mut ended) = (true, false);
        while let Some((name, data, checksum)) = split(&mut rest) {
            if name == *b"IDAT" || name == *b"IEND" {
                before_data = false;
            }
            if before_data && checksum != checksum_of(&name, data) {
                return Err(broken(format!("the checksum of its {} chunk is wrong", name.escape_ascii())));
            }
            chunks.take(&name, data, before_data)?;
            if name == *b"IEND" {
                ended = true;
                break;
            }
        }
        chunks.cut = (!ended).then_some(rest);
        if chunks.width == 0 || chunks.height == 0 {
            return Err(broken("its header states no size"));
        }
        Ok(chunks)
    }

    fn take(&mut self, name: &[u8; 4], data: &'a [u8], before_data: bool) -> Result<(), Error> {
        match name {
            b"IHDR" if before_data => {
                let (Some(width), Some(height), Some([depth, colour])) =
                    (u32_be(data, 0), u32_be(data, 4), data.get(8..10))
                else {
                    return Err(broken("its header is too short"));
                };
                (self.width, self.height, self.depth, self.colour) = (width, height, u32::from(*depth), *colour);
            }
            b"PLTE" if before_data => self.palette = Some(data),
            b"tRNS" if before_data => self.transparency = Some(data),
            b"eXIf" => self.exif = Some(data.to_vec()),
            b"tEXt" | b"zTXt" => self.take_text(data, name == b"zTXt"),
            b"iTXt" => self.take_international(data),
            _ => {}
        }
        Ok(())
    }

    fn take_text(&mut self, data: &[u8], zipped: bool) {
        let Some(text) = data.strip_prefix(b"Raw profile type exif\0") else { return };
        let text = if zipped { self.unzipped(text.get(1..).unwrap_or_default()) } else { Some(text.to_vec()) };
        let digits = text.map(|text| text.split(|byte| *byte == b'\n').skip(3).collect::<Vec<_>>().concat());
        self.raw_profile = digits.as_deref().and_then(from_hex).or(self.raw_profile.take());
    }

    /// `None` if it cannot be unzipped, or enough was.
    fn unzipped(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        if self.unzipped_bytes > TEXTS_BYTES_MAX {
            return None;
        }
        let mut text = Vec::new();
        let read = flate2::read::ZlibDecoder::new(data).take(TEXT_BYTES_MAX).read_to_end(&mut text);
        self.unzipped_bytes += text.len();
        read.ok().map(|_| text)
    }

    fn take_international(&mut self, data: &[u8]) {
        let Some([zipped, _method, rest @ ..]) = data.strip_prefix(b"XML:com.adobe.xmp\0") else { return };
        let text = rest.splitn(3, |byte| *byte == 0).nth(2);
        let text = text.and_then(|text| if *zipped == 0 { Some(text.to_vec()) } else { self.unzipped(text) });
        self.xmp = text.or(self.xmp.take());
    }
}

/// Name, data and checksum of the next chunk; `None` at the end or where the file is cut.
fn split<'a>(rest: &mut &'a [u8]) -> Option<([u8; 4], &'a [u8], u32)> {
    let length = u32_be(rest, 0)? as usize;
    let name = rest.get(4..8)?.try_into().ok()?;
    let end = length.checked_add(8)?;
    let data = rest.get(8..end)?;
    let checksum = u32_be(rest, end)?;
    *rest = rest.get(end + 4..)?;
    Some((name, data, checksum))
}

fn checksum_of(name: &[u8; 4], data: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(name);
    sum.update(data);
    sum.sum()
}

/// Most bytes of an unzipped text and of all together, as in Pillow.
const TEXT_BYTES_MAX: u64 = 1 << 20;
const TEXTS_BYTES_MAX: usize = 64 << 20;

fn from_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let byte = |pair: &[u8; 2]| Some((digit(&pair[0])? * 16 + digit(&pair[1])?) as u8);
    digits.as_chunks().0.iter().map(byte).collect()
}
