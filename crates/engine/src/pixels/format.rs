//! Which format the bytes of a picture are of, told by their beginning. It knows
//! the names of formats that Pillow opens and this module does not, to refuse them
//! by name.

use super::{Error, number::u32_le};

/// A format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Png,
    Jpeg,
    Webp,
    Gif,
    Bmp,
    Tiff,
}

/// The format of the bytes.
pub(super) fn of(bytes: &[u8]) -> Result<Format, Error> {
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        return Ok(Format::Webp);
    }
    if let Some((_, format)) = READ.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Ok(*format);
    }
    match refused(bytes) {
        Some(format) => Err(Error::Format { format }),
        None => Err(Error::NotAPicture),
    }
}

const READ: [(&[u8], Format); 10] = [
    (b"\x89PNG\r\n\x1a\n", Format::Png),
    (b"\xFF\xD8\xFF", Format::Jpeg),
    (b"GIF87a", Format::Gif),
    (b"GIF89a", Format::Gif),
    (b"BM", Format::Bmp),
    (b"II\x2A\0", Format::Tiff),
    (b"MM\0\x2A", Format::Tiff),
    (b"II\x2B\0", Format::Tiff),
    (b"MM\0\x2B", Format::Tiff),
    // Written by some scanners; Pillow reads them too.
    (b"MM\x2A\0", Format::Tiff),
];

/// Where a mark stands, the mark, and the name of the format.
const REFUSED: [(usize, &[u8], &str); 33] = [
    (0, b"\0\0\x01\0", "ICO"),
    (0, b"\0\0\x02\0", "CUR"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
    (4, b"ftyphei", "HEIF"),
    (4, b"ftypmif1", "HEIF"),
    (0, b"\xFF\x4F\xFF\x51", "JPEG 2000"),
    (0, b"\0\0\0\x0CjP  \r\n\x87\n", "JPEG 2000"),
    (0, b"\xFF\x0A", "JPEG XL"),
    (0, b"\0\0\0\x0CJXL \r\n\x87\n", "JPEG XL"),
    (0, b"8BPS", "PSD"),
    (0, b"DDS ", "DDS"),
    (0, b"qoif", "QOI"),
    (0, b"icns", "ICNS"),
    (0, b"\x01\xDA", "SGI"),
    (0, b"Image type:", "IM"),
    (0, b"SIMPLE  =", "FITS"),
    (0, b"DanM", "MSP"),
    (0, b"LinS", "MSP"),
    (0, b"#define ", "XBM"),
    (0, b"/* XPM */", "XPM"),
    (0, b"BLP1", "BLP"),
    (0, b"BLP2", "BLP"),
    (0, b"P7 332", "XV thumbnail"),
    (0, b"\x59\xA6\x6A\x95", "Sun raster"),
    (0, b"FTEX", "FTEX"),
    (0, b"\x0A\x05\x01\x08", "PCX"),
    (0, b"\x0A\x05\x01\x01", "PCX"),
    (0, b"\xB1\x68\xDE\x3A", "DCX"),
    (0, b"%!PS", "EPS"),
    (0, b"%PDF", "PDF"),
    (0, b"<svg", "SVG"),
    (0, b"\xD7\xCD\xC6\x9A", "WMF"),
];

fn refused(bytes: &[u8]) -> Option<&'static str> {
    let marked = |at: usize, mark: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(mark));
    // TGA has no mark: a sane header without a colour map must do, as it does for Pillow.
    // It comes first because that of a true-colour one begins like a cursor.
    if let [_, 0, 1 | 2 | 3 | 9 | 10 | 11, 0, 0, 0, 0, 0, _, _, _, _, _, _, _, _, 8 | 16 | 24 | 32, _, ..] = bytes {
        return Some("TGA");
    }
    if let Some((_, _, name)) = REFUSED.iter().find(|(at, mark, _)| marked(*at, mark)) {
        return Some(name);
    }
    if let [b'P', kind, space, ..] = bytes
        && b"0123456fyFL".contains(kind)
        && (space.is_ascii_whitespace() || *kind == b'y')
    {
        return Some("PPM");
    }
    // A BMP without its file header begins with the length of the next one.
    [12, 40, 52, 56, 64, 108, 124].contains(&u32_le(bytes, 0)?).then_some("DIB")
}
