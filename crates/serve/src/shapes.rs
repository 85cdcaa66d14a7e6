//! Replies in the form and order of keys of vLLM 0.32.0 (recorded): the one place that knows them, for a model's answers and
//! for those of a script. Data only.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// A field that stands in some replies only: `Some(None)` is `null`.
pub(crate) type Sometimes<T> = Option<Option<T>>;

/// Tokens of prompt and answer.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Usage {
    prompt_tokens: u64,
    total_tokens: u64,
    completion_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens_details: Sometimes<Cached>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_tokens_details: Sometimes<()>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Cached {
    cached_tokens: u64,
}

/// How many tokens there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) prompt: u64,
    pub(crate) completion: u64,
    /// Of the prompt, where that is told.
    pub(crate) cached: Option<u64>,
}

impl Counts {
    /// On a stream's last event, and on every one of a completion (`continuous_usage_stats`).
    pub(crate) fn plain(self) -> Usage {
        let Self { prompt, completion, cached } = self;
        Usage {
            prompt_tokens: prompt,
            total_tokens: prompt + completion,
            completion_tokens: completion,
            prompt_tokens_details: cached.map(|cached_tokens| Some(Cached { cached_tokens })),
            completion_tokens_details: None,
        }
    }

    /// On a chat's event with a choice (`continuous_usage_stats`).
    pub(crate) fn running(self) -> Usage {
        Usage { completion_tokens_details: Some(None), ..self.plain() }
    }

    /// In a reply that is not streamed.
    pub(crate) fn whole(self) -> Usage {
        let plain = self.running();
        Usage { prompt_tokens_details: plain.prompt_tokens_details.or(Some(None)), ..plain }
    }
}

/// One event of a streamed answer.
#[derive(Debug, Serialize)]
pub(crate) struct Event<'a, C: Serialize> {
    pub(crate) id: &'a str,
    pub(crate) object: &'static str,
    pub(crate) created: u64,
    pub(crate) model: &'a str,
    /// One choice, or none.
    pub(crate) choices: &'a [C],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prompt_token_ids: Sometimes<&'a [u32]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prompt_text: Sometimes<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) system_fingerprint: Option<&'a str>,
}

/// The choice of a chat's event.
#[derive(Debug, Serialize)]
pub(crate) struct ChatChoice<'a> {
    pub(crate) index: u32,
    pub(crate) delta: Delta<'a>,
    pub(crate) logprobs: Option<&'a ChatLogprobs>,
    pub(crate) finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stop_reason: Sometimes<StopReason<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_ids: Sometimes<&'a [u32]>,
}

/// What an event of a chat adds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Delta<'a> {
    pub(crate) role: Option<&'static str>,
    /// The field that the text stands in, and the text.
    pub(crate) text: Option<(&'a str, Option<&'a str>)>,
}

impl<'a> Delta<'a> {
    /// The beginning of an answer.
    pub(crate) const ROLE: Self = Self { role: Some("assistant"), text: Some(("content", Some(""))) };

    /// A piece of an answer.
    pub(crate) fn content(text: &'a str) -> Self {
        Self { role: None, text: Some(("content", Some(text))) }
    }
}

impl Serialize for Delta<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(role) = self.role {
            map.serialize_entry("role", role)?;
        }
        if let Some((field, text)) = self.text {
            map.serialize_entry(field, &text)?;
        }
        map.end()
    }
}

/// What ended an answer, if a rule of the request did.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub(crate) enum StopReason<'a> {
    Token(u32),
    Text(&'a str),
}

/// Log probabilities of a chat.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct ChatLogprobs {
    pub(crate) content: Vec<ChatLogprob>,
}

/// One token of them.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ChatLogprob {
    pub(crate) token: String,
    pub(crate) logprob: f64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) top_logprobs: Vec<TopLogprob>,
}

/// One of the likeliest tokens.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct TopLogprob {
    pub(crate) token: String,
    pub(crate) logprob: f64,
    pub(crate) bytes: Vec<u8>,
}

/// A reply that is not streamed: of a chat, with what it tells of its prompt, or of a completion, which tells that in its choice.
#[derive(Debug, Default, Serialize)]
pub(crate) struct WholeReply<'a, C: Serialize, P: Serialize> {
    pub(crate) id: &'a str,
    pub(crate) object: &'static str,
    pub(crate) created: u64,
    pub(crate) model: &'a str,
    pub(crate) choices: [C; 1],
    pub(crate) service_tier: Option<()>,
    pub(crate) system_fingerprint: &'a str,
    pub(crate) usage: Usage,
    #[serde(flatten)]
    pub(crate) prompt: P,
    pub(crate) kv_transfer_params: Option<()>,
    pub(crate) ec_transfer_params: Option<()>,
    pub(crate) metrics: Option<()>,
}

/// What a chat's reply tells of its prompt.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ChatPrompt<'a> {
    pub(crate) prompt_logprobs: Option<&'a PromptLogprobs>,
    pub(crate) prompt_token_ids: Option<&'a [u32]>,
    pub(crate) prompt_text: Option<()>,
}

/// Nothing of the prompt.
#[derive(Debug, Default, Serialize)]
pub(crate) struct NoPrompt {}

