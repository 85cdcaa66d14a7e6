//! The sampling fields of a request as a client sends them, unchecked. It must not know JSON or HTTP.

/// Sampling fields; `None` where the client says nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SamplingRequest {
    /// How many answers.
    pub n: Option<i64>,
    /// 0 is greedy.
    pub temperature: Option<f64>,
    /// Keep the likeliest tokens that together have this probability.
    pub top_p: Option<f64>,
    /// Keep this many of the likeliest tokens; 0 and -1 keep all.
    pub top_k: Option<i64>,
    /// Keep tokens at least this likely, seen from the likeliest.
    pub min_p: Option<f64>,
    /// Divides (multiplies, if negative) the logit of a token of the prompt or the answer.
    pub repetition_penalty: Option<f64>,
    /// Taken from the logit of a token that is in the answer.
    pub presence_penalty: Option<f64>,
    /// Taken from the logit of a token once for each time that it is in the answer.
    pub frequency_penalty: Option<f64>,
    /// Makes the draws repeatable; -1 is none.
    pub seed: Option<i64>,
    /// Stop strings.
    pub stop: Vec<String>,
    /// Ids that end the answer.
    pub stop_token_ids: Vec<i64>,
    /// Leave the stop string in the answer.
    pub include_stop_str_in_output: bool,
    /// Go on after an end token.
    pub ignore_eos: bool,
    /// Longest answer, tokens (`max_tokens`).
    pub max_tokens: Option<i64>,
    /// The newer name of `max_tokens`; it wins.
    pub max_completion_tokens: Option<i64>,
    /// Tokens before an end token, a stop id or a stop string may end the answer.
    pub min_tokens: Option<i64>,
    /// How many of the likeliest tokens to list for each token of the answer; -1 is all.
    pub logprobs: Option<i64>,
    /// How many to list for each token of the prompt.
    pub prompt_logprobs: Option<i64>,
    /// Leave special tokens out of the text; vLLM's default is yes.
    pub skip_special_tokens: Option<bool>,
}
