//! Attention of a few query rows over keys and values that lie in blocks of 16, with one order of summation for a row.
//! It must not know whether the blocks come from a cache or a picture.
//!
//! A block of one head is its keys, then its values, in the kernels' lines: the keys as a panel of 16 columns that is
//! as long as a head, the values as panels of 16 values of a head that are 16 tokens long. Keys are taken in groups that
//! begin at fixed places from the first key on, so a row's result does not depend on the rows beside it, on how a
//! prompt was cut, or on how the blocks lie in memory.

use super::kernel::{COLUMNS, Isa, Line, ROWS_MAX, RowState, Rows, Weights, ZERO_TILE, row_tiles};

/// Tokens of a block.
pub const BLOCK_TOKENS: usize = 16;
/// Blocks of a group.
const GROUP_BLOCKS: usize = 16;
const GROUP_KEYS: usize = GROUP_BLOCKS * BLOCK_TOKENS;
/// Rows that should be given at once: so many share a pass over the keys.
pub(crate) const QUERY_ROWS: usize = 4 * ROWS_MAX;

/// The layout of blocks of heads of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeadShape {
    head_dim: usize,
    /// Panels of 16 that the values of a head take.
    panels: usize,
}

impl HeadShape {
    /// For heads of `head_dim` values, an even number.
    pub(crate) fn new(head_dim: usize) -> Self {
        Self { head_dim, panels: head_dim.div_ceil(COLUMNS) }
    }

    /// Lines of a block of one head.
    pub(crate) fn block_lines<L: Line>(self) -> usize {
        self.key_lines::<L>() + BLOCK_TOKENS / L::STEPS * self.panels
    }

    /// Puts the key and the value of a token into its slot of a block.
    pub(crate) fn put<L: Line>(self, block: &mut [L], slot: usize, key: &[f32], value: &[f32]) {
        let (keys, values) = block.split_at_mut(self.key_lines::<L>());
        for (line, steps) in keys.iter_mut().zip(key.chunks(L::STEPS)) {
            for (step, key) in steps.iter().enumerate() {
                line.set(slot, step, *key);
            }
        }
        let lines = values.iter_mut().skip(slot / L::STEPS * self.panels);
        for (line, values) in lines.zip(value.chunks(COLUMNS)) {
            for (column, value) in values.iter().enumerate() {
                line.set(column, slot % L::STEPS, *value);
            }
        }
    }

