//! The sampler of one sequence: it remembers what the penalties count, and turns rows of logits into tokens.

use std::collections::HashMap;

use super::distribution::choices;
use super::draw::{pick, uniform};
use super::{Logprobs, SamplingParams};

/// A row of logits from which no token can be drawn: the model's weights or kernels are broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLogits {
    /// A logit is no number.
    #[error("the model gave a logit that is no number (NaN); check that the checkpoint is whole and its dtype right")]
    NotANumber,
    /// No logit is finite, or there are none.
    #[error("the model gave no finite logit; check that the checkpoint is whole and its dtype right")]
    NothingPossible,
    /// A token is outside the row.
    #[error("token {id} is outside a row of {width} logits; check that the tokenizer belongs to the checkpoint")]
    NoSuchToken {
        /// The token.
        id: u32,
        /// Width of the row.
        width: usize,
    },
}

/// A drawn token.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampled {
    /// The token.
    pub token: u32,
    /// Its log probabilities, if they were asked for.
    pub logprobs: Option<Logprobs>,
}

/// How often a token stands in the prompt and in the answer.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    in_prompt: bool,
    in_answer: u32,
}

/// The sampler of one sequence.
#[derive(Debug, Clone)]
pub struct Sampler {
    params: SamplingParams,
    seed: u64,
    seen: HashMap<u32, Seen>,
    drawn: usize,
}

impl Sampler {
    /// A sampler for a prompt of these ids. `entropy` is the seed of a request that gives none.
    #[must_use]
    pub fn new(params: SamplingParams, prompt: &[u32], entropy: u64) -> Self {
        let seed = params.seed.map_or(entropy, i64::cast_unsigned);
        let mut seen: HashMap<u32, Seen> = HashMap::new();
        // Only the repetition penalty looks at the prompt.
        if params.repetition_penalty != 1.0 {
            for id in prompt {
                seen.entry(*id).or_default().in_prompt = true;
            }
        }
        Self { params, seed, seen, drawn: 0 }
    }

    /// Draws the next token from the row of logits after the last one. Greedy: the greatest, of equals the lowest id.
    ///
    /// The row is changed: penalties are taken off in place.
    ///
    /// # Errors
    /// [`BadLogits`] if nothing can be drawn.
    pub fn sample(&mut self, row: &mut [f32]) -> Result<Sampled, BadLogits> {
        // The taken token is not known yet, and the row is about to change.
        let raw = self.params.logprobs.map(|_| row.to_vec());
        self.penalise(row);
        let token = self.draw(row)?;
        let logprobs = match (raw, self.params.logprobs) {
            (Some(raw), Some(top)) => Some(Logprobs::of(&raw, token, top)?),
            _ => None,
        };
        self.record(token);
        Ok(Sampled { token, logprobs })
    }

    /// Counts a token of the answer.
    pub(super) fn record(&mut self, token: u32) {
        self.seen.entry(token).or_default().in_answer += 1;
        self.drawn += 1;
    }

    /// The parameters in use.
    #[must_use]
    pub fn params(&self) -> &SamplingParams {
        &self.params
    }

    /// Masks end tokens that come too early, then applies the penalties in vLLM's order.
    fn penalise(&self, row: &mut [f32]) {
        let params = &self.params;
        if self.drawn < params.min_tokens {
            for id in &params.masked_before_min_tokens {
                if let Some(logit) = row.get_mut(*id as usize) {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
        if params.repetition_penalty == 1.0 && params.frequency_penalty == 0.0 && params.presence_penalty == 0.0 {
            return;
        }
        for (id, seen) in &self.seen {
            let Some(logit) = row.get_mut(*id as usize) else { continue };
            if seen.in_prompt || seen.in_answer > 0 {
                let penalty = params.repetition_penalty;
                *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
            }
            *logit -= params.frequency_penalty * seen.in_answer as f32;
            if seen.in_answer > 0 {
                *logit -= params.presence_penalty;
            }
        }
    }

    fn draw(&self, row: &[f32]) -> Result<u32, BadLogits> {
        let (mut best, mut greatest) = (0, f32::NEG_INFINITY);
        for (id, logit) in (0u32..).zip(row) {
            if logit.is_nan() {
                return Err(BadLogits::NotANumber);
            }
            if *logit > greatest {
                (best, greatest) = (id, *logit);
            }
        }
        if !greatest.is_finite() {
            return Err(BadLogits::NothingPossible);
        }
        if self.params.temperature == 0.0 {
            return Ok(best);
        }
        let number = uniform(self.seed, self.drawn as u64);
        pick(&choices(row, &self.params), number).ok_or(BadLogits::NothingPossible)
    }

    /// Each token that the next draw may give and its probability, by id, after penalties and filters. For tests.
    #[cfg(test)]
    pub(super) fn probabilities(&self, row: &mut [f32]) -> Vec<(u32, f64)> {
        self.penalise(row);
        let choices = choices(row, &self.params);
        let total: f64 = choices.iter().map(|choice| choice.weight).sum();
        choices.iter().map(|choice| (choice.id, choice.weight / total)).collect()
    }
}
