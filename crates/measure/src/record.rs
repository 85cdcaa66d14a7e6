//! The raw record of one request: everything observed, nothing computed.
//!
//! All times are integer nanoseconds on the monotonic clock, counted from the origin of the run (the header says where
//! that lies). On disk the events are columns of differences, which keeps a record of 512 events near 6 KB.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Which part of the run a request belongs to. Only `Measured` enters figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The one request before the load whose answer is printed.
    Accuracy,
    /// The same with `--ignore-eos`: nothing is printed.
    Preliminary,
    /// Before the measured rounds, by `--warmup`.
    Warmup,
    /// What the figures are made of.
    Measured,
    /// Sent by `--image-proof`.
    Proof,
}

/// Which limit a request ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeLimit {
    /// No token within the limit for the first one.
    FirstToken,
    /// Nothing arrived for too long.
    Idle,
    /// The whole request took too long.
    Total,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Outcome {
    /// A finish reason, the end marker and at least one token (unless 0 were asked for).
    Complete,
    /// The stream ended early.
    Truncated {
        /// What was missing.
        reason: String,
    },
    /// The server refused or failed, by status or by an error event inside the stream.
    ServerError {
        /// The server's own words.
        message: String,
    },
    /// A limit was reached.
    TimedOut {
        /// Which.
        limit: TimeLimit,
    },
    /// No connection, or it was lost before any answer.
    ConnectFailed {
        /// The system's words.
        message: String,
    },
    /// Never sent: the cap on requests in flight was reached, or the run had ended.
    NotSent {
        /// Why.
        reason: String,
    },
    /// Stopped by the user or by the end of the run.
    Cancelled,
}

impl Outcome {
    /// The outcome's machine name, as in the JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Truncated { .. } => "truncated",
            Self::ServerError { .. } => "server_error",
            Self::TimedOut { .. } => "timed_out",
            Self::ConnectFailed { .. } => "connect_failed",
            Self::NotSent { .. } => "not_sent",
            Self::Cancelled => "cancelled",
        }
    }

    /// What went wrong, for grouping failures; empty for a complete request.
    #[must_use]
    pub fn cause(&self) -> String {
        match self {
            Self::Complete | Self::Cancelled => String::new(),
            Self::Truncated { reason: words }
            | Self::NotSent { reason: words }
            | Self::ServerError { message: words }
            | Self::ConnectFailed { message: words } => words.clone(),
            Self::TimedOut { limit: TimeLimit::FirstToken } => "no first token in time".into(),
            Self::TimedOut { limit: TimeLimit::Idle } => "nothing arrived for too long".into(),
            Self::TimedOut { limit: TimeLimit::Total } => "the request took too long".into(),
        }
    }
}

/// What one event of the stream was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// Names the role and brings nothing else, before any token.
    Role,
    /// Answer text.
    Text,
    /// A content key with an empty string, after the role.
    Empty,
    /// Reasoning text.
    Reasoning,
    /// A tool call.
    ToolCall,
    /// A finish reason and nothing else.
    Finish,
    /// Usage and no choices.
    Usage,
    /// Choices with nothing in them.
    Nothing,
    /// An error.
    Error,
    /// The end marker.
    Done,
    /// Not what the protocol has: bad JSON, or an object without choices and usage.
    Other,
}

impl EventKind {
    const LETTERS: [(Self, char); 11] = [
        (Self::Role, 'r'),
        (Self::Text, 't'),
        (Self::Empty, 'e'),
        (Self::Reasoning, 'g'),
        (Self::ToolCall, 'k'),
        (Self::Finish, 'f'),
        (Self::Usage, 'u'),
        (Self::Nothing, 'n'),
        (Self::Error, 'x'),
        (Self::Done, 'd'),
        (Self::Other, 'o'),
    ];

    /// Its letter in a record's `kinds` column.
    #[must_use]
    pub fn letter(self) -> char {
        Self::LETTERS.iter().find(|(kind, _)| *kind == self).map_or('o', |(_, letter)| *letter)
    }

    /// The kind with this letter.
    #[must_use]
    pub fn from_letter(letter: char) -> Option<Self> {
        Self::LETTERS.iter().find(|(_, other)| *other == letter).map(|(kind, _)| *kind)
    }

    /// Whether a client that follows vLLM's older script counts it as a token: any event with choices.
    #[must_use]
    pub fn has_choices(self) -> bool {
        !matches!(self, Self::Usage | Self::Error | Self::Done | Self::Other)
    }
}

/// One event: what it was and when it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventStamp {
    /// What it was.
    pub kind: EventKind,
    /// When our read of its last byte returned.
    pub user_ns: u64,
    /// When the kernel had received it, where the kernel told.
    pub kernel_ns: Option<u64>,
    /// Its size in the stream, in bytes.
    pub bytes: u32,
    /// How many tokens it brought, where the server tells.
    pub tokens: Option<u32>,
}

