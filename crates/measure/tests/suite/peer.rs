//! The statistics of `vllm bench serve` over its own recorded times must come out of the same times here: that program
//! computed every expected value with numpy. Its first entry of `ttfts` is the role event's, and an event with choices is
//! a token event: `--definitions vllm`.

use crate::by_stamps::{request, run, shift, user};
use measure::{Definitions, EventKind, RequestRecord, RunLog, RunSummary, Summarise, vllm_json};
use serde_json::Value;

fn recording() -> Value {
    serde_json::from_str(include_str!("../../../../tests/data/vllm-bench/random-mm-c1.json")).unwrap()
}

fn ns(seconds: &Value) -> u64 {
    (seconds.as_f64().unwrap() * 1e9).round() as u64
}

/// The recording's requests: the role event at TTFT, a text event after each gap.
fn records(peer: &Value) -> Vec<RequestRecord> {
    let first_ns = ns(&peer["start_times"][0]);
    (0..peer["ttfts"].as_array().unwrap().len())
        .map(|i| {
            let mut at_ns = ns(&peer["ttfts"][i]);
            let mut events = vec![(EventKind::Role, at_ns)];
            for gap in peer["itls"][i].as_array().unwrap() {
                at_ns += ns(gap);
                events.push((EventKind::Text, at_ns));
            }
            let mut record = request(i as u64, peer["output_lens"][i].as_u64().unwrap(), &events);
            record.usage.as_mut().unwrap().prompt = peer["input_lens"][i].as_u64();
            record.text = peer["generated_texts"][i].as_str().map(str::to_owned);
            shift(&mut record, ns(&peer["start_times"][i]) - first_ns);
            record
        })
        .collect()
}

/// Our JSON of a run and its recording.
fn both(definitions: Definitions) -> (Value, Value) {
    let peer = recording();
    let how = Summarise { definitions, ..user() };
    let log: RunLog = run(records(&peer));
    (vllm_json(&log, &RunSummary::of(&log, &how), &how, "20261125-014833"), peer)
}

/// Equal but for what rounding to nanoseconds, 32 gaps one after another, can do.
fn same(ours: &Value, theirs: &Value, at: &str) {
    match (ours, theirs) {
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{at}");
            a.iter().zip(b).for_each(|(a, b)| same(a, b, at));
        }
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!((a - b).abs() < 1e-4, "{at}: {a}, and numpy says {b}");
        }
        _ => assert_eq!(ours, theirs, "{at}"),
    }
}

#[test]
fn the_statistics_of_their_times_are_theirs() {
    let (ours, theirs) = both(Definitions::Vllm);
    for metric in ["ttft", "tpot", "itl", "e2el"] {
        for statistic in ["mean", "median", "std", "p50", "p90", "p95", "p99"] {
            let key = format!("{statistic}_{metric}_ms");
            same(&ours[&key], &theirs[&key], &key);
        }
    }
    for key in [
        "completed",
        "failed",
        "total_input_tokens",
        "total_output_tokens",
        "input_lens",
        "output_lens",
        "ttfts",
        "itls",
        "latencies",
        "errors",
        "generated_texts",
        "num_prompts",
        "request_rate",
        "request_goodput",
    ] {
        same(&ours[key], &theirs[key], key);
    }
}

#[test]
fn rates_are_theirs_over_our_duration() {
    // Their duration runs on to the end of their own loop; ours ends with the last event.
    let (ours, theirs) = both(Definitions::Vllm);
    let (short, long) = (ours["duration"].as_f64().unwrap(), theirs["duration"].as_f64().unwrap());
    assert!(short < long && long - short < 0.01, "{short} {long}");
    for key in ["request_throughput", "output_throughput", "total_token_throughput"] {
        let (a, b) = (ours[key].as_f64().unwrap() * short, theirs[key].as_f64().unwrap() * long);
        assert!((a - b).abs() < 1e-6, "{key}: {a} and {b}");
    }
}

#[test]
fn the_standard_definitions_move_what_the_role_event_spoiled() {
    let (ours, theirs) = both(Definitions::Standard);
    // TTFT is later by the gap that the role event had opened; 31 gaps are left of 32.
    for i in 0..4 {
        let wrong_s = theirs["ttfts"][i].as_f64().unwrap();
        let gap_s = theirs["itls"][i][0].as_f64().unwrap();
        same(&ours["ttfts"][i], &(wrong_s + gap_s).into(), "ttfts");
        assert_eq!(ours["itls"][i].as_array().unwrap().len(), 31);
    }
    same(&ours["mean_e2el_ms"], &theirs["mean_e2el_ms"], "mean_e2el_ms");
    // With one token an event, the mean of the gaps of equally long requests is the mean TPOT.
    same(&ours["mean_itl_ms"], &ours["mean_tpot_ms"], "mean_itl_ms");
}
