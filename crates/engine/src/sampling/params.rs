//! Checked sampling parameters, and vLLM 0.32's words for those that are refused (`vllm/sampling_params.py`,
//! `vllm/renderers/params.py`).

use std::fmt::Display;

use super::{GenerationDefaults, SamplingRequest};
use crate::text::{Refusal, RefusalKind, float_repr};

/// Below this a temperature is greedy (vLLM's `_SAMPLING_EPS`).
const GREEDY_BELOW: f64 = 1e-5;
/// A temperature above 0 is raised to at least this (vLLM's `_MAX_TEMP`).
const TEMPERATURE_LEAST: f64 = 1e-2;

/// What the server allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SamplingLimits {
    /// Tokens of prompt and answer together.
    pub max_model_len: usize,
    /// Width of a row of logits.
    pub vocab_size: u32,
    /// Longest list of log probabilities (`--max-logprobs`; vLLM's default is 20).
    pub max_logprobs: u32,
    /// The tokenizer's end token.
    pub eos_token: Option<u32>,
}

/// Parameters in their ranges, with vLLM's defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingParams {
    /// 0 is greedy; otherwise 0.01 to 2.
    pub temperature: f32,
    /// Above 0, at most 1; 1 keeps all.
    pub top_p: f32,
    /// 0 keeps all.
    pub top_k: usize,
    /// 0 to 1; 0 keeps all.
    pub min_p: f32,
    /// Above 0; 1 is none.
    pub repetition_penalty: f32,
    /// -2 to 2; 0 is none.
    pub presence_penalty: f32,
    /// -2 to 2; 0 is none.
    pub frequency_penalty: f32,
    /// The client's seed.
    pub seed: Option<i64>,
    /// Stop strings, none of them empty.
    pub stop: Vec<String>,
    /// Leave the stop string in the answer.
    pub include_stop_str_in_output: bool,
    /// The end token; `None` with `ignore_eos`. An answer that it ends has no `stop_reason`.
    pub eos_token: Option<u32>,
    /// Ids that end the answer and are its `stop_reason`.
    pub stop_token_ids: Vec<u32>,
    /// Ids that may not be drawn before `min_tokens`: the end tokens, even if they are ignored, and the stop ids.
    pub masked_before_min_tokens: Vec<u32>,
    /// Longest answer, at least 1.
    pub max_tokens: usize,
    /// Tokens before the answer may end by itself.
    pub min_tokens: usize,
    /// Length of the list of log probabilities; 0 lists the taken token only.
    pub logprobs: Option<usize>,
    /// The same for the prompt.
    pub prompt_logprobs: Option<usize>,
    /// Leave special tokens out of the text.
    pub skip_special_tokens: bool,
}

impl SamplingRequest {
    /// The longest answer that the client asks for and the name it used.
    fn output_limit(&self) -> (Option<i64>, &'static str) {
        match self.max_completion_tokens {
            Some(limit) => (Some(limit), "max_completion_tokens"),
            None => (self.max_tokens, "max_tokens"),
        }
    }

    /// What vLLM checks before it looks at the prompt: an answer longer than the context.
    ///
    /// # Errors
    /// [`RefusalKind::Sampling`].
    pub fn check_output_limit(&self, max_model_len: usize) -> Result<(), Refusal> {
        match self.output_limit() {
            (Some(given), name) if usize::try_from(given).is_ok_and(|given| given > max_model_len) => Err(named(
                format!(
                    "{name}={given} cannot be greater than max_model_len={max_model_len}. Please request fewer output \
                     tokens."
                ),
                name,
                given,
            )),
            _ => Ok(()),
        }
    }

