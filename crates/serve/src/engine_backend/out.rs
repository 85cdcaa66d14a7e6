//! One reply on its way to the client: whole, or event by event. Whoever drops it unfinished has failed, and the client is
//! told so.

use engine::engine::TokenEvent;
use engine::text::{Refusal, RefusalKind};
use serde::Serialize;

use crate::backend::ReplySink;
use crate::http::{self, Whole};
use crate::validate::ApiError;

/// A reply that is not finished.
pub(super) struct Out {
    sink: ReplySink,
    head_only: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Nothing,
    Streaming,
    Done,
}

impl Out {
    pub(super) fn new(sink: ReplySink, head_only: bool) -> Self {
        Self { sink, head_only, state: State::Nothing }
    }

    /// Who it is for.
    pub(super) fn client(&self) -> ReplySink {
        self.sink.clone()
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_gone(&self) -> bool {
        self.state == State::Done || self.sink.is_gone()
    }

    /// A JSON body.
    pub(super) fn json(&mut self, status: u16, body: &impl Serialize) {
        let body = serde_json::to_vec(body).unwrap_or_default();
        self.whole(Whole { status, content_type: "application/json", body: &body, ..Whole::default() });
    }

    /// A whole reply.
    pub(super) fn whole(&mut self, whole: Whole<'_>) {
        let bytes = Whole { head_only: self.head_only, closes: self.sink.closes, ..whole }.bytes();
        self.write(bytes, 0, true);
    }

    /// A refusal; in the middle of a stream it is an event, and the stream ends.
    pub(super) fn refuse(&mut self, error: &ApiError) {
        match self.state {
            State::Done => {}
            State::Nothing => {
                let body = error.body.to_string();
                let whole = Whole { status: error.status, headers: error.headers(), ..Whole::default() };
                self.whole(Whole { content_type: "application/json", body: body.as_bytes(), ..whole });
            }
            State::Streaming => self.events(&[error.body.to_string()], 0, true),
        }
    }

    /// The head of a stream.
    pub(super) fn begin(&mut self) {
        if self.state == State::Nothing {
            self.state = State::Streaming;
            self.write(http::stream_head(self.sink.closes), 0, false);
        }
    }

    /// Events of a stream, each in a chunk of its own; `last` ends it as vLLM does.
    pub(super) fn events(&mut self, events: &[String], tokens: u32, last: bool) {
        self.begin();
        let mut bytes = Vec::new();
        for event in events.iter().map(String::as_str).chain(last.then_some("[DONE]")) {
            bytes.extend(http::chunk(format!("data: {event}\n\n").as_bytes()));
        }
        if last {
            bytes.extend_from_slice(http::LAST_CHUNK);
        }
        self.write(bytes, tokens, last);
    }

    fn write(&mut self, bytes: Vec<u8>, tokens: u32, last: bool) {
        self.sink.write(bytes, tokens, last);
        if last {
            self.state = State::Done;
        }
    }
}

/// What makes a reply of an engine's tokens; what is the same for every kind is done elsewhere.
pub(super) trait Reply: Send {
    /// Whether tokens go out as they come.
    fn streams(&self) -> bool;

    /// The next token.
    fn token(&mut self, token: &TokenEvent, out: &mut Out);
}

impl Drop for Out {
    fn drop(&mut self) {
        if self.state != State::Done {
            self.refuse(&failed("the server ended this request before its answer was whole; try again"));
        }
    }
}

/// An error of the server's own.
pub(super) fn failed(words: &str) -> ApiError {
    ApiError::new(500, "InternalServerError", words, None)
}

/// A refusal of the engine as an HTTP error.
pub(super) fn refused(refusal: &Refusal) -> ApiError {
    let (status, kind) = match refusal.kind {
        RefusalKind::QueueFull => return ApiError::busy(&refusal.to_string()),
        RefusalKind::Ending => (503, "Service Unavailable"),
        RefusalKind::Sampling
        | RefusalKind::ContextLength
        | RefusalKind::Content
        | RefusalKind::Template
        | RefusalKind::Unsupported => (400, "BadRequestError"),
    };
    ApiError::new(status, kind, refusal.to_string(), refusal.parameter)
}
