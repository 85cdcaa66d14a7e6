//! The whole procedure on a bare machine: our client, our server, our model, a picture with its truth beside it.

use crate::rig::{Client, wait_until};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;

fn example(name: &str) -> String {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples")).join(name).display().to_string()
}

#[test]
fn the_accuracy_run_tells_the_truth_of_the_picture() {
    let truth: serde_json::Value = serde_json::from_slice(&std::fs::read(example("test.json")).unwrap()).unwrap();
    for (prompt, language, stop) in [("请描述图片", "zh", "。"), ("Describe the image.", "en", ". ")] {
        let run = Client::new("--embedded --image_path").arg(&example("test.png")).arg("--prompt").arg(prompt).run();
        let run = run.expect(0);
        let said = run.stdout.strip_prefix("image size:  (1080, 810)\n输出结果： ").unwrap_or_default();
        // The first sentence says that it is a road being built, in one of several ways; the rest are facts.
        let facts = |text: &str| text.split_once(stop).map(|(_, facts)| facts.to_owned());
        let expected = facts(truth[language].as_str().unwrap());
        assert_eq!(facts(said.lines().next().unwrap_or_default()), expected, "{}", run.stdout);
        assert!(run.stderr.contains("drawn road works only"), "{}", run.stderr);
        let summary = run.summary();
        assert_eq!((summary.run.server.model.as_str(), summary.totals.retokenised), ("road-works", 0));
        // 1080×810 within 40,000 pixels: 224×168, that is 8 × 6 tokens.
        assert_eq!(run.log().header.expected_image_tokens, [Some(48)]);
    }
}

#[test]
fn every_fact_of_the_example_is_told_in_both_languages() {
    let run = Client::new("--embedded --min-score 1 --image_path").arg(&example("test.png"));
    let run = run.arg("--expect").arg(&example("expect.jsonl")).run().expect(0);
    let grade = run.summary().grade.unwrap();
    assert_eq!((grade.asked, grade.whole.right, grade.score), (2, 2, Some(1.0)), "{}", run.stderr);
    assert!(run.stderr.contains("score kept: 1.0000"), "{}", run.stderr);
}

#[test]
fn files_are_read_once_so_that_they_may_be_pipes() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&std::fs::read(example("expect.jsonl")).unwrap()).unwrap();
    drop(writer);
    let run = Client::new("--embedded --expect /dev/stdin --min-score 1 --image_path").arg(&example("test.png"));
    let run = run.stdin(reader).run().expect(0);
    assert_eq!(run.summary().grade.unwrap().asked, 2, "{}", run.stderr);
}

#[test]
fn the_performance_run_and_the_image_proof() {
    let run = Client::new("--embedded --prompt 请描述图片 --ignore-eos --output_len 40 --image-proof --image_path")
        .arg(&example("test.png"))
        .run()
        .expect(0);
    // As transformers 5 makes them of the checkpoint's own template: 23 tokens of text and marks, 48 of the picture.
    assert_eq!(
        (run.line("Total generated tokens:"), run.line("Total image and input tokens:")),
        ("40".into(), "71".into())
    );
    assert!(run.stderr.contains("image proof: SEEN"), "{}", run.stderr);
}

#[test]
fn its_server_is_gone_whatever_happens_to_the_client() {
    let mut client = Client::new("--embedded --no-image --ignore-eos --output_len 16000 --prompt");
    client = client.arg("请描述图片");
    let mut child = client.spawn();
    let mut talk = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("embedded server: ") {
        line.clear();
        assert!(talk.read_line(&mut line).unwrap() > 0, "it ended");
    }
    let address = line.trim().rsplit("http://").next().unwrap().to_owned();
    assert!(TcpStream::connect(&address).is_ok(), "{address}");
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until(|| TcpStream::connect(&address).is_err());
}

#[test]
fn a_stop_keeps_what_was_measured() {
    let mut client = Client::new("--embedded --no-image --ignore-eos --output_len 30 --num-prompts 100000 --prompt");
    client = client.arg("请描述图片");
    let child = client.spawn();
    // The header, the first request and a measured one.
    client.wait_for_lines(3);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id().cast_signed()), nix::sys::signal::Signal::SIGINT)
        .unwrap();
    let run = client.finish(child).expect(130);
    assert!(run.summary().counts.complete >= 1 && run.stderr.contains("INCOMPLETE"), "{}", run.stderr);
}

#[test]
fn a_plan_starts_nothing() {
    let run = Client::new("--embedded --no-image --dry-run").run().expect(0);
    let plan: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&plan["url"], &plan["model"]), (&"http://127.0.0.1:0".into(), &"road-works".into()));
    assert!(run.stderr.is_empty(), "{}", run.stderr);
}

#[test]
fn what_it_cannot_be_given_is_said_before_anything_is_started() {
    for (words, said) in [
        ("--embedded --model m --no-image", "--model"),
        ("--embedded --port 1 --no-image", "--port"),
        ("--embedded --embedded-model /nowhere --no-image", "config.json"),
        ("--embedded --image_path /nowhere.png", "/nowhere.png"),
        ("--embedded-model /nowhere --no-image", "--embedded"),
    ] {
        let run = Client::new(words).run().expect(2);
        assert!(run.stderr.contains(said) && !run.stderr.contains("embedded server:"), "{words}: {}", run.stderr);
    }
}

/// The small model with weights that nobody writes: its server loads for ever.
fn endless_model() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let model = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/road-works"));
    for file in std::fs::read_dir(model).unwrap() {
        let file = file.unwrap();
        if file.file_name() != "model.safetensors" {
            std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
    }
    nix::unistd::mkfifo(&folder.path().join("model.safetensors"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    folder
}

/// Starts a client with that model, and waits until it has a server: the server's process id.
fn start_with(model: &tempfile::TempDir) -> (Child, u32) {
    let mut client = Client::new("--embedded --no-image --embedded-model").arg(&model.path().display().to_string());
    let child = client.spawn();
    let id = child.id();
    let children = || std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    wait_until(|| !children().is_empty());
    (child, children().trim().parse().unwrap())
}

#[test]
fn a_signal_is_heard_while_the_model_loads() {
    let model = endless_model();
    for (signal, status) in [(nix::sys::signal::Signal::SIGINT, 130), (nix::sys::signal::Signal::SIGTERM, 143)] {
        // The client listens for signals before it starts its server.
        let (mut child, _) = start_with(&model);
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(status));
    }
}

#[test]
fn a_server_that_loads_is_gone_too_when_the_client_is_killed() {
    let model = endless_model();
    let (mut child, server) = start_with(&model);
    child.kill().unwrap();
    child.wait().unwrap();
    // Of a process that has ended and that nobody has waited for the command line is empty.
    wait_until(|| std::fs::read(format!("/proc/{server}/cmdline")).unwrap_or_default().is_empty());
}
