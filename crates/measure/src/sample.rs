//! A set of finite numbers and its quantiles: one rule, in one place.

/// Finite numbers, sorted, at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample(Vec<f64>);

impl Sample {
    /// `None` when nothing finite is left. Numbers that are not finite are left out.
    #[must_use]
    pub fn new(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        (!sorted.is_empty()).then_some(Self(sorted))
    }

    /// The values, ascending.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// How many there are, at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a sample is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The arithmetic mean.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len() as f64
    }

    /// The standard deviation of the population (numpy's `std` with `ddof=0`, as `vllm bench serve` prints).
    #[must_use]
    pub fn std(&self) -> f64 {
        let mean = self.mean();
        (self.0.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / self.0.len() as f64).sqrt()
    }

    /// The smallest value.
    #[must_use]
    pub fn min(&self) -> f64 {
        self.0[0]
    }

    /// The largest value.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.0[self.0.len() - 1]
    }

    /// The quantile `q` (0 to 1) by linear interpolation between order statistics: rank `q·(n−1)`, numpy's `linear`
    /// (Hyndman & Fan 1996, type 7).
    #[must_use]
    pub fn quantile(&self, q: f64) -> f64 {
        let rank = q.clamp(0.0, 1.0) * (self.0.len() - 1) as f64;
        let (below, above) = (rank.floor() as usize, rank.ceil() as usize);
        let (low, high) = (self.0[below], self.0[above]);
        // The clamp keeps rounding from leaving the two neighbours.
        (low + (high - low) * (rank - below as f64)).clamp(low, high)
    }

    /// The median.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantiles_as_numpy() {
        // numpy.percentile([1, 2, 3, 4], [0, 25, 50, 99, 100]) = 1, 1.75, 2.5, 3.97, 4
        let sample = Sample::new([4.0, 2.0, 1.0, 3.0]).unwrap();
        for (q, want) in [(0.0, 1.0), (0.25, 1.75), (0.5, 2.5), (0.99, 3.97), (1.0, 4.0)] {
            assert!((sample.quantile(q) - want).abs() < 1e-12, "{q}");
        }
        // numpy.std([1, 2, 3, 4]) = 1.118033988749895
        assert!((sample.std() - 1.118_033_988_749_895).abs() < 1e-12);
    }

    #[test]
    fn one_value_is_all_its_quantiles() {
        let sample = Sample::new([81.17]).unwrap();
        assert_eq!((sample.mean(), sample.median(), sample.quantile(0.99)), (81.17, 81.17, 81.17));
    }

    #[test]
    fn nothing_finite_is_no_sample() {
        assert_eq!(Sample::new([]), None);
        assert_eq!(Sample::new([f64::NAN, f64::INFINITY]), None);
    }

    proptest! {
        #[test]
        fn quantiles_are_monotone_and_inside(values in proptest::collection::vec(-1e9f64..1e9, 1..50), a in 0.0f64..=1.0, b in 0.0f64..=1.0) {
            let sample = Sample::new(values).unwrap();
            let (low, high) = (sample.quantile(a.min(b)), sample.quantile(a.max(b)));
            prop_assert!(low <= high);
            prop_assert!(sample.min() <= low && high <= sample.max());
        }
    }
}
