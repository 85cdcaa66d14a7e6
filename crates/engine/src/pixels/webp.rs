//! WebP, lossy and lossless, with and without alpha; of an animation the first
//! frame. It must not know what a picture is for.

mod animation;

use std::io::Cursor;

use image_webp::{DecodingError, WebPDecoder};

use super::number::u32_le;
use super::raster::Samples;
use super::{Decoded, Error, Limits, Raster, exif};

/// Reads a WebP file.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, Error> {
    let stated = u32_le(bytes, 4).unwrap_or_default() as usize;
    if stated > bytes.len() - HEADER_BYTES {
        return Err(broken("it ends too early"));
    }
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(wrong)?;
    let (width, height) = decoder.dimensions();
    // Planes of luma and chroma, RGBA of the frame, of the canvas and of the picture.
    limits.check(width, height, 2 + 4 + 4 + 4 + 3)?;
    decoder.set_memory_limit(usize::try_from(limits.memory_bytes_max).unwrap_or(usize::MAX));
    let profile = decoder.exif_metadata().map_err(wrong)?;
    let xmp = decoder.xmp_metadata().map_err(wrong)?;
    let samples = if decoder.is_animated() {
        animation::first_frame(bytes, width, height, decoder.has_alpha())?
    } else {
        still(decoder)?
    };
    let orientation = exif::orientation(profile.as_deref(), xmp.as_deref());
    Ok(Decoded { raster: Raster { width, height, samples }, orientation })
}

/// What stands before the part whose length the header states.
const HEADER_BYTES: usize = 8;

fn still(mut decoder: WebPDecoder<Cursor<&[u8]>>) -> Result<Samples, Error> {
    let mut pixels = vec![0; decoder.output_buffer_size().ok_or_else(|| wrong(DecodingError::ImageTooLarge))?];
    decoder.read_image(&mut pixels).map_err(wrong)?;
    Ok(if decoder.has_alpha() { Samples::Rgba(pixels) } else { Samples::Rgb(pixels) })
}

fn broken(reason: impl Into<String>) -> Error {
    Error::Broken { format: "WebP", reason: reason.into() }
}

fn wrong(error: DecodingError) -> Error {
    broken(error.to_string())
}
