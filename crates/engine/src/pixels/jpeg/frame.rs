//! The frame of a JPEG file: its size, its components, and the planes of levels and
//! coefficients that its scans fill.

use super::{broken, idct, variant};
use crate::pixels::number::u16_be;
use crate::pixels::{Error, Limits};

/// What a frame header says, and room for what the scans say.
pub(super) struct Frame {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) progressive: bool,
    /// Greatest sampling factors of any component.
    pub(super) h_max: usize,
    pub(super) v_max: usize,
    /// MCUs of a scan of all components.
    pub(super) mcus_wide: usize,
    pub(super) mcus_high: usize,
    pub(super) components: Vec<Component>,
}

/// One colour of the file.
pub(super) struct Component {
    pub(super) id: u8,
    pub(super) h: usize,
    pub(super) v: usize,
    pub(super) quantiser: usize,
    /// Samples that count, of the picture's own size.
    pub(super) samples_wide: usize,
    pub(super) samples_high: usize,
    /// Blocks that count.
    pub(super) blocks_wide: usize,
    pub(super) blocks_high: usize,
    /// Blocks in a row of the planes, those that fill an MCU included.
    pub(super) stride: usize,
    /// The quantisers, as they were when the first scan of this component began.
    pub(super) latched: Option<Box<[u16; 64]>>,
    /// Levels, `[8 * rows of blocks, 8 * stride]`; grey until a scan comes.
    pub(super) levels: Vec<u8>,
    /// Coefficients of each block, row by row; of progressive files only.
    pub(super) coefficients: Vec<[i16; 64]>,
}

impl Frame {
    /// Reads the frame header `body` that follows `marker`, and takes the memory.
    pub(super) fn new(marker: u8, body: &[u8], limits: &Limits) -> Result<Self, Error> {
        let short = || broken("a short frame header");
        let [bits, _, _, _, _, count, specs @ ..] = body else { return Err(short()) };
        if *bits != 8 {
            return Err(variant(format!("{bits} bits per sample")));
        }
        let (height, width) = (u16_be(body, 1).ok_or_else(short)?, u16_be(body, 3).ok_or_else(short)?);
        if width == 0 || height == 0 {
            return Err(broken("its header states no size"));
        }
        if !matches!(count, 1 | 3 | 4) {
            return Err(variant(format!("{count} components")));
        }
        let specs: Vec<&[u8; 3]> = specs.as_chunks().0.iter().take(usize::from(*count)).collect();
        if specs.len() != usize::from(*count) {
            return Err(short());
        }
        if specs.iter().any(|[_, hv, _]| !(1..=4).contains(&(hv >> 4)) || !(1..=4).contains(&(hv & 15))) {
            return Err(broken("sampling factors that are not 1 to 4"));
        }
        let h_max = specs.iter().map(|spec| usize::from(spec[1] >> 4)).max().unwrap_or(1);
        let v_max = specs.iter().map(|spec| usize::from(spec[1] & 15)).max().unwrap_or(1);
        let (width, height) = (usize::from(width), usize::from(height));
        let progressive = marker == 0xC2;
        // Levels of each component, their coefficients, the joined samples and the RGB picture.
        let planes = if progressive { 3 } else { 1 } * u64::from(*count);
        limits.check(width as u32, height as u32, planes + u64::from(*count) + 3)?;
        let mut frame = Self {
            width,
            height,
            progressive,
            h_max,
            v_max,
            mcus_wide: width.div_ceil(8 * h_max),
            mcus_high: height.div_ceil(8 * v_max),
            components: Vec::new(),
        };
        frame.components = specs.into_iter().map(|spec| frame.component(*spec)).collect();
        Ok(frame)
    }

    fn component(&self, [id, hv, quantiser]: [u8; 3]) -> Component {
        let (h, v) = (usize::from(hv >> 4), usize::from(hv & 15));
        let samples_wide = (self.width * h).div_ceil(self.h_max);
        let samples_high = (self.height * v).div_ceil(self.v_max);
        let stride = self.mcus_wide * h;
        let blocks = stride * self.mcus_high * v;
        Component {
            id,
            h,
            v,
            quantiser: usize::from(quantiser),
            samples_wide,
            samples_high,
            blocks_wide: samples_wide.div_ceil(8),
            blocks_high: samples_high.div_ceil(8),
            stride,
            latched: None,
            levels: vec![128; blocks * 64],
            coefficients: if self.progressive { vec![[0; 64]; blocks] } else { Vec::new() },
        }
    }

    /// Makes levels of the coefficients that a progressive file has gathered.
    pub(super) fn transform(&mut self) {
        for component in &mut self.components {
            let coefficients = std::mem::take(&mut component.coefficients);
            for (place, block) in coefficients.iter().enumerate() {
                component.set_block(place % component.stride, place / component.stride, block);
            }
        }
    }
}

impl Component {
    /// Transforms a block and puts its levels at its place.
    pub(super) fn set_block(&mut self, x: usize, y: usize, coefficients: &[i16; 64]) {
        let Some(quantisers) = &self.latched else { return };
        let levels = idct::levels(coefficients, quantisers);
        let row_bytes = self.stride * 8;
        let first = y * 8 * row_bytes + x * 8;
        for (row, levels) in levels.chunks_exact(8).enumerate() {
            let at = first + row * row_bytes;
            if let Some(place) = self.levels.get_mut(at..at + 8) {
                place.copy_from_slice(levels);
            }
        }
    }

    /// A row of levels of the size that counts; past either end the nearest one.
    pub(super) fn row(&self, y: isize) -> &[u8] {
        let y = y.clamp(0, self.samples_high as isize - 1) as usize;
        let first = y * self.stride * 8;
        self.levels.get(first..first + self.samples_wide).unwrap_or_default()
    }
}
