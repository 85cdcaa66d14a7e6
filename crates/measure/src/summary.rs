//! Records → figures. Only complete measured requests enter latencies; everything else is counted by cause.

use crate::caution::Caution;
use crate::estimate::Estimate;
use crate::metric::METRICS;
use crate::record::{Outcome, Phase, RequestRecord};
use crate::runlog::{RunLog, SCHEMA_VERSION};
use crate::sample::Sample;
use crate::timeline::{Clock, Definitions, Timeline};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

mod cautions;

/// How records are turned into figures.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summarise {
    /// What counts as a token event.
    pub definitions: Definitions,
    /// Which clock.
    pub clock: Clock,
    /// Limits that a request must keep to count as good.
    pub goodput: Vec<SloLimit>,
}

/// An upper limit on one figure of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SloLimit {
    /// Name of the figure, as in [`METRICS`].
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

/// An upper limit on a statistic of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunLimit {
    /// Name of the figure, as in [`METRICS`].
    pub metric: String,
    /// Which statistic of it.
    pub statistic: Statistic,
    /// The most it may be, in the figure's unit.
    pub max: f64,
}

/// How many requests ended how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All measured requests, never-sent ones included.
    pub planned: u64,
    /// By outcome.
    pub by_outcome: BTreeMap<String, u64>,
    /// Failures by cause.
    pub by_cause: BTreeMap<String, u64>,
    /// Complete ones.
    pub complete: u64,
    /// All others.
    pub failed: u64,
}

/// Token sums over the complete requests. A sum is `None` when any of its terms is unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Tokens of the prompts' text.
    pub text_input_tokens: Option<u64>,
    /// Who counted them.
    pub text_tokens_source: Option<String>,
    /// `usage.prompt_tokens`.
    pub input_tokens: Option<u64>,
    /// Output tokens.
    pub output_tokens: Option<u64>,
    /// Complete requests whose output tokens the client counted itself.
    pub retokenised: u64,
    /// Prompt tokens taken from the server's cache.
    pub cached_tokens: Option<u64>,
}

/// Rates over the duration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// Requests per second.
    pub requests_per_s: Option<f64>,
    /// Output tokens per second.
    pub output_tokens_per_s: Option<f64>,
    /// (Text input + output tokens) per second: image tokens are not in it, as in the script.
    pub total_tokens_per_s: Option<f64>,
    /// (All input + output tokens) per second.
    pub total_tokens_with_images_per_s: Option<f64>,
    /// The most output tokens in any of the equal windows of at most 1 s that the duration divides into; never below the
    /// average.
    pub peak_output_tokens_per_s: Option<f64>,
    /// The most requests in flight at once.
    pub concurrency_max: Option<u64>,
}

/// Requests per second that kept every limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Goodput {
    /// The limits.
    pub limits: Vec<SloLimit>,
    /// Requests that kept them.
    pub good: u64,
    /// Per second.
    pub requests_per_s: Option<f64>,
}

/// One figure over all complete requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricSummary {
    /// Name, unit included.
    pub name: String,
    /// How many values.
    pub n: u64,
    /// Complete requests that have none.
    pub undefined: u64,
    /// Mean, with its interval.
    pub mean: Estimate,
    /// Standard deviation (population).
    pub std: f64,
    /// Median, with its interval.
    pub median: Estimate,
    /// 90th percentile.
    pub p90: Estimate,
    /// 95th percentile.
    pub p95: Estimate,
    /// 99th percentile.
    pub p99: Estimate,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
}

/// Everything that is computed from a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Version of this form.
    pub schema: u32,
    /// What counts as a token event.
    pub definitions: Definitions,
    /// Which clock was asked for.
    pub clock: Clock,
    /// Requests whose figures are by the kernel's times.
    pub requests_by_kernel_clock: u64,
    /// Whether the run came to its planned end.
    pub complete_run: bool,
    /// Requests by outcome.
    pub counts: Counts,
    /// First send to last event, the rounds added up, seconds.
    pub duration_s: Option<f64>,
    /// Token sums.
    pub totals: Totals,
    /// Rates.
    pub throughput: Throughput,
    /// Requests that kept the limits, if limits were given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub goodput: Option<Goodput>,
    /// The figures of the requests.
    pub metrics: Vec<MetricSummary>,
    /// From the first to the last send of the first burst, ms: how far "at once" was at once.
    pub burst_spread_ms: Option<f64>,
    /// What must be known before trusting the figures.
    pub cautions: Vec<Caution>,
}

