//! The whole report as plain text: what stands on stderr beneath a run, and what `report` prints.

use crate::lang::Lang;
use crate::metric::METRICS;
use crate::record::Phase;
use crate::runlog::{RunLog, ServerTime};
use crate::summary::{MetricSummary, RunSummary};
use std::collections::BTreeMap;
use std::fmt::Write;

mod grade;
mod head;
mod tokens;

pub(crate) use grade::graded;
pub(crate) use head::head;

/// Which run and which server, outcomes, figures with their intervals, limits, tokens and cautions.
#[must_use]
pub fn report(log: &RunLog, summary: &RunSummary, lang: Lang) -> String {
    let mut out = String::new();
    head(summary, lang).iter().for_each(|text| line(&mut out, text));
    outcomes(&mut out, log, summary, lang);
    if summary.counts.complete > 0 {
        figures(&mut out, summary, lang);
        server_times(&mut out, summary, lang);
        rates(&mut out, summary, lang);
    }
    limits(&mut out, summary, lang);
    grade::grade(&mut out, summary, lang);
    if summary.counts.complete > 0 {
        tokens::token_counts(&mut out, summary, lang);
        tokens::image_tokens(&mut out, log, lang);
        line(&mut out, &summary.client.text(lang));
    }
    for caution in &summary.cautions {
        line(&mut out, &format!("{}{}", lang.pick("caution: ", "注意："), plain(&caution.text(lang))));
    }
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// Failures of so many kinds are named, the most frequent first.
const CAUSES_MAX: usize = 10;
/// So much of a cause is shown.
const CAUSE_CHARS_MAX: usize = 300;

/// How many requests were planned and how they ended, failures by cause.
fn outcomes(out: &mut String, log: &RunLog, summary: &RunSummary, lang: Lang) {
    line(out, &requests(summary, lang));
    let measured = log.records.iter().filter(|record| record.phase == Phase::Measured);
    causes(&crate::summary::causes(measured, lang), lang).iter().for_each(|text| line(out, text));
}

/// A line for each cause of failures, the most frequent first.
pub(crate) fn causes(by_cause: &BTreeMap<String, u64>, lang: Lang) -> Vec<String> {
    let mut causes: Vec<(&String, &u64)> = by_cause.iter().collect();
    causes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let shown = causes.iter().take(CAUSES_MAX).map(|(cause, count)| format!("  {count} × {}", one_line(cause)));
    let rest: u64 = causes.iter().skip(CAUSES_MAX).map(|(_, count)| **count).sum();
    let others = (rest > 0).then(|| {
        let kinds = causes.len() - CAUSES_MAX;
        lang.pick(format!("  {rest} × {kinds} other causes"), format!("  {rest} × 其他 {kinds} 种原因"))
    });
    shown.chain(others).collect()
}

/// How many requests were planned, and how many of them were complete.
pub(crate) fn requests(summary: &RunSummary, lang: Lang) -> String {
    let counts = &summary.counts;
    let unfinished = if summary.complete_run { "" } else { lang.pick(" [INCOMPLETE RUN]", "【未完成】") };
    let unrecorded = match counts.unrecorded {
        0 => String::new(),
        n => lang.pick(format!(", {n} without a record"), format!("，无记录 {n}")),
    };
    let (planned, complete, failed) = (counts.planned, counts.complete, counts.failed);
    lang.pick(
        format!("requests: {planned} planned, {complete} complete, {failed} not{unrecorded}{unfinished}"),
        format!("请求：计划 {planned}，成功 {complete}，未成功 {failed}{unrecorded}{unfinished}"),
    )
}

/// Words from elsewhere (a server's, a file's name) on one line, without what steers a terminal.
pub(crate) fn plain(words: &str) -> String {
    words.split_whitespace().collect::<Vec<_>>().join(" ").replace(char::is_control, "")
}

/// A server's words, cut.
pub(crate) fn one_line(words: &str) -> String {
    let mut text = plain(words);
    if let Some((at, _)) = text.char_indices().nth(CAUSE_CHARS_MAX) {
        text.truncate(at);
        text.push('…');
    }
    text
}

fn figures(out: &mut String, summary: &RunSummary, lang: Lang) {
    if summary.metrics.is_empty() {
        return;
    }
    let width = 24;
    let head = ["n", "mean", "[95 %]", "median", "P90", "P99", "max"];
    let _ = writeln!(
        out,
        "{} {:>6} {:>10} {:>21} {:>10} {:>10} {:>10} {:>10}",
        pad(lang.pick("ms", "毫秒"), width),
        head[0],
        head[1],
        head[2],
        head[3],
        head[4],
        head[5],
        head[6]
    );
    for metric in METRICS {
        let Some(figure) = summary.metric(metric.name).filter(|figure| !repeats_another(figure, summary)) else {
            continue;
        };
        let _ = writeln!(out, "{} {}", pad(metric.title(lang), width), row(figure));
    }
}

/// Rows that say something of their own only where they differ from another: with role events, with reasoning, under a cap.
const REPEATS: [(&str, &str); 3] =
    [("first_event_ms", "ttft_ms"), ("first_answer_ms", "ttft_ms"), ("queue_wait_ms", "send_lateness_ms")];

fn repeats_another(figure: &MetricSummary, summary: &RunSummary) -> bool {
    let other = REPEATS.iter().find(|(name, _)| *name == figure.name).and_then(|(_, other)| summary.metric(other));
    other.is_some_and(|other| MetricSummary { name: figure.name.clone(), ..other.clone() } == *figure)
}

/// One value is its own mean, median and maximum: it is shown once.
fn row(figure: &MetricSummary) -> String {
    let rest = match figure.n {
        1 => ["-", "-", "-", "-", "-"].map(str::to_owned),
        _ => [
            figure.mean.interval.map_or_else(|| "-".into(), |i| format!("[{:.3}, {:.3}]", i.low, i.high)),
            format!("{:.3}", figure.median.value),
            format!("{:.3}", figure.p90.value),
            format!("{:.3}", figure.p99.value),
            format!("{:.3}", figure.max),
        ],
    };
    let [interval, median, p90, p99, max] = rest;
    let (n, mean) = (figure.n, figure.mean.value);
    format!("{n:>6} {mean:>10.3} {interval:>21} {median:>10} {p90:>10} {p99:>10} {max:>10}")
}

/// The server's own view beside the client's: its TTFT holds neither the network nor the upload, nor reading the picture.
fn server_times(out: &mut String, summary: &RunSummary, lang: Lang) {
    let ends = [
        (ServerTime::TTFT, "TTFT"),
        (":request_queue_time_seconds", lang.pick("queue", "排队")),
        (":request_prefill_time_seconds", lang.pick("prefill", "prefill")),
        (ServerTime::END_TO_END, lang.pick("end to end", "端到端")),
    ];
    let parts: Vec<String> = ends
        .iter()
        .filter_map(|(end, title)| {
            let time = summary.server_times.iter().find(|time| time.name.ends_with(end))?;
            Some(format!("{title} {:.3} (n {})", time.mean_ms(), time.n))
        })
        .collect();
    let sent = summary.counts.complete + summary.counts.failed;
    let has_others = summary.server_times.iter().any(|time| time.name.ends_with(ServerTime::TTFT) && time.n > sent);
    let others = if has_others {
        lang.pick("; other clients' requests are in them", "；含其他客户端的请求")
    } else {
        ""
    };
    if !parts.is_empty() {
        line(
            out,
            &format!(
                "{}{}{others}",
                lang.pick(
                    "the server's own means from when it had a request, ms: ",
                    "服务端自收到请求起的平均值，毫秒："
                ),
                parts.join(", ")
            ),
        );
    }
}

fn rates(out: &mut String, summary: &RunSummary, lang: Lang) {
    let known = |value: Option<f64>| value.map_or_else(|| "n/a".into(), |value| format!("{value:.2}"));
    let rates = &summary.throughput;
    if let Some(offered) = rates.offered_requests_per_s {
        let achieved = known(rates.requests_per_s);
        let text = lang.pick(
            format!("requests/s: {offered:.2} offered, {achieved} achieved"),
            format!("请求/s：计划 {offered:.2}，实际 {achieved}"),
        );
        line(out, &text);
    }
    let text = lang.pick(
        format!(
            "tokens/s: output {}, peak {}, total with images {}; in flight at most {}",
            known(rates.output_tokens_per_s),
            known(rates.peak_output_tokens_per_s),
            known(rates.total_tokens_with_images_per_s),
            rates.concurrency_max.map_or_else(|| "n/a".into(), |most| most.to_string()),
        ),
        format!(
            "token/s：输出 {}，峰值 {}，含图像总计 {}；最大并发 {}",
            known(rates.output_tokens_per_s),
            known(rates.peak_output_tokens_per_s),
            known(rates.total_tokens_with_images_per_s),
            rates.concurrency_max.map_or_else(|| "n/a".into(), |most| most.to_string()),
        ),
    );
    line(out, &text);
    if let Some(spread) = summary.burst_spread_ms {
        line(
            out,
            &lang.pick(
                format!("first burst: sent within {spread:.3} ms"),
                format!("首次突发：在 {spread:.3} ms 内全部发出"),
            ),
        );
    }
}

/// What came of the limits that were given, kept ones too: that a limit was looked at is to be seen.
fn limits(out: &mut String, summary: &RunSummary, lang: Lang) {
    if let Some(goodput) = &summary.goodput {
        let limits: Vec<String> =
            goodput.limits.iter().map(|limit| format!("{} ≤ {}", limit.metric, limit.max)).collect();
        let rate = goodput.requests_per_s.map_or_else(|| "n/a".into(), |rate| format!("{rate:.2}"));
        let (good, limits) = (goodput.good, limits.join(", "));
        let requests = if good == 1 { "request" } else { "requests" };
        let text = lang.pick(
            format!("goodput: {rate} req/s ({good} {requests}; {limits})"),
            format!("合格请求：{rate} 请求/s（{good} 个请求；{limits}）"),
        );
        line(out, &text);
    }
    for limit in &summary.slo {
        let figure = format!("{} {}", limit.metric, limit.statistic.name());
        let unit = if limit.metric.ends_with("_ms") { " ms" } else { "" };
        let value = limit.value.map_or_else(|| "n/a".into(), |value| format!("{value:.3}{unit}"));
        let max = format!("{}{unit}", limit.max);
        let text = match limit.kept {
            true => lang.pick(
                format!("limit kept: {figure} is {value}, at most {max} was allowed"),
                format!("满足上限：{figure} 为 {value}，上限 {max}"),
            ),
            false => lang.pick(
                format!("limit missed: {figure} is {value}, at most {max} was allowed"),
                format!("未满足上限：{figure} 为 {value}，上限 {max}"),
            ),
        };
        line(out, &text);
    }
}

/// Padded to `width` columns; a Chinese character takes two.
fn pad(text: &str, width: usize) -> String {
    let columns: usize = text.chars().map(|c| if ('\u{2e80}'..='\u{ffef}').contains(&c) { 2 } else { 1 }).sum();
    format!("{text}{}", " ".repeat(width.saturating_sub(columns)))
}
