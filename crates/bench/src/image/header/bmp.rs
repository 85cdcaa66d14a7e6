//! BMP (Windows 2 to 5 and OS/2 headers): size, bits a pixel, palette, and whether the rows are all there.

use super::{Format, Header, le16, le32};

const FILE_HEADER_LEN: usize = 14;
const OS2_HEADER_LEN: usize = 12;
const RAW: u32 = 0;
const BIT_FIELDS: u32 = 3;
/// Where the mask of alpha lies in headers of 56 bytes and more.
const ALPHA_MASK_AT: usize = FILE_HEADER_LEN + 52;

pub(super) fn read(data: &[u8]) -> Option<Header> {
    let header_len = le32(data, FILE_HEADER_LEN)? as usize;
    let is_os2 = header_len == OS2_HEADER_LEN;
    let (width, height, bits) = if is_os2 {
        (u32::from(le16(data, 18)?), u32::from(le16(data, 20)?), le16(data, 24)?)
    } else {
        // A negative height says that the first row is the top one.
        let height = i32::from_le_bytes(super::array(data, 22)?).unsigned_abs();
        (le32(data, 18)?, height, le16(data, 28)?)
    };
    let is_short = header_len < 40;
    let compression = if is_short { RAW } else { le32(data, 30)? };
    let colours = if is_short { 0 } else { le32(data, 46)? };
    let palette_at = FILE_HEADER_LEN + header_len;
    let mode = match bits {
        1 | 4 | 8 => {
            let count = if colours == 0 { 1 << bits } else { colours.min(256) };
            palette_mode(data.get(palette_at..).unwrap_or_default(), count, if is_os2 { 3 } else { 4 })
        }
        16 | 24 => "RGB",
        32 if compression == BIT_FIELDS && header_len >= 56 && le32(data, ALPHA_MASK_AT)? != 0 => "RGBA",
        32 => "RGB",
        _ => return None,
    };
    Some(Header {
        format: Format::Bmp,
        width: Some(width).filter(|width| *width <= i32::MAX as u32)?,
        height,
        mode,
        orientation: None,
        frames: None,
        complete: is_complete(data, compression, (width, height, bits)),
    })
}

/// Pillow's name by the palette: grey from 0 upward is `L`, black and white is `1`, all else `P`.
fn palette_mode(palette: &[u8], count: u32, entry_len: usize) -> &'static str {
    let step = if count == 2 { 255 } else { 1 };
    let wanted = (0..count).map(|index| index * step);
    let mut entries = palette.chunks_exact(entry_len);
    let is_grey = wanted
        .into_iter()
        .all(|grey| entries.next().is_some_and(|entry| entry.iter().take(3).all(|part| u32::from(*part) == grey)));
    match (is_grey, count) {
        (false, _) => "P",
        (true, 2) => "1",
        (true, _) => "L",
    }
}

/// Rows are padded to four bytes. Packed rows are measured by the file's stated length.
fn is_complete(data: &[u8], compression: u32, (width, height, bits): (u32, u32, u16)) -> bool {
    let have = data.len() as u64;
    let Some(pixels_at) = le32(data, 10) else { return false };
    if matches!(compression, RAW | BIT_FIELDS) {
        let row_len = (u64::from(width) * u64::from(bits)).div_ceil(32) * 4;
        return have >= row_len.saturating_mul(u64::from(height)).saturating_add(u64::from(pixels_at));
    }
    le32(data, 2).is_some_and(|stated| have >= u64::from(stated))
}
