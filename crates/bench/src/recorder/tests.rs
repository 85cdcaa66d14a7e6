//! What the recorder makes of bodies, event by event and cut by cut.

use super::*;
use crate::driver::Planned;
use crate::net::{BodyParts, Mark};
use proptest::prelude::*;

const DONE: &str = "data: [DONE]\n\n";

fn chunk(delta: &str, finish: Option<&str>) -> String {
    let finish = finish.map_or("null".into(), |reason| format!("\"{reason}\""));
    format!(
        "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

fn usage(prompt: u64, completion: u64) -> String {
    format!(
        "data: {{\"object\":\"c\",\"choices\":[],\"usage\":{{\"prompt_tokens\":{prompt},\"completion_tokens\":{completion}}}}}\n\n"
    )
}

/// Records a body that came in these pieces, 1 ms apart from 1 ms on.
fn record_pieces(pieces: &[&[u8]], status: u16, ending: Ending) -> RequestRecord {
    let mut rest = Segment::default();
    for (i, piece) in pieces.iter().enumerate() {
        rest.bytes.extend_from_slice(piece);
        let user_ns = 1_000_000 * (i as u64 + 1);
        rest.marks.push(Mark::new(rest.bytes.len(), user_ns, Some(user_ns - 10)));
    }
    let tape = Tape {
        sent_ns: Some(0),
        body_sent_ns: Some(1),
        write_ns_max: Some(5),
        headers_ns: Some(2),
        ended_ns: 9_000_000,
        status: Some(status),
        retry_after: None,
        rest,
        ending,
    };
    let planned = Planned { index: 0, phase: Phase::Measured, round: 0, item: 0, intended_ns: 0, admitted_ns: Some(0) };
    let items = [Item { prompt: 0, images: vec![], output_len: 16, body: BodyParts::new(vec![]) }];
    Recorder::new(0, true).ended(Ended { planned, connection: None, end: Ok(tape) }, &items)
}

fn record(body: &str) -> RequestRecord {
    record_pieces(&[body.as_bytes()], 200, Ending::Whole)
}

fn kinds(record: &RequestRecord) -> String {
    record.events.iter().map(|event| event.kind.letter()).collect()
}

#[test]
fn an_ordinary_stream() {
    let body = [
        chunk(r#"{"role":"assistant","content":""}"#, None),
        chunk(r#"{"content":"a"}"#, None),
        chunk(r#"{"content":""}"#, None),
        chunk(r#"{"content":"b"}"#, Some("stop")),
        usage(5, 3),
        DONE.into(),
    ]
    .concat();
    let record = record(&body);
    assert_eq!(kinds(&record), "rtetud");
    assert_eq!((record.outcome.clone(), record.text.as_deref()), (Outcome::Complete, Some("ab")));
    assert_eq!(record.usage, Some(TokenUsage { prompt: Some(5), completion: Some(3), ..Default::default() }));
    // SHA-256 of "ab", by sha256sum.
    assert_eq!(record.text_sha256.as_deref(), Some("fb8e20fc2e4c3f248c60c39bd652f3c1347298bb977b8b4d5903b85055620603"));
}

fn check_kinds(deltas: &[(&str, Option<&str>)], want: &str) {
    let body: String = deltas.iter().map(|(delta, finish)| chunk(delta, *finish)).collect();
    assert_eq!(kinds(&record(&body)), want, "{deltas:?}");
}

#[test]
fn what_each_event_is() {
    check_kinds(&[(r#"{"role":"assistant","content":null}"#, None), (r#"{"content":null}"#, None)], "rn");
    check_kinds(&[(r#"{"role":"assistant","content":"hi"}"#, None)], "t");
    check_kinds(&[(r#"{"content":"a"}"#, None), (r#"{"role":"assistant","content":""}"#, None)], "te");
    check_kinds(
        &[(r#"{"reasoning_content":"r"}"#, None), (r#"{"reasoning":"r"}"#, None), (r#"{"content":"c"}"#, None)],
        "ggt",
    );
    check_kinds(&[(r#"{"tool_calls":[{"index":0}]}"#, None), ("{}", Some("tool_calls"))], "kf");
    check_kinds(&[(r#"{"content":"a"}"#, None), (r#"{"content":""}"#, Some("length"))], "te");
}

fn check_outcome(record: &RequestRecord, name: &str, cause: &str) {
    assert_eq!(record.outcome.name(), name, "{:?}", record.outcome);
    assert!(record.outcome.cause(measure::Lang::En).contains(cause), "{:?} lacks {cause:?}", record.outcome);
}

#[test]
fn how_requests_end() {
    let token = chunk(r#"{"content":"a"}"#, None);
    let last = chunk(r#"{"content":"b"}"#, Some("stop"));
    check_outcome(&record(&format!("{token}{last}{DONE}")), "complete", "");
    check_outcome(&record(&format!("{token}{last}")), "truncated", "end marker");
    check_outcome(&record(&format!("{token}{DONE}")), "truncated", "finish reason");
    check_outcome(&record(""), "truncated", "without a token");
    check_outcome(&record(DONE), "truncated", "without a token");
    check_outcome(&record(&format!("{}{DONE}", chunk("{}", Some("stop")))), "truncated", "without a token");
    let error = "data: {\"error\":{\"message\":\"out of memory\",\"code\":500}}\n\n";
    check_outcome(&record(&format!("{token}{token}{error}{DONE}")), "server_error", "out of memory");
    check_outcome(&record("{\"error\":{\"message\":\"busy\"}}"), "server_error", "busy");
    check_outcome(&record("{\"choices\":[{\"message\":{\"content\":\"x\"}}]}"), "server_error", "without streaming");
    let broken = record_pieces(&[token.as_bytes()], 200, Ending::Broken("reset".into()));
    check_outcome(&broken, "truncated", "reset");
    let refused = record_pieces(&[b"{\"detail\":\"Not Found\"}"], 404, Ending::Whole);
    check_outcome(&refused, "server_error", "HTTP 404: Not Found");
    check_outcome(&record_pieces(&[], 200, Ending::Lost("refused".into())), "connect_failed", "refused");
    let late = record_pieces(&[token.as_bytes()], 200, Ending::TimedOut(measure::TimeLimit::Idle));
    check_outcome(&late, "timed_out", "too long");
}

#[test]
fn usage_may_stand_anywhere_and_be_absent() {
    let with = |first: &str, last: &str| {
        let body = format!(
            "data: {{\"object\":\"c\",\"choices\":[{{\"delta\":{{\"content\":\"a\"}}}}]{first}}}\n\ndata: {{\"object\":\"c\",\"choices\":[{{\"delta\":{{\"content\":\"b\"}},\"finish_reason\":\"stop\"}}]{last}}}\n\n{DONE}"
        );
        let record = record(&body);
        (record.usage.and_then(|usage| usage.completion), record.events.iter().map(|e| e.tokens).collect::<Vec<_>>())
    };
    let on = |n: u64| format!(",\"usage\":{{\"completion_tokens\":{n}}}");
    assert_eq!(with("", ""), (None, vec![None, None, None]));
    // Usage on the last content event alone says nothing about the tokens of that event.
    assert_eq!(with("", &on(7)), (Some(7), vec![None, None, None]));
    assert_eq!(with(&on(4), &on(8)), (Some(8), vec![Some(4), Some(4), None]));
    assert_eq!(with(",\"usage\":null", &on(2)), (Some(2), vec![None, None, None]));
}

#[test]
fn a_later_usage_erases_nothing_that_is_known() {
    let on = |usage: &str| {
        format!("data: {{\"object\":\"c\",\"choices\":[{{\"delta\":{{\"content\":\"a\"}}}}],\"usage\":{usage}}}\n\n")
    };
    let body = [
        on(r#"{"prompt_tokens":9,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":4}}"#),
        on(r#"{"completion_tokens":2}"#),
        on("null"),
        on("{}"),
        on(r#"{"prompt_tokens":8,"completion_tokens_details":{"reasoning_tokens":1}}"#),
        DONE.into(),
    ]
    .concat();
    let want = TokenUsage { prompt: Some(8), completion: Some(2), cached: Some(4), reasoning: Some(1) };
    assert_eq!(record(&body).usage, Some(want));
}

#[test]
fn an_event_has_the_time_of_the_read_that_completed_it() {
    let body = chunk(r#"{"content":"图"}"#, None);
    let (head, tail) = body.as_bytes().split_at(body.len() - 1);
    let record = record_pieces(&[head, tail, DONE.as_bytes()], 200, Ending::Whole);
    let times: Vec<u64> = record.events.iter().map(|event| event.user_ns).collect();
    assert_eq!(times, [2_000_000, 3_000_000]);
    assert_eq!(record.events[0].kernel_ns, Some(1_999_990));
}

#[test]
fn ten_events_in_one_read_share_its_time() {
    let body = chunk(r#"{"content":"a"}"#, None).repeat(10);
    let record = record(&body);
    assert_eq!(record.events.len(), 10);
    assert!(record.events.iter().all(|event| event.user_ns == 1_000_000));
}

#[test]
fn segments_join_where_they_were_cut() {
    let body = chunk(r#"{"content":"图片"}"#, None).repeat(3);
    for cut in 0..body.len() {
        let mut reading = Reading::default();
        for (part, ns) in [(&body.as_bytes()[..cut], 1), (&body.as_bytes()[cut..], 2)] {
            let marks = if part.is_empty() { vec![] } else { vec![Mark::new(part.len(), ns, None)] };
            reading.read(&Segment { bytes: part.to_vec(), marks });
        }
        assert_eq!(reading.text, "图片图片图片", "cut at {cut}");
        let first_whole = body.len() / 3;
        let want: Vec<u64> = (1..=3).map(|k| if cut >= k * first_whole { 1 } else { 2 }).collect();
        assert_eq!(reading.events.iter().map(|event| event.user_ns).collect::<Vec<_>>(), want, "cut at {cut}");
    }
}

#[test]
fn output_that_no_working_model_produces() {
    for (text, bad) in [
        ("!".repeat(24), true),
        ("!".repeat(23), false),
        ("ab cd ".repeat(9), true),
        ("这张图片展示了一辆黄色的自卸卡车正在倾倒货物，卡车停在路上。".into(), false),
        (format!("a{}", "!".repeat(40)), false),
        (String::new(), false),
    ] {
        assert_eq!(repeats(&text), bad, "{text}");
    }
    let nan = "data: {\"object\":\"c\",\"choices\":[{\"delta\":{\"content\":\"a\"},\"logprobs\":{\"content\":[{\"logprob\":null}]}}]}\n\n";
    assert_eq!(record(nan).degenerate, Some(Degenerate::BadLogprobs("a".into())));
}

proptest! {
    #[test]
    fn no_body_is_a_panic(body in proptest::collection::vec(any::<u8>(), 0..300), status in 0u16..600) {
        let record = record_pieces(&[&body], status, Ending::Whole);
        prop_assert!(record.outcome != Outcome::Complete || !record.events.is_empty());
    }
}
