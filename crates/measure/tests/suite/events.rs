//! What counts as a token, and what a request's figures are made of. Sent at 0; times in ms.

use crate::build::{MS, by_own_reads, has, log, mean, request, summary};
use measure::{Clock, Definitions, Outcome, RequestRecord, RunSummary, Summarise};
use proptest::prelude::*;

/// Means of TTFT, TPOT and ITL (event) of one request.
fn check(name: &str, record: &RequestRecord, want: [Option<f64>; 3]) {
    let summary = summary(vec![record.clone()]);
    assert_eq!(["ttft_ms", "tpot_ms", "itl_ms"].map(|figure| mean(&summary, figure)), want, "{name}");
}

#[test]
fn the_known_wrongs_of_other_tools() {
    let t = Some;
    let one = |events: &str, output: u64| request(0, events, 1145, output);
    check("role event as the first token", &one("r900 t2200 t2220 t2240 d2241", 3), [t(2200.0), t(20.0), t(20.0)]);
    check("finish event as a gap", &one("r90 t100 t120 t140 f190 d191", 3), [t(100.0), t(20.0), t(20.0)]);
    check("usage event as a gap", &one("r90 t100 t120 t140 u190 d191", 3), [t(100.0), t(20.0), t(20.0)]);
    check("events without anything", &one("r90 n95 t100 n110 t120 d121", 2), [t(100.0), t(20.0), t(20.0)]);
    check("half a character is a token", &one("r90 t100 e120 t140 d141", 3), [t(100.0), t(20.0), t(20.0)]);
    check("an empty text first", &one("r90 e100 t120 t140 d141", 3), [t(100.0), t(20.0), t(20.0)]);
    check(
        "empty texts that were not billed",
        &one("r90 e100 t120 e130 t160 e170 d171", 2),
        [t(120.0), t(40.0), t(40.0)],
    );
    check("reasoning first", &one("r90 g100 g120 t140 t160 d161", 4), [t(100.0), t(20.0), t(20.0)]);
    check("reasoning only", &one("r90 g100 g120 d121", 2), [t(100.0), t(20.0), t(20.0)]);
    check("a tool call only", &one("r90 k100 k120 f121 d122", 2), [t(100.0), t(20.0), t(20.0)]);
    check("one token", &one("r90 t100 d101", 1), [t(100.0), None, None]);
    check("no token", &one("r90 f100 d101", 0), [None, None, None]);
    check("four tokens in one event", &one("r90 t100 d101", 4), [t(100.0), None, None]);
    check("more tokens than events", &one("r90 t100 t180 d181", 9), [t(100.0), t(10.0), t(80.0)]);
}

#[test]
fn the_first_answer_token_and_the_first_event_are_apart() {
    let of = |events: &str| {
        let summary = summary(vec![request(0, events, 11, 4)]);
        ["first_event_ms", "first_answer_ms", "e2e_ms"].map(|figure| mean(&summary, figure))
    };
    assert_eq!(of("r90 g100 g120 t140 t160 u170 d171"), [Some(90.0), Some(140.0), Some(171.0)]);
    assert_eq!(of("r90 g100 g120 d121"), [Some(90.0), None, Some(121.0)]);
    assert_eq!(of("r90 t100 t101 t102 t103"), [Some(90.0), Some(100.0), Some(103.0)]);
}

#[test]
fn several_tokens_an_event() {
    // 3 events of 4 tokens, 80 ms apart: the event's gap is 80, the token's 20.
    let mut record = request(0, "r90 t100 t180 t260 d261", 1145, 12);
    for event in &mut record.events[1..4] {
        event.tokens = Some(4);
    }
    let summary = summary(vec![record]);
    assert_eq!([mean(&summary, "itl_ms"), mean(&summary, "itl_token_ms")], [Some(80.0), Some(20.0)]);
    assert_eq!([summary.metric("itl_ms").unwrap().n, summary.metric("itl_token_ms").unwrap().n], [2, 8]);
    assert_eq!(mean(&summary, "tpot_ms"), Some((160.0f64 / 11.0 * 1e9).round() / 1e9));
    assert!(has(&summary, "many_tokens_per_event"));
    let rates = summary.throughput;
    assert!(rates.peak_output_tokens_per_s >= rates.output_tokens_per_s);
}

#[test]
fn usage_wherever_it_stands() {
    let output = |completion: Option<u64>, counted: Option<u64>| {
        let mut record = request(0, "r90 t100 t120 t140 d141", 1145, 0);
        record.usage = record.usage.map(|usage| measure::TokenUsage { completion, ..usage });
        record.retokenised = counted;
        let summary = summary(vec![record]);
        (summary.totals.output_tokens, summary.totals.retokenised, mean(&summary, "tpot_ms"), has(&summary, "no_usage"))
    };
    assert_eq!(output(Some(3), None), (Some(3), 0, Some(20.0), false));
    // The server's count is believed, the client's is the second best, the number asked for never counts.
    assert_eq!(output(Some(3), Some(5)), (Some(3), 0, Some(20.0), false));
    assert_eq!(output(None, Some(5)), (Some(5), 1, Some(10.0), true));
    assert_eq!(output(None, None), (None, 0, None, true));
}

#[test]
fn requests_without_tokens_bring_no_zeros() {
    let summary = summary(vec![request(0, "r90 t100 t120 d121", 11, 2), request(1, "r90 f95 d96", 11, 0)]);
    let ttft = summary.metric("ttft_ms").unwrap();
    assert_eq!((ttft.n, ttft.undefined, ttft.mean.value, ttft.min), (1, 1, 100.0, 100.0));
    assert_eq!(summary.metric("e2e_ms").unwrap().n, 2);
}

