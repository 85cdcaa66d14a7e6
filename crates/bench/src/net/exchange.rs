//! One request and its streamed reply: bytes and times onto a tape, nothing parsed.
//!
//! This is the timing path. It reads, stamps and appends; until the first token it also looks whether a frame is more
//! than a role, because the limit for the first token depends on it. Everything else is the recorder's work, on another
//! thread.

use super::body::PartsBody;
use super::connect::Conn;
use crate::stop::StopSignal;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::RETRY_AFTER;
use measure::TimeLimit;
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// How long a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Until the first token, from the send start.
    pub first_token: Duration,
    /// Between two reads after it.
    pub idle: Duration,
    /// For the whole request.
    pub total: Duration,
}

/// The time of one read, and how far into its segment the bytes of that read reach. Two words: our time; then 24 bits of
/// offset and 40 bits of lag (our time minus the kernel's, up to 18 minutes; all ones where the kernel told nothing).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    user_ns: u64,
    packed: u64,
}

impl Mark {
    const LAG_BITS: u32 = 40;
    const NO_LAG: u64 = (1 << Self::LAG_BITS) - 1;

    /// A mark at `end` bytes into the segment (below 16 MiB).
    #[must_use]
    pub fn new(end: usize, user_ns: u64, kernel_ns: Option<u64>) -> Self {
        let lag = kernel_ns.map_or(Self::NO_LAG, |kernel| user_ns.saturating_sub(kernel).min(Self::NO_LAG));
        Self { user_ns, packed: (end as u64) << Self::LAG_BITS | lag }
    }

    /// Bytes of the segment up to and including this read.
    #[must_use]
    pub fn end(self) -> usize {
        (self.packed >> Self::LAG_BITS) as usize
    }

    /// When our read returned.
    #[must_use]
    pub fn user_ns(self) -> u64 {
        self.user_ns
    }

    /// When the kernel had the bytes.
    #[must_use]
    pub fn kernel_ns(self) -> Option<u64> {
        let lag = self.packed & Self::NO_LAG;
        (lag != Self::NO_LAG).then(|| self.user_ns.saturating_sub(lag))
    }
}

/// A piece of a reply's body with the times of its reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Segment {
    /// The bytes, transfer coding removed.
    pub bytes: Vec<u8>,
    /// One for each read, ascending.
    pub marks: Vec<Mark>,
}

impl Segment {
    /// At this size a segment goes to the recorder.
    const FULL_BYTES: usize = 16 * 1024;

    fn append(&mut self, bytes: &[u8], (user_ns, kernel_ns): (u64, Option<u64>)) {
        self.bytes.extend_from_slice(bytes);
        let mark = Mark::new(self.bytes.len(), user_ns, kernel_ns);
        match self.marks.last_mut() {
            Some(last) if last.user_ns == user_ns => *last = mark,
            _ => self.marks.push(mark),
        }
    }
}

/// What is told while an exchange goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The first token has come.
    FirstToken,
    /// A piece of the body is full.
    Segment(Segment),
}

/// How an exchange ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The body came to its end.
    Whole,
    /// The connection failed before the response's head.
    Lost(String),
    /// The connection failed within the body.
    Broken(String),
    /// A limit was reached.
    TimedOut(TimeLimit),
    /// The run was stopped.
    Cancelled,
}

/// Everything observed of one exchange but the segments handed on before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tape {
    /// Just before the first write.
    pub sent_ns: Option<u64>,
    /// When the last byte of the request had been handed to the kernel.
    pub body_sent_ns: Option<u64>,
    /// The longer of the writes that began and ended the request.
    pub write_ns_max: Option<u64>,
    /// When the head of the response had been read.
    pub headers_ns: Option<u64>,
    /// When the end was known.
    pub ended_ns: u64,
    /// HTTP status.
    pub status: Option<u16>,
    /// The reply's `retry-after` header.
    pub retry_after: Option<String>,
    /// The last piece of the body.
    pub rest: Segment,
    /// How it ended.
    pub ending: Ending,
}

