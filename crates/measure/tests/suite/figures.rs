//! The figures of whole runs, by arithmetic.

use crate::build::{by_own_reads, footer, has, log, mean, request, summary};
use measure::{Clock, Footer, RequestRecord, RunLog, RunSummary, Summarise};
use proptest::prelude::*;

#[test]
fn every_figure_of_two_requests() {
    // 4 tokens at 100, 110, 130, 160 ms and 2 at 200, 240: TPOT 60/3 = 20 and 40; gaps 10, 20, 30, 40.
    let summary = summary(vec![request(0, "t100 t110 t130 t160", 11, 4), request(1, "t200 t240", 11, 2)]);
    let means = ["ttft_ms", "tpot_ms", "itl_ms", "e2e_ms"].map(|name| mean(&summary, name));
    assert_eq!(means, [150.0, 30.0, 25.0, 200.0].map(Some));
    assert_eq!(summary.duration_s, Some(0.24));
    assert_eq!((summary.totals.text_input_tokens, summary.totals.input_tokens), (Some(6), Some(22)));
    assert_eq!(summary.throughput.output_tokens_per_s, Some(25.0));
    // Text without and with images: (6 + 6) / 0.24 and (22 + 6) / 0.24.
    assert_eq!(summary.throughput.total_tokens_per_s, Some(50.0));
    assert_eq!(summary.throughput.total_tokens_with_images_per_s, Some(28.0 / 0.24));
}

#[test]
fn one_request_is_its_own_p99_and_a_caution_says_n_1() {
    let summary = summary(vec![request(0, "t81 t98", 11, 2)]);
    let ttft = summary.metric("ttft_ms").unwrap();
    assert_eq!((ttft.mean.value, ttft.median.value, ttft.p99.value, ttft.mean.interval), (81.0, 81.0, 81.0, None));
    assert!(summary.cautions.contains(&measure::Caution::FewRequests { n: 1 }));
}

#[test]
fn the_clock_asked_for_and_what_a_set_wall_clock_does() {
    let ttft = |clock, step_ns| {
        let footer = Footer { wall_clock_step_ns: Some(step_ns), ..footer(3) };
        let log = RunLog { footer: Some(footer), ..log(vec![request(0, "t10 t20", 11, 2)]) };
        let summary = RunSummary::of(&log, &Summarise { clock, ..by_own_reads() });
        (mean(&summary, "ttft_ms"), has(&summary, "wall_clock_step"))
    };
    assert_eq!(ttft(Clock::Kernel, 0), (Some(9.0), false));
    assert_eq!(ttft(Clock::User, 0), (Some(10.0), false));
    assert_eq!(ttft(Clock::Kernel, 5_000_000), (Some(10.0), true));
    assert_eq!(ttft(Clock::Kernel, -5_000_000), (Some(10.0), true));
    // Nothing was changed by it where our own reads were asked for.
    assert_eq!(ttft(Clock::User, 5_000_000), (Some(10.0), false));
}

#[test]
fn a_run_without_its_end_is_incomplete() {
    let whole = log(vec![request(0, "t10 t20", 11, 2)]);
    assert!(RunSummary::of(&whole, &by_own_reads()).complete_run);
    let crashed = RunSummary::of(&RunLog { footer: None, ..whole }, &by_own_reads());
    assert!(!crashed.complete_run && has(&crashed, "incomplete"));
    // Its text tokens were never counted: unknown, not 0.
    assert_eq!((crashed.totals.text_input_tokens, crashed.throughput.total_tokens_per_s), (None, None));
}

proptest! {
    #[test]
    fn the_peak_is_never_below_the_average(
        streams in proptest::collection::vec(
            (proptest::collection::btree_set(1u64..4000, 1..40), 0u64..200, 0u32..3),
            1..6,
        ),
    ) {
        // Any number of tokens on the same events, in up to three rounds.
        let records: Vec<RequestRecord> = streams
            .iter()
            .zip(0..)
            .map(|((times, more, round), index)| {
                let words: Vec<String> = times.iter().map(|ms| format!("t{ms}")).collect();
                let output = times.len() as u64 + more;
                RequestRecord { round: *round, ..request(index, &words.join(" "), 11, output) }
            })
            .collect();
        let rates = summary(records).throughput;
        let (peak, average) = (rates.peak_output_tokens_per_s.unwrap(), rates.output_tokens_per_s.unwrap());
        prop_assert!(peak >= average * (1.0 - 1e-9), "{} < {}", peak, average);
    }
}
