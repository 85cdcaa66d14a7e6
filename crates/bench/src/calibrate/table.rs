//! The table for people.

use super::{Calibration, Row};
use measure::Lang;

/// One line for each case.
pub(super) fn text(calibration: &Calibration, lang: Lang) -> String {
    let cpu = calibration.client.cpu.as_deref().unwrap_or("?");
    let mut out = format!("{}, {}, {cpu}\n", calibration.tool, calibration.client.os);
    out.push_str(lang.pick(
        "errors in µs, reported less true; TTFT as mean / P99 / max, TPOT and ITL as P99\n",
        "误差单位微秒，为报告值减真实值；TTFT 为平均 / P99 / 最大，TPOT 与 ITL 为 P99\n",
    ));
    let head = lang.pick(
        [
            "case",
            "true TTFT ms",
            "TTFT error",
            "TPOT",
            "ITL",
            "claimed ±",
            "kept",
            "events/s",
            "CPU µs/event",
            "RSS MB",
            "shared reads",
        ],
        [
            "情形",
            "真实 TTFT 毫秒",
            "TTFT 误差",
            "TPOT",
            "ITL",
            "声明 ±",
            "达到",
            "事件/秒",
            "CPU 微秒/事件",
            "RSS MB",
            "合并读取",
        ],
    );
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(calibration.rows.iter().map(|row| cells(row, lang)));
    let widths: Vec<usize> =
        (0..head.len()).map(|column| lines.iter().map(|line| width(&line[column])).max().unwrap_or_default()).collect();
    for line in &lines {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, wide))| {
                let pad = " ".repeat(wide - width(cell));
                if column == 0 { format!("{cell}{pad}") } else { format!("{pad}{cell}") }
            })
            .collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

fn cells(row: &Row, lang: Lang) -> [String; 11] {
    let number =
        |value: Option<f64>, digits: usize| value.map_or_else(|| "n/a".to_owned(), |value| format!("{value:.digits$}"));
    let percent = |value: Option<f64>| number(value, 1) + if value.is_some() { " %" } else { "" };
    let errors = &row.errors;
    let ttft =
        errors.ttft_us.as_ref().map(|ttft| format!("{:.1} / {:.1} / {:.1}", ttft.mean, ttft.abs_p99, ttft.abs_max));
    [
        row.case.name(lang),
        number(errors.ttft_true_ms, 2),
        ttft.unwrap_or_else(|| "n/a".into()),
        number(errors.tpot_us.as_ref().map(|tpot| tpot.abs_p99), 2),
        number(errors.itl_us.as_ref().map(|itl| itl.abs_p99), 1),
        number(row.claimed_us, 0),
        percent(row.within_claim_percent),
        number(row.events_per_s, 0),
        number(row.cpu_us_per_event, 1),
        number(row.rss_mb, 0),
        percent(errors.coalesced.map(|share| share * 100.0)),
    ]
}

/// Columns of a terminal: letters of East Asian scripts take two.
fn width(text: &str) -> usize {
    text.chars().map(|c| if c as u32 >= 0x2e80 { 2 } else { 1 }).sum()
}
