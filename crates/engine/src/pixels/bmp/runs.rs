//! The run-length codings of BMP, with what Pillow makes of odd ones.

use super::{Header, broken};
use crate::pixels::Error;

/// One byte for each pixel, rows from the top.
pub(super) fn rows(bytes: &[u8], offset: usize, header: &Header) -> Result<Vec<u8>, Error> {
    let (width, height) = (header.width as usize, header.height as usize);
    let mut runs = Runs { bytes, place: offset, nibbles: header.compression == 2, width, total: width * height };
    let stored = runs.unpack();
    if stored.len() < runs.total {
        return Err(broken("its data ends too early"));
    }
    let rows = stored.chunks_exact(width).take(height);
    Ok(if header.down { rows.flatten().copied().collect() } else { rows.rev().flatten().copied().collect() })
}

struct Runs<'a> {
    bytes: &'a [u8],
    place: usize,
    /// Two pixels in a byte.
    nibbles: bool,
    width: usize,
    total: usize,
}

impl Runs<'_> {
    /// All pixels in the order of the file; fewer if it ends early.
    fn unpack(&mut self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.total);
        let mut x = 0;
        while out.len() < self.total {
            let (Some(count), Some(value)) = (self.byte(), self.byte()) else { break };
            match (count, value) {
                (0, 0) => {
                    let row_end = out.len().next_multiple_of(self.width);
                    out.resize(row_end, 0);
                    x = 0;
                }
                (0, 1) => break,
                (0, 2) => {
                    let (Some(right), Some(up)) = (self.byte(), self.byte()) else { break };
                    let skipped = usize::from(right) + usize::from(up) * self.width;
                    out.resize((out.len() + skipped).min(self.total), 0);
                    x = out.len() % self.width;
                }
                (0, count) => {
                    if !self.copy(usize::from(count).min(self.total - out.len()), &mut out) || out.len() == self.total {
                        break;
                    }
                    x += usize::from(count);
                    // Aligned to an even place of the file.
                    self.place += self.place % 2;
                }
                (count, value) => {
                    // What would reach over the row is cut.
                    let count = usize::from(count).min(self.width.saturating_sub(x));
                    let pair = if self.nibbles { [value >> 4, value & 15] } else { [value; 2] };
                    out.extend(pair.iter().cycle().take(count));
                    x += count;
                }
            }
        }
        out
    }

    /// Pixels that stand one by one; false if the file ends before them.
    fn copy(&mut self, count: usize, out: &mut Vec<u8>) -> bool {
        let byte_count = if self.nibbles { count.div_ceil(2) } else { count };
        let end = self.place.saturating_add(byte_count).min(self.bytes.len());
        let stored = self.bytes.get(self.place..end).unwrap_or_default();
        self.place = end;
        let whole = stored.len() == byte_count;
        if self.nibbles {
            out.extend(stored.iter().flat_map(|byte| [byte >> 4, byte & 15]).take(count));
        } else {
            out.extend_from_slice(stored);
        }
        whole
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.place).copied();
        self.place += usize::from(byte.is_some());
        byte
    }
}
