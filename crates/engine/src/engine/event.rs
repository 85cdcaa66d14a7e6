//! What the engine tells of one request.

use crate::sampling::Logprobs;
use crate::text::Refusal;

/// Takes the events of one request, on the engine's thread: it must not wait for anything.
pub trait EventSink: Send {
    /// One event. After one that ends the request there is no other.
    fn event(&mut self, event: EngineEvent);

    /// Whether nobody wants the rest. Asked at each step; then the request ends and gives back what it holds.
    fn is_gone(&self) -> bool;
}

/// One thing that happened to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum EngineEvent {
    /// It waits for its turn now: nothing but a failure of the engine keeps it from an answer.
    Accepted,
    /// It is not taken after all; nothing was computed.
    Refused(Refusal),
    /// A token.
    Token(Box<TokenEvent>),
    /// It ended by no fault of its own. The words are for its sender.
    Failed(String),
}

/// One token of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenEvent {
    /// The token.
    pub token: u32,
    /// What text it added. Often empty: in the middle of a character, or while a stop string may have begun.
    pub text: String,
    /// Its log probabilities, if they were asked for.
    pub logprobs: Option<Logprobs>,
    /// With the first token, if they were asked for: those of the prompt's tokens from the second on.
    pub prompt_logprobs: Option<Vec<Logprobs>>,
    /// Why the answer ends with it, if it does.
    pub finish: Option<FinishReason>,
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended it (`None`), or a stop id or string did.
    Stop(Option<StopReason>),
    /// It is as long as it may be.
    Length,
}

/// What of the request's stop rules ended an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// A stop id.
    Token(u32),
    /// A stop string.
    Text(String),
}

impl FinishReason {
    /// `finish_reason` of the protocol.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stop(_) => "stop",
            Self::Length => "length",
        }
    }
}
