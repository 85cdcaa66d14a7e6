//! Durations, rates and rounds. Times in ms.

use crate::build::{MS, by_own_reads, has, header, header_with, later, log, mean, request, summary};
use measure::{Outcome, Phase, RequestRecord, RunLimit, RunLog, RunSummary, SloLimit, Statistic, Summarise};
use serde_json::json;

#[test]
fn the_clients_own_queue_shows_in_the_latency_from_the_schedule() {
    // 10 requests a second against a server that takes 500 ms and one request at a time: request i is intended at
    // 100·i and sent at 500·i. Send → token is 500 for each; schedule → token is 500 + 400·i, mean 2300 for ten.
    let records: Vec<RequestRecord> = (0..10)
        .map(|i| {
            let mut record = later(request(i, "r499 t500 d500", 11, 1), 500 * i);
            record.intended_ns = 100 * MS * i;
            record
        })
        .collect();
    let summary = summary(records);
    let names = ["ttft_ms", "ttft_from_schedule_ms", "queue_wait_ms"];
    assert_eq!(names.map(|name| mean(&summary, name)), [500.0, 2300.0, 1800.0].map(Some));
    // Released as soon as there was room: the client itself was never late.
    assert_eq!((mean(&summary, "send_lateness_ms"), has(&summary, "late_sends")), (Some(0.0), false));
    assert_eq!(summary.throughput.concurrency_max, Some(1));
}

#[test]
fn a_reported_506_that_was_1932() {
    let mut record = later(request(0, "r505 t506 d506", 11, 1), 1426);
    record.intended_ns = 0;
    let summary = summary(vec![record]);
    assert_eq!((mean(&summary, "ttft_ms"), mean(&summary, "ttft_from_schedule_ms")), (Some(506.0), Some(1932.0)));
}

#[test]
fn rounds_are_pooled_and_their_durations_added() {
    // Two rounds of 0.5 s with a pause of 9 s between them: 4 tokens in 1 s, not in 10.
    let first = request(0, "r90 t100 t500 d500", 11, 2);
    let mut second = later(request(1, "r90 t300 t500 d500", 11, 2), 9500);
    second.round = 1;
    let summary = summary(vec![first, second]);
    assert_eq!((summary.counts.complete, summary.duration_s), (2, Some(1.0)));
    assert_eq!((mean(&summary, "ttft_ms"), summary.throughput.output_tokens_per_s), (Some(200.0), Some(4.0)));
    assert_eq!(summary.throughput.requests_per_s, Some(2.0));
}

#[test]
fn only_measured_requests_count() {
    for phase in [Phase::Accuracy, Phase::Preliminary, Phase::Warmup, Phase::Proof] {
        let mut before = request(0, "r4000 t5000 t9000 d9000", 99, 2);
        before.phase = phase;
        let summary = summary(vec![before, later(request(1, "r90 t100 t120 d120", 11, 2), 20_000)]);
        assert_eq!((summary.counts.planned, summary.duration_s), (1, Some(0.12)), "{phase:?}");
        assert_eq!((mean(&summary, "ttft_ms"), summary.totals.input_tokens), (Some(100.0), Some(11)));
    }
}

#[test]
fn a_failed_requests_last_event_ends_the_run_too() {
    let mut failed = request(1, "r90 t100 x4000", 11, 1);
    failed.outcome = Outcome::ServerError { message: "m".into() };
    let summary = summary(vec![request(0, "r90 t100 d200", 11, 1), failed]);
    assert_eq!((summary.duration_s, summary.throughput.requests_per_s), (Some(4.0), Some(0.25)));
}

#[test]
fn one_unknown_term_makes_a_sum_unknown() {
    let mut record = request(1, "r90 t100 d200", 11, 1);
    record.usage = None;
    let summary = summary(vec![request(0, "r90 t100 d200", 11, 1), record]);
    assert_eq!((summary.totals.input_tokens, summary.totals.output_tokens), (None, None));
    let rates = &summary.throughput;
    assert_eq!(
        (rates.output_tokens_per_s, rates.total_tokens_per_s, rates.peak_output_tokens_per_s),
        (None, None, None)
    );
    assert_eq!(rates.requests_per_s, Some(10.0));
}

#[test]
fn the_peak_is_of_equal_windows() {
    // 2.5 s make 3 windows of 0.8333 s. Tokens at 0.1 s, and four in the last window.
    let summary = summary(vec![request(0, "t100 t2000 t2100 t2200 t2500", 11, 5)]);
    assert_eq!(summary.throughput.output_tokens_per_s, Some(2.0));
    let peak = summary.throughput.peak_output_tokens_per_s.unwrap();
    assert!((peak - 4.0 * 3.0 / 2.5).abs() < 1e-9, "{peak}");
    // 2 s make 2 windows, not 3.
    let summary = crate::build::summary(vec![request(0, "t100 t700 t1100 t2000", 11, 4)]);
    assert_eq!(summary.throughput.peak_output_tokens_per_s, Some(2.0));
}

