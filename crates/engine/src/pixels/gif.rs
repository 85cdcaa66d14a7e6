//! GIF: the first frame on its canvas, as Pillow shows it. It must not know what a
//! picture is for.

use weezl::decode::Decoder;
use weezl::{BitOrder, LzwStatus};

use super::number::u16_le;
use super::raster::{Palette, Samples};
use super::{Decoded, Error, Limits, Orientation, Raster};

/// Reads a GIF file.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, Error> {
    let mut file = Reader { bytes, place: 0 };
    let screen = file.take(13)?;
    let global = match screen.get(10).copied().unwrap_or_default() {
        flags if flags & 0x80 != 0 => Some(file.palette(flags)?),
        _ => None,
    };
    let (frame, clear) = first_frame(&mut file)?;
    let flags = frame.flags;
    let palette = if flags & 0x80 != 0 { Some(file.palette(flags)?) } else { global };
    // A picture that reaches out of the screen makes it larger.
    let width = u32::from(u16_le(screen, 6).unwrap_or(0)).max(u32::from(frame.x) + u32::from(frame.width));
    let height = u32::from(u16_le(screen, 8).unwrap_or(0)).max(u32::from(frame.y) + u32::from(frame.height));
    if frame.width == 0 || frame.height == 0 {
        return Err(broken("its first frame has no size"));
    }
    limits.check(width, height, 1 + 1 + 3)?;
    let places = file.frame_places(usize::from(frame.width) * usize::from(frame.height))?;
    let mut canvas = vec![clear.unwrap_or(0); width as usize * height as usize];
    frame.draw(&places, &mut canvas, width as usize);
    let samples = match palette.filter(|palette| !is_ramp(palette)) {
        // Colours that are the grey levels themselves are none, for Pillow.
        None => Samples::Grey { levels: canvas, clear },
        Some(colours) => {
            let mut palette = Palette::from_rgb(colours);
            if let Some(colour) = clear.and_then(|clear| palette.0.get_mut(usize::from(clear))) {
                colour[3] = 0;
            }
            Samples::Indexed { places: canvas, palette: Box::new(palette) }
        }
    };
    Ok(Decoded { raster: Raster { width, height, samples }, orientation: Orientation::default() })
}

fn broken(reason: impl Into<String>) -> Error {
    Error::Broken { format: "GIF", reason: reason.into() }
}

fn is_ramp(palette: &[u8]) -> bool {
    palette.chunks_exact(3).enumerate().all(|(level, colour)| colour.iter().all(|part| usize::from(*part) == level))
}

/// The header of a frame.
struct Frame {
    x: u16,
    y: u16,
    width: u16,
    height: u16,
    flags: u8,
}

impl Frame {
    fn draw(&self, places: &[u8], canvas: &mut [u8], canvas_width: usize) {
        let (width, height) = (usize::from(self.width), usize::from(self.height));
        let order: Vec<usize> = if self.flags & 0x40 == 0 {
            (0..height).collect()
        } else {
            [(0, 8), (4, 8), (2, 4), (1, 2)].iter().flat_map(|(first, step)| (*first..height).step_by(*step)).collect()
        };
        for (row, y) in places.chunks_exact(width).zip(order) {
            let at = (usize::from(self.y) + y) * canvas_width + usize::from(self.x);
            if let Some(to) = canvas.get_mut(at..at + width) {
                to.copy_from_slice(row);
            }
        }
    }
}

/// Skips to the first frame; the place in the palette that is clear comes with it.
fn first_frame(file: &mut Reader<'_>) -> Result<(Frame, Option<u8>), Error> {
    let mut clear = None;
    loop {
        match file.byte()? {
            b';' => return Err(broken("no picture in it")),
            b'!' => {
                let label = file.byte()?;
                let block = file.block()?;
                if let (0xF9, [flags, _, _, place, ..]) = (label, block)
                    && flags & 1 != 0
                {
                    clear = Some(*place);
                }
                if !block.is_empty() {
                    while !file.block()?.is_empty() {}
                }
            }
            b',' => {
                let header = file.take(9)?;
                let number = |at| u16_le(header, at).unwrap_or_default();
                let flags = header.get(8).copied().unwrap_or_default();
                return Ok((Frame { x: number(0), y: number(2), width: number(4), height: number(6), flags }, clear));
            }
            _ => {}
        }
    }
}

/// Goes through the file.
struct Reader<'a> {
    bytes: &'a [u8],
    place: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let taken = self.bytes.get(self.place..self.place + count).ok_or_else(|| broken("it ends too early"))?;
        self.place += count;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Error> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    /// A block of up to 255 bytes; an empty one ends a sequence.
    fn block(&mut self) -> Result<&'a [u8], Error> {
        let count = self.byte()?;
        self.take(usize::from(count))
    }

    fn palette(&mut self, flags: u8) -> Result<&'a [u8], Error> {
        self.take(3 << ((flags & 7) + 1))
    }

    /// Unpacks the frame whose header was just read.
    fn frame_places(&mut self, count: usize) -> Result<Vec<u8>, Error> {
        let code_bits = self.byte()?;
        if !(1..=11).contains(&code_bits) {
            return Err(broken(format!("codes of {code_bits} bits")));
        }
        let mut decoder = Decoder::new(BitOrder::Lsb, code_bits);
        let mut places = vec![0; count];
        let mut filled = 0;
        while filled < count {
            let mut block = self.block()?;
            if block.is_empty() {
                return Err(broken("its data ends too early"));
            }
            while !block.is_empty() && filled < count {
                let result = decoder.decode_bytes(block, places.get_mut(filled..).unwrap_or_default());
                block = block.get(result.consumed_in..).unwrap_or_default();
                filled += result.consumed_out;
                match result.status {
                    Ok(LzwStatus::Ok) => {}
                    Ok(LzwStatus::NoProgress) => break,
                    Ok(LzwStatus::Done) if filled < count => return Err(broken("its data ends too early")),
                    Ok(LzwStatus::Done) => break,
                    Err(_) => return Err(broken("its data holds an impossible code")),
                }
            }
        }
        Ok(places)
    }
}
