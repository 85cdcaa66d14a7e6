//! HTTP/1.1 by hand, as far as this server needs it: requests with a length, replies in chunks or whole. By hand, because
//! a test rig must send what no HTTP library would: half chunks, single bytes, resets, recorded replies.

/// The largest head of a request, bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 100;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) keep_alive: bool,
}

impl Received {
    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What the bytes so far are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parse {
    /// More bytes are needed.
    Partial {
        /// The head is whole, and the client waits for a word before it sends the body.
        wants_continue: bool,
    },
    /// A request and how many bytes it took.
    Request(Box<Received>, usize),
    /// Refused with this status and these words; the connection must be closed.
    Refused(u16, &'static str),
}

/// Reads one request from the front of `bytes`.
pub(crate) fn parse(bytes: &[u8], body_bytes_max: usize) -> Parse {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut headers);
    let head_bytes = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() > HEAD_BYTES_MAX => {
            return Parse::Refused(431, "Request Header Fields Too Large");
        }
        Ok(httparse::Status::Partial) => return Parse::Partial { wants_continue: false },
        Err(_) => return Parse::Refused(400, "Invalid HTTP request received."),
    };
    let headers: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|header| (header.name.to_owned(), String::from_utf8_lossy(header.value).trim().to_owned()))
        .collect();
    let mut received = Received {
        method: head.method.unwrap_or_default().to_owned(),
        path: head.path.unwrap_or_default().split('?').next().unwrap_or_default().to_owned(),
        keep_alive: head.version == Some(1),
        headers,
        body: Vec::new(),
    };
    match received.header("connection").map(str::to_ascii_lowercase).as_deref() {
        Some("close") => received.keep_alive = false,
        Some("keep-alive") => received.keep_alive = true,
        _ => {}
    }
    if received.header("transfer-encoding").is_some() {
        return Parse::Refused(411, "Length Required");
    }
    let length = match received.header("content-length").map(str::parse::<usize>) {
        None => 0,
        Some(Ok(length)) => length,
        Some(Err(_)) => return Parse::Refused(400, "Invalid HTTP request received."),
    };
    if length > body_bytes_max {
        return Parse::Refused(413, "Request Entity Too Large");
    }
    if bytes.len() < head_bytes + length {
        let wants_continue = received.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
        return Parse::Partial { wants_continue };
    }
    received.body = bytes[head_bytes..head_bytes + length].to_vec();
    Parse::Request(Box::new(received), head_bytes + length)
}

/// The reason phrase of a status (RFC 9110, section 15).
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Request Entity Too Large",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

/// A whole reply with a length.
pub(crate) fn whole(
    status: u16,
    content_type: &str,
    headers: &[(String, String)],
    body: &[u8],
    keep_alive: bool,
) -> Vec<u8> {
    let mut out = head(status, content_type, headers, keep_alive);
    out.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    out.extend_from_slice(body);
    out
}

/// The head of a reply in chunks.
pub(crate) fn stream_head(keep_alive: bool) -> Vec<u8> {
    let mut out = head(200, "text/event-stream; charset=utf-8", &[], keep_alive);
    out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
    out
}

fn head(status: u16, content_type: &str, headers: &[(String, String)], keep_alive: bool) -> Vec<u8> {
    let mut out =
        format!("HTTP/1.1 {status} {}\r\nserver: vlm-server\r\ncontent-type: {content_type}\r\n", reason(status));
    for (name, value) in headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    if !keep_alive {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_in_pieces() {
        let bytes = b"POST /v1/x?y HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET";
        for end in 0..bytes.len() - 3 {
            let partial = parse(&bytes[..end], 100);
            assert!(matches!(partial, Parse::Partial { .. }), "{end}: {partial:?}");
        }
        let Parse::Request(request, used) = parse(bytes, 100) else { panic!("a request") };
        assert_eq!(
            (request.method.as_str(), request.path.as_str(), request.body.as_slice()),
            ("POST", "/v1/x", &b"abc"[..])
        );
        assert_eq!((used, request.keep_alive, request.header("HOST")), (bytes.len() - 3, true, Some("h")));
    }

    fn check_refused(bytes: &[u8], status: u16) {
        assert!(
            matches!(parse(bytes, 10), Parse::Refused(got, _) if got == status),
            "{:?}",
            String::from_utf8_lossy(bytes)
        );
    }

    #[test]
    fn what_is_refused() {
        check_refused(b"POST / HTTP/1.1\r\ncontent-length: 11\r\n\r\n", 413);
        check_refused(b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n", 400);
        check_refused(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", 411);
        check_refused(b"\x16\x03\x01", 400);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes, 100);
        }
    }
}
