//! From the tensors of a checkpoint to packed weights, with word of how far it is. It must not know layers.

use super::checkpoint::{Checkpoint, Names, Part, StoredAs, Values};
use super::compute::{Compute, Dtype};
use super::linear::{Linear, Source};
use super::norm::LayerNorm;
use super::{Error, ModelConfig};

/// How far the loading of a checkpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of tensors read so far.
    pub done_bytes: u64,
    /// Bytes of all tensors of the model.
    pub total_bytes: u64,
}

/// Reads one checkpoint.
pub(crate) struct Loader<'a> {
    compute: &'a Compute,
    checkpoint: &'a Checkpoint,
    names: Names,
    progress: Progress,
    report: &'a mut dyn FnMut(Progress),
}

impl<'a> Loader<'a> {
    pub(crate) fn new(
        compute: &'a Compute,
        checkpoint: &'a Checkpoint,
        config: &ModelConfig,
        report: &'a mut dyn FnMut(Progress),
    ) -> Self {
        let progress = Progress { done_bytes: 0, total_bytes: checkpoint.bytes(config) };
        report(progress);
        Self { compute, checkpoint, names: checkpoint.names(), progress, report }
    }

    /// One matrix from tensors stacked on each other, each `(name, outputs)`, with the biases if they have them.
    /// `inner` are the dimensions after the first.
    pub(crate) fn linear(
        &mut self,
        part: Part,
        tensors: &[(&str, usize)],
        inner: &[usize],
        biased: bool,
    ) -> Result<Linear, Error> {
        let mut stack = Stack { parts: Vec::new() };
        let mut bias = Vec::new();
        for (name, outputs) in tensors {
            let shape: Vec<usize> = [*outputs].iter().chain(inner).copied().collect();
            let expected = self.names.tensor(part, &format!("{name}.weight"), &shape);
            stack.parts.push((self.checkpoint.values(&expected)?, *outputs));
            if biased {
                bias.extend(self.vector(part, &format!("{name}.bias"), *outputs)?);
            }
        }
        let outputs = tensors.iter().map(|(_, outputs)| outputs).sum();
        // bf16 holds what was stored as bf16, so in float32 too it is the exact and the smaller form.
        let exact = stack.parts.iter().all(|(values, _)| values.stored_as() == StoredAs::Bf16);
        let narrow = exact || self.compute.dtype == Dtype::BFloat16;
        let size = (outputs, inner.iter().product());
        let packed = Linear::pack(&self.compute.threads, &stack, size, narrow, biased.then_some(bias));
        for (values, _) in &stack.parts {
            self.advance(values.bytes());
        }
        Ok(packed)
    }

    /// A tensor of one dimension, rounded to the model's number format.
    pub(crate) fn vector(&mut self, part: Part, name: &str, len: usize) -> Result<Vec<f32>, Error> {
        let values = self.checkpoint.values(&self.names.tensor(part, name, &[len]))?;
        self.advance(values.bytes());
        let mut values = values.to_vec();
        if self.compute.dtype == Dtype::BFloat16 {
            values.iter_mut().for_each(|value| *value = half::bf16::from_f32(*value).to_f32());
        }
        Ok(values)
    }

    /// A LayerNorm.
    pub(crate) fn layer_norm(&mut self, part: Part, name: &str, len: usize) -> Result<LayerNorm, Error> {
        Ok(LayerNorm {
            weight: self.vector(part, &format!("{name}.weight"), len)?,
            bias: self.vector(part, &format!("{name}.bias"), len)?,
        })
    }

    fn advance(&mut self, bytes: u64) {
        self.progress.done_bytes += bytes;
        (self.report)(self.progress);
    }
}

/// Matrices with the same inputs, one below the other.
struct Stack {
    /// Each with its number of outputs.
    parts: Vec<(Values, usize)>,
}

impl Source for Stack {
    fn copy_row(&self, mut output: usize, row: &mut [f32]) {
        for (values, outputs) in &self.parts {
            if output < *outputs {
                return values.copy_row(output, row);
            }
            output -= outputs;
        }
    }
}
