//! The forms that figures leave in: the report, the rows, the JSON of `vllm bench serve`.

use crate::build::{by_own_reads, footer, header_with, later, log, request};
use measure::{
    Footer, Lang, Outcome, RequestRecord, RunLog, RunSummary, SloLimit, Summarise, requests_csv, story, vllm_json,
};
use serde_json::{Value, json};

/// Three requests, one of them refused: 4 tokens each from 100 ms and 200 ms on, 20 ms apart.
fn three() -> RunLog {
    let mut refused = request(2, "x30", 1145, 1);
    refused.outcome = Outcome::ServerError { message: "HTTP 500:\n\t<html>\u{1b}[31moops</html>".into() };
    (refused.usage, refused.status) = (None, Some(500));
    let mut records = vec![
        request(0, "r90 t100 t120 t140 t160 d160", 1145, 4),
        request(1, "r190 t200 t220 t240 t260 d260", 1145, 4),
        refused,
    ];
    records.iter_mut().for_each(|record| record.images = vec![0]);
    let header = header_with(&json!({"expected_image_tokens": [1131, 300], "plan": {"order": "text-first"}}));
    RunLog { header, ..log(records) }
}

#[test]
fn the_report_in_english() {
    let log = three();
    let goodput = vec![SloLimit { metric: "ttft_ms".into(), max: 150.0 }];
    let text = story(&log, &RunSummary::of(&log, &Summarise { goodput, ..by_own_reads() }), Lang::En);
    let lines: Vec<&str> = text.lines().collect();
    // The server's words stay on their line and cannot colour the screen.
    assert_eq!(
        lines[..2],
        ["requests: 3 planned, 2 complete, 1 not", "  1 × server_error: HTTP 500: <html>[31moops</html>"]
    );
    let row = |title: &str| *lines.iter().find(|line| line.starts_with(title)).unwrap();
    let head =
        "ms                            n       mean                [95 %]     median        P90        P99        max";
    assert_eq!(row("ms "), head);
    let want =
        "TTFT                          2    150.000                     -    150.000    190.000    199.000    200.000";
    assert_eq!(row("TTFT "), want);
    // 8 tokens in 0.26 s = 30.77; (2·1145 + 8) / 0.26 = 8838.46.
    let rates = "tokens/s: output 30.77, peak 30.77, total with images 8838.46; in flight at most 3";
    assert_eq!(row("tokens/s"), rates);
    assert_eq!(row("burst"), "burst: sent within 0.000 ms");
    assert_eq!(row("goodput"), "goodput: 3.85 req/s (1 requests; ttft_ms ≤ 150)");
    let counts = "input tokens: 6 of text (counted by: local-folder), 2290 billed by the server; output tokens: 8";
    assert_eq!(row("input tokens"), counts);
    let images = "image tokens: 1131 expected by the preprocessor settings; 1145 prompt tokens billed in all, text before the images";
    assert_eq!(row("image tokens"), images);
    assert!(row("caution: 1 of 3 requests failed").contains("the 2 that completed"));
}

#[test]
fn the_report_in_chinese() {
    let log = three();
    let text = story(&log, &RunSummary::of(&log, &by_own_reads()), Lang::Zh);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "请求：计划 3，成功 2，未成功 1");
    // A Chinese character is two columns wide.
    let want =
        "首个 token 延迟 TTFT          2    150.000                     -    150.000    190.000    199.000    200.000";
    assert!(lines.contains(&want), "{text}");
    assert!(lines.contains(&"图像 token：按预处理设置应为 1131；服务端输入共计费 1145，文本在图像之前"), "{text}");
    assert!(lines.iter().all(|line| !line.contains("caution")) && text.contains("注意: "));
}

#[test]
fn a_report_stays_short_whatever_servers_say() {
    let failed = |i: u64| {
        let message = format!("request {i}: {}", "a long story ".repeat(500));
        RequestRecord { outcome: Outcome::ServerError { message }, ..request(i, "x30", 11, 1) }
    };
    let log = log((0..500).map(failed).collect());
    let text = story(&log, &RunSummary::of(&log, &by_own_reads()), Lang::En);
    assert!(text.lines().all(|line| line.chars().count() < 320) && text.lines().count() < 20, "{text}");
    assert!(text.contains("  490 × 490 other causes"), "{text}");
}

#[test]
fn pictures_of_several_sizes() {
    let mut log = three();
    log.records[1].images = vec![1];
    let text = story(&log, &RunSummary::of(&log, &by_own_reads()), Lang::En);
    assert!(text.contains("image tokens of the first request: 1131 expected"), "{text}");
}

#[test]
fn a_run_cut_short_says_so() {
    let mut log = three();
    log.header = header_with(&json!({"plan": {"requests": 10, "rounds": 1}}));
    log.footer = None;
    let summary = RunSummary::of(&log, &by_own_reads());
    let first = |lang| story(&log, &summary, lang).lines().next().unwrap().to_owned();
    assert_eq!(first(Lang::En), "requests: 10 planned, 2 complete, 1 not, 7 without a record [INCOMPLETE RUN]");
    assert_eq!(first(Lang::Zh), "请求：计划 10，成功 2，未成功 1，无记录 7【未完成】");
}

#[test]
fn a_log_without_its_gaps_says_why() {
    let mut log = three();
    log.records.iter_mut().for_each(RequestRecord::leave_out_events);
    let summary = RunSummary::of(&log, &by_own_reads());
    let text = story(&log, &summary, Lang::En);
    assert!(text.contains("--detail summary") && text.contains("peak n/a") && !text.contains("ITL"), "{text}");
    let block = measure::block(&summary);
    assert!(block.contains("Benchmark duration (s):                  0.26      \n"), "{block}");
    assert!(block.contains("Mean TPOT (ms):                          20.00     \n"), "{block}");
    assert!(block.contains("Mean ITL (ms):                           n/a       \n"), "{block}");
}

