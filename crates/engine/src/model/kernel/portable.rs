//! The inner loop without special instructions, written so that a compiler turns it into vectors of any width.

use super::{COLUMNS, Line, Rows, Tile, Weights};

/// Adds `R` rows of `x` times `P` panels of `w` to `tile`.
pub(super) fn multiply<L: Line, const R: usize, const P: usize>(tile: &mut Tile, x: Rows<'_>, w: &Weights<'_, L>) {
    let mut sums = [[[0.0f32; COLUMNS]; P]; R];
    for (sums, values) in sums.iter_mut().zip(tile.iter()) {
        for (sum, values) in sums.iter_mut().zip(values.chunks_exact(COLUMNS)) {
            sum.copy_from_slice(values);
        }
    }
    let mut at = 0;
    for segment in w.segments {
        for line in 0..w.lines {
            let lines: [&L; P] =
                std::array::from_fn(|panel| &segment[w.offset + panel * w.panel_stride + line * w.stride]);
            for step in 0..L::STEPS {
                let x: [f32; R] = std::array::from_fn(|row| x.data[row * x.stride + at]);
                for panel in 0..P {
                    let weights = lines[panel].step(step);
                    for row in 0..R {
                        for column in 0..COLUMNS {
                            let sum = &mut sums[row][panel][column];
                            *sum = multiply_add(weights[column], x[row], *sum);
                        }
                    }
                }
                at += 1;
            }
        }
    }
    for (sums, values) in sums.iter().zip(tile.iter_mut()) {
        for (sum, values) in sums.iter().zip(values.chunks_exact_mut(COLUMNS)) {
            values.copy_from_slice(sum);
        }
    }
}

/// `a * b + c`, fused where every processor of the architecture has an instruction for it: elsewhere a fused step would
/// be a call into the C library.
#[inline(always)]
fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(target_arch = "aarch64") { a.mul_add(b, c) } else { a * b + c }
}
