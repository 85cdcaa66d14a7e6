//! How requests and runs end, and with which exit status.

use crate::rig::{Client, Run, serve, stream, text_run, vanishing, wait_until};
use serve::{Fault, FaultKind, HttpReply, Reply, Script, StreamReply, When};

fn fault(after_tokens: u64, kind: FaultKind) -> StreamReply {
    StreamReply {
        prefill_ms: 10.0,
        interval_ms: 2.0,
        tokens: 10,
        fault: Some(Fault { after_tokens, kind }),
        ..StreamReply::default()
    }
}

/// A run whose measured requests get this reply: the first request, which the run needs, is answered well.
fn run_with(reply: Reply, words: &str) -> Run {
    let script = stream(|_| ()).with_rule(When { number: Some(0), ..When::default() }, stream(|_| ()).reply);
    let script = Script { reply, ..script };
    text_run(script, words).0
}

fn check(reply: Reply, name: &str, cause: &str) {
    // One of two requests is good, so that the run has survivors.
    let good = stream(|_| ()).reply;
    let script = stream(|_| ()).with_rule(When { number: Some(1), ..When::default() }, reply);
    let script = Script { reply: good, ..script };
    let run = text_run(script, "--num-prompts 2").0.expect(3);
    let summary = run.summary();
    assert_eq!(summary.counts.by_outcome.get(name), Some(&1), "{cause}: {:?}", summary.counts);
    assert!(summary.counts.by_cause.keys().any(|key| key.contains(cause)), "{cause}: {:?}", summary.counts);
    assert_eq!(run.line("Successful requests:"), "1");
    assert!(run.has_caution("survivors"));
    // The good one's figures alone.
    assert_eq!(summary.metric("ttft_ms").unwrap().n, 1);
}

#[test]
fn failures_are_counted_by_cause() {
    let stream = |kind| Reply::Stream(Box::new(fault(5, kind)));
    check(stream(FaultKind::Error("CUDA out of memory".into())), "server_error", "CUDA out of memory");
    check(stream(FaultKind::Close), "truncated", "connection broke");
    check(stream(FaultKind::Reset), "truncated", "connection broke");
    check(stream(FaultKind::End), "truncated", "finish reason");
    let http = |status, body: &str| Reply::Http(HttpReply { status, body: body.into(), ..HttpReply::default() });
    check(http(200, "{\"error\":{\"message\":\"no room\"}}"), "server_error", "no room");
    check(http(200, ""), "truncated", "without a token");
    check(http(500, "<html>oops</html>"), "server_error", "HTTP 500: <html>oops</html>");
    check(http(429, "{\"detail\":\"slow down\"}"), "server_error", "HTTP 429: slow down");
}

#[test]
fn a_stream_without_tokens_is_no_success() {
    check(
        Reply::Stream(Box::new(StreamReply { tokens: 0, prefill_ms: 5.0, ..StreamReply::default() })),
        "truncated",
        "without a token",
    );
}

#[test]
fn odd_events_in_between_do_no_harm() {
    for kind in [FaultKind::Garbage, FaultKind::EmptyChoices] {
        let run = run_with(Reply::Stream(Box::new(fault(5, kind))), "").expect(0);
        assert_eq!(run.line("Total generated tokens:"), "10");
    }
}

#[test]
fn nothing_complete_is_status_1() {
    let reply = Reply::Http(HttpReply { status: 500, body: "{}".into(), ..HttpReply::default() });
    let run = run_with(reply, "--batch_size 2").expect(1);
    assert_eq!((run.line("Successful requests:").as_str(), run.line("Mean TTFT (ms):").as_str()), ("0", "n/a"));
}

#[test]
fn a_missed_limit_of_the_run_is_status_4() {
    // The first token takes 20 ms at least, and surely not a minute.
    let run = text_run(stream(|_| ()), "--slo ttft:p99:60000 --slo tpot:mean:60000").0.expect(0);
    assert!(!run.stderr.contains("limit missed") && run.stderr.matches("limit kept").count() == 2, "{}", run.stderr);
    let run = text_run(stream(|_| ()), "--slo ttft:p99:19,tpot:mean:60000").0.expect(4);
    assert!(run.stderr.contains("limit missed: ttft_ms p99"), "{}", run.stderr);
    // A figure that nobody has keeps no limit.
    text_run(stream(|reply| reply.tokens = 1), "--slo tpot:mean:60000").0.expect(4);
}

