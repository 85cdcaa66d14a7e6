//! How right the answers of an accuracy run are.

use super::{line, one_line};
use crate::lang::Lang;
use crate::summary::{Grade, RunSummary, Tally, WrongAnswer};

/// So many wrong answers are shown.
const SHOWN_MAX: usize = 3;

pub(super) fn grade(out: &mut String, summary: &RunSummary, lang: Lang) {
    let Some(grade) = &summary.grade else { return };
    line(out, &graded(grade, lang));
    let mut groups: Vec<(&String, &Tally)> = grade.groups.iter().collect();
    // The worst first.
    groups.sort_by(|a, b| a.1.part().unwrap_or(1.0).total_cmp(&b.1.part().unwrap_or(1.0)));
    for (name, tally) in groups {
        line(out, &format!("  {:<20} {}", one_line(name), tally_text(*tally, lang)));
    }
    for wrong in grade.wrong.iter().take(SHOWN_MAX) {
        line(out, &wrong_text(wrong, lang));
    }
    let more = grade.wrong_answers.saturating_sub(SHOWN_MAX as u64);
    if more > 0 {
        line(out, &lang.pick(format!("  and {more} more wrong answers"), format!("  另有 {more} 个错误回答")));
    }
    if let Some(least) = grade.min_score {
        let score = grade.score.map_or_else(|| "n/a".into(), |score| cut(score, 4));
        let text = match summary.keeps_min_score() {
            true => lang.pick(
                format!("score kept: {score}, at least {least} was asked for"),
                format!("得分达标：{score}，要求至少 {least}"),
            ),
            false => lang.pick(
                format!("score missed: {score}, at least {least} was asked for"),
                format!("得分未达标：{score}，要求至少 {least}"),
            ),
        };
        line(out, &text);
    }
}

/// How much of what was expected is right, in one line.
pub(crate) fn graded(grade: &Grade, lang: Lang) -> String {
    let all = tally_text(grade.facts, lang);
    let mut parts = vec![lang.pick(format!("facts right {all}"), format!("事实正确 {all}"))];
    if grade.whole.of > 0 {
        let whole = tally_text(grade.whole, lang);
        parts.push(lang.pick(format!("whole answers {whole}"), format!("整个回答 {whole}")));
    }
    if grade.exact.of > 0 {
        let exact = tally_text(grade.exact, lang);
        parts.push(lang.pick(format!("to the letter {exact}"), format!("逐字相同 {exact}")));
    }
    if grade.unanswered > 0 {
        let count = grade.unanswered;
        parts.push(lang.pick(format!("{count} without an answer"), format!("无回答 {count}")));
    }
    if grade.unasked > 0 {
        let count = grade.unasked;
        parts.push(lang.pick(format!("{count} not asked"), format!("未提问 {count}")));
    }
    let asked = grade.asked;
    lang.pick(
        format!("graded: {asked} question{}; {}", if asked == 1 { "" } else { "s" }, parts.join("; ")),
        format!("评分：{asked} 个问题；{}", parts.join("；")),
    )
}

fn tally_text(tally: Tally, lang: Lang) -> String {
    let percent = tally.part().map_or_else(|| "n/a".into(), |part| format!("{} %", cut(part * 100.0, 2)));
    let Tally { right, of } = tally;
    lang.pick(format!("{right} of {of} ({percent})"), format!("{right}/{of}（{percent}）"))
}

/// Decimals cut and not rounded: what is not all right is not 100 %, and a score under a limit is not the limit.
fn cut(value: f64, decimals: usize) -> String {
    let scale = 10_f64.powi(decimals as i32);
    format!("{:.decimals$}", (value * scale + 1e-9).floor() / scale)
}

fn wrong_text(wrong: &WrongAnswer, lang: Lang) -> String {
    let (images, about) = (wrong.images.join(", "), wrong.about.join(", "));
    let (prompt, about) = (one_line(&wrong.prompt), one_line(&about));
    let answer = wrong.answer.as_deref().map_or_else(|| lang.pick("no answer", "无回答").to_owned(), one_line);
    let expected = wrong.expected.as_deref().map(one_line);
    let expected = expected.map(|text| lang.pick(format!("; expected: {text}"), format!("；应为：{text}")));
    let expected = expected.unwrap_or_default();
    let images = one_line(&images);
    lang.pick(
        format!("  wrong about {about}: {images} {prompt:?}: {answer}{expected}"),
        format!("  错在 {about}：{images} {prompt:?}：{answer}{expected}"),
    )
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn what_is_not_all_right_is_not_a_hundred_percent() {
        let check = |right: f64, of: f64, wanted: &str| assert_eq!(cut(right / of * 100.0, 2), wanted);
        check(1.0, 1.0, "100.00");
        check(99_999.0, 100_000.0, "99.99");
        check(2.0, 3.0, "66.66");
        check(57.0, 100.0, "57.00");
        check(0.0, 3.0, "0.00");
    }
}
