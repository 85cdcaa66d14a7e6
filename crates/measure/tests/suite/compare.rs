//! Runs side by side: ratios by arithmetic, what is missing stays missing, and where answers part.

use crate::build::{by_own_reads, footer, header_with, request};
use measure::{Comparison, Intervals, Lang, Phase, RequestRecord, RunLog, Summarise};
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
    let ratios: Vec<_> =
        ttft.ratios.iter().map(|ratio| ratio.unwrap()).map(|ratio| (ratio.value, ratio.intervals)).collect();
    assert_eq!(ratios, [(2.0, Some(Intervals::Apart)), (105.0 / 104.5, Some(Intervals::Overlap))]);
    // Gaps depend on each other: they have no interval.
    let itl = figure(&comparison, "Mean ITL (ms)").ratios[0].unwrap();
    assert_eq!((itl.value, itl.intervals), (1.0, None));
    let text = comparison.text(Lang::En);
    let row = text.lines().find(|line| line.starts_with("Mean TTFT")).unwrap();
    let cells: Vec<&str> = row.split_whitespace().skip(3).collect();
    assert_eq!(cells, ["104.50", "209.00", "105.00", "2.000", "*", "1.005", "≈"], "{text}");
    let rows = comparison.rows();
    assert_eq!(rows[0], ["figure", "a", "b", "c", "b / a", "c / a"]);
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
    assert!(text.contains("requests: 1 planned, 0 complete, 1 not") && !text.contains("95 % interval"));
    let row = comparison.rows().into_iter().find(|row| row[0] == "Mean TTFT (ms)").unwrap();
    assert_eq!(row[1..], ["104.5", "", ""]);
    // Nothing by nothing is no ratio either.
    let reversed = compare(&[run("b", &json!({}), Vec::new()), run("a", &json!({}), ten(100.0, 1.0))]);
    assert_eq!(figure(&reversed, "Successful requests").ratios, [None]);
}

/// A picture of the header with this digest; a cold one was made from another.
fn picture(sha256: &str, from: Option<&str>) -> Value {
    let mut picture = json!({"name": format!("{sha256}.png"), "sha256": sha256, "width": 1, "height": 1, "mode": "RGB",
        "mime": "image/png", "bytes": 1});
    if let Some(from) = from {
        picture["altered"] = json!({"how": "cold variant 1", "from_sha256": from});
    }
    picture
}

fn prompts(digests: &[&str]) -> Value {
    digests.iter().map(|digest| json!({"text": digest, "chars": 1, "sha256": digest})).collect()
}

/// A measured request about these pictures and this prompt.
fn about(images: &[u32], prompt: u32, max_tokens: u64) -> RequestRecord {
    let mut record = request(u64::from(prompt), "t100 t101 d102", 10, 2);
    (record.images, record.prompt, record.max_tokens) = (images.to_vec(), prompt, max_tokens);
    record
}

/// The lines that say what was not the same.
fn not_the_same(runs: [(&Value, Vec<RequestRecord>); 3]) -> Vec<String> {
    let runs = runs.map(|(header, records)| run("r", header, records));
    let text = compare(&runs).text(Lang::En);
    text.lines().filter(|line| line.starts_with("not the same")).map(str::to_owned).collect()
}

#[test]
fn settings_that_were_not_the_same_are_said_and_where_it_went_is_not() {
    let header = |url: &str, resize: Value| json!({"plan": {"url": url, "output_len": 512, "resize": resize, "temperature": 0.0, "expect": url}});
    let (a, b) = (header("http://a", Value::Null), header("http://b", json!([1080, 810])));
    assert_eq!(not_the_same([(&a, ten(1.0, 1.0)), (&a, ten(2.0, 1.0)), (&a, ten(1.0, 1.0))]), Vec::<String>::new());
    let said = not_the_same([(&a, ten(1.0, 1.0)), (&b, ten(1.0, 1.0)), (&a, ten(1.0, 1.0))]);
    assert_eq!(said, ["not the same resize: A none; B [1080,810]; C none"]);
}

#[test]
fn questions_are_what_requests_asked_and_not_what_the_header_lists() {
    let header = json!({"images": [picture("x", None), picture("y", None)], "prompts": prompts(&["p", "q"])});
    // An image proof leaves a prompt behind that the load never asked, and digests are in another order.
    let proof = json!({"images": [picture("y", None), picture("x", None)], "prompts": prompts(&["p", "proof", "q"])});
    let same =
        [(&header, vec![about(&[0], 0, 5)]), (&proof, vec![about(&[1], 0, 5)]), (&header, vec![about(&[0], 0, 5)])];
    assert_eq!(not_the_same(same), Vec::<String>::new());
    // Another picture, and the same one twice in a request.
    let others = [
        (&header, vec![about(&[0], 0, 5)]),
        (&header, vec![about(&[0], 0, 5), about(&[1], 0, 5)]),
        (&header, vec![about(&[0, 0], 0, 5)]),
    ];
    let wanted = "not the same questions (prompt and images): A 1; B 2, 1 of them as in A; C 1, 0 of them as in A";
    assert_eq!(not_the_same(others), [wanted]);
    // Lengths may come from a file of prompts.
    let lengths = [
        (&header, vec![about(&[0], 0, 5), about(&[0], 1, 7)]),
        (&header, vec![about(&[0], 0, 5), about(&[0], 1, 5)]),
        (&header, vec![about(&[0], 0, 5), about(&[0], 1, 7)]),
    ];
    assert_eq!(not_the_same(lengths), ["not the same output_len: A [5,7]; B 5; C [5,7]"]);
}

