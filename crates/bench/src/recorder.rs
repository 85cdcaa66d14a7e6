//! Tapes → records: decodes the events, says what each was, and judges how the request ended. Off the timing path.

use crate::driver::Ended;
use crate::image::sha256_hex;
use crate::net::{Ending, Segment, Tape};
use crate::workload::Item;
use measure::{Degenerate, EventKind, EventStamp, Outcome, Phase, RequestRecord, TokenUsage};
use std::collections::HashMap;
use wire::{ChatChunk, Parsed, SseDecoder, SseEvent, Usage, error_words};

/// One event may be this large; a larger one ends the reading of its stream.
const EVENT_BYTES_MAX: usize = 8 << 20;
/// So much of a reply that is no event stream is kept for the server's words.
const PLAIN_BYTES_MAX: usize = 64 * 1024;
/// So many log probabilities go into a record: those of the image proof's answers.
const LOGPROBS_MAX: usize = 24;
/// So much of a degenerate answer is shown.
const HEAD_CHARS: usize = 40;

/// Turns the driver's events into records.
pub struct Recorder {
    open: HashMap<u64, Reading>,
    origin_ns: u64,
    /// Keep every answer, not only those that are printed or needed.
    keep_text: bool,
}

impl Recorder {
    /// A recorder whose times count from `origin_ns`.
    #[must_use]
    pub fn new(origin_ns: u64, keep_text: bool) -> Self {
        Self { open: HashMap::new(), origin_ns, keep_text }
    }

    /// A full piece of a reply that goes on.
    pub fn segment(&mut self, index: u64, segment: &Segment) {
        self.open.entry(index).or_default().read(segment);
    }

    /// A request has ended: its record.
    pub fn ended(&mut self, ended: Ended, items: &[Item]) -> RequestRecord {
        let planned = ended.planned;
        let from_origin = |ns: u64| ns.saturating_sub(self.origin_ns);
        let mut record = RequestRecord::planned(planned.index, planned.phase);
        record.round = planned.round;
        record.intended_ns = from_origin(planned.intended_ns);
        record.admitted_ns = planned.admitted_ns.map(from_origin);
        record.connection = ended.connection;
        if let Some(item) = items.get(planned.item) {
            record.prompt = item.prompt;
            record.images.clone_from(&item.images);
            record.max_tokens = item.output_len;
            record.body_bytes = item.body.len();
        }
        let mut reading = self.open.remove(&planned.index).unwrap_or_default();
        match ended.end {
            Err(outcome) => record.outcome = outcome,
            Ok(tape) => {
                reading.read(&tape.rest);
                reading.finish();
                record.sent_ns = tape.sent_ns.map(from_origin);
                record.body_sent_ns = tape.body_sent_ns.map(from_origin);
                record.write_ns_max = tape.write_ns_max;
                record.headers_ns = tape.headers_ns.map(from_origin);
                record.ended_ns = Some(from_origin(tape.ended_ns));
                record.status = tape.status;
                record.outcome = outcome(&tape, &reading, record.max_tokens);
                self.take_reading(&mut record, reading);
            }
        }
        record
    }

    fn take_reading(&self, record: &mut RequestRecord, reading: Reading) {
        record.degenerate = degenerate(&reading);
        record.events = reading.events;
        for event in &mut record.events {
            event.user_ns = event.user_ns.saturating_sub(self.origin_ns);
            event.kernel_ns = event.kernel_ns.map(|ns| ns.saturating_sub(self.origin_ns));
        }
        record.server_id = reading.server_id;
        record.usage = reading.usage.map(|usage| TokenUsage {
            prompt: usage.prompt_tokens,
            completion: usage.completion_tokens,
            cached: usage.cached_tokens,
            reasoning: usage.reasoning_tokens,
        });
        record.finish_reason = reading.finish_reason;
        record.logprobs = reading.logprobs;
        let whole = [reading.reasoning.as_str(), reading.text.as_str()].concat();
        // Answers without a word are not equal answers: nothing is known of them.
        record.text_sha256 = (!whole.is_empty()).then(|| sha256_hex(whole.as_bytes()));
        let unbilled = record.usage.and_then(|usage| usage.completion).is_none();
        let printed = matches!(record.phase, Phase::Accuracy | Phase::Proof);
        if !record.events.is_empty() && (self.keep_text || printed || unbilled) {
            record.text = Some(reading.text);
            record.reasoning = (!reading.reasoning.is_empty()).then_some(reading.reasoning);
        }
    }
}

