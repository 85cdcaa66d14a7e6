//! The one inner loop that everything large is made of: a few rows of activations times a panel of 16 columns.
//! It must not know layers, heads or tensors.
//!
//! Weights lie in lines of 64 bytes. A line holds 16 columns of one step of the sum in f32, or of two steps in bf16
//! with the two values of a column side by side. Shift and mask give the even and the odd step as f32, exactly.
//!
//! **One summation order.** An element is `((start + w0*x0) + w1*x1) + …`, one step after the other, in one accumulator.
//! That holds for every number of rows and panels at once, for both line formats, and when a sum is interrupted and
//! continued later. So the bits of an element depend on its own row and column alone. Paths differ from each other in
//! whether a step rounds once or twice (fused or not).

#[cfg(target_arch = "x86_64")]
mod avx2;
mod exp;
mod portable;
mod softmax;

pub(crate) use exp::exp;
pub(crate) use softmax::RowState;

/// Columns of a panel.
pub(crate) const COLUMNS: usize = 16;
/// Rows of activations that one call takes at most.
pub(crate) const ROWS_MAX: usize = 6;
/// Panels that one call takes at most.
pub(crate) const PANELS_MAX: usize = 4;

/// Sums of one call: `[row][panel * 16 + column]`.
pub(crate) type Tile = [[f32; PANELS_MAX * COLUMNS]; ROWS_MAX];

/// A tile of zeros.
pub(crate) const ZERO_TILE: Tile = [[0.0; PANELS_MAX * COLUMNS]; ROWS_MAX];

/// 64 bytes of weights: 16 columns and one or two steps of the sum.
pub(crate) trait Line: Copy + Default + Send + Sync + std::fmt::Debug + 'static {
    /// Steps of the sum in a line.
    const STEPS: usize;

    /// The 16 weights of one step.
    fn step(&self, step: usize) -> [f32; COLUMNS];

    /// One weight, out of 16 columns and `STEPS` steps; 0 outside.
    fn get(&self, column: usize, step: usize) -> f32;

    /// Sets one weight, rounded to what the line can hold.
    fn set(&mut self, column: usize, step: usize, value: f32);

    #[doc(hidden)]
    #[cfg(target_arch = "x86_64")]
    fn multiply_avx2<const R: usize, const P: usize>(tile: &mut Tile, x: Rows<'_>, w: &Weights<'_, Self>);
}

/// 16 columns of one step in f32.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C, align(64))]
pub(crate) struct F32Line([f32; COLUMNS]);

/// 16 columns of two steps in bf16: `[column][step]`.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C, align(64))]
pub(crate) struct Bf16Line([[u16; 2]; COLUMNS]);

/// Rows of activations inside a larger buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// The first row begins here.
    pub(crate) data: &'a [f32],
    /// Values from one row to the next.
    pub(crate) stride: usize,
}

/// The weights of one call: segments that follow each other in the sum, and where the lines of a panel lie in each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weights<'a, L> {
    /// Pieces of memory, in the order of the sum.
    pub(crate) segments: &'a [&'a [L]],
    /// The first line of the first panel in each segment.
    pub(crate) offset: usize,
    /// Lines of a panel in each segment.
    pub(crate) lines: usize,
    /// From one line of a panel to the next.
    pub(crate) stride: usize,
    /// From one panel to the next.
    pub(crate) panel_stride: usize,
}

