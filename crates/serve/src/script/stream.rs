//! What a scripted stream looks like: tokens at given times, and everything in which servers differ. Data only.

use serde::{Deserialize, Serialize};

/// Tokens at given times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamReply {
    /// From the request's arrival to the first token, ms.
    pub prefill_ms: f64,
    /// Between tokens, ms.
    pub interval_ms: f64,
    /// How many tokens the answer has by itself: fewer when `max_tokens` asks for fewer, and exactly `max_tokens` with
    /// `ignore_eos`.
    pub tokens: u64,
    /// The tokens' texts, over and over.
    pub text: Vec<String>,
    /// The role event comes alone at this time, ms; else with the first token.
    pub role_ms: Option<f64>,
    /// Whether there is a role event.
    pub role: bool,
    /// Every event names the role, as some servers do.
    pub role_everywhere: bool,
    /// Tokens in one event.
    pub tokens_per_event: u64,
    /// Events in one write.
    pub events_per_write: u64,
    /// The first so many tokens are reasoning …
    pub reasoning: u64,
    /// … under this name.
    pub reasoning_field: String,
    /// Every so many tokens one comes as an empty string.
    pub empty_every: Option<u64>,
    /// Before the first token an event with `content: null`.
    pub null_first: bool,
    /// Empty events added beyond the tokens billed.
    pub extra_empty: u64,
    /// Where the usage stands.
    pub usage: UsagePlace,
    /// Where the finish reason stands.
    pub finish: FinishPlace,
    /// Whether the end marker comes.
    pub done: bool,
    /// How lines end.
    pub line_end: LineEnd,
    /// Whether a space follows `data:`.
    pub space: bool,
    /// A comment before every event.
    pub comments: bool,
    /// Bytes of each write.
    pub write_bytes: Option<usize>,
    /// Pads each event to so many bytes.
    pub event_bytes: Option<usize>,
    /// What goes wrong.
    pub fault: Option<Fault>,
    /// The same request again bills its prompt as cached.
    pub caches: bool,
    /// Another image gives another answer and other log probabilities.
    pub sees_image: bool,
    /// Log probabilities are null, as broken models give.
    pub bad_logprobs: bool,
    /// `max_tokens` and `ignore_eos` are not honoured.
    pub own_length: bool,
    /// The reply waits until the test opens this gate; its times count from there.
    pub gate: Option<String>,
}

impl Default for StreamReply {
    fn default() -> Self {
        Self {
            prefill_ms: 200.0,
            interval_ms: 20.0,
            tokens: 128,
            text: ["这是", "一台", "脚本", "服务", "，", "没有", "模型", "。"].map(str::to_owned).to_vec(),
            role_ms: None,
            role: true,
            role_everywhere: false,
            tokens_per_event: 1,
            events_per_write: 1,
            reasoning: 0,
            reasoning_field: "reasoning_content".into(),
            empty_every: None,
            null_first: false,
            extra_empty: 0,
            usage: UsagePlace::AsAsked,
            finish: FinishPlace::LastContent,
            done: true,
            line_end: LineEnd::Lf,
            space: true,
            comments: false,
            write_bytes: None,
            event_bytes: None,
            fault: None,
            caches: false,
            sees_image: true,
            bad_logprobs: false,
            own_length: false,
            gate: None,
        }
    }
}

/// Where the usage stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsagePlace {
    /// As asked for: in an event of its own at the end, or on every event.
    AsAsked,
    /// On the last content event.
    LastContent,
    /// On every event.
    EveryEvent,
    /// Nowhere.
    Nowhere,
}

/// Where the finish reason stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishPlace {
    /// On the last content event, as in vLLM.
    LastContent,
    /// In an event of its own.
    OwnEvent,
    /// Nowhere.
    Nowhere,
}

/// How lines of the stream end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineEnd {
    /// LF.
    Lf,
    /// CR LF.
    CrLf,
    /// CR.
    Cr,
}

/// Something that goes wrong within a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// After so many tokens.
    pub after_tokens: u64,
    /// What.
    pub kind: FaultKind,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Nothing more ever comes.
    Stall,
    /// The connection is closed within the body.
    Close,
    /// The connection is reset.
    Reset,
    /// The body ends in order, without finish, usage and end marker.
    End,
    /// An error event with these words, then the end marker.
    Error(String),
    /// One event whose data is no JSON; the stream goes on.
    Garbage,
    /// One event with `choices: []` and no usage; the stream goes on.
    EmptyChoices,
}