/// The server's token counts, as it sent them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUsage {
    /// Prompt tokens, images included.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prompt: Option<u64>,
    /// Generated tokens.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub completion: Option<u64>,
    /// Prompt tokens taken from the server's prefix cache.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cached: Option<u64>,
    /// Generated tokens that were reasoning.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reasoning: Option<u64>,
}

/// The connection a request went over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Number of the connection within the run.
    pub id: u32,
    /// How many requests it had carried before.
    pub reused: u32,
    /// What opening it took, TLS and proxy included. Never part of TTFT.
    pub connect_ns: u64,
    /// It was opened in place of one that had been idle for too long.
    pub reopened: bool,
}

/// Output that no working model produces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Degenerate {
    /// One short piece of text over and over; the text's head.
    Repeats(String),
    /// Log probabilities that are null or no finite number; the text's head.
    BadLogprobs(String),
}

/// Everything observed of one request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// Number of the request within the run, in planned order.
    pub index: u64,
    /// Which part of the run it belongs to.
    pub phase: Phase,
    /// Which round, from 0.
    pub round: u32,
    /// Which prompt of the header.
    pub prompt: u32,
    /// Which images of the header, in their order in the message.
    #[serde(default)]
    pub images: Vec<u32>,
    /// The tokens asked for at most.
    pub max_tokens: u64,
    /// When it was to be sent.
    pub intended_ns: u64,
    /// When the cap on requests in flight let it go.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub admitted_ns: Option<u64>,
    /// Just before the first write.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sent_ns: Option<u64>,
    /// When the last byte of the request had been handed to the kernel.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub body_sent_ns: Option<u64>,
    /// When the response's head had been read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub headers_ns: Option<u64>,
    /// When the end was known: end of stream, failure or cancellation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended_ns: Option<u64>,
    /// The connection, once there was one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub connection: Option<Connection>,
    /// Size of the request's body.
    pub body_bytes: u64,
    /// HTTP status.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<u16>,
    /// The server's id of the reply.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub server_id: Option<String>,
    /// The events, in order. With `--detail summary` only those that bound the figures.
    #[serde(serialize_with = "write_events", deserialize_with = "read_events", default)]
    pub events: Vec<EventStamp>,
    /// How many events between those kept were left out: gaps between them are then no latencies between tokens.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub events_left_out: u64,
    /// The server's last usage object.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub usage: Option<TokenUsage>,
    /// Output tokens counted by the client over the WHOLE text, where the server sends no usage.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retokenised: Option<u64>,
    /// Why the generation ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub finish_reason: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// The answer, where it is kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
    /// The reasoning before it, where it is kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reasoning: Option<String>,
    /// SHA-256 of the answer: equal digests are equal answers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text_sha256: Option<String>,
    /// The first token's log probability, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_logprob: Option<f64>,
    /// Output that no working model produces.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub degenerate: Option<Degenerate>,
}

impl RequestRecord {
    /// A record of a request that nothing has happened to yet.
    #[must_use]
    pub fn planned(index: u64, phase: Phase) -> Self {
        Self {
            index,
            phase,
            round: 0,
            prompt: 0,
            images: Vec::new(),
            max_tokens: 0,
            intended_ns: 0,
            admitted_ns: None,
            sent_ns: None,
            body_sent_ns: None,
            headers_ns: None,
            ended_ns: None,
            connection: None,
            body_bytes: 0,
            status: None,
            server_id: None,
            events: Vec::new(),
            events_left_out: 0,
            usage: None,
            retokenised: None,
            finish_reason: None,
            outcome: Outcome::NotSent { reason: "planned".into() },
            text: None,
            reasoning: None,
            text_sha256: None,
            first_logprob: None,
            degenerate: None,
        }
    }
}

