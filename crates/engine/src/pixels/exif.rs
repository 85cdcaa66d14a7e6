//! The orientation in EXIF data and in XMP text, read as Pillow reads it. It must
//! not know which file the data came from.

use super::number::{u16_be, u16_le, u32_be, u32_le};
use super::orientation::Orientation;

/// The orientation of a picture from its EXIF data, else from its XMP text.
///
/// EXIF data whose header is no TIFF header hides the XMP text too, because Pillow
/// gives up there.
pub(super) fn orientation(exif: Option<&[u8]>, xmp: Option<&[u8]>) -> Orientation {
    let value = match exif.map(in_exif) {
        Some(Found::Broken) => None,
        Some(Found::Value(value)) => value,
        Some(Found::Nothing) | None => xmp.and_then(in_xmp),
    };
    Orientation::new(value.unwrap_or(1))
}

enum Found {
    /// The header is no TIFF header.
    Broken,
    Nothing,
    /// The tag stands there; `None` if its value is no whole number.
    Value(Option<u32>),
}

const ORIENTATION: u16 = 0x0112;
const ENTRY_BYTES: usize = 12;

fn in_exif(data: &[u8]) -> Found {
    let mut data = data;
    for _ in 0..2 {
        data = data.strip_prefix(b"Exif\0\0").unwrap_or(data);
    }
    if data.is_empty() {
        return Found::Nothing;
    }
    let little = data.starts_with(b"II");
    if !little && !data.starts_with(b"MM") {
        return Found::Broken;
    }
    let short = |at| if little { u16_le(data, at) } else { u16_be(data, at) };
    let long = |at| if little { u32_le(data, at) } else { u32_be(data, at) };
    let Some(first) = long(4) else { return Found::Broken };
    directory(first as usize, short, long)
}

fn directory(first: usize, short: impl Fn(usize) -> Option<u16>, long: impl Fn(usize) -> Option<u32>) -> Found {
    let mut found = Found::Nothing;
    let entries = usize::from(short(first).unwrap_or(0));
    for entry in 0..entries {
        let at = first.saturating_add(2 + entry * ENTRY_BYTES);
        let (Some(tag), Some(kind), Some(count), Some(value)) = (short(at), short(at + 2), long(at + 4), long(at + 8))
        else {
            break;
        };
        if tag == ORIENTATION {
            found = Found::Value(match (kind, count) {
                // SHORT, SSHORT.
                (3 | 8, 1) => short(at + 8).map(u32::from),
                // LONG, IFD, SLONG.
                (4 | 9 | 13, 1) => Some(value),
                _ => None,
            });
        }
    }
    found
}

/// The digit behind `tiff:Orientation`, as an attribute or an element.
fn in_xmp(text: &[u8]) -> Option<u32> {
    const NAME: &[u8] = b"tiff:Orientation";
    text.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME).find_map(|(at, _)| {
        let rest = text.get(at + NAME.len()..)?;
        let value = rest.strip_prefix(b"=\"").or_else(|| rest.strip_prefix(b">"))?;
        value.first().and_then(|digit| char::from(*digit).to_digit(10))
    })
}
