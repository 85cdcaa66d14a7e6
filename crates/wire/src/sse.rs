//! Server-sent events: bytes in any cut to events, each with the place in the byte stream where it was complete.
//!
//! Follows the event-stream format of the HTML standard (section 9.2, "Server-sent events"): lines end with LF, CR LF
//! or CR; a blank line ends an event; `data` lines of one event are joined by LF; one space after the colon is dropped;
//! lines that start with a colon are comments. Nothing else is a line end: U+2028, U+2029 and U+0085 are text.

/// The data of the event that ends an OpenAI stream.
pub const DONE: &[u8] = b"[DONE]";

/// One complete event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// The joined data lines.
    pub data: Vec<u8>,
    /// How many bytes of the stream had been read when the event was complete: the offset just after the byte that
    /// ended the blank line (its CR, where the line ends with CR LF).
    pub end: u64,
    /// The offset where the event's first line began.
    pub start: u64,
}

impl SseEvent {
    /// Whether this is the end marker.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.data.trim_ascii() == DONE
    }
}

/// Why decoding cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SseError {
    /// One event is larger than the limit given, in bytes.
    EventTooLarge {
        /// The limit.
        limit: usize,
    },
}

impl std::fmt::Display for SseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::EventTooLarge { limit } = self;
        write!(f, "an event of the stream is larger than {limit} bytes")
    }
}

impl std::error::Error for SseError {}

/// Turns bytes, cut anywhere, into events. The result does not depend on the cuts.
#[derive(Debug, Clone)]
pub struct SseDecoder {
    /// The unfinished line, and the unfinished event so far.
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    event_start: u64,
    in_event: bool,
    offset: u64,
    /// The last byte was a CR: a LF that follows belongs to it.
    after_cr: bool,
    /// Bytes of a byte order mark seen at the very start.
    at_start: bool,
    limit: usize,
}

