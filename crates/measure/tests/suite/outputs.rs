//! The forms that figures leave in: the report, the rows, the JSON of `vllm bench serve`.

use crate::build::{by_own_reads, footer, header_with, later, log, request};
use measure::{
    Footer, Lang, Outcome, RequestRecord, RunLimit, RunLog, RunSummary, SloLimit, Statistic, Summarise, report,
    requests_csv, vllm_json,
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
    let summary = RunSummary::of(&log, &Summarise { goodput, ..by_own_reads() });
    let text = report(&log, &summary, Lang::En);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..6],
        [
            "run: s, t",
            "server: u, model m",
            "client machine: o",
            "figures: standard definitions, the client's own reads",
            "requests: 3 planned, 2 complete, 1 not",
            // The server's words stay on their line and cannot colour the screen.
            "  1 × server_error: HTTP 500: <html>[31moops</html>",
        ]
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
    assert_eq!(row("first burst"), "first burst: sent within 0.000 ms");
    assert_eq!(row("goodput"), "goodput: 3.85 req/s (1 request; ttft_ms ≤ 150)");
    let in_chinese = report(&log, &summary, Lang::Zh);
    assert!(in_chinese.contains("\n合格请求：3.85 请求/s（1 个请求；ttft_ms ≤ 150）\n"), "{in_chinese}");
    let counts = "input tokens: 6 of text (counted by: local-folder), 2290 billed by the server; output tokens: 8";
    assert_eq!(row("input tokens"), counts);
    let images = "images: 1 a request; image tokens expected by the preprocessor settings: 1131 a request; prompt tokens billed: 1145 a request; text before the images";
    assert_eq!(row("images"), images);
    assert!(row("caution: 1 of 3 requests failed").contains("the 2 that completed"));
}

#[test]
fn the_report_in_chinese() {
    let log = three();
    let text = report(&log, &RunSummary::of(&log, &by_own_reads()), Lang::Zh);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..5],
        [
            "运行：s，t",
            "服务端：u，模型 m",
            "客户端机器：o",
            "数字：标准定义，采用程序自己的读取时间",
            "请求：计划 3，成功 2，未成功 1",
        ]
    );
    // A Chinese character is two columns wide.
    let want =
        "首个 token 延迟 TTFT          2    150.000                     -    150.000    190.000    199.000    200.000";
    assert!(lines.contains(&want), "{text}");
    let images = "图像：每个请求 1；按预处理设置应有的图像 token：每个请求 1131；服务端计费的输入 token：每个请求 1145；文本在图像之前";
    assert!(lines.contains(&images), "{text}");
    assert!(lines.iter().all(|line| !line.contains("caution")) && text.contains("注意："));
}

#[test]
fn a_report_stays_short_whatever_servers_say() {
    let failed = |i: u64| {
        let message = format!("request {i}: {}", "a long report ".repeat(500));
        RequestRecord { outcome: Outcome::ServerError { message }, ..request(i, "x30", 11, 1) }
    };
    let log = log((0..500).map(failed).collect());
    let text = report(&log, &RunSummary::of(&log, &by_own_reads()), Lang::En);
    assert!(text.lines().all(|line| line.chars().count() < 320) && text.lines().count() < 20, "{text}");
    assert!(text.contains("  490 × 490 other causes"), "{text}");
}

/// The report's line that begins so.
fn line_of(log: &RunLog, how: &Summarise, lang: Lang, start: &str) -> String {
    let text = report(log, &RunSummary::of(log, how), lang);
    text.lines().find(|line| line.starts_with(start)).map(str::to_owned).unwrap_or_else(|| panic!("no {start}: {text}"))
}

#[test]
fn pictures_of_several_sizes_are_summed() {
    let images = |log: &RunLog, lang: Lang| line_of(log, &by_own_reads(), lang, lang.pick("images", "图像"));
    let mut log = three();
    (log.records[1].images, log.records[1].usage.as_mut().unwrap().prompt) = (vec![1], Some(314));
    assert_eq!(
        images(&log, Lang::En),
        "images: 1 a request; image tokens expected by the preprocessor settings: 300 to 1131 a request, 1431 in all; prompt tokens billed: 314 to 1145 a request, 1459 in all; text before the images"
    );
    assert_eq!(
        images(&log, Lang::Zh),
        "图像：每个请求 1；按预处理设置应有的图像 token：每个请求 300 到 1131，合计 1431；服务端计费的输入 token：每个请求 314 到 1145，合计 1459；文本在图像之前"
    );
    // A request before the load is none of those measured, nor is the refused one.
    let before = RequestRecord { phase: measure::Phase::Accuracy, images: vec![1; 9], ..request(9, "t1 d1", 9, 1) };
    log.records.push(before);
    assert!(images(&log, Lang::En).starts_with("images: 1 a request; "));
    // One picture of unknown size, or one request without usage, and nothing is said of the sum.
    log.records[1].images = vec![1, 7];
    log.records[0].usage = None;
    let unknown = "images: 1 to 2 a request, 3 in all; image tokens expected by the preprocessor settings: n/a; prompt tokens billed: n/a; text before the images";
    assert_eq!(images(&log, Lang::En), unknown);
}

