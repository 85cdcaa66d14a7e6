//! `report`: a stored run read again, with its own settings or others; its forms fit their schemas however the run ended.

use crate::rig::{Client, Run, command, data, picture, serve, stream, text_run, tokenizer};
use measure::RunSummary;
use serde_json::Value;
use serve::{Fault, FaultKind, HttpReply, Reply, StreamReply, When};
use std::path::Path;

/// Reads the run in this folder again: stdout, stderr, status.
fn report(folder: &Path, words: &str) -> (String, String, i32) {
    let words: Vec<&str> = ["report", folder.to_str().unwrap()].into_iter().chain(words.split_whitespace()).collect();
    command(&words)
}

fn summary(folder: &Path, words: &str) -> RunSummary {
    serde_json::from_str(&report(folder, &format!("--format json {words}")).0).unwrap()
}

#[test]
fn limits_of_the_run_on_a_stored_run() {
    let run = text_run(stream(|_| ()), "--batch_size 2").0.expect(0);
    // The first token takes 20 ms at least, and surely not a minute.
    let (text, _, status) = report(&run.folder, "--slo ttft:p99:60000 tpot:mean:60000");
    assert_eq!((text.matches("limit kept: ").count(), text.contains("limit missed"), status), (2, false, 0), "{text}");
    let (text, _, status) = report(&run.folder, "--slo ttft:max:19 tpot:mean:60000");
    assert!(text.contains("limit missed: ttft_ms max is ") && text.contains("limit kept: tpot_ms mean is "), "{text}");
    assert_eq!(status, 4);
    let (text, _, _) = report(&run.folder, "--slo ttft:max:19 --lang zh");
    assert!(text.contains("未满足上限：ttft_ms max 为 "), "{text}");
    for (lang, part) in [("en", "is expected"), ("zh", "应为")] {
        let (stdout, stderr, status) = report(&run.folder, &format!("--slo ttft:19 --lang {lang}"));
        assert!(stdout.is_empty() && status == 2 && stderr.contains("--slo") && stderr.contains(part), "{stderr}");
    }
}

#[test]
fn a_report_reads_a_run_as_the_run_was_read() {
    let words = "--definitions vllm --clock user --goodput ttft:60000 --slo ttft:p99:1 --batch_size 2";
    let run = text_run(stream(|_| ()), words).0.expect(4);
    let (json, _, status) = report(&run.folder, "--format json");
    assert_eq!((json, status), (std::fs::read_to_string(run.folder.join("summary.json")).unwrap(), 4));
    let (csv, _, _) = report(&run.folder, "--format csv");
    assert_eq!(csv, std::fs::read_to_string(run.folder.join("requests.csv")).unwrap());
    let own = summary(&run.folder, "");
    assert_eq!((own.goodput.as_ref().unwrap().limits[0].max, own.slo[0].max), (60_000.0, 1.0));
    // Options take the place of what the run asked for, each of its own.
    let other = summary(&run.folder, "--definitions standard --clock kernel --goodput ttft:50000 --slo tpot:max:60000");
    assert_eq!((other.definitions, other.clock), (measure::Definitions::Standard, measure::Clock::Kernel));
    assert_eq!((other.goodput.unwrap().limits[0].max, other.slo.len(), other.slo[0].kept), (50_000.0, 1, true));
    let half = summary(&run.folder, "--clock kernel");
    assert_eq!((half.definitions, half.clock), (measure::Definitions::Vllm, measure::Clock::Kernel));
}

#[test]
fn the_head_says_what_was_measured() {
    let server = serve(stream(|_| ()));
    let words = format!(
        "--image_path {} --tokenizer {} --model scripted --label night --card C --driver D --image-proof",
        picture(),
        tokenizer()
    );
    let run = Client::new(&words).at(&server).run().expect(0);
    let facts = run.summary().run;
    let log = run.log();
    assert_eq!(
        (&facts.name.started, &facts.client, facts.server.url),
        (&log.header.run.started, &log.header.client, server.url())
    );
    let (english, _, _) = report(&run.folder, "--lang en");
    for part in [
        "run: night, 20",
        "server: http://127.0.0.1:",
        ", model scripted",
        "card: C, driver D",
        "client machine: ",
        "image proof: ",
    ] {
        assert_eq!((english.matches(part).count(), run.stderr.contains(part)), (1, true), "{part}: {english}");
    }
    let (chinese, _, _) = report(&run.folder, "--lang zh");
    for part in ["运行：night，20", "服务端：http://127.0.0.1:", "加速卡：C，驱动 D", "客户端机器：", "图像验证："]
    {
        assert!(chinese.contains(part), "{part}: {chinese}");
    }
}

