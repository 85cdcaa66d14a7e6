//! JPEG: baseline, extended and progressive Huffman files of 8 bits, equal in every
//! level to libjpeg-turbo as Pillow uses it (accurate integer transform, smooth
//! upsampling). It must not know what a picture is for.
//!
//! Written here because no decoder in Rust gives libjpeg's levels, and the model
//! sees the difference. Known departures: arithmetic and lossless files are refused,
//! and a progressive file that ends before its last refinement is not smoothed.

mod bits;
mod colour;
mod frame;
mod huffman;
mod idct;
mod scan;
mod segment;
mod upsample;

use super::raster::Samples;
use super::{Decoded, Error, Limits, Raster, exif};
use bits::{Bits, next_marker};
use frame::Frame;
use scan::Scan;
use segment::Head;

/// Most scans of one file: a scan of a few bytes costs a walk over the whole picture.
const SCANS_MAX: u32 = 100;

/// Reads a JPEG file.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, Error> {
    let (frame, head) = read(bytes, limits)?;
    let samples = colour::samples(&frame, &head)?;
    let orientation = exif::orientation(head.exif.as_deref(), head.xmp.as_deref());
    let raster = Raster { width: frame.width as u32, height: frame.height as u32, samples };
    Ok(Decoded { raster, orientation })
}

/// The size and pixels of a JPEG stream inside another file, which says if three
/// components are luma and chroma; the pixels are grey, RGB, or inks as they are.
pub(super) fn bare(bytes: &[u8], luma_chroma: bool, limits: &Limits) -> Result<((usize, usize), Vec<u8>), Error> {
    let (frame, mut head) = read(bytes, limits)?;
    (head.jfif, head.adobe) = (luma_chroma, Some(0));
    let pixels = match colour::samples(&frame, &head)? {
        Samples::Cmyk(mut inks) => {
            inks.iter_mut().for_each(|ink| *ink = 255 - *ink);
            inks
        }
        Samples::Grey { levels, .. } => levels,
        Samples::Rgb(pixels) => pixels,
        _ => Vec::new(),
    };
    Ok(((frame.width, frame.height), pixels))
}

/// All scans of a file.
fn read(bytes: &[u8], limits: &Limits) -> Result<(Frame, Head), Error> {
    let mut head = Head::default();
    let mut frame: Option<Frame> = None;
    let mut place = 2;
    let mut scans = 0;
    loop {
        let marker = next_marker(bytes, &mut place)?;
        match marker {
            START_OF_SCAN => {
                let frame = frame.as_mut().ok_or_else(|| broken("a scan stands before the frame header"))?;
                let scan = Scan::new(segment::body(bytes, &mut place)?, frame)?;
                scans += 1;
                if scans > SCANS_MAX {
                    return Err(broken(format!("more than {SCANS_MAX} scans")));
                }
                let mut bits = Bits::new(bytes, place);
                scan.read(frame, &head, &mut bits)?;
                // A file with everything in its first scan needs no end marker.
                if scans == 1 && scan.is_whole(frame) {
                    break;
                }
                // The marker that ended the scan is read again here.
                place = bits.end()?.saturating_sub(2);
            }
            END_OF_IMAGE if scans > 0 => break,
            0xC0..=0xC2 if frame.is_none() => {
                frame = Some(Frame::new(marker, segment::body(bytes, &mut place)?, limits)?);
            }
            0xC3 | 0xC5..=0xC7 | 0xCB | 0xCD..=0xCF => return Err(variant("a lossless or hierarchical process")),
            0xC9 | 0xCA => return Err(variant("arithmetic coding")),
            // Restart and other markers without a segment.
            0x01 | 0xD0..=0xD7 => {}
            _ => head.read(marker, segment::body(bytes, &mut place)?)?,
        }
    }
    let mut frame = frame.ok_or_else(|| broken("no picture in it"))?;
    frame.transform();
    Ok((frame, head))
}

const START_OF_SCAN: u8 = 0xDA;
const END_OF_IMAGE: u8 = 0xD9;

fn broken(reason: impl Into<String>) -> Error {
    Error::Broken { format: "JPEG", reason: reason.into() }
}

fn truncated() -> Error {
    broken("it ends too early")
}

fn variant(what: impl Into<String>) -> Error {
    Error::Variant { format: "JPEG", what: what.into() }
}