/// Sends a request on an open connection and tapes the reply. The connection can carry another one afterwards if
/// the ending is [`Ending::Whole`] and its sender is not closed.
pub async fn exchange(
    conn: &mut Conn,
    request: Request<PartsBody>,
    limits: Limits,
    stop: &mut StopSignal,
    mut tell: impl FnMut(Progress),
) -> Tape {
    conn.stamps.arm();
    let start = Instant::now();
    let mut watch = Watch::new(start, limits);
    let mut alarm = pin!(tokio::time::sleep_until(watch.next_look(start)));
    let mut stopped = pin!(stop.stopped());
    let mut tape = Tape {
        sent_ns: None,
        body_sent_ns: None,
        write_ns_max: None,
        headers_ns: None,
        ended_ns: 0,
        status: None,
        retry_after: None,
        rest: Segment::default(),
        ending: Ending::Whole,
    };
    let response = {
        let mut sending = pin!(conn.sender.send_request(request));
        loop {
            tokio::select! {
                biased;
                response = &mut sending => break response.map_err(|error| Ending::Lost(words(&error))),
                () = &mut stopped => break Err(Ending::Cancelled),
                () = &mut alarm => {
                    if let Some(limit) = watch.check(&mut alarm) {
                        break Err(Ending::TimedOut(limit));
                    }
                }
            }
        }
    };
    tape.ending = match response {
        Ok(response) => {
            tape.headers_ns = Some(conn.stamps.last_read().0);
            tape.status = Some(response.status().as_u16());
            let again = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            tape.retry_after = again.map(str::to_owned);
            let body = response.into_body();
            read_body(conn, body, &mut watch, alarm, stopped, &mut tape.rest, &mut tell).await
        }
        Err(ending) => ending,
    };
    tape.ended_ns = stamp::now_ns();
    tape.sent_ns = conn.stamps.first_write_ns();
    tape.body_sent_ns = conn.stamps.last_write_ns();
    tape.write_ns_max = conn.stamps.write_ns_max();
    conn.carried += 1;
    conn.idle_since_ns = tape.ended_ns;
    tape
}

async fn read_body(
    conn: &Conn,
    mut body: Incoming,
    watch: &mut Watch,
    mut alarm: std::pin::Pin<&mut Sleep>,
    mut stopped: std::pin::Pin<&mut impl Future<Output = ()>>,
    segment: &mut Segment,
    tell: &mut impl FnMut(Progress),
) -> Ending {
    loop {
        tokio::select! {
            biased;
            frame = body.frame() => match frame {
                None => return Ending::Whole,
                Some(Err(error)) => return Ending::Broken(words(&error)),
                Some(Ok(frame)) => {
                    let Some(bytes) = frame.data_ref() else { continue };
                    // hyper reads again only when its buffer is used up: a frame belongs to the latest read.
                    segment.append(bytes, conn.stamps.last_read());
                    let first = !watch.first_token_seen && looks_like_token(bytes);
                    watch.first_token_seen |= first;
                    watch.read(bytes);
                    if first {
                        // From here on another limit holds, which may end earlier.
                        alarm.as_mut().reset(watch.next_look(watch.last_read));
                        tell(Progress::FirstToken);
                    }
                    if segment.bytes.len() >= Segment::FULL_BYTES {
                        tell(Progress::Segment(std::mem::take(segment)));
                    }
                }
            },
            () = &mut stopped => return Ending::Cancelled,
            () = &mut alarm => match watch.check(&mut alarm) {
                Some(_) if watch.end_marker_seen => return Ending::Whole,
                Some(limit) => return Ending::TimedOut(limit),
                None => {}
            },
        }
    }
}

/// The limits of one request, checked only when the alarm rings: a read costs a clock reading, not a timer.
struct Watch {
    start: Instant,
    last_read: Instant,
    limits: Limits,
    first_token_seen: bool,
    /// The end marker has come: the body should end at once.
    end_marker_seen: bool,
}

impl Watch {
    /// How long a server may take from the end marker to the end of the body.
    const AFTER_END: Duration = Duration::from_secs(1);

    fn new(start: Instant, limits: Limits) -> Self {
        Self { start, last_read: start, limits, first_token_seen: false, end_marker_seen: false }
    }

    fn read(&mut self, bytes: &[u8]) {
        self.last_read = Instant::now();
        let tail = &bytes[bytes.len().saturating_sub(32)..];
        self.end_marker_seen = tail.windows(wire::DONE.len()).any(|window| window == wire::DONE);
    }

