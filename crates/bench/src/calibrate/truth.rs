//! What the server did against what the client says: one request at a time.

use measure::{Clock, Definitions, Phase, RequestRecord, RunLog, Sample, Timeline};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// What the server noted of one request. All ns on the monotonic clock.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Truth {
    request_id: Option<String>,
    received_ns: u64,
    writes: Vec<Write>,
}

#[derive(Debug, Clone, Deserialize)]
struct Write {
    before_ns: u64,
    after_ns: u64,
    tokens: u32,
}

/// Reported less true, µs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spread {
    /// The mean, with its sign.
    pub mean: f64,
    /// Half are nearer to the truth than this.
    pub abs_p50: f64,
    /// 99 of 100 are.
    pub abs_p99: f64,
    /// All are.
    pub abs_max: f64,
}

impl Spread {
    fn of(errors_us: &[f64]) -> Option<Self> {
        let signed = Sample::new(errors_us.iter().copied())?;
        let abs = Sample::new(errors_us.iter().map(|error| error.abs()))?;
        let (abs_p50, abs_p99, abs_max) = (abs.quantile(0.5), abs.quantile(0.99), abs.max());
        Some(Self { mean: signed.mean(), abs_p50, abs_p99, abs_max })
    }
}

/// The errors of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Errors {
    /// Requests compared.
    pub requests: usize,
    /// Token events compared.
    pub events: usize,
    /// Mean of the true TTFT, from the kernel's receive time of the request's last byte to the write of the first token, ms.
    pub ttft_true_ms: Option<f64>,
    /// Mean of the reported TTFT, ms. Where the request holds an image: net of upload.
    pub ttft_reported_ms: Option<f64>,
    /// TTFT.
    pub ttft_us: Option<Spread>,
    /// How far each TTFT surely is from the truth, µs, smallest first: the server wrote at some time between its stamps before
    /// and after the write.
    #[serde(skip)]
    pub ttft_surely_us: Vec<f64>,
    /// TPOT.
    pub tpot_us: Option<Spread>,
    /// Every gap between token events.
    pub itl_us: Option<Spread>,
    /// Token events a second from the first write to the last.
    pub events_per_s: Option<f64>,
    /// Token events that shared a read with the one before, of all.
    pub coalesced: Option<f64>,
}

impl Errors {
    /// How many of 100 TTFTs are no further from the truth than this, as far as the server's stamps tell.
    pub(super) fn percent_within(&self, bound_us: f64) -> Option<f64> {
        let all = self.ttft_surely_us.len();
        let within = self.ttft_surely_us.iter().filter(|error| **error <= bound_us).count();
        (all > 0).then(|| within as f64 / all as f64 * 100.0)
    }
}

/// The server's records.
pub(super) fn read(path: &Path) -> Result<Vec<Truth>, String> {
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Holds each measured request against what the server did.
pub(super) fn errors(log: &RunLog, truth: &[Truth], clock: Clock) -> Result<Errors, String> {
    let by_index: HashMap<u64, &Truth> = truth
        .iter()
        .filter_map(|truth| Some((truth.request_id.as_deref()?.rsplit('-').next()?.parse().ok()?, truth)))
        .collect();
    let origin_ns = log.header.clocks.origin_monotonic_ns;
    let (mut ttft, mut tpot, mut itl) = (Vec::new(), Vec::new(), Vec::new());
    let (mut reported, mut actual, mut surely) = (Vec::new(), Vec::new(), Vec::new());
    let (mut events, mut coalesced, mut first_ns, mut last_ns) = (0, 0, u64::MAX, 0);
    for record in log.records.iter().filter(|record| record.phase == Phase::Measured) {
        let truth = by_index.get(&record.index).ok_or(format!("the server has not seen request {}", record.index))?;
        let timeline = Timeline::new(record, Definitions::Standard, clock);
        let times: Vec<u64> = timeline.tokens.iter().map(|(time, _)| time + origin_ns).collect();
        // A write of several events has one time for all of them.
        let writes: Vec<u64> =
            truth.writes.iter().flat_map(|write| (0..write.tokens).map(|_| write.before_ns)).collect();
        let first_write = truth.writes.iter().find(|write| write.tokens > 0);
        if times.len() != writes.len() {
            return Err(format!("request {}: {} events sent, {} seen", record.index, writes.len(), times.len()));
        }
        let (Some(start_ns), [first, .., last], [true_first, .., true_last]) =
            (start(record), times.as_slice(), writes.as_slice())
        else {
            continue;
        };
        let said = us(*first, start_ns + origin_ns);
        let was = us(*true_first, truth.received_ns);
        reported.push(said / 1e3);
        actual.push(was / 1e3);
        ttft.push(said - was);
        surely.extend(first_write.map(|write| {
            let longest = us(write.after_ns, truth.received_ns);
            (said - longest).max(was - said).max(0.0)
        }));
        tpot.push((us(*last, *first) - us(*true_last, *true_first)) / (times.len() - 1) as f64);
        itl.extend(times.windows(2).zip(writes.windows(2)).map(|(a, b)| us(a[1], a[0]) - us(b[1], b[0])));
        (events, coalesced) = (events + times.len(), coalesced + timeline.coalesced);
        (first_ns, last_ns) = (first_ns.min(*true_first), last_ns.max(*true_last));
    }
    surely.sort_by(f64::total_cmp);
    let span_s = (last_ns.saturating_sub(first_ns)) as f64 / 1e9;
    Ok(Errors {
        requests: ttft.len(),
        events,
        ttft_true_ms: Sample::new(actual).map(|sample| sample.mean()),
        ttft_reported_ms: Sample::new(reported).map(|sample| sample.mean()),
        ttft_us: Spread::of(&ttft),
        ttft_surely_us: surely,
        tpot_us: Spread::of(&tpot),
        itl_us: Spread::of(&itl),
        events_per_s: (span_s > 0.0).then(|| events as f64 / span_s),
        coalesced: (events > 0).then(|| coalesced as f64 / events as f64),
    })
}

/// Where a reported TTFT begins: at the first write, or with an image, whose upload takes its own time, after the last.
fn start(record: &RequestRecord) -> Option<u64> {
    if record.images.is_empty() { record.sent_ns } else { record.body_sent_ns }
}

fn us(later_ns: u64, earlier_ns: u64) -> f64 {
    (later_ns as f64 - earlier_ns as f64) / 1e3
}
