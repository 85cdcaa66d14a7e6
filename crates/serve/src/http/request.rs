//! Requests out of the bytes of a connection (RFC 9112): heads, bodies with a length and bodies in chunks, each bounded.
//! Reads what there is and keeps its place, so that a body that comes in many pieces is looked at once. Knows no sockets
//! and no clocks.

use super::chunked::{Chunked, Decoded};

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

    /// All headers of this name.
    fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }
}

/// The most of a request that is read, bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) head_bytes_max: usize,
    pub(crate) body_bytes_max: usize,
}

/// Where the reading stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Between two requests.
    Idle,
    /// A head has begun.
    Head,
    /// A body is coming.
    Body,
}

/// What the bytes so far are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More bytes are needed.
    Partial,
    /// The head is whole, and the client waits for a word before it sends the body. Said once.
    WantsContinue,
    /// A whole request.
    Request(Box<Received>),
    /// Refused; what follows on the connection cannot be understood.
    Refused(Refusal),
}

/// A status and the words for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal(pub(crate) u16, pub(crate) &'static str);

const MALFORMED: Refusal = Refusal(400, "Invalid HTTP request received.");
const HEAD_TOO_LARGE: Refusal = Refusal(431, "Request Header Fields Too Large");
/// The body is larger than the server takes.
pub(super) const BODY_TOO_LARGE: Refusal = Refusal(413, "Request Entity Too Large");

/// Reads the requests of one connection.
#[derive(Debug)]
pub(crate) struct RequestReader {
    sizes: Sizes,
    /// The request whose body is coming.
    under_way: Option<(Box<Received>, Body)>,
    /// Bytes of an unfinished head that have been looked at.
    looked_at: usize,
    /// Those bytes when the head was last parsed.
    parsed_at: usize,
}

#[derive(Debug)]
enum Body {
    /// So many bytes are still to come.
    Length(usize),
    Chunked(Chunked),
}

impl RequestReader {
    pub(crate) fn new(sizes: Sizes) -> Self {
        Self { sizes, under_way: None, looked_at: 0, parsed_at: 0 }
    }

    /// Where the reading stands, given what has not been used of the input.
    pub(crate) fn phase(&self, input: &[u8]) -> Phase {
        match &self.under_way {
            Some(_) => Phase::Body,
            None if input.is_empty() => Phase::Idle,
            None => Phase::Head,
        }
    }

    /// Room that is taken for a body that is not whole, bytes.
    pub(crate) fn held_bytes(&self) -> usize {
        self.under_way.as_ref().map_or(0, |(received, _)| received.body.capacity())
    }

    /// Lets go a body that is not whole.
    pub(crate) fn forget(&mut self) {
        self.under_way = None;
    }

    /// Takes the next request from the front of `input`, or as much of it as there is.
    pub(crate) fn next(&mut self, input: &mut Vec<u8>) -> Progress {
        let had_head = self.under_way.is_some();
        let (mut received, mut body) = match self.under_way.take() {
            Some(under_way) => under_way,
            None => match self.head(input) {
                Ok(Some(head)) => head,
                Ok(None) => return Progress::Partial,
                Err(refusal) => return Progress::Refused(refusal),
            },
        };
        match body.take(input, &mut received.body, self.sizes) {
            Err(refusal) => Progress::Refused(refusal),
            Ok(true) => Progress::Request(received),
            Ok(false) => {
                let wants_continue = !had_head && received.body.is_empty() && received.header("expect").is_some();
                self.under_way = Some((received, body));
                if wants_continue { Progress::WantsContinue } else { Progress::Partial }
            }
        }
    }