impl RunSummary {
    /// Computes all figures of a run.
    #[must_use]
    pub fn of(log: &RunLog, how: &Summarise) -> Self {
        let clock = usable_clock(log, how.clock);
        let measured: Vec<&RequestRecord> =
            log.records.iter().filter(|record| record.phase == Phase::Measured).collect();
        let all: Vec<Timeline<'_>> =
            measured.iter().map(|record| Timeline::new(record, how.definitions, clock)).collect();
        let complete: Vec<&Timeline<'_>> = all.iter().filter(|line| line.record.outcome == Outcome::Complete).collect();
        let duration_s = duration_s(&all);
        let totals = totals(log, &complete);
        let mut summary = Self {
            schema: SCHEMA_VERSION,
            definitions: how.definitions,
            clock: how.clock,
            requests_by_kernel_clock: complete.iter().filter(|line| line.by_kernel).count() as u64,
            complete_run: log.is_whole(),
            counts: counts(&measured),
            throughput: throughput(&all, &complete, duration_s, &totals),
            goodput: goodput(&how.goodput, &complete, duration_s),
            metrics: METRICS.iter().filter_map(|metric| metric_summary(metric, &complete)).collect(),
            burst_spread_ms: burst_spread_ms(&measured),
            duration_s,
            totals,
            cautions: Vec::new(),
        };
        summary.cautions = cautions::of(log, &summary, &complete, clock != how.clock);
        summary
    }

    /// The value that a limit is about, and whether it keeps it. A figure that no request has keeps no limit.
    #[must_use]
    pub fn check(&self, limit: &RunLimit) -> (Option<f64>, bool) {
        let value = self.metric(&limit.metric).map(|metric| match limit.statistic {
            Statistic::Mean => metric.mean.value,
            Statistic::Median => metric.median.value,
            Statistic::P90 => metric.p90.value,
            Statistic::P95 => metric.p95.value,
            Statistic::P99 => metric.p99.value,
            Statistic::Max => metric.max,
        });
        (value, value.is_some_and(|value| value <= limit.max))
    }

    /// The figure of this name, if any complete request has it.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<&MetricSummary> {
        self.metrics.iter().find(|metric| metric.name == name)
    }
}

/// A wall clock that was set during the run spoils the kernel's times, which are converted from it.
fn usable_clock(log: &RunLog, asked: Clock) -> Clock {
    const STEP_NS_MAX: i64 = 1_000_000;
    let step = log.footer.as_ref().and_then(|footer| footer.wall_clock_step_ns).unwrap_or(0);
    if step.abs() > STEP_NS_MAX { Clock::User } else { asked }
}

fn counts(measured: &[&RequestRecord]) -> Counts {
    let mut counts = Counts { planned: measured.len() as u64, ..Counts::default() };
    for record in measured {
        *counts.by_outcome.entry(record.outcome.name().into()).or_default() += 1;
        if record.outcome == Outcome::Complete {
            counts.complete += 1;
        } else {
            counts.failed += 1;
            let cause = record.outcome.cause();
            let name = record.outcome.name();
            let key = if cause.is_empty() { name.to_owned() } else { format!("{name}: {cause}") };
            *counts.by_cause.entry(key).or_default() += 1;
        }
    }
    counts
}

