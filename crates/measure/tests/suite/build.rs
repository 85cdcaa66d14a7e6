//! Small builders: a run in a few words. Times are milliseconds from the origin of the run.

use measure::{
    Clock, EventKind, EventStamp, Footer, Header, Outcome, Phase, RequestRecord, RunLog, RunSummary, Summarise,
    TextTokens, TokenUsage,
};
use serde_json::{Value, json};

/// A millisecond in nanoseconds.
pub(crate) const MS: u64 = 1_000_000;

/// A header with nothing special in it.
pub(crate) fn header() -> Header {
    header_with(&json!({}))
}

/// A header in which these fields are others.
pub(crate) fn header_with(fields: &Value) -> Header {
    let mut value = json!({
        "schema": 1, "tool": "t", "started": "s", "plan": {}, "ignore_eos": false, "detail": "stamps",
        "server": {"url": "u", "model": "m"}, "client": {"os": "o", "kernel_stamps": true},
        "clocks": {"origin_monotonic_ns": 0, "origin_unix_ns": 0}, "images": [], "prompts": [],
    });
    for (key, field) in fields.as_object().unwrap() {
        value[key] = field.clone();
    }
    serde_json::from_value(value).unwrap()
}

/// A footer of a run that ended in order; the prompt's text has so many tokens.
pub(crate) fn footer(text_tokens: u64) -> Footer {
    Footer {
        text_tokens: TextTokens { counts: vec![Some(text_tokens)], source: Some("local-folder".into()) },
        ..Footer::default()
    }
}

/// A complete request sent at 0 whose events are written `kind` `ms`: `r90 t100 t110 d111`. The kernel had each 1 ms
/// before we read it. Usage says `prompt` and `completion` tokens.
pub(crate) fn request(index: u64, events: &str, prompt: u64, completion: u64) -> RequestRecord {
    let mut record = RequestRecord::planned(index, Phase::Measured);
    record.outcome = Outcome::Complete;
    record.finish_reason = Some("stop".into());
    (record.sent_ns, record.admitted_ns, record.body_sent_ns) = (Some(0), Some(0), Some(0));
    record.usage = Some(TokenUsage { prompt: Some(prompt), completion: Some(completion), ..Default::default() });
    record.events = events.split_whitespace().map(event).collect();
    record.ended_ns = record.events.last().map(|event| event.user_ns);
    record
}

fn event(word: &str) -> EventStamp {
    let mut letters = word.chars();
    let kind = letters.next().and_then(EventKind::from_letter).unwrap();
    let user_ns = ns(letters.as_str().parse().unwrap());
    EventStamp { kind, user_ns, kernel_ns: Some(user_ns.saturating_sub(MS)), bytes: 9, tokens: None }
}

/// Milliseconds in nanoseconds, rounded.
pub(crate) fn ns(ms: f64) -> u64 {
    (ms * 1e6).round() as u64
}

/// Moves a request by so many milliseconds.
pub(crate) fn later(mut record: RequestRecord, ms: u64) -> RequestRecord {
    let by = ms * MS;
    record.intended_ns += by;
    for time in [&mut record.admitted_ns, &mut record.sent_ns, &mut record.body_sent_ns, &mut record.ended_ns] {
        *time = time.map(|time| time + by);
    }
    for event in &mut record.events {
        event.user_ns += by;
        event.kernel_ns = event.kernel_ns.map(|time| time + by);
    }
    record
}

/// A run of these requests that ended in order; the prompt's text has 3 tokens.
pub(crate) fn log(records: Vec<RequestRecord>) -> RunLog {
    RunLog { header: header(), records, footer: Some(footer(3)) }
}

/// Standard definitions, our own reads.
pub(crate) fn by_own_reads() -> Summarise {
    Summarise { clock: Clock::User, ..Summarise::default() }
}

/// The figures of these requests by our own reads.
pub(crate) fn summary(records: Vec<RequestRecord>) -> RunSummary {
    RunSummary::of(&log(records), &by_own_reads())
}

/// The mean of a figure; `None` where no request has it.
pub(crate) fn mean(summary: &RunSummary, name: &str) -> Option<f64> {
    // Sums of nanoseconds as milliseconds: equal to 9 digits is equal.
    summary.metric(name).map(|metric| (metric.mean.value * 1e9).round() / 1e9)
}

/// The kinds of the cautions.
pub(crate) fn kinds(summary: &RunSummary) -> Vec<String> {
    let cautions = serde_json::to_value(&summary.cautions).unwrap();
    cautions.as_array().unwrap().iter().map(|caution| caution["kind"].as_str().unwrap().to_owned()).collect()
}

/// Whether there is a caution of this kind.
pub(crate) fn has(summary: &RunSummary, kind: &str) -> bool {
    kinds(summary).iter().any(|other| other == kind)
}
