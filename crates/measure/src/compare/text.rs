//! A comparison as plain text, and as rows for a spreadsheet.

use super::{ComparedAnswers, ComparedFigure, ComparedRun, Comparison, Difference, DifferingAnswer, Intervals, Ratio};
use crate::lang::Lang;
use crate::report::{causes, graded, head, one_line, plain, requests};
use serde_json::Value;
use std::fmt::Write;

/// So many differing answers are shown of two runs.
const SHOWN_MAX: usize = 3;
/// So much of a differing answer is shown, from where they part.
const EXCERPT_CHARS: usize = 40;
/// Columns of a figure's name, of a value and of a ratio.
const NAME_WIDTH: usize = 34;
const VALUE_WIDTH: usize = 12;
const RATIO_WIDTH: usize = 10;

impl Comparison {
    /// Which runs, what was asked differently, the figures, the answers, and the cautions of each run.
    #[must_use]
    pub fn text(&self, lang: Lang) -> String {
        let mut out = self.head(lang);
        self.table(&mut out, lang);
        out + &self.tail(lang)
    }

    /// All that stands around the figures in [`Comparison::text`]: what a reader of the rows needs too.
    #[must_use]
    pub fn remarks(&self, lang: Lang) -> String {
        self.head(lang) + &self.tail(lang)
    }

    /// Which runs, and what was asked differently.
    fn head(&self, lang: Lang) -> String {
        let mut out = String::new();
        for (number, run) in self.runs.iter().enumerate() {
            let _ = writeln!(out, "{}  {}", letter(number), plain(&run.name));
            for text in described(run, lang) {
                let _ = writeln!(out, "   {text}");
            }
        }
        for difference in &self.asked_differently {
            let _ = writeln!(out, "{}", difference_text(difference, lang));
        }
        out
    }

    /// The answers, and the cautions of each run.
    fn tail(&self, lang: Lang) -> String {
        let mut out = String::new();
        let of_length = ["output_len", "ignore_eos"];
        let is_of_length = |difference: &Difference| matches!(difference, Difference::Setting { name, .. } if of_length.contains(&name.as_str()));
        let lengths_differ = self.asked_differently.iter().any(is_of_length);
        for (number, answers) in self.answers.iter().enumerate() {
            write_answers(&mut out, &letter(number + 1), answers, lengths_differ, lang);
        }
        self.cautions(&mut out, lang);
        out
    }

    /// The figures as rows, heading first: the name, each run's value, each further run's ratio to the first. Unknown is empty.
    #[must_use]
    pub fn rows(&self) -> Vec<Vec<String>> {
        let names = || self.runs.iter().map(|run| run.name.clone());
        let first = names().next().unwrap_or_default();
        let ratios = names().skip(1).map(|name| format!("{name} / {first}"));
        let head = std::iter::once("figure".to_owned()).chain(names()).chain(ratios).collect();
        let known = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value}"));
        let row = |figure: &ComparedFigure| {
            let values = figure.values.iter().map(|value| known(*value));
            let ratios = figure.ratios.iter().map(|ratio| known(ratio.map(|ratio| ratio.value)));
            std::iter::once(figure.name.clone()).chain(values).chain(ratios).collect()
        };
        std::iter::once(head).chain(self.figures.iter().map(row)).collect()
    }

    fn table(&self, out: &mut String, lang: Lang) {
        let letters = (0..self.runs.len()).map(|number| format!("{:>VALUE_WIDTH$}", letter(number)));
        let ratios = (1..self.runs.len()).map(|number| format!("{:>RATIO_WIDTH$}  ", ratio_title(number)));
        let head: String = letters.chain(ratios).collect();
        let _ = writeln!(out, "{:NAME_WIDTH$}{}", "", head.trim_end());
        for figure in &self.figures {
            let values = figure.texts.iter().map(|value| format!("{value:>VALUE_WIDTH$}"));
            let ratios = figure.ratios.iter().map(|ratio| ratio_text(*ratio));
            let row: String = values.chain(ratios).collect();
            let _ = writeln!(out, "{:<NAME_WIDTH$}{}", figure.name, row.trim_end());
        }
        // Counts and rates have no interval in any run.
        let latencies = self.figures.iter().filter(|figure| figure.name.ends_with("(ms)"));
        let told: Vec<Ratio> = latencies.flat_map(|figure| &figure.ratios).flatten().copied().collect();
        for (intervals, words) in legend(lang) {
            if told.iter().any(|ratio| ratio.intervals == Some(intervals)) {
                let _ = writeln!(out, "{words}");
            }
        }
        if !told.is_empty() && told.iter().all(|ratio| ratio.intervals.is_none()) {
            let text = lang.pick(
                "no figure has a 95 % interval of 10 values or more in both: a ratio may be chance; --num-prompts gives more values",
                "没有两边都有 95 % 区间且不少于 10 个值的数字：比值可能是偶然；用 --num-prompts 取得更多值",
            );
            let _ = writeln!(out, "{text}");
        }
    }

    /// Each caution once, with the runs that deserve it.
    fn cautions(&self, out: &mut String, lang: Lang) {
        let mut told: Vec<(String, Vec<String>)> = Vec::new();
        for (number, run) in self.runs.iter().enumerate() {
            for caution in &run.summary.cautions {
                let text = plain(&caution.text(lang));
                match told.iter_mut().find(|(other, _)| *other == text) {
                    Some((_, letters)) => letters.push(letter(number)),
                    None => told.push((text, vec![letter(number)])),
                }
            }
        }
        for (text, letters) in told {
            let of = letters.join(lang.pick(", ", "、"));
            let _ = writeln!(out, "{}", lang.pick(format!("caution ({of}): {text}"), format!("注意（{of}）：{text}")));
        }
    }
}

