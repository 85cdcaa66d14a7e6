//! JPEG (ITU-T T.81): the frame header, EXIF in APP1 and whether the end marker comes after the scans.

use super::{Format, Header, be16, byte, exif_orientation};

pub(super) fn read(data: &[u8]) -> Option<Header> {
    let mut at = 2;
    let mut frame = None;
    let mut orientation = None;
    let mut scan = None;
    while byte(data, at) == Some(0xff) {
        let Some(marker) = byte(data, at + 1) else { break };
        match marker {
            // Fill bytes; then markers that stand alone.
            0xff => {
                at += 1;
                continue;
            }
            0x01 | 0xd0..=0xd8 => {
                at += 2;
                continue;
            }
            0xd9 => break,
            0xda => {
                scan = Some(at);
                break;
            }
            _ => {}
        }
        let Some(len) = be16(data, at + 2).map(usize::from).filter(|len| *len >= 2) else { break };
        let body = data.get(at + 4..(at + 2 + len).min(data.len())).unwrap_or_default();
        match marker {
            // Every frame header but DHT (c4), JPG (c8) and DAC (cc), which lie in the same range.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => frame = frame.or_else(|| frame_header(body)),
            0xe1 if orientation.is_none() && body.starts_with(b"Exif\0\0") => orientation = exif_orientation(body),
            _ => {}
        }
        at += 2 + len;
    }
    let (width, height, mode) = frame?;
    let complete = scan.is_some_and(|scan| has_end(data.get(scan..).unwrap_or_default()));
    Some(Header { format: Format::Jpeg, width, height, mode, orientation, frames: None, complete })
}

/// Width, height, Pillow's mode. Four components are CMYK to Pillow, whether Adobe's marker says YCCK or not.
fn frame_header(body: &[u8]) -> Option<(u32, u32, &'static str)> {
    let mode = match byte(body, 5)? {
        1 => "L",
        3 => "RGB",
        4 => "CMYK",
        _ => return None,
    };
    Some((be16(body, 3)?.into(), be16(body, 1)?.into(), mode))
}

/// In coded data ff is followed by 00 or a marker, so ff d9 after the first scan is the end. Cameras write more
/// after it, so it is looked for from the back.
fn has_end(scans: &[u8]) -> bool {
    scans.windows(2).rev().any(|pair| pair == [0xff, 0xd9])
}