/// One reply as far as it has been read.
struct Reading {
    decoder: SseDecoder,
    /// Bytes before the current segment.
    base: u64,
    last: (u64, Option<u64>),
    events: Vec<EventStamp>,
    text: String,
    reasoning: String,
    usage: Option<Usage>,
    finish_reason: Option<String>,
    server_id: Option<String>,
    /// Of the answer's first tokens, up to one that is no number.
    logprobs: Vec<f64>,
    bad_logprob: bool,
    error: Option<String>,
    done: bool,
    token_seen: bool,
    /// Tokens billed so far, while every token event has said so.
    billed_so_far: Option<u64>,
    too_large: Option<String>,
    /// The beginning, in case this is no event stream.
    plain: Vec<u8>,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            decoder: SseDecoder::new(EVENT_BYTES_MAX),
            base: 0,
            last: (0, None),
            events: Vec::new(),
            text: String::new(),
            reasoning: String::new(),
            usage: None,
            finish_reason: None,
            server_id: None,
            logprobs: Vec::new(),
            bad_logprob: false,
            error: None,
            done: false,
            token_seen: false,
            billed_so_far: Some(0),
            too_large: None,
            plain: Vec::new(),
        }
    }
}

impl Reading {
    fn read(&mut self, segment: &Segment) {
        let room = PLAIN_BYTES_MAX.saturating_sub(self.plain.len()).min(segment.bytes.len());
        self.plain.extend_from_slice(&segment.bytes[..room]);
        let mut events: Vec<SseEvent> = Vec::new();
        if self.too_large.is_none()
            && let Err(error) = self.decoder.push(&segment.bytes, |event| events.push(event))
        {
            self.too_large = Some(error.to_string());
        }
        let mut marks = segment.marks.iter().peekable();
        for event in events {
            // The read that brought the event's last byte.
            while let Some(mark) = marks.peek() {
                self.last = (mark.user_ns(), mark.kernel_ns());
                if self.base + mark.end() as u64 >= event.end {
                    break;
                }
                marks.next();
            }
            self.event(&event, self.last);
        }
        if let Some(mark) = segment.marks.last() {
            self.last = (mark.user_ns(), mark.kernel_ns());
        }
        self.base += segment.bytes.len() as u64;
    }

    /// The stream is over. A last event without its blank line counts: several servers end so.
    fn finish(&mut self) {
        if let Some(event) = self.decoder.finish() {
            self.event(&event, self.last);
        }
    }

    fn event(&mut self, event: &SseEvent, (user_ns, kernel_ns): (u64, Option<u64>)) {
        let (kind, tokens) = if event.is_done() {
            self.done = true;
            (EventKind::Done, None)
        } else if self.done {
            (EventKind::Other, None)
        } else {
            match ChatChunk::parse(&event.data) {
                Parsed::Chunk(chunk) => self.chunk(chunk, &event.data),
                Parsed::Malformed(_) => (EventKind::Other, None),
            }
        };
        let bytes = u32::try_from(event.end - event.start).unwrap_or(u32::MAX);
        self.events.push(EventStamp { kind, user_ns, kernel_ns, bytes, tokens });
    }

    fn chunk(&mut self, chunk: ChatChunk, data: &[u8]) -> (EventKind, Option<u32>) {
        let kind = kind(&chunk, self.token_seen);
        if chunk.error.is_some() && self.error.is_none() {
            self.error = Some(error_words(data).message);
        }
        if self.server_id.is_none() {
            self.server_id = chunk.id;
        }
        let is_token = matches!(kind, EventKind::Text | EventKind::Empty | EventKind::Reasoning | EventKind::ToolCall);
        let ids = chunk.choices.iter().filter_map(|choice| choice.token_ids).reduce(|a, b| a + b);
        let tokens = is_token.then(|| self.tokens_of(ids, chunk.usage)).flatten();
        self.token_seen |= is_token;
        if let Some(usage) = chunk.usage {
            self.usage = Some(self.usage.map_or(usage, |known| merged(known, usage)));
        }
        for choice in chunk.choices {
            self.text.push_str(choice.delta.content.as_deref().unwrap_or_default());
            self.reasoning.push_str(choice.delta.reasoning.as_deref().unwrap_or_default());
            if choice.finish_reason.is_some() {
                self.finish_reason = choice.finish_reason;
            }
            for logprob in choice.logprobs {
                self.bad_logprob |= logprob.is_none();
                if !self.bad_logprob && self.logprobs.len() < LOGPROBS_MAX {
                    self.logprobs.extend(logprob);
                }
            }
        }
        (kind, tokens)
    }

    /// How many tokens an event brought: by its ids, or by how much the usage on every event has grown.
    fn tokens_of(&mut self, ids: Option<u64>, usage: Option<Usage>) -> Option<u32> {
        let billed = usage.and_then(|usage| usage.completion_tokens);
        let grown = billed.zip(self.billed_so_far).map(|(now, before)| now.saturating_sub(before));
        self.billed_so_far = billed.filter(|_| self.billed_so_far.is_some());
        ids.or(grown).and_then(|tokens| u32::try_from(tokens).ok())
    }
}

