//! The keys and types of the JSON that `vllm bench serve --save-result --save-detailed` writes, so that scripts made for
//! it go on working. The figures are ours, by our definitions; an unknown figure of the run is null.

use crate::lang::Lang;
use crate::record::{Outcome, Phase};
use crate::runlog::RunLog;
use crate::summary::{RunSummary, Summarise, usable_clock};
use crate::timeline::Timeline;
use serde_json::{Map, Value, json};

/// The whole object. `date` is written as that tool does (`20261125-015647`).
#[must_use]
pub fn vllm_json(log: &RunLog, summary: &RunSummary, how: &Summarise, date: &str) -> Value {
    let plan = &log.header.plan;
    let totals = &summary.totals;
    let rates = &summary.throughput;
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| {
        out.insert(key.to_owned(), value);
    };
    put("date", json!(date));
    put("endpoint_type", json!("openai-chat"));
    put("backend", json!("openai-chat"));
    put("label", json!(log.header.run.label));
    put("model_id", json!(log.header.server.model));
    put("tokenizer_id", json!(plan["tokenizer"]));
    put("num_prompts", json!(summary.counts.planned));
    put("request_rate", plan["request_rate"].as_f64().map_or_else(|| json!("inf"), |rate| json!(rate)));
    put("burstiness", json!(plan["burstiness"]));
    put("max_concurrency", json!(plan["max_concurrency"]));
    put("duration", json!(summary.duration_s));
    put("completed", json!(summary.counts.complete));
    put("failed", json!(summary.counts.failed));
    put("total_input_tokens", json!(totals.input_tokens));
    put("total_output_tokens", json!(totals.output_tokens));
    put("request_throughput", json!(rates.requests_per_s));
    put("request_goodput", json!(summary.goodput.as_ref().and_then(|goodput| goodput.requests_per_s)));
    put("output_throughput", json!(rates.output_tokens_per_s));
    put("total_token_throughput", json!(rates.total_tokens_with_images_per_s));
    details(log, how, &mut out);
    out.insert("max_output_tokens_per_s".into(), json!(rates.peak_output_tokens_per_s));
    out.insert("max_concurrent_requests".into(), json!(rates.concurrency_max));
    // Seconds of audio transcribed per second; no request holds any.
    out.insert("rtfx".into(), json!(0.0));
    for (ours, theirs) in [("ttft_ms", "ttft_ms"), ("tpot_ms", "tpot_ms"), ("itl_ms", "itl_ms"), ("e2e_ms", "e2el_ms")]
    {
        let metric = summary.metric(ours);
        let figure = |pick: fn(&crate::summary::MetricSummary) -> f64| json!(metric.map(pick));
        out.insert(format!("mean_{theirs}"), figure(|metric| metric.mean.value));
        out.insert(format!("median_{theirs}"), figure(|metric| metric.median.value));
        out.insert(format!("std_{theirs}"), figure(|metric| metric.std));
        out.insert(format!("p50_{theirs}"), figure(|metric| metric.median.value));
        out.insert(format!("p90_{theirs}"), figure(|metric| metric.p90.value));
        out.insert(format!("p95_{theirs}"), figure(|metric| metric.p95.value));
        out.insert(format!("p99_{theirs}"), figure(|metric| metric.p99.value));
    }
    Value::Object(out)
}

/// The lists with one entry for each measured request, in seconds. Scripts feed them to numpy, so they hold no null: where
/// a request has no value stands what that tool leaves there (0, an empty list, an empty text), and `errors` says why.
fn details(log: &RunLog, how: &Summarise, out: &mut Map<String, Value>) {
    let clock = usable_clock(log, how.clock);
    let lines: Vec<Timeline<'_>> = log
        .records
        .iter()
        .filter(|record| record.phase == Phase::Measured)
        .map(|record| Timeline::new(record, how.definitions, clock))
        .collect();
    let text_tokens = |prompt: u32| *log.footer.as_ref()?.text_tokens.counts.get(prompt as usize)?;
    let list = |pick: &dyn Fn(&Timeline<'_>) -> Value| Value::Array(lines.iter().map(pick).collect());
    // As there: the server's count, else the client's of the text.
    out.insert(
        "input_lens".into(),
        list(&|line| {
            let billed = line.record.usage.and_then(|usage| usage.prompt);
            json!(billed.or_else(|| text_tokens(line.record.prompt)).unwrap_or(0))
        }),
    );
    out.insert("output_lens".into(), list(&|line| json!(line.output_tokens().unwrap_or(0))));
    out.insert("ttfts".into(), list(&|line| json!(seconds(line.record.sent_ns, line.first_token_ns()))));
    out.insert("itls".into(), list(&|line| json!(line.gaps().map(|(gap, _)| gap as f64 / 1e9).collect::<Vec<f64>>())));
    out.insert("latencies".into(), list(&|line| json!(seconds(line.record.sent_ns, line.last_event_ns))));
    out.insert("start_times".into(), list(&|line| json!(seconds(Some(0), line.record.sent_ns))));
    out.insert("queue_times".into(), list(&|line| json!(seconds(Some(line.record.intended_ns), line.record.sent_ns))));
    out.insert("generated_texts".into(), list(&|line| json!(line.record.text.as_deref().unwrap_or_default())));
    out.insert(
        "errors".into(),
        list(&|line| match line.record.outcome {
            Outcome::Complete => json!(""),
            _ => json!(format!("{}: {}", line.record.outcome.name(), line.record.outcome.cause(Lang::En))),
        }),
    );
}

/// 0 where either end is missing.
fn seconds(from_ns: Option<u64>, to_ns: Option<u64>) -> f64 {
    from_ns.zip(to_ns).map_or(0.0, |(from, to)| (i128::from(to) - i128::from(from)) as f64 / 1e9)
}
