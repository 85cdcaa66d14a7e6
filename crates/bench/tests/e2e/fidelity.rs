//! The client's figures against a server whose times are known. Nothing here is an absolute limit: machines that test are
//! shared. What a run claims of itself must hold.

use crate::rig::{Client, Run, serve, stream};
use measure::{Clock, Definitions, Phase, RunLog, RunSummary, Sample, Summarise, Timeline};
use serve::{RawReply, Record, Reply, Script, StreamReply};
use std::process::{Command, Stdio};

/// How far each TTFT lies from the truth, µs: from the kernel's receive time of the request to the write of the first token. The
/// write is an interval: a server that was interrupted within it has written at any time in between.
pub(crate) fn ttft_errors_us(log: &RunLog, truth: &[Record], clock: Clock) -> Vec<f64> {
    let origin_ns = log.header.clocks.origin_monotonic_ns as f64;
    let us = |ns: f64| ns / 1e3;
    let measured = log.records.iter().filter(|record| record.phase == Phase::Measured);
    measured
        .map(|record| {
            let said = |ns: u64| ns as f64 + origin_ns;
            let id = format!("-{}", record.index);
            let truth =
                truth.iter().find(|truth| truth.request_id.as_deref().is_some_and(|it| it.ends_with(&id))).unwrap();
            let first = Timeline::new(record, Definitions::Standard, clock).first_token_ns().unwrap();
            let ttft = said(first) - said(record.sent_ns.unwrap());
            let write = truth.writes.iter().find(|write| write.tokens > 0).unwrap();
            let least = write.before_ns as f64 - truth.received_ns as f64;
            let most = write.after_ns as f64 - truth.received_ns as f64;
            us((ttft - most).max(least - ttft).max(0.0))
        })
        .collect()
}

/// The run's own bound holds for 99 of 100 requests.
fn check_claim(run: &Run, truth: &[Record], clock: Clock) -> RunSummary {
    let log = run.log();
    let summary = RunSummary::of(&log, &Summarise { clock, ..Summarise::default() });
    let bound =
        summary.client.ttft_bound_us.unwrap_or_else(|| panic!("no bound: {:?}\n{}", summary.client, run.stderr));
    let mut errors = ttft_errors_us(&log, truth, clock);
    errors.sort_by(f64::total_cmp);
    let p99 = errors[(errors.len() - 1) * 99 / 100];
    assert!(p99 <= bound, "{clock:?}: an error of {p99} µs where ±{bound} µs was claimed\n{}", run.stderr);
    summary
}

#[test]
fn what_a_run_claims_of_itself_holds() {
    let server = serve(stream(|reply| (reply.prefill_ms, reply.tokens) = (100.0, 8)));
    let run = Client::new("--no-image --model scripted --batch_size 16 --ignore-eos --output_len 8").at(&server).run();
    let run = run.expect(0);
    for clock in [Clock::Kernel, Clock::User] {
        check_claim(&run, &server.records(), clock);
    }
    assert!(
        run.stderr.contains("client: figures good to ±") || run.stderr.contains("client overloaded"),
        "{}",
        run.stderr
    );
}

#[test]
fn it_holds_on_a_core_that_others_take_and_the_verdict_says_so() {
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::unistd::Pid;
    let here = Pid::from_raw(0);
    let all = sched_getaffinity(here).unwrap();
    let last = (0..CpuSet::count()).rev().find(|core| all.is_set(*core).unwrap()).unwrap();
    let mut one = CpuSet::new();
    one.set(last).unwrap();
    let server = serve(stream(|reply| (reply.prefill_ms, reply.interval_ms, reply.tokens) = (100.0, 2.0, 300)));
    // Children take over the cores that this thread may use.
    sched_setaffinity(here, &one).unwrap();
    let mut thieves: Vec<_> = (0..3)
        .map(|_| Command::new("sh").args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn().unwrap())
        .collect();
    let run =
        Client::new("--no-image --model scripted --batch_size 16 --ignore-eos --output_len 300").at(&server).run();
    for thief in &mut thieves {
        thief.kill().unwrap();
        thief.wait().unwrap();
    }
    sched_setaffinity(here, &all).unwrap();
    let run = run.expect(0);
    let by_kernel = check_claim(&run, &server.records(), Clock::Kernel);
    let by_user = check_claim(&run, &server.records(), Clock::User);
    // How long the reads had to wait is the system's choice: the verdict says what the stamps say.
    let measured = run.measured();
    let events = measured.iter().flat_map(|record| &record.events);
    let lags_us = events.map(|event| (event.user_ns - event.kernel_ns.unwrap()) as f64 / 1e3);
    let lag_us = Sample::new(lags_us).unwrap().quantile(0.99);
    for client in [&by_kernel.client, &by_user.client] {
        assert!((client.read_lag_us_p99.unwrap() - lag_us).abs() < 1e-6, "{lag_us}: {client:?}");
        let is_shared = lag_us > 1000.0 && client.cpu_share.unwrap() <= 0.9;
        assert_eq!(client.core_shared, is_shared, "{client:?}");
        assert_eq!(run.stderr.contains("its core was shared"), is_shared, "{}", run.stderr);
    }
    assert!(by_kernel.client.involuntary_switches.is_some());
}

