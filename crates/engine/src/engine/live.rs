//! One request in the engine: its sampler, its text, its sink and its times. It must not know other requests.

use std::sync::Arc;
use std::time::Instant;

use super::event::{EngineEvent, EventSink, FinishReason, StopReason, TokenEvent};
use super::stats::EngineStats;
use super::{Picture, Submission};
use crate::prompt::Prompt;
use crate::sampling::{BadLogits, Logprobs, Sampled, Sampler};
use crate::schedule::{Event, Finish};
use crate::stepper::{LogitRow, RowPlace};
use crate::text::{Detokenizer, StopStrings, Tokenizer};

/// A request that the scheduler has.
pub(super) struct Live {
    prompt: Arc<Prompt>,
    pub(super) pictures: Vec<Arc<Picture>>,
    sampler: Sampler,
    detokenizer: Detokenizer,
    sink: Box<dyn EventSink>,
    prompt_logprobs: Option<Vec<Logprobs>>,
    /// What the step under way drew, or why nothing can be drawn any more.
    drawn: Option<Result<Sampled, BadLogits>>,
    tokens: u64,
    times: Times,
}

/// When what happened.
#[derive(Clone, Copy)]
struct Times {
    arrived: Instant,
    /// To the engine: pictures were read before.
    handed_over: Instant,
    started: Option<Instant>,
    first: Option<Instant>,
    last: Instant,
}

/// What becomes of a request after a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Goes,
    Ends,
}

impl Live {
    pub(super) fn new(submission: Submission, entropy: u64) -> Self {
        let Submission { request, sink, handed_over } = submission;
        let params = request.params;
        let stops = StopStrings::new(&params.stop, params.include_stop_str_in_output);
        let detokenizer = Detokenizer::new(request.prompt.ids(), stops, params.skip_special_tokens, params.min_tokens);
        let prompt_logprobs = params.prompt_logprobs.map(|_| Vec::new());
        Self {
            sampler: Sampler::new(params, request.prompt.ids(), entropy),
            prompt: request.prompt,
            pictures: request.pictures,
            detokenizer,
            sink,
            prompt_logprobs,
            drawn: None,
            tokens: 0,
            times: Times { arrived: request.arrived, handed_over, started: None, first: None, last: request.arrived },
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.sink.is_gone()
    }

    /// A step computes something of it.
    pub(super) fn starts(&mut self, now: Instant, stats: &mut EngineStats) {
        if self.times.started.is_none() {
            self.times.started = Some(now);
            stats.queue_s.observe((now - self.times.handed_over).as_secs_f64(), 1);
        }
    }

    /// A row of logits. After one that cannot be used none is: the request fails when its next token is due.
    pub(super) fn row(&mut self, row: LogitRow<'_>) {
        if matches!(self.drawn, Some(Err(_))) {
            return;
        }
        match row.place {
            RowPlace::Next => self.drawn = Some(self.sampler.sample(row.logits)),
            RowPlace::Prompt(at) => {
                let (Some(list), Some(next)) = (&mut self.prompt_logprobs, self.prompt.ids().get(at + 1)) else {
                    return;
                };
                let count = self.sampler.params().prompt_logprobs.unwrap_or(0);
                match Logprobs::of(row.logits, *next, count) {
                    Ok(logprobs) => list.push(logprobs),
                    Err(error) => self.drawn = Some(Err(error)),
                }
            }
        }
    }

    /// The token that the step drew, if it drew one.
    pub(super) fn drawn(&self) -> Option<u32> {
        self.drawn.as_ref().and_then(|drawn| drawn.as_ref().ok()).map(|sampled| sampled.token)
    }

    /// Tells the sink of a token.
    pub(super) fn deliver(
        &mut self,
        event: Event,
        tokenizer: &Tokenizer,
        now: Instant,
        stats: &mut EngineStats,
    ) -> Then {
        let sampled = match self.drawn.take() {
            Some(Ok(sampled)) => sampled,
            Some(Err(error)) => return self.fail(&error.to_string(), stats),
            None => return self.fail("the model gave no row of logits", stats),
        };
        let by_stop_id = matches!(event.finish, Some(Finish::Stop(_)));
        let step = match self.detokenizer.push(tokenizer, sampled.token, event.finish.is_some(), by_stop_id) {
            Ok(step) => step,
            Err(error) => return self.fail(&error.to_string(), stats),
        };
        let finish = match (step.stop, event.finish) {
            (Some(string), _) => Some(FinishReason::Stop(Some(StopReason::Text(string)))),
            (None, Some(Finish::Stop(id))) => Some(FinishReason::Stop(id.map(StopReason::Token))),
            (None, Some(Finish::Length)) => Some(FinishReason::Length),
            (None, Some(Finish::Failed)) => return self.fail("nothing could be drawn", stats),
            (None, None) => None,
        };
        self.count(finish.as_ref(), now, stats);
        let then = if finish.is_some() { Then::Ends } else { Then::Goes };
        self.sink.event(EngineEvent::Token(Box::new(TokenEvent {
            token: sampled.token,
            text: step.text,
            logprobs: sampled.logprobs,
            prompt_logprobs: self.prompt_logprobs.take(),
            finish,
        })));
        then
    }

    /// Tells the sink that it has failed.
    pub(super) fn fail(&mut self, words: &str, stats: &mut EngineStats) -> Then {
        stats.finished.error += 1;
        self.sink.event(EngineEvent::Failed(words.to_owned()));
        Then::Ends
    }

    fn count(&mut self, finish: Option<&FinishReason>, now: Instant, stats: &mut EngineStats) {
        let times = &mut self.times;
        stats.generation_tokens += 1;
        self.tokens += 1;
        match times.first {
            Some(_) => stats.itl_s.observe((now - times.last).as_secs_f64(), 1),
            None => {
                times.first = Some(now);
                stats.prompt_tokens += self.prompt.len() as u64;
                stats.ttft_s.observe((now - times.arrived).as_secs_f64(), 1);
            }
        }
        times.last = now;
        let Some(finish) = finish else { return };
        match finish {
            FinishReason::Stop(_) => stats.finished.stop += 1,
            FinishReason::Length => stats.finished.length += 1,
        }
        let (started, first) = (times.started.unwrap_or(now), times.first.unwrap_or(now));
        let between = |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64();
        stats.request_prompt_tokens.observe(self.prompt.len() as f64, 1);
        stats.request_generation_tokens.observe(self.tokens as f64, 1);
        stats.request_max_tokens.observe(self.sampler.params().max_tokens as f64, 1);
        stats.e2e_s.observe(between(times.arrived, now), 1);
        stats.inference_s.observe(between(started, now), 1);
        stats.prefill_s.observe(between(started, first), 1);
        stats.decode_s.observe(between(first, now), 1);
        if self.tokens > 1 {
            stats.tpot_s.observe(between(first, now) / (self.tokens - 1) as f64, 1);
        }
    }
}