/// First actual send → last event, for each round; the rounds added up.
fn duration_s(all: &[Timeline<'_>]) -> Option<f64> {
    let spans = round_spans(all);
    (!spans.is_empty()).then(|| spans.values().map(|(from, to)| to.saturating_sub(*from) as f64 / 1e9).sum())
}

/// For each round that has both: its first send and its last event.
fn round_spans(all: &[Timeline<'_>]) -> BTreeMap<u32, (u64, u64)> {
    let mut spans: BTreeMap<u32, (Option<u64>, Option<u64>)> = BTreeMap::new();
    for line in all {
        let span = spans.entry(line.record.round).or_default();
        span.0 = [span.0, line.record.sent_ns].into_iter().flatten().min();
        span.1 = [span.1, line.last_event_ns].into_iter().flatten().max();
    }
    spans.into_iter().filter_map(|(round, (from, to))| Some((round, (from?, to?)))).collect()
}

/// `None` as soon as one term is unknown, and for no terms at all.
fn sum_known(terms: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    terms.reduce(|sum, term| Some(sum? + term?))?
}

fn totals(log: &RunLog, complete: &[&Timeline<'_>]) -> Totals {
    let text = log.footer.as_ref().map(|footer| &footer.text_tokens);
    let text_tokens = |record: &RequestRecord| *text?.counts.get(record.prompt as usize)?;
    let usage = |line: &&Timeline<'_>| line.record.usage;
    let cached: Vec<u64> = complete.iter().filter_map(|line| usage(line)?.cached).collect();
    Totals {
        text_input_tokens: sum_known(complete.iter().map(|line| text_tokens(line.record))),
        text_tokens_source: text.and_then(|text| text.source.clone()),
        input_tokens: sum_known(complete.iter().map(|line| usage(line)?.prompt)),
        output_tokens: sum_known(complete.iter().map(|line| line.output_tokens())),
        retokenised: complete
            .iter()
            .filter(|line| usage(line).and_then(|usage| usage.completion).is_none() && line.output_tokens().is_some())
            .count() as u64,
        cached_tokens: (!cached.is_empty()).then(|| cached.iter().sum()),
    }
}

fn throughput(
    all: &[Timeline<'_>],
    complete: &[&Timeline<'_>],
    duration_s: Option<f64>,
    totals: &Totals,
) -> Throughput {
    let seconds = duration_s.filter(|seconds| *seconds > 0.0 && !complete.is_empty());
    let rate = |count: Option<u64>| Some(count? as f64 / seconds?);
    let plus = |a: Option<u64>, b: Option<u64>| Some(a? + b?);
    Throughput {
        requests_per_s: rate(Some(complete.len() as u64)),
        output_tokens_per_s: rate(totals.output_tokens),
        total_tokens_per_s: rate(plus(totals.text_input_tokens, totals.output_tokens)),
        total_tokens_with_images_per_s: rate(plus(totals.input_tokens, totals.output_tokens)),
        peak_output_tokens_per_s: totals.output_tokens.and_then(|_| peak_rate(all, complete)),
        concurrency_max: concurrency_max(all),
    }
}

/// Each round is cut into equal windows of at most one second; the fullest counts. With equal windows the peak cannot lie
/// below the average (it would with windows of a fixed second, whose last one is not full). A request's tokens are
/// spread over its token events evenly.
fn peak_rate(all: &[Timeline<'_>], complete: &[&Timeline<'_>]) -> Option<f64> {
    if complete.iter().any(|line| line.record.events_left_out > 0) {
        return None;
    }
    let mut peak: Option<f64> = None;
    for (round, (from, to)) in round_spans(all) {
        let span_ns = to.saturating_sub(from);
        if span_ns == 0 {
            continue;
        }
        let windows = span_ns.div_ceil(1_000_000_000);
        let mut tokens: BTreeMap<u64, f64> = BTreeMap::new();
        for line in complete.iter().filter(|line| line.record.round == round && !line.tokens.is_empty()) {
            let each = line.output_tokens()? as f64 / line.tokens.len() as f64;
            for (time, _) in &line.tokens {
                let at = u128::from(time.saturating_sub(from)) * u128::from(windows) / u128::from(span_ns);
                *tokens.entry((at as u64).min(windows - 1)).or_default() += each;
            }
        }
        let most = tokens.values().fold(0.0, |most: f64, count| most.max(*count));
        let rate = most * windows as f64 / (span_ns as f64 / 1e9);
        peak = Some(peak.map_or(rate, |peak| peak.max(rate)));
    }
    peak
}

fn concurrency_max(all: &[Timeline<'_>]) -> Option<u64> {
    let mut edges: Vec<(u64, i64)> = Vec::new();
    for record in all.iter().map(|line| line.record) {
        if let (Some(sent), Some(ended)) = (record.sent_ns, record.ended_ns) {
            edges.extend([(sent, 1), (ended, -1)]);
        }
    }
    // At one instant, ends come before starts.
    edges.sort_unstable();
    let mut now = 0i64;
    let most = edges.iter().map(|(_, step)| {
        now += step;
        now
    });
    most.max().and_then(|most| u64::try_from(most).ok())
}

fn goodput(limits: &[SloLimit], complete: &[&Timeline<'_>], duration_s: Option<f64>) -> Option<Goodput> {
    if limits.is_empty() {
        return None;
    }
    let keeps = |line: &&&Timeline<'_>| {
        limits.iter().all(|limit| {
            METRICS.iter().find(|metric| metric.name == limit.metric).is_some_and(|metric| {
                let values = (metric.values)(line);
                !values.is_empty() && values.iter().all(|value| *value <= limit.max)
            })
        })
    };
    let good = complete.iter().filter(keeps).count() as u64;
    Some(Goodput {
        limits: limits.to_vec(),
        good,
        requests_per_s: duration_s.filter(|seconds| *seconds > 0.0).map(|seconds| good as f64 / seconds),
    })
}

fn metric_summary(metric: &crate::metric::Metric, complete: &[&Timeline<'_>]) -> Option<MetricSummary> {
    let per_request: Vec<Vec<f64>> = complete.iter().map(|line| (metric.values)(line)).collect();
    let undefined = per_request.iter().filter(|values| values.is_empty()).count() as u64;
    let sample = Sample::new(per_request.into_iter().flatten())?;
    let quantile = |q: f64| {
        if metric.pooled { Estimate::bare(sample.quantile(q)) } else { Estimate::quantile(&sample, q) }
    };
    Some(MetricSummary {
        name: metric.name.into(),
        n: sample.len() as u64,
        undefined,
        mean: if metric.pooled { Estimate::bare(sample.mean()) } else { Estimate::mean(&sample) },
        std: sample.std(),
        median: quantile(0.5),
        p90: quantile(0.9),
        p95: quantile(0.95),
        p99: quantile(0.99),
        min: sample.min(),
        max: sample.max(),
    })
}

/// The requests of the first round that were to be sent at its earliest instant.
fn burst_spread_ms(measured: &[&RequestRecord]) -> Option<f64> {
    let first = measured.iter().filter(|record| record.round == 0).map(|record| record.intended_ns).min()?;
    let burst = measured.iter().filter(|record| record.round == 0 && record.intended_ns == first);
    let at_once = burst.filter(|record| record.admitted_ns.is_none_or(|admitted| admitted == first));
    let sends: Vec<u64> = at_once.filter_map(|record| record.sent_ns).collect();
    let (from, to) = (sends.iter().min()?, sends.iter().max()?);
    (sends.len() > 1).then(|| (to - from) as f64 / 1e6)
}