#[test]
fn an_open_loop_names_the_rate_that_was_asked_for() {
    let run = text_run(stream(|_| ()), "--request-rate 40 --num-prompts 4 --arrivals constant").0.expect(0);
    assert_eq!(run.summary().throughput.offered_requests_per_s, Some(40.0));
    assert!(run.stderr.contains("requests/s: 40.00 offered, "), "{}", run.stderr);
    let closed = text_run(stream(|_| ()), "").0.expect(0);
    assert!(closed.summary().throughput.offered_requests_per_s.is_none() && !closed.stderr.contains("offered"));
}

#[test]
fn reports_of_what_is_no_run() {
    for (path, en, zh) in [
        ("/nowhere".to_owned(), "a run's folder, or its run.jsonl, is expected", "应为运行目录"),
        (data("tokenizer"), "a run's folder, or its run.jsonl, is expected", "应为运行目录"),
        (data("logs/seed_accuracy.txt"), "this is no log of a run", "这不是运行日志"),
    ] {
        for (lang, part) in [("en", en), ("zh", zh)] {
            let (stdout, stderr, status) = report(Path::new(&path), &format!("--lang {lang}"));
            assert_eq!((stdout.as_str(), status), ("", 2), "{path}");
            assert!(stderr.contains(part) && stderr.contains(&path), "{stderr}");
        }
    }
}

fn schema(name: &str) -> jsonschema::Validator {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema")).join(name);
    jsonschema::validator_for(&serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()).unwrap()
}

fn check(schema: &jsonschema::Validator, text: &str) -> Value {
    let value = serde_json::from_str(text).unwrap();
    let errors: Vec<String> = schema.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path)).collect();
    assert_eq!(errors, Vec::<String>::new());
    value
}

/// The run's lines, its summary if it came to write one, and the summary made of its log again.
fn check_files(run: &Run, has_summary: bool) -> Value {
    let (line, summary) = (schema("run.schema.json"), schema("summary.schema.json"));
    let log = std::fs::read_to_string(run.folder.join("run.jsonl")).unwrap();
    assert!(log.lines().count() > 1, "{}", run.stderr);
    log.split_inclusive('\n').filter(|text| text.ends_with('\n')).for_each(|text| drop(check(&line, text)));
    let written = std::fs::read_to_string(run.folder.join("summary.json"));
    assert_eq!(written.is_ok(), has_summary, "{}", run.stderr);
    let again = check(&summary, &report(&run.folder, "--format json").0);
    if let Ok(written) = written {
        assert_eq!(check(&summary, &written), again);
    }
    again
}

#[test]
fn the_files_of_a_run_with_images_fit_their_schemas() {
    let server = serve(stream(|_| ()));
    let words = format!(
        "--image_path {} --tokenizer {} --model scripted --batch_size 3 --image-proof --detail text --label L --card C --driver D --goodput ttft:500 --slo ttft:p99:60000",
        picture(),
        tokenizer()
    );
    let json = check_files(&Client::new(&words).at(&server).run().expect(0), true);
    assert!(json["image_proof"]["verdict"].is_string() && json["goodput"]["good"].is_u64(), "{json}");
    // The schema can refuse.
    let summary = schema("summary.schema.json");
    for (pointer, wrong) in [("/counts/complete", "three"), ("/unheard_of", "1"), ("/run/card", "")] {
        let mut json = json.clone();
        match json.pointer_mut(pointer) {
            Some(value) if wrong.is_empty() => *value = Value::Null,
            Some(value) => *value = wrong.into(),
            None => json["unheard_of"] = 1.into(),
        }
        assert!(!summary.is_valid(&json), "{pointer}");
    }
}

