//! The whole report as plain text: what stands on stderr beneath a run, and what `report` prints.

use crate::lang::Lang;
use crate::metric::METRICS;
use crate::runlog::RunLog;
use crate::summary::{MetricSummary, RunSummary};
use std::fmt::Write;

/// Outcomes, figures with their intervals, image tokens and cautions.
#[must_use]
pub fn story(log: &RunLog, summary: &RunSummary, lang: Lang) -> String {
    let mut out = String::new();
    outcomes(&mut out, summary, lang);
    figures(&mut out, summary, lang);
    rates(&mut out, summary, lang);
    token_counts(&mut out, summary, lang);
    image_tokens(&mut out, log, lang);
    for caution in &summary.cautions {
        line(&mut out, &format!("{}: {}", lang.pick("caution", "注意"), plain(&caution.text(lang))));
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

fn outcomes(out: &mut String, summary: &RunSummary, lang: Lang) {
    let counts = &summary.counts;
    let unfinished = if summary.complete_run { "" } else { lang.pick(" [INCOMPLETE RUN]", "【未完成】") };
    let unrecorded = match counts.unrecorded {
        0 => String::new(),
        n => lang.pick(format!(", {n} without a record"), format!("，无记录 {n}")),
    };
    line(
        out,
        &lang.pick(
            format!(
                "requests: {} planned, {} complete, {} not{unrecorded}{unfinished}",
                counts.planned, counts.complete, counts.failed
            ),
            format!(
                "请求：计划 {}，成功 {}，未成功 {}{unrecorded}{unfinished}",
                counts.planned, counts.complete, counts.failed
            ),
        ),
    );
    let mut causes: Vec<(&String, &u64)> = counts.by_cause.iter().collect();
    causes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (cause, count) in causes.iter().take(CAUSES_MAX) {
        line(out, &format!("  {count} × {}", one_line(cause)));
    }
    let rest: u64 = causes.iter().skip(CAUSES_MAX).map(|(_, count)| **count).sum();
    if rest > 0 {
        let kinds = causes.len() - CAUSES_MAX;
        line(out, &lang.pick(format!("  {rest} × {kinds} other causes"), format!("  {rest} × 其他 {kinds} 种原因")));
    }
}

/// Words from elsewhere (a server's, a file's name) on one line, without what steers a terminal.
fn plain(words: &str) -> String {
    words.split_whitespace().collect::<Vec<_>>().join(" ").replace(char::is_control, "")
}

/// A server's words, cut.
fn one_line(words: &str) -> String {
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
        let Some(figure) = summary.metric(metric.name) else { continue };
        let _ = writeln!(out, "{} {}", pad(metric.title(lang), width), row(figure));
    }
}

fn row(figure: &MetricSummary) -> String {
    let interval = figure.mean.interval.map_or_else(|| "-".into(), |i| format!("[{:.3}, {:.3}]", i.low, i.high));
    format!(
        "{:>6} {:>10.3} {:>21} {:>10.3} {:>10.3} {:>10.3} {:>10.3}",
        figure.n, figure.mean.value, interval, figure.median.value, figure.p90.value, figure.p99.value, figure.max
    )
}

fn rates(out: &mut String, summary: &RunSummary, lang: Lang) {
    let known = |value: Option<f64>| value.map_or_else(|| "n/a".into(), |value| format!("{value:.2}"));
    let rates = &summary.throughput;
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
            &lang.pick(format!("burst: sent within {spread:.3} ms"), format!("突发：在 {spread:.3} ms 内全部发出")),
        );
    }
    if let Some(goodput) = &summary.goodput {
        let limits: Vec<String> =
            goodput.limits.iter().map(|limit| format!("{} ≤ {}", limit.metric, limit.max)).collect();
        line(
            out,
            &format!(
                "goodput: {} req/s ({} {}; {})",
                known(goodput.requests_per_s),
                goodput.good,
                lang.pick("requests", "个请求"),
                limits.join(", ")
            ),
        );
    }
}

/// Every count with who counted it.
fn token_counts(out: &mut String, summary: &RunSummary, lang: Lang) {
    let totals = &summary.totals;
    let known = |count: Option<u64>| count.map_or_else(|| "n/a".into(), |count| count.to_string());
    let source = totals.text_tokens_source.clone().unwrap_or_else(|| lang.pick("unknown", "未知").into());
    let by_client = match totals.retokenised {
        0 => String::new(),
        n => lang.pick(
            format!(", of which the client counted those of {n} requests"),
            format!("，其中 {n} 个请求由客户端统计"),
        ),
    };
    line(
        out,
        &lang.pick(
            format!(
                "input tokens: {} of text (counted by: {source}), {} billed by the server; output tokens: {}{by_client}",
                known(totals.text_input_tokens),
                known(totals.input_tokens),
                known(totals.output_tokens)
            ),
            format!(
                "输入 token：文本 {}（统计者：{source}），服务端计费 {}；输出 token：{}{by_client}",
                known(totals.text_input_tokens),
                known(totals.input_tokens),
                known(totals.output_tokens)
            ),
        ),
    );
}

fn image_tokens(out: &mut String, log: &RunLog, lang: Lang) {
    let Some(record) = log.records.iter().find(|r| !r.images.is_empty() && r.usage.is_some_and(|u| u.prompt.is_some()))
    else {
        return;
    };
    let expected = log.header.expected_tokens(&record.images);
    let order = match log.header.plan["order"].as_str() {
        Some("image-first") => lang.pick(", images before the text", "，图像在文本之前"),
        Some("text-first") => lang.pick(", text before the images", "，文本在图像之前"),
        _ => "",
    };
    let (Some(expected), Some(billed)) = (expected, record.usage.and_then(|usage| usage.prompt)) else {
        line(
            out,
            &lang.pick(
                format!("images a request: {}{order}", record.images.len()),
                format!("每个请求的图像数：{}{order}", record.images.len()),
            ),
        );
        return;
    };
    // Requests of a folder hold pictures of several sizes: the first one's figures stand for themselves only.
    let differ = log
        .records
        .iter()
        .any(|other| !other.images.is_empty() && log.header.expected_tokens(&other.images) != Some(expected));
    let which = if differ { lang.pick(" of the first request", "（首个请求）") } else { "" };
    line(
        out,
        &lang.pick(
            format!(
                "image tokens{which}: {expected} expected by the preprocessor settings; {billed} prompt tokens billed in all{order}"
            ),
            format!("图像 token{which}：按预处理设置应为 {expected}；服务端输入共计费 {billed}{order}"),
        ),
    );
}

/// Padded to `width` columns; a Chinese character takes two.
fn pad(text: &str, width: usize) -> String {
    let columns: usize = text.chars().map(|c| if ('\u{2e80}'..='\u{ffef}').contains(&c) { 2 } else { 1 }).sum();
    format!("{text}{}", " ".repeat(width.saturating_sub(columns)))
}
