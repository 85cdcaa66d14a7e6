//! Runs built from event kinds and nanoseconds. It must not know any expected value.

use measure::{
    Clock, EventKind, EventStamp, Footer, Header, Outcome, Phase, RequestRecord, RunLog, RunSummary, Summarise,
    TextTokens, TokenUsage,
};
use serde_json::json;

/// A complete request sent at 0 with these events, times in nanoseconds.
pub(crate) fn request(index: u64, completion: u64, events: &[(EventKind, u64)]) -> RequestRecord {
    let mut record = RequestRecord::planned(index, Phase::Measured);
    record.outcome = Outcome::Complete;
    (record.intended_ns, record.admitted_ns, record.sent_ns, record.body_sent_ns) = (0, Some(0), Some(0), Some(0));
    record.usage = Some(TokenUsage { prompt: Some(14), completion: Some(completion), ..TokenUsage::default() });
    let stamp = |(kind, user_ns): &(EventKind, u64)| EventStamp {
        kind: *kind,
        user_ns: *user_ns,
        kernel_ns: None,
        bytes: 1,
        tokens: None,
    };
    record.events = events.iter().map(stamp).collect();
    record.ended_ns = events.last().map(|(_, ns)| *ns);
    record
}

/// Moves all times of a request.
pub(crate) fn shift(record: &mut RequestRecord, by_ns: u64) {
    record.intended_ns += by_ns;
    for time in [&mut record.admitted_ns, &mut record.sent_ns, &mut record.body_sent_ns, &mut record.ended_ns] {
        *time = time.map(|time| time + by_ns);
    }
    for event in &mut record.events {
        event.user_ns += by_ns;
        event.kernel_ns = event.kernel_ns.map(|time| time + by_ns);
    }
}

/// A run of these that ended in order: one prompt of 3 text tokens, one picture of 1131 expected tokens.
pub(crate) fn run(records: Vec<RequestRecord>) -> RunLog {
    let header: Header = serde_json::from_value(json!({
        "schema": 1, "tool": "t 0", "started": "2026-01-01T00:00:00Z", "plan": {}, "ignore_eos": false,
        "detail": "stamps", "server": {"url": "http://h", "model": "m"}, "client": {"os": "o", "kernel_stamps": false},
        "clocks": {"origin_monotonic_ns": 0, "origin_unix_ns": 0}, "images": [], "expected_image_tokens": [1131],
        "prompts": [{"text": "请描述图片", "chars": 5, "sha256": "00"}],
    }))
    .unwrap();
    let text_tokens = TextTokens { counts: vec![Some(3)], source: Some("local-folder".into()) };
    RunLog { header, records, footer: Some(Footer { text_tokens, ..Footer::default() }) }
}

/// Standard definitions by our own reads.
pub(crate) fn user() -> Summarise {
    Summarise { clock: Clock::User, ..Summarise::default() }
}

/// The figures of these requests.
pub(crate) fn figures(records: Vec<RequestRecord>) -> RunSummary {
    RunSummary::of(&run(records), &user())
}
