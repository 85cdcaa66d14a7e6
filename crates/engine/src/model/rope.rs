//! Rotary position embeddings: the angles of each token or patch, and turning a head by them.
//! It must not know attention or caches.

use geometry::Grid;

use super::config::{TextConfig, VisionConfig};

/// Cosines and sines, `[row][half a head]`.
#[derive(Debug)]
pub(crate) struct Angles {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
}

impl Angles {
    /// Those of tokens at three-axis positions: the first frequencies turn with the temporal position, then come those
    /// of the vertical, then those of the horizontal one (M-RoPE; transformers' `Qwen2VLRotaryEmbedding`).
    pub(crate) fn of_tokens(config: &TextConfig, positions: impl Iterator<Item = [u32; 3]>) -> Self {
        let half = config.head_dim / 2;
        let frequencies = frequencies(config.rope_theta, config.head_dim);
        let [temporal, vertical, _] = config.mrope_section;
        let axis: Vec<usize> = (0..half)
            .map(|place| if place < temporal { 0 } else { 1 + usize::from(place >= temporal + vertical) })
            .collect();
        let mut angles = Self { cos: Vec::new(), sin: Vec::new(), half };
        for position in positions {
            for (axis, frequency) in axis.iter().zip(&frequencies) {
                angles.push(position[*axis] as f32 * frequency);
            }
        }
        angles
    }

    /// Those of the patches of a picture, in the order of its patches: square by square of `merge_size` patches a side.
    /// The first half of the frequencies turns with the row, the second with the column (transformers'
    /// `Qwen2VLVisionRotaryEmbedding`).
    pub(crate) fn of_patches(config: &VisionConfig, grid: Grid) -> Self {
        /// The base of the frequencies, which no configuration of Qwen2-VL states.
        const THETA: f64 = 10_000.0;
        let frequencies = frequencies(THETA, config.head_dim / 2);
        let mut angles = Self { cos: Vec::new(), sin: Vec::new(), half: config.head_dim / 2 };
        for (row, column) in patch_places(grid, config.merge_size as u32) {
            for place in [row, column] {
                for frequency in &frequencies {
                    angles.push(place as f32 * frequency);
                }
            }
        }
        angles
    }

    /// Turns a head of the token or patch `row` by its angles: value `i` with value `i + half`.
    pub(crate) fn turn(&self, row: usize, head: &mut [f32]) {
        let span = row * self.half..(row + 1) * self.half;
        let (first, second) = head.split_at_mut(self.half);
        let angles = self.cos[span.clone()].iter().zip(&self.sin[span]);
        for ((first, second), (cos, sin)) in first.iter_mut().zip(second).zip(angles) {
            let turned = *first * cos - *second * sin;
            *second = *second * cos + *first * sin;
            *first = turned;
        }
    }

    /// The angle is rounded to f32 as in transformers; its cosine and sine are exact from there.
    fn push(&mut self, angle: f32) {
        self.cos.push(f64::from(angle).cos() as f32);
        self.sin.push(f64::from(angle).sin() as f32);
    }
}

/// `1 / theta^(2i / dim)` for `i` below `dim / 2`, rounded where torch rounds.
fn frequencies(theta: f64, dim: usize) -> Vec<f32> {
    (0..dim / 2).map(|i| 1.0 / theta.powf(f64::from((2 * i) as f32 / dim as f32)) as f32).collect()
}

/// Row and column of each patch: squares of `merge` × `merge` patches in reading order, patches in reading order inside.
fn patch_places(grid: Grid, merge: u32) -> impl Iterator<Item = (u32, u32)> {
    let squares = (0..grid.h / merge).flat_map(move |row| (0..grid.w / merge).map(move |column| (row, column)));
    squares.flat_map(move |(row, column)| {
        (0..merge * merge).map(move |place| (row * merge + place / merge, column * merge + place % merge))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_go_square_by_square() {
        let found: Vec<_> = patch_places(Grid { t: 1, h: 2, w: 4 }, 2).collect();
        assert_eq!(found, [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (0, 3), (1, 2), (1, 3)]);
    }

    #[test]
    fn a_head_is_turned_by_a_quarter() {
        let angles = Angles { cos: vec![9.0, 9.0, 0.0, 0.0], sin: vec![9.0, 9.0, 1.0, 1.0], half: 2 };
        let mut head = [1.0, 2.0, 3.0, 4.0];
        angles.turn(1, &mut head);
        assert_eq!(head, [-3.0, -4.0, 1.0, 2.0]);
    }

    #[test]
    fn frequencies_fall_from_one() {
        assert_eq!(frequencies(10_000.0, 8), [1.0, 0.1, 0.01, 0.001]);
    }
}
