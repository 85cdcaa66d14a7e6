//! Connections, TLS, keys, paths: what stands between client and server.

use crate::fidelity::ttft_errors_us;
use crate::rig::{Client, body, serve, stream, text_run};
use serve::{Reply, Script, ScriptedServer, StreamReply, When};

#[test]
fn connections_are_opened_once_and_kept() {
    let (run, records) = text_run(stream(|_| ()), "--batch_size 4 --num-prompts 40");
    let run = run.expect(0);
    let used: std::collections::HashSet<u64> = records.iter().skip(1).map(|record| record.connection).collect();
    assert_eq!(used.len(), 4);
    // Connect times stand apart, one for each connection.
    assert_eq!(run.summary().metric("connect_ms").unwrap().n, 4);
}

#[test]
fn a_connection_that_may_be_stale_is_opened_anew_before_the_clock() {
    // The server closes idle connections after 200 ms; the second request comes 3.5 s after the first.
    let mut script = Script::of(StreamReply { prefill_ms: 5.0, interval_ms: 0.0, tokens: 1, ..StreamReply::default() });
    script.idle_close_ms = Some(200);
    let words = "--request-rate 0.28 --arrivals constant --num-prompts 2 --max-concurrency 1";
    let (run, records) = text_run(script, words);
    let run = run.expect(0);
    assert!(run.has_caution("reopened"), "{}", run.stderr);
    let measured = run.measured();
    assert!(measured[1].connection.as_ref().is_some_and(|connection| connection.reopened && connection.reused == 0));
    assert_ne!(records[1].connection, records[2].connection);
    // The TTFTs are as near to the server's times as the run claims: connecting is in none of them.
    let errors = ttft_errors_us(&run.log(), &records, measure::Clock::Kernel);
    let p99 = measure::Sample::new(errors.iter().copied()).unwrap().quantile(0.99);
    let bound = run.summary().client.ttft_bound_us.unwrap();
    assert!(errors.len() == 2 && p99 <= bound, "{errors:?} µs, ±{bound} claimed");
}

#[test]
fn keys_and_headers_go_out_and_nowhere_else() {
    let mut script = stream(|_| ());
    script.api_key = Some("sesame-open".into());
    let server = serve(script);
    for (words, env) in [("--api-key sesame-open", None), ("", Some("sesame-open"))] {
        let mut client = Client::new(&format!("--no-image --model scripted {words} --header"))
            .arg("X-Secret: tahini-jar")
            .at(&server);
        if let Some(key) = env {
            client = client.env("OPENAI_API_KEY", key);
        }
        let run = client.run().expect(0);
        let record = server.records().pop().unwrap();
        let header =
            |name: &str| record.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone());
        assert_eq!(header("x-secret").as_deref(), Some("tahini-jar"));
        let files = std::fs::read_dir(&run.folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
        let everything = files
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .chain([run.stdout.clone(), run.stderr.clone()]);
        for text in everything {
            assert!(!text.contains("sesame") && !text.contains("tahini"), "a secret in {text}");
        }
    }
    let run = Client::new("--no-image --model scripted --api-key wrong-key").at(&server).run().expect(1);
    assert!(run.stderr.contains("401") && !run.stderr.contains("wrong-key"), "{}", run.stderr);
    let run = Client::new("--no-image --model scripted --header").arg("bad\u{1}name: hush").at(&server).run().expect(2);
    assert!(!run.stderr.contains("hush"), "{}", run.stderr);
}

/// A certificate for 127.0.0.1 and its key, PEM.
fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
fn tls_with_a_certificate_of_ones_own() {
    let (cert, key) = certificate();
    let server = ScriptedServer::start_tls(stream(|_| ()), cert.as_bytes(), key.as_bytes()).unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, &cert).unwrap();
    let client =
        |words: &str| Client::new(&format!("--no-image --model scripted --batch_size 3 {words}")).at(&server).run();
    let run = client(&format!("--cacert {}", path.display())).expect(0);
    assert_eq!(run.line("Successful requests:"), "3");
    assert!(run.mean("tpot_ms") > 3.0);
    client("--insecure").expect(0);
    let (other, _) = certificate();
    std::fs::write(&path, other).unwrap();
    let run = client(&format!("--cacert {}", path.display())).expect(1);
    assert!(run.stderr.contains("TLS"), "{}", run.stderr);
    std::fs::write(&path, "no certificate").unwrap();
    client(&format!("--cacert {}", path.display())).expect(2);
}

#[test]
fn the_base_path_is_kept_and_a_wrong_one_is_said() {
    let server = serve(stream(|_| ()));
    Client::new("--no-image --model scripted --base-url").arg(&format!("{}/v1", server.url())).run().expect(0);
    let run =
        Client::new("--no-image --model scripted --base-url").arg(&format!("{}/api", server.url())).run().expect(1);
    assert!(run.stderr.contains("/api/v1/chat/completions"), "{}", run.stderr);
}

#[test]
fn no_proxy_for_loopback() {
    let server = serve(stream(|_| ()));
    // Nothing listens on port 1: a request through this proxy would fail.
    let client = Client::new("--no-image --model scripted").at(&server);
    let run = client.env("http_proxy", "http://127.0.0.1:1").env("ALL_PROXY", "http://127.0.0.1:1").run().expect(0);
    assert!(!run.has_caution("proxy"));
}

#[test]
fn extra_fields_reach_the_server() {
    let server = serve(stream(|_| ()));
    let client =
        Client::new("--no-image --model scripted --max-tokens-field max_completion_tokens --output_len 4 --extra-body")
            .arg("{\"top_k\": 7}")
            .at(&server);
    client.run().expect(0);
    let body = body(&server.records()[0]);
    assert_eq!((&body["top_k"], &body["max_completion_tokens"]), (&7.into(), &4.into()));
    assert!(body.get("max_tokens").is_none());
}

#[test]
fn no_request_is_repeated_in_silence() {
    // The server closes the connection on every second request: each is a failure on the record, none is sent again.
    let close = StreamReply {
        fault: Some(serve::Fault { after_tokens: 0, kind: serve::FaultKind::Reset }),
        prefill_ms: 1.0,
        ..StreamReply::default()
    };
    let script = stream(|_| ()).with_rule(When { number: Some(2), ..When::default() }, Reply::Stream(Box::new(close)));
    let (run, records) = text_run(script, "--num-prompts 5");
    let run = run.expect(3);
    assert_eq!(records.len(), 1 + 5);
    assert_eq!(run.line("Successful requests:"), "4");
}

#[test]
fn the_only_model_of_a_server_needs_no_name() {
    let server = serve(stream(|_| ()));
    let run = Client::new("--no-image").at(&server).run().expect(0);
    assert!(run.stderr.contains("model: scripted"), "{}", run.stderr);
    let mut script = stream(|_| ());
    script.models = vec!["a".into(), "b".into()];
    let server = serve(script);
    let run = Client::new("--no-image").at(&server).run().expect(2);
    assert!(run.stderr.contains("a, b"), "{}", run.stderr);
}
