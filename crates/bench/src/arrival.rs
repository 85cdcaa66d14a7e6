//! Intended send times: an absolute schedule, so that a late send never moves the next.

use crate::cli::Arrivals;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Gamma};
use std::sync::Arc;

/// Offsets from the start of a round, ns, ascending.
pub type OffsetsNs = Box<dyn Iterator<Item = u64> + Send>;

/// A schedule of arrivals: the same offsets whenever it is asked for them.
pub type Schedule = Arc<dyn Fn() -> OffsetsNs + Send + Sync>;

/// Offsets from the start of a round, ns, ascending, without end. The first arrival is at 0.
///
/// Constant: every 1/rate. Poisson: exponential gaps. With a shape other than 1 the gaps are gamma-distributed with that
/// shape and the same mean (the `burstiness` of `vllm bench serve`).
pub fn offsets_ns(arrivals: Arrivals, rate_per_s: f64, shape: f64, seed: u64) -> impl Iterator<Item = u64> + Send {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mean_s = 1.0 / rate_per_s;
    // Shape and scale are finite and positive by the plan's checks; else the spacing is even.
    let gamma = (arrivals == Arrivals::Poisson).then(|| Gamma::new(shape, mean_s / shape).ok()).flatten();
    let mut at_s = 0.0;
    let mut count = 0u64;
    std::iter::from_fn(move || {
        let now_s = match &gamma {
            Some(gamma) => {
                let now_s = at_s;
                at_s += gamma.sample(&mut random);
                now_s
            }
            None => count as f64 * mean_s,
        };
        count += 1;
        Some((now_s * 1e9).round() as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps_s(arrivals: Arrivals, rate: f64, shape: f64) -> Vec<f64> {
        let times: Vec<u64> = offsets_ns(arrivals, rate, shape, 7).take(20_001).collect();
        assert_eq!(times[0], 0);
        times.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e9).collect()
    }

    /// Mean and squared coefficient of variation of the gaps: 1/rate, and 1/shape for a gamma distribution.
    fn check(arrivals: Arrivals, rate: f64, shape: f64, variation: f64) {
        let gaps = gaps_s(arrivals, rate, shape);
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let square = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64 / mean.powi(2);
        assert!((mean * rate - 1.0).abs() < 0.05, "mean {mean} at {rate}/s");
        assert!((square - variation).abs() < 0.1 * variation.max(0.01), "variation {square}, not {variation}");
    }

    #[test]
    fn spacing_has_the_moments_it_should() {
        check(Arrivals::Constant, 50.0, 1.0, 0.0);
        check(Arrivals::Poisson, 50.0, 1.0, 1.0);
        check(Arrivals::Poisson, 5.0, 4.0, 0.25);
        check(Arrivals::Poisson, 5.0, 0.5, 2.0);
    }

    #[test]
    fn even_spacing_does_not_drift() {
        // The millionth arrival at 3/s is at 333,333.333… s to the nanosecond.
        assert_eq!(offsets_ns(Arrivals::Constant, 3.0, 1.0, 0).nth(1_000_000), Some(333_333_333_333_333));
    }

    #[test]
    fn a_seed_gives_one_schedule() {
        let times = |seed| offsets_ns(Arrivals::Poisson, 9.0, 1.0, seed).take(50).collect::<Vec<_>>();
        assert_eq!(times(3), times(3));
        assert_ne!(times(3), times(4));
    }
}