    fn deadline(&self) -> Instant {
        let total = self.start + self.limits.total;
        let other = if self.end_marker_seen {
            self.last_read + Self::AFTER_END
        } else if self.first_token_seen {
            self.last_read + self.limits.idle
        } else {
            self.start + self.limits.first_token
        };
        total.min(other)
    }

    /// When to look at the limits next: no later than a second ahead, so that an end marker is noticed in time.
    fn next_look(&self, now: Instant) -> Instant {
        self.deadline().min(now + Self::AFTER_END)
    }

    /// The alarm rang: which limit is reached, or none, and it is set again.
    fn check(&self, alarm: &mut std::pin::Pin<&mut Sleep>) -> Option<TimeLimit> {
        let (now, deadline) = (Instant::now(), self.deadline());
        if now < deadline {
            alarm.as_mut().reset(self.next_look(now));
            return None;
        }
        Some(if now >= self.start + self.limits.total {
            TimeLimit::Total
        } else if self.first_token_seen {
            TimeLimit::Idle
        } else {
            TimeLimit::FirstToken
        })
    }
}

/// Whether a frame holds more than a role, by its bytes alone. It serves the limit for the first token; the recorder
/// decides what is a token.
fn looks_like_token(bytes: &[u8]) -> bool {
    let after = |key: &[u8]| {
        let at = bytes.windows(key.len()).position(|window| window == key)?;
        let rest = bytes[at + key.len()..].trim_ascii_start();
        Some((rest.first().copied(), rest.get(1).copied()))
    };
    let has_text = |key: &[u8]| matches!(after(key), Some((Some(b'"'), Some(next))) if next != b'"');
    has_text(b"\"content\":")
        || has_text(b"\"reasoning_content\":")
        || has_text(b"\"reasoning\":")
        || matches!(after(b"\"tool_calls\":"), Some((Some(b'['), Some(next))) if next != b']')
        || (after(b"\"content\":").is_some_and(|next| next == (Some(b'"'), Some(b'"')))
            && after(b"\"role\":").is_none())
}

/// An error with its causes, in one line: hyper keeps the system's words in the source.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// A body of one buffer, for requests off the timing path.
#[must_use]
pub(super) fn whole_body(bytes: Bytes) -> PartsBody {
    super::body::BodyParts::new(vec![bytes]).body()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_holds_its_three_numbers() {
        for (end, user, kernel) in [(1, 5, Some(3)), (0xff_ffff, u64::MAX, None), (7, 1_000, Some(1_000))] {
            let mark = Mark::new(end, user, kernel);
            assert_eq!((mark.end(), mark.user_ns(), mark.kernel_ns()), (end, user, kernel));
        }
        assert_eq!(std::mem::size_of::<Mark>(), 16);
        // A lag beyond the room is no kernel time.
        assert_eq!(Mark::new(1, 1 << 41, Some(0)).kernel_ns(), None);
    }

    #[test]
    fn frames_of_one_read_share_a_mark() {
        let mut segment = Segment::default();
        segment.append(b"ab", (10, Some(9)));
        segment.append(b"c", (10, Some(9)));
        segment.append(b"d", (11, None));
        assert_eq!(segment.marks, [Mark::new(3, 10, Some(9)), Mark::new(4, 11, None)]);
    }

    #[test]
    fn more_than_a_role() {
        for (text, token) in [
            (r#"{"delta":{"role":"assistant","content":""}}"#, false),
            (r#"{"delta":{"role":"assistant","content":null}}"#, false),
            (r#"{"delta":{"role":"assistant"}}"#, false),
            (r#"{"delta":{"role":"assistant","content":"a"}}"#, true),
            (r#"{"delta": {"content": "a"}}"#, true),
            (r#"{"delta":{"content":""}}"#, true),
            (r#"{"delta":{"reasoning_content":"x","content":null}}"#, true),
            (r#"{"delta":{"tool_calls":[{"index":0}]}}"#, true),
            (r#"{"delta":{"tool_calls":[]}}"#, false),
            (": keep-alive\n\n", false),
            ("", false),
        ] {
            assert_eq!(looks_like_token(text.as_bytes()), token, "{text}");
        }
    }
}