#[test]
fn the_head_names_the_run_the_server_and_the_machines() {
    let mut log = three();
    log.header = header_with(&json!({
        "label": "night\nly", "card": "B200", "driver": "580.1", "started": "2026-11-25T13:00:00.123456789Z", "tool": "vlm-benchmark 0.1.0",
        "server": {"url": "http://h:8000", "model": "m", "version": {"version": "0.32.0"}, "software": "uvicorn"},
        "client": {"os": "linux x86_64", "cpu": "EPYC", "cores": 2, "kernel_stamps": true},
    }));
    let proof = json!({"verdict": "seen", "with_image": 1145, "without_image": 11, "expected": 1131, "images": 1, "effect": true});
    log.footer.as_mut().unwrap().image_proof = Some(serde_json::from_value(proof).unwrap());
    let summary = RunSummary::of(&log, &Summarise::default());
    let head = |lang: Lang| report(&log, &summary, lang).lines().take(6).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        head(Lang::En),
        [
            "run: night ly, 2026-11-25T13:00:00Z, vlm-benchmark 0.1.0",
            "server: http://h:8000, model m, version 0.32.0, uvicorn",
            "card: B200, driver 580.1",
            "client machine: linux x86_64, EPYC, 2 cores",
            "figures: standard definitions, the kernel's receive times in 2 of 2 requests",
            "image proof: SEEN, 1134 tokens billed for 1 image, 1131 expected and 3 around it, another picture changes the answer",
        ]
    );
    assert_eq!(
        head(Lang::Zh),
        [
            "运行：night ly，2026-11-25T13:00:00Z，vlm-benchmark 0.1.0",
            "服务端：http://h:8000，模型 m，版本 0.32.0，uvicorn",
            "加速卡：B200，驱动 580.1",
            "客户端机器：linux x86_64，EPYC，2 核",
            "数字：标准定义，2 个请求中 2 个采用内核接收时间",
            "图像验证：已看到图像，1 张图计费 1134 个 token，按预处理设置应为 1131，另有 3 个在图像前后，换一张图答案会变",
        ]
    );
    let json = serde_json::to_value(&summary).unwrap();
    let run = &json["run"];
    assert_eq!(
        [&run["label"], &run["card"], &run["driver"], &run["started"], &run["server"]["version"]],
        ["night\nly", "B200", "580.1", "2026-11-25T13:00:00.123456789Z", "0.32.0"]
    );
    assert_eq!((&run["client"]["cores"], &json["image_proof"]["verdict"]), (&json!(2), &json!("seen")));
    // Other forms of a version, and none.
    for (reply, want) in [(json!("1.2"), Some("1.2")), (json!({"a": 1}), Some("{\"a\":1}")), (Value::Null, None)] {
        log.header.server.version = Some(reply);
        assert_eq!(RunSummary::of(&log, &Summarise::default()).run.server.version.as_deref(), want);
    }
}

#[test]
fn limits_of_the_run_are_shown_kept_and_missed() {
    let limit = |metric: &str, statistic, max| RunLimit { metric: metric.into(), statistic, max };
    let slo = vec![
        limit("ttft_ms", Statistic::Mean, 150.0),
        limit("ttft_ms", Statistic::P99, 198.0),
        limit("itl_token_ms", Statistic::Max, 9.0),
    ];
    let how = Summarise { slo, ..by_own_reads() };
    let summary = RunSummary::of(&three(), &how);
    assert!(!summary.keeps_slo());
    assert_eq!(summary.slo.iter().map(|limit| limit.kept).collect::<Vec<_>>(), [true, false, false]);
    for (lang, want) in [
        (
            Lang::En,
            "limit kept: ttft_ms mean is 150.000 ms, at most 150 ms was allowed\n\
             limit missed: ttft_ms p99 is 199.000 ms, at most 198 ms was allowed\n\
             limit missed: itl_token_ms max is n/a, at most 9 ms was allowed\n",
        ),
        (
            Lang::Zh,
            "满足上限：ttft_ms mean 为 150.000 ms，上限 150 ms\n未满足上限：ttft_ms p99 为 199.000 ms，上限 198 ms\n未满足上限：itl_token_ms max 为 n/a，上限 9 ms\n",
        ),
    ] {
        let text = report(&three(), &summary, lang);
        assert!(text.contains(want), "{text}");
    }
    assert!(RunSummary::of(&three(), &by_own_reads()).keeps_slo());
}