impl RequestRecord {
    /// Leaves out every event that bounds no figure: what stays gives TTFT, TPOT, end to end and durations to the
    /// nanosecond, and no latencies between tokens.
    pub fn leave_out_events(&mut self) {
        let token = |event: &EventStamp| {
            matches!(event.kind, EventKind::Text | EventKind::Empty | EventKind::Reasoning | EventKind::ToolCall)
        };
        let answer = |event: &EventStamp| matches!(event.kind, EventKind::Text | EventKind::Empty);
        let full =
            |event: &EventStamp| matches!(event.kind, EventKind::Text | EventKind::Reasoning | EventKind::ToolCall);
        let choices = |event: &EventStamp| event.kind.has_choices();
        let events = &self.events;
        let mut keep: Vec<usize> =
            [0, events.len().saturating_sub(1)].into_iter().filter(|i| *i < events.len()).collect();
        for test in [token, answer, full, choices] {
            keep.extend(events.iter().position(test));
            keep.extend(events.iter().rposition(test));
        }
        keep.sort_unstable();
        keep.dedup();
        self.events_left_out += (events.len() - keep.len()) as u64;
        self.events = keep.into_iter().map(|i| self.events[i]).collect();
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The events of a record as columns: `kinds` a letter each, `user_ns` differences (the first from the origin of the
/// run), `lag_ns` our time minus the kernel's, `bytes`, and `tokens` where any event tells.
#[derive(Serialize, Deserialize)]
struct EventColumns {
    kinds: String,
    user_ns: Vec<u64>,
    lag_ns: Vec<Option<u64>>,
    bytes: Vec<u32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    tokens: Option<Vec<Option<u32>>>,
}

fn write_events<S: Serializer>(events: &[EventStamp], serializer: S) -> Result<S::Ok, S::Error> {
    let mut before = 0;
    let columns = EventColumns {
        kinds: events.iter().map(|event| event.kind.letter()).collect(),
        user_ns: events
            .iter()
            .map(|event| {
                let step = event.user_ns.saturating_sub(before);
                before = event.user_ns;
                step
            })
            .collect(),
        lag_ns: events
            .iter()
            .map(|event| event.kernel_ns.map(|kernel_ns| event.user_ns.saturating_sub(kernel_ns)))
            .collect(),
        bytes: events.iter().map(|event| event.bytes).collect(),
        tokens: events
            .iter()
            .any(|event| event.tokens.is_some())
            .then(|| events.iter().map(|event| event.tokens).collect()),
    };
    columns.serialize(serializer)
}

fn read_events<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<EventStamp>, D::Error> {
    use serde::de::Error;
    let columns = EventColumns::deserialize(deserializer)?;
    let count = columns.kinds.chars().count();
    let tokens = columns.tokens.unwrap_or_else(|| vec![None; count]);
    if [columns.user_ns.len(), columns.lag_ns.len(), columns.bytes.len(), tokens.len()] != [count; 4] {
        return Err(D::Error::custom("the event columns have different lengths"));
    }
    let mut user_ns = 0u64;
    let rows = columns.kinds.chars().zip(columns.user_ns).zip(columns.lag_ns).zip(columns.bytes).zip(tokens);
    rows.map(|((((letter, step), lag), bytes), tokens)| {
        let kind =
            EventKind::from_letter(letter).ok_or_else(|| D::Error::custom(format!("unknown event kind {letter:?}")))?;
        user_ns = user_ns.saturating_add(step);
        Ok(EventStamp { kind, user_ns, kernel_ns: lag.map(|lag| user_ns.saturating_sub(lag)), bytes, tokens })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_kind_has_a_letter_of_its_own() {
        for (kind, letter) in EventKind::LETTERS {
            assert_eq!((kind.letter(), EventKind::from_letter(letter)), (letter, Some(kind)));
        }
    }

    #[test]
    fn columns_of_unequal_length_are_refused() {
        let mut json = serde_json::to_value(RequestRecord::planned(0, Phase::Measured)).unwrap();
        json["events"] = serde_json::json!({"kinds": "rt", "user_ns": [1], "lag_ns": [null, 1], "bytes": [1, 2]});
        assert!(serde_json::from_value::<RequestRecord>(json.clone()).is_err());
        json["events"] = serde_json::json!({"kinds": "z", "user_ns": [1], "lag_ns": [null], "bytes": [1]});
        assert!(serde_json::from_value::<RequestRecord>(json).is_err());
    }

    #[test]
    fn what_is_left_bounds_every_figure() {
        let mut record = RequestRecord::planned(0, Phase::Measured);
        record.events = "rgtteettfud"
            .chars()
            .enumerate()
            .map(|(i, letter)| EventStamp {
                kind: EventKind::from_letter(letter).unwrap(),
                user_ns: i as u64,
                kernel_ns: None,
                bytes: 1,
                tokens: None,
            })
            .collect();
        record.leave_out_events();
        let kept: String = record.events.iter().map(|event| event.kind.letter()).collect();
        assert_eq!((kept.as_str(), record.events_left_out), ("rgttfd", 5));
        let times: Vec<u64> = record.events.iter().map(|event| event.user_ns).collect();
        assert_eq!(times, [0, 1, 2, 7, 8, 10]);
        let mut empty = RequestRecord::planned(0, Phase::Measured);
        empty.leave_out_events();
        assert_eq!(empty.events_left_out, 0);
    }

    proptest! {
        #[test]
        fn a_record_survives_the_disk(
            steps in proptest::collection::vec((0u64..1_000_000_000, proptest::option::of(0u64..1_000_000), any::<u32>(), proptest::option::of(0u32..5), 0usize..11), 0..30),
        ) {
            let mut record = RequestRecord::planned(7, Phase::Measured);
            let mut now = 2_000_000;
            for (step, lag, bytes, tokens, kind) in steps {
                now += step;
                record.events.push(EventStamp {
                    kind: EventKind::LETTERS[kind].0,
                    user_ns: now,
                    kernel_ns: lag.map(|lag| now - lag),
                    bytes,
                    tokens,
                });
            }
            let json = serde_json::to_string(&record).unwrap();
            prop_assert_eq!(serde_json::from_str::<RequestRecord>(&json).unwrap(), record);
        }
    }
}
