//! Records → figures. Only complete measured requests enter latencies; everything else is counted by cause.

use crate::caution::Caution;
use crate::estimate::Estimate;
use crate::lang::Lang;
use crate::metric::METRICS;
use crate::record::{Outcome, Phase, RequestRecord};
use crate::runlog::{Header, ImageProof, RunLog, SCHEMA_VERSION, ServerTime};
use crate::sample::Sample;
use crate::timeline::{Clock, Definitions, Timeline};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

mod cautions;
mod client;
mod facts;
mod grade;
mod rates;
mod slo;

pub use client::{BoundBy, ClientState, ClientVerdict};
pub use facts::{RunFacts, ServerName};
pub use grade::{Grade, Tally, WrongAnswer};
pub use rates::{Goodput, Throughput};
pub use slo::{RunLimit, SloLimit, SloResult, Statistic};

/// How records are turned into figures.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summarise {
    /// What counts as a token event.
    pub definitions: Definitions,
    /// Which clock.
    pub clock: Clock,
    /// Limits that a request must keep to count as good.
    pub goodput: Vec<SloLimit>,
    /// Limits that the run must keep.
    pub slo: Vec<RunLimit>,
    /// The least part of what was expected of the answers that must be right, 0 to 1.
    pub min_score: Option<f64>,
}

impl Summarise {
    /// As the run's own command line asked for; the defaults where its plan does not say.
    #[must_use]
    pub fn as_planned(header: &Header) -> Self {
        fn field<T: DeserializeOwned + Default>(header: &Header, name: &str) -> T {
            header.plan.get(name).and_then(|value| T::deserialize(value).ok()).unwrap_or_default()
        }
        Self {
            definitions: field(header, "definitions"),
            clock: field(header, "clock"),
            goodput: field(header, "goodput"),
            slo: field(header, "slo"),
            min_score: field(header, "min_score"),
        }
    }
}

/// How many requests ended how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All measured requests, never-sent ones included; for a run that was cut short those of its plan.
    pub planned: u64,
    /// Planned ones without a record: the run did not come to them, or a crash took their records.
    #[serde(default)]
    pub unrecorded: u64,
    /// By outcome.
    pub by_outcome: BTreeMap<String, u64>,
    /// Failures by cause.
    pub by_cause: BTreeMap<String, u64>,
    /// Complete ones.
    pub complete: u64,
    /// All others that have a record.
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
    /// Prompt tokens taken from the server's cache, over the requests for which the server tells.
    pub cached_tokens: Option<u64>,
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
    /// Which run.
    pub run: RunFacts,
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
    /// What came of the limits of the run.
    #[serde(default)]
    pub slo: Vec<SloResult>,
    /// How right the answers of the accuracy run are, if it was said what is expected of them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub grade: Option<Grade>,
    /// The figures of the requests.
    pub metrics: Vec<MetricSummary>,
    /// From the first to the last send of the first burst, ms: how far "at once" was at once.
    pub burst_spread_ms: Option<f64>,
    /// Whether the picture reached the model, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub image_proof: Option<ImageProof>,
    /// The server's own times over the measured rounds, where its `/metrics` tells.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub server_times: Vec<ServerTime>,
    /// How far the client's own figures may be wrong.
    pub client: ClientVerdict,
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
        let duration_s = rates::duration_s(&all);
        let totals = totals(log, &complete);
        let metrics: Vec<MetricSummary> =
            METRICS.iter().filter_map(|metric| metric_summary(metric, &complete)).collect();
        let late_ms_p99 = metrics.iter().find(|metric| metric.name == "send_lateness_ms").map(|late| late.p99.value);
        let mut summary = Self {
            schema: SCHEMA_VERSION,
            run: RunFacts::of(&log.header),
            definitions: how.definitions,
            clock: how.clock,
            requests_by_kernel_clock: complete.iter().filter(|line| line.by_kernel).count() as u64,
            complete_run: log.is_whole(),
            counts: counts(log, &measured),
            throughput: rates::throughput(log, &all, &complete, duration_s, &totals),
            goodput: rates::goodput(&how.goodput, &complete, duration_s),
            slo: Vec::new(),
            grade: grade::of(log, how.min_score),
            client: ClientVerdict::of(log, &complete, duration_s, late_ms_p99),
            metrics,
            burst_spread_ms: rates::burst_spread_ms(&measured),
            image_proof: log.footer.as_ref().and_then(|footer| footer.image_proof.clone()),
            server_times: log.footer.as_ref().map(|footer| footer.server_times.clone()).unwrap_or_default(),
            duration_s,
            totals,
            cautions: Vec::new(),
        };
        summary.slo = how.slo.iter().map(|limit| summary.judge(limit)).collect();
        summary.cautions = cautions::of(log, &summary, &complete, clock != how.clock);
        summary
    }

    /// The figure of this name, if any complete request has it.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<&MetricSummary> {
        self.metrics.iter().find(|metric| metric.name == name)
    }
}

