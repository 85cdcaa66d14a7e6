//! A softmax over keys that come group by group, with the state that one query row carries from group to group.

use super::{COLUMNS, exp};

/// What a query row has seen so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowState {
    /// The greatest score.
    max: f32,
    /// The sum of the weights, relative to `max`, by key modulo 16.
    sums: [f32; COLUMNS],
}

impl RowState {
    /// Before the first key.
    pub(crate) const EMPTY: Self = Self { max: f32::NEG_INFINITY, sums: [0.0; COLUMNS] };

    /// Turns the scores of one group of keys into weights and returns by what everything weighed before must be
    /// multiplied.
    ///
    /// `scores` holds whole panels of 16 keys of which only the first `valid` may be seen; the others get the weight 0.
    /// A group without a valid key changes nothing, to the bit: the factor is 1 and every weight 0. So a row's result
    /// does not depend on how far the rows beside it look.
    #[inline(always)]
    pub(crate) fn weigh(&mut self, scores: &mut [f32], valid: usize, scale: f32) -> f32 {
        let mut tops = [f32::NEG_INFINITY; COLUMNS];
        for (panel, scores) in scores.chunks_exact_mut(COLUMNS).enumerate() {
            for (column, (score, top)) in scores.iter_mut().zip(&mut tops).enumerate() {
                let seen = panel * COLUMNS + column < valid;
                *score = if seen { *score * scale } else { f32::NEG_INFINITY };
                *top = if *score > *top { *score } else { *top };
            }
        }
        let top = tops.iter().fold(self.max, |top, score| if *score > top { *score } else { top });
        let factor = if top == self.max { 1.0 } else { exp(self.max - top) };
        self.sums = self.sums.map(|sum| sum * factor);
        for scores in scores.chunks_exact_mut(COLUMNS) {
            for (score, sum) in scores.iter_mut().zip(&mut self.sums) {
                *score = exp(*score - top);
                *sum += *score;
            }
        }
        self.max = top;
        factor
    }

    /// The sum of all weights.
    pub(crate) fn total(&self) -> f32 {
        let mut sums = self.sums;
        for width in [8, 4, 2, 1] {
            for column in 0..width {
                sums[column] += sums[column + width];
            }
        }
        sums[0]
    }
}
