//! Concurrency, schedules, rounds: how many, when, and what becomes of those that find no room.

use crate::rig::{Client, serve, stream, text_run, tokenizer};
use serve::{Script, StreamReply};

#[test]
fn exactly_n_in_flight() {
    let (run, records) = text_run(stream(|reply| reply.prefill_ms = 60.0), "--batch_size 8 --num-prompts 40");
    run.expect(0);
    // The first request stands alone before the load.
    let most = records.iter().skip(1).map(|record| record.in_flight).max();
    assert_eq!((records.len(), most), (41, Some(8)));
}

#[test]
fn a_batch_leaves_together() {
    let run = text_run(stream(|_| ()), "--batch_size 32").0.expect(0);
    let summary = run.summary();
    assert_eq!(summary.throughput.concurrency_max, Some(32));
    assert!(summary.burst_spread_ms.is_some());
    assert!(run.stderr.contains("burst: sent within"));
}

#[test]
fn a_closed_loop_is_no_wave() {
    // One slow request must not hold the others of its batch back.
    let slow = StreamReply { prefill_ms: 800.0, interval_ms: 0.0, tokens: 2, ..StreamReply::default() };
    let quick = stream(|reply| {
        reply.prefill_ms = 20.0;
        reply.interval_ms = 0.0;
    });
    let script =
        quick.with_rule(serve::When { number: Some(1), ..Default::default() }, serve::Reply::Stream(Box::new(slow)));
    let (run, records) = text_run(script, "--batch_size 2 --num-prompts 10");
    run.expect(0);
    let slow_end = records[1].ended_ns.unwrap();
    assert_eq!(records.iter().filter(|record| record.read_ns > slow_end).count(), 0, "all others were sent meanwhile");
}

#[test]
fn the_clients_own_queue_is_shown() {
    // 10 a second against 0.5 s each with room for one: from the send each takes 0.5 s; from the schedule the wait grows
    // by 0.4 s a request: 0.5, 0.9, 1.3, 1.7 s.
    let script = Script::of(StreamReply { prefill_ms: 500.0, interval_ms: 0.0, tokens: 1, ..StreamReply::default() });
    let words = "--request-rate 10 --arrivals constant --num-prompts 4 --max-concurrency 1";
    let (run, records) = text_run(script, words);
    let run = run.expect(0);
    let (sent, wait, schedule) = (run.mean("ttft_ms"), run.mean("queue_wait_ms"), run.mean("ttft_from_schedule_ms"));
    // The server answers no sooner, and each is sent when the one before has been answered; a slow machine takes longer.
    assert!(sent > 499.0 && wait > 599.0, "{sent} {wait}");
    assert!((schedule - sent - wait).abs() < 1e-3, "{schedule} {sent} {wait}");
    let origin_ns = run.log().header.clocks.origin_monotonic_ns;
    let sent_ns: Vec<u64> = run.measured().iter().map(|record| record.sent_ns.unwrap() + origin_ns).collect();
    let written_ns: Vec<u64> = records.iter().skip(1).map(|record| record.writes.last().unwrap().before_ns).collect();
    assert!(sent_ns.len() == 4 && written_ns.len() == 4);
    assert!(written_ns.iter().zip(&sent_ns[1..]).all(|(written, sent)| written < sent), "{written_ns:?} {sent_ns:?}");
}

#[test]
fn arrivals_over_the_cap_may_be_dropped_and_are_recorded() {
    // No measured reply comes before all have arrived; the first request stands alone before the load.
    let gated = StreamReply { gate: Some("all are there".into()), tokens: 1, ..StreamReply::default() };
    let rule = |number| serve::When { number: Some(number), ..Default::default() };
    let reply = || serve::Reply::Stream(Box::new(gated.clone()));
    let server = serve(stream(|_| ()).with_rule(rule(1), reply()).with_rule(rule(2), reply()));
    let words = "--request-rate 50 --arrivals constant --num-prompts 10 --max-concurrency 2 --over-cap drop";
    let mut client = Client::new(&format!("--no-image --model scripted {words}")).at(&server);
    let child = client.spawn();
    // The header, the first request and those that found no room.
    client.wait_for_lines(10);
    server.open_gate("all are there");
    let run = client.finish(child).expect(3);
    let counts = run.summary().counts;
    assert_eq!((counts.planned, counts.complete, counts.by_outcome.get("not_sent")), (10, 2, Some(&8)));
    assert_eq!(run.measured().len(), 10);
}