/// The clock that figures are made by. A wall clock that was set during the run spoils the kernel's times, which are
/// converted from it.
pub(crate) fn usable_clock(log: &RunLog, asked: Clock) -> Clock {
    const STEP_NS_MAX: i64 = 1_000_000;
    let step = log.footer.as_ref().and_then(|footer| footer.wall_clock_step_ns).unwrap_or(0);
    if step.abs() > STEP_NS_MAX { Clock::User } else { asked }
}

fn counts(log: &RunLog, measured: &[&RequestRecord]) -> Counts {
    let recorded = measured.len() as u64;
    let of_plan = || log.header.plan["requests"].as_u64()?.checked_mul(log.header.plan["rounds"].as_u64()?);
    let planned = if log.is_whole() { recorded } else { of_plan().unwrap_or(recorded).max(recorded) };
    let by_cause = causes(measured.iter().copied(), Lang::En);
    let mut counts = Counts { planned, unrecorded: planned - recorded, by_cause, ..Counts::default() };
    for record in measured {
        *counts.by_outcome.entry(record.outcome.name().into()).or_default() += 1;
        if record.outcome == Outcome::Complete {
            counts.complete += 1;
        } else {
            counts.failed += 1;
        }
    }
    counts
}

/// How many of the measured requests failed by which cause: the outcome's name and what went wrong, in this language.
pub(crate) fn causes<'a>(measured: impl Iterator<Item = &'a RequestRecord>, lang: Lang) -> BTreeMap<String, u64> {
    let mut causes = BTreeMap::new();
    for record in measured.filter(|record| record.outcome != Outcome::Complete) {
        let (cause, name) = (record.outcome.cause(lang), record.outcome.name());
        let key = if cause.is_empty() { name.to_owned() } else { format!("{name}: {cause}") };
        *causes.entry(key).or_default() += 1;
    }
    causes
}

/// `None` as soon as one term is unknown, for no terms at all, and for a sum that no honest counts have.
fn sum_known(terms: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    terms.reduce(|sum, term| sum?.checked_add(term?))?
}

fn totals(log: &RunLog, complete: &[&Timeline<'_>]) -> Totals {
    let text = log.footer.as_ref().map(|footer| &footer.text_tokens);
    let text_tokens = |record: &RequestRecord| *text?.counts.get(record.prompt as usize)?;
    let usage = |line: &&Timeline<'_>| line.record.usage;
    Totals {
        text_input_tokens: sum_known(complete.iter().map(|line| text_tokens(line.record))),
        text_tokens_source: text.and_then(|text| text.source.clone()),
        input_tokens: sum_known(complete.iter().map(|line| usage(line)?.prompt)),
        output_tokens: sum_known(complete.iter().map(|line| line.output_tokens())),
        retokenised: complete
            .iter()
            .filter(|line| usage(line).and_then(|usage| usage.completion).is_none() && line.output_tokens().is_some())
            .count() as u64,
        cached_tokens: sum_known(complete.iter().filter_map(|line| usage(line)?.cached).map(Some)),
    }
}

fn metric_summary(metric: &crate::metric::Metric, complete: &[&Timeline<'_>]) -> Option<MetricSummary> {
    // The gaps of the requests that happen to have kept all events would stand for all.
    if metric.pooled && complete.iter().any(|line| line.record.events_left_out > 0) {
        return None;
    }
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
