//! Upper limits: on a figure of each request (goodput) and on a statistic of the run (SLO).

use super::RunSummary;
use serde::{Deserialize, Serialize};

/// An upper limit on one figure of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SloLimit {
    /// Name of the figure, as in [`METRICS`](crate::METRICS).
    pub metric: String,
    /// The most it may be, in the figure's unit.
    pub max: f64,
}

/// A statistic of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Statistic {
    /// Mean.
    Mean,
    /// Median.
    Median,
    /// 90th percentile.
    P90,
    /// 95th percentile.
    P95,
    /// 99th percentile.
    P99,
    /// Largest.
    Max,
}

impl Statistic {
    /// Its name, as it is typed and as it stands in the JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Median => "median",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::Max => "max",
        }
    }
}

/// An upper limit on a statistic of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunLimit {
    /// Name of the figure, as in [`METRICS`](crate::METRICS).
    pub metric: String,
    /// Which statistic of it.
    pub statistic: Statistic,
    /// The most it may be, in the figure's unit.
    pub max: f64,
}

/// What came of a [`RunLimit`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SloResult {
    /// Name of the figure.
    pub metric: String,
    /// Which statistic of it.
    pub statistic: Statistic,
    /// The most it may be, in the figure's unit.
    pub max: f64,
    /// What it is; `None` where no complete request has the figure.
    pub value: Option<f64>,
    /// Whether it is known and at most `max`.
    pub kept: bool,
}

impl RunSummary {
    /// Whether every limit of the run is kept; so it is where there is none.
    #[must_use]
    pub fn keeps_slo(&self) -> bool {
        self.slo.iter().all(|limit| limit.kept)
    }

    /// The value that a limit is about, and whether it keeps it. A figure that no request has keeps no limit.
    pub(super) fn judge(&self, limit: &RunLimit) -> SloResult {
        let value = self.metric(&limit.metric).map(|metric| match limit.statistic {
            Statistic::Mean => metric.mean.value,
            Statistic::Median => metric.median.value,
            Statistic::P90 => metric.p90.value,
            Statistic::P95 => metric.p95.value,
            Statistic::P99 => metric.p99.value,
            Statistic::Max => metric.max,
        });
        SloResult {
            metric: limit.metric.clone(),
            statistic: limit.statistic,
            max: limit.max,
            value,
            kept: value.is_some_and(|value| value <= limit.max),
        }
    }
}