/// A later usage object of the same reply over an earlier one: what it does not say stays known.
fn merged(known: Usage, later: Usage) -> Usage {
    Usage {
        prompt_tokens: later.prompt_tokens.or(known.prompt_tokens),
        completion_tokens: later.completion_tokens.or(known.completion_tokens),
        total_tokens: later.total_tokens.or(known.total_tokens),
        cached_tokens: later.cached_tokens.or(known.cached_tokens),
        reasoning_tokens: later.reasoning_tokens.or(known.reasoning_tokens),
    }
}

/// What an event is.
fn kind(chunk: &ChatChunk, token_seen: bool) -> EventKind {
    if chunk.error.is_some() {
        return EventKind::Error;
    }
    if chunk.choices.is_empty() {
        return if chunk.usage.is_some() { EventKind::Usage } else { EventKind::Other };
    }
    let any = |test: fn(&wire::ChunkChoice) -> bool| chunk.choices.iter().any(test);
    if any(|choice| choice.delta.tool_call) {
        EventKind::ToolCall
    } else if any(|choice| choice.delta.content.as_ref().is_some_and(|text| !text.is_empty())) {
        EventKind::Text
    } else if any(|choice| choice.delta.reasoning.as_ref().is_some_and(|text| !text.is_empty())) {
        EventKind::Reasoning
    } else if any(|choice| choice.delta.role.is_some()) && !token_seen {
        EventKind::Role
    } else if any(|choice| choice.delta.content.is_some() || choice.delta.reasoning.is_some()) {
        EventKind::Empty
    } else if any(|choice| choice.finish_reason.is_some()) {
        EventKind::Finish
    } else {
        EventKind::Nothing
    }
}

/// How a request ended, the first that applies.
fn outcome(tape: &Tape, reading: &Reading, max_tokens: u64) -> Outcome {
    match &tape.ending {
        Ending::Cancelled => return Outcome::Cancelled,
        Ending::TimedOut(limit) => return Outcome::TimedOut { limit: *limit },
        Ending::Lost(why) => return Outcome::ConnectFailed { message: why.clone() },
        Ending::Whole | Ending::Broken(_) => {}
    }
    let status = tape.status.unwrap_or(0);
    if !(200..300).contains(&status) {
        let words = error_words(&reading.plain).message;
        let again = tape.retry_after.as_ref().map(|after| format!(" (retry-after: {after})")).unwrap_or_default();
        return Outcome::ServerError { message: format!("HTTP {status}: {words}{again}") };
    }
    if let Some(words) = &reading.error {
        return Outcome::ServerError { message: words.clone() };
    }
    if reading.events.is_empty() && !reading.plain.trim_ascii().is_empty() {
        return Outcome::ServerError { message: not_a_stream(&reading.plain) };
    }
    let truncated = |reason: String| Outcome::Truncated { reason };
    if let Ending::Broken(why) = &tape.ending {
        return truncated(format!("the connection broke: {why}"));
    }
    if let Some(why) = &reading.too_large {
        return truncated(why.clone());
    }
    if !reading.token_seen && max_tokens > 0 {
        return truncated("the stream ended without a token".into());
    }
    if reading.finish_reason.is_none() {
        return truncated("the stream ended without a finish reason".into());
    }
    if !reading.done {
        return truncated("the stream ended without its end marker".into());
    }
    Outcome::Complete
}

/// A reply with status 200 that is no event stream.
fn not_a_stream(body: &[u8]) -> String {
    match ChatChunk::parse(body) {
        Parsed::Chunk(chunk) if chunk.error.is_none() && !chunk.choices.is_empty() => {
            "the server answered without streaming: does it honour \"stream\": true?".into()
        }
        _ => error_words(body).message,
    }
}

/// One short piece of text over and over, or log probabilities that are no numbers.
fn degenerate(reading: &Reading) -> Option<Degenerate> {
    let text = if reading.text.is_empty() { &reading.reasoning } else { &reading.text };
    let head: String = text.chars().take(HEAD_CHARS).collect();
    if reading.bad_logprob {
        return Some(Degenerate::BadLogprobs(head));
    }
    repeats(text).then_some(Degenerate::Repeats(head))
}

/// Whether a text of at least 24 characters is one piece of at most 8 characters repeated, its end included. White
/// space around it does not count.
fn repeats(text: &str) -> bool {
    const LEAST_CHARS: usize = 24;
    const PERIOD_MAX: usize = 8;
    let chars: Vec<char> = text.trim().chars().collect();
    chars.len() >= LEAST_CHARS && (1..=PERIOD_MAX).any(|period| chars.iter().zip(&chars[period..]).all(|(a, b)| a == b))
}

#[cfg(test)]
mod tests;
