//! What a scripted server answers: data, from Rust or from a JSON file.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The whole script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Names of the model; requests for others get 404.
    pub models: Vec<String>,
    /// The key that requests must carry.
    pub api_key: Option<String>,
    /// The reply to requests that no rule is for.
    pub reply: Reply,
    /// The first rule that fits decides.
    pub rules: Vec<Rule>,
    /// Tokens of known texts.
    pub text_tokens: BTreeMap<String, u64>,
    /// Whether there is a `/tokenize`.
    pub tokenize: bool,
    /// How images are billed.
    pub image: ImageBilling,
    /// Request fields that are refused with 400 and their name.
    pub refuse_fields: Vec<String>,
    /// Above this many requests at once: 429.
    pub concurrency_max: Option<usize>,
    /// Idle connections are closed after so many ms.
    pub idle_close_ms: Option<u64>,
}

/// Which requests a reply is for: all conditions given must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// The request's number on this server, from 0.
    pub number: Option<u64>,
    /// Every so many requests: 2 is every second one, beginning with the first.
    pub every: Option<u64>,
    /// Part of its text.
    pub contains: Option<String>,
    /// Whether it holds an image.
    pub has_image: Option<bool>,
}

/// A reply for some requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// For which.
    pub when: When,
    /// What they get.
    pub reply: Reply,
}

/// One reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Tokens at given times.
    Stream(Box<StreamReply>),
    /// A plain HTTP reply.
    Http(HttpReply),
    /// Recorded bytes.
    Raw(RawReply),
}

/// A plain HTTP reply.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpReply {
    /// Status.
    pub status: u16,
    /// Content type.
    pub content_type: String,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
    /// After so many ms.
    pub delay_ms: f64,
}

/// Bytes as recorded, status line included. The connection is closed after them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawReply {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Bytes of each write; `None`: one write for all.
    pub write_bytes: Option<usize>,
    /// Between writes, ms.
    pub interval_ms: f64,
}

/// How images are billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageBilling {
    /// As Qwen2-VL with its published settings does.
    BySize,
    /// So many tokens each.
    Fixed(u64),
    /// Only the first image.
    FirstOnly,
    /// Not at all: the image is never looked at.
    Ignored,
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

impl Default for Reply {
    fn default() -> Self {
        Self::Stream(Box::default())
    }
}

impl Default for Script {
    fn default() -> Self {
        Self {
            models: vec!["scripted".into()],
            api_key: None,
            reply: Reply::default(),
            rules: Vec::new(),
            text_tokens: BTreeMap::new(),
            tokenize: true,
            image: ImageBilling::BySize,
            refuse_fields: Vec::new(),
            concurrency_max: None,
            idle_close_ms: None,
        }
    }
}

/// Why a script cannot be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// No JSON of a script.
    #[error("this is no script: {0}; `vlm-server --scripted --print-script` shows one")]
    Json(String),
    /// A value out of range.
    #[error("{field} is {given}: {allowed}")]
    Value {
        /// The field.
        field: &'static str,
        /// What was given.
        given: String,
        /// What is allowed.
        allowed: &'static str,
    },
}

impl Script {
    /// The usual shape: a first token after `prefill_ms`, the others `interval_ms` apart.
    #[must_use]
    pub fn steady(prefill_ms: f64, interval_ms: f64, tokens: u64) -> Self {
        Self::of(StreamReply { prefill_ms, interval_ms, tokens, ..StreamReply::default() })
    }

    /// A script of one stream.
    #[must_use]
    pub fn of(stream: StreamReply) -> Self {
        Self { reply: Reply::Stream(Box::new(stream)), ..Self::default() }
    }

    /// A script of one plain reply with a JSON body.
    #[must_use]
    pub fn http(status: u16, body: &str) -> Self {
        let reply =
            HttpReply { status, content_type: "application/json".into(), body: body.into(), ..HttpReply::default() };
        Self { reply: Reply::Http(reply), ..Self::default() }
    }

    /// A script of recorded bytes.
    #[must_use]
    pub fn raw(bytes: Vec<u8>, write_bytes: Option<usize>) -> Self {
        Self { reply: Reply::Raw(RawReply { bytes, write_bytes, interval_ms: 0.0 }), ..Self::default() }
    }

    /// Adds a rule.
    #[must_use]
    pub fn with_rule(mut self, when: When, reply: Reply) -> Self {
        self.rules.push(Rule { when, reply });
        self
    }

    /// Reads and checks a script.
    ///
    /// # Errors
    /// [`ScriptError`].
    pub fn from_json(text: &str) -> Result<Self, ScriptError> {
        let script: Self = serde_json::from_str(text).map_err(|error| ScriptError::Json(error.to_string()))?;
        script.check()?;
        Ok(script)
    }

    /// Checks the values.
    ///
    /// # Errors
    /// [`ScriptError::Value`].
    pub fn check(&self) -> Result<(), ScriptError> {
        if self.models.is_empty() {
            return Err(ScriptError::Value { field: "models", given: "[]".into(), allowed: "at least one name" });
        }
        let replies = std::iter::once(&self.reply).chain(self.rules.iter().map(|rule| &rule.reply));
        replies.into_iter().try_for_each(Reply::check)
    }
}

impl Reply {
    fn check(&self) -> Result<(), ScriptError> {
        let Self::Stream(stream) = self else { return Ok(()) };
        let refuse = |field, given: String, allowed| Err(ScriptError::Value { field, given, allowed });
        for (field, ms) in [("prefill_ms", stream.prefill_ms), ("interval_ms", stream.interval_ms)] {
            if !(ms.is_finite() && (0.0..=86_400_000.0).contains(&ms)) {
                return refuse(field, ms.to_string(), "0 to 86400000 is possible");
            }
        }
        if stream.tokens > 1_000_000 {
            return refuse("tokens", stream.tokens.to_string(), "at most 1000000 are possible");
        }
        if stream.text.is_empty() {
            return refuse("text", "[]".into(), "at least one piece is needed");
        }
        for (field, count) in
            [("tokens_per_event", stream.tokens_per_event), ("events_per_write", stream.events_per_write)]
        {
            if count == 0 {
                return refuse(field, "0".into(), "at least 1");
            }
        }
        if stream.write_bytes == Some(0) {
            return refuse("write_bytes", "0".into(), "at least 1");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_survives_json() {
        let script = Script::steady(1.0, 2.0, 3).with_rule(
            When { number: Some(4), ..When::default() },
            Reply::Http(HttpReply { status: 429, ..HttpReply::default() }),
        );
        let json = serde_json::to_string(&script).unwrap();
        assert_eq!(Script::from_json(&json), Ok(script));
        assert_eq!(Script::from_json("{}"), Ok(Script::default()));
    }

    #[test]
    fn bad_scripts_are_refused() {
        for (json, part) in [
            ("[", "no script"),
            ("{\"modles\":[]}", "modles"),
            ("{\"models\":[]}", "models"),
            ("{\"reply\":{\"stream\":{\"prefill_ms\":-1}}}", "prefill_ms"),
            ("{\"reply\":{\"stream\":{\"text\":[]}}}", "text"),
            ("{\"reply\":{\"stream\":{\"tokens_per_event\":0}}}", "tokens_per_event"),
        ] {
            let error = Script::from_json(json).unwrap_err().to_string();
            assert!(error.contains(part), "{json}: {error}");
        }
    }
}
