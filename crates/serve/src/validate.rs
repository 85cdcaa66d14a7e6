//! A request as it came → a request that a backend may rely on, or an error in vLLM's shape. Pure.

use serde_json::{Value, json};
use wire::{ChatRequest, Content, Part};

/// The longest answer that a request may ask for, tokens.
const MAX_TOKENS_MAX: u64 = 1_000_000;

/// A checked chat request.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidRequest {
    /// The model's name as the client wrote it.
    pub model: String,
    /// All text of the conversation, in order, joined by line breaks.
    pub text: String,
    /// The URLs of all images, in order.
    pub images: Vec<String>,
    /// Stream the answer.
    pub stream: bool,
    /// Usage at the end of the stream.
    pub include_usage: bool,
    /// Usage on every event.
    pub continuous_usage: bool,
    /// Most tokens of the answer, if the client says.
    pub max_tokens: Option<u64>,
    /// Go on after the end token.
    pub ignore_eos: bool,
    /// Log probabilities wanted.
    pub logprobs: bool,
    /// Names of all fields that were sent.
    pub fields: Vec<String>,
}

/// An HTTP error with its body.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// JSON body.
    pub body: Value,
}

impl ApiError {
    /// An error in the shape of vLLM 0.32: `{"error":{"message","type","param","code"}}`.
    #[must_use]
    pub fn new(status: u16, kind: &str, message: impl Into<String>, param: Option<&str>) -> Self {
        let body = json!({"error": {"message": message.into(), "type": kind, "param": param, "code": status}});
        Self { status, body }
    }

    /// There is too much to do already; the same request may be taken later. Named after its status, as vLLM names refusals
    /// that are no error.
    #[must_use]
    pub fn busy(words: &str) -> Self {
        Self::new(429, "Too Many Requests", words, None)
    }

    /// Headers that go with it: when to try again, where that may help.
    pub(crate) fn headers(&self) -> &'static [(&'static str, &'static str)] {
        if matches!(self.status, 429 | 503) { &[("retry-after", "1")] } else { &[] }
    }

    /// FastAPI's shape: `{"detail": …}`.
    #[must_use]
    pub fn detail(status: u16, words: &str) -> Self {
        Self { status, body: json!({"detail": words}) }
    }
}

/// Checks a body for `/v1/chat/completions`.
///
/// # Errors
/// [`ApiError`] with the status that vLLM gives.
pub(crate) fn validate(body: &[u8], models: &[String]) -> Result<ValidRequest, ApiError> {
    let bad = |message: String, param: Option<&str>| ApiError::new(400, "BadRequestError", message, param);
    let value: Value = serde_json::from_slice(body).map_err(|error| bad(format!("Invalid JSON: {error}"), None))?;
    let Some(object) = value.as_object() else { return Err(bad("a JSON object is expected".into(), None)) };
    if !object.contains_key("messages") {
        return Err(bad("messages: Field required".into(), Some("messages")));
    }
    let fields: Vec<String> = object.keys().cloned().collect();
    let request: ChatRequest = serde_json::from_value(value).map_err(|error| bad(error.to_string(), None))?;
    if let Some(model) = request.model.as_ref().filter(|model| !models.contains(model)) {
        let message = format!("The model `{model}` does not exist. Valid aliases: {}.", models.join(", "));
        return Err(ApiError::new(404, "NotFoundError", message, Some("model")));
    }
    if request.messages.is_empty() {
        return Err(bad("messages must hold at least one message".into(), Some("messages")));
    }
    if let Some(temperature) = request.temperature.filter(|temperature| *temperature < 0.0) {
        return Err(bad(format!("temperature must be non-negative, got {temperature}."), Some("temperature")));
    }
    if let Some(limit) = request.output_limit().filter(|limit| *limit > MAX_TOKENS_MAX) {
        let message = format!("max_tokens={limit} is larger than the {MAX_TOKENS_MAX} that are possible.");
        return Err(bad(message, Some("max_tokens")));
    }
    let (text, images) = contents(&request);
    let options = request.stream_options.unwrap_or_default();
    Ok(ValidRequest {
        model: request.model.clone().or_else(|| models.first().cloned()).unwrap_or_default(),
        text,
        images,
        stream: request.stream.unwrap_or(false),
        include_usage: options.include_usage.unwrap_or(false),
        continuous_usage: options.continuous_usage_stats.unwrap_or(false),
        max_tokens: request.output_limit(),
        ignore_eos: request.ignore_eos.unwrap_or(false),
        logprobs: request.extra.get("logprobs") == Some(&Value::Bool(true)),
        fields,
    })
}

fn contents(request: &ChatRequest) -> (String, Vec<String>) {
    let (mut texts, mut images) = (Vec::new(), Vec::new());
    for content in request.messages.iter().filter_map(|message| message.content.as_ref()) {
        match content {
            Content::Text(text) => texts.push(text.clone()),
            Content::Parts(parts) => {
                for part in parts {
                    match part {
                        Part::Text { text, .. } => texts.push(text.clone()),
                        Part::Image { image_url, .. } => images.push(image_url.url.clone()),
                        Part::Other(_) => {}
                    }
                }
            }
        }
    }
    (texts.join("\n"), images)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, status: u16, words: &str) {
        let error = validate(body.as_bytes(), &["m".into(), "n".into()]).unwrap_err();
        assert!(error.status == status && error.body.to_string().contains(words), "{body}: {error:?}");
    }

    #[test]
    fn refusals() {
        check("{", 400, "Invalid JSON");
        check("[]", 400, "object");
        check("{}", 400, "messages");
        check(r#"{"messages":[]}"#, 400, "at least one");
        check(r#"{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":-1}"#, 400, "temperature");
        check(r#"{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":-1}"#, 400, "");
        check(r#"{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":50000000}"#, 400, "1000000");
        // The recorded reply of vLLM 0.32.0, up to the names.
        let error = validate(br#"{"model":"no-such-model","messages":[{"role":"user","content":"x"}]}"#, &["m".into()]);
        let want = r#"{"error":{"message":"The model `no-such-model` does not exist. Valid aliases: m.","type":"NotFoundError","param":"model","code":404}}"#;
        assert_eq!(error.unwrap_err().body.to_string(), want);
    }

    #[test]
    fn what_a_backend_may_rely_on() {
        let body = r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"t"},{"type":"image_url","image_url":{"url":"data:x"}}]}],"stream":true,"max_completion_tokens":3,"max_tokens":9,"logprobs":true}"#;
        let request = validate(body.as_bytes(), &["m".into()]).unwrap();
        assert_eq!((request.text.as_str(), request.images.as_slice()), ("s\nt", &["data:x".to_owned()][..]));
        assert_eq!((request.max_tokens, request.stream, request.logprobs), (Some(3), true, true));
    }
}
