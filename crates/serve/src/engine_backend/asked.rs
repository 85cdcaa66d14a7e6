//! What a client asks for, out of the fields of a body, with vLLM's names and defaults. What this server cannot do is
//! refused by name. Pure.

use engine::sampling::SamplingRequest;
use engine::text::{Refusal, RefusalKind, RenderOptions};
use serde_json::Value;

use super::fields::{Fields, NO_LIST, NO_STRING};
use super::out::refused;
use crate::validate::ApiError;

/// What chats and completions have in common.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    pub(super) model: Option<String>,
    pub(super) sampling: SamplingRequest,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) continuous_usage: bool,
    pub(super) return_token_ids: bool,
    pub(super) salt: Vec<u8>,
}

/// A chat request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ChatAsked {
    pub(super) common: Asked,
    pub(super) chat: ChatPrompt,
}

/// The prompt of a chat, for an answer or for its tokens.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ChatPrompt {
    pub(super) messages: Vec<Value>,
    pub(super) options: RenderOptions,
    pub(super) add_special_tokens: bool,
}

/// A completion request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CompletionAsked {
    pub(super) common: Asked,
    pub(super) prompt: PromptAsked,
    pub(super) add_special_tokens: bool,
    /// Begin the answer with the prompt.
    pub(super) echo: bool,
    /// No answer is wanted, only the prompt (`echo` with `max_tokens` 0).
    pub(super) prompt_only: bool,
}

/// The prompt of a completion.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PromptAsked {
    Text(String),
    Ids(Vec<i64>),
}

/// Fields that change an answer in ways that this server does not know.
const UNSUPPORTED: [&str; 18] = [
    "logit_bias",
    "tools",
    "functions",
    "structured_outputs",
    "guided_json",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
    "bad_words",
    "allowed_token_ids",
    "logits_processors",
    "truncate_prompt_tokens",
    "mm_processor_kwargs",
    "prompt_embeds",
    "suffix",
    "use_beam_search",
    "kv_transfer_params",
    "repetition_detection",
];

/// vLLM's default for `max_tokens` of a completion.
const COMPLETION_TOKENS: i64 = 16;

impl ChatAsked {
    /// Reads a body of `/v1/chat/completions`.
    pub(super) fn of(body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = Fields::of(body)?;
        let logprobs = fields.boolean("logprobs").unwrap_or(false);
        let top_logprobs = fields.integer("top_logprobs");
        let mut common = Asked::of(&mut fields);
        let echo = fields.boolean("echo").unwrap_or(false);
        let chat = ChatPrompt::of(&mut fields);
        fields.finish()?;
        common.check(&fields)?;
        if echo {
            return Err(bad(
                "echo: this server does not repeat the last message of a chat; leave the field out",
                "echo",
            ));
        }
        match top_logprobs {
            Some(top) if top != 0 && !logprobs && top >= -1 => {
                return Err(bad("when using `top_logprobs`, `logprobs` must be set to true.", "top_logprobs"));
            }
            top => check_list("top_logprobs", top)?,
        }
        common.sampling.logprobs = logprobs.then(|| top_logprobs.unwrap_or(0));
        Ok(Self { common, chat: chat? })
    }
}

impl ChatPrompt {
    /// Reads the messages and how they are rendered.
    pub(super) fn of(fields: &mut Fields) -> Result<Self, ApiError> {
        if fields.value("messages").is_none() {
            fields.missing("messages");
        }
        let messages = fields.list("messages");
        let options = RenderOptions {
            add_generation_prompt: fields.boolean("add_generation_prompt").unwrap_or(true),
            continue_final_message: fields.boolean("continue_final_message").unwrap_or(false),
            variables: fields.object("chat_template_kwargs"),
            now_unix_s: i64::try_from(stamp::unix_ns() / 1_000_000_000).ok(),
        };
        if fields.value("chat_template").is_some() {
            let words = "Chat template is passed with request, but --trust-request-chat-template is not set. Refused \
                         request with untrusted chat template.";
            return Err(ApiError::new(400, "BadRequestError", words, None));
        }
        let add_special_tokens = fields.boolean("add_special_tokens").unwrap_or(false);
        Ok(Self { messages, options, add_special_tokens })
    }
}

