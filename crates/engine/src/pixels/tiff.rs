//! TIFF and BigTIFF: the first picture, in the modes that Pillow reads, in strips
//! and tiles, plain, LZW, Deflate, PackBits, fax group 4 and JPEG. It must not know
//! what a picture is for.
//!
//! Written here, over the crates that decompress, because a reader that hands out
//! finished colours cannot be held to Pillow's table of modes.

mod directory;
mod layout;
mod strips;
mod unpack;

use super::{Decoded, Error, Limits, Raster, exif};
use directory::Directory;
use layout::Layout;

/// Reads a TIFF file.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, Error> {
    let directory = Directory::read(bytes)?;
    let layout = Layout::new(&directory)?;
    // Packed planes, samples and RGB at a time.
    let sample_bytes = (layout.bits_per_pixel() as u64).div_ceil(8);
    limits.check(layout.width, layout.height, sample_bytes * 3 + 3)?;
    let planes = strips::planes(bytes, &directory, &layout, limits)?;
    let samples = layout.samples(planes, &directory)?;
    let orientation = match directory.orientation() {
        Some(orientation) => orientation,
        None => exif::orientation(None, directory.bytes_of(tag::XMP)),
    };
    Ok(Decoded { raster: Raster { width: layout.width, height: layout.height, samples }, orientation })
}

fn broken(reason: impl Into<String>) -> Error {
    Error::Broken { format: "TIFF", reason: reason.into() }
}

fn variant(what: impl Into<String>) -> Error {
    Error::Variant { format: "TIFF", what: what.into() }
}

/// Numbers of the entries that are looked at.
mod tag {
    pub(super) const WIDTH: u16 = 256;
    pub(super) const HEIGHT: u16 = 257;
    pub(super) const BITS: u16 = 258;
    pub(super) const COMPRESSION: u16 = 259;
    pub(super) const PHOTOMETRIC: u16 = 262;
    pub(super) const FILL_ORDER: u16 = 266;
    pub(super) const STRIP_OFFSETS: u16 = 273;
    pub(super) const ORIENTATION: u16 = 274;
    pub(super) const SAMPLES: u16 = 277;
    pub(super) const ROWS_PER_STRIP: u16 = 278;
    pub(super) const STRIP_BYTES: u16 = 279;
    pub(super) const PLANAR: u16 = 284;
    pub(super) const PREDICTOR: u16 = 317;
    pub(super) const COLOUR_MAP: u16 = 320;
    pub(super) const TILE_WIDTH: u16 = 322;
    pub(super) const TILE_HEIGHT: u16 = 323;
    pub(super) const TILE_OFFSETS: u16 = 324;
    pub(super) const TILE_BYTES: u16 = 325;
    pub(super) const EXTRA: u16 = 338;
    pub(super) const SAMPLE_FORMAT: u16 = 339;
    pub(super) const JPEG_TABLES: u16 = 347;
    pub(super) const XMP: u16 = 700;
}
