//! One scan of a JPEG file: which components and coefficients it holds, and reading
//! them, sequential or progressive. What a damaged scan becomes is libjpeg's choice.

use super::bits::Bits;
use super::frame::Frame;
use super::huffman::{Huffman, signed};
use super::segment::{Head, Table, ZIGZAG};
use super::{broken, truncated};
use crate::pixels::Error;

/// A scan header.
pub(super) struct Scan {
    parts: Vec<Part>,
    /// First and last coefficient.
    first: usize,
    last: usize,
    /// Bits that earlier scans and this one leave open.
    high: u8,
    low: u8,
}

/// One component of a scan.
#[derive(Clone, Copy)]
struct Part {
    component: usize,
    dc: usize,
    ac: usize,
}

/// What the blocks of a scan hand on to the next.
struct State<'a> {
    dc: Vec<Option<Table<'a>>>,
    ac: Vec<Option<Table<'a>>>,
    /// Last first coefficient of each part.
    before: Vec<i32>,
    /// Blocks that still end without a coefficient.
    empty_run: u32,
}

/// Most blocks of one MCU.
const MCU_BLOCKS_MAX: usize = 10;

impl Scan {
    /// Reads a scan header.
    pub(super) fn new(body: &[u8], frame: &Frame) -> Result<Self, Error> {
        let (count, rest) = body.split_first().ok_or_else(truncated)?;
        let count = usize::from(*count);
        let mut parts = Vec::new();
        for spec in rest.chunks_exact(2).take(count) {
            let (Some(id), Some(tables)) = (spec.first(), spec.get(1)) else { continue };
            let component = frame.components.iter().position(|component| component.id == *id);
            let component = component.ok_or_else(|| broken("a scan of a component that does not exist"))?;
            if parts.iter().any(|part: &Part| part.component == component) {
                return Err(broken("a scan that holds a component twice"));
            }
            parts.push(Part { component, dc: usize::from(tables >> 4), ac: usize::from(tables & 15) });
        }
        let (Some([first, last, open]), false) = (rest.get(count * 2..count * 2 + 3), parts.is_empty()) else {
            return Err(broken("a short scan header"));
        };
        if parts.len() != count {
            return Err(broken("a scan of too many components"));
        }
        let (first, last) = (usize::from(*first), usize::from(*last));
        let scan = Self { parts, first, last, high: open >> 4, low: open & 15 };
        scan.check(frame)?;
        Ok(if frame.progressive { scan } else { Self { first: 0, last: 63, high: 0, low: 0, ..scan } })
    }

    fn check(&self, frame: &Frame) -> Result<(), Error> {
        let blocks = |part: &Part| frame.components.get(part.component).map_or(0, |part| part.h * part.v);
        if self.parts.len() > 1 && self.parts.iter().map(blocks).sum::<usize>() > MCU_BLOCKS_MAX {
            return Err(broken("sampling factors that make too large units"));
        }
        let band = if self.first == 0 { self.last == 0 } else { self.first <= self.last && self.last < 64 };
        let alone = self.first == 0 || self.parts.len() == 1;
        let refines = self.high == 0 || self.low + 1 == self.high;
        if frame.progressive && !(band && alone && refines && self.low <= 13) {
            return Err(broken("a scan with an impossible progression"));
        }
        Ok(())
    }

    /// True if nothing else is to come.
    pub(super) fn is_whole(&self, frame: &Frame) -> bool {
        !frame.progressive && self.parts.len() == frame.components.len()
    }

