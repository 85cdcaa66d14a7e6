//! An answer as it grows: its tokens and text, and log probabilities in words. It must not know how replies are framed.

use std::sync::Arc;

use engine::engine::{FinishReason, StopReason, TokenEvent};
use engine::prompt::Prompt;
use engine::sampling::{Logprobs, TokenLogprob};
use engine::text::{TokenText, Tokenizer};

use super::asked::Asked;
use super::media::Held;
use super::prepare::Prepared;
use super::served::Served;
use crate::shapes::{self, Counts, Pairs, PromptLogprob, PromptLogprobs};

/// What vLLM replies for a probability of 0.
const LEAST_LOGPROB: f64 = -9999.0;

/// One answer.
pub(super) struct Answer {
    pub(super) id: String,
    pub(super) created: u64,
    pub(super) model: String,
    pub(super) fingerprint: String,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) continuous_usage: bool,
    pub(super) return_token_ids: bool,
    /// Length of the lists of log probabilities.
    pub(super) logprobs: Option<usize>,
    pub(super) prompt: Arc<Prompt>,
    pub(super) tokens: Vec<u32>,
    pub(super) text: String,
    pub(super) finish: Option<FinishReason>,
    pub(super) prompt_logprobs: Option<PromptLogprobs>,
    tokenizer: Arc<Tokenizer>,
    /// Held until the answer is whole, so that what waiting requests hold is counted.
    _pictures: Vec<Arc<Held>>,
}

impl Answer {
    /// An answer without a token. `id` is the reply's name.
    pub(super) fn new(served: &Served, id: String, model: String, asked: &Asked, prepared: Prepared) -> Self {
        let listed = |length: i64| usize::try_from(length).unwrap_or(served.limits.vocab_size as usize);
        Self {
            id,
            created: stamp::unix_ns() / 1_000_000_000,
            model,
            fingerprint: served.fingerprint.clone(),
            stream: asked.stream,
            include_usage: asked.include_usage,
            continuous_usage: asked.continuous_usage,
            return_token_ids: asked.return_token_ids,
            logprobs: asked.sampling.logprobs.map(listed),
            prompt: prepared.prompt,
            tokens: Vec::new(),
            text: String::new(),
            finish: None,
            prompt_logprobs: None,
            tokenizer: Arc::clone(&served.tokenizer),
            _pictures: prepared.pictures,
        }
    }

    /// Adds a token; gives its log probabilities as words, the taken token first.
    pub(super) fn add(&mut self, event: &TokenEvent) -> Option<Words> {
        let words = event.logprobs.as_ref().map(|logprobs| {
            let before = self.before();
            Words::of(&self.tokenizer, logprobs, &before)
        });
        if let Some(list) = &event.prompt_logprobs {
            self.prompt_logprobs = Some(self.named(list));
        }
        self.tokens.push(event.token);
        self.text.push_str(&event.text);
        self.finish.clone_from(&event.finish);
        words
    }

    /// The last tokens before the next one: no character has more than four.
    fn before(&self) -> Vec<u32> {
        let of_answer = self.tokens.get(self.tokens.len().saturating_sub(4)..).unwrap_or_default();
        let missing = 4 - of_answer.len();
        let prompt = self.prompt.ids();
        let of_prompt = prompt.get(prompt.len().saturating_sub(missing)..).unwrap_or_default();
        [of_prompt, of_answer].concat()
    }

    fn named(&self, list: &[Logprobs]) -> PromptLogprobs {
        let ids = self.prompt.ids();
        let entry = |(at, logprobs): (usize, &Logprobs)| {
            let before = ids.get(..=at).unwrap_or(ids);
            let named = |token: &TokenLogprob| {
                let decoded_token = text_of(&self.tokenizer, token.id, before);
                let named = PromptLogprob { logprob: at_least(token.logprob), rank: token.rank, decoded_token };
                (token.id.to_string(), named)
            };
            Some(logprobs.listed().map(named).collect::<Pairs<_>>())
        };
        std::iter::once(None).chain(list.iter().enumerate().map(entry)).collect()
    }

    /// The words of the prompt's tokens; the first has no probability.
    pub(super) fn prompt_words(&self, list: &[Logprobs]) -> Vec<Result<Words, String>> {
        let ids = self.prompt.ids();
        let first = ids.first().map(|id| Err(text_of(&self.tokenizer, *id, &[])));
        let rest = list.iter().enumerate().map(|(at, logprobs)| {
            let before = ids.get(..=at).unwrap_or(ids);
            Ok(Words::of(&self.tokenizer, logprobs, before))
        });
        first.into_iter().chain(rest).collect()
    }

    pub(super) fn counts(&self) -> Counts {
        Counts { prompt: self.prompt.len() as u64, completion: self.tokens.len() as u64, cached: None }
    }

    /// `finish_reason`.
    pub(super) fn finish_name(&self) -> Option<&'static str> {
        self.finish.as_ref().map(FinishReason::name)
    }

    /// `stop_reason`.
    pub(super) fn stop_reason(&self) -> Option<shapes::StopReason<'_>> {
        match self.finish.as_ref()? {
            FinishReason::Stop(Some(StopReason::Token(id))) => Some(shapes::StopReason::Token(*id)),
            FinishReason::Stop(Some(StopReason::Text(text))) => Some(shapes::StopReason::Text(text)),
            FinishReason::Stop(None) | FinishReason::Length => None,
        }
    }
}

/// The log probabilities at one place: the taken token, then the likeliest others.
pub(super) struct Words {
    pub(super) taken: Word,
    /// With the taken token as the first.
    pub(super) listed: Vec<Word>,
}

/// A token as text and its log probability.
#[derive(Clone)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) logprob: f64,
}

impl Words {
    fn of(tokenizer: &Tokenizer, logprobs: &Logprobs, before: &[u32]) -> Self {
        let word = |token: &TokenLogprob| Word {
            text: text_of(tokenizer, token.id, before),
            logprob: at_least(token.logprob),
        };
        let listed: Vec<Word> = logprobs.listed().map(word).collect();
        Self { taken: word(&logprobs.taken), listed }
    }
}

fn text_of(tokenizer: &Tokenizer, id: u32, before: &[u32]) -> String {
    // A token that the library cannot show has no text.
    TokenText::of(tokenizer, id, before).map(|token| token.text).unwrap_or_default()
}

fn at_least(logprob: f32) -> f64 {
    f64::from(logprob).max(LEAST_LOGPROB)
}