#[test]
fn the_files_of_a_failing_run_fit_their_schemas() {
    let http = |status| Reply::Http(HttpReply { status, body: "{}".into(), ..HttpReply::default() });
    let cut = Reply::Stream(Box::new(StreamReply {
        prefill_ms: 5.0,
        fault: Some(Fault { after_tokens: 2, kind: FaultKind::Close }),
        ..StreamReply::default()
    }));
    // Some fail, in two ways; one limit is of a figure that nobody has.
    let some = stream(|_| ())
        .with_rule(When { number: Some(1), ..When::default() }, http(500))
        .with_rule(When { number: Some(2), ..When::default() }, cut);
    let run = text_run(some, "--batch_size 4 --slo itl_token:mean:5 --save-result").0.expect(3);
    let json = check_files(&run, true);
    assert_eq!((&json["counts"]["failed"], &json["slo"][0]["value"]), (&2.into(), &Value::Null));
    let lists: Value = serde_json::from_slice(&std::fs::read(run.folder.join("vllm-bench.json")).unwrap()).unwrap();
    for (key, list) in lists.as_object().unwrap().iter().filter(|(_, value)| value.is_array()) {
        assert!(!list.to_string().contains("null"), "{key}: {list}");
    }
    // All fail, but for the request before the load.
    let mut none = stream(|_| ());
    none = none.with_rule(When { number: Some(0), ..When::default() }, stream(|_| ()).reply);
    none.reply = http(503);
    let run = text_run(none, "--batch_size 2").0.expect(1);
    let json = check_files(&run, true);
    // The run lasted until the last one failed.
    assert!(json["counts"]["complete"] == 0 && json["duration_s"].as_f64() > Some(0.0), "{json}");
    assert!(!run.has_caution("warm_cache"), "nothing was measured: {}", run.stderr);
    // The first request already fails: the run ends, and what there is of it is in order.
    let mut refused = stream(|_| ());
    refused.reply = http(500);
    check_files(&text_run(refused, "").0.expect(1), true);
}

#[test]
fn the_files_of_a_stopped_and_of_a_killed_run_fit_their_schemas() {
    for (signal, status) in [(nix::sys::signal::Signal::SIGINT, 130), (nix::sys::signal::Signal::SIGKILL, -1)] {
        let stall = Reply::Stream(Box::new(StreamReply {
            prefill_ms: 5.0,
            fault: Some(Fault { after_tokens: 1, kind: FaultKind::Stall }),
            ..StreamReply::default()
        }));
        let server = serve(stream(|_| ()).with_rule(When { number: Some(3), ..When::default() }, stall));
        let mut client = Client::new("--no-image --model scripted --num-prompts 9 --label L").at(&server);
        let child = client.spawn();
        // The header, the first request and two measured ones are on the disk, and the fourth has begun.
        client.wait_for_lines(4);
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), signal).unwrap();
        let run = client.finish(child).expect(status);
        let json = check_files(&run, status == 130);
        assert_eq!((&json["complete_run"], &json["counts"]["planned"]), (&false.into(), &9.into()));
        assert_eq!((&json["counts"]["complete"], &json["run"]["label"]), (&2.into(), &"L".into()));
        let (text, _, _) = report(&run.folder, "");
        assert!(text.contains("INCOMPLETE") && text.contains("run: L, "), "{text}");
    }
}

#[test]
fn the_server_s_own_times_stand_beside_ours() {
    let script = stream(|reply| (reply.prefill_ms, reply.tokens) = (40.0, 3));
    let (run, _) = text_run(script, "--batch_size 3 --num_rounds 2 --warmup 1");
    let run = run.expect(0);
    let summary = run.summary();
    // The first request and the warm-up are not in them.
    let [own] = summary.server_times.as_slice() else { panic!("{:?}", summary.server_times) };
    assert_eq!((own.name.as_str(), own.n), ("vllm:time_to_first_token_seconds", 6));
    let ours = run.mean("ttft_ms");
    assert!(40.0 <= own.mean_ms() && own.mean_ms() <= ours, "the server says {}, we say {ours}", own.mean_ms());
    let line = format!("the server's own means from when it had a request, ms: TTFT {:.3} (n 6)", own.mean_ms());
    assert!(run.stderr.contains(&line) && report(&run.folder, "").0.contains(&line), "{}", run.stderr);
    check_files(&run, true);
}
