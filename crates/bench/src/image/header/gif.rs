//! GIF (89a): the logical screen, the first frame's palette, the number of frames and the trailer.

use super::{Format, Header, byte, le16};

const SCREEN_LEN: usize = 13;

pub(super) fn read(data: &[u8]) -> Option<Header> {
    let (width, height) = (le16(data, 6)?.into(), le16(data, 8)?.into());
    let flags = byte(data, 10)?;
    let global_len = palette_len(flags);
    let global = data.get(SCREEN_LEN..SCREEN_LEN + global_len).unwrap_or_default();
    let blocks = walk(data, SCREEN_LEN + global_len);
    let palette = blocks.first_palette.filter(|own| !own.is_empty()).unwrap_or(global);
    Some(Header {
        format: Format::Gif,
        width,
        height,
        mode: if is_grey_ramp(palette) { "L" } else { "P" },
        orientation: None,
        frames: Some(blocks.frames),
        complete: blocks.has_trailer,
    })
}

#[derive(Default)]
struct Blocks<'a> {
    /// The first frame's own palette, empty where it has none.
    first_palette: Option<&'a [u8]>,
    frames: u32,
    has_trailer: bool,
}

fn walk(data: &[u8], start: usize) -> Blocks<'_> {
    let mut blocks = Blocks::default();
    let mut at = start;
    loop {
        at = match byte(data, at) {
            Some(0x21) => skip_sub_blocks(data, at + 2),
            Some(0x2c) => {
                let Some(flags) = byte(data, at + 9) else { return blocks };
                let len = palette_len(flags);
                let palette = data.get(at + 10..at + 10 + len).unwrap_or_default();
                blocks.first_palette = blocks.first_palette.or(Some(palette));
                blocks.frames += 1;
                // One byte of code size stands before the sub-blocks.
                skip_sub_blocks(data, at + 10 + len + 1)
            }
            Some(0x3b) => {
                blocks.has_trailer = true;
                return blocks;
            }
            _ => return blocks,
        };
    }
}

/// The place after the empty sub-block, or past the end of a file that stops before it.
fn skip_sub_blocks(data: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(len) = byte(data, at).filter(|len| *len > 0) {
        at += 1 + usize::from(len);
    }
    at + 1
}

fn palette_len(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// Pillow calls a picture `L` where its palette is 0, 1, 2, … in grey, or where there is none.
fn is_grey_ramp(palette: &[u8]) -> bool {
    palette.chunks_exact(3).zip(0..=255).all(|(colour, grey)| colour == [grey; 3])
}
