//! Accuracy runs over folders, and what is found before a server is spoken to.

use crate::rig::{Client, picture, serve, stream, vanishing};
use serve::{Fault, FaultKind, Reply, Script, StreamReply, When};
use std::path::Path;
use tempfile::TempDir;

/// A folder of three pictures.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    for name in ["a.png", "b.png", "c.png"] {
        std::fs::copy(picture(), folder.path().join(name)).unwrap();
    }
    folder
}

/// The `number`th request is answered by this.
fn with_reply(number: u64, change: impl FnOnce(&mut StreamReply)) -> Script {
    let mut reply = StreamReply { prefill_ms: 1.0, interval_ms: 1.0, tokens: 3, ..StreamReply::default() };
    change(&mut reply);
    let when = When { number: Some(number), ..When::default() };
    stream(|reply| reply.tokens = 2).with_rule(when, Reply::Stream(Box::new(reply)))
}

fn words(folder: &Path) -> String {
    format!("--image_dir {} --model scripted", folder.display())
}

#[test]
fn answers_that_came_before_a_stop_are_printed() {
    let folder = folder();
    let server = serve(with_reply(2, |reply| reply.fault = Some(Fault { after_tokens: 1, kind: FaultKind::Stall })));
    let mut client = Client::new(&words(folder.path())).at(&server);
    let child = client.spawn();
    crate::rig::wait_until(|| server.records().get(2).is_some_and(|record| record.writes.len() >= 2));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGINT).unwrap();
    let run = client.finish(child).expect(130);
    assert_eq!(run.stdout.matches("输出结果： ").count(), 2, "{}", run.stdout);
    assert_eq!(run.stdout.matches("Processing: ").count(), 2, "{}", run.stdout);
}

#[test]
fn an_image_without_an_answer_is_a_failure_of_the_run() {
    let folder = folder();
    let server = serve(with_reply(1, |reply| reply.fault = Some(Fault { after_tokens: 1, kind: FaultKind::Reset })));
    let run = Client::new(&words(folder.path())).at(&server).run().expect(3);
    assert_eq!(run.stdout.matches("输出结果： ").count(), 2, "{}", run.stdout);
    assert_eq!(run.stdout.matches("Processing: ").count(), 3, "{}", run.stdout);
    assert_eq!(run.line("Successful requests:"), "1");
    // Which one it was stands on stderr too: the second that is named on stdout.
    let second = run.stdout.lines().filter_map(|line| line.strip_prefix("Image : ")).nth(1).unwrap();
    assert!(run.stderr.contains(&format!("{second}: truncated: ")), "{}", run.stderr);
}

#[test]
fn a_cold_folder_prints_the_size_of_its_first_image() {
    let folder = folder();
    let server = serve(stream(|_| ()));
    let run = Client::new(&format!("{} --cold", words(folder.path()))).at(&server).run().expect(0);
    assert!(run.stdout.starts_with("image size:  (1080, 810)\n输出结果： "), "{}", run.stdout);
}

#[test]
fn bad_files_are_found_before_a_server_is_asked() {
    let folder = folder();
    for name in ["b.png", "d.jpg"] {
        std::fs::write(folder.path().join(name), "no picture").unwrap();
    }
    let server = serve(stream(|_| ()));
    let dir = folder.path().display();
    // Without a model's name too, which has to be asked for; and where nothing is sent at all.
    for words in [format!("--image_dir {dir}"), format!("--image_dir {dir} --dry-run --port 1")] {
        let client = Client::new(&words);
        let client = if words.contains("dry-run") { client } else { client.at(&server) };
        let run = client.run().expect(2);
        assert!(run.stderr.contains("b.png") && run.stderr.contains("d.jpg"), "{}", run.stderr);
        assert!(run.stdout.is_empty() && !run.folder.exists());
    }
    assert_eq!(server.records().len(), 0);
}

#[test]
fn a_server_that_is_gone_after_the_load_has_counted_the_text() {
    // Gone after the first request and the measured one.
    let (port, server) = vanishing(2, Some(3));
    let run = Client::new(&format!("--no-image --model m --prompt 请描述图片 --port {port}")).run().expect(0);
    server.join().unwrap();
    assert_eq!(run.line("Total input tokens:"), "3");
}

#[test]
fn a_run_that_fails_at_once_says_where_its_files_are() {
    let server = serve(Script::of(StreamReply {
        fault: Some(Fault { after_tokens: 0, kind: FaultKind::Reset }),
        prefill_ms: 1.0,
        ..StreamReply::default()
    }));
    let run = Client::new("--no-image --model scripted").at(&server).run().expect(1);
    assert!(run.stderr.contains(&format!("files: {}", run.folder.display())), "{}", run.stderr);
}