#[test]
fn an_open_loop_keeps_its_schedule() {
    // The server takes 0.4 s and cannot slow the arrivals down: 20 requests at 100/s leave within 190 ms.
    let script = Script::of(StreamReply { prefill_ms: 400.0, interval_ms: 0.0, tokens: 1, ..StreamReply::default() });
    let run = text_run(script, "--request-rate 100 --arrivals constant --num-prompts 20").0.expect(0);
    let intended: Vec<u64> = run.measured().iter().map(|record| record.intended_ns).collect();
    let steps: Vec<u64> = intended.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(steps, [10_000_000; 19]);
    assert!(run.measured().iter().all(|record| record.sent_ns >= Some(record.intended_ns)));
}

#[test]
fn the_same_seed_gives_the_same_arrivals() {
    let offsets = |seed: u32| {
        let script = stream(|reply| reply.tokens = 1);
        let words = format!("--request-rate 200 --burstiness 0.5 --num-prompts 10 --seed {seed}");
        let measured = text_run(script, &words).0.expect(0).measured();
        measured.iter().map(|record| record.intended_ns - measured[0].intended_ns).collect::<Vec<_>>()
    };
    assert_eq!(offsets(1), offsets(1));
    assert_ne!(offsets(1), offsets(2));
}

#[test]
fn a_duration_ends_the_sending_and_loses_nothing() {
    let (run, records) = text_run(stream(|reply| reply.prefill_ms = 30.0), "--duration 0.6 --batch_size 2");
    let run = run.expect(0);
    let measured = run.measured();
    // What the server saw beyond the first request is what was measured, and all of it ended well.
    assert_eq!(records.len() - 1, measured.len());
    assert!(measured.len() >= 2);
    // What was let go after the duration would be a fault; when it leaves then is the machine's matter.
    let first = measured.iter().filter_map(|record| record.admitted_ns).min().unwrap();
    assert!(measured.iter().all(|record| record.admitted_ns.unwrap() < first + 600_000_000));
}