#[test]
fn a_token_billed_but_in_no_event_counts_at_the_end() {
    // One token billed, two empty events: by the exception neither is a token event, and the token is not lost.
    let summary = summary(vec![request(0, "e100 e200 d500", 11, 1)]);
    assert_eq!(mean(&summary, "ttft_ms"), None);
    let rates = &summary.throughput;
    assert_eq!((rates.output_tokens_per_s, rates.peak_output_tokens_per_s), (Some(2.0), Some(2.0)));
}

#[test]
fn a_round_without_answers_does_not_spoil_the_peak() {
    let mut refused = later(request(1, "x0", 11, 1), 5000);
    (refused.round, refused.outcome) = (1, Outcome::ServerError { message: "m".into() });
    let summary = summary(vec![request(0, "t100 t500", 11, 2), refused]);
    assert_eq!((summary.duration_s, summary.throughput.peak_output_tokens_per_s), (Some(0.5), Some(4.0)));
}

#[test]
fn a_burst_and_how_many_were_in_flight() {
    let mut late = request(2, "r90 t100 d150", 11, 1);
    late.sent_ns = Some(3 * MS);
    let mut waited = later(request(3, "r90 t100 d150", 11, 1), 150);
    waited.intended_ns = 0;
    let summary = summary(vec![request(0, "t100 d150", 11, 1), request(1, "t100 d150", 11, 1), late, waited]);
    // The fourth was held back by the cap: it was not part of the burst; it starts as others end.
    assert_eq!((summary.burst_spread_ms, summary.throughput.concurrency_max), (Some(3.0), Some(3)));
}

#[test]
fn goodput_counts_requests_that_keep_every_limit() {
    let how = |limits: &[(&str, f64)]| Summarise {
        goodput: limits.iter().map(|(metric, max)| SloLimit { metric: (*metric).into(), max: *max }).collect(),
        ..by_own_reads()
    };
    let records = vec![
        request(0, "t100 t110 t120 d1000", 11, 3),
        request(1, "t200 t210 t290 d1000", 11, 3),
        request(2, "d1000", 11, 0),
    ];
    let good = |limits: &[(&str, f64)]| {
        let goodput = RunSummary::of(&log(records.clone()), &how(limits)).goodput.unwrap();
        (goodput.good, goodput.requests_per_s)
    };
    assert_eq!(good(&[("ttft_ms", 100.0)]), (1, Some(1.0)));
    assert_eq!(good(&[("ttft_ms", 200.0)]), (2, Some(2.0)));
    // Each gap must keep its limit; a request without the figure is not good.
    assert_eq!(good(&[("ttft_ms", 200.0), ("itl_ms", 20.0)]), (1, Some(1.0)));
    assert_eq!(good(&[("e2e_ms", 1000.0)]), (3, Some(3.0)));
    assert_eq!(RunSummary::of(&log(records.clone()), &how(&[])).goodput, None);
    // From a log without the gaps such a limit cannot be judged.
    let mut bounds = records;
    bounds.iter_mut().for_each(RequestRecord::leave_out_events);
    assert_eq!(RunSummary::of(&log(bounds.clone()), &how(&[("itl_ms", 20.0)])).goodput, None);
    assert_eq!(RunSummary::of(&log(bounds), &how(&[("ttft_ms", 200.0)])).goodput.unwrap().good, 2);
}

#[test]
fn a_limit_of_the_run_is_kept_or_not() {
    let log = log(vec![request(0, "t100 t110 d111", 11, 2), request(1, "t300 t310 d311", 11, 2)]);
    let check = |metric: &str, statistic, max| {
        let slo = vec![RunLimit { metric: metric.into(), statistic, max }];
        let result = RunSummary::of(&log, &Summarise { slo, ..by_own_reads() }).slo.remove(0);
        (result.value, result.kept)
    };
    assert_eq!(check("ttft_ms", Statistic::Mean, 200.0), (Some(200.0), true));
    assert_eq!(check("ttft_ms", Statistic::Max, 299.0), (Some(300.0), false));
    assert_eq!(check("ttft_ms", Statistic::P90, 280.0), (Some(280.0), true));
    assert_eq!(check("itl_token_ms", Statistic::Mean, 1e9), (None, false));
}

#[test]
fn a_run_that_was_killed_knows_what_it_had_planned() {
    let planned = header_with(&json!({"plan": {"requests": 20, "rounds": 2}}));
    let records = vec![request(0, "t100 d111", 11, 1)];
    let summary = RunSummary::of(&RunLog { header: planned, records: records.clone(), footer: None }, &by_own_reads());
    let counts = &summary.counts;
    assert_eq!((counts.planned, counts.complete, counts.failed, counts.unrecorded), (40, 1, 0, 39));
    // A run by duration has no such number.
    let summary = RunSummary::of(&RunLog { header: header(), records, footer: None }, &by_own_reads());
    assert_eq!((summary.counts.planned, summary.counts.unrecorded), (1, 0));
}

#[test]
fn nothing_measured_is_no_figure() {
    let summary = summary(Vec::new());
    assert_eq!((summary.duration_s, summary.counts.planned, summary.metrics.len()), (None, 0, 0));
    assert_eq!(summary.throughput, measure::Throughput::default());
    assert_eq!(summary.cautions, Vec::new());
}