    /// Reads the scan into the frame.
    pub(super) fn read(&self, frame: &mut Frame, head: &Head, bits: &mut Bits<'_>) -> Result<(), Error> {
        for part in &self.parts {
            let Some(component) = frame.components.get_mut(part.component) else { continue };
            if component.latched.is_none() {
                let table = head.quantisers.get(component.quantiser).and_then(Option::clone);
                component.latched = Some(table.ok_or_else(|| broken("a quantisation table is missing"))?);
            }
        }
        let mut state = self.state(frame, head)?;
        let (mcus_wide, mcus_high) = match self.alone(frame) {
            Some(component) => (component.blocks_wide, component.blocks_high),
            None => (frame.mcus_wide, frame.mcus_high),
        };
        let mut until_restart = head.restart_interval;
        let mut restarts = 0;
        for place in 0..mcus_wide * mcus_high {
            if head.restart_interval > 0 {
                if until_restart == 0 {
                    bits.restart(restarts)?;
                    restarts = (restarts + 1) & 7;
                    until_restart = head.restart_interval;
                    state.before.fill(0);
                    state.empty_run = 0;
                }
                until_restart -= 1;
            }
            self.read_mcu(frame, &mut state, bits, place % mcus_wide, place / mcus_wide)?;
        }
        Ok(())
    }