#[derive(Debug, Default, Serialize)]
pub(crate) struct WholeChatChoice<'a> {
    pub(crate) index: u32,
    pub(crate) message: Message<'a>,
    pub(crate) logprobs: Option<&'a ChatLogprobs>,
    pub(crate) finish_reason: &'static str,
    pub(crate) stop_reason: Option<StopReason<'a>>,
    pub(crate) token_ids: Option<&'a [u32]>,
    pub(crate) routed_experts: Option<()>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Message<'a> {
    pub(crate) role: &'static str,
    pub(crate) content: &'a str,
    pub(crate) refusal: Option<()>,
    pub(crate) annotations: Option<()>,
    pub(crate) audio: Option<()>,
    pub(crate) function_call: Option<()>,
    pub(crate) reasoning: Option<()>,
}

impl<'a> Message<'a> {
    /// An answer.
    pub(crate) fn of(content: &'a str) -> Self {
        Self { role: "assistant", content, ..Self::default() }
    }
}

/// The choice of a completion's event.
#[derive(Debug, Serialize)]
pub(crate) struct CompletionChoice<'a> {
    pub(crate) index: u32,
    pub(crate) text: &'a str,
    pub(crate) logprobs: Option<&'a CompletionLogprobs>,
    pub(crate) finish_reason: Option<&'static str>,
    pub(crate) stop_reason: Option<StopReason<'a>>,
    pub(crate) prompt_token_ids: Option<&'a [u32]>,
    pub(crate) token_ids: Option<&'a [u32]>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct WholeCompletionChoice<'a> {
    pub(crate) index: u32,
    pub(crate) text: &'a str,
    pub(crate) logprobs: Option<&'a CompletionLogprobs>,
    pub(crate) finish_reason: &'static str,
    pub(crate) stop_reason: Option<StopReason<'a>>,
    pub(crate) token_ids: Option<&'a [u32]>,
    pub(crate) prompt_logprobs: Option<&'a PromptLogprobs>,
    pub(crate) prompt_token_ids: Option<&'a [u32]>,
    pub(crate) routed_experts: Option<()>,
}

/// Log probabilities of a completion, one entry for each token.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct CompletionLogprobs {
    /// Where each token's text begins, in characters.
    pub(crate) text_offset: Vec<usize>,
    pub(crate) token_logprobs: Vec<Option<f64>>,
    pub(crate) tokens: Vec<String>,
    pub(crate) top_logprobs: Vec<Option<Pairs<f64>>>,
}

/// For each token of a prompt its log probability and the likeliest tokens'; the first has none.
pub(crate) type PromptLogprobs = Vec<Option<Pairs<PromptLogprob>>>;

#[derive(Debug, Clone, Serialize)]
pub(crate) struct PromptLogprob {
    pub(crate) logprob: f64,
    pub(crate) rank: u32,
    pub(crate) decoded_token: String,
}

/// A JSON object from names and values in their order. Of two equal names the first has its place and the last its value.
#[derive(Debug, Clone)]
pub(crate) struct Pairs<T>(Vec<(String, T)>);

impl<T> FromIterator<(String, T)> for Pairs<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(pairs: I) -> Self {
        let mut list: Vec<(String, T)> = Vec::new();
        // A list may be as long as the vocabulary.
        let mut places: HashMap<String, usize> = HashMap::new();
        for (name, value) in pairs {
            match places.get(&name).and_then(|at| list.get_mut(*at)) {
                Some(pair) => pair.1 = value,
                None => {
                    places.insert(name.clone(), list.len());
                    list.push((name, value));
                }
            }
        }
        Self(list)
    }
}

impl<T: Serialize> Serialize for Pairs<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// The reply to `/tokenize`.
#[derive(Debug, Serialize)]
pub(crate) struct Tokenized<'a> {
    pub(crate) count: usize,
    pub(crate) max_model_len: Option<usize>,
    pub(crate) tokens: &'a [u32],
    pub(crate) token_strs: Option<Vec<Option<String>>>,
}

/// The reply to `/v1/models`. `root` is where the model came from, if it is known.
pub(crate) fn models(names: &[String], root: Option<&str>, max_model_len: Option<usize>, created: u64) -> Value {
    let entry = |name: &String| {
        json!({
            "id": name,
            "object": "model",
            "created": created,
            "owned_by": "vlm-server",
            "root": root.unwrap_or(name),
            "parent": null,
            "max_model_len": max_model_len,
            "permission": [{
                "id": format!("modelperm-{}", unique()),
                "object": "model_permission",
                "created": created,
                "allow_create_engine": false,
                "allow_sampling": true,
                "allow_logprobs": true,
                "allow_search_indices": false,
                "allow_view": true,
                "allow_fine_tuning": false,
                "organization": "*",
                "group": null,
                "is_blocking": false,
            }],
        })
    };
    json!({"object": "list", "data": names.iter().map(entry).collect::<Vec<_>>()})
}

/// Sixteen hexadecimal digits that no other reply has.
pub(crate) fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    format!("{:016x}", KEYS.hash_one(COUNT.fetch_add(1, Ordering::Relaxed)))
}

/// JSON of data that cannot fail to be JSON.
pub(crate) fn to_json(data: &impl Serialize) -> String {
    serde_json::to_string(data).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_keep_their_order_and_the_last_value() {
        let pairs: Pairs<u32> =
            [("a", 1), ("b", 2), ("a", 3)].map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        assert_eq!(to_json(&pairs), r#"{"a":3,"b":2}"#);
        // As many as a vocabulary has: names are not looked for one by one, which would take minutes.
        let many: Pairs<u32> = (0..300_000).map(|number| (number.to_string(), number)).collect();
        assert_eq!(many.0.len(), 300_000);
    }
}
