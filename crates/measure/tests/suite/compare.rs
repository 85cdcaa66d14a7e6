//! Runs side by side: ratios by arithmetic, what is missing stays missing, and where answers part.

use crate::build::{by_own_reads, footer, header_with, request};
use measure::{Comparison, Lang, Phase, RequestRecord, RunLog, Summarise};
use serde_json::{Value, json};

fn run(name: &str, header: &Value, records: Vec<RequestRecord>) -> (String, RunLog) {
    (name.to_owned(), RunLog { header: header_with(header), records, footer: Some(footer(3)) })
}

fn compare(runs: &[(String, RunLog)]) -> Comparison {
    Comparison::of(runs, &by_own_reads())
}

/// Ten requests whose TTFTs are `first_ms`, `first_ms + step_ms`, …; 1 ms later comes the second and last token.
fn ten(first_ms: f64, step_ms: f64) -> Vec<RequestRecord> {
    let events = |n: u64| {
        let at = first_ms + step_ms * n as f64;
        format!("t{at} t{} d{}", at + 1.0, at + 2.0)
    };
    (0..10).map(|n| request(n, &events(n), 1145, 2)).collect()
}

fn figure<'a>(comparison: &'a Comparison, name: &str) -> &'a measure::ComparedFigure {
    comparison.figures.iter().find(|figure| figure.name == name).unwrap()
}

#[test]
fn ratios_are_to_the_first_run_and_say_whether_the_intervals_lie_apart() {
    let (a, b, c) = (ten(100.0, 1.0), ten(200.0, 2.0), ten(100.5, 1.0));
    let comparison = compare(&[run("a", &json!({}), a), run("b", &json!({}), b), run("c", &json!({}), c)]);
    // The means are 104.5, 209 and 105.
    let ttft = figure(&comparison, "Mean TTFT (ms)");
    assert_eq!(ttft.values, [Some(104.5), Some(209.0), Some(105.0)]);
    let ratios: Vec<(f64, Option<bool>)> = ttft.ratios.iter().map(|r| r.unwrap()).map(|r| (r.value, r.apart)).collect();
    assert_eq!(ratios, [(2.0, Some(true)), (105.0 / 104.5, Some(false))]);
    // Gaps depend on each other: they have no interval.
    let itl = figure(&comparison, "Mean ITL (ms)").ratios[0].unwrap();
    assert_eq!((itl.value, itl.apart), (1.0, None));
    let text = comparison.text(Lang::En);
    let row = text.lines().find(|line| line.starts_with("Mean TTFT")).unwrap();
    let cells: Vec<&str> = row.split_whitespace().skip(3).collect();
    assert_eq!(cells, ["104.50", "209.00", "105.00", "2.000", "*", "1.005", "≈"], "{text}");
    let rows = comparison.rows();
    assert_eq!(rows[0], ["figure", "a", "b", "c", "B/A", "C/A"]);
    assert!(rows.contains(
        &["Mean TTFT (ms)", "104.5", "209", "105", "2", &format!("{}", 105.0 / 104.5)].map(String::from).to_vec()
    ));
}

#[test]
fn what_is_not_known_has_no_ratio() {
    let failed = RequestRecord::planned(0, Phase::Measured);
    let comparison = compare(&[run("a", &json!({}), ten(100.0, 1.0)), run("b", &json!({}), vec![failed])]);
    let ttft = figure(&comparison, "Mean TTFT (ms)");
    assert_eq!((&ttft.values[..], &ttft.ratios[..]), (&[Some(104.5), None][..], &[None][..]));
    let text = comparison.text(Lang::En);
    let row = text.lines().find(|line| line.starts_with("Mean TTFT")).unwrap();
    assert_eq!(row.split_whitespace().skip(3).collect::<Vec<_>>(), ["104.50", "n/a", "-"], "{text}");
    assert!(
        text.contains("requests: 1 planned, 0 complete, 1 not")
            && text.contains("no figure has a 95 % interval in both")
    );
    let row = comparison.rows().into_iter().find(|row| row[0] == "Mean TTFT (ms)").unwrap();
    assert_eq!(row[1..], ["104.5", "", ""]);
    // Nothing by nothing is no ratio either.
    let reversed = compare(&[run("b", &json!({}), Vec::new()), run("a", &json!({}), ten(100.0, 1.0))]);
    assert_eq!(figure(&reversed, "Successful requests").ratios, [None]);
}

