//! `/metrics` in Prometheus' text format, with vLLM 0.32.0's names and labels. What has no meaning here (GPUs, transfers
//! between servers) is left out.

use std::fmt::Write;

use engine::engine::{EngineStats, Histogram};

use super::served::Served;

/// Everything, as one text.
pub(super) fn page(served: &Served) -> String {
    let stats = served.engine.stats();
    let model = served.names.first().map(String::as_str).unwrap_or_default();
    let mut page =
        Page { text: String::new(), engine: "engine=\"0\"", model: format!("model_name=\"{}\"", escaped(model)) };
    levels(&mut page, &stats);
    counters(&mut page, &stats, served);
    histograms(&mut page, &stats);
    page.info(served, &stats);
    page.text
}

fn levels(page: &mut Page, stats: &EngineStats) {
    let scheduler = &stats.scheduler;
    let (running, waiting) = (scheduler.running as f64, scheduler.waiting as f64);
    page.gauge("vllm:num_requests_running", "Number of requests in model execution batches.", &[("", running)]);
    page.gauge("vllm:num_requests_waiting", "Number of requests waiting to be processed.", &[("", waiting)]);
    page.gauge(
        "vllm:num_requests_waiting_by_reason",
        "Number of waiting requests by reason: 'capacity' waits for room, 'deferred' does not occur here.",
        &[("reason=\"capacity\"", waiting), ("reason=\"deferred\"", 0.0)],
    );
    let usage = if scheduler.blocks == 0 { 0.0 } else { scheduler.blocks_used as f64 / scheduler.blocks as f64 };
    page.gauge("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", &[("", usage)]);
}

/// The values of a metric, each with the label that tells it from the others.
type Values<'a> = Vec<(&'a str, u64)>;

fn counters(page: &mut Page, stats: &EngineStats, served: &Served) {
    let scheduler = &stats.scheduler;
    let (queries, hits) = (scheduler.prefix_queries_tokens, scheduler.prefix_hits_tokens);
    let (pictures, known) = served.media.queries_and_hits();
    let cached = hits.min(stats.prompt_tokens);
    let finished = stats.finished;
    let of = |value: u64| vec![("", value)];
    let all: [(&str, &str, Values<'_>); 9] = [
        ("vllm:prefix_cache_queries", "Prefix cache queries, in terms of number of queried tokens.", of(queries)),
        ("vllm:prefix_cache_hits", "Prefix cache hits, in terms of number of cached tokens.", of(hits)),
        ("vllm:mm_cache_queries", "Pictures that were asked for.", of(pictures as u64)),
        ("vllm:mm_cache_hits", "Pictures that had been decoded for an earlier request.", of(known as u64)),
        ("vllm:num_preemptions", "Cumulative number of preemption from the engine.", of(scheduler.preemptions)),
        ("vllm:prompt_tokens", "Number of prefill tokens processed.", of(stats.prompt_tokens)),
        ("vllm:prompt_tokens_cached", "Number of cached prompt tokens (local + external).", of(cached)),
        ("vllm:generation_tokens", "Number of generation tokens processed.", of(stats.generation_tokens)),
        (
            "vllm:request_success",
            "Count of successfully processed requests.",
            vec![
                ("finished_reason=\"stop\"", finished.stop),
                ("finished_reason=\"length\"", finished.length),
                ("finished_reason=\"abort\"", finished.abort),
                ("finished_reason=\"error\"", finished.error),
            ],
        ),
    ];
    for (name, help, values) in all {
        page.counter(name, help, &values);
    }
    let refused = [("reason=\"max_num_queued_reqs\"", stats.refused_queue_full)];
    page.counter("vllm:admission_rejections", "Number of requests rejected by a queue limit, by reason.", &refused);
}

fn histograms(page: &mut Page, stats: &EngineStats) {
    let all: [(&str, &str, &Histogram); 12] = [
        ("vllm:request_prompt_tokens", "Number of prefill tokens processed.", &stats.request_prompt_tokens),
        ("vllm:request_generation_tokens", "Number of generation tokens processed.", &stats.request_generation_tokens),
        ("vllm:iteration_tokens_total", "Histogram of number of tokens per engine_step.", &stats.step_tokens),
        ("vllm:request_params_max_tokens", "Histogram of the max_tokens request parameter.", &stats.request_max_tokens),
        ("vllm:time_to_first_token_seconds", "Histogram of time to first token in seconds.", &stats.ttft_s),
        ("vllm:inter_token_latency_seconds", "Histogram of inter-token latency in seconds.", &stats.itl_s),
        (
            "vllm:request_time_per_output_token_seconds",
            "Histogram of time_per_output_token_seconds per request.",
            &stats.tpot_s,
        ),
        ("vllm:e2e_request_latency_seconds", "Histogram of e2e request latency in seconds.", &stats.e2e_s),
        ("vllm:request_queue_time_seconds", "Histogram of time spent in WAITING phase for request.", &stats.queue_s),
        (
            "vllm:request_inference_time_seconds",
            "Histogram of time spent in RUNNING phase for request.",
            &stats.inference_s,
        ),
        (
            "vllm:request_prefill_time_seconds",
            "Histogram of time spent in PREFILL phase for request.",
            &stats.prefill_s,
        ),
        ("vllm:request_decode_time_seconds", "Histogram of time spent in DECODE phase for request.", &stats.decode_s),
    ];
    for (name, help, histogram) in all {
        page.histogram(name, help, histogram);
    }
}

/// The text so far, and the labels that stand on every line.
struct Page {
    text: String,
    engine: &'static str,
    model: String,
}

impl Page {
    fn gauge(&mut self, name: &str, help: &str, values: &[(&str, f64)]) {
        self.head(name, help, "gauge");
        for (label, value) in values {
            self.line(name, label, &number(*value));
        }
    }

    fn counter(&mut self, name: &str, help: &str, values: &[(&str, u64)]) {
        let name = format!("{name}_total");
        self.head(&name, help, "counter");
        for (label, value) in values {
            self.line(&name, label, &number(*value as f64));
        }
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, help, "histogram");
        let bucket = format!("{name}_bucket");
        for (bound, count) in histogram.cumulative() {
            let label = format!("le=\"{}\"", number(bound));
            self.line(&bucket, &label, &number(count as f64));
        }
        self.line(&format!("{name}_count"), "", &number(histogram.count() as f64));
        self.line(&format!("{name}_sum"), "", &number(histogram.sum()));
    }

    fn info(&mut self, served: &Served, stats: &EngineStats) {
        self.head("vllm:cache_config_info", "Information of the LLMEngine CacheConfig", "gauge");
        let caching = if served.prefix_caching { "True" } else { "False" };
        let label = format!(
            "block_size=\"{}\",enable_prefix_caching=\"{caching}\",num_cpu_blocks=\"{}\",num_gpu_blocks=\"0\"",
            served.block_tokens, stats.scheduler.blocks
        );
        self.line("vllm:cache_config_info", &label, "1.0");
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        // Writing into a string does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, label: &str, value: &str) {
        // Labels are in the order of their names, as Python's client writes them.
        let mut labels = [self.engine, &self.model, label];
        labels.sort_unstable();
        let labels = labels.join(",");
        let labels = labels.trim_start_matches(',');
        let _ = writeln!(self.text, "{name}{{{labels}}} {value}");
    }
}

/// A number as Python's client writes it.
fn number(value: f64) -> String {
    match value {
        value if value.is_infinite() => "+Inf".to_owned(),
        value => format!("{value:?}"),
    }
}

/// A label's value (Prometheus' text format).
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
