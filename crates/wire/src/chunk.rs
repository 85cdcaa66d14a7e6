//! One event of a streamed reply: what it says, read without trusting its shape.

use crate::usage::Usage;
use serde::Deserialize;
use serde_json::Value;

/// One `chat.completion.chunk` as far as a client needs it. Whatever a server adds is ignored; whatever it leaves out
/// is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatChunk {
    /// The server's own id of the reply.
    pub id: Option<String>,
    /// The choices; empty in a usage-only event.
    pub choices: Vec<ChunkChoice>,
    /// The usage object, wherever in the stream the server puts it.
    pub usage: Option<Usage>,
    /// An error inside a stream that began with status 200: the server's own value.
    pub error: Option<Value>,
}

/// One choice of a chunk.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChunkChoice {
    /// What is new in it.
    pub delta: Delta,
    /// Why the generation ended, on the event where it did.
    pub finish_reason: Option<String>,
    /// How many token ids the server says this event carries (`return_token_ids`).
    pub token_ids: Option<u64>,
    /// The log probability of each of the event's tokens that the server tells: `None` stands for a value that is null or no
    /// finite number.
    pub logprobs: Vec<Option<f64>>,
}

/// What a choice adds. A JSON `null` and an absent key are both `None`; an empty string is `Some("")`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Delta {
    /// The speaker, in the first event.
    pub role: Option<String>,
    /// Answer text.
    pub content: Option<String>,
    /// Reasoning text, under any of its names (`reasoning_content`, `reasoning`).
    pub reasoning: Option<String>,
    /// Whether a tool call (or the older function call) is in it.
    pub tool_call: bool,
}

/// What the data of one event turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Parsed {
    /// A JSON object.
    Chunk(ChatChunk),
    /// Not a JSON object: the reason.
    Malformed(String),
}

impl ChatChunk {
    /// Reads the data of one event. Never panics, whatever the bytes are. The usual shape takes one typed pass; any
    /// other JSON object is read field by field.
    #[must_use]
    pub fn parse(data: &[u8]) -> Parsed {
        if let Ok(raw) = serde_json::from_slice::<RawChunk>(data)
            && raw.error.is_none()
            && raw.object != "error"
        {
            return Parsed::Chunk(raw.into_chunk());
        }
        match serde_json::from_slice::<Value>(data) {
            Ok(value @ Value::Object(_)) => Parsed::Chunk(Self::read(&value)),
            Ok(other) => Parsed::Malformed(format!("a JSON object was expected, not {}", type_name(&other))),
            Err(error) => Parsed::Malformed(error.to_string()),
        }
    }

    /// Reads a chunk of any shape, keeping what is understood.
    fn read(value: &Value) -> Self {
        let choices = value.get("choices").and_then(Value::as_array);
        Self {
            id: value.get("id").and_then(Value::as_str).map(str::to_owned),
            choices: choices.into_iter().flatten().map(ChunkChoice::read).collect(),
            usage: value.get("usage").and_then(Usage::read),
            error: read_error(value),
        }
    }
}

/// An error event: an `error` key that is not null, or vLLM's older flat form `{"object":"error", …}`.
fn read_error(value: &Value) -> Option<Value> {
    let nested = value.get("error").filter(|error| !error.is_null() && **error != Value::Bool(false));
    let flat = (value.get("object").and_then(Value::as_str) == Some("error")).then_some(value);
    nested.or(flat).cloned()
}

impl ChunkChoice {
    fn read(value: &Value) -> Self {
        // A reply that is not streamed says `message` where a chunk says `delta`.
        let delta = value.get("delta").or_else(|| value.get("message"));
        Self {
            delta: delta.map(Delta::read).unwrap_or_default(),
            finish_reason: value.get("finish_reason").and_then(Value::as_str).map(str::to_owned),
            token_ids: value.get("token_ids").and_then(Value::as_array).map(|ids| ids.len() as u64),
            logprobs: value.get("logprobs").map(read_logprobs).unwrap_or_default(),
        }
    }
}

impl Delta {
    fn read(value: &Value) -> Self {
        let text = |name: &str| value.get(name).and_then(read_text);
        let some = |name: &str| value.get(name).is_some_and(|v| !v.is_null() && *v != Value::Array(Vec::new()));
        Self {
            role: text("role"),
            content: text("content"),
            reasoning: text("reasoning_content").or_else(|| text("reasoning")),
            tool_call: some("tool_calls") || some("function_call"),
        }
    }
}

/// A text field: a string, or the list-of-parts form that some servers send.
fn read_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => Some(parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect()),
        _ => None,
    }
}