#[test]
fn how_a_run_was_planned_to_be_read() {
    let planned = |plan: Value| Summarise::as_planned(&header_with(&json!({"plan": plan})));
    assert_eq!(planned(json!({})), Summarise::default());
    assert_eq!(planned(json!({"definitions": 7, "clock": "sundial", "slo": [{"metric": 1}]})), Summarise::default());
    let how = planned(json!({
        "definitions": "vllm", "clock": "user", "goodput": [{"metric": "ttft_ms", "max": 5.0}],
        "slo": [{"metric": "tpot_ms", "statistic": "p90", "max": 7.0}],
    }));
    assert_eq!((how.definitions, how.clock), (measure::Definitions::Vllm, measure::Clock::User));
    assert_eq!((how.goodput[0].max, how.slo[0].statistic, how.slo[0].max), (5.0, Statistic::P90, 7.0));
}

#[test]
fn an_open_loop_shows_what_was_offered_beside_what_was_achieved() {
    let mut log = three();
    assert!(!report(&log, &RunSummary::of(&log, &by_own_reads()), Lang::En).contains("offered"));
    log.header.plan["request_rate"] = json!(12.5);
    // 2 complete requests in 0.26 s.
    let line = |lang: Lang, start| line_of(&log, &by_own_reads(), lang, start);
    assert_eq!(line(Lang::En, "requests/s"), "requests/s: 12.50 offered, 7.69 achieved");
    assert_eq!(line(Lang::Zh, "请求/s"), "请求/s：计划 12.50，实际 7.69");
    assert_eq!(RunSummary::of(&log, &by_own_reads()).throughput.offered_requests_per_s, Some(12.5));
}

#[test]
fn a_run_cut_short_says_so() {
    let mut log = three();
    log.header = header_with(&json!({"plan": {"requests": 10, "rounds": 1}}));
    log.footer = None;
    let summary = RunSummary::of(&log, &by_own_reads());
    let first = |lang: Lang| line_of(&log, &by_own_reads(), lang, lang.pick("requests", "请求"));
    assert!(!summary.complete_run);
    assert_eq!(first(Lang::En), "requests: 10 planned, 2 complete, 1 not, 7 without a record [INCOMPLETE RUN]");
    assert_eq!(first(Lang::Zh), "请求：计划 10，成功 2，未成功 1，无记录 7【未完成】");
}

#[test]
fn a_log_without_its_gaps_says_why() {
    let mut log = three();
    log.records.iter_mut().for_each(RequestRecord::leave_out_events);
    let summary = RunSummary::of(&log, &by_own_reads());
    let text = report(&log, &summary, Lang::En);
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
        ("rtfx", json!(0.0)),
        // The refused one: 3 tokens of text by the client's own count, and no others.
        ("input_lens", json!([1145, 1145, 3, 1145])),
        ("output_lens", json!([4, 4, 0, 1])),
        ("ttfts", json!([0.1, 0.2, 0.0, 0.1])),
        ("itls", json!([[0.02, 0.02, 0.02], [0.02, 0.02, 0.02], [], []])),
        ("latencies", json!([0.16, 0.26, 0.03, 0.1])),
        ("start_times", json!([0.0, 0.0, 0.0, 0.1])),
        ("generated_texts", json!(["", "", "", ""])),
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

/// The types in a value, those inside lists once each, lists of numbers and of lists alike: `number`, `[number]`.
fn type_of(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(_) => "number".into(),
        Value::String(_) => "string".into(),
        Value::Array(list) => {
            let inner: std::collections::BTreeSet<String> = list.iter().map(type_of).filter(|t| t != "[]").collect();
            format!("[{}]", inner.into_iter().collect::<Vec<_>>().join(" "))
        }
        Value::Object(_) => "object".into(),
    }
}

#[test]
fn lists_hold_the_types_of_vllm_bench_serve_whatever_happened() {
    let theirs = recorded(include_str!("../../../../tests/data/vllm-bench/random-mm-c1.json"));
    let mut log = three();
    let never = Outcome::NotSent { reason: "the cap was reached".into() };
    log.records.push(RequestRecord { outcome: never, ..RequestRecord::planned(3, measure::Phase::Measured) });
    // Complete, but the server tells no counts.
    log.records.push(RequestRecord { usage: None, images: vec![0], ..request(4, "r90 t100 t120 d120", 1, 1) });
    for footer in [Some(footer(3)), None] {
        let log = RunLog { footer, ..log.clone() };
        let how = by_own_reads();
        let ours = vllm_json(&log, &RunSummary::of(&log, &how), &how, "d");
        for (key, value) in theirs.as_object().unwrap().iter().filter(|(_, value)| value.is_array()) {
            assert_eq!(type_of(&ours[key]), type_of(value), "{key}: {}", ours[key]);
            assert_eq!(ours[key].as_array().unwrap().len(), 5, "{key}");
        }
        assert_eq!(type_of(&ours["latencies"]), "[number]");
        assert_eq!(type_of(&ours["queue_times"]), "[number]");
    }
}
