//! The parts of the engine that know no tensors, against Hugging Face transformers, vLLM's recorded replies, and a
//! simulated memory.

mod scheduler;
