//! What answers requests: a script now, a model behind the same trait.

use crate::validate::{ApiError, ValidRequest};
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// When and how a request came.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// Number of the chat request on this server, from 0.
    pub number: u64,
    /// When its last byte had been read, ns on the monotonic clock.
    pub read_ns: u64,
    /// Requests being answered, this one included.
    pub in_flight: usize,
}

/// One piece of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Bytes as they go onto the connection, with the token events in them.
    Bytes {
        /// The bytes, HTTP framing included.
        bytes: Vec<u8>,
        /// How many token events they hold.
        tokens: u32,
    },
    /// The reply is whole; the connection may carry another request.
    End,
    /// Close the connection.
    Close,
    /// Reset it: the peer sees an error, not an end.
    Reset,
}

/// Takes the pieces of one reply, from any thread, each with the time at which it is due (ns on the monotonic clock; 0:
/// at once). Pieces of one reply go out in the order given.
#[derive(Clone)]
pub struct ReplySink {
    pub(crate) connection: u64,
    pub(crate) generation: u64,
    pub(crate) pieces: Sender<Piece>,
    pub(crate) wake: Arc<dyn Fn() + Send + Sync>,
}

/// A piece on its way to the event loop.
pub(crate) struct Piece {
    pub(crate) connection: u64,
    pub(crate) generation: u64,
    pub(crate) due_ns: u64,
    pub(crate) output: Output,
}

impl ReplySink {
    /// Hands a piece on.
    pub fn send(&self, due_ns: u64, output: Output) {
        let piece = Piece { connection: self.connection, generation: self.generation, due_ns, output };
        // A loop that has ended needs no pieces.
        if self.pieces.send(piece).is_ok() {
            (self.wake)();
        }
    }
}

/// What answers requests.
pub trait Backend: Send {
    /// The names under which its model is served; the first is the usual one.
    fn models(&self) -> Vec<String>;

    /// What `/version` says.
    fn version(&self) -> String;

    /// The key that requests must carry, if any.
    fn api_key(&self) -> Option<&str> {
        None
    }

    /// Close a connection that has been idle this long, ms.
    fn idle_close_ms(&self) -> Option<u64> {
        None
    }

    /// Tokens of a text, for `/tokenize`; `None`: there is no such endpoint.
    fn tokenize(&self, text: &str) -> Option<Vec<u32>>;

    /// Answers a request through the sink.
    ///
    /// # Errors
    /// A refusal, which goes out as an HTTP error.
    fn submit(&mut self, request: &ValidRequest, arrival: Arrival, sink: ReplySink) -> Result<(), ApiError>;

    /// A gate that replies wait at has been opened.
    fn open_gate(&mut self, _name: &str) {}
}
