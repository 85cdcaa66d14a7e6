//! What the server saw: requests and writes.

use serde::Serialize;
use std::sync::Arc;

/// One write: the clock before and after the call, and the token events in it.
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
    /// When its answer was whole.
    pub ended_ns: Option<u64>,
}