#[test]
fn the_kernels_time_is_used_and_is_the_earlier() {
    let server = serve(stream(|_| ()));
    let run = Client::new("--no-image --model scripted --batch_size 4").at(&server).run().expect(0);
    let summary = run.summary();
    assert_eq!(summary.requests_by_kernel_clock, 4);
    for record in run.measured() {
        assert!(record.events.iter().all(|event| event.kernel_ns.is_some_and(|kernel_ns| kernel_ns <= event.user_ns)));
    }
    let own = Client::new("--no-image --model scripted --batch_size 4 --clock user").at(&server).run().expect(0);
    assert_eq!(own.summary().requests_by_kernel_clock, 0);
}

/// A reply whose events are no JSON, as long as a real one, written in one go.
fn garbage(events: usize) -> Vec<u8> {
    let event = format!("data: {{{}\n\n", "\"choices\": [[[ ".repeat(16));
    let body = event.repeat(events) + "data: [DONE]\n\n";
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

#[test]
fn nothing_is_parsed_where_times_are_taken() {
    // Half of the requests get text that no parser takes, at full speed; the others must not notice.
    let stream = StreamReply { prefill_ms: 50.0, interval_ms: 5.0, tokens: 40, ..StreamReply::default() };
    let plain = Script::of(stream);
    let when = serve::When { every: Some(2), ..serve::When::default() };
    let bad = Reply::Raw(RawReply { bytes: garbage(2000), ..RawReply::default() });
    let server = serve(plain.with_rule(when, bad));
    let words = "--no-image --model scripted --num-prompts 16 --batch_size 16 --cold --prompts";
    let folder = tempfile::TempDir::new().unwrap();
    let prompts = folder.path().join("p.txt");
    std::fs::write(&prompts, (0..16).map(|i| format!("p{i}\n")).collect::<String>()).unwrap();
    let run = Client::new(words).arg(&prompts.display().to_string()).at(&server).run().expect(3);
    let log = run.log();
    let summary = RunSummary::of(&log, &Summarise::default());
    assert_eq!((summary.counts.complete, summary.counts.failed), (8, 8), "{}", run.stderr);
    let bound = summary.client.ttft_bound_us.unwrap();
    let mut whole = log;
    whole.records.retain(|record| record.outcome == measure::Outcome::Complete);
    let errors = ttft_errors_us(&whole, &server.records(), Clock::Kernel);
    let p99 = Sample::new(errors.iter().copied()).unwrap().quantile(0.99);
    assert!(errors.len() == 8 && p99 <= bound, "{errors:?} µs, ±{bound} claimed");
}

#[test]
fn the_calibration_in_small() {
    let output = Command::new(assert_cmd::cargo::cargo_bin!("vlm-benchmark"))
        .args(["calibrate", "--streams", "8", "--tokens", "16", "--json"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{talk}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = &json["rows"][0];
    assert_eq!((&row["errors"]["requests"], &row["errors"]["events"]), (&8.into(), &128.into()), "{row}");
    let (said, was) =
        (row["errors"]["ttft_reported_ms"].as_f64().unwrap(), row["errors"]["ttft_true_ms"].as_f64().unwrap());
    // The means and the mean of the differences are of the same requests.
    let mean_us = row["errors"]["ttft_us"]["mean"].as_f64().unwrap();
    assert!(was >= 200.0 && ((said - was) * 1e3 - mean_us).abs() < 1e-3, "{row}");
    assert!(row["claimed_us"].as_f64().is_some_and(|claimed| claimed >= 10.0), "{row}");
    // Eight requests: an eighth is 12.5 %.
    assert!(
        row["within_claim_percent"].as_f64().is_some_and(|percent| percent % 12.5 == 0.0 && percent <= 100.0),
        "{row}"
    );
    let text = Command::new(assert_cmd::cargo::cargo_bin!("vlm-benchmark"))
        .args(["calibrate", "--streams", "2", "--tokens", "4", "--tls", "--lang", "zh"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let table = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.status.success() && table.contains("2 路") && table.contains("TLS"), "{table}");
}
