//! A figure with its interval, or with none where none can be given.

use crate::sample::Sample;
use serde::{Deserialize, Serialize};

/// A 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// A figure and how far it can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Its 95 % interval; absent where the sample is too small for one, or its values are not independent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub interval: Option<Interval>,
}

const RESAMPLES: usize = 1000;
/// Above this many values the mean's interval comes from its standard error: the bootstrap would say the same.
const BOOTSTRAP_MAX: usize = 2000;

impl Estimate {
    /// A figure without an interval.
    #[must_use]
    pub fn bare(value: f64) -> Self {
        Self { value, interval: None }
    }

    /// The mean with a percentile-bootstrap interval (Efron & Tibshirani 1993, chapter 13); for large samples
    /// mean ± 1.96 standard errors. The resampling is seeded: the same sample gives the same interval.
    #[must_use]
    pub fn mean(sample: &Sample) -> Self {
        let n = sample.len();
        let interval = match n {
            0..3 => None,
            3..=BOOTSTRAP_MAX => Some(bootstrap_mean(sample.values())),
            _ => {
                let half = 1.96 * sample.std() / ((n - 1) as f64).sqrt();
                Some(Interval { low: sample.mean() - half, high: sample.mean() + half })
            }
        };
        Self { value: sample.mean(), interval }
    }

    /// A quantile with the distribution-free interval between order statistics (David & Nagaraja 2003, section 7.1):
    /// the binomial ranks that cover 95 %. Absent when the sample is too small to hold both ranks, as for a P99 of
    /// fewer than some 370 values.
    #[must_use]
    pub fn quantile(sample: &Sample, q: f64) -> Self {
        Self { value: sample.quantile(q), interval: order_interval(sample.values(), q) }
    }
}

fn bootstrap_mean(values: &[f64]) -> Interval {
    let n = values.len();
    let mut random = SplitMix(n as u64);
    let means =
        (0..RESAMPLES).map(|_| (0..n).map(|_| values[(random.next() % n as u64) as usize]).sum::<f64>() / n as f64);
    match Sample::new(means) {
        Some(means) => Interval { low: means.quantile(0.025), high: means.quantile(0.975) },
        None => Interval { low: f64::NAN, high: f64::NAN },
    }
}

/// The ranks l < u with P(X_(l) ≤ quantile < X_(u)) ≥ 95 %, each side holding at most 2.5 %.
fn order_interval(values: &[f64], q: f64) -> Option<Interval> {
    let n = values.len();
    if n < 3 || !(0.0..1.0).contains(&q) || q == 0.0 {
        return None;
    }
    let (low_rank, high_rank) = if n <= 1000 { exact_ranks(n, q)? } else { normal_ranks(n, q)? };
    Some(Interval { low: values[low_rank - 1], high: values[high_rank - 1] })
}

/// By the binomial distribution, ranks counted from 1.
fn exact_ranks(n: usize, q: f64) -> Option<(usize, usize)> {
    let log_odds = (q / (1.0 - q)).ln();
    let mut log_term = n as f64 * (1.0 - q).ln();
    let mut below = 0.0; // P(fewer than k successes)
    let (mut low, mut high) = (None, None);
    for k in 0..=n {
        // P(X_(k) > quantile) = P(fewer than k of n below it) = `below`.
        if k >= 1 && below <= 0.025 {
            low = Some(k);
        }
        if high.is_none() && k >= 1 && below >= 0.975 {
            high = Some(k);
        }
        below += log_term.exp();
        log_term += ((n - k) as f64 / (k + 1) as f64).ln() + log_odds;
    }
    Some((low?, high?))
}

/// By the normal approximation to the binomial, with its continuity correction left out (n > 1000).
fn normal_ranks(n: usize, q: f64) -> Option<(usize, usize)> {
    let (mean, spread) = (n as f64 * q, 1.96 * (n as f64 * q * (1.0 - q)).sqrt());
    let (low, high) = ((mean - spread).floor(), (mean + spread).ceil() + 1.0);
    (low >= 1.0 && high <= n as f64).then_some((low as usize, high as usize))
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, good enough to resample.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(n: usize) -> Sample {
        Sample::new((1..=n).map(|i| i as f64)).unwrap()
    }

    #[test]
    fn the_median_of_ten_lies_between_the_second_and_the_ninth() {
        // Binomial(10, 1/2): P(X ≤ 1) = 11/1024 = 1.07 %, P(X ≤ 2) = 5.5 %: ranks 2 and 9 cover 97.9 %.
        let interval = Estimate::quantile(&ramp(10), 0.5).interval.unwrap();
        assert_eq!((interval.low, interval.high), (2.0, 9.0));
    }

    #[test]
    fn a_tail_needs_enough_values() {
        assert_eq!(Estimate::quantile(&ramp(100), 0.99).interval, None);
        assert_eq!(Estimate::quantile(&ramp(1), 0.5).interval, None);
        let interval = Estimate::quantile(&ramp(1000), 0.99).interval.unwrap();
        assert!(interval.low < 990.0 && interval.high > 990.0);
    }

    #[test]
    fn exact_and_normal_ranks_agree() {
        let (exact, normal) = (exact_ranks(1000, 0.9).unwrap(), normal_ranks(1000, 0.9).unwrap());
        assert!(exact.0.abs_diff(normal.0) <= 2 && exact.1.abs_diff(normal.1) <= 2, "{exact:?} {normal:?}");
    }

    #[test]
    fn the_mean_lies_in_its_interval_and_is_repeatable() {
        let estimate = Estimate::mean(&ramp(50));
        let interval = estimate.interval.unwrap();
        // The standard error of 1..50 is 14.43 / √50 = 2.04: the interval is about 25.5 ± 4.
        assert!((interval.low - 21.5).abs() < 1.0 && (interval.high - 29.5).abs() < 1.0, "{interval:?}");
        assert_eq!(estimate, Estimate::mean(&ramp(50)));
        assert_eq!(Estimate::mean(&ramp(2)).interval, None);
    }
}