    /// The parameters for a prompt of `prompt_tokens`: what the client says, else the checkpoint, else vLLM's defaults.
    ///
    /// # Errors
    /// [`RefusalKind::Sampling`] in vLLM's words, [`RefusalKind::Unsupported`] for more than one answer.
    pub fn resolve(
        &self,
        defaults: &GenerationDefaults,
        limits: &SamplingLimits,
        prompt_tokens: usize,
    ) -> Result<SamplingParams, Refusal> {
        self.check_count()?;
        let presence_penalty = self.presence_penalty.or(defaults.presence_penalty).unwrap_or(0.0);
        let frequency_penalty = self.frequency_penalty.or(defaults.frequency_penalty).unwrap_or(0.0);
        let repetition_penalty = self.repetition_penalty.or(defaults.repetition_penalty).unwrap_or(1.0);
        let temperature = self.temperature.or(defaults.temperature).unwrap_or(1.0);
        let top_p = self.top_p.or(defaults.top_p).unwrap_or(1.0);
        let top_k = self.top_k.or(defaults.top_k).unwrap_or(0);
        let min_p = self.min_p.or(defaults.min_p).unwrap_or(0.0);
        check_penalties(presence_penalty, frequency_penalty, repetition_penalty)?;
        let temperature = checked_temperature(temperature)?;
        check_filters(top_p, top_k, min_p)?;
        let (max_tokens, min_tokens) = self.lengths(defaults, limits, prompt_tokens)?;
        let logprobs = list_length("logprobs", "sample", self.logprobs, limits)?;
        let prompt_logprobs = list_length("prompt_logprobs", "prompt", self.prompt_logprobs, limits)?;
        if self.stop.iter().any(String::is_empty) {
            return Err(refused("stop cannot contain an empty string."));
        }
        let greedy = temperature < GREEDY_BELOW;
        let ends = self.ends(defaults, limits)?;
        Ok(SamplingParams {
            temperature: if greedy { 0.0 } else { temperature as f32 },
            top_p: if greedy { 1.0 } else { top_p as f32 },
            top_k: if greedy { 0 } else { usize::try_from(top_k).unwrap_or(0) },
            min_p: if greedy { 0.0 } else { min_p as f32 },
            repetition_penalty: repetition_penalty as f32,
            presence_penalty: presence_penalty as f32,
            frequency_penalty: frequency_penalty as f32,
            seed: self.seed.filter(|seed| *seed != -1),
            stop: self.stop.clone(),
            include_stop_str_in_output: self.include_stop_str_in_output,
            eos_token: limits.eos_token.filter(|_| !self.ignore_eos),
            stop_token_ids: ends.stop,
            masked_before_min_tokens: ends.masked,
            max_tokens,
            min_tokens,
            logprobs,
            prompt_logprobs,
            skip_special_tokens: self.skip_special_tokens.unwrap_or(true),
        })
    }

    fn check_count(&self) -> Result<(), Refusal> {
        match self.n {
            None | Some(1) => Ok(()),
            Some(n) if n < 1 => Err(refused(format!("n must be at least 1, got {n}."))),
            Some(n) => {
                let words = format!("n must be 1, got {n}: this server gives one answer; send the request {n} times");
                Err(Refusal::new(RefusalKind::Unsupported, words).of("n").given(n))
            }
        }
    }

    /// The longest and the shortest answer, in tokens.
    fn lengths(
        &self,
        defaults: &GenerationDefaults,
        limits: &SamplingLimits,
        prompt_tokens: usize,
    ) -> Result<(usize, usize), Refusal> {
        let room = i64::try_from(limits.max_model_len.saturating_sub(prompt_tokens)).unwrap_or(i64::MAX);
        let max_tokens = self.output_limit().0.or(defaults.max_tokens).map_or(room, |asked| asked.min(room));
        let least = |words: String| named(words, "max_tokens", max_tokens);
        let max = usize::try_from(max_tokens)
            .ok()
            .filter(|max| *max >= 1)
            .ok_or_else(|| least(format!("max_tokens must be at least 1, got {max_tokens}.")))?;
        let min_tokens = self.min_tokens.unwrap_or(0);
        let min = usize::try_from(min_tokens)
            .map_err(|_| refused(format!("min_tokens must be greater than or equal to 0, got {min_tokens}.")))?;
        if min > max {
            return Err(refused(format!(
                "min_tokens must be less than or equal to max_tokens={max}, got {min_tokens}."
            )));
        }
        Ok((max, min))
    }

