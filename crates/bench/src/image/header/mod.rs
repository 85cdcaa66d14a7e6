//! What the first bytes of a picture say: format, size, mode, orientation, frames. No pixel is decoded.
//!
//! The `image` crate gives the size too, but not Pillow's mode, and it wants whole containers where a cut file is
//! to be sent as it is; so each format has a small reader of its own, cross-checked against that crate in the
//! tests. All offsets come from the file and are hostile: every read is a checked `get`, every walk moves forward
//! or is counted.

mod bmp;
mod gif;
mod jpeg;
mod png;
mod tiff;
mod webp;

use super::error::LooksLike;

/// The formats that are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Jpeg,
    Png,
    WebP,
    Gif,
    Bmp,
    Tiff,
}

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) format: Format,
    /// Pixels, as stored; never 0.
    pub(super) width: u32,
    pub(super) height: u32,
    /// Pillow's name.
    pub(super) mode: &'static str,
    /// EXIF orientation 1 to 8, where stated.
    pub(super) orientation: Option<u8>,
    /// Frames or pages, where the format counts them.
    pub(super) frames: Option<u32>,
    /// The file reaches the end that its format states.
    pub(super) complete: bool,
}

/// Why there is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    NotAnImage(LooksLike),
    Broken(Format),
}

/// Reads the header of a picture of any supported format.
pub(super) fn read(data: &[u8]) -> Result<Header, Problem> {
    let format = sniff(data).ok_or_else(|| Problem::NotAnImage(looks_like(data)))?;
    let header = match format {
        Format::Jpeg => jpeg::read(data),
        Format::Png => png::read(data),
        Format::WebP => webp::read(data),
        Format::Gif => gif::read(data),
        Format::Bmp => bmp::read(data),
        Format::Tiff => tiff::read(data),
    };
    header.filter(|header| header.width > 0 && header.height > 0).ok_or(Problem::Broken(format))
}

impl Format {
    /// The registered MIME type.
    pub(super) fn mime(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Gif => "image/gif",
            Self::Bmp => "image/bmp",
            Self::Tiff => "image/tiff",
        }
    }

    /// The name in messages.
    pub(super) fn name(self) -> &'static str {
        self.mime().trim_start_matches("image/")
    }
}

fn sniff(data: &[u8]) -> Option<Format> {
    Some(match data {
        [0xff, 0xd8, 0xff, ..] => Format::Jpeg,
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Format::Png,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Format::WebP,
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Format::Gif,
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Format::Tiff,
        // "BM" alone begins many a text: the length of the second header must be a known one, or missing.
        [b'B', b'M', ..]
            if le32(data, 14).is_none_or(|size| matches!(size, 12 | 16 | 40 | 52 | 56 | 64 | 108 | 124)) =>
        {
            Format::Bmp
        }
        _ => return None,
    })
}

fn looks_like(data: &[u8]) -> LooksLike {
    let known: [(usize, &[u8], &str); 12] = [
        (4, b"ftypavif", "AVIF"),
        (4, b"ftyphei", "HEIC"),
        (4, b"ftypmif1", "HEIF"),
        (4, b"ftyp", "an MP4 video"),
        (0, b"%PDF", "PDF"),
        (0, b"PK\x03\x04", "a zip archive"),
        (0, b"\x1f\x8b", "a gzip archive"),
        (0, b"\x00\x00\x01\x00", "an icon (ICO)"),
        (0, b"\xff\x0a", "JPEG XL"),
        (4, b"JXL ", "JPEG XL"),
        (4, b"jP  ", "JPEG 2000"),
        (0, b"<svg", "SVG"),
    ];
    if data.starts_with(b"version https://git-lfs") {
        return LooksLike::GitLfs;
    }
    for (at, magic, name) in known {
        if data.get(at..).is_some_and(|rest| rest.starts_with(magic)) {
            return LooksLike::Format(name);
        }
    }
    let head = data.get(..512).unwrap_or(data);
    let cut_char = |e: std::str::Utf8Error| e.error_len().is_none() && e.valid_up_to() > 0;
    let is_utf8 = std::str::from_utf8(head).map_or_else(cut_char, |_| true);
    let has_control = head.iter().any(|byte| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r'));
    if is_utf8 && !has_control { LooksLike::Text } else { LooksLike::Unknown }
}

/// The orientation in an EXIF block, which is a small TIFF file (EXIF 2.32, 4.5). Some writers leave the JPEG
/// prefix before it in PNG and WebP as well.
fn exif_orientation(block: &[u8]) -> Option<u8> {
    tiff::orientation(block.strip_prefix(b"Exif\0\0").unwrap_or(block))
}

fn array<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
    data.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn byte(data: &[u8], at: usize) -> Option<u8> {
    data.get(at).copied()
}

fn be16(data: &[u8], at: usize) -> Option<u16> {
    array(data, at).map(u16::from_be_bytes)
}

fn be32(data: &[u8], at: usize) -> Option<u32> {
    array(data, at).map(u32::from_be_bytes)
}

fn le16(data: &[u8], at: usize) -> Option<u16> {
    array(data, at).map(u16::from_le_bytes)
}

fn le32(data: &[u8], at: usize) -> Option<u32> {
    array(data, at).map(u32::from_le_bytes)
}

fn le24(data: &[u8], at: usize) -> Option<u32> {
    array(data, at).map(|[a, b, c]: [u8; 3]| u32::from_le_bytes([a, b, c, 0]))
}