impl SseDecoder {
    /// A decoder that accepts events of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            line: Vec::new(),
            data: Vec::new(),
            has_data: false,
            event_start: 0,
            in_event: false,
            offset: 0,
            after_cr: false,
            at_start: true,
            limit,
        }
    }

    /// Reads more bytes and hands each event that they complete to `each`.
    ///
    /// # Errors
    /// When one event exceeds the limit; the decoder is of no use afterwards.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(SseEvent)) -> Result<(), SseError> {
        let mut rest = bytes;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            if rest[0] == b'\n' {
                rest = &rest[1..];
                self.offset += 1;
            }
        }
        while let Some(at) = rest.iter().position(|&byte| byte == b'\n' || byte == b'\r') {
            self.check_limit(self.line.len() + at)?;
            let line_start = self.offset - self.line.len() as u64;
            let cr = rest[at] == b'\r';
            self.offset += at as u64 + 1;
            if self.line.is_empty() {
                self.end_line(&rest[..at], line_start, &mut each);
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(&rest[..at]);
                self.end_line(&line, line_start, &mut each);
                line.clear();
                self.line = line;
            }
            rest = &rest[at + 1..];
            if cr {
                match rest.first() {
                    Some(b'\n') => {
                        rest = &rest[1..];
                        self.offset += 1;
                    }
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
        }
        self.line.extend_from_slice(rest);
        self.offset += rest.len() as u64;
        self.check_limit(self.line.len())
    }

    /// The stream has ended: an event without its closing blank line, if there is one. The standard drops such an
    /// event; several servers end their last one so, and whether to count it is the caller's decision.
    pub fn finish(&mut self) -> Option<SseEvent> {
        let line = std::mem::take(&mut self.line);
        let start = self.offset - line.len() as u64;
        let mut last = None;
        if !line.is_empty() {
            self.end_line(&line, start, |event| last = Some(event));
        }
        if last.is_none() {
            self.end_line(b"", self.offset, |event| last = Some(event));
        }
        last
    }

    /// A line counts whole, finished or not, so that the limit does not depend on the cuts either.
    fn check_limit(&self, line_bytes: usize) -> Result<(), SseError> {
        if line_bytes + self.data.len() > self.limit {
            return Err(SseError::EventTooLarge { limit: self.limit });
        }
        Ok(())
    }

    /// One whole line, without its end.
    fn end_line(&mut self, line: &[u8], line_start: u64, mut each: impl FnMut(SseEvent)) {
        let line =
            if std::mem::take(&mut self.at_start) { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
        if line.is_empty() {
            self.in_event = false;
            if std::mem::take(&mut self.has_data) {
                each(SseEvent { data: std::mem::take(&mut self.data), end: self.offset, start: self.event_start });
            }
            return;
        }
        if !self.in_event {
            self.in_event = true;
            self.event_start = line_start;
        }
        let (field, value) = match line.iter().position(|&byte| byte == b':') {
            Some(colon) => (&line[..colon], line[colon + 1..].strip_prefix(b" ").unwrap_or(&line[colon + 1..])),
            None => (line, &b""[..]),
        };
        // `event`, `id` and `retry` say nothing that an OpenAI stream uses.
        if field == b"data" {
            if self.has_data {
                self.data.push(b'\n');
            }
            self.has_data = true;
            self.data.extend_from_slice(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Writes one event as OpenAI-compatible servers do: `data: …`, then a blank line. A line break inside the data starts
    /// a further `data` line.
    fn encode_data(data: &str, out: &mut Vec<u8>) {
        for line in data.split('\n') {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(line.as_bytes());
            out.push(b'\n');
        }
        out.push(b'\n');
    }

    fn decode(pieces: &[&[u8]]) -> Vec<(String, u64)> {
        let mut decoder = SseDecoder::new(1 << 20);
        let mut events = Vec::new();
        for piece in pieces {
            decoder
                .push(piece, |event| events.push((String::from_utf8_lossy(&event.data).into_owned(), event.end)))
                .unwrap();
        }
        events
    }

    /// The stream decoded whole, and byte by byte, gives these data.
    fn check(stream: &str, data: &[&str]) {
        let whole = decode(&[stream.as_bytes()]);
        assert_eq!(whole.iter().map(|(data, _)| data.as_str()).collect::<Vec<_>>(), data, "{stream:?}");
        let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        assert_eq!(decode(&bytes), whole, "{stream:?} byte by byte");
    }

    #[test]
    fn line_ends_spaces_comments_and_many_lines() {
        check("data: a\n\ndata: b\n\n", &["a", "b"]);
        check("data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]);
        check("data: a\r\rdata: b\r\r", &["a", "b"]);
        check("data:{\"x\":1}\n\n", &["{\"x\":1}"]);
        check("data:  two\n\n", &[" two"]);
        check(": keep-alive\n\ndata: a\n\n:\n\n", &["a"]);
        check("data: a\ndata: b\n\n", &["a\nb"]);
        check("event: x\nid: 7\nretry: 5\ndata: a\n\n", &["a"]);
        check("data\n\n", &[""]);
        check("data:\n\n", &[""]);
        check("\u{feff}data: a\n\n", &["a"]);
        check("\n\n\ndata: a\n\n\n\n", &["a"]);
        check("data: unfinished\n", &[]);
        check("dataset: a\n\n", &[]);
    }

    #[test]
    fn other_unicode_line_separators_are_text() {
        check("data: a\u{2028}b\u{2029}c\u{85}d\u{b}e\u{c}f\n\n", &["a\u{2028}b\u{2029}c\u{85}d\u{b}e\u{c}f"]);
    }

    #[test]
    fn an_event_ends_where_its_blank_line_does() {
        assert_eq!(decode(&[b"data: a\n\ndata: b\n\n"]), [("a".into(), 9), ("b".into(), 18)]);
        // The CR completes the blank line; the LF may be in the next read.
        assert_eq!(decode(&[b"data: a\r\n\r", b"\ndata: b\r\n\r\n"]), [("a".into(), 10), ("b".into(), 21)]);
    }

    #[test]
    fn the_end_of_the_stream_may_lack_its_blank_line() {
        for tail in ["data: [DONE]", "data: [DONE]\n", "data: [DONE]\r\n"] {
            let mut decoder = SseDecoder::new(100);
            decoder.push(tail.as_bytes(), |_| unreachable!("no blank line yet")).unwrap();
            assert!(decoder.finish().unwrap().is_done(), "{tail:?}");
        }
        assert_eq!(SseDecoder::new(100).finish(), None);
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut decoder = SseDecoder::new(100);
        assert!(decoder.push(&[b'a'; 101], |_| {}).is_err());
        let mut decoder = SseDecoder::new(100);
        assert!((0..30).any(|_| decoder.push(b"data: abcd\n", |_| {}).is_err()));
    }

    #[test]
    fn the_limit_does_not_depend_on_the_cuts() {
        let stream = b"data: a\n\ndata: 0123456\n\n";
        for cut in 0..stream.len() {
            let (mut events, mut decoder) = (0, SseDecoder::new(10));
            let mut push = |bytes: &[u8]| decoder.push(bytes, |_| events += 1);
            let failed = push(&stream[..cut]).and_then(|()| push(&stream[cut..])).is_err();
            assert_eq!((events, failed), (1, true), "cut at {cut}");
        }
    }

    #[test]
    fn encoding_is_read_back() {
        let mut out = Vec::new();
        encode_data("a\nb", &mut out);
        assert_eq!(out, b"data: a\ndata: b\n\n");
        assert_eq!(decode(&[&out])[0].0, "a\nb");
    }

    proptest! {
        /// Whatever the bytes and wherever they are cut, the events and their places are the same.
        #[test]
        fn cuts_do_not_matter(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just(&b"data: "[..]), Just(&b"data:"[..]), Just(&b"\n"[..]), Just(&b"\r"[..]), Just(&b"\r\n"[..]),
                    Just(&b"\n\n"[..]), Just(&b"\r\n\r\n"[..]), Just(&b":c"[..]), Just("图".as_bytes()),
                    Just(&b"[DONE]"[..]), Just(&b"event: e"[..]), Just(&b"\xef\xbb\xbf"[..]), Just(&b"x"[..]),
                ],
                0..40,
            ),
            cuts in proptest::collection::vec(0usize..300, 0..20),
        ) {
            let stream: Vec<u8> = parts.concat();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.sort_unstable();
            let mut pieces: Vec<&[u8]> = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&stream[from..cut]);
                from = cut;
            }
            pieces.push(&stream[from..]);
            prop_assert_eq!(decode(&pieces), decode(&[&stream]));
        }

        #[test]
        fn any_text_survives_encoding(text in "[^\r]*") {
            let mut out = Vec::new();
            encode_data(&text, &mut out);
            prop_assert_eq!(&decode(&[&out])[0].0, &text);
        }
    }
}