/// What the marks behind ratios mean.
fn legend(lang: Lang) -> [(Intervals, &'static str); 3] {
    [
        (
            Intervals::Apart,
            lang.pick(
                "* the 95 % intervals lie apart: of the requests of a run; how runs differ is seen by repeating them",
                "* 95 % 区间不重叠：指一次运行内各请求的波动；运行之间的差别需重复运行才能看出",
            ),
        ),
        (
            Intervals::WithinClientError,
            lang.pick("± apart by no more than the clients may be wrong", "± 相差不超过客户端可能的误差"),
        ),
        (Intervals::Overlap, lang.pick("≈ the 95 % intervals overlap: not told apart", "≈ 95 % 区间重叠：不能区分")),
    ]
}

/// Runs are called A, B, … Z, then 27, 28, ….
fn letter(number: usize) -> String {
    let letter = u8::try_from(number).ok().filter(|number| *number < 26).map(|number| char::from(b'A' + number));
    letter.map_or_else(|| (number + 1).to_string(), String::from)
}

fn ratio_title(number: usize) -> String {
    format!("{}/A", letter(number))
}

/// A run without its figures: the head of its report, what became of its requests, how right its answers are, and how far the
/// client may be wrong.
fn described(run: &ComparedRun, lang: Lang) -> Vec<String> {
    let summary = &run.summary;
    let mut lines = head(summary, lang);
    lines.push(requests(summary, lang));
    lines.extend(causes(&summary.counts.by_cause, lang));
    lines.extend(summary.grade.as_ref().map(|grade| graded(grade, lang)));
    if summary.counts.complete > 0 {
        lines.push(summary.client.text(lang));
    }
    lines
}

fn difference_text(difference: &Difference, lang: Lang) -> String {
    match difference {
        Difference::Setting { name, values } => {
            let values = lettered(values.iter().map(|value| shown(value, lang)), lang);
            lang.pick(format!("not the same {name}: {values}"), format!("{name} 不同：{values}"))
        }
        Difference::Questions { asked, shared } => {
            let counts = asked.iter().zip(shared).enumerate().map(|(number, (asked, shared))| match number {
                0 => asked.to_string(),
                _ => lang.pick(
                    format!("{asked}, {shared} of them as in A"),
                    format!("{asked}（其中 {shared} 个与 A 相同）"),
                ),
            });
            let counts = lettered(counts, lang);
            lang.pick(
                format!("not the same questions (prompt and images): {counts}"),
                format!("问题（提示与图像）不同：{counts}"),
            )
        }
        Difference::BilledTokens { means } => {
            let means = lettered(means.iter().map(|mean| format!("{}", (mean * 100.0).round() / 100.0)), lang);
            lang.pick(
                format!(
                    "not the same prompt tokens billed for the same questions, mean: {means} (another chat template or size of the images)"
                ),
                format!("相同问题计费的输入 token 不同，平均：{means}（对话模板或图像尺寸不同）"),
            )
        }
        Difference::Expectations => lang
            .pick(
                "not the same --expect: the scores are of different examinations",
                "--expect 不同：得分来自不同的考题",
            )
            .to_owned(),
    }
}

/// `A 1; B 2`.
fn lettered(values: impl Iterator<Item = String>, lang: Lang) -> String {
    let values: Vec<String> = values.enumerate().map(|(number, value)| format!("{} {value}", letter(number))).collect();
    values.join(lang.pick("; ", "；"))
}

fn shown(value: &Value, lang: Lang) -> String {
    match value {
        Value::Null => lang.pick("none", "无").to_owned(),
        Value::String(text) => one_line(text),
        other => one_line(&other.to_string()),
    }
}

fn ratio_text(ratio: Option<Ratio>) -> String {
    let Some(ratio) = ratio else { return format!("{:>RATIO_WIDTH$}  ", "-") };
    let mark = match ratio.intervals {
        Some(Intervals::Apart) => '*',
        Some(Intervals::WithinClientError) => '±',
        Some(Intervals::Overlap) => '≈',
        None => ' ',
    };
    format!("{:>RATIO_WIDTH$.3} {mark}", ratio.value)
}

fn write_answers(out: &mut String, other: &str, answers: &ComparedAnswers, lengths_differ: bool, lang: Lang) {
    let ComparedAnswers { common, equal, differing } = answers;
    if *common == 0 {
        let text = lang.pick(
            format!("answers of A and {other}: no question was answered in both"),
            format!("A 与 {other} 的回答：没有两边都回答的问题"),
        );
        let _ = writeln!(out, "{text}");
        return;
    }
    let lengths = match lengths_differ && equal < common {
        true => lang.pick(" (the lengths asked for differ)", "（要求的长度不同）"),
        false => "",
    };
    let text = lang.pick(
        format!("answers of A and {other}: {equal} of {common} equal to the letter{lengths}"),
        format!("A 与 {other} 的回答：{common} 个中 {equal} 个逐字相同{lengths}"),
    );
    let _ = writeln!(out, "{text}");
    for answer in differing.iter().take(SHOWN_MAX) {
        let _ = writeln!(out, "  {}", differing_text(other, answer, lang));
    }
    let more = (common - equal).saturating_sub(SHOWN_MAX as u64);
    if more > 0 {
        let _ = writeln!(out, "{}", lang.pick(format!("  and {more} more"), format!("  另有 {more} 个")));
    }
}

fn differing_text(other: &str, answer: &DifferingAnswer, lang: Lang) -> String {
    let question = [answer.images.join(" "), format!("{:?}", answer.prompt)].join(" ");
    let question = one_line(question.trim_start());
    let (Some(common), Some(first), Some(second)) = (answer.common_chars, &answer.first, &answer.other) else {
        let not_kept = lang.pick("not kept; --detail text keeps all answers", "未保存；--detail text 可保存全部回答");
        return format!("{question}{}{not_kept}", lang.pick(": ", "："));
    };
    let excerpt = |text: &str| {
        let mut rest = text.chars().skip(common as usize);
        let head: String = rest.by_ref().take(EXCERPT_CHARS).collect();
        let more = if rest.next().is_some() { "…" } else { "" };
        match head.as_str() {
            "" => lang.pick("ends", "结束").to_owned(),
            head => format!("{head:?}{more}"),
        }
    };
    let (first, second) = (excerpt(first), excerpt(second));
    lang.pick(
        format!("{question}: the same for {common} characters, then A {first}, {other} {second}"),
        format!("{question}：前 {common} 个字符相同，之后 A {first}，{other} {second}"),
    )
}
