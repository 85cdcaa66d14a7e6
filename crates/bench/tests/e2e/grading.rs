//! `--expect`: answers of an accuracy run against what was expected of them.

use crate::rig::{Client, Run, command, picture, serve, stream, text_run};
use measure::{Grade, Tally};
use serde_json::Value;
use serve::{Reply, Script, StreamReply, When};
use std::path::Path;
use tempfile::TempDir;

/// Two scenes and what must be said of them, a description and a short question in each language.
fn scenes() -> TempDir {
    let home = TempDir::new().unwrap();
    let folder = home.path().join("scenes");
    let words = ["scenes", folder.to_str().unwrap(), "--count", "2", "--questions", "1", "--size", "320x240"];
    let (_, stderr, status) = command(&words);
    assert_eq!(status, 0, "{stderr}");
    home
}

fn lines(file: &Path) -> Vec<Value> {
    std::fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The `number`th question gets the `number`th answer.
fn answering(answers: &[String]) -> Script {
    let reply = |text: &String| StreamReply {
        prefill_ms: 1.0,
        interval_ms: 1.0,
        tokens: 1,
        text: vec![text.clone()],
        sees_image: false,
        ..StreamReply::default()
    };
    answers.iter().enumerate().fold(stream(|_| ()), |script, (number, text)| {
        let when = When { number: Some(number as u64), ..When::default() };
        script.with_rule(when, Reply::Stream(Box::new(reply(text))))
    })
}

fn grade(run: &Run) -> Grade {
    run.summary().grade.unwrap_or_else(|| panic!("{}", run.stderr))
}

#[test]
fn a_folder_of_scenes_is_graded_fact_by_fact() {
    let home = scenes();
    let folder = home.path().join("scenes");
    let expect = folder.join("expect.jsonl");
    let lines = lines(&expect);
    let answer = |line: &Value| line["answer"].as_str().unwrap().to_owned();
    let mut answers: Vec<String> = lines.iter().map(answer).collect();
    // The first description is wrong about the road, and one short answer is another.
    let wrong = if answers[0].contains("沥青") { ("新铺的沥青", "碎石") } else { ("碎石", "沥青") };
    answers[0] = answers[0].replace(wrong.0, wrong.1);
    let short = lines.iter().position(|line| line.get("facts").is_none()).unwrap();
    answers[short] = "不知道。".into();
    let count = |line: &Value| line.get("facts").map_or(1, |facts| facts.as_array().unwrap().len() as u64);
    let of: u64 = lines.iter().map(count).sum();

    let words = format!("--image_dir {} --model scripted --expect {}", folder.display(), expect.display());
    let run = |more: &str| Client::new(&format!("{words} {more}")).at(&serve(answering(&answers))).run();
    let run_without_limit = run("").expect(0);
    let grade = grade(&run_without_limit);
    assert_eq!((grade.asked, grade.unasked, grade.unanswered), (8, 0, 0));
    assert_eq!(grade.facts, Tally { right: of - 2, of }, "{:?}", grade.wrong);
    assert_eq!((grade.whole, grade.exact), (Tally { right: 3, of: 4 }, Tally { right: 6, of: 8 }));
    assert_eq!((grade.groups["road"].right, grade.groups["road"].of), (3, 4));
    assert_eq!(grade.groups["exact answer"], Tally { right: 3, of: 4 });
    let about: Vec<String> = grade.wrong.iter().flat_map(|wrong| wrong.about.clone()).collect();
    assert_eq!(about, ["road", "exact answer"]);
    let stderr = &run_without_limit.stderr;
    assert!(stderr.contains(&format!("graded: 8 questions; facts right {} of {of}", of - 2)), "{stderr}");
    // Each is printed as the answers of a folder are.
    assert_eq!(run_without_limit.stdout.matches("输出结果： ").count(), 8);

    let missed = run("--min-score 1").expect(4);
    assert!(missed.stderr.contains("score missed: 0.9"), "{}", missed.stderr);
    run("--min-score 0.9").expect(0);
    // A stored run is graded again, by its own limit or another.
    let stored = missed.folder.to_str().unwrap();
    let (text, _, status) = command(&["report", stored]);
    assert!(status == 4 && text.contains("  road                 3 of 4 (75.00 %)\n"), "{text}");
    assert_eq!(command(&["report", stored, "--min-score", "0.5"]).2, 0);
}

#[test]
fn a_line_without_a_prompt_or_an_image_is_about_the_runs() {
    let home = TempDir::new().unwrap();
    for name in ["a.png", "b.png"] {
        std::fs::copy(picture(), home.path().join(name)).unwrap();
    }
    let expect = home.path().join("e.jsonl");
    std::fs::write(
        &expect,
        "{\"facts\":[{\"fact\":\"greeting\",\"any\":[\"HELLO\"]}]}\n{\"image\":\"./b.png\",\"prompt\":\"Really?\",\"answer\":\"yes\"}\n",
    )
    .unwrap();
    let answers = ["hello", "hello", "yes"].map(str::to_owned);
    let words = |images: &str| format!("{images} --model scripted --expect {}", expect.display());
    // Each picture of a folder, and the one that is named.
    let run = Client::new(&words(&format!("--image_dir {}", home.path().display())));
    let run = run.at(&serve(answering(&answers))).run().expect(0);
    assert_eq!(grade(&run).facts, Tally { right: 3, of: 3 });
    // Of one file, lines about others are left out.
    let run = Client::new(&words(&format!("--image_path {}", home.path().join("a.png").display())));
    let run = run.at(&serve(answering(&answers))).run().expect(0);
    assert_eq!((grade(&run).asked, grade(&run).facts), (1, Tally { right: 1, of: 1 }));
    assert!(run.stdout.contains("输出结果： hello\n"), "{}", run.stdout);
}

#[test]
fn a_stored_run_that_expected_nothing_has_no_score_to_ask_for() {
    let run = text_run(stream(|_| ()), "").0.expect(0);
    for (lang, said) in [("en", "without --expect"), ("zh", "未使用 --expect")] {
        let words = ["report", run.folder.to_str().unwrap(), "--min-score", "0.5", "--lang", lang];
        let (stdout, stderr, status) = command(&words);
        assert!(status == 2 && stdout.is_empty() && stderr.contains(said), "{status} {stderr}");
    }
}

#[test]
fn what_cannot_be_graded_is_said_before_a_server_is_asked() {
    let home = TempDir::new().unwrap();
    std::fs::copy(picture(), home.path().join("a.png")).unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(home.path().join(name), text).unwrap();
        home.path().join(name).display().to_string()
    };
    let other = file("other.jsonl", "{\"image\":\"b.png\",\"answer\":\"x\"}\n");
    let broken = file("broken.jsonl", "{\"answer\":\"x\"}\n{");
    let good = file("good.jsonl", "{\"answer\":\"x\"}\n");
    let folder = format!("--image_dir {}", home.path().display());
    let one = format!("--image_path {}", home.path().join("a.png").display());
    for (words, said) in [
        (format!("{folder} --expect {other}"), "line 1: image \"b.png\" is not among"),
        (format!("{one} --expect {other}"), "none of its lines is about"),
        (format!("{one} --expect {broken}"), "line 2: "),
        (format!("{one} --expect /nowhere.jsonl"), "/nowhere.jsonl"),
        (format!("{one} --expect {good} --ignore-eos"), "--ignore-eos"),
        (format!("{one} --expect {good} --cold"), "--cold"),
        (format!("{one} --expect {good} --min-score 2"), "from 0 to 1"),
        (format!("{one} --min-score 0.5"), "--expect"),
    ] {
        let run = Client::new(&format!("{words} --port 1")).run().expect(2);
        assert!(run.stderr.contains(said), "{words}: {}", run.stderr);
    }
}