#[test]
fn an_error_after_five_tokens_is_a_failure() {
    let mut failed = request(1, "r90 t100 t110 t120 t130 t140 x150 d151", 11, 5);
    failed.outcome = Outcome::ServerError { message: "CUDA out of memory".into() };
    let summary = summary(vec![request(0, "r90 t100 t300 d301", 11, 2), failed]);
    assert_eq!((summary.counts.complete, summary.counts.failed), (1, 1));
    assert_eq!(summary.counts.by_cause["server_error: CUDA out of memory"], 1);
    assert_eq!((summary.totals.output_tokens, mean(&summary, "itl_ms")), (Some(2), Some(200.0)));
}

#[test]
fn the_older_definitions() {
    // Role at 90 counts, and the finish event at 190.
    let how = Summarise { definitions: Definitions::Vllm, ..by_own_reads() };
    let summary = RunSummary::of(&log(vec![request(0, "r90 t100 t120 t140 f190 u195 d196", 1145, 3)]), &how);
    let means = ["ttft_ms", "tpot_ms", "itl_ms"].map(|figure| mean(&summary, figure));
    assert_eq!(means, [Some(90.0), Some(50.0), Some(25.0)]);
    assert!(has(&summary, "older_definitions"));
}

#[test]
fn upload_schedule_and_client_waits_are_figures_of_their_own() {
    // Intended at 0, allowed at 5, sent at 6, the body gone at 50, the first token at 100.
    let mut record = request(0, "r90 t100 d101", 11, 1);
    (record.admitted_ns, record.sent_ns, record.body_sent_ns) = (Some(5 * MS), Some(6 * MS), Some(50 * MS));
    let summary = summary(vec![record]);
    let names = ["ttft_ms", "ttft_from_schedule_ms", "ttft_net_of_upload_ms", "queue_wait_ms", "send_lateness_ms"];
    assert_eq!(names.map(|name| mean(&summary, name)), [94.0, 100.0, 50.0, 6.0, 1.0].map(Some));
}

#[test]
fn opening_a_connection_is_in_no_other_figure() {
    let mut record = request(0, "r90 t100 d101", 11, 1);
    record.connection = Some(measure::Connection { id: 1, reused: 0, connect_ns: 40 * MS, reopened: true });
    let mut second = request(1, "r90 t100 d101", 11, 1);
    second.connection = Some(measure::Connection { id: 1, reused: 1, connect_ns: 40 * MS, reopened: true });
    let summary = summary(vec![record, second]);
    assert_eq!((mean(&summary, "connect_ms"), summary.metric("connect_ms").unwrap().n), (Some(40.0), 1));
    assert_eq!(mean(&summary, "ttft_ms"), Some(100.0));
    assert!(has(&summary, "reopened"));
}

#[test]
fn one_event_without_the_kernels_time_and_the_request_is_by_our_reads() {
    let mut record = request(0, "r90 t100 t120 t140 d141", 11, 3);
    record.events[2].kernel_ns = None;
    let records = vec![record, request(1, "r90 t100 t120 t140 d141", 11, 3)];
    let summary = RunSummary::of(&log(records), &Summarise::default());
    let ttft = summary.metric("ttft_ms").unwrap();
    assert_eq!((ttft.min, ttft.max, summary.requests_by_kernel_clock), (99.0, 100.0, 1));
    assert!(has(&summary, "kernel_clock_missing"));
}

#[test]
fn gaps_of_some_requests_do_not_stand_for_all() {
    let mut long = request(0, "r90 t100 t150 t200 t250 d251", 11, 4);
    long.leave_out_events();
    let summary = summary(vec![long, request(1, "t100 t101", 11, 2)]);
    assert_eq!((mean(&summary, "tpot_ms"), mean(&summary, "itl_ms")), (Some(25.5), None));
    assert_eq!(summary.throughput.peak_output_tokens_per_s, None);
    assert!(has(&summary, "events_left_out"));
}

proptest! {
    /// Leaving out the events that bound nothing changes no figure but those of the gaps.
    #[test]
    fn a_record_of_bounds_gives_the_same_figures(
        kinds in "[rtegkfuno]{0,24}",
        stamped in proptest::collection::vec(proptest::bool::weighted(0.9), 24),
        billed in 0u64..24,
        older in any::<bool>(),
        kernel in any::<bool>(),
    ) {
        let words: Vec<String> = kinds.chars().zip(100..).map(|(kind, ms)| format!("{kind}{ms}")).collect();
        let mut whole = request(0, &words.join(" "), 11, billed);
        for (event, stamped) in whole.events.iter_mut().zip(stamped) {
            event.kernel_ns = event.kernel_ns.filter(|_| stamped);
        }
        let mut bounds = whole.clone();
        bounds.leave_out_events();
        prop_assert_eq!(bounds.events.len() as u64 + bounds.events_left_out, whole.events.len() as u64);
        let how = Summarise {
            definitions: if older { Definitions::Vllm } else { Definitions::Standard },
            clock: if kernel { Clock::Kernel } else { Clock::User },
            ..Summarise::default()
        };
        let [mut whole, bounds] = [whole, bounds].map(|record| RunSummary::of(&log(vec![record]), &how));
        if bounds.cautions.contains(&measure::Caution::EventsLeftOut) {
            whole.metrics.retain(|metric| metric.name != "itl_ms");
        }
        prop_assert_eq!(whole.metrics, bounds.metrics);
        prop_assert_eq!(whole.duration_s, bounds.duration_s);
        prop_assert_eq!(whole.totals, bounds.totals);
        prop_assert_eq!(whole.requests_by_kernel_clock, bounds.requests_by_kernel_clock);
    }
}
