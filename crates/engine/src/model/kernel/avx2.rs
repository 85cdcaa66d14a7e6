//! The inner loop for x86-64 processors with AVX2 and FMA. The only caller is [`super::Isa`], which names this path
//! only after asking the processor, and which checks every length before it calls.
#![expect(
    unsafe_code,
    reason = "Instructions that not every processor has, and unchecked loads in the innermost loop. `Isa` cannot name \
              this path on a processor without them, and `Isa::multiply` asserts that `x` and each segment of `w` reach \
              beyond the last value that is read here."
)]
#![expect(
    clippy::needless_range_loop,
    reason = "Loops over the constant numbers of rows and panels index several arrays and pointers alike, and are \
              unrolled so that each sum is a register."
)]

use std::arch::x86_64::{
    __m256, __m256i, _MM_HINT_T0, _mm_prefetch, _mm256_and_si256, _mm256_broadcast_ss, _mm256_castsi256_ps,
    _mm256_fmadd_ps, _mm256_load_si256, _mm256_loadu_ps, _mm256_set1_epi32, _mm256_setzero_ps, _mm256_slli_epi32,
    _mm256_storeu_ps,
};

use super::{Bf16Line, COLUMNS, F32Line, RowState, Rows, Tile, Weights};

/// Sums of a call: two vectors of 8 columns for each row and panel.
type Sums<const R: usize, const P: usize> = [[[__m256; 2]; P]; R];

/// Adds `R` rows of `x` times `P` panels of bf16 pairs to `tile`.
pub(super) fn multiply_bf16<const R: usize, const P: usize>(tile: &mut Tile, x: Rows<'_>, w: &Weights<'_, Bf16Line>) {
    // SAFETY: `Isa` names this path only on processors with AVX2 and FMA, and has checked the lengths.
    unsafe { bf16::<R, P>(tile, x, w) }
}

/// Adds `R` rows of `x` times `P` panels of f32 to `tile`.
pub(super) fn multiply_f32<const R: usize, const P: usize>(tile: &mut Tile, x: Rows<'_>, w: &Weights<'_, F32Line>) {
    // SAFETY: as above.
    unsafe { f32::<R, P>(tile, x, w) }
}