    /// The head, and what kind of body follows; `None` while it is not whole.
    fn head(&mut self, input: &mut Vec<u8>) -> Result<Option<(Box<Received>, Body)>, Refusal> {
        if self.looked_at == 0 {
            // Empty lines before a request are skipped (RFC 9112, section 2.2).
            let empty = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            input.drain(..empty);
        }
        if input.is_empty() {
            return Ok(None);
        }
        // A head that trickles in is parsed when its end may be there, and otherwise each time it has doubled.
        let from = self.looked_at.saturating_sub(2);
        let may_end = has_blank_line(input.get(from..).unwrap_or_default());
        self.looked_at = input.len();
        if !may_end && input.len() < 2 * self.parsed_at && input.len() <= self.sizes.head_bytes_max {
            return Ok(None);
        }
        self.parsed_at = input.len();
        let Some((received, head_bytes)) = parse_head(input)? else {
            return if input.len() > self.sizes.head_bytes_max { Err(HEAD_TOO_LARGE) } else { Ok(None) };
        };
        if head_bytes > self.sizes.head_bytes_max {
            return Err(HEAD_TOO_LARGE);
        }
        input.drain(..head_bytes);
        (self.looked_at, self.parsed_at) = (0, 0);
        let body = framing(&received, self.sizes)?;
        if received.header("expect").is_some_and(|value| !value.eq_ignore_ascii_case("100-continue")) {
            return Err(Refusal(417, "Expectation Failed"));
        }
        Ok(Some((Box::new(received), body)))
    }
}

impl Body {
    /// Moves what belongs to the body from `input` to `into`; whether it is whole.
    fn take(&mut self, input: &mut Vec<u8>, into: &mut Vec<u8>, sizes: Sizes) -> Result<bool, Refusal> {
        match self {
            Self::Length(left) => {
                let count = input.len().min(*left);
                if into.capacity() - into.len() < count {
                    // Twofold as usual, but never more than the body has.
                    into.reserve_exact((*left).min(count.max(into.len())));
                }
                into.extend_from_slice(input.get(..count).unwrap_or_default());
                input.drain(..count);
                *left -= count;
                Ok(*left == 0)
            }
            Self::Chunked(decoder) => match decoder.take(input, into, sizes) {
                Decoded::More => Ok(false),
                Decoded::End => Ok(true),
                Decoded::TooLarge => Err(BODY_TOO_LARGE),
                Decoded::Malformed => Err(MALFORMED),
            },
        }
    }
}

fn has_blank_line(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair == b"\n\n") || bytes.windows(3).any(|three| three == b"\n\r\n")
}

fn parse_head(bytes: &[u8]) -> Result<Option<(Received, usize)>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut headers);
    let head_bytes = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(HEAD_TOO_LARGE),
        Err(_) => return Err(MALFORMED),
    };
    let headers = head.headers.iter();
    let headers = headers.map(|h| (h.name.to_owned(), String::from_utf8_lossy(h.value).trim().to_owned())).collect();
    let mut received = Received {
        method: head.method.unwrap_or_default().to_owned(),
        path: path(head.path.unwrap_or_default()).to_owned(),
        keep_alive: head.version == Some(1),
        headers,
        body: Vec::new(),
    };
    let options = received.header("connection").map(str::to_ascii_lowercase).unwrap_or_default();
    let has = |wanted: &str| options.split(',').any(|option| option.trim() == wanted);
    received.keep_alive = !has("close") && (received.keep_alive || has("keep-alive"));
    Ok(Some((received, head_bytes)))
}

/// The path of a request target, without its query; proxies send the whole URL (RFC 9112, section 3.2.2).
fn path(target: &str) -> &str {
    let after_scheme = target.strip_prefix("http://").or_else(|| target.strip_prefix("https://"));
    let path = after_scheme.map_or(target, |rest| rest.find('/').map_or("/", |at| &rest[at..]));
    path.split('?').next().unwrap_or_default()
}

/// How long the body is (RFC 9112, section 6.3). What two readers could understand in two ways is refused.
fn framing(received: &Received, sizes: Sizes) -> Result<Body, Refusal> {
    match (&*received.all("content-length"), &*received.all("transfer-encoding")) {
        ([], []) => Ok(Body::Length(0)),
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Body::Chunked(Chunked::default())),
        ([], [_]) => Err(Refusal(501, "Not Implemented")),
        ([length], []) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
            // More digits than fit are more bytes than are possible.
            let length = length.parse().unwrap_or(usize::MAX);
            if length > sizes.body_bytes_max { Err(BODY_TOO_LARGE) } else { Ok(Body::Length(length)) }
        }
        _ => Err(MALFORMED),
    }
}

#[cfg(test)]
mod tests;
