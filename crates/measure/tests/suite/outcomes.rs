//! Failures: counted by cause, outside every latency.

use crate::by_stamps::{figures, request, run, shift, user};
use measure::{
    EventKind, Lang, Outcome, Phase, RequestRecord, RunSummary, SloLimit, Summarise, TimeLimit, report, requests_csv,
};

const MS: u64 = 1_000_000;

/// Every way not to complete: the outcome, its machine name, the cause it is counted by.
fn failures() -> [(Outcome, &'static str, &'static str); 8] {
    let words = || "said".to_owned();
    [
        (Outcome::Truncated { reason: words() }, "truncated", "truncated: said"),
        (Outcome::ServerError { message: words() }, "server_error", "server_error: said"),
        (Outcome::TimedOut { limit: TimeLimit::FirstToken }, "timed_out", "timed_out: no first token in time"),
        (Outcome::TimedOut { limit: TimeLimit::Idle }, "timed_out", "timed_out: nothing arrived for too long"),
        (Outcome::TimedOut { limit: TimeLimit::Total }, "timed_out", "timed_out: the request took too long"),
        (Outcome::ConnectFailed { message: words() }, "connect_failed", "connect_failed: said"),
        (Outcome::NotSent { reason: words() }, "not_sent", "not_sent: said"),
        (Outcome::Cancelled, "cancelled", "cancelled"),
    ]
}

fn good(index: u64) -> RequestRecord {
    request(index, 2, &[(EventKind::Text, 100 * MS), (EventKind::Text, 120 * MS), (EventKind::Done, 200 * MS)])
}

/// A request that got far before it failed, with figures nobody could overlook.
fn failed(index: u64, outcome: &Outcome) -> RequestRecord {
    let events = [(EventKind::Text, MS), (EventKind::Text, 180 * MS), (EventKind::Error, 190 * MS)];
    RequestRecord { outcome: outcome.clone(), ..request(index, 999, &events) }
}

#[test]
fn each_is_counted_and_enters_no_figure() {
    let alone = figures(vec![good(0)]);
    for (outcome, name, cause) in failures() {
        let both = figures(vec![good(0), failed(1, &outcome), failed(2, &outcome)]);
        assert_eq!((both.counts.planned, both.counts.complete, both.counts.failed), (3, 1, 2), "{name}");
        assert_eq!(both.counts.by_outcome.get(name), Some(&2), "{name}");
        assert_eq!(both.counts.by_cause.get(cause), Some(&2), "{name}: {:?}", both.counts.by_cause);
        assert_eq!((&both.metrics, &both.totals), (&alone.metrics, &alone.totals), "{name}");
        let rates = |summary: &RunSummary| (summary.throughput.requests_per_s, summary.throughput.output_tokens_per_s);
        assert_eq!(rates(&both), rates(&alone), "{name}: it ended before the good one did");
    }
}

#[test]
fn causes_are_apart_and_add_up() {
    let mut records = vec![good(0)];
    for (outcome, ..) in failures() {
        records.push(failed(records.len() as u64, &outcome));
    }
    let counts = figures(records).counts;
    assert_eq!((counts.by_cause.len(), counts.by_cause.values().sum::<u64>(), counts.failed), (8, 8, 8));
    assert_eq!((counts.by_outcome["timed_out"], counts.by_outcome.values().sum::<u64>()), (3, 9));
}

#[test]
fn none_completed() {
    let log = run(failures().iter().zip(0..).map(|((outcome, ..), index)| failed(index, outcome)).collect());
    let summary = RunSummary::of(&log, &user());
    assert_eq!((summary.metrics.len(), summary.counts.complete, summary.duration_s), (0, 0, Some(0.19)));
    let rates = &summary.throughput;
    assert_eq!((rates.requests_per_s, rates.output_tokens_per_s, rates.peak_output_tokens_per_s), (None, None, None));
    assert_eq!(rates.concurrency_max, Some(8));
    // There are no survivors to speak of, and no sum of nothing.
    assert!(!summary.cautions.iter().any(|caution| matches!(caution, measure::Caution::Survivors { .. })));
    assert_eq!((summary.totals.output_tokens, summary.totals.input_tokens), (None, None));
    for (lang, none) in [(Lang::En, "8 planned, 0 complete, 8 not"), (Lang::Zh, "计划 8，成功 0，未成功 8")] {
        let text = report(&log, &summary, lang);
        assert!(text.contains(none) && text.contains("  1 × truncated: said\n"), "{text}");
        // People read their language; the summary's keys are the same for all.
        for (en, zh) in [
            ("timed_out: no first token in time", "timed_out: 时限内没有首个 token"),
            ("timed_out: nothing arrived for too long", "timed_out: 过久没有任何数据"),
            ("timed_out: the request took too long", "timed_out: 整个请求超时"),
            ("connect_failed: said", "connect_failed: 连接失败：said"),
        ] {
            assert!(text.contains(&format!("  1 × {}\n", lang.pick(en, zh))), "{en}: {text}");
            assert_eq!(summary.counts.by_cause[en], 1);
        }
    }
    let rows = requests_csv(&log, &user());
    let column = |name: &str| rows[0].iter().position(|head| head == name).unwrap();
    for (row, (outcome, name, _)) in rows[1..].iter().zip(failures()) {
        assert_eq!((&row[column("outcome")], &row[column("cause")]), (&name.to_owned(), &outcome.cause(Lang::En)));
        // What it did before it failed stays readable, one by one.
        assert_eq!(row[column("ttft_ms")], "1.000000", "{name}");
    }
}

#[test]
fn a_failed_request_is_never_good() {
    let goodput = vec![SloLimit { metric: "ttft_ms".into(), max: 1000.0 }];
    for (outcome, name, _) in failures() {
        let how = Summarise { goodput: goodput.clone(), ..user() };
        let summary = RunSummary::of(&run(vec![good(0), failed(1, &outcome)]), &how);
        let goodput = summary.goodput.unwrap();
        // One in 0.2 s.
        assert_eq!((goodput.good, goodput.requests_per_s), (1, Some(5.0)), "{name}");
    }
}

#[test]
fn other_phases_are_in_no_count() {
    for phase in [Phase::Accuracy, Phase::Preliminary, Phase::Warmup, Phase::Proof] {
        let mut before = failed(7, &Outcome::ServerError { message: "cold start".into() });
        before.phase = phase;
        before.round = 3;
        let mut measured = good(0);
        shift(&mut measured, 900 * MS);
        let summary = figures(vec![before, measured]);
        assert_eq!(
            (summary.counts.planned, summary.counts.failed, summary.counts.by_cause.len()),
            (1, 0, 0),
            "{phase:?}"
        );
        assert_eq!((summary.duration_s, summary.throughput.concurrency_max), (Some(0.2), Some(1)), "{phase:?}");
    }
}
