//! From the bytes of a picture to what the vision tower takes, equal to what vLLM
//! 0.32 with transformers 5 and torchvision does: decode, turn, convert to RGB,
//! resize, normalise, cut into patches. It must not know HTTP, files on disk or the
//! model's weights.
//!
//! ```
//! use engine::pixels::{Limits, Normalisation, decode, preprocess};
//! use geometry::{Family, Preprocessor};
//!
//! let file = include_bytes!("../../../tests/data/pictures/formats/png_rgb.png");
//! let image = decode(file, &Limits::default())?;
//! let patches = preprocess(&image, &Preprocessor::of(Family::Qwen2Vl), &Normalisation::CLIP)?;
//! assert_eq!(patches.values.len() as u64, patches.geometry.patches() * 1176);
//! # Ok::<(), engine::pixels::Error>(())
//! ```

mod bmp;
mod error;
mod exif;
mod format;
mod gif;
mod jpeg;
mod orientation;
mod packed;
mod patches;
mod png;
mod raster;
mod resize;
mod tiff;
mod webp;

pub use error::Error;
pub use patches::{Normalisation, Patches, preprocess};
pub use resize::resize;

use format::Format;
use orientation::Orientation;
use raster::Raster;

/// A picture: rows from the top, three bytes (red, green, blue) for each pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbImage {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `[height, width, 3]`.
    pub pixels: Vec<u8>,
}

/// What a picture may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Greatest length of the file, in bytes.
    pub bytes_max: u64,
    /// Most pixels. The default is Pillow's and vLLM's.
    pub pixels_max: u64,
    /// Most memory that decoding may take at a time, in bytes. A decoder compares what
    /// it needs with it before it takes anything ([`Error::TooMuchMemory`]).
    pub memory_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes_max: 256 << 20, pixels_max: 178_956_970, memory_bytes_max: 4 << 30 }
    }
}

/// Reads a still picture, or the first frame of an animation.
///
/// The format is told by the content. The picture is turned by its EXIF (else XMP)
/// orientation. What is transparent is laid onto white, a colour picture without
/// alpha stays as it is, and everything else becomes RGB by Pillow's rules.
///
/// # Errors
/// Any of [`Error`] but [`Error::Geometry`] and [`Error::Normalisation`]: a picture
/// that is damaged, too large, or of a format that is not read.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<RgbImage, Error> {
    if bytes.len() as u64 > limits.bytes_max {
        return Err(Error::TooManyBytes { bytes: bytes.len() as u64, bytes_max: limits.bytes_max });
    }
    let decoded = match format::of(bytes)? {
        Format::Png => png::decode(bytes, limits),
        Format::Jpeg => jpeg::decode(bytes, limits),
        Format::Webp => webp::decode(bytes, limits),
        Format::Gif => gif::decode(bytes, limits),
        Format::Bmp => bmp::decode(bytes, limits),
        Format::Tiff => tiff::decode(bytes, limits),
    }?;
    Ok(decoded.orientation.apply(decoded.raster.into_rgb()))
}

/// What a decoder found in a file.
struct Decoded {
    raster: Raster,
    orientation: Orientation,
}

impl Limits {
    /// Refuses a size before memory is taken. `bytes_per_pixel` is what the decoder
    /// holds for each pixel at a time, the RGB picture included; turning and resizing
    /// hold two of those.
    fn check(&self, width: u32, height: u32, bytes_per_pixel: u64) -> Result<(), Error> {
        let pixels = u64::from(width) * u64::from(height);
        if pixels > self.pixels_max {
            return Err(Error::TooManyPixels { width, height, pixels_max: self.pixels_max });
        }
        let bytes = pixels.saturating_mul(bytes_per_pixel.max(2 * 3));
        if bytes > self.memory_bytes_max {
            return Err(Error::TooMuchMemory { bytes, bytes_max: self.memory_bytes_max });
        }
        Ok(())
    }
}

/// Unsigned little-endian and big-endian numbers at a place of a file; `None` past its end.
mod number {
    fn bytes<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
        data.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    pub(super) fn u16_le(data: &[u8], at: usize) -> Option<u16> {
        bytes(data, at).map(u16::from_le_bytes)
    }

    pub(super) fn u16_be(data: &[u8], at: usize) -> Option<u16> {
        bytes(data, at).map(u16::from_be_bytes)
    }

    pub(super) fn u32_le(data: &[u8], at: usize) -> Option<u32> {
        bytes(data, at).map(u32::from_le_bytes)
    }

    pub(super) fn u32_be(data: &[u8], at: usize) -> Option<u32> {
        bytes(data, at).map(u32::from_be_bytes)
    }
}
