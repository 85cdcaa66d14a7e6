//! Replies in the form and order of keys of vLLM 0.32.0 (recorded). Data only.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// Tokens of prompt and answer, as an event counts them.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
    completion_tokens: usize,
}

/// Usage of a reply that is not streamed.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct WholeUsage {
    prompt_tokens: usize,
    total_tokens: usize,
    completion_tokens: usize,
    prompt_tokens_details: Option<()>,
    completion_tokens_details: Option<()>,
}

/// Usage on an event of a chat with a choice (`continuous_usage_stats`).
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct RunningUsage {
    prompt_tokens: usize,
    total_tokens: usize,
    completion_tokens: usize,
    completion_tokens_details: Option<()>,
}

/// How many tokens there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    pub(super) prompt: usize,
    pub(super) completion: usize,
}

impl Counts {
    pub(super) fn plain(self) -> Usage {
        let Self { prompt, completion } = self;
        Usage { prompt_tokens: prompt, total_tokens: prompt + completion, completion_tokens: completion }
    }

    pub(super) fn whole(self) -> WholeUsage {
        let Self { prompt, completion } = self;
        WholeUsage {
            prompt_tokens: prompt,
            total_tokens: prompt + completion,
            completion_tokens: completion,
            prompt_tokens_details: None,
            completion_tokens_details: None,
        }
    }

    pub(super) fn running(self) -> RunningUsage {
        let Self { prompt, completion } = self;
        RunningUsage {
            prompt_tokens: prompt,
            total_tokens: prompt + completion,
            completion_tokens: completion,
            completion_tokens_details: None,
        }
    }
}

/// A field that stands in an event in some cases only: `Some(None)` is `null`.
pub(super) type Sometimes<T> = Option<Option<T>>;

/// One event of a streamed answer.
#[derive(Debug, Serialize)]
pub(super) struct Event<'a, C: Serialize> {
    pub(super) id: &'a str,
    pub(super) object: &'static str,
    pub(super) created: u64,
    pub(super) model: &'a str,
    /// One choice, or none.
    pub(super) choices: &'a [C],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<EventUsage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prompt_token_ids: Sometimes<&'a [u32]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prompt_text: Sometimes<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) system_fingerprint: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum EventUsage {
    Plain(Usage),
    Running(RunningUsage),
}

/// The choice of a chat's event.
#[derive(Debug, Serialize)]
pub(super) struct ChatChoice<'a> {
    pub(super) index: u32,
    pub(super) delta: Delta<'a>,
    pub(super) logprobs: Option<&'a ChatLogprobs>,
    pub(super) finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stop_reason: Sometimes<StopReason<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token_ids: Sometimes<&'a [u32]>,
}

/// What an event adds.
#[derive(Debug, Serialize)]
pub(super) struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<&'static str>,
    pub(super) content: &'a str,
}

/// What ended an answer, if a rule of the request did.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub(super) enum StopReason<'a> {
    Token(u32),
    Text(&'a str),
}

/// Log probabilities of a chat.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct ChatLogprobs {
    pub(super) content: Vec<ChatLogprob>,
}

/// One token of them.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ChatLogprob {
    pub(super) token: String,
    pub(super) logprob: f64,
    pub(super) bytes: Vec<u8>,
    pub(super) top_logprobs: Vec<TopLogprob>,
}

/// One of the likeliest tokens.
#[derive(Debug, Clone, Serialize)]
pub(super) struct TopLogprob {
    pub(super) token: String,
    pub(super) logprob: f64,
    pub(super) bytes: Vec<u8>,
}

/// A chat's reply that is not streamed.
#[derive(Debug, Serialize)]
pub(super) struct ChatReplyBody<'a> {
    pub(super) id: &'a str,
    pub(super) object: &'static str,
    pub(super) created: u64,
    pub(super) model: &'a str,
    pub(super) choices: [WholeChatChoice<'a>; 1],
    pub(super) service_tier: Option<()>,
    pub(super) system_fingerprint: &'a str,
    pub(super) usage: WholeUsage,
    pub(super) prompt_logprobs: Option<&'a PromptLogprobs>,
    pub(super) prompt_token_ids: Option<&'a [u32]>,
    pub(super) prompt_text: Option<()>,
    pub(super) kv_transfer_params: Option<()>,
    pub(super) ec_transfer_params: Option<()>,
    pub(super) metrics: Option<()>,
}