#[test]
fn each_limit_ends_a_stalled_request_and_keeps_the_rest() {
    let stalled = |after| Reply::Stream(Box::new(fault(after, FaultKind::Stall)));
    for (reply, words, limit) in [
        (stalled(1), "--idle-timeout 0.3", "nothing arrived"),
        (stalled(0), "--first-token-timeout 0.3", "no first token"),
        (stalled(3), "--total-timeout 0.5", "took too long"),
    ] {
        let script = stream(|_| ()).with_rule(When { number: Some(2), ..When::default() }, reply);
        let run = text_run(script, &format!("--batch_size 4 {words}")).0.expect(3);
        let summary = run.summary();
        assert_eq!((summary.counts.complete, summary.counts.by_outcome.get("timed_out")), (3, Some(&1)), "{words}");
        assert!(summary.counts.by_cause.keys().any(|key| key.contains(limit)), "{words}: {:?}", summary.counts);
    }
}

#[test]
fn a_refused_first_request_ends_the_run() {
    for (status, body, words) in [
        (401, "{\"error\":\"Unauthorized\"}", "--api-key"),
        (404, "{\"detail\":\"Not Found\"}", "--endpoint"),
        (413, "{\"detail\":\"Request Entity Too Large\"}", "--resize"),
        (
            422,
            "{\"detail\":\"max_completion_tokens: extra inputs are not permitted\"}",
            "--max-tokens-field max_tokens",
        ),
        (429, "{\"detail\":\"later\"}", "--batch_size"),
    ] {
        let run = text_run(Script::http(status, body), "").0.expect(1);
        assert!(
            run.stderr.contains(&format!("HTTP {status}")) && run.stderr.contains(words),
            "{status}: {}",
            run.stderr
        );
        assert_eq!(run.stdout, "", "{status}");
    }
}

#[test]
fn an_unknown_model_names_those_there_are() {
    let server = serve(stream(|_| ()));
    let run = Client::new("--no-image --model nobody").at(&server).run().expect(1);
    assert!(
        run.stderr.contains("The model `nobody` does not exist") && run.stderr.contains("the server has: scripted"),
        "{}",
        run.stderr
    );
}

#[test]
fn no_server() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let run = Client::new(&format!("--no-image --model m --port {port}")).run().expect(1);
    assert!(run.stderr.contains("refused") && run.stderr.contains("--port"), "{}", run.stderr);
    assert!(!run.folder.exists(), "nothing is written");
}

#[test]
fn a_refused_field_names_its_flag() {
    let mut script = stream(|_| ());
    script.refuse_fields = vec!["ignore_eos".into()];
    let run = text_run(script, "--ignore-eos").0.expect(1);
    assert!(run.stderr.contains("--ignore-eos"), "{}", run.stderr);
}

#[test]
fn bad_arguments_are_status_2_and_leave_nothing() {
    for words in [
        "--no-image --batch_size 0",
        "--no-image --output_len -1",
        "--image_path /nowhere/x.png --model m",
        "--no-image --request-rate 5",
        "--no-image --base-url nonsense",
        "--no-image --nonsense",
        "--no-image --cacert /nowhere --base-url https://127.0.0.1:1 --model m",
        "--no-image --cacert /nowhere --base-url https://127.0.0.1:1 --model m --dry-run",
        "--no-image --cacert /nowhere --base-url http://127.0.0.1:1 --model m",
        "--no-image --tokenizer /nowhere/x --model m",
        "--no-image --prompts /nowhere/x --model m",
    ] {
        let run = Client::new(words).run().expect(2);
        assert!(!run.stderr.is_empty() && run.stdout.is_empty(), "{words}");
        assert!(!run.stderr.contains("panicked"), "{words}: {}", run.stderr);
        assert!(!run.folder.exists(), "{words}");
    }
}