#[test]
fn rounds_are_pooled_and_warm_up_stays_outside() {
    let (run, records) = text_run(stream(|_| ()), "--batch_size 3 --warmup 2 --num_rounds 4");
    let run = run.expect(0);
    assert_eq!(records.len(), 1 + 2 * 3 + 4 * 3);
    assert_eq!(run.line("Successful requests:"), "12");
    assert_eq!(run.stdout.matches("Serving Benchmark Result").count(), 1);
    // The duration is the sum of the rounds': each takes 20 ms + 7 × 5 ms at least.
    let seconds: f64 = run.line("Benchmark duration (s):").parse().unwrap();
    assert!((0.22..5.0).contains(&seconds), "{seconds}");
    let rounds: std::collections::BTreeSet<u32> = run.measured().iter().map(|record| record.round).collect();
    assert_eq!(rounds.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn prompts_from_a_file_are_taken_in_turn() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("p.jsonl");
    std::fs::write(&path, "{\"prompt\":\"eins\",\"output_len\":3}\n{\"prompt\":\"zwei\"}\n").unwrap();
    let server = serve(stream(|_| ()));
    let run = Client::new("--model scripted --num-prompts 3 --prompts")
        .arg(path.to_str().unwrap())
        .at(&server)
        .run()
        .expect(0);
    let asked: Vec<(String, u64)> = server
        .records()
        .iter()
        .skip(1)
        .map(|record| {
            let body = crate::rig::body(record);
            (
                body["messages"][0]["content"][0]["text"].as_str().unwrap().to_owned(),
                body["max_tokens"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(asked, [("eins".into(), 3), ("zwei".into(), 512), ("eins".into(), 3)]);
    assert_eq!(run.line("Total generated tokens:"), (3 + 8 + 3).to_string());
}

#[test]
fn made_up_prompts_have_exactly_their_length_and_differ() {
    let server = serve(stream(|_| ()));
    let words = format!(
        "--no-image --model scripted --tokenizer {} --synthetic-prompt-tokens 40 --num-prompts 4 --cold",
        tokenizer()
    );
    let run = Client::new(&words).at(&server).run().expect(0);
    assert_eq!(run.line("Total input tokens:"), "160");
    let texts: std::collections::HashSet<String> = server
        .records()
        .iter()
        .map(|record| crate::rig::body(record)["messages"][0]["content"][0]["text"].to_string())
        .collect();
    assert_eq!(texts.len(), 4);
}

#[test]
fn goodput_counts_what_keeps_every_limit() {
    let slow = StreamReply { prefill_ms: 600.0, interval_ms: 0.0, tokens: 2, ..StreamReply::default() };
    let script = stream(|_| ())
        .with_rule(serve::When { number: Some(2), ..Default::default() }, serve::Reply::Stream(Box::new(slow)));
    let run = text_run(script, "--batch_size 4 --goodput ttft:300").0.expect(0);
    assert_eq!(run.summary().goodput.unwrap().good, 3);
}

#[test]
fn a_thousand_streams_at_once() {
    let in_flight_max = |prefill_ms| {
        let (run, records) = text_run(stream(|reply| reply.prefill_ms = prefill_ms), "--batch_size 1000");
        let run = run.expect(0);
        assert_eq!(run.line("Successful requests:"), "1000");
        records.iter().map(|record| record.in_flight).max()
    };
    // On a machine that is busy with other things the first may be answered before the last is sent.
    assert!([1_500.0, 30_000.0].into_iter().any(|prefill_ms| in_flight_max(prefill_ms) == Some(1000)));
}

#[test]
fn threads_send_everything_once_under_one_cap() {
    let words = "--batch_size 6 --num-prompts 40 --num_rounds 2 --threads 2";
    let (run, records) = text_run(stream(|reply| reply.tokens = 3), words);
    let run = run.expect(0);
    // The first request, and 40 in each round.
    assert_eq!((records.len(), run.line("Successful requests:").as_str()), (81, "80"));
    assert!(records.iter().map(|record| record.in_flight).max().unwrap() <= 6);
    let mut indices: Vec<u64> = run.measured().iter().map(|record| record.index).collect();
    indices.sort_unstable();
    assert_eq!(indices, (1..81).collect::<Vec<_>>());
    let words = "--request-rate 200 --num-prompts 40 --arrivals constant --threads 3";
    let (run, _) = text_run(stream(|reply| reply.tokens = 3), words);
    let mut intended: Vec<u64> = run.expect(0).measured().iter().map(|record| record.intended_ns).collect();
    intended.sort_unstable();
    assert!(intended.windows(2).all(|pair| pair[1] - pair[0] == 5_000_000), "{intended:?}");
}

#[test]
fn rounds_that_a_duration_ends_go_on_through_the_prompts() {
    let prompts = std::env::temp_dir().join(format!("rounds-{}.txt", std::process::id()));
    std::fs::write(&prompts, (0..50).map(|number| format!("{number}\n")).collect::<String>()).unwrap();
    let words = format!("--prompts {} --duration 0.5 --num-rounds 3", prompts.display());
    let (run, _) = text_run(stream(|reply| reply.tokens = 2), &words);
    let records = run.expect(0).measured();
    let prompts: Vec<u64> = records.iter().map(|record| u64::from(record.prompt)).collect();
    assert_eq!(prompts, (0..prompts.len() as u64).map(|number| number % 50).collect::<Vec<_>>());
    assert!(records.last().is_some_and(|record| record.round > 0));
}
