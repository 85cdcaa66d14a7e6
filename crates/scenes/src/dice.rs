//! Random choices from a seed, the same on every machine and with every version of a random library: only the
//! generator itself, whose stream is defined, is taken from one. It must not know what is chosen.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

/// What a sequence of choices is for: each purpose has a sequence of its own, so that the facts of a seed do not
/// depend on the size of its picture, nor its sentences on either.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// What is in the picture.
    Facts,
    /// Where it stands and how it looks.
    Layout,
    /// Light and noise.
    Finish,
    /// Which sentences are said.
    Words,
    /// How a picture of a training pool departs from a plain one.
    Pool,
    /// The aspect of the pictures of a block of a training pool.
    Block,
}

/// A sequence of random choices.
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    pub(crate) fn new(seed: u64, purpose: Purpose) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(purpose as u64);
        Self(generator)
    }

    /// A number from `least` up to, and not including, `most`.
    pub(crate) fn between(&mut self, least: f64, most: f64) -> f64 {
        let unit = (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        least + (most - least) * unit
    }

    /// A whole number below `count`; 0 where there is none.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        ((u64::from(self.0.next_u32()) * count as u64) >> 32) as usize
    }

    /// True in `part` (0 to 1) of all cases.
    pub(crate) fn chance(&mut self, part: f64) -> bool {
        self.between(0.0, 1.0) < part
    }

    /// One of `N` things.
    pub(crate) fn pick<T: Copy, const N: usize>(&mut self, from: [T; N]) -> T {
        const { assert!(N > 0) };
        from[self.below(N)]
    }

    /// A place in `weights`, each as often as its weight says; the weights add up to 1.
    pub(crate) fn weighted<const N: usize>(&mut self, weights: [f64; N]) -> usize {
        let mut left = self.between(0.0, 1.0);
        for (place, weight) in weights.iter().enumerate() {
            if left < *weight {
                return place;
            }
            left -= weight;
        }
        N.saturating_sub(1)
    }

    /// `count` of the places below `of`, in random order.
    pub(crate) fn sample(&mut self, of: usize, count: usize) -> Vec<usize> {
        let mut places: Vec<usize> = (0..of).collect();
        for place in 0..count.min(of) {
            let other = place + self.below(of - place);
            places.swap(place, other);
        }
        places.truncate(count);
        places
    }

    /// Random bytes.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_of_a_seed_never_changes() {
        let mut dice = Dice::new(7, Purpose::Layout);
        let drawn: Vec<usize> = (0..8).map(|_| dice.below(1000)).collect();
        assert_eq!(drawn, [659, 992, 107, 9, 966, 721, 449, 528]);
        assert_eq!(dice.between(0.0, 1.0).to_bits(), 4_588_576_647_541_325_216);
    }

    #[test]
    fn weights_and_samples_are_kept() {
        let mut dice = Dice::new(1, Purpose::Facts);
        let mut counts = [0; 3];
        (0..10_000).for_each(|_| counts[dice.weighted([0.5, 0.0, 0.5])] += 1);
        assert!(counts[0] > 4800 && counts[1] == 0 && counts[2] > 4800, "{counts:?}");
        for count in 0..=6 {
            let mut places = dice.sample(6, count);
            places.sort_unstable();
            places.dedup();
            assert!(places.len() == count && places.iter().all(|place| *place < 6));
        }
        assert_eq!(dice.below(0), 0);
    }
}
