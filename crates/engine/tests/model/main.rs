//! The model against Hugging Face transformers, and against itself where answers must be equal to the bit.

mod checkpoints;
mod golden;
mod parity;
mod refusals;
mod same_bits;
#[path = "../shared/tiny.rs"]
mod tiny;