    fn alone<'f>(&self, frame: &'f Frame) -> Option<&'f super::frame::Component> {
        match self.parts.as_slice() {
            [part] => frame.components.get(part.component),
            _ => None,
        }
    }

    /// The tables that this scan needs, for each part.
    fn state<'h>(&self, frame: &Frame, head: &'h Head) -> Result<State<'h>, Error> {
        let needs_dc = !frame.progressive || self.first == 0 && self.high == 0;
        let needs_ac = !frame.progressive || self.first > 0;
        let tables = |ac: bool, needed: bool| -> Result<Vec<Option<Table<'h>>>, Error> {
            let number = |part: &Part| if ac { part.ac } else { part.dc };
            self.parts.iter().map(|part| needed.then(|| head.huffman(ac, number(part))).transpose()).collect()
        };
        let (dc, ac) = (tables(false, needs_dc)?, tables(true, needs_ac)?);
        Ok(State { dc, ac, before: vec![0; self.parts.len()], empty_run: 0 })
    }

    fn read_mcu(
        &self,
        frame: &mut Frame,
        state: &mut State<'_>,
        bits: &mut Bits<'_>,
        mcu_x: usize,
        mcu_y: usize,
    ) -> Result<(), Error> {
        // Once the data of a segment has run out, whole units stay empty.
        let live = !bits.starved;
        let alone = self.parts.len() == 1;
        for (index, part) in self.parts.iter().enumerate() {
            let Some(component) = frame.components.get_mut(part.component) else { continue };
            let (h, v) = if alone { (1, 1) } else { (component.h, component.v) };
            for block in 0..h * v {
                let (x, y) = (mcu_x * h + block % h, mcu_y * v + block / h);
                if frame.progressive {
                    let at = y * component.stride + x;
                    if let (Some(block), true) = (component.coefficients.get_mut(at), live) {
                        self.read_progressive(block, index, state, bits)?;
                    }
                } else {
                    let mut coefficients = [0; 64];
                    if live {
                        read_sequential(&mut coefficients, index, state, bits)?;
                    }
                    component.set_block(x, y, &coefficients);
                }
            }
        }
        Ok(())
    }

    fn read_progressive(
        &self,
        block: &mut [i16; 64],
        index: usize,
        state: &mut State<'_>,
        bits: &mut Bits<'_>,
    ) -> Result<(), Error> {
        match (self.first, self.high) {
            (0, 0) => {
                let value = first_coefficient(index, state, bits)?;
                block[0] = (value << self.low) as i16;
                Ok(())
            }
            (0, _) => {
                block[0] |= (bits.take(1)? << self.low) as i16;
                Ok(())
            }
            (_, high) => {
                let Some(Some(table)) = state.ac.get(index) else { return Ok(()) };
                if high == 0 {
                    self.read_band(block, table, &mut state.empty_run, bits)
                } else {
                    self.refine_band(block, table, &mut state.empty_run, bits)
                }
            }
        }
    }

    /// First bits of a band of coefficients.
    fn read_band(
        &self,
        block: &mut [i16; 64],
        table: &Huffman,
        empty_run: &mut u32,
        bits: &mut Bits<'_>,
    ) -> Result<(), Error> {
        if *empty_run > 0 {
            *empty_run -= 1;
            return Ok(());
        }
        let mut place = self.first;
        while place <= self.last {
            let symbol = table.symbol(bits)?;
            let (run, size) = (symbol >> 4, symbol & 15);
            if size == 0 && run < 15 {
                *empty_run = (1 << run) + bits.take(u32::from(run))? as u32 - 1;
                break;
            }
            place += usize::from(run);
            if size > 0 {
                block[usize::from(ZIGZAG[place])] = (signed(bits, size)? << self.low) as i16;
            }
            place += 1;
        }
        Ok(())
    }

    /// One more bit of a band of coefficients.
    fn refine_band(
        &self,
        block: &mut [i16; 64],
        table: &Huffman,
        empty_run: &mut u32,
        bits: &mut Bits<'_>,
    ) -> Result<(), Error> {
        let step = 1_i16 << self.low;
        let mut place = self.first;
        while *empty_run == 0 && place <= self.last {
            let symbol = table.symbol(bits)?;
            let (run, size) = (symbol >> 4, symbol & 15);
            if size == 0 && run < 15 {
                *empty_run = (1 << run) + bits.take(u32::from(run))? as u32;
                break;
            }
            let fresh = match size {
                0 => 0,
                _ if bits.take(1)? == 1 => step,
                _ => -step,
            };
            // Past `run` coefficients that were zero so far; others are refined on the way.
            place = self.refine_until(block, place, Some(run), step, bits)?;
            if let (true, Some(value)) = (fresh != 0, block.get_mut(usize::from(ZIGZAG[place]))) {
                *value = fresh;
            }
            place += 1;
        }
        if *empty_run > 0 {
            self.refine_until(block, place, None, step, bits)?;
            *empty_run -= 1;
        }
        Ok(())
    }

    /// Refines coefficients from `place` on, until `zeros` that are zero were passed
    /// and another is met; the place of that one, or one past the band.
    fn refine_until(
        &self,
        block: &mut [i16; 64],
        mut place: usize,
        mut zeros: Option<u8>,
        step: i16,
        bits: &mut Bits<'_>,
    ) -> Result<usize, Error> {
        while place <= self.last {
            let value = &mut block[usize::from(ZIGZAG[place])];
            if *value != 0 {
                if bits.take(1)? == 1 && *value & step == 0 {
                    *value = value.wrapping_add(if *value >= 0 { step } else { -step });
                }
            } else if let Some(left) = &mut zeros {
                match left.checked_sub(1) {
                    Some(fewer) => *left = fewer,
                    None => break,
                }
            }
            place += 1;
        }
        Ok(place)
    }
}

/// The first coefficient of a block: the difference to the one before.
fn first_coefficient(index: usize, state: &mut State<'_>, bits: &mut Bits<'_>) -> Result<i32, Error> {
    let (Some(Some(table)), Some(before)) = (state.dc.get(index), state.before.get_mut(index)) else { return Ok(0) };
    let size = table.symbol(bits)?;
    *before = before.wrapping_add(signed(bits, size)?);
    Ok(*before)
}

fn read_sequential(
    block: &mut [i16; 64],
    index: usize,
    state: &mut State<'_>,
    bits: &mut Bits<'_>,
) -> Result<(), Error> {
    block[0] = first_coefficient(index, state, bits)? as i16;
    let Some(Some(table)) = state.ac.get(index) else { return Ok(()) };
    let mut place = 1;
    while place < 64 {
        let symbol = table.symbol(bits)?;
        let (run, size) = (usize::from(symbol >> 4), symbol & 15);
        if size == 0 && run < 15 {
            break;
        }
        place += run;
        if size > 0 {
            // A run that leads out of the block hits its last place, as in libjpeg.
            block[usize::from(ZIGZAG[place])] = signed(bits, size)? as i16;
        }
        place += 1;
    }
    Ok(())
}