#[derive(Debug, Serialize)]
pub(super) struct WholeChatChoice<'a> {
    pub(super) index: u32,
    pub(super) message: Message<'a>,
    pub(super) logprobs: Option<&'a ChatLogprobs>,
    pub(super) finish_reason: &'static str,
    pub(super) stop_reason: Option<StopReason<'a>>,
    pub(super) token_ids: Option<&'a [u32]>,
    pub(super) routed_experts: Option<()>,
}

#[derive(Debug, Serialize)]
pub(super) struct Message<'a> {
    pub(super) role: &'static str,
    pub(super) content: &'a str,
    pub(super) refusal: Option<()>,
    pub(super) annotations: Option<()>,
    pub(super) audio: Option<()>,
    pub(super) function_call: Option<()>,
    pub(super) reasoning: Option<()>,
}

/// The choice of a completion's event.
#[derive(Debug, Serialize)]
pub(super) struct CompletionChoice<'a> {
    pub(super) index: u32,
    pub(super) text: &'a str,
    pub(super) logprobs: Option<&'a CompletionLogprobs>,
    pub(super) finish_reason: Option<&'static str>,
    pub(super) stop_reason: Option<StopReason<'a>>,
    pub(super) prompt_token_ids: Option<&'a [u32]>,
    pub(super) token_ids: Option<&'a [u32]>,
}

/// A completion's reply that is not streamed.
#[derive(Debug, Serialize)]
pub(super) struct CompletionBody<'a> {
    pub(super) id: &'a str,
    pub(super) object: &'static str,
    pub(super) created: u64,
    pub(super) model: &'a str,
    pub(super) choices: [WholeCompletionChoice<'a>; 1],
    pub(super) service_tier: Option<()>,
    pub(super) system_fingerprint: &'a str,
    pub(super) usage: WholeUsage,
    pub(super) kv_transfer_params: Option<()>,
    pub(super) ec_transfer_params: Option<()>,
    pub(super) metrics: Option<()>,
}

#[derive(Debug, Serialize)]
pub(super) struct WholeCompletionChoice<'a> {
    pub(super) index: u32,
    pub(super) text: &'a str,
    pub(super) logprobs: Option<&'a CompletionLogprobs>,
    pub(super) finish_reason: &'static str,
    pub(super) stop_reason: Option<StopReason<'a>>,
    pub(super) token_ids: Option<&'a [u32]>,
    pub(super) prompt_logprobs: Option<&'a PromptLogprobs>,
    pub(super) prompt_token_ids: Option<&'a [u32]>,
    pub(super) routed_experts: Option<()>,
}

/// Log probabilities of a completion, one entry for each token.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct CompletionLogprobs {
    /// Where each token's text begins, in characters.
    pub(super) text_offset: Vec<usize>,
    pub(super) token_logprobs: Vec<Option<f64>>,
    pub(super) tokens: Vec<String>,
    pub(super) top_logprobs: Vec<Option<Pairs<f64>>>,
}

/// For each token of a prompt its log probability and the likeliest tokens'; the first has none.
pub(super) type PromptLogprobs = Vec<Option<Pairs<PromptLogprob>>>;

#[derive(Debug, Clone, Serialize)]
pub(super) struct PromptLogprob {
    pub(super) logprob: f64,
    pub(super) rank: u32,
    pub(super) decoded_token: String,
}

/// A JSON object from names and values in their order. Of two equal names the first has its place and the last its value.
#[derive(Debug, Clone)]
pub(super) struct Pairs<T>(Vec<(String, T)>);

impl<T> FromIterator<(String, T)> for Pairs<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(pairs: I) -> Self {
        let mut list: Vec<(String, T)> = Vec::new();
        for (name, value) in pairs {
            match list.iter_mut().find(|(other, _)| *other == name) {
                Some(pair) => pair.1 = value,
                None => list.push((name, value)),
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
