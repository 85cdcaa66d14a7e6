//! What a run achieved in its time: duration, rates, requests in flight. It must not know how figures are averaged.

use super::{SloLimit, Totals};
use crate::metric::METRICS;
use crate::record::{Outcome, RequestRecord};
use crate::runlog::RunLog;
use crate::timeline::Timeline;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Rates over the duration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// Complete requests per second.
    pub requests_per_s: Option<f64>,
    /// Arrivals per second that an open loop was asked for; `None` in a closed loop, which offers what is answered.
    #[serde(default)]
    pub offered_requests_per_s: Option<f64>,
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

/// First actual send → last event, for each round; the rounds added up.
pub(super) fn duration_s(all: &[Timeline<'_>]) -> Option<f64> {
    let spans = round_spans(all);
    (!spans.is_empty()).then(|| spans.values().map(|(from, to)| to.saturating_sub(*from) as f64 / 1e9).sum())
}

/// For each round that has both: its first send, and its last event or the end of a request that failed, whichever is later.
fn round_spans(all: &[Timeline<'_>]) -> BTreeMap<u32, (u64, u64)> {
    let mut spans: BTreeMap<u32, (Option<u64>, Option<u64>)> = BTreeMap::new();
    for line in all {
        let span = spans.entry(line.record.round).or_default();
        span.0 = [span.0, line.record.sent_ns].into_iter().flatten().min();
        // A request that failed has been waited for until it failed.
        let failed_ns = line.record.ended_ns.filter(|_| line.record.outcome != Outcome::Complete);
        span.1 = [span.1, line.last_event_ns, failed_ns].into_iter().flatten().max();
    }
    spans.into_iter().filter_map(|(round, (from, to))| Some((round, (from?, to?)))).collect()
}

pub(super) fn throughput(
    log: &RunLog,
    all: &[Timeline<'_>],
    complete: &[&Timeline<'_>],
    duration_s: Option<f64>,
    totals: &Totals,
) -> Throughput {
    let seconds = duration_s.filter(|seconds| *seconds > 0.0 && !complete.is_empty());
    let rate = |count: Option<u64>| Some(count? as f64 / seconds?);
    let plus = |a: Option<u64>, b: Option<u64>| a?.checked_add(b?);
    Throughput {
        requests_per_s: rate(Some(complete.len() as u64)),
        offered_requests_per_s: log.header.plan["request_rate"].as_f64(),
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
        let lines: Vec<_> = complete.iter().filter(|line| line.record.round == round).collect();
        if lines.is_empty() {
            continue;
        }
        if span_ns == 0 {
            return None;
        }
        let windows = span_ns.div_ceil(1_000_000_000);
        let mut tokens: BTreeMap<u64, f64> = BTreeMap::new();
        for line in lines {
            let mut times: Vec<u64> = line.tokens.iter().map(|(time, _)| *time).collect();
            if times.is_empty() {
                // Billed, but in no event of their own: they were there when the stream ended.
                times.extend(line.last_event_ns);
            }
            let each = line.output_tokens()? as f64 / times.len() as f64;
            for time in times {
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

pub(super) fn goodput(limits: &[SloLimit], complete: &[&Timeline<'_>], duration_s: Option<f64>) -> Option<Goodput> {
    // A limit on the gaps cannot be judged where events were left out of the record.
    let needs_gaps = |limit: &SloLimit| METRICS.iter().any(|metric| metric.name == limit.metric && metric.pooled);
    let gaps_missing = complete.iter().any(|line| line.record.events_left_out > 0);
    if limits.is_empty() || gaps_missing && limits.iter().any(needs_gaps) {
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

/// The requests of the first round that were to be sent at its earliest instant.
pub(super) fn burst_spread_ms(measured: &[&RequestRecord]) -> Option<f64> {
    let first = measured.iter().filter(|record| record.round == 0).map(|record| record.intended_ns).min()?;
    let burst = measured.iter().filter(|record| record.round == 0 && record.intended_ns == first);
    let at_once = burst.filter(|record| record.admitted_ns.is_none_or(|admitted| admitted == first));
    let sends: Vec<u64> = at_once.filter_map(|record| record.sent_ns).collect();
    let (from, to) = (sends.iter().min()?, sends.iter().max()?);
    (sends.len() > 1).then(|| (to - from) as f64 / 1e6)
}
