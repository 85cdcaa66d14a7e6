//! What every layer computes with: the instructions, the threads and the number format. It must not know layers.

use super::kernel::Isa;
use super::linear::Linear;
use super::threads::Threads;

/// The number format of a model's arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// Activations, keys and values in f32: the exact reference. Weights keep the values of the checkpoint.
    Float32,
    /// Weights, keys and values in bf16, and the inputs of products rounded to bf16, as on a GPU; sums in f32.
    BFloat16,
}

/// Rows that go through an MLP or the vision tower's projections at once, which bounds what lies between.
pub(crate) const SLAB_ROWS: usize = 512;

/// The means of one model.
#[derive(Debug)]
pub(crate) struct Compute {
    pub(crate) isa: Isa,
    pub(crate) threads: Threads,
    pub(crate) dtype: Dtype,
}

impl Compute {
    /// `x` times a matrix; the rows of `x` must have come through [`Compute::rounded`].
    pub(crate) fn linear(&self, linear: &Linear, x: &[f32]) -> Vec<f32> {
        linear.apply(self.isa, &self.threads, x)
    }

    /// Makes rows of `len` values, each by `fill`, and rounds them to what a product takes.
    pub(crate) fn rounded(&self, rows: usize, len: usize, fill: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
        let mut made = vec![0.0; rows * len];
        self.threads.rows(&mut made, len, |row, values| {
            fill(row, values);
            if self.dtype == Dtype::BFloat16 {
                values.iter_mut().for_each(|value| *value = half::bf16::from_f32(*value).to_f32());
            }
        });
        made
    }

    /// Adds `y` to `x`, row by row of `len` values.
    pub(crate) fn add(&self, x: &mut [f32], y: &[f32], len: usize) {
        self.threads.rows(x, len, |row, values| {
            for (value, added) in values.iter_mut().zip(&y[row * len..]) {
                *value += added;
            }
        });
    }
}
