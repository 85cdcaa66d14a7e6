//! From logits to a token: checked parameters, penalties, filters, the draw, and log probabilities, as vLLM 0.32
//! defines them. It must not know batches: what a request draws depends on its own row, history and seed alone.

mod defaults;
mod distribution;
mod draw;
mod logprobs;
mod params;
mod request;
mod sampler;

pub use defaults::GenerationDefaults;
pub(crate) use draw::mixed;
pub use logprobs::{Logprobs, TokenLogprob};
pub use params::{SamplingLimits, SamplingParams};
pub use request::SamplingRequest;
pub use sampler::{BadLogits, Sampled, Sampler};

#[cfg(test)]
mod tests;