    /// `softmax(q · keys / sqrt(head_dim)) · values` for each row.
    ///
    /// `queries` and `out` are `[rows, head_dim]`; row `i` sees the first `seen[i]` keys, at least one. `block` gives
    /// the block of a number.
    pub(crate) fn attend<'a, L: Line>(
        self,
        isa: Isa,
        queries: &[f32],
        seen: &[usize],
        block: impl Fn(usize) -> &'a [L],
        out: &mut [f32],
    ) {
        let width = self.panels * COLUMNS;
        let scale = (self.head_dim as f32).powf(-0.5);
        let keys = seen.iter().copied().max().unwrap_or(0);
        let mut states = vec![RowState::EMPTY; seen.len()];
        let mut scores = vec![0.0; seen.len() * GROUP_KEYS];
        let mut sums = vec![0.0; seen.len() * width];
        for first in (0..keys).step_by(GROUP_KEYS) {
            let end = (first + GROUP_KEYS).min(keys).div_ceil(BLOCK_TOKENS);
            let blocks: Vec<&[L]> = (first / BLOCK_TOKENS..end).map(&block).collect();
            self.score(isa, queries, &blocks, &mut scores);
            let rows = states.iter_mut().zip(scores.chunks_mut(GROUP_KEYS)).zip(sums.chunks_mut(width)).zip(seen);
            for (((state, scores), sums), seen) in rows {
                let scores = &mut scores[..blocks.len() * BLOCK_TOKENS];
                let factor = isa.weigh(state, scores, seen.saturating_sub(first), scale);
                if factor != 1.0 {
                    sums.iter_mut().for_each(|sum| *sum *= factor);
                }
            }
            self.add_values(isa, &scores, &blocks, &mut sums);
        }
        for ((state, sums), out) in states.iter().zip(sums.chunks(width)).zip(out.chunks_mut(self.head_dim)) {
            let total = state.total();
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = sum / total;
            }
        }
    }

    fn key_lines<L: Line>(self) -> usize {
        self.head_dim / L::STEPS
    }

    /// The products of all queries with the keys of the blocks, `[row][GROUP_KEYS]`.
    fn score<L: Line>(self, isa: Isa, queries: &[f32], blocks: &[&[L]], scores: &mut [f32]) {
        let rows = queries.len() / self.head_dim;
        for (number, block) in blocks.iter().enumerate() {
            let keys =
                Weights { segments: &[*block], offset: 0, lines: self.key_lines::<L>(), stride: 1, panel_stride: 0 };
            for (row, count) in row_tiles(rows) {
                let mut tile = ZERO_TILE;
                let queries = Rows { data: &queries[row * self.head_dim..], stride: self.head_dim };
                isa.multiply(count, 1, &mut tile, queries, &keys);
                for (sums, scores) in tile.iter().zip(scores.chunks_mut(GROUP_KEYS).skip(row).take(count)) {
                    scores[number * BLOCK_TOKENS..][..COLUMNS].copy_from_slice(&sums[..COLUMNS]);
                }
            }
        }
    }

    /// Adds the values of the blocks, weighed by `weights` (`[row][GROUP_KEYS]`), to `sums` (`[row][panels * 16]`).
    fn add_values<L: Line>(self, isa: Isa, weights: &[f32], blocks: &[&[L]], sums: &mut [f32]) {
        let width = self.panels * COLUMNS;
        for panel in 0..self.panels {
            let values = Weights {
                segments: blocks,
                offset: self.key_lines::<L>() + panel,
                lines: BLOCK_TOKENS / L::STEPS,
                stride: self.panels,
                panel_stride: 0,
            };
            for (row, count) in row_tiles(sums.len() / width) {
                let mut tile = ZERO_TILE;
                let places = || row..row + count;
                for (tile, row) in tile.iter_mut().zip(places()) {
                    tile[..COLUMNS].copy_from_slice(&sums[row * width + panel * COLUMNS..][..COLUMNS]);
                }
                let weights = Rows { data: &weights[row * GROUP_KEYS..], stride: GROUP_KEYS };
                isa.multiply(count, 1, &mut tile, weights, &values);
                for (tile, row) in tile.iter().zip(places()) {
                    sums[row * width + panel * COLUMNS..][..COLUMNS].copy_from_slice(&tile[..COLUMNS]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kernel::{Bf16Line, F32Line};

    fn wave(seed: usize, at: usize) -> f32 {
        half::bf16::from_f32((((seed * 37 + at * 13) % 61) as f32 / 30.0 - 1.0) * 0.7).to_f32()
    }

    fn head(seed: usize, dim: usize) -> Vec<f32> {
        (0..dim).map(|at| wave(seed, at)).collect()
    }

    fn blocks<L: Line>(shape: HeadShape, keys: usize) -> Vec<Vec<L>> {
        let mut blocks = vec![vec![L::default(); shape.block_lines::<L>()]; keys.div_ceil(BLOCK_TOKENS)];
        for key in 0..keys {
            let (k, v) = (head(key + 1, shape.head_dim), head(3 * key + 2, shape.head_dim));
            shape.put(&mut blocks[key / BLOCK_TOKENS], key % BLOCK_TOKENS, &k, &v);
        }
        blocks
    }

    fn attend<L: Line>(isa: Isa, dim: usize, queries: &[f32], seen: &[usize], blocks: &[Vec<L>]) -> Vec<f32> {
        let mut out = vec![0.0; queries.len()];
        HeadShape::new(dim).attend(isa, queries, seen, |number| blocks[number].as_slice(), &mut out);
        out
    }

    fn exact(dim: usize, query: &[f32], seen: usize) -> Vec<f64> {
        let dot = |key: Vec<f32>| query.iter().zip(key).map(|(q, k)| f64::from(*q) * f64::from(k)).sum::<f64>();
        let weights: Vec<f64> = (0..seen).map(|key| (dot(head(key + 1, dim)) / (dim as f64).sqrt()).exp()).collect();
        let total: f64 = weights.iter().sum();
        let value = |at| weights.iter().enumerate().map(|(key, w)| w * f64::from(wave(3 * key + 2, at))).sum::<f64>();
        (0..dim).map(|at| value(at) / total).collect()
    }

    #[test]
    fn it_is_the_softmax_of_all_that_is_seen() {
        for (dim, seen) in [(8, vec![1, 2]), (40, vec![300, 17, 256, 257, 1, 16, 299]), (128, vec![513; 3])] {
            let blocks = blocks::<F32Line>(HeadShape::new(dim), 520);
            let queries: Vec<f32> = (0..seen.len()).flat_map(|row| head(row * 5, dim)).collect();
            let found = attend(Isa::detect(), dim, &queries, &seen, &blocks);
            for (row, seen) in seen.iter().enumerate() {
                let expected = exact(dim, &queries[row * dim..(row + 1) * dim], *seen);
                for (found, expected) in found[row * dim..].iter().zip(expected) {
                    assert!((f64::from(*found) - expected).abs() < 2e-6, "{dim} {row} {found} {expected}");
                }
            }
        }
    }

    /// A row's bits do not depend on its company, on later keys, or on how the blocks are stored.
    #[test]
    fn a_row_has_the_same_bits_in_any_company() {
        let dim = 24;
        let shape = HeadShape::new(dim);
        let seen: Vec<usize> = (0..13).map(|row| 1 + row * 47).collect();
        let queries: Vec<f32> = (0..13).flat_map(|row| head(row * 5, dim)).collect();
        let (wide, narrow) = (blocks::<F32Line>(shape, 600), blocks::<Bf16Line>(shape, 600));
        for isa in [Isa::PORTABLE, Isa::detect()] {
            let all = attend(isa, dim, &queries, &seen, &wide);
            assert_eq!(all, attend(isa, dim, &queries, &seen, &narrow));
            for row in 0..13 {
                let query = &queries[row * dim..(row + 1) * dim];
                let few = blocks::<F32Line>(shape, seen[row]);
                let alone = attend(isa, dim, query, &seen[row..=row], &few);
                assert_eq!(alone, all[row * dim..(row + 1) * dim], "{row}");
            }
        }
    }
}