/// [`RowState::weigh`] compiled for vectors of 8: the same operations, so the same bits.
pub(super) fn weigh(state: &mut RowState, scores: &mut [f32], valid: usize, scale: f32) -> f32 {
    #[target_feature(enable = "avx2,fma")]
    fn wide(state: &mut RowState, scores: &mut [f32], valid: usize, scale: f32) -> f32 {
        state.weigh(scores, valid, scale)
    }
    // SAFETY: as above.
    unsafe { wide(state, scores, valid, scale) }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn bf16<const R: usize, const P: usize>(tile: &mut Tile, x: Rows<'_>, w: &Weights<'_, Bf16Line>) {
    /// Bytes of weights from here to those that should be on their way.
    const AHEAD: usize = 1024;
    // SAFETY: this function runs only where AVX2 is.
    let mut sums = unsafe { load::<R, P>(tile) };
    let high = _mm256_set1_epi32(0xffff_0000_u32.cast_signed());
    let rows: [*const f32; R] = std::array::from_fn(|row| x.data.as_ptr().wrapping_add(row.wrapping_mul(x.stride)));
    let mut at = 0;
    for segment in w.segments {
        let mut line = segment.as_ptr().wrapping_add(w.offset);
        for _ in 0..w.lines {
            for panel in 0..P {
                let halves = line.wrapping_add(panel.wrapping_mul(w.panel_stride)).cast::<__m256i>();
                // SAFETY: the caller has checked that the last line read lies inside each segment and that each row of
                // `x` holds all steps; lines are aligned to 64 bytes. The prefetch reads nothing.
                unsafe {
                    _mm_prefetch::<_MM_HINT_T0>(halves.wrapping_byte_add(AHEAD).cast());
                    let even = [_mm256_load_si256(halves), _mm256_load_si256(halves.wrapping_add(1))];
                    step(&mut sums, panel, even.map(|half| _mm256_slli_epi32::<16>(half)), &rows, at);
                    // Read once more, and volatile, because a compiler that keeps both forms has too few registers
                    // for the sums.
                    let odd = [halves.read_volatile(), halves.wrapping_add(1).read_volatile()];
                    step(&mut sums, panel, odd.map(|half| _mm256_and_si256(half, high)), &rows, at.wrapping_add(1));
                }
            }
            line = line.wrapping_add(w.stride);
            at = at.wrapping_add(2);
        }
    }
    // SAFETY: as above.
    unsafe { store(tile, sums) };
}

#[target_feature(enable = "avx2,fma")]
unsafe fn f32<const R: usize, const P: usize>(tile: &mut Tile, x: Rows<'_>, w: &Weights<'_, F32Line>) {
    // SAFETY: this function runs only where AVX2 is.
    let mut sums = unsafe { load::<R, P>(tile) };
    let rows: [*const f32; R] = std::array::from_fn(|row| x.data.as_ptr().wrapping_add(row.wrapping_mul(x.stride)));
    let mut at = 0;
    for segment in w.segments {
        let mut line = segment.as_ptr().wrapping_add(w.offset);
        for _ in 0..w.lines {
            for panel in 0..P {
                let halves = line.wrapping_add(panel.wrapping_mul(w.panel_stride)).cast::<__m256i>();
                // SAFETY: the caller has checked that the last line read lies inside each segment and that each row of
                // `x` holds all steps; lines are aligned to 64 bytes.
                unsafe {
                    let weights = [_mm256_load_si256(halves), _mm256_load_si256(halves.wrapping_add(1))];
                    step(&mut sums, panel, weights, &rows, at);
                }
            }
            line = line.wrapping_add(w.stride);
            at = at.wrapping_add(1);
        }
    }
    // SAFETY: as above.
    unsafe { store(tile, sums) };
}

/// Adds one step of one panel: 16 weights times the value of each row at `at`.
///
/// # Safety
/// The processor must have AVX2 and FMA, and each row a value there.
#[inline(always)]
unsafe fn step<const R: usize, const P: usize>(
    sums: &mut Sums<R, P>,
    panel: usize,
    weights: [__m256i; 2],
    rows: &[*const f32; R],
    at: usize,
) {
    // SAFETY: the caller answers for both.
    unsafe {
        let weights = weights.map(|half| _mm256_castsi256_ps(half));
        for row in 0..R {
            let x = _mm256_broadcast_ss(&*rows[row].wrapping_add(at));
            sums[row][panel][0] = _mm256_fmadd_ps(weights[0], x, sums[row][panel][0]);
            sums[row][panel][1] = _mm256_fmadd_ps(weights[1], x, sums[row][panel][1]);
        }
    }
}

/// The sums so far. Inlined without fail, because sums that are reached through a pointer would be written back to
/// memory at every step.
///
/// # Safety
/// The processor must have AVX2.
#[inline(always)]
unsafe fn load<const R: usize, const P: usize>(tile: &Tile) -> Sums<R, P> {
    // SAFETY: the caller answers for the processor; a chunk has 8 values.
    unsafe {
        let mut sums = [[[_mm256_setzero_ps(); 2]; P]; R];
        for row in 0..R {
            for panel in 0..P {
                let values = tile[row].as_ptr().add(panel * COLUMNS);
                sums[row][panel] = [_mm256_loadu_ps(values), _mm256_loadu_ps(values.add(8))];
            }
        }
        sums
    }
}

/// Puts the sums back; inlined for the same reason.
///
/// # Safety
/// The processor must have AVX2.
#[inline(always)]
unsafe fn store<const R: usize, const P: usize>(tile: &mut Tile, sums: Sums<R, P>) {
    // SAFETY: as above.
    unsafe {
        for row in 0..R {
            for panel in 0..P {
                let values = tile[row].as_mut_ptr().add(panel * COLUMNS);
                _mm256_storeu_ps(values, sums[row][panel][0]);
                _mm256_storeu_ps(values.add(8), sums[row][panel][1]);
            }
        }
    }
}
