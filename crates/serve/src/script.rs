//! What a scripted server answers: data, from Rust or from a JSON file.

use crate::error::ServeError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

mod check;
mod stream;

pub use stream::{Fault, FaultKind, FinishPlace, LineEnd, StreamReply, UsagePlace};

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
    /// [`ServeError::ScriptJson`], [`ServeError::ScriptValue`].
    pub fn from_json(text: &str) -> Result<Self, ServeError> {
        let script: Self = serde_json::from_str(text).map_err(|error| ServeError::ScriptJson(error.to_string()))?;
        script.check()?;
        Ok(script)
    }

    /// Whether any reply bills repeated prompts as cached.
    pub(crate) fn caches(&self) -> bool {
        self.replies().any(|reply| matches!(reply, Reply::Stream(stream) if stream.caches))
    }

    fn replies(&self) -> impl Iterator<Item = &Reply> {
        std::iter::once(&self.reply).chain(self.rules.iter().map(|rule| &rule.reply))
    }
}