/// A cell by its row and its heading.
fn cell<'a>(rows: &'a [Vec<String>], row: usize, name: &str) -> &'a str {
    let column = rows[0].iter().position(|head| head == name).unwrap();
    &rows[row + 1][column]
}

#[test]
fn rows_for_a_spreadsheet() {
    let mut log = three();
    let rows = requests_csv(&log, &by_own_reads());
    assert!(rows.len() == 4 && rows.iter().all(|row| row.len() == rows[0].len()));
    let first = ["index", "phase", "events", "token_events", "ttft_ms", "e2e_ms"].map(|name| cell(&rows, 0, name));
    assert_eq!(first, ["0", "measured", "6", "4", "100.000000", "160.000000"]);
    // What a refused request has not is an empty cell, not 0.
    let refused = ["outcome", "status", "ttft_ms", "output_tokens"].map(|name| cell(&rows, 2, name));
    assert_eq!(refused, ["server_error", "500", "", ""]);
    // Events that the record left out are counted all the same.
    log.records.iter_mut().for_each(RequestRecord::leave_out_events);
    let rows = requests_csv(&log, &by_own_reads());
    assert_eq!((cell(&rows, 0, "events"), cell(&rows, 0, "token_events")), ("6", "4"));
}

#[test]
fn a_wall_clock_that_was_set_spoils_the_kernels_times_everywhere() {
    let log = RunLog { footer: Some(Footer { wall_clock_step_ns: Some(2_000_000), ..footer(3) }), ..three() };
    let how = Summarise::default();
    let summary = RunSummary::of(&log, &how);
    assert_eq!(cell(&requests_csv(&log, &how), 0, "ttft_ms"), "100.000000");
    assert_eq!(vllm_json(&log, &summary, &how, "d")["ttfts"][0], 0.1);
    assert_eq!(summary.metric("ttft_ms").unwrap().min, 100.0);
}

/// The keys of an object, in their order.
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn recorded(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_keys_of_vllm_bench_serve_in_their_order() {
    let detailed = recorded(include_str!("../../../../tests/data/vllm-bench/random-mm-c1.json"));
    let plain = recorded(include_str!("../../../../tests/data/vllm-bench/custom-photo-c4.json"));
    let log = three();
    let how = by_own_reads();
    let ours = vllm_json(&log, &RunSummary::of(&log, &how), &how, "20261125-014833");
    assert_eq!(keys(&ours), keys(&detailed));
    // Without --save-detailed that tool leaves these out; the rest comes in the same order.
    let only_detailed = ["input_lens", "output_lens", "ttfts", "itls", "start_times", "generated_texts", "errors"];
    // A run without anything has the same keys, and no zeros in the place of figures.
    let empty = log_of_nothing();
    let nothing = vllm_json(&empty, &RunSummary::of(&empty, &how), &how, "d");
    assert_eq!(keys(&nothing), keys(&detailed));
    let figures = ["duration", "mean_ttft_ms", "p99_itl_ms", "output_throughput", "total_output_tokens"];
    assert_eq!(figures.map(|key| &nothing[key]), [&Value::Null; 5]);
    let rest: Vec<&str> = keys(&ours).into_iter().filter(|key| !only_detailed.contains(key)).collect();
    assert_eq!(rest, keys(&plain));
}

fn log_of_nothing() -> RunLog {
    log(Vec::new())
}

#[test]
fn the_figures_in_that_json() {
    let mut log = three();
    log.header.plan = json!({"tokenizer": "/models/q", "request_rate": 2.5, "burstiness": 1.0, "max_concurrency": 4});
    log.records.push(later(request(3, "r90 t100 d100", 1145, 1), 100));
    let how = by_own_reads();
    let json = vllm_json(&log, &RunSummary::of(&log, &how), &how, "20261125-014833");
    for (key, want) in [
        ("date", json!("20261125-014833")),
        ("model_id", json!("m")),
        ("tokenizer_id", json!("/models/q")),
        ("num_prompts", json!(4)),
        ("request_rate", json!(2.5)),
        ("burstiness", json!(1.0)),
        ("max_concurrency", json!(4)),
        ("duration", json!(0.26)),
        ("completed", json!(3)),
        ("failed", json!(1)),
        ("total_input_tokens", json!(3435)),
        ("total_output_tokens", json!(9)),
        ("request_goodput", Value::Null),
        ("rtfx", Value::Null),
        ("input_lens", json!([1145, 1145, null, 1145])),
        ("output_lens", json!([4, 4, null, 1])),
        ("ttfts", json!([0.1, 0.2, null, 0.1])),
        ("itls", json!([[0.02, 0.02, 0.02], [0.02, 0.02, 0.02], [], []])),
        ("latencies", json!([0.16, 0.26, 0.03, 0.1])),
        ("start_times", json!([0.0, 0.0, 0.0, 0.1])),
        ("median_ttft_ms", json!(100.0)),
        ("p50_ttft_ms", json!(100.0)),
        ("mean_tpot_ms", json!(20.0)),
        ("std_itl_ms", json!(0.0)),
    ] {
        assert_eq!(json[key], want, "{key}");
    }
    let closed = vllm_json(&three(), &RunSummary::of(&log, &how), &how, "d");
    assert_eq!((&closed["request_rate"], &closed["max_concurrency"]), (&json!("inf"), &Value::Null));
    assert!(json["errors"][0] == "" && json["errors"][2].as_str().unwrap().starts_with("server_error: HTTP 500"));
}
