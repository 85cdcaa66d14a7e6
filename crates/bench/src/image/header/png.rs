//! PNG (W3C PNG, third edition): IHDR, acTL, eXIf and whether IEND is reached.

use super::{Format, Header, be32, byte, exif_orientation};

const SIGNATURE_LEN: usize = 8;
/// Length, type and checksum.
const CHUNK_FRAME_LEN: usize = 12;

pub(super) fn read(data: &[u8]) -> Option<Header> {
    if data.get(12..16)? != b"IHDR" {
        return None;
    }
    let (width, height) = (be32(data, 16)?, be32(data, 20)?);
    // A side is at most 2³¹ − 1.
    if width.max(height) > i32::MAX as u32 {
        return None;
    }
    let mode = mode(byte(data, 24)?, byte(data, 25)?)?;
    let mut header =
        Header { format: Format::Png, width, height, mode, orientation: None, frames: None, complete: false };
    walk(data, &mut header);
    Some(header)
}

/// Hops from chunk to chunk; each hop is at least twelve bytes forward.
fn walk(data: &[u8], header: &mut Header) {
    let mut at = SIGNATURE_LEN;
    while let (Some(len), Some(kind)) = (be32(data, at), data.get(at + 4..at + 8)) {
        let body = at + 8;
        let Some(end) = body.checked_add(len as usize) else { return };
        let content = data.get(body..end);
        match kind {
            b"IEND" => {
                header.complete = data.len() >= end + 4;
                return;
            }
            b"acTL" => header.frames = content.and_then(|content| be32(content, 0)),
            b"eXIf" => header.orientation = content.and_then(exif_orientation),
            _ => {}
        }
        let Some(next) = at.checked_add(CHUNK_FRAME_LEN + len as usize) else { return };
        at = next;
    }
}

/// Pillow's name by bit depth and colour type; 16-bit grey with alpha is widened to `RGBA` there.
fn mode(bit_depth: u8, colour_type: u8) -> Option<&'static str> {
    Some(match (bit_depth, colour_type) {
        (1, 0) => "1",
        (2 | 4 | 8, 0) => "L",
        (16, 0) => "I;16",
        (8 | 16, 2) => "RGB",
        (1 | 2 | 4 | 8, 3) => "P",
        (8, 4) => "LA",
        (16, 4) | (8 | 16, 6) => "RGBA",
        _ => return None,
    })
}
