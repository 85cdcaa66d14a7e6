//! HTTP/1.1 by hand, as far as this server needs it: requests in, replies in chunks or whole out. By hand, because a test
//! rig must send what no HTTP library would: half chunks, single bytes, resets, recorded replies. Must not know routes.

mod chunked;
mod request;

pub(crate) use request::{Phase, Progress, Received, Refusal, RequestReader, Sizes};

/// The reason phrase of a status (RFC 9110, section 15).
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Request Entity Too Large",
        417 => "Expectation Failed",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

/// A whole reply with a length.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Whole<'a> {
    pub(crate) status: u16,
    pub(crate) content_type: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a [u8],
    /// Say that the connection ends with this reply.
    pub(crate) closes: bool,
    /// The body is only measured: the request was HEAD.
    pub(crate) head_only: bool,
}

impl Whole<'_> {
    /// As it goes onto the connection.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = head(self.status, self.content_type, self.headers, self.closes);
        out.extend_from_slice(format!("content-length: {}\r\n\r\n", self.body.len()).as_bytes());
        if !self.head_only {
            out.extend_from_slice(self.body);
        }
        out
    }
}

/// The head of a reply in chunks; with `closes` it says that the connection ends with it.
pub(crate) fn stream_head(closes: bool) -> Vec<u8> {
    let mut out = head(200, "text/event-stream; charset=utf-8", &[], closes);
    out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
    out
}

fn head(status: u16, content_type: &str, headers: &[(&str, &str)], closes: bool) -> Vec<u8> {
    let mut out =
        format!("HTTP/1.1 {status} {}\r\nserver: vlm-server\r\ncontent-type: {content_type}\r\n", reason(status));
    for (name, value) in headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    if closes {
        out.push_str("connection: close\r\n");
    }
    out.into_bytes()
}

/// One chunk (RFC 9112, section 7.1).
pub(crate) fn chunk(data: &[u8]) -> Vec<u8> {
    let mut out = format!("{:x}\r\n", data.len()).into_bytes();
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
    out
}

/// The chunk that ends a reply.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
