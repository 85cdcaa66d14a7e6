//! The block that the script prints, byte for byte: parsers read it, so nothing in it may move.

use crate::summary::RunSummary;
use std::fmt::Write;

/// The block, each line with its trailing spaces and LF. A value that is not known is `n/a`.
#[must_use]
pub fn block(summary: &RunSummary) -> String {
    let mut out = String::new();
    let totals = &summary.totals;
    let rates = &summary.throughput;
    heading(&mut out, " Serving Benchmark Result ", '=');
    integer(&mut out, "Successful requests:", Some(summary.counts.complete));
    float(&mut out, "Benchmark duration (s):", summary.duration_s);
    integer(&mut out, "Total input tokens:", totals.text_input_tokens);
    integer(&mut out, "Total image and input tokens:", totals.input_tokens);
    integer(&mut out, "Total generated tokens:", totals.output_tokens);
    float(&mut out, "Request throughput (req/s):", rates.requests_per_s);
    float(&mut out, "Output token throughput (tok/s):", rates.output_tokens_per_s);
    float(&mut out, "Total Token throughput (tok/s):", rates.total_tokens_per_s);
    for (name, label, title) in [
        ("ttft_ms", "TTFT", "Time to First Token"),
        ("tpot_ms", "TPOT", "Time per Output Token (excl. 1st token)"),
        ("itl_ms", "ITL", "Inter-token Latency"),
    ] {
        heading(&mut out, title, '-');
        let metric = summary.metric(name);
        float(&mut out, &format!("Mean {label} (ms):"), metric.map(|metric| metric.mean.value));
        float(&mut out, &format!("Median {label} (ms):"), metric.map(|metric| metric.median.value));
        float(&mut out, &format!("P99 {label} (ms):"), metric.map(|metric| metric.p99.value));
    }
    out.push_str(&"=".repeat(50));
    out.push('\n');
    out
}

/// Centred as Python's `str.center` / `{:=^50}` does: the odd fill character goes to the right.
fn heading(out: &mut String, title: &str, fill: char) {
    let fills = 50usize.saturating_sub(title.chars().count());
    let left = fills / 2;
    out.extend(std::iter::repeat_n(fill, left));
    out.push_str(title);
    out.extend(std::iter::repeat_n(fill, fills - left));
    out.push('\n');
}

fn integer(out: &mut String, label: &str, value: Option<u64>) {
    line(out, label, &value.map_or_else(|| "n/a".into(), |value| value.to_string()));
}

fn float(out: &mut String, label: &str, value: Option<f64>) {
    line(out, label, &value.map_or_else(|| "n/a".into(), |value| format!("{value:.2}")));
}

fn line(out: &mut String, label: &str, value: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{label:<40} {value:<10}");
}
