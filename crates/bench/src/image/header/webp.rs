//! WebP (RFC 9649): the three kinds of file, frames of an animation, EXIF, and the length RIFF states.

use super::{Format, Header, byte, exif_orientation, le16, le24, le32};

const FIRST_CHUNK: usize = 12;
const ALPHA: u8 = 0x10;

pub(super) fn read(data: &[u8]) -> Option<Header> {
    let body = data.get(FIRST_CHUNK + 8..)?;
    let (width, height, has_alpha) = match data.get(FIRST_CHUNK..FIRST_CHUNK + 4)? {
        b"VP8 " => lossy(body)?,
        b"VP8L" => lossless(body)?,
        b"VP8X" => (le24(body, 4)? + 1, le24(body, 7)? + 1, byte(body, 0)? & ALPHA != 0),
        _ => return None,
    };
    let stated = le32(data, 4)? as usize;
    let (orientation, frames) = walk(data);
    Some(Header {
        format: Format::WebP,
        width,
        height,
        mode: if has_alpha { "RGBA" } else { "RGB" },
        orientation,
        frames,
        complete: stated.checked_add(8).is_some_and(|stated| data.len() >= stated),
    })
}

/// RFC 6386, 9.1: three bytes of frame tag, three of start code, then 14 bits a side.
fn lossy(body: &[u8]) -> Option<(u32, u32, bool)> {
    if body.get(3..6)? != [0x9d, 0x01, 0x2a] {
        return None;
    }
    Some((u32::from(le16(body, 6)? & 0x3fff), u32::from(le16(body, 8)? & 0x3fff), false))
}

/// RFC 9649, 3.4: a signature, then 14 bits of each side less one, then whether alpha is used.
fn lossless(body: &[u8]) -> Option<(u32, u32, bool)> {
    if byte(body, 0)? != 0x2f {
        return None;
    }
    let bits = le32(body, 1)?;
    Some(((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1, (bits >> 28) & 1 == 1))
}

/// The orientation and the number of frames; each hop is at least eight bytes forward.
fn walk(data: &[u8]) -> (Option<u8>, Option<u32>) {
    let (mut orientation, mut frames) = (None, 0);
    let mut at = FIRST_CHUNK;
    while let (Some(kind), Some(len)) = (data.get(at..at + 4), le32(data, at + 4)) {
        let len = len as usize;
        let Some(next) =
            at.checked_add(8).and_then(|body| body.checked_add(len)).and_then(|end| end.checked_add(len % 2))
        else {
            break;
        };
        match kind {
            b"ANMF" => frames += 1,
            b"EXIF" if orientation.is_none() => {
                orientation = data.get(at + 8..at + 8 + len).and_then(exif_orientation);
            }
            _ => {}
        }
        at = next;
    }
    (orientation, (frames > 0).then_some(frames))
}
