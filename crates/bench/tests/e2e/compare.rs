//! `compare`: stored runs side by side.

use crate::rig::{Run, command, stream, text_run};
use serde_json::Value;
use serve::{HttpReply, Reply, When};
use std::path::Path;

fn compare(folders: &[&Path], words: &str) -> (String, String, i32) {
    let folders = folders.iter().map(|folder| folder.to_str().unwrap());
    let words: Vec<&str> = std::iter::once("compare").chain(folders).chain(words.split_whitespace()).collect();
    command(&words)
}

fn run(words: &str, text: &str) -> Run {
    let text = text.to_owned();
    text_run(stream(|reply| (reply.tokens, reply.text) = (1, vec![text])), words).0.expect(0)
}

#[test]
fn two_platforms_side_by_side() {
    let a = run("--batch_size 2 --card X --detail text", "A yellow truck.");
    let b = run("--batch_size 4 --card Y --detail text", "A yellow lorry.");
    let (text, stderr, status) = compare(&[&a.folder, &b.folder], "--lang en");
    assert_eq!((status, stderr.as_str()), (0, ""));
    for part in [
        "card: X\n",
        "card: Y\n",
        "not the same max_concurrency: A 2; B 4\n",
        "answers of A and B: 0 of 1 equal to the letter\n",
        "the same for 9 characters, then A \"truck.\", B \"lorry.\"\n",
    ] {
        assert_eq!(text.matches(part).count(), 1, "{part}: {text}");
    }
    // The cells are those of the blocks that the runs printed.
    for label in ["Successful requests", "Total generated tokens", "Mean TTFT (ms)", "P99 TTFT (ms)"] {
        let row = text.lines().find(|line| line.starts_with(label)).unwrap();
        let cells: Vec<&str> = row[label.len()..].split_whitespace().collect();
        let printed = [a.line(&format!("{label}:")), b.line(&format!("{label}:"))];
        assert_eq!(cells[..2], printed, "{row}");
    }
    let (csv, _, status) = compare(&[&a.folder, &b.folder, &a.folder], "--format csv");
    let rows: Vec<&str> = csv.lines().collect();
    assert!(rows[0].starts_with("figure,") && rows[0].matches(" / ").count() == 2, "{csv}");
    assert_eq!((rows[1], status), ("Successful requests,2,4,2,2,1", 0));
}

#[test]
fn the_json_fits_its_schema() {
    let a = run("--batch_size 3 --detail text", "a");
    let b = run("--batch_size 2 --detail text", "b");
    let other = run("--prompt other", "c");
    let failed = text_run(
        stream(|_| ()).with_rule(When::default(), Reply::Http(HttpReply { status: 500, ..HttpReply::default() })),
        "",
    )
    .0
    .expect(1);
    let folders = [&a.folder, &b.folder, &other.folder, &failed.folder].map(std::path::PathBuf::as_path);
    let (json, _, status) = compare(&folders, "--format json");
    let value: Value = serde_json::from_str(&json).unwrap();
    let schema: Value = serde_json::from_str(include_str!("../../../../schema/comparison.schema.json")).unwrap();
    let errors: Vec<String> =
        jsonschema::validator_for(&schema).unwrap().iter_errors(&value).map(|error| error.to_string()).collect();
    assert_eq!((errors, status), (Vec::new(), 0), "{json}");
    // Everything that the schema describes is there: settings, questions, an answer that differs, a ratio that is not known.
    let kinds: Vec<&str> =
        value["asked_differently"].as_array().unwrap().iter().map(|kind| kind["what"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"questions") && kinds.contains(&"setting"), "{kinds:?}");
    assert_eq!(value["answers"][0]["differing"][0]["first"], "a");
    assert!(value["figures"].as_array().unwrap().iter().any(|figure| figure["ratios"][2].is_null()));
    let own: Value = serde_json::from_slice(&std::fs::read(a.folder.join("summary.json")).unwrap()).unwrap();
    assert_eq!(value["runs"][0]["summary"]["metrics"], own["metrics"]);
}

#[test]
fn a_run_that_is_not_there_is_named_before_anything_is_printed() {
    let a = run("", "a");
    let missing = a.folder.join("nothing");
    for (lang, part) in [("en", "is expected"), ("zh", "应为")] {
        let (stdout, stderr, status) = compare(&[&a.folder, &missing], &format!("--lang {lang}"));
        assert!(stdout.is_empty() && status == 2 && stderr.contains("nothing") && stderr.contains(part), "{stderr}");
    }
    let (_, stderr, status) = compare(&[&a.folder], "");
    assert!(status == 2 && stderr.contains("RUN"), "{stderr}");
}
