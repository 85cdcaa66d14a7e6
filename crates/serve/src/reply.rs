//! The events of a scripted stream: vLLM's shapes, framed as the script wants them.

use crate::script::{LineEnd, StreamReply};
use crate::shapes::{ChatChoice, ChatLogprobs, Delta, Event, Usage, to_json};
use serde::Serialize;

/// What the events of one reply have in common.
pub(crate) struct Shape {
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) created: u64,
    /// How events are framed.
    pub(crate) frame: StreamReply,
}

impl Shape {
    /// The event that an answer begins with.
    pub(crate) fn role(&self, usage: Option<Usage>) -> Vec<u8> {
        let choice = ChatChoice { token_ids: None, ..choice(Delta::ROLE) };
        self.event(&Event { prompt_token_ids: Some(None), prompt_text: Some(None), ..self.object(&[choice], usage) })
    }

    /// An event with one choice.
    pub(crate) fn choice(
        &self,
        delta: Delta<'_>,
        finish_reason: Option<&'static str>,
        logprobs: Option<&ChatLogprobs>,
        usage: Option<Usage>,
    ) -> Vec<u8> {
        let stop_reason = finish_reason.map(|_| None);
        let choice = ChatChoice { logprobs, finish_reason, stop_reason, ..choice(delta) };
        self.event(&self.object(&[choice], usage))
    }

    /// An event without choices.
    pub(crate) fn no_choice(&self, usage: Option<Usage>) -> Vec<u8> {
        self.event(&self.object(&[], usage))
    }

    fn object<'a>(&'a self, choices: &'a [ChatChoice<'a>], usage: Option<Usage>) -> Event<'a, ChatChoice<'a>> {
        Event {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.created,
            model: &self.model,
            choices,
            usage,
            prompt_token_ids: None,
            prompt_text: None,
            system_fingerprint: None,
        }
    }

    /// One event, framed as the script wants it.
    pub(crate) fn event(&self, data: &impl Serialize) -> Vec<u8> {
        let mut json = to_json(data);
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

fn choice(delta: Delta<'_>) -> ChatChoice<'_> {
    ChatChoice { index: 0, delta, logprobs: None, finish_reason: None, stop_reason: None, token_ids: Some(None) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shapes::Counts;

    #[test]
    fn events_as_recorded_from_vllm() {
        let shape = Shape {
            id: "chatcmpl-9c91784f1013c3a6".into(),
            model: "m".into(),
            created: 1_795_570_566,
            frame: StreamReply::default(),
        };
        let check = |event: Vec<u8>, rest: &str| {
            let head = "\"id\":\"chatcmpl-9c91784f1013c3a6\",\"object\":\"chat.completion.chunk\",\"created\":1795570566,\"model\":\"m\"";
            assert_eq!(String::from_utf8(event).unwrap(), format!("data: {{{head},{rest}}}\n\n"));
        };
        // Recorded, but for the name of the model.
        check(
            shape.role(None),
            r#""choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"prompt_token_ids":null,"prompt_text":null"#,
        );
        let token = shape.choice(Delta::content(" racing"), None, None, None);
        check(
            token,
            r#""choices":[{"index":0,"delta":{"content":" racing"},"logprobs":null,"finish_reason":null,"token_ids":null}]"#,
        );
        let usage = Counts { prompt: 1145, completion: 16, cached: None };
        let last = shape.choice(Delta::content(" NP"), Some("length"), None, Some(usage.running()));
        check(
            last,
            r#""choices":[{"index":0,"delta":{"content":" NP"},"logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":null}],"usage":{"prompt_tokens":1145,"total_tokens":1161,"completion_tokens":16,"completion_tokens_details":null}"#,
        );
        check(
            shape.no_choice(Some(usage.plain())),
            r#""choices":[],"usage":{"prompt_tokens":1145,"total_tokens":1161,"completion_tokens":16}"#,
        );
    }
}
