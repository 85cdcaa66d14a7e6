//! Replies recorded from the real vLLM 0.32.0, played back whole and byte by byte: the records are the same.

use crate::rig::{Client, data, serve};
use measure::{Outcome, RequestRecord, TokenUsage};
use serve::Script;

/// The measured record of a run whose every reply is this recording, and the run's status.
fn play(name: &str, write_bytes: Option<usize>) -> (RequestRecord, i32) {
    let bytes = std::fs::read(data(&format!("vllm-0.32.0/{name}.http"))).unwrap();
    let mut script = Script::raw(bytes, write_bytes);
    script.models = vec!["m".into()];
    let server = serve(script);
    let prompts = std::env::temp_dir().join(format!("one-{}-{name}-{write_bytes:?}.txt", std::process::id()));
    std::fs::write(&prompts, "x\n").unwrap();
    let run = Client::new("--no-image --model m --cold --detail text --prompts")
        .arg(prompts.to_str().unwrap())
        .at(&server)
        .run();
    (run.measured().remove(0), run.status)
}

/// A record without what differs from run to run: times, sizes of reads, the connection.
fn timeless(record: &RequestRecord) -> serde_json::Value {
    let mut record = record.clone();
    (record.sent_ns, record.body_sent_ns, record.headers_ns, record.ended_ns) = (None, None, None, None);
    record.write_ns_max = None;
    (record.intended_ns, record.admitted_ns, record.connection) = (0, None, None);
    for event in &mut record.events {
        (event.user_ns, event.kernel_ns) = (0, None);
    }
    serde_json::to_value(record).unwrap()
}

fn check(name: &str, tokens: usize, usage: Option<(u64, u64)>, finish: &str) {
    let (whole, status) = play(name, None);
    let (bytes, _) = play(name, Some(1));
    assert_eq!(timeless(&whole), timeless(&bytes), "{name}");
    assert_eq!((whole.outcome.clone(), status), (Outcome::Complete, 0), "{name}");
    let count = whole.events.iter().filter(|event| matches!(event.kind.letter(), 't' | 'e')).count();
    assert_eq!((count, whole.finish_reason.as_deref()), (tokens, Some(finish)), "{name}");
    let want = usage.map(|(prompt, completion)| TokenUsage {
        prompt: Some(prompt),
        completion: Some(completion),
        ..Default::default()
    });
    assert_eq!(whole.usage, want, "{name}");
}

#[test]
fn streams_of_the_real_server() {
    check("stream_usage", 16, Some((1145, 16)), "length");
    check("stream_usage_cont", 16, Some((1145, 16)), "length");
    check("stream_nousage", 16, None, "length");
    check("stream_1tok", 1, Some((1145, 1)), "length");
    check("stream_512", 512, Some((1145, 512)), "length");
    check("stream_eos", 64, Some((1145, 64)), "length");
    check("stream_ids", 16, Some((1145, 16)), "length");
}

#[test]
fn half_characters_are_tokens() {
    // 8 of the 512 token events of the recording hold an empty string: bytes of an unfinished character.
    let (record, _) = play("stream_512", Some(7));
    assert_eq!(record.events.iter().filter(|event| event.kind.letter() == 'e').count(), 8);
}

#[test]
fn tokens_per_event_where_the_server_tells() {
    let (record, _) = play("stream_usage_cont", None);
    let tokens: Vec<Option<u32>> =
        record.events.iter().filter(|e| e.kind.letter() == 't').map(|event| event.tokens).collect();
    assert_eq!(tokens, [Some(1); 16]);
}

fn check_refused(name: &str, status: u16, words: &str) {
    for write_bytes in [None, Some(1)] {
        let (record, exit) = play(name, write_bytes);
        assert_eq!((record.status, exit), (Some(status), 1), "{name}");
        assert!(record.outcome.cause(measure::Lang::En).contains(words), "{name}: {:?}", record.outcome);
    }
}

#[test]
fn refusals_of_the_real_server() {
    check_refused("err_model_stream", 404, "The model `no-such-model` does not exist");
    check_refused("err_ctx_stream", 400, "maximum context length is 16384 tokens");
    check_refused("err_404path", 404, "Not Found");
    check_refused("err_405", 405, "Method Not Allowed");
    check_refused("err_badimg", 400, "");
}
