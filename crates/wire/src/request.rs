//! The request of `/v1/chat/completions`, with every field that is not named here kept as it came.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A chat completion request. Fields that both sides of this project use are typed; all others stay in `extra`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChatRequest {
    /// The model's name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub model: Option<String>,
    /// The conversation.
    pub messages: Vec<Message>,
    /// 0 is greedy.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub temperature: Option<f64>,
    /// Upper limit of generated tokens (the older name).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_tokens: Option<u64>,
    /// Upper limit of generated tokens (the newer name).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_completion_tokens: Option<u64>,
    /// Stream the answer as server-sent events.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stream: Option<bool>,
    /// What else a stream carries.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stream_options: Option<StreamOptions>,
    /// vLLM's extra: go on after the end token.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ignore_eos: Option<bool>,
    /// Everything else, in its order.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// `stream_options` of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamOptions {
    /// A usage event at the end of the stream.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub include_usage: Option<bool>,
    /// vLLM's extra: usage on every event.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub continuous_usage_stats: Option<bool>,
}

/// One message of the conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `user`, `system` or `assistant`; servers accept others too.
    pub role: String,
    /// What is said; absent in some assistant messages.
    #[serde(default)]
    pub content: Option<Content>,
    /// Everything else, in its order.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A message's content: plain text, or parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// Plain text.
    Text(String),
    /// Text and images in order.
    Parts(Vec<Part>),
}

/// One part of a message. A part of an unknown type is kept as it came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Part {
    /// `{"type":"image_url","image_url":{"url":…}}`
    Image {
        /// Always `image_url`.
        r#type: String,
        /// Where the image is: a data, http(s) or file URL.
        image_url: ImageUrl,
    },
    /// `{"type":"text","text":…}`
    Text {
        /// Always `text`.
        r#type: String,
        /// The text.
        text: String,
    },
    /// Anything else.
    Other(Value),
}

/// The inside of an image part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageUrl {
    /// A data, http(s) or file URL.
    pub url: String,
    /// Everything else (`detail`, …).
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Part {
    /// A text part.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { r#type: "text".into(), text: text.into() }
    }

    /// An image part.
    #[must_use]
    pub fn image(url: impl Into<String>) -> Self {
        Self::Image { r#type: "image_url".into(), image_url: ImageUrl { url: url.into(), extra: Map::new() } }
    }
}

impl ChatRequest {
    /// The limit of generated tokens, by whichever name it was given; the newer name wins, as in vLLM.
    #[must_use]
    pub fn output_limit(&self) -> Option<u64> {
        self.max_completion_tokens.or(self.max_tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_request_comes_back_to_the_letter() {
        let json = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"请描述图片"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]}],"temperature":0.0,"max_tokens":16,"stream":true,"stream_options":{"include_usage":true},"ignore_eos":true,"top_k":5}"#;
        let request: ChatRequest = serde_json::from_str(json).unwrap();
        assert_eq!(request.output_limit(), Some(16));
        assert_eq!(request.extra["top_k"], 5);
        assert_eq!(serde_json::to_string(&request).unwrap(), json);
    }

    #[test]
    fn plain_text_and_unknown_parts() {
        let json = r#"{"messages":[{"role":"user","content":"hi","name":"a"},{"role":"user","content":[{"type":"video_url","video_url":{"url":"x"}}]}]}"#;
        let request: ChatRequest = serde_json::from_str(json).unwrap();
        assert_eq!(request.messages[0].content, Some(Content::Text("hi".into())));
        assert!(matches!(&request.messages[1].content, Some(Content::Parts(p)) if matches!(p[0], Part::Other(_))));
        assert_eq!(serde_json::to_string(&request).unwrap(), json);
    }
}