#[test]
fn other_prompt_tokens_of_the_same_questions_are_another_template_or_size() {
    let header = json!({"prompts": prompts(&["p", "q"])});
    let billed = |prompt: u32, tokens: u64| RequestRecord { prompt, ..request(0, "t100 t101 d102", tokens, 2) };
    let said = not_the_same([
        (&header, vec![billed(0, 72), billed(0, 72)]),
        (&header, vec![billed(0, 62)]),
        (&header, vec![billed(0, 72)]),
    ]);
    let wanted = "not the same prompt tokens billed for the same questions, mean: A 72; B 62; C 72 (another chat template or size of the images)";
    assert_eq!(said, [wanted]);
    // How often a question is asked is no template, and other questions say nothing.
    let said = not_the_same([
        (&header, vec![billed(0, 72), billed(1, 90)]),
        (&header, vec![billed(0, 72), billed(1, 90), billed(1, 90)]),
        (&header, vec![billed(0, 72)]),
    ]);
    assert!(said.len() == 1 && said[0].starts_with("not the same questions"), "{said:?}");
}

#[test]
fn a_cold_picture_is_the_one_that_it_was_made_from() {
    let cold = |own: &str| json!({"images": [picture(own, Some("x"))], "prompts": prompts(&["p"])});
    let answered = |text: &str| RequestRecord { text_sha256: Some(text.into()), ..about(&[0], 0, 5) };
    let (a, b) = (cold("a"), cold("b"));
    let comparison = compare(&[run("a", &a, vec![answered("1")]), run("b", &b, vec![answered("1")])]);
    assert_eq!((comparison.asked_differently.len(), comparison.answers[0].common), (0, 1));
}

#[test]
fn scores_of_different_examinations_are_said_to_be() {
    let header = |answer: &str, order: [&str; 2]| json!({"prompts": prompts(&order), "expectations": [{"prompt": 0, "images": [], "answer": answer}]});
    let (a, b, c) = (header("yes", ["p", "q"]), header("no", ["p", "q"]), json!({}));
    assert_eq!(not_the_same([(&a, Vec::new()), (&c, Vec::new()), (&a, Vec::new())]), Vec::<String>::new());
    let said = not_the_same([(&a, Vec::new()), (&c, Vec::new()), (&b, Vec::new())]);
    assert_eq!(said, ["not the same --expect: the scores are of different examinations"]);
}

#[test]
fn a_run_that_was_killed_does_not_read_as_one_that_ended() {
    let header = json!({"plan": {"requests": 40, "rounds": 1}});
    let (name, mut log) = run("killed", &header, ten(100.0, 1.0));
    log.footer = None;
    let text = compare(&[run("a", &header, ten(100.0, 1.0)), (name, log)]).text(Lang::En);
    assert!(
        text.contains("   requests: 40 planned, 10 complete, 0 not, 30 without a record [INCOMPLETE RUN]\n"),
        "{text}"
    );
}

#[test]
fn what_the_client_may_be_wrong_by_tells_no_runs_apart() {
    let slow_writes = |records: Vec<RequestRecord>| {
        records.into_iter().map(|record| RequestRecord { write_ns_max: Some(60_000_000), ..record }).collect::<Vec<_>>()
    };
    let apart = |a: Vec<RequestRecord>, b: Vec<RequestRecord>| {
        figure(&compare(&[run("a", &json!({}), a), run("b", &json!({}), b)]), "Mean TTFT (ms)").ratios[0]
            .unwrap()
            .intervals
    };
    assert_eq!(apart(ten(100.0, 1.0), ten(200.0, 1.0)), Some(Intervals::Apart));
    assert_eq!(apart(slow_writes(ten(100.0, 1.0)), slow_writes(ten(200.0, 1.0))), Some(Intervals::WithinClientError));
    // The bootstrap of a few values is too narrow.
    let few = |first_ms| ten(first_ms, 1.0).into_iter().take(9).collect::<Vec<_>>();
    assert_eq!(apart(few(100.0), few(200.0)), None);
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
    let prompts = |order: [&str; 3]| json!({"prompts": prompts(&order)});
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
    assert!(text.contains("\"p\": the same for 2 characters, then A \"黄色卡车。\", B \"红色卡车。\"\n"), "{text}");
    // By the digest they differ although the words were not kept.
    let b = vec![answered(0, "一辆红色卡车。", false)];
    let comparison = compare(&[run("a", &prompts(["p", "q", "r"]), a), run("b", &prompts(["p", "q", "r"]), b)]);
    assert!(comparison.text(Lang::En).contains("not kept; --detail text keeps all answers"));
    // White space and an end are to be seen; reasoning is part of an answer.
    let thought = |thought: &str, text: &str| RequestRecord {
        reasoning: Some(thought.into()),
        text_sha256: Some(format!("{thought}{text}")),
        ..answered(0, text, true)
    };
    let said = |a: RequestRecord, b: RequestRecord| {
        let text =
            compare(&[run("a", &prompts(["p", "q", "r"]), vec![a]), run("b", &prompts(["p", "q", "r"]), vec![b])])
                .text(Lang::En);
        text.split("the same for ").nth(1).unwrap().lines().next().unwrap().to_owned()
    };
    assert_eq!(
        said(answered(0, "Hello", true), answered(0, "Hello \n", true)),
        "5 characters, then A ends, B \" \\n\""
    );
    assert_eq!(said(thought("so", "yes"), thought("no", "yes")), "0 characters, then A \"soyes\", B \"noyes\"");
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