impl CompletionAsked {
    /// Reads a body of `/v1/completions`.
    pub(super) fn of(body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = Fields::of(body)?;
        let logprobs = fields.integer("logprobs");
        let mut common = Asked::of(&mut fields);
        let echo = fields.boolean("echo").unwrap_or(false);
        let add_special_tokens = fields.boolean("add_special_tokens").unwrap_or(true);
        let prompt = fields.take("prompt");
        if let Some(other @ (Value::Bool(_) | Value::Number(_) | Value::Object(_))) = &prompt {
            fields.none_of("prompt", other, &[NO_LIST, NO_LIST, NO_STRING, NO_LIST]);
        }
        fields.finish()?;
        common.check(&fields)?;
        check_list("logprobs", logprobs)?;
        let sampling = &mut common.sampling;
        sampling.logprobs = logprobs;
        if echo && sampling.prompt_logprobs.is_none() {
            sampling.prompt_logprobs = logprobs;
        }
        let max_tokens = sampling.max_tokens.unwrap_or(COMPLETION_TOKENS);
        let prompt_only = echo && max_tokens == 0;
        // One token is computed and thrown away.
        sampling.max_tokens = Some(if prompt_only { 1 } else { max_tokens });
        let prompt = PromptAsked::of(prompt)?;
        Ok(Self { common, prompt, add_special_tokens, echo, prompt_only })
    }
}

impl PromptAsked {
    fn of(value: Option<Value>) -> Result<Self, ApiError> {
        let ids = |items: &[Value]| items.iter().map(Value::as_i64).collect::<Option<Vec<i64>>>();
        let items = match value {
            None => return Err(bad("Either prompt or prompt_embeds must be provided and non-empty.", "prompt")),
            Some(Value::String(text)) if text.is_empty() => return Self::of(None),
            Some(Value::String(text)) => return Ok(Self::Text(text)),
            Some(Value::Array(items)) => items,
            Some(_) => Vec::new(),
        };
        match (items.as_slice(), ids(&items)) {
            ([], _) => Err(refused(&Refusal::new(RefusalKind::Content, "You must pass at least one prompt"))),
            (_, Some(ids)) => Ok(Self::Ids(ids)),
            ([Value::String(text)], _) => Self::of(Some(Value::String(text.clone()))),
            ([Value::Array(inner)], _) if ids(inner).is_some() => Ok(Self::Ids(ids(inner).unwrap_or_default())),
            ([_, _, ..], _) => Err(bad(
                "prompt must be one text or one list of token ids: this server takes one prompt in a request; send \
                 several requests",
                "prompt",
            )),
            _ => {
                let words = "prompt must be a string, array of strings, array of tokens, or array of token arrays";
                Err(bad(words, "prompt"))
            }
        }
    }
}

impl Asked {
    fn of(fields: &mut Fields) -> Self {
        let (include_usage, continuous_usage) = fields.within("stream_options", |options| {
            let mut is_set = |name| options.boolean(name).unwrap_or(false);
            (is_set("include_usage"), is_set("continuous_usage_stats"))
        });
        Self {
            model: fields.text("model"),
            sampling: SamplingRequest {
                n: fields.integer("n"),
                temperature: fields.number("temperature"),
                top_p: fields.number("top_p"),
                top_k: fields.integer("top_k"),
                min_p: fields.number("min_p"),
                repetition_penalty: fields.number("repetition_penalty"),
                presence_penalty: fields.number("presence_penalty"),
                frequency_penalty: fields.number("frequency_penalty"),
                seed: fields.integer("seed"),
                stop: fields.texts("stop"),
                stop_token_ids: fields.integers("stop_token_ids"),
                include_stop_str_in_output: fields.boolean("include_stop_str_in_output").unwrap_or(false),
                ignore_eos: fields.boolean("ignore_eos").unwrap_or(false),
                max_tokens: fields.integer("max_tokens"),
                max_completion_tokens: fields.integer("max_completion_tokens"),
                min_tokens: fields.integer("min_tokens"),
                logprobs: None,
                prompt_logprobs: fields.integer("prompt_logprobs"),
                skip_special_tokens: fields.boolean("skip_special_tokens"),
            },
            stream: fields.boolean("stream").unwrap_or(false),
            include_usage,
            continuous_usage: include_usage && continuous_usage,
            return_token_ids: fields.boolean("return_token_ids").unwrap_or(false),
            salt: fields.text("cache_salt").unwrap_or_default().into_bytes(),
        }
    }

