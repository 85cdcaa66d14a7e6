//! What the engine counts. Names and bounds are those of vLLM 0.32's metrics.

use super::Histogram;
use crate::schedule::SchedulerStats;

/// Bounds of numbers of tokens, up to a context of 16,384 tokens.
const TOKENS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0];
/// Bounds of the tokens of a step.
const STEP_TOKENS: &[f64] = &[1.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0];
/// Bounds of the time to a first token, s.
const TTFT_S: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
    160.0, 640.0, 2560.0,
];
/// Bounds of times between tokens, s.
const BETWEEN_S: &[f64] =
    &[0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0];
/// Bounds of times of a whole request, s.
const REQUEST_S: &[f64] = &[
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0,
    1920.0, 7680.0,
];

/// How requests ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Finished {
    /// By an end token, a stop id or a stop string.
    pub stop: u64,
    /// By their length.
    pub length: u64,
    /// Their client went.
    pub abort: u64,
    /// By a failure of the engine.
    pub error: u64,
}

/// Counters, levels and histograms of an engine.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineStats {
    /// Of the scheduler.
    pub scheduler: SchedulerStats,
    /// Tokens of prompts that were computed or found, since the start.
    pub prompt_tokens: u64,
    /// Tokens that were drawn.
    pub generation_tokens: u64,
    /// How requests ended.
    pub finished: Finished,
    /// Requests refused because too many were waiting.
    pub refused_queue_full: u64,
    /// Tokens of a prompt.
    pub request_prompt_tokens: Histogram,
    /// Tokens of an answer.
    pub request_generation_tokens: Histogram,
    /// The longest answer that a request allowed, tokens.
    pub request_max_tokens: Histogram,
    /// Tokens of a step.
    pub step_tokens: Histogram,
    /// From arrival to the first token, s.
    pub ttft_s: Histogram,
    /// Between two tokens, s.
    pub itl_s: Histogram,
    /// Between two tokens, the mean of a request, s.
    pub tpot_s: Histogram,
    /// From arrival to the last token, s.
    pub e2e_s: Histogram,
    /// From when the engine got it to the first step, s.
    pub queue_s: Histogram,
    /// From the first step to the last token, s.
    pub inference_s: Histogram,
    /// From the first step to the first token, s.
    pub prefill_s: Histogram,
    /// From the first token to the last, s.
    pub decode_s: Histogram,
}

impl Default for EngineStats {
    fn default() -> Self {
        Self {
            scheduler: SchedulerStats::default(),
            prompt_tokens: 0,
            generation_tokens: 0,
            finished: Finished::default(),
            refused_queue_full: 0,
            request_prompt_tokens: Histogram::new(TOKENS),
            request_generation_tokens: Histogram::new(TOKENS),
            request_max_tokens: Histogram::new(TOKENS),
            step_tokens: Histogram::new(STEP_TOKENS),
            ttft_s: Histogram::new(TTFT_S),
            itl_s: Histogram::new(BETWEEN_S),
            tpot_s: Histogram::new(BETWEEN_S),
            e2e_s: Histogram::new(REQUEST_S),
            queue_s: Histogram::new(REQUEST_S),
            inference_s: Histogram::new(REQUEST_S),
            prefill_s: Histogram::new(REQUEST_S),
            decode_s: Histogram::new(REQUEST_S),
        }
    }
}
