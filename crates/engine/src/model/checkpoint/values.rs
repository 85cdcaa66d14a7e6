//! The numbers of one tensor, read where they lie in the file. It must not know files.

use half::{bf16, f16};
use memmap2::Mmap;

use super::StoredAs;
use crate::model::linear::Source;

/// A tensor's numbers as a matrix.
#[derive(Debug)]
pub(crate) struct Values {
    bytes: Mmap,
    stored_as: StoredAs,
    columns: usize,
}

impl Values {
    pub(super) fn new(bytes: Mmap, stored_as: StoredAs, columns: usize) -> Self {
        Self { bytes, stored_as, columns }
    }

    /// How the numbers are stored.
    pub(crate) fn stored_as(&self) -> StoredAs {
        self.stored_as
    }

    /// Bytes in the file.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// All of them, in order.
    pub(crate) fn to_vec(&self) -> Vec<f32> {
        let count = self.bytes.len() / if self.stored_as == StoredAs::F32 { 4 } else { 2 };
        (0..count).map(|at| self.at(at)).collect()
    }

    fn at(&self, at: usize) -> f32 {
        let pair = |at| self.array::<2>(at);
        match self.stored_as {
            StoredAs::Bf16 => bf16::from_le_bytes(pair(at)).to_f32(),
            StoredAs::F16 => f16::from_le_bytes(pair(at)).to_f32(),
            StoredAs::F32 => f32::from_le_bytes(self.array::<4>(at)),
        }
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.bytes.get(at * N..).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or([0; N])
    }
}

impl Source for Values {
    fn weight(&self, output: usize, input: usize) -> f32 {
        self.at(output * self.columns + input)
    }
}
