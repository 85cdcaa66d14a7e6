//! What a run leaves behind, and what is made of it later without a server.

use crate::rig::{Client, Run, command, picture, serve, stream, tokenizer};
use std::process::Command;

fn a_run(words: &str) -> Run {
    let server = serve(stream(|_| ()));
    let words =
        format!("--image_path {} --tokenizer {} --model scripted --batch_size 3 {words}", picture(), tokenizer());
    Client::new(&words).at(&server).run().expect(0)
}

#[test]
fn the_report_from_disk_equals_the_runs() {
    let run = a_run("--label L --card C --driver D");
    let folder = run.folder.to_str().unwrap();
    let block_at = run.stdout.find("============ Serving").unwrap();
    let (block, _, status) = command(&["report", folder, "--format", "block"]);
    assert_eq!((block.as_str(), status), (&run.stdout[block_at..], 0));
    assert_eq!(block, std::fs::read_to_string(run.folder.join("block.txt")).unwrap());
    let (json, _, _) = command(&["report", folder, "--format", "json"]);
    assert_eq!(json, std::fs::read_to_string(run.folder.join("summary.json")).unwrap());
    let (csv, _, _) = command(&["report", folder, "--format", "csv"]);
    assert_eq!(csv, std::fs::read_to_string(run.folder.join("requests.csv")).unwrap());
    let (text, _, _) = command(&["report", folder]);
    assert!(text.starts_with(&block) && text.contains("caution"));
    let header = run.log().header;
    assert_eq!(
        (header.run.label.as_deref(), header.run.card.as_deref(), header.run.driver.as_deref()),
        (Some("L"), Some("C"), Some("D"))
    );
    assert_eq!(header.images[0].sha256.len(), 64);
    assert_eq!(header.expected_image_tokens, [Some(1131)]);
}

#[test]
fn other_definitions_from_the_same_records() {
    let run = a_run("");
    let (json, _, _) = command(&["report", run.folder.to_str().unwrap(), "--format", "json", "--definitions", "vllm"]);
    let summary: measure::RunSummary = serde_json::from_str(&json).unwrap();
    // 8 tokens: 7 gaps by our definitions, 8 where the role event counts.
    assert_eq!((run.summary().metric("itl_ms").unwrap().n, summary.metric("itl_ms").unwrap().n), (21, 24));
}

#[test]
fn the_log_is_small_and_holds_no_picture() {
    let run = a_run("");
    let log = std::fs::read_to_string(run.folder.join("run.jsonl")).unwrap();
    assert!(!log.contains("base64,"));
    assert!(log.lines().filter(|line| line.contains("\"measured\"")).all(|line| line.len() < 2000));
}

#[test]
fn detail_decides_what_is_kept() {
    let text = |detail: &str| a_run(&format!("--detail {detail}")).measured().remove(0);
    let (summary, stamps, whole) = (text("summary"), text("stamps"), text("text"));
    assert_eq!((summary.events.len(), summary.text), (4, None));
    assert_eq!((stamps.events.len(), stamps.text), (11, None));
    assert!(whole.events.len() == 11 && whole.text.is_some());
    assert!(stamps.text_sha256.is_some());
}

#[test]
fn a_summary_on_disk_gives_every_figure_but_the_gaps() {
    let run = a_run("--detail summary");
    let (json, _, _) = command(&["report", run.folder.to_str().unwrap(), "--format", "json"]);
    let from_disk: measure::RunSummary = serde_json::from_str(&json).unwrap();
    let live = run.summary();
    for name in ["ttft_ms", "tpot_ms", "e2e_ms", "first_event_ms"] {
        assert_eq!(live.metric(name), from_disk.metric(name), "{name}");
    }
    assert_eq!((live.duration_s, live.totals.clone()), (from_disk.duration_s, from_disk.totals.clone()));
    assert!(live.metric("itl_ms").is_some() && from_disk.metric("itl_ms").is_none());
    assert!(json.contains("events_left_out"));
    let (block, _, _) = command(&["report", run.folder.to_str().unwrap(), "--format", "block"]);
    assert!(block.contains("Mean ITL (ms):                           n/a"), "{block}");
}

#[test]
fn excel_and_other_tools() {
    let run = a_run("--bom --save-result");
    assert!(std::fs::read(run.folder.join("requests.csv")).unwrap().starts_with(b"\xef\xbb\xbfindex,"));
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(run.folder.join("vllm-bench.json")).unwrap()).unwrap();
    assert_eq!((&json["completed"], &json["total_output_tokens"]), (&3.into(), &24.into()));
    assert!(json["mean_ttft_ms"].as_f64().unwrap() > 19.0);
}

#[test]
fn a_folder_is_never_written_over() {
    let run = a_run("");
    let before = std::fs::read(run.folder.join("run.jsonl")).unwrap();
    let server = serve(stream(|_| ()));
    let folder = run.folder.to_str().unwrap();
    let (_, stderr, status) =
        command(&["--no-image", "--model", "scripted", "--base-url", &server.url(), "--output-dir", folder]);
    assert_eq!(status, 2);
    assert!(stderr.contains("nothing measured is overwritten"), "{stderr}");
    let words =
        ["--no-image", "--model", "scripted", "--base-url", &server.url(), "--output-dir", folder, "--lang", "zh"];
    assert!(command(&words).1.contains("测量结果不会被覆盖"));
    assert_eq!(std::fs::read(run.folder.join("run.jsonl")).unwrap(), before);
    assert_eq!(server.records().len(), 0);
}

#[test]
fn without_a_folder_the_state_folder_serves_and_no_save_writes_nothing() {
    let home = tempfile::TempDir::new().unwrap();
    let server = serve(stream(|_| ()));
    let run = |more: &[&str]| {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("vlm-benchmark"));
        let words = ["--no-image", "--model", "scripted", "--base-url", &server.url()];
        let out = command.env_clear().env("HOME", home.path()).args(words).args(more).output().unwrap();
        assert!(out.status.success());
        String::from_utf8(out.stderr).unwrap()
    };
    run(&["--no-save"]);
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    let stderr = run(&[]);
    assert!(stderr.contains(".local/state/vlm-benchmark/runs"), "{stderr}");
}
