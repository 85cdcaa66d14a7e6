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
        let mut values = vec![0.0; self.bytes.len() / self.stored_as.bytes() as usize];
        self.copy(0, &mut values);
        values
    }

    /// Those from `first` on.
    fn copy(&self, first: usize, out: &mut [f32]) {
        let bytes = self.bytes.get(first * self.stored_as.bytes() as usize..).unwrap_or_default();
        let (pairs, fours) = (bytes.as_chunks::<2>().0, bytes.as_chunks::<4>().0);
        match self.stored_as {
            StoredAs::Bf16 => {
                out.iter_mut().zip(pairs).for_each(|(out, pair)| *out = bf16::from_le_bytes(*pair).to_f32())
            }
            StoredAs::F16 => {
                out.iter_mut().zip(pairs).for_each(|(out, pair)| *out = f16::from_le_bytes(*pair).to_f32())
            }
            StoredAs::F32 => out.iter_mut().zip(fours).for_each(|(out, four)| *out = f32::from_le_bytes(*four)),
        }
    }
}

impl Source for Values {
    fn copy_row(&self, output: usize, row: &mut [f32]) {
        self.copy(output * self.columns, row);
    }
}
