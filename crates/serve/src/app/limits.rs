//! What one client may take of the server: bytes and time. Every bound that is not in here is on work within one turn of
//! the loop and has no meaning outside.

/// Bounds on requests and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest head of a request, bytes; beyond it 431.
    pub head_bytes_max: usize,
    /// The largest body of a request, bytes; beyond it 413, before the body is read.
    pub body_bytes_max: usize,
    /// The most that requests may hold of the memory, all connections together, bytes: what is read of them, until they are
    /// prepared. Beyond it the body that has been under way for the longest gives way, or the newest that is whole: 429.
    pub bodies_bytes_max: usize,
    /// From a head's first byte (with TLS, from the connection's beginning) to its last, ms; then 408.
    pub head_ms_max: u64,
    /// From a head's end to the last byte of the body, ms; then 408.
    pub body_ms_max: u64,
    /// The most that replies may hold of the memory which clients have not taken, all connections together, bytes. Beyond it
    /// the connection is reset whose client lets the most wait.
    pub unread_bytes_max: usize,
    /// How long a client may take nothing of what waits for it, ms; then its connection is reset.
    pub unread_ms_max: u64,
    /// How long a client that was refused in the middle of a request may go on sending, ms. It is read over, because closing
    /// at once would take the answer back from it.
    pub linger_ms_max: u64,
    /// How much is read from one connection before the others have their turn, bytes.
    pub turn_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 64 << 10,
            body_bytes_max: 256 << 20,
            bodies_bytes_max: 1 << 30,
            head_ms_max: 30_000,
            body_ms_max: 300_000,
            unread_bytes_max: 1 << 30,
            unread_ms_max: 300_000,
            linger_ms_max: 10_000,
            turn_bytes: 1 << 20,
        }
    }
}