/// OpenAI's `logprobs.content[].logprob`.
fn read_logprobs(logprobs: &Value) -> Vec<Option<f64>> {
    let tokens = logprobs.get("content").and_then(Value::as_array).into_iter().flatten();
    tokens.map(|token| token.get("logprob").and_then(Value::as_f64).filter(|value| value.is_finite())).collect()
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The usual shape, read in one typed pass.
#[derive(Deserialize)]
struct RawChunk {
    #[serde(default)]
    id: Option<String>,
    object: String,
    #[serde(default)]
    choices: Vec<RawChoice>,
    #[serde(default)]
    usage: Option<Value>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct RawChoice {
    delta: RawDelta,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    token_ids: Option<Vec<i64>>,
    #[serde(default)]
    logprobs: Option<Value>,
}

#[derive(Deserialize)]
struct RawDelta {
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    reasoning_content: Option<String>,
    #[serde(default)]
    reasoning: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<Value>>,
    #[serde(default)]
    function_call: Option<Value>,
}

impl RawChunk {
    fn into_chunk(self) -> ChatChunk {
        ChatChunk {
            id: self.id,
            choices: self.choices.into_iter().map(RawChoice::into_choice).collect(),
            usage: self.usage.as_ref().and_then(Usage::read),
            error: None,
        }
    }
}

impl RawChoice {
    fn into_choice(self) -> ChunkChoice {
        let delta = self.delta;
        ChunkChoice {
            delta: Delta {
                role: delta.role,
                content: delta.content,
                reasoning: delta.reasoning_content.or(delta.reasoning),
                tool_call: delta.tool_calls.is_some_and(|calls| !calls.is_empty()) || delta.function_call.is_some(),
            },
            finish_reason: self.finish_reason,
            token_ids: self.token_ids.map(|ids| ids.len() as u64),
            logprobs: self.logprobs.as_ref().map(read_logprobs).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chunk(json: &str) -> ChatChunk {
        match ChatChunk::parse(json.as_bytes()) {
            Parsed::Chunk(chunk) => chunk,
            Parsed::Malformed(why) => panic!("{json}: {why}"),
        }
    }

    /// What the first choice's delta holds, written short: role, content, reasoning, tool call.
    fn check_delta(json: &str, role: Option<&str>, content: Option<&str>, reasoning: Option<&str>, tool: bool) {
        for object in [r#""object":"chat.completion.chunk","#, ""] {
            let chunk = chunk(&format!(r#"{{{object}"choices":[{{"index":0,"delta":{json}}}]}}"#));
            let delta = &chunk.choices[0].delta;
            let got = (delta.role.as_deref(), delta.content.as_deref(), delta.reasoning.as_deref(), delta.tool_call);
            assert_eq!(got, (role, content, reasoning, tool), "{json}");
        }
    }

    #[test]
    fn deltas() {
        check_delta(r#"{"role":"assistant","content":""}"#, Some("assistant"), Some(""), None, false);
        check_delta(r#"{"content":null}"#, None, None, None, false);
        check_delta(r#"{"content":"a"}"#, None, Some("a"), None, false);
        check_delta(r#"{"reasoning_content":"r"}"#, None, None, Some("r"), false);
        check_delta(r#"{"reasoning":"r","content":null}"#, None, None, Some("r"), false);
        check_delta(r#"{"tool_calls":[{"index":0}]}"#, None, None, None, true);
        check_delta(r#"{"tool_calls":[]}"#, None, None, None, false);
        check_delta(r#"{"content":[{"type":"text","text":"x"}]}"#, None, Some("x"), None, false);
        check_delta(r#"{"content":5}"#, None, None, None, false);
    }

    #[test]
    fn odd_shapes_are_no_failure() {
        assert_eq!(chunk(r#"{"choices":[]}"#).choices.len(), 0);
        assert_eq!(chunk(r#"{"choices":null,"usage":null}"#), ChatChunk::default());
        assert_eq!(chunk(r#"{"choices":[null,{}]}"#).choices.len(), 2);
        assert_eq!(chunk(r#"{"object":"x","choices":[{"delta":null}]}"#).choices.len(), 1);
        assert!(matches!(ChatChunk::parse(b"[1]"), Parsed::Malformed(_)));
        assert!(matches!(ChatChunk::parse(b"{\"a\":"), Parsed::Malformed(_)));
        assert!(matches!(ChatChunk::parse(b"\xff"), Parsed::Malformed(_)));
    }

    #[test]
    fn errors_in_every_form() {
        for json in [
            r#"{"error":{"message":"out of memory","code":500}}"#,
            r#"{"object":"error","message":"out of memory"}"#,
            r#"{"error":"out of memory","object":"chat.completion.chunk"}"#,
        ] {
            assert!(chunk(json).error.is_some(), "{json}");
        }
        assert_eq!(chunk(r#"{"error":null,"choices":[]}"#).error, None);
    }

    #[test]
    fn logprobs_that_are_no_number_are_told_from_absent_ones() {
        let with = |logprob: &str| {
            let json = format!(
                r#"{{"object":"c","choices":[{{"delta":{{"content":"a"}},"logprobs":{{"content":[{{"logprob":{logprob}}},{{"logprob":-2}}]}}}}]}}"#
            );
            chunk(&json).choices[0].logprobs.clone()
        };
        assert_eq!(with("-0.5"), [Some(-0.5), Some(-2.0)]);
        assert_eq!(with("null"), [None, Some(-2.0)]);
        assert_eq!(with("\"NaN\""), [None, Some(-2.0)]);
        assert_eq!(chunk(r#"{"object":"c","choices":[{"delta":{},"logprobs":null}]}"#).choices[0].logprobs, []);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ChatChunk::parse(&bytes);
        }
    }
}
