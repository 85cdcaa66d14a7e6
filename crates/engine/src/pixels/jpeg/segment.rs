//! The segments of a JPEG file that are no scan: tables, restart interval, and what
//! the application segments say of colours, orientation and text.

use super::huffman::{self, Huffman};
use super::{broken, truncated};
use crate::pixels::Error;
use crate::pixels::number::u16_be;

/// What the segments before a scan have set.
#[derive(Default)]
pub(super) struct Head {
    /// Row by row, by number.
    pub(super) quantisers: [Option<Box<[u16; 64]>>; 4],
    dc: [Option<Box<Huffman>>; 4],
    ac: [Option<Box<Huffman>>; 4],
    /// MCUs between restart markers; 0 if there are none.
    pub(super) restart_interval: u32,
    /// A JFIF segment was seen.
    pub(super) jfif: bool,
    /// The colour transform of an Adobe segment.
    pub(super) adobe: Option<u8>,
    pub(super) exif: Option<Vec<u8>>,
    pub(super) xmp: Option<Vec<u8>>,
}

/// Place in a block, row by row, of each coefficient in the order of the file. The
/// places after the 64 catch runs that lead out of a block.
pub(super) const ZIGZAG: [u8; 80] = {
    let mut order = [63; 80];
    let (mut x, mut y, mut place) = (0_usize, 0_usize, 0);
    while place < 64 {
        order[place] = (y * 8 + x) as u8;
        match (x + y) % 2 == 0 {
            true if x == 7 => y += 1,
            true if y == 0 => x += 1,
            true => (x, y) = (x + 1, y - 1),
            false if y == 7 => x += 1,
            false if x == 0 => y += 1,
            false => (x, y) = (x - 1, y + 1),
        }
        place += 1;
    }
    order
};

/// The bytes of a segment after its length; `place` moves behind it.
pub(super) fn body<'a>(data: &'a [u8], place: &mut usize) -> Result<&'a [u8], Error> {
    let length = usize::from(u16_be(data, *place).ok_or_else(truncated)?);
    if length < 2 {
        return Err(broken("a segment without a length"));
    }
    let body = data.get(*place + 2..*place + length).ok_or_else(truncated)?;
    *place += length;
    Ok(body)
}

impl Head {
    /// Takes in a segment.
    pub(super) fn read(&mut self, marker: u8, body: &[u8]) -> Result<(), Error> {
        match marker {
            0xDB => self.read_quantisers(body),
            0xC4 => self.read_huffman(body),
            0xDD => {
                self.restart_interval = u32::from(u16_be(body, 0).ok_or_else(|| broken("a short DRI segment"))?);
                Ok(())
            }
            0xE0 => {
                self.jfif |= body.starts_with(b"JFIF\0") && body.len() >= 14;
                Ok(())
            }
            0xE1 => {
                self.read_app1(body);
                Ok(())
            }
            0xEE => {
                if body.starts_with(b"Adobe") && body.len() >= 12 {
                    self.adobe = body.get(11).copied();
                }
                Ok(())
            }
            // Arithmetic conditioning, number of lines, other applications, comments.
            0xCC | 0xDC | 0xE2..=0xEF | 0xFE => Ok(()),
            other => Err(broken(format!("an unexpected marker 0x{other:02X}"))),
        }
    }

    /// A table of codes; the standard's where the file has none.
    pub(super) fn huffman(&self, ac: bool, number: usize) -> Result<Table<'_>, Error> {
        let tables = if ac { &self.ac } else { &self.dc };
        match (tables.get(number).and_then(Option::as_deref), number) {
            (Some(table), _) if ac || table.fits_dc() => Ok(Table::OfFile(table)),
            (Some(_), _) => Err(broken("a Huffman table with impossible symbols")),
            (None, 0 | 1) => Ok(Table::Standard(Box::new(huffman::standard(ac, number == 1)?))),
            (None, _) => Err(broken(format!("Huffman table {number} is missing"))),
        }
    }

    fn read_quantisers(&mut self, mut body: &[u8]) -> Result<(), Error> {
        while let Some((kind, rest)) = body.split_first() {
            let (wide, number) = (kind >> 4 != 0, usize::from(kind & 15));
            let bytes = if wide { 128 } else { 64 };
            let values = rest.get(..bytes).ok_or_else(|| broken("a short DQT segment"))?;
            let mut table = Box::new([0; 64]);
            for (index, place) in ZIGZAG.iter().take(64).enumerate() {
                let value = if wide { u16_be(values, index * 2) } else { values.get(index).copied().map(u16::from) };
                table[usize::from(*place)] = value.unwrap_or_default();
            }
            *self.quantisers.get_mut(number).ok_or_else(|| broken("a quantisation table over 3"))? = Some(table);
            body = rest.get(bytes..).unwrap_or_default();
        }
        Ok(())
    }

    fn read_huffman(&mut self, mut body: &[u8]) -> Result<(), Error> {
        let short = || broken("a short DHT segment");
        while let Some((kind, rest)) = body.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or_else(short)?;
            let total: usize = counts.iter().map(|count| usize::from(*count)).sum();
            let symbols = rest.get(..total).ok_or_else(short)?;
            let tables = if kind & 0x10 != 0 { &mut self.ac } else { &mut self.dc };
            let number = usize::from(kind & !0x10);
            *tables.get_mut(number).ok_or_else(|| broken("a Huffman table over 3"))? =
                Some(Box::new(Huffman::new(counts, symbols)?));
            body = rest.get(total..).unwrap_or_default();
        }
        Ok(())
    }

    fn read_app1(&mut self, body: &[u8]) {
        if body.starts_with(b"Exif\0\0") {
            match &mut self.exif {
                // Data longer than a segment goes on in the next one.
                Some(exif) => exif.extend_from_slice(body.get(6..).unwrap_or_default()),
                None => self.exif = Some(body.to_vec()),
            }
        } else if let Some(text) = body.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0") {
            self.xmp = Some(text.to_vec());
        }
    }
}

/// A table of the file or of the standard.
pub(super) enum Table<'a> {
    OfFile(&'a Huffman),
    Standard(Box<Huffman>),
}

impl std::ops::Deref for Table<'_> {
    type Target = Huffman;

    fn deref(&self) -> &Huffman {
        match self {
            Self::OfFile(table) => table,
            Self::Standard(table) => table,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_file_is_a_zigzag() {
        assert_eq!(ZIGZAG[..12], [0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25]);
        assert_eq!(ZIGZAG[56..66], [53, 60, 61, 54, 47, 55, 62, 63, 63, 63]);
    }
}
