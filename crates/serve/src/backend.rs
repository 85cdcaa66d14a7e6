//! What answers requests: a script now, a model behind the same trait.

use crate::app::Share;
use crate::validate::{ApiError, ValidRequest};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// The pieces of one reply in order, each with the time at which it is due (ns on the monotonic clock; 0: at once). The
/// next is asked for only when the system has taken all of the one before: a long reply takes no memory ahead of its time,
/// nor does one that is read slowly. Asking must not wait for anything: it happens in the event loop.
pub type Pieces = Box<dyn Iterator<Item = (u64, Output)> + Send>;

/// Takes one reply, from any thread.
#[derive(Clone)]
pub struct ReplySink {
    pub(crate) connection: u64,
    pub(crate) generation: u64,
    /// The connection ends with this reply.
    pub(crate) closes: bool,
    pub(crate) gone: Arc<AtomicBool>,
    pub(crate) replies: Sender<PlacedReply>,
    pub(crate) wake: Arc<dyn Fn() + Send + Sync>,
}

/// A reply on its way to the event loop.
pub(crate) struct PlacedReply {
    pub(crate) connection: u64,
    pub(crate) generation: u64,
    pub(crate) pieces: Pieces,
    /// What the pieces take of the memory until the client has taken them; 0 where they are made when they are due.
    pub(crate) bytes: usize,
}

/// What a piece of a reply takes of the memory besides its bytes.
const PIECE_BYTES: usize = 160;

impl ReplySink {
    /// Hands pieces on. A reply that is made step by step is handed on in several calls: later pieces follow earlier ones,
    /// and one of them must end the reply. Pieces for a client that is gone are dropped.
    pub fn play(&self, pieces: Pieces) {
        self.place(pieces, 0);
    }

    /// Hands on bytes that are there already, with the token events in them; with `last` they end the reply. Until the
    /// client has taken them they count as memory that replies hold: a client that lets too much of it wait is left, and
    /// [`ReplySink::is_gone`] says so.
    pub fn write(&self, bytes: Vec<u8>, tokens: u32, last: bool) {
        let held_bytes = bytes.len() + PIECE_BYTES;
        let end = last.then_some((0, Output::End));
        self.place(Box::new(std::iter::once((0, Output::Bytes { bytes, tokens })).chain(end)), held_bytes);
    }

    fn place(&self, pieces: Pieces, bytes: usize) {
        if self.is_gone() {
            return;
        }
        let reply = PlacedReply { connection: self.connection, generation: self.generation, pieces, bytes };
        // A loop that has ended needs no reply.
        if self.replies.send(reply).is_ok() {
            (self.wake)();
        }
    }

    /// Whether nobody waits for this reply any more: the client has closed its connection or does not read, or the reply is
    /// whole. Turns true within one turn of the event loop and stays so. A backend that computes looks at it at each step
    /// and frees what the request holds.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }
}

/// A request to a route that is the backend's own. While it is there, its body counts as memory that requests hold.
#[derive(Debug)]
pub struct Call {
    /// The path.
    pub path: String,
    /// The body as it came, of any content.
    pub body: Vec<u8>,
    /// The request was HEAD: the reply has no body.
    pub head_only: bool,
    /// The client's `x-request-id`.
    pub request_id: Option<String>,
    pub(crate) _share: Share,
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

    /// The same for one on which no request has come yet.
    fn unused_close_ms(&self) -> Option<u64> {
        self.idle_close_ms()
    }

    /// Whether a profiler can be started and stopped: `/start_profile` and `/stop_profile` are there.
    fn profiles(&self) -> bool {
        false
    }

    /// The methods of a path that the backend answers itself, in [`Backend::call`], in place of the server.
    fn methods(&self, _path: &str) -> Option<&'static [&'static str]> {
        None
    }

    /// Answers a request to one of its own paths, or refuses it, through the sink. This happens in the event loop: whatever
    /// takes time belongs elsewhere.
    fn call(&mut self, _call: Call, _arrival: Arrival, _sink: ReplySink) {}

    /// Tokens of a text, for `/tokenize`; `None`: there is no such endpoint.
    fn tokenize(&self, _text: &str) -> Option<Vec<u32>> {
        None
    }

    /// Answers a chat request through the sink, unless the backend has a route of its own for chats.
    ///
    /// # Errors
    /// A refusal, which goes out as an HTTP error.
    fn submit(&mut self, _request: &ValidRequest, _arrival: Arrival, _sink: ReplySink) -> Result<(), ApiError> {
        Err(ApiError::detail(404, "Not Found"))
    }

    /// A gate that replies wait at has been opened.
    fn open_gate(&mut self, _name: &str) {}
}
