//! The strips or tiles of a TIFF file, unpacked and put at their places.

use super::directory::Directory;
use super::layout::Layout;
use super::{broken, tag, unpack, variant};
use crate::pixels::{Error, Limits, packed};

/// How the picture is cut.
struct Cut {
    width: usize,
    height: usize,
    offsets: Vec<u64>,
    lengths: Vec<u64>,
}

/// Stored bytes that may be unpacked: this many, and the whole file so many times.
const SHARED_BYTES_MAX: usize = 64 << 20;
const SHARED_TIMES_MAX: usize = 16;

/// Rows of all samples of the picture, each filled to a whole byte.
pub(super) fn planes(
    bytes: &[u8],
    directory: &Directory<'_>,
    layout: &Layout,
    limits: &Limits,
) -> Result<Vec<u8>, Error> {
    let cut = cut(directory, layout)?;
    let planes = if layout.planar { layout.bits.len() } else { 1 };
    let plane_bits = layout.bits_per_pixel() / planes;
    let (width, height) = (layout.width as usize, layout.height as usize);
    let row_bytes = packed::row_bytes(width, plane_bits as u32);
    let (across, down) = (width.div_ceil(cut.width), height.div_ceil(cut.height));
    let unpacker = unpack::Unpacker::new(directory, layout, plane_bits, limits)?;
    // Strips may share their bytes, but not so that a small file takes hours.
    let mut budget = SHARED_BYTES_MAX + bytes.len() * SHARED_TIMES_MAX;
    let mut out = vec![vec![0; row_bytes * height]; planes];
    for (plane, rows) in out.iter_mut().enumerate() {
        for piece in 0..across * down {
            let (x, y) = (piece % across * cut.width, piece / across * cut.height);
            let high = cut.height.min(height - y);
            // A tile is whole even where it reaches over the rim; a strip is not.
            let stored_high = if directory.bytes_of(tag::TILE_OFFSETS).is_some() { cut.height } else { high };
            let index = plane * across * down + piece;
            let stored = piece_bytes(bytes, &cut, index, layout.compression)?;
            if layout.compression != 1 {
                budget =
                    budget.checked_sub(stored.len()).ok_or_else(|| variant("too many strips with the same bytes"))?;
            }
            let unpacked = unpacker.unpack(stored, cut.width, stored_high)?;
            let piece_row_bytes = packed::row_bytes(cut.width, plane_bits as u32);
            let from_x = x * plane_bits / 8;
            let used = piece_row_bytes.min(row_bytes - from_x);
            for (row, from) in unpacked.chunks_exact(piece_row_bytes).take(high).enumerate() {
                let at = (y + row) * row_bytes + from_x;
                if let (Some(to), Some(from)) = (rows.get_mut(at..at + used), from.get(..used)) {
                    to.copy_from_slice(from);
                }
            }
        }
    }
    Ok(interleaved(out))
}

fn cut(directory: &Directory<'_>, layout: &Layout) -> Result<Cut, Error> {
    let (width, height) = (layout.width as usize, layout.height as usize);
    let side = |name| directory.number(name).map(|value| value as usize).filter(|side| (1..=1 << 20).contains(side));
    let cut = if directory.bytes_of(tag::STRIP_OFFSETS).is_some() {
        let rows = directory.number(tag::ROWS_PER_STRIP).map_or(height, |rows| (rows as usize).clamp(1, height));
        let (offsets, lengths) = (directory.numbers(tag::STRIP_OFFSETS), directory.numbers(tag::STRIP_BYTES));
        Cut { width, height: rows, offsets, lengths }
    } else {
        let (Some(width), Some(height)) = (side(tag::TILE_WIDTH), side(tag::TILE_HEIGHT)) else {
            return Err(broken("it has neither strips nor tiles"));
        };
        let (offsets, lengths) = (directory.numbers(tag::TILE_OFFSETS), directory.numbers(tag::TILE_BYTES));
        if width % 16 != 0 || width > layout.width as usize + 4096 || height > layout.height as usize + 4096 {
            return Err(variant(format!("tiles of {width} x {height}")));
        }
        Cut { width, height, offsets, lengths }
    };
    Ok(cut)
}

fn piece_bytes<'a>(bytes: &'a [u8], cut: &Cut, index: usize, compression: u64) -> Result<&'a [u8], Error> {
    let early = || broken("it ends too early");
    let offset = cut.offsets.get(index).ok_or_else(|| broken("a strip or tile is missing"))?;
    let rest = bytes.get(*offset as usize..).ok_or_else(early)?;
    match cut.lengths.get(index) {
        // Plain rows are as long as they are, whatever is stated.
        _ if compression == 1 => Ok(rest),
        Some(length) => rest.get(..*length as usize).ok_or_else(early),
        None => Ok(rest),
    }
}

/// Planes of one byte per sample as pixels; a lone plane as it is.
fn interleaved(mut planes: Vec<Vec<u8>>) -> Vec<u8> {
    if planes.len() == 1 {
        return planes.pop().unwrap_or_default();
    }
    let (count, length) = (planes.len(), planes.first().map_or(0, Vec::len));
    let mut out = vec![0; count * length];
    for (channel, plane) in planes.iter().enumerate() {
        out.iter_mut().skip(channel).step_by(count).zip(plane).for_each(|(to, from)| *to = *from);
    }
    out
}
