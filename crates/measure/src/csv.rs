//! One row for each request, for a spreadsheet.

use crate::lang::Lang;
use crate::metric::METRICS;
use crate::record::RequestRecord;
use crate::runlog::RunLog;
use crate::summary::{Summarise, usable_clock};
use crate::timeline::Timeline;

/// The rows, heading first. An unknown value is an empty cell.
#[must_use]
pub fn requests_csv(log: &RunLog, how: &Summarise) -> Vec<Vec<String>> {
    let single: Vec<_> = METRICS.iter().filter(|metric| !metric.pooled).collect();
    let mut head: Vec<String> = [
        "index",
        "phase",
        "round",
        "prompt",
        "images",
        "outcome",
        "cause",
        "status",
        "finish_reason",
        "prompt_tokens",
        "output_tokens",
        "cached_tokens",
        "events",
        "token_events",
        "body_bytes",
        "sent_ns",
    ]
    .map(str::to_owned)
    .to_vec();
    head.extend(single.iter().map(|metric| metric.name.to_owned()));
    let clock = usable_clock(log, how.clock);
    let rows = log.records.iter().map(|record| {
        let line = Timeline::new(record, how.definitions, clock);
        let mut row = facts(record, &line);
        row.extend(
            single
                .iter()
                .map(|metric| (metric.values)(&line).first().map_or_else(String::new, |value| format!("{value:.6}"))),
        );
        row
    });
    std::iter::once(head).chain(rows).collect()
}

fn facts(record: &RequestRecord, line: &Timeline<'_>) -> Vec<String> {
    let known = |value: Option<u64>| value.map_or_else(String::new, |value| value.to_string());
    let phase = serde_json::to_value(record.phase).ok();
    let images: Vec<String> = record.images.iter().map(u32::to_string).collect();
    vec![
        record.index.to_string(),
        phase.as_ref().and_then(|phase| phase.as_str()).unwrap_or_default().to_owned(),
        record.round.to_string(),
        record.prompt.to_string(),
        images.join(" "),
        record.outcome.name().to_owned(),
        record.outcome.cause(Lang::En),
        known(record.status.map(u64::from)),
        record.finish_reason.clone().unwrap_or_default(),
        known(record.usage.and_then(|usage| usage.prompt)),
        known(line.output_tokens()),
        known(record.usage.and_then(|usage| usage.cached)),
        (record.events.len() as u64 + record.events_left_out).to_string(),
        known(line.token_events),
        record.body_bytes.to_string(),
        known(record.sent_ns),
    ]
}
