//! The block that the script prints, byte for byte: parsers read it, so nothing in it may move.

use crate::estimate::Estimate;
use crate::summary::RunSummary;
use std::fmt::Write;

/// The block, each line with its trailing spaces and LF. A value that is not known is `n/a`.
#[must_use]
pub fn block(summary: &RunSummary) -> String {
    let mut out = String::new();
    for (number, section) in sections(summary).iter().enumerate() {
        heading(&mut out, section.title, if number == 0 { '=' } else { '-' });
        for (label, cell) in &section.rows {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{label:<40} {:<10}", cell.text());
        }
    }
    out.push_str(&"=".repeat(50));
    out.push('\n');
    out
}

/// A part of the block with its heading.
pub(crate) struct Section {
    pub(crate) title: &'static str,
    /// The words before a value, colon included, and the value.
    pub(crate) rows: Vec<(String, Cell)>,
}

/// A value of the block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell {
    Count(Option<u64>),
    /// With the number of values that it is made of; 1 for a figure of the whole run.
    Figure(Option<Estimate>, u64),
}

impl Cell {
    /// As it is printed; `n/a` where it is not known.
    pub(crate) fn text(self) -> String {
        let text = match self {
            Self::Count(count) => count.map(|count| count.to_string()),
            Self::Figure(figure, _) => figure.map(|figure| format!("{:.2}", figure.value)),
        };
        text.unwrap_or_else(|| "n/a".into())
    }

    /// As a number, if it is known.
    pub(crate) fn value(self) -> Option<f64> {
        match self {
            Self::Count(count) => count.map(|count| count as f64),
            Self::Figure(figure, _) => figure.map(|figure| figure.value),
        }
    }
}

/// The parts of the block, in order.
pub(crate) fn sections(summary: &RunSummary) -> [Section; 4] {
    let totals = &summary.totals;
    let rates = &summary.throughput;
    let bare = |value: Option<f64>| Cell::Figure(value.map(Estimate::bare), 1);
    let of_run = [
        ("Successful requests:", Cell::Count(Some(summary.counts.complete))),
        ("Benchmark duration (s):", bare(summary.duration_s)),
        ("Total input tokens:", Cell::Count(totals.text_input_tokens)),
        ("Total image and input tokens:", Cell::Count(totals.input_tokens)),
        ("Total generated tokens:", Cell::Count(totals.output_tokens)),
        ("Request throughput (req/s):", bare(rates.requests_per_s)),
        ("Output token throughput (tok/s):", bare(rates.output_tokens_per_s)),
        ("Total Token throughput (tok/s):", bare(rates.total_tokens_per_s)),
    ];
    let latency = |title, name, label| {
        let metric = summary.metric(name);
        let rows = [
            ("Mean", metric.map(|metric| metric.mean)),
            ("Median", metric.map(|metric| metric.median)),
            ("P99", metric.map(|metric| metric.p99)),
        ];
        let n = metric.map_or(0, |metric| metric.n);
        let rows = rows.map(|(statistic, figure)| (format!("{statistic} {label} (ms):"), Cell::Figure(figure, n)));
        Section { title, rows: rows.to_vec() }
    };
    [
        Section {
            title: " Serving Benchmark Result ",
            rows: of_run.map(|(label, cell)| (label.to_owned(), cell)).to_vec(),
        },
        latency("Time to First Token", "ttft_ms", "TTFT"),
        latency("Time per Output Token (excl. 1st token)", "tpot_ms", "TPOT"),
        latency("Inter-token Latency", "itl_ms", "ITL"),
    ]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::{ClientVerdict, Counts, MetricSummary, RunFacts, Throughput, Totals};
    use crate::timeline::{Clock, Definitions};

    fn metric(name: &str, mean: f64, median: f64, p99: f64) -> MetricSummary {
        MetricSummary {
            name: name.into(),
            n: 1,
            undefined: 0,
            mean: Estimate::bare(mean),
            std: 0.0,
            median: Estimate::bare(median),
            p90: Estimate::bare(p99),
            p95: Estimate::bare(p99),
            p99: Estimate::bare(p99),
            min: mean,
            max: p99,
        }
    }

    /// A run with the figures of one of the two logs of the procedure.
    fn summary(output: u64, duration_s: f64, rates: [f64; 3], metrics: Vec<MetricSummary>) -> RunSummary {
        RunSummary {
            schema: 1,
            run: RunFacts::default(),
            definitions: Definitions::Standard,
            clock: Clock::Kernel,
            requests_by_kernel_clock: 1,
            complete_run: true,
            counts: Counts { planned: 1, complete: 1, ..Counts::default() },
            duration_s: Some(duration_s),
            totals: Totals {
                text_input_tokens: Some(3),
                input_tokens: Some(1145),
                output_tokens: Some(output),
                ..Totals::default()
            },
            throughput: Throughput {
                requests_per_s: Some(rates[0]),
                output_tokens_per_s: Some(rates[1]),
                total_tokens_per_s: Some(rates[2]),
                ..Throughput::default()
            },
            goodput: None,
            slo: Vec::new(),
            grade: None,
            metrics,
            burst_spread_ms: None,
            image_proof: None,
            server_times: Vec::new(),
            client: ClientVerdict::default(),
            cautions: Vec::new(),
        }
    }

    fn check(log: &str, summary: &RunSummary) {
        let at = log.find("============ Serving").unwrap();
        assert_eq!(block(summary).lines().collect::<Vec<_>>(), log[at..].lines().take(22).collect::<Vec<_>>());
    }

    #[test]
    fn the_blocks_of_the_procedure_to_the_letter() {
        let accuracy = [
            metric("ttft_ms", 81.17, 81.17, 81.17),
            metric("tpot_ms", 16.42, 16.42, 16.42),
            metric("itl_ms", 16.25, 16.41, 16.63),
        ];
        // 97 tokens in 1.6584 s: 0.603 req/s, 58.49 tok/s, (3 + 97) / 1.6584 = 60.30.
        check(
            include_str!("../../../tests/data/logs/seed_accuracy.txt"),
            &summary(97, 1.6584, [1.0 / 1.6584, 97.0 / 1.6584, 100.0 / 1.6584], accuracy.to_vec()),
        );
        let performance = [
            metric("ttft_ms", 82.05, 82.05, 82.05),
            metric("tpot_ms", 16.44, 16.44, 16.44),
            metric("itl_ms", 16.41, 16.44, 16.59),
        ];
        check(
            include_str!("../../../tests/data/logs/seed_performance.txt"),
            &summary(512, 8.4849, [1.0 / 8.4849, 512.0 / 8.4849, 515.0 / 8.4849], performance.to_vec()),
        );
    }

    #[test]
    fn what_is_not_known_is_not_a_number() {
        let mut summary = summary(1, 1.0, [1.0; 3], Vec::new());
        summary.totals.text_input_tokens = None;
        let text = block(&summary);
        assert!(text.contains("Total input tokens:                      n/a       \n"), "{text}");
        assert!(text.contains("Mean TPOT (ms):                          n/a       \n"), "{text}");
    }
}