/// A signal while two of four requests have ended: everything is kept, the report says incomplete.
fn check_signal(signal: nix::sys::signal::Signal, status: i32) {
    let script = stream(|_| ()).with_rule(
        When { every: Some(2), ..When::default() },
        Reply::Stream(Box::new(StreamReply {
            prefill_ms: 5.0,
            fault: Some(Fault { after_tokens: 2, kind: FaultKind::Stall }),
            ..StreamReply::default()
        })),
    );
    let server = serve(script);
    let mut client =
        Client::new("--no-image --model scripted --batch_size 4 --cold --prompts").arg(&prompts_file()).at(&server);
    let child = client.spawn();
    // Two answers are whole on the client's disk, two have begun and stalled. (What the server has sent, the client need
    // not have read.)
    client.wait_for_lines(3);
    wait_until(|| server.records().iter().filter(|record| record.writes.len() >= 2).count() == 4);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), signal).unwrap();
    let run = client.finish(child).expect(status);
    let summary = run.summary();
    assert_eq!((summary.counts.complete, summary.counts.by_outcome.get("cancelled")), (2, Some(&2)));
    assert!(!summary.complete_run && run.stderr.contains("INCOMPLETE"), "{}", run.stderr);
    assert_eq!(run.line("Successful requests:"), "2");
}

/// Four prompts in a file.
fn prompts_file() -> String {
    let path =
        std::env::temp_dir().join(format!("prompts-{}-{:?}.txt", std::process::id(), std::thread::current().id()));
    std::fs::write(&path, "a\nb\nc\nd\n").unwrap();
    path.display().to_string()
}

#[test]
fn ctrl_c_keeps_everything() {
    check_signal(nix::sys::signal::Signal::SIGINT, 130);
}

#[test]
fn sigterm_keeps_everything() {
    check_signal(nix::sys::signal::Signal::SIGTERM, 143);
}

#[test]
fn stopped_while_the_server_does_not_answer() {
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut client = Client::new(&format!("--no-image --model m --port {port}"));
    let child = client.spawn();
    let connection = silent.accept().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGINT).unwrap();
    let run = client.finish(child).expect(130);
    assert!(!run.folder.exists() && run.stdout.is_empty());
    drop(connection);
}

#[test]
fn stopped_before_the_first_answer() {
    let server = serve(Script::of(fault(1, FaultKind::Stall)));
    let mut client = Client::new("--no-image --model scripted --batch_size 4").at(&server);
    let child = client.spawn();
    wait_until(|| server.records().iter().any(|record| record.writes.len() >= 2));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGINT).unwrap();
    let run = client.finish(child).expect(130);
    let counts = run.summary().counts;
    assert_eq!((counts.planned, counts.by_outcome.get("not_sent")), (4, Some(&4)));
    assert_eq!(server.records().len(), 1);
}

#[test]
fn records_that_cannot_be_read_back_are_no_success() {
    let server = serve(stream(|reply| (reply.tokens, reply.interval_ms) = (10, 20.0)));
    let mut client = Client::new("--no-image --model scripted --num-prompts 20").at(&server);
    let child = client.spawn();
    // The header, the first request and measured ones, which are on the disk alone from now on.
    client.wait_for_lines(4);
    std::fs::File::create(client.folder().join("run.jsonl")).unwrap();
    // None of the load is left.
    let run = client.finish(child).expect(1);
    assert!(run.stderr.contains("cannot be read back"), "{}", run.stderr);
}

#[test]
fn kill_9_loses_at_most_the_last_second() {
    let script = stream(|reply| reply.tokens = 2)
        .with_rule(When { number: Some(6), ..When::default() }, Reply::Stream(Box::new(fault(1, FaultKind::Stall))));
    let server = serve(script);
    let mut client = Client::new("--no-image --model scripted --num-prompts 20").at(&server);
    let mut child = client.spawn();
    // The records of the six that ended come onto the disk although the seventh stalls.
    client.wait_for_lines(7);
    wait_until(|| server.records().len() == 7);
    child.kill().unwrap();
    let run = client.finish(child);
    let log = run.log();
    assert_eq!(log.records.len(), 6);
    assert_eq!(log.footer, None);
}

#[test]
fn a_server_lost_between_rounds_is_a_finding_not_the_end() {
    // It answers the first request and the first round. Then it is gone.
    let (port, server) = vanishing(2, None);
    let run = Client::new(&format!("--no-image --model m --num_rounds 2 --port {port}")).run().expect(3);
    server.join().unwrap();
    assert_eq!(run.line("Successful requests:"), "1");
    assert_eq!(run.summary().counts.by_outcome.get("connect_failed"), Some(&1));
}
