//! What the server saw: requests and writes. Kept on demand; headers and bodies never leave the process.

use serde::Serialize;
use std::sync::Arc;

/// Larger bodies are not kept.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// What is kept of the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    Nothing,
    /// When each came and what was written when.
    Times,
    /// The same with headers, keys included, and with bodies of at most 256 KiB: for a test that holds the server in its
    /// own process.
    Everything,
}

/// One write: the clock before and after the call, and the token events in it. A write that the system takes in several
/// parts is several of these; its token events are in the part that took its last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WriteStamp {
    /// Before the write, ns on the monotonic clock.
    pub before_ns: u64,
    /// After it.
    pub after_ns: u64,
    /// Token events.
    pub tokens: u32,
}

/// What the server saw of one chat request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Number on this server, from 0.
    pub number: u64,
    /// The client's `x-request-id`.
    pub request_id: Option<String>,
    /// Number of the connection.
    pub connection: u64,
    /// Requests that the connection had carried before.
    pub reused: u64,
    /// When the kernel had its last byte, where it tells; else `read_ns`.
    pub received_ns: u64,
    /// When its last byte had been read.
    pub read_ns: u64,
    /// Size of its body, bytes.
    pub body_bytes: usize,
    /// Its body.
    #[serde(skip)]
    pub body: Arc<[u8]>,
    /// Its headers.
    #[serde(skip)]
    pub headers: Vec<(String, String)>,
    /// Requests being answered when it came, itself included.
    pub in_flight: usize,
    /// The writes of its answer.
    pub writes: Vec<WriteStamp>,
    /// When its answer was whole, or its client was found gone.
    pub ended_ns: Option<u64>,
}

impl Keep {
    /// What is kept of a body.
    pub(super) fn body(self, body: &[u8]) -> Arc<[u8]> {
        if self == Self::Everything && body.len() <= BODY_BYTES_MAX { body.into() } else { Arc::default() }
    }

    /// What is kept of headers.
    pub(super) fn headers(self, headers: &[(String, String)]) -> Vec<(String, String)> {
        if self == Self::Everything { headers.to_vec() } else { Vec::new() }
    }
}
