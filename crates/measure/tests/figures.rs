//! Figures and cautions that can be decided from records alone, by arithmetic.

use measure::{
    Clock, EventKind, EventStamp, Footer, Header, Outcome, Phase, RequestRecord, RunLog, RunSummary, Summarise,
    TextTokens, TokenUsage,
};
use proptest::prelude::*;

const MS: u64 = 1_000_000;

fn header() -> Header {
    serde_json::from_value(serde_json::json!({
        "schema": 1, "tool": "t", "started": "s", "plan": {}, "ignore_eos": false, "detail": "stamps",
        "server": {"url": "u", "model": "m"}, "client": {"os": "o", "kernel_stamps": true},
        "clocks": {"origin_monotonic_ns": 0, "origin_unix_ns": 0}, "images": [], "prompts": [],
    }))
    .unwrap()
}

/// A complete request sent at 0 with tokens at these ms; the kernel had each 1 ms earlier.
fn record(index: u64, tokens_ms: &[u64], prompt: u64) -> RequestRecord {
    let mut record = RequestRecord::planned(index, Phase::Measured);
    record.outcome = Outcome::Complete;
    (record.sent_ns, record.admitted_ns, record.body_sent_ns) = (Some(0), Some(0), Some(0));
    let usage = TokenUsage { prompt: Some(prompt), completion: Some(tokens_ms.len() as u64), ..Default::default() };
    record.usage = Some(usage);
    let stamp = |ms: &u64| EventStamp {
        kind: EventKind::Text,
        user_ns: ms * MS,
        kernel_ns: Some((ms - 1) * MS),
        bytes: 9,
        tokens: None,
    };
    record.events = tokens_ms.iter().map(stamp).collect();
    record.ended_ns = record.events.last().map(|event| event.user_ns);
    record
}

fn summary(records: Vec<RequestRecord>, footer: Option<Footer>, clock: Clock) -> RunSummary {
    let log = RunLog { header: header(), records, footer };
    RunSummary::of(&log, &Summarise { clock, ..Summarise::default() })
}

fn footer(text_tokens: u64) -> Footer {
    Footer {
        text_tokens: TextTokens { counts: vec![Some(text_tokens)], source: Some("local-folder".into()) },
        ..Footer::default()
    }
}

fn has(summary: &RunSummary, kind: &str) -> bool {
    let cautions = serde_json::to_value(&summary.cautions).unwrap();
    cautions.as_array().unwrap().iter().any(|caution| caution["kind"] == kind)
}

#[test]
fn fewer_tokens_billed_than_the_text_has() {
    // A server that bills 1 token for a prompt with a picture: ollama #2058.
    assert!(has(&summary(vec![record(0, &[10, 20], 1)], Some(footer(3)), Clock::User), "usage_below_text"));
    assert!(!has(&summary(vec![record(0, &[10, 20], 11)], Some(footer(3)), Clock::User), "usage_below_text"));
}

#[test]
fn the_clock_asked_for_and_what_a_set_wall_clock_does() {
    let ttft = |clock, step_ns| {
        let footer = Footer { wall_clock_step_ns: Some(step_ns), ..footer(3) };
        let summary = summary(vec![record(0, &[10, 20], 11)], Some(footer), clock);
        (summary.metric("ttft_ms").unwrap().mean.value, has(&summary, "wall_clock_step"))
    };
    assert_eq!(ttft(Clock::Kernel, 0), (9.0, false));
    assert_eq!(ttft(Clock::User, 0), (10.0, false));
    assert_eq!(ttft(Clock::Kernel, 5_000_000), (10.0, true));
    assert_eq!(ttft(Clock::Kernel, -5_000_000), (10.0, true));
}

#[test]
fn a_run_without_its_end_is_incomplete() {
    let crashed = summary(vec![record(0, &[10, 20], 11)], None, Clock::User);
    assert!(!crashed.complete_run && has(&crashed, "incomplete"));
    // Its text tokens were never counted: unknown, not 0.
    assert_eq!(crashed.totals.text_input_tokens, None);
    assert!(summary(vec![record(0, &[10, 20], 11)], Some(footer(3)), Clock::User).complete_run);
}

#[test]
fn every_figure_of_two_requests() {
    // 4 tokens at 100, 110, 130, 160 ms and 2 at 200, 240: TPOT 60/3 = 20 and 40; gaps 10, 20, 30, 40.
    let summary =
        summary(vec![record(0, &[100, 110, 130, 160], 11), record(1, &[200, 240], 11)], Some(footer(3)), Clock::User);
    let mean = |name: &str| summary.metric(name).unwrap().mean.value;
    assert_eq!([mean("ttft_ms"), mean("tpot_ms"), mean("itl_ms"), mean("e2e_ms")], [150.0, 30.0, 25.0, 200.0]);
    assert_eq!(summary.duration_s, Some(0.24));
    assert_eq!((summary.totals.text_input_tokens, summary.totals.input_tokens), (Some(6), Some(22)));
    assert_eq!(summary.throughput.output_tokens_per_s, Some(25.0));
    assert_eq!(summary.throughput.total_tokens_per_s, Some(50.0));
    assert_eq!(summary.throughput.total_tokens_with_images_per_s, Some(28.0 / 0.24));
}

#[test]
fn failures_stay_out_of_the_latencies() {
    let mut failed = record(1, &[5000, 6000], 11);
    failed.outcome = Outcome::ServerError { message: "out of memory".into() };
    let summary = summary(vec![record(0, &[10, 20], 11), failed], Some(footer(3)), Clock::User);
    assert_eq!((summary.counts.complete, summary.counts.failed), (1, 1));
    assert_eq!(summary.counts.by_cause.get("server_error: out of memory"), Some(&1));
    assert_eq!(summary.metric("ttft_ms").unwrap().max, 10.0);
    assert!(has(&summary, "survivors"));
}

proptest! {
    #[test]
    fn the_peak_is_never_below_the_average(
        streams in proptest::collection::vec(proptest::collection::btree_set(1u64..4000, 1..40), 1..6),
    ) {
        let records: Vec<RequestRecord> = streams
            .iter()
            .enumerate()
            .map(|(i, times)| record(i as u64, &times.iter().copied().collect::<Vec<_>>(), 11))
            .collect();
        let rates = summary(records, Some(footer(3)), Clock::User).throughput;
        let (peak, average) = (rates.peak_output_tokens_per_s.unwrap(), rates.output_tokens_per_s.unwrap());
        prop_assert!(peak >= average * (1.0 - 1e-9), "{} < {}", peak, average);
    }
}
