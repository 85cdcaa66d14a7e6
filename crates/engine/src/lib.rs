//! Qwen2-VL on the CPU: from a picture's bytes and a chat to tokens and their probabilities. It must not know HTTP.

pub mod engine;
pub mod model;
pub mod pixels;
pub mod prompt;
pub mod sampling;
pub mod schedule;
pub mod stepper;
pub mod text;
