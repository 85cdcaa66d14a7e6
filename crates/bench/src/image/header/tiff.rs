//! TIFF 6.0, and the same structure inside EXIF: directories, the tags needed, pages, and where pixels end.

use super::{Format, Header, array, byte};

const WIDTH: u16 = 256;
const HEIGHT: u16 = 257;
const BITS: u16 = 258;
const COMPRESSION: u16 = 259;
const PHOTOMETRIC: u16 = 262;
const STRIP_OFFSETS: u16 = 273;
const ORIENTATION: u16 = 274;
const SAMPLES: u16 = 277;
const STRIP_LENGTHS: u16 = 279;
const TILE_OFFSETS: u16 = 324;
const TILE_LENGTHS: u16 = 325;
const EXTRA_SAMPLES: u16 = 338;
const SAMPLE_FORMAT: u16 = 339;

const ENTRY_LEN: usize = 12;
/// Directories may point at each other in a ring: pages are counted up to here.
const PAGES_MAX: u32 = 10_000;
/// Strips and tiles looked at for the end of the pixels.
const STRIPS_MAX: usize = 1 << 20;

pub(super) fn read(data: &[u8]) -> Option<Header> {
    let file = File::open(data)?;
    let first = file.directory(file.u32(4)?)?;
    Some(Header {
        format: Format::Tiff,
        width: first.number(WIDTH)?,
        height: first.number(HEIGHT)?,
        mode: first.mode()?,
        orientation: first.orientation(),
        frames: Some(file.pages()),
        complete: first.is_complete(),
    })
}

/// The orientation in the first directory of a TIFF structure.
pub(super) fn orientation(data: &[u8]) -> Option<u8> {
    let file = File::open(data)?;
    file.directory(file.u32(4)?)?.orientation()
}

#[derive(Clone, Copy)]
struct File<'a> {
    data: &'a [u8],
    is_big_endian: bool,
}

impl<'a> File<'a> {
    fn open(data: &'a [u8]) -> Option<Self> {
        let is_big_endian = match data.get(..4)? {
            [b'M', b'M', 0, 42] => true,
            [b'I', b'I', 42, 0] => false,
            _ => return None,
        };
        Some(Self { data, is_big_endian })
    }

    fn u16(self, at: usize) -> Option<u16> {
        let raw = array(self.data, at)?;
        Some(if self.is_big_endian { u16::from_be_bytes(raw) } else { u16::from_le_bytes(raw) })
    }

    fn u32(self, at: usize) -> Option<u32> {
        let raw = array(self.data, at)?;
        Some(if self.is_big_endian { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) })
    }

    fn directory(self, at: u32) -> Option<Directory<'a>> {
        let at = usize::try_from(at).ok().filter(|at| *at >= 8)?;
        Some(Directory { file: self, entries_at: at.checked_add(2)?, count: self.u16(at)?.into() })
    }

    fn pages(self) -> u32 {
        let mut next = self.u32(4);
        let mut pages = 0;
        while let Some(directory) = next.and_then(|at| self.directory(at)) {
            pages += 1;
            if pages == PAGES_MAX {
                break;
            }
            next = self.u32(directory.entries_at.saturating_add(directory.count * ENTRY_LEN));
        }
        pages
    }
}

struct Directory<'a> {
    file: File<'a>,
    entries_at: usize,
    /// At most 65535, as the format has it.
    count: usize,
}

/// The values of one tag, each 1, 2 or 4 bytes wide.
struct Values<'a> {
    file: File<'a>,
    at: usize,
    width: usize,
    count: usize,
}

impl<'a> Directory<'a> {
    fn values(&self, tag: u16) -> Option<Values<'a>> {
        let at = (0..self.count)
            .map(|index| self.entries_at + index * ENTRY_LEN)
            .take_while(|at| at + ENTRY_LEN <= self.file.data.len())
            .find(|at| self.file.u16(*at) == Some(tag))?;
        let width = match self.file.u16(at + 2)? {
            1 => 1,
            3 => 2,
            4 => 4,
            _ => return None,
        };
        let count = usize::try_from(self.file.u32(at + 4)?).ok()?;
        // What fits into four bytes stands in the entry itself.
        let is_inline = count.checked_mul(width)? <= 4;
        let at = if is_inline { at + 8 } else { usize::try_from(self.file.u32(at + 8)?).ok()? };
        Some(Values { file: self.file, at, width, count })
    }

    fn number(&self, tag: u16) -> Option<u32> {
        self.values(tag)?.get(0)
    }

    fn orientation(&self) -> Option<u8> {
        let value = u8::try_from(self.number(ORIENTATION)?).ok()?;
        (1..=8).contains(&value).then_some(value)
    }

    /// Pillow's name. What Pillow has no name for is called by the nearest: nothing is decoded by it.
    fn mode(&self) -> Option<&'static str> {
        let bits = self.number(BITS).unwrap_or(1);
        let samples = self.number(SAMPLES).unwrap_or(1);
        let extra = self.number(EXTRA_SAMPLES);
        let is_jpeg = matches!(self.number(COMPRESSION), Some(6 | 7));
        let format = self.number(SAMPLE_FORMAT).unwrap_or(1);
        // A file without a photometric tag is taken for grey from white, as Pillow takes it.
        Some(match (self.number(PHOTOMETRIC).unwrap_or(0), samples, bits) {
            (0 | 1, 1, 1) => "1",
            (0 | 1, 1, 2 | 4 | 8) => "L",
            (0 | 1, 1, 16) if format == 2 => "I",
            (0 | 1, 1, 12 | 16) if self.file.is_big_endian => "I;16B",
            (0 | 1, 1, 12 | 16) => "I;16",
            (0 | 1, 1, 32) if format == 3 => "F",
            (0 | 1, 1, 32) => "I",
            (0 | 1, 2, 8) if extra == Some(0) => "L",
            (0 | 1, 2, _) => "LA",
            (2, 3, _) => "RGB",
            (2, 4.., _) if extra == Some(0) => "RGB",
            (2, 4.., _) => "RGBA",
            (3, 1, _) => "P",
            (3, 2, _) if extra == Some(0) => "P",
            (3, 2, _) => "PA",
            (5, 4.., _) => "CMYK",
            (6, 1, 8) => "L",
            (6, 3, _) if is_jpeg => "RGB",
            (6, 3, _) => "YCbCr",
            (8, 3, _) => "LAB",
            _ => return None,
        })
    }

    /// Every strip or tile ends inside the file.
    fn is_complete(&self) -> bool {
        let strips = self.values(STRIP_OFFSETS).zip(self.values(STRIP_LENGTHS));
        let Some((offsets, lengths)) = strips.or_else(|| self.values(TILE_OFFSETS).zip(self.values(TILE_LENGTHS)))
        else {
            return false;
        };
        (0..offsets.count.min(STRIPS_MAX)).all(|index| {
            let end = offsets.get(index).zip(lengths.get(index)).map(|(at, len)| u64::from(at) + u64::from(len));
            end.is_some_and(|end| end <= self.file.data.len() as u64)
        })
    }
}

impl Values<'_> {
    fn get(&self, index: usize) -> Option<u32> {
        let at = self.at.checked_add(index.checked_mul(self.width)?)?;
        match self.width {
            _ if index >= self.count => None,
            1 => byte(self.file.data, at).map(u32::from),
            2 => self.file.u16(at).map(u32::from),
            _ => self.file.u32(at),
        }
    }
}