    fn ends(&self, defaults: &GenerationDefaults, limits: &SamplingLimits) -> Result<Ends, Refusal> {
        let in_vocabulary = |id: i64| u32::try_from(id).ok().filter(|id| *id < limits.vocab_size);
        let outside: Vec<i64> = self.stop_token_ids.iter().copied().filter(|id| in_vocabulary(*id).is_none()).collect();
        if !outside.is_empty() {
            let words = format!(
                "token_id(s) {outside:?} in stop_token_ids contain out-of-vocab token ids. Vocabulary size: {}",
                limits.vocab_size
            );
            return Err(named(words, "stop_token_ids", format!("{outside:?}")));
        }
        let mut stop: Vec<u32> = Vec::new();
        stop.extend(self.stop_token_ids.iter().filter_map(|id| in_vocabulary(*id)));
        let more_ends = defaults.eos_token_ids.iter().copied().filter(|id| Some(*id) != limits.eos_token);
        let mut masked: Vec<u32> = stop.iter().copied().chain(limits.eos_token).chain(more_ends.clone()).collect();
        if !self.ignore_eos {
            stop.extend(more_ends);
        }
        for ids in [&mut stop, &mut masked] {
            ids.sort_unstable();
            ids.dedup();
        }
        Ok(Ends { stop, masked })
    }
}

/// Ids that end an answer, and ids that may not be drawn too early.
struct Ends {
    stop: Vec<u32>,
    masked: Vec<u32>,
}

fn refused(words: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Sampling, words)
}

fn named(words: impl Into<String>, parameter: &'static str, value: impl Display) -> Refusal {
    refused(words).of(parameter).given(value)
}

fn check_penalties(presence: f64, frequency: f64, repetition: f64) -> Result<(), Refusal> {
    for (name, value) in [("presence_penalty", presence), ("frequency_penalty", frequency)] {
        if !(-2.0..=2.0).contains(&value) {
            return Err(refused(format!("{name} must be in [-2, 2], got {}.", float_repr(value))));
        }
    }
    let repetition_is =
        |allowed: &str| refused(format!("repetition_penalty must be {allowed}, got {}.", float_repr(repetition)));
    match repetition {
        value if !value.is_finite() => Err(repetition_is("a finite number")),
        value if value <= 0.0 => Err(repetition_is("greater than zero")),
        _ => Ok(()),
    }
}

fn checked_temperature(temperature: f64) -> Result<f64, Refusal> {
    let given = float_repr(temperature);
    let is = |allowed: &str| named(format!("temperature must be {allowed}, got {given}."), "temperature", &given);
    match temperature {
        value if !value.is_finite() => Err(is("a finite number")),
        value if value < 0.0 => Err(is("non-negative")),
        value if value > 2.0 => Err(is("in [0, 2]")),
        value if value > 0.0 => Ok(value.max(TEMPERATURE_LEAST)),
        value => Ok(value),
    }
}

fn check_filters(top_p: f64, top_k: i64, min_p: f64) -> Result<(), Refusal> {
    if !(top_p > 0.0 && top_p <= 1.0) {
        let given = float_repr(top_p);
        return Err(named(format!("top_p must be in (0, 1], got {given}."), "top_p", given));
    }
    if top_k < -1 {
        return Err(refused(format!("top_k must be 0 (disable), or at least 1, got {top_k}.")));
    }
    if !(0.0..=1.0).contains(&min_p) {
        return Err(refused(format!("min_p must be in [0, 1], got {}.", float_repr(min_p))));
    }
    Ok(())
}

/// The length of a list of log probabilities.
fn list_length(
    name: &'static str,
    of: &str,
    given: Option<i64>,
    limits: &SamplingLimits,
) -> Result<Option<usize>, Refusal> {
    let Some(given) = given else { return Ok(None) };
    if given < -1 {
        return Err(named(format!("{name} must be non-negative or -1, got {given}."), name, given));
    }
    let length = if given == -1 { i64::from(limits.vocab_size) } else { given };
    let allowed = i64::from(limits.max_logprobs);
    if length > allowed {
        let words = format!("Requested {of} logprobs of {length}, which is greater than max allowed: {allowed}");
        return Err(named(words, name, length));
    }
    Ok(usize::try_from(length).ok())
}