/// How this machine multiplies. Only a path that the processor can run can be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Isa(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Isa {
    /// The path without special instructions.
    pub(crate) const PORTABLE: Self = Self(Kind::Portable);

    /// The fastest path that this processor can run.
    pub(crate) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            return Self(Kind::Avx2);
        }
        Self::PORTABLE
    }

    /// The name that logs and reports give it.
    pub(crate) fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "AVX2",
        }
    }

    /// How many panels one call should take for so many rows: enough sums at once to hide the latency of one.
    pub(crate) fn panels_at_once(rows: usize) -> usize {
        match rows {
            1 => 4,
            2 | 3 => 2,
            _ => 1,
        }
    }

    /// Adds `rows` rows of `x` times `panels` panels of `w` to `tile`.
    ///
    /// `panels` is 1 or what [`Isa::panels_at_once`] says.
    ///
    /// # Panics
    /// If `x` or a segment of `w` is too short for what was asked, or the numbers are none of the above.
    pub(crate) fn multiply<L: Line>(
        self,
        rows: usize,
        panels: usize,
        tile: &mut Tile,
        x: Rows<'_>,
        w: &Weights<'_, L>,
    ) {
        let steps = w.segments.len() * w.lines * L::STEPS;
        if steps == 0 {
            return;
        }
        let last_line = w.offset + (panels - 1) * w.panel_stride + (w.lines - 1) * w.stride;
        assert!(x.data.len() >= (rows - 1) * x.stride + steps, "activations end before the sum");
        assert!(w.segments.iter().all(|segment| last_line < segment.len()), "weights end before the sum");
        match (rows, panels) {
            (1, 1) => self.dispatch::<L, 1, 1>(tile, x, w),
            (1, 4) => self.dispatch::<L, 1, 4>(tile, x, w),
            (2, 1) => self.dispatch::<L, 2, 1>(tile, x, w),
            (2, 2) => self.dispatch::<L, 2, 2>(tile, x, w),
            (3, 1) => self.dispatch::<L, 3, 1>(tile, x, w),
            (3, 2) => self.dispatch::<L, 3, 2>(tile, x, w),
            (4, 1) => self.dispatch::<L, 4, 1>(tile, x, w),
            (5, 1) => self.dispatch::<L, 5, 1>(tile, x, w),
            (6, 1) => self.dispatch::<L, 6, 1>(tile, x, w),
            _ => panic!("no kernel for {rows} rows and {panels} panels"),
        }
    }

    /// One row of scores of one group of keys to weights of a softmax; see [`RowState::weigh`].
    pub(crate) fn weigh(self, state: &mut RowState, scores: &mut [f32], valid: usize, scale: f32) -> f32 {
        match self.0 {
            Kind::Portable => state.weigh(scores, valid, scale),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => avx2::weigh(state, scores, valid, scale),
        }
    }

    fn dispatch<L: Line, const R: usize, const P: usize>(self, tile: &mut Tile, x: Rows<'_>, w: &Weights<'_, L>) {
        match self.0 {
            Kind::Portable => portable::multiply::<L, R, P>(tile, x, w),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => L::multiply_avx2::<R, P>(tile, x, w),
        }
    }
}

/// `rows` cut into parts of at most [`ROWS_MAX`] that are as equal as can be: (first row, rows).
pub(crate) fn row_tiles(rows: usize) -> impl Iterator<Item = (usize, usize)> {
    let parts = rows.div_ceil(ROWS_MAX);
    (0..parts).map(move |part| {
        let (start, end) = (part * rows / parts, (part + 1) * rows / parts);
        (start, end - start)
    })
}

impl Line for F32Line {
    const STEPS: usize = 1;

    #[inline(always)]
    fn step(&self, _step: usize) -> [f32; COLUMNS] {
        self.0
    }

    fn get(&self, column: usize, _step: usize) -> f32 {
        self.0.get(column).copied().unwrap_or(0.0)
    }

    fn set(&mut self, column: usize, _step: usize, value: f32) {
        if let Some(slot) = self.0.get_mut(column) {
            *slot = value;
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn multiply_avx2<const R: usize, const P: usize>(tile: &mut Tile, x: Rows<'_>, w: &Weights<'_, Self>) {
        avx2::multiply_f32::<R, P>(tile, x, w);
    }
}

impl Line for Bf16Line {
    const STEPS: usize = 2;

    #[inline(always)]
    fn step(&self, step: usize) -> [f32; COLUMNS] {
        self.0.map(|pair| f32::from_bits(u32::from(pair[step & 1]) << 16))
    }

    fn get(&self, column: usize, step: usize) -> f32 {
        self.0.get(column).map_or(0.0, |pair| f32::from_bits(u32::from(pair[step & 1]) << 16))
    }

    fn set(&mut self, column: usize, step: usize, value: f32) {
        if let Some(pair) = self.0.get_mut(column) {
            pair[step & 1] = half::bf16::from_f32(value).to_bits();
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn multiply_avx2<const R: usize, const P: usize>(tile: &mut Tile, x: Rows<'_>, w: &Weights<'_, Self>) {
        avx2::multiply_bf16::<R, P>(tile, x, w);
    }
}

#[cfg(test)]
mod tests;
