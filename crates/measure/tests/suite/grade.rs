//! Answers of an accuracy run against what was expected of them.

use crate::build::{by_own_reads, header_with, log, request};
use measure::{Lang, Outcome, Phase, RequestRecord, RunLog, RunSummary, Summarise, Tally, report};
use serde_json::json;

/// A description of two facts, a short question by its words, a description whose request fails, and one more.
fn graded(answers: &[Option<&str>]) -> RunLog {
    let fact = |name: &str, any: &str, none: &[&str]| json!({"fact": name, "any": [any], "none": none});
    let header = header_with(&json!({
        "images": [{
            "name": "a.png", "sha256": "00", "width": 8, "height": 6, "mode": "RGB", "mime": "image/png", "bytes": 7,
            "exif_orientation": 1,
        }],
        "prompts": [{"text": "请描述图片", "chars": 5, "sha256": "00"}, {"text": "How many?", "chars": 9, "sha256": "01"}],
        "expectations": [
            {"prompt": 0, "images": [0], "facts": [fact("sun", "sun", &["no sun"]), fact("colour", "yellow", &[])]},
            {"prompt": 1, "images": [0], "answer": "Two."},
            {"prompt": 0, "images": [0], "answer": "A yellow car.", "facts": [fact("colour", "yellow", &[])]},
            {"prompt": 1, "images": [0], "answer": "Three."},
        ],
    }));
    let record = |(index, answer): (usize, &Option<&str>)| RequestRecord {
        phase: Phase::Accuracy,
        text: answer.map(str::to_owned),
        outcome: answer.map_or(Outcome::Truncated { reason: "r".into() }, |_| Outcome::Complete),
        ..request(index as u64, "r1 t2 d3", 5, 2)
    };
    RunLog { header, ..log(answers.iter().enumerate().map(record).collect()) }
}

fn tally(right: u64, of: u64) -> Tally {
    Tally { right, of }
}

#[test]
fn facts_whole_answers_and_exact_ones_are_counted_apart() {
    let log = graded(&[Some("A Yellow truck, no sun."), Some(" Two.\n"), Some("A yellow car."), Some("Three")]);
    let grade = RunSummary::of(&log, &by_own_reads()).grade.unwrap();
    assert_eq!((grade.asked, grade.unasked, grade.unanswered), (4, 0, 0));
    assert_eq!((grade.facts, grade.score), (tally(3, 5), Some(0.6)));
    assert_eq!((grade.groups["sun"], grade.groups["colour"]), (tally(0, 1), tally(2, 2)));
    assert_eq!(grade.groups["exact answer"], tally(1, 2));
    assert_eq!((grade.whole, grade.exact), (tally(1, 2), tally(2, 3)));
    let about: Vec<&[String]> = grade.wrong.iter().map(|wrong| wrong.about.as_slice()).collect();
    assert_eq!(about, [["sun".to_owned()], ["exact answer".to_owned()]]);
    assert_eq!(grade.wrong_answers, 2);
    assert_eq!((grade.wrong[1].prompt.as_str(), grade.wrong[1].expected.as_deref()), ("How many?", Some("Three.")));
}

#[test]
fn a_question_without_an_answer_is_wrong_and_one_never_asked_counts_nowhere() {
    let grade = RunSummary::of(&graded(&[Some("yellow sun"), None]), &by_own_reads()).grade.unwrap();
    assert_eq!((grade.asked, grade.unasked, grade.unanswered), (2, 2, 1));
    assert_eq!((grade.facts, grade.exact, grade.whole), (tally(2, 3), tally(0, 1), tally(1, 1)));
    assert_eq!(grade.wrong[0].answer, None);
    let nothing = RunSummary::of(&graded(&[]), &by_own_reads()).grade.unwrap();
    assert_eq!((nothing.asked, nothing.unasked, nothing.score), (0, 4, None));
    assert_eq!(RunSummary::of(&log(Vec::new()), &by_own_reads()).grade, None);
}

#[test]
fn the_least_score_is_kept_or_missed_and_the_report_says_so() {
    let all = graded(&[Some("yellow sun"), Some("Two."), Some("A yellow car."), Some("3")]);
    let check = |min_score, kept: bool, said: &str, said_zh: &str| {
        let summary = RunSummary::of(&all, &Summarise { min_score: Some(min_score), ..by_own_reads() });
        assert_eq!(summary.keeps_min_score(), kept);
        let (en, zh) = (report(&all, &summary, Lang::En), report(&all, &summary, Lang::Zh));
        assert!(en.contains(said) && zh.contains(said_zh), "{en}\n{zh}");
    };
    check(0.8, true, "score kept: 0.8000, at least 0.8 was asked for", "得分达标：0.8000，要求至少 0.8");
    check(0.81, false, "score missed: 0.8000, at least 0.81", "得分未达标：0.8000，要求至少 0.81");
    // A score just under the limit is not shown as the limit.
    let mut summary = RunSummary::of(&all, &Summarise { min_score: Some(0.99), ..by_own_reads() });
    summary.grade.as_mut().unwrap().score = Some(2969.0 / 2999.0);
    let text = report(&all, &summary, Lang::En);
    assert!(text.contains("score missed: 0.9899, at least 0.99 was asked for"), "{text}");
    let text = report(&all, &RunSummary::of(&all, &by_own_reads()), Lang::En);
    let head = "graded: 4 questions; facts right 4 of 5 (80.00 %); whole answers 2 of 2 (100.00 %); to the letter 2 of 3 (66.66 %)\n";
    assert!(text.contains(head), "{text}");
    assert!(text.contains("\n  exact answer         1 of 2 (50.00 %)\n"), "{text}");
    assert!(text.contains("\n  wrong about exact answer: a.png \"How many?\": 3; expected: Three.\n"), "{text}");
    // Where nothing was asked, no score is kept.
    let none = RunSummary::of(&graded(&[]), &Summarise { min_score: Some(0.0), ..by_own_reads() });
    assert!(!none.keeps_min_score());
}