    /// What is wrong though every field has its type.
    fn check(&self, fields: &Fields) -> Result<(), ApiError> {
        let is_empty = |value: &Value| match value {
            Value::Bool(false) => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(object) => object.is_empty(),
            _ => false,
        };
        let asked = |name: &&&str| fields.value(name).is_some_and(|value| !is_empty(value));
        if let Some(name) = UNSUPPORTED.iter().find(asked) {
            return Err(bad(&format!("{name}: this server does not support it; leave the field out"), name));
        }
        let format = fields.value("response_format").and_then(|format| format.get("type")).and_then(Value::as_str);
        if format.is_some_and(|kind| kind != "text") {
            let words = "response_format: this server answers with text only; leave the field out";
            return Err(bad(words, "response_format"));
        }
        if !self.stream && fields.value("stream_options").is_some() {
            return Err(bad("Stream options can only be defined when `stream=True`.", "stream_options"));
        }
        if self.stream && self.sampling.prompt_logprobs.is_some_and(|count| count > 0 || count == -1) {
            return Err(bad("`prompt_logprobs` are not available when `stream=True`.", "prompt_logprobs"));
        }
        check_list("prompt_logprobs", self.sampling.prompt_logprobs)
    }
}

/// The length of a list of log probabilities, as far as it is checked before the model's limits are known.
fn check_list(field: &'static str, length: Option<i64>) -> Result<(), ApiError> {
    let Some(length) = length.filter(|length| *length < -1) else { return Ok(()) };
    let words = format!("`{field}` must be a positive value or -1.");
    Err(refused(&Refusal::new(RefusalKind::Sampling, words).of(field).given(length)))
}

/// A refusal in vLLM's shape that names a field.
pub(super) fn bad(words: &str, field: &'static str) -> ApiError {
    refused(&Refusal::new(RefusalKind::Unsupported, words).of(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        let check = |field: &str, words: &str| {
            let body = format!(r#"{{"messages":[],{field}}}"#);
            let error = ChatAsked::of(body.as_bytes()).unwrap_err();
            assert!(error.status == 400 && error.body.to_string().contains(words), "{field}: {error:?}");
        };
        check(r#""logit_bias":{"5":1}"#, "logit_bias");
        check(r#""tools":[{}]"#, "tools");
        check(r#""response_format":{"type":"json_object"}"#, "response_format");
        check(r#""chat_template":"{{ 1 }}""#, "--trust-request-chat-template");
        check(r#""top_logprobs":2"#, "must be set to true");
        check(r#""top_logprobs":-2,"logprobs":true"#, "positive value or -1");
        check(r#""stream_options":{"include_usage":true}"#, "stream=True");
        check(r#""stream":true,"prompt_logprobs":1"#, "not available");
        check(r#""echo":true"#, "echo");
        for fine in [r#""logit_bias":null"#, r#""tools":[]"#, r#""response_format":{"type":"text"}"#, r#""nonsense":1"#]
        {
            let body = format!(r#"{{"messages":[],{fine}}}"#);
            assert!(ChatAsked::of(body.as_bytes()).is_ok(), "{fine}");
        }
    }

    #[test]
    fn prompts_of_completions() {
        let check = |prompt: &str, want: Option<PromptAsked>| {
            let body = format!(r#"{{"prompt":{prompt}}}"#);
            let read = CompletionAsked::of(body.as_bytes()).map(|asked| asked.prompt);
            assert_eq!(read.as_ref().ok(), want.as_ref(), "{prompt}: {read:?}");
        };
        check(r#""a""#, Some(PromptAsked::Text("a".into())));
        check(r#"["a"]"#, Some(PromptAsked::Text("a".into())));
        check("[1,2]", Some(PromptAsked::Ids(vec![1, 2])));
        check("[[1,2]]", Some(PromptAsked::Ids(vec![1, 2])));
        for refused in [r#"["a","b"]"#, "[]", "null", "5", "[[1],[2]]", "[[null]]", r#""""#, r#"[""]"#] {
            check(refused, None);
        }
    }

    #[test]
    fn a_completion_has_sixteen_tokens_unless_it_says_otherwise() {
        let asked = |body: &str| CompletionAsked::of(body.as_bytes()).unwrap();
        assert_eq!(asked(r#"{"prompt":"a"}"#).common.sampling.max_tokens, Some(16));
        let only = asked(r#"{"prompt":"a","echo":true,"max_tokens":0,"logprobs":2}"#);
        assert_eq!((only.prompt_only, only.common.sampling.max_tokens), (true, Some(1)));
        assert_eq!(only.common.sampling.prompt_logprobs, Some(2));
    }
}
