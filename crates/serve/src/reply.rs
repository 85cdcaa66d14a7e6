//! The events of a streamed reply, in the form and order of keys of vLLM 0.32.0 (recorded).

use crate::script::{LineEnd, StreamReply};
use serde_json::{Map, Value, json};

/// What the events of one reply have in common.
pub(crate) struct Shape {
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) created: u64,
    /// How events are framed.
    pub(crate) frame: StreamReply,
}

/// Usage so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Billed {
    pub(crate) prompt: u64,
    pub(crate) completion: u64,
    pub(crate) cached: Option<u64>,
}

impl Billed {
    pub(crate) fn json(self) -> Value {
        let mut usage = json!({
            "prompt_tokens": self.prompt,
            "total_tokens": self.prompt + self.completion,
            "completion_tokens": self.completion,
        });
        if let Some(cached) = self.cached {
            usage["prompt_tokens_details"] = json!({"cached_tokens": cached});
        }
        usage
    }
}

impl Shape {
    fn object(&self, choices: Value, usage: Option<Billed>) -> Value {
        let mut object = Map::new();
        object.insert("id".into(), json!(self.id));
        object.insert("object".into(), json!("chat.completion.chunk"));
        object.insert("created".into(), json!(self.created));
        object.insert("model".into(), json!(self.model));
        object.insert("choices".into(), choices);
        if let Some(usage) = usage {
            object.insert("usage".into(), usage.json());
        }
        Value::Object(object)
    }

    /// An event with one choice.
    pub(crate) fn choice(&self, delta: Value, finish: Option<&str>, logprobs: Value, usage: Option<Billed>) -> Vec<u8> {
        let choice = json!({"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish});
        self.event(&self.object(json!([choice]), usage))
    }

    /// An event without choices.
    pub(crate) fn no_choice(&self, usage: Option<Billed>) -> Vec<u8> {
        self.event(&self.object(json!([]), usage))
    }

    /// One event, framed as the script wants it.
    pub(crate) fn event(&self, value: &Value) -> Vec<u8> {
        let mut json = value.to_string();
        if let Some(bytes) = self.frame.event_bytes.filter(|bytes| *bytes > json.len() + 16) {
            let pad = "x".repeat(bytes - json.len() - 16);
            json.insert_str(json.len() - 1, &format!(",\"pad\":\"{pad}\""));
        }
        self.line(&json)
    }

    /// One event with these data.
    pub(crate) fn line(&self, data: &str) -> Vec<u8> {
        let end = match self.frame.line_end {
            LineEnd::Lf => "\n",
            LineEnd::CrLf => "\r\n",
            LineEnd::Cr => "\r",
        };
        let comment = if self.frame.comments { format!(": keep-alive{end}{end}") } else { String::new() };
        let space = if self.frame.space { " " } else { "" };
        format!("{comment}data:{space}{data}{end}{end}").into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_event_as_recorded_from_vllm() {
        let shape = Shape {
            id: "chatcmpl-9c91784f1013c3a6".into(),
            model: "m".into(),
            created: 1_795_570_566,
            frame: StreamReply::default(),
        };
        let event = shape.choice(json!({"content": " racing"}), None, Value::Null, None);
        // Recorded (model renamed), without the token_ids that only vLLM sends.
        let want = "data: {\"id\":\"chatcmpl-9c91784f1013c3a6\",\"object\":\"chat.completion.chunk\",\"created\":1795570566,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" racing\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n";
        assert_eq!(String::from_utf8(event).unwrap(), want);
        let usage = shape.no_choice(Some(Billed { prompt: 1145, completion: 16, cached: None }));
        let want = "data: {\"id\":\"chatcmpl-9c91784f1013c3a6\",\"object\":\"chat.completion.chunk\",\"created\":1795570566,\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":1145,\"total_tokens\":1161,\"completion_tokens\":16}}\n\n";
        assert_eq!(String::from_utf8(usage).unwrap(), want);
    }
}
