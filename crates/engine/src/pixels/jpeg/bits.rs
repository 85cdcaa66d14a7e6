//! Bits of the entropy-coded part of a JPEG file: byte stuffing, and what happens
//! at a marker and at the end of the data. It must not know what the bits mean.

use super::truncated;
use crate::pixels::Error;

/// Fewer bits than this are topped up.
const FILLED: u32 = 57;

/// Reads bits, most significant first.
///
/// At a marker it gives zeros without end and says so in [`Self::starved`], as
/// libjpeg does; at the end of the data it fails, as Pillow does.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    place: usize,
    buffer: u64,
    count: u32,
    marker: Option<u8>,
    /// True once a zero was made up in this segment.
    pub(super) starved: bool,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8], place: usize) -> Self {
        Self { data, place, buffer: 0, count: 0, marker: None, starved: false }
    }

    /// The next `n` bits, at most 16.
    #[inline]
    pub(super) fn take(&mut self, n: u32) -> Result<i32, Error> {
        if self.count < n {
            self.fill(n)?;
        }
        self.count = self.count.saturating_sub(n);
        Ok((self.buffer >> self.count) as i32 & ((1 << n) - 1))
    }

    /// The next eight bits without taking them; `None` if a marker is nearer.
    #[inline]
    pub(super) fn peek_byte(&mut self) -> Result<Option<u8>, Error> {
        if self.count < 8 {
            self.fill(0)?;
        }
        Ok((self.count >= 8).then(|| (self.buffer >> (self.count - 8)) as u8))
    }

    /// Takes bits that [`Self::peek_byte`] has shown.
    #[inline]
    pub(super) fn skip(&mut self, n: u32) {
        self.count = self.count.saturating_sub(n);
    }

    /// Ends a segment: drops its last bits and finds the restart marker that is due.
    pub(super) fn restart(&mut self, due: u8) -> Result<(), Error> {
        self.count = 0;
        let mut marker = self.next_marker()?;
        loop {
            let ahead = marker.wrapping_sub(RST0).wrapping_sub(due) & 7;
            let is_restart = (RST0..RST0 + 8).contains(&marker);
            match (is_restart, ahead) {
                // A lost marker: the segments before this one stay empty.
                (true, 1 | 2) => break,
                // An old one: look further.
                (true, 6 | 7) => {}
                (true, _) => {
                    self.marker = None;
                    self.starved = false;
                    return Ok(());
                }
                (false, _) if marker >= SOF0 => break,
                (false, _) => {}
            }
            self.marker = None;
            marker = self.next_marker()?;
        }
        self.marker = Some(marker);
        Ok(())
    }

    /// The place behind the marker that ends this part.
    pub(super) fn end(mut self) -> Result<usize, Error> {
        self.next_marker()?;
        Ok(self.place)
    }

    fn next_marker(&mut self) -> Result<u8, Error> {
        match self.marker {
            Some(marker) => Ok(marker),
            None => next_marker(self.data, &mut self.place),
        }
    }

    #[cold]
    fn fill(&mut self, needed: u32) -> Result<(), Error> {
        while self.count < FILLED && self.marker.is_none() {
            let byte = self.byte()?;
            if byte == 0xFF {
                let mut next = self.byte()?;
                while next == 0xFF {
                    next = self.byte()?;
                }
                if next != 0 {
                    self.marker = Some(next);
                    break;
                }
            }
            self.buffer = self.buffer << 8 | u64::from(byte);
            self.count += 8;
        }
        if needed > self.count {
            self.starved = true;
            self.buffer <<= FILLED - self.count;
            self.count = FILLED;
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, Error> {
        let byte = self.data.get(self.place).copied().ok_or_else(truncated)?;
        self.place += 1;
        Ok(byte)
    }
}

const RST0: u8 = 0xD0;
const SOF0: u8 = 0xC0;

/// The next marker at or after `place`, which moves behind it.
pub(super) fn next_marker(data: &[u8], place: &mut usize) -> Result<u8, Error> {
    let mut after_ff = false;
    loop {
        let byte = data.get(*place).copied().ok_or_else(truncated)?;
        *place += 1;
        match byte {
            0xFF => after_ff = true,
            0 => after_ff = false,
            marker if after_ff => return Ok(marker),
            _ => {}
        }
    }
}