#[test]
fn what_was_asked_differently_is_said_and_where_it_went_is_not() {
    let header = |url: &str, len: u64, image: &str| {
        json!({"plan": {"url": url, "output_len": len, "seed": 0}, "images": [{"name": "i", "sha256": image, "width": 1,
            "height": 1, "mode": "RGB", "mime": "image/png", "bytes": 1}]})
    };
    let (a, b, c) = (header("http://a", 512, "x"), header("http://b", 256, "x"), header("http://c", 512, "y"));
    let asked = |pair: [&Value; 2]| {
        let comparison = compare(&pair.map(|header| run("r", header, ten(100.0, 1.0))));
        let text = comparison.text(Lang::En);
        let whats: Vec<String> =
            comparison.asked_differently.iter().map(|difference| difference.what.clone()).collect();
        (whats, text)
    };
    assert_eq!(asked([&a, &a]).0, Vec::<String>::new());
    let (whats, text) = asked([&a, &b]);
    assert_eq!(whats, ["output_len"]);
    assert!(text.contains("not the same output_len: A 512, B 256\n"), "{text}");
    let (whats, text) = asked([&a, &c]);
    assert_eq!(whats, ["images"]);
    assert!(text.contains("not the same images: A 1 of its own, B 1 of its own\n"), "{text}");
}

/// A request of the accuracy run about prompt `prompt` with this answer, which is kept or not.
fn answered(prompt: u32, text: &str, kept: bool) -> RequestRecord {
    let mut record = request(u64::from(prompt), "t100 t101 d102", 10, 2);
    record.phase = Phase::Accuracy;
    (record.prompt, record.text, record.text_sha256) = (prompt, kept.then(|| text.to_owned()), Some(text.to_owned()));
    record
}

#[test]
fn answers_are_held_against_each_other_by_their_question() {
    let prompts = |order: [&str; 3]| {
        let prompts = order.map(|text| json!({"text": text, "chars": 1, "sha256": text}));
        json!({"prompts": prompts})
    };
    // The same questions in another order; the third one is asked in A alone.
    let a = vec![answered(0, "一辆黄色卡车。", true), answered(1, "two", true), answered(2, "three", true)];
    let b = vec![answered(1, "一辆红色卡车。", true), answered(0, "two", true)];
    let comparison =
        compare(&[run("a", &prompts(["p", "q", "only a"]), a.clone()), run("b", &prompts(["q", "p", "other"]), b)]);
    let answers = &comparison.answers[0];
    assert_eq!((answers.common, answers.equal, answers.differing.len()), (2, 1, 1));
    assert_eq!((answers.differing[0].common_chars, &*answers.differing[0].prompt), (Some(2), "p"));
    let text = comparison.text(Lang::En);
    assert!(text.contains("answers of A and B: 1 of 2 equal to the letter\n"), "{text}");
    assert!(text.contains("\"p\": the same for 2 characters, then A “黄色卡车。”, B “红色卡车。”\n"), "{text}");
    // By the digest they differ although the words were not kept.
    let b = vec![answered(0, "一辆红色卡车。", false)];
    let comparison = compare(&[run("a", &prompts(["p", "q", "r"]), a), run("b", &prompts(["p", "q", "r"]), b)]);
    assert!(comparison.text(Lang::En).contains("not kept; --detail text keeps all answers"));
    let none = compare(&[run("a", &json!({}), Vec::new()), run("b", &json!({}), Vec::new())]);
    assert!(none.text(Lang::Zh).contains("没有两边都回答的问题"));
}

#[test]
fn a_caution_is_told_once_with_the_runs_that_deserve_it() {
    let one = |name: &str| run(name, &json!({}), vec![request(0, "t100 t101 d102", 10, 2)]);
    let runs = [one("a"), one("b")];
    let text = Comparison::of(&runs, &Summarise::default()).text(Lang::En);
    assert_eq!(text.matches("caution (A, B): n = 1").count(), 1, "{text}");
}
