//! What goes over HTTP between a benchmark client and an OpenAI-compatible server.
//!
//! Requests, stream chunks, usage and error bodies, and the server-sent-event framing between them. Pure: no
//! sockets, clocks or files; it must not know what a benchmark is.

mod chunk;
mod error;
mod request;
mod sse;
mod usage;

pub use chunk::{ChatChunk, ChunkChoice, Delta, Parsed};
pub use error::{ErrorWords, error_words};
pub use request::{ChatRequest, Content, ImageUrl, Message, Part, StreamOptions};
pub use sse::{DONE, SseDecoder, SseError, SseEvent};
pub use usage::Usage;
