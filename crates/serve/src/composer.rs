//! One streamed (or whole) reply of a script, piece by piece, each made only when the one before has been written.

use crate::backend::Output;
use crate::http::{self, Whole};
use crate::reply::Shape;
use crate::script::{FaultKind, FinishPlace, StreamReply, UsagePlace};
use crate::shapes::{
    ChatLogprob, ChatLogprobs, ChatPrompt, Counts, Delta, Message, Usage, WholeChatChoice, WholeReply, to_json,
};
use crate::validate::{ApiError, ValidRequest};
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Milliseconds in nanoseconds; what does not fit is the largest number.
pub(crate) fn ns(ms: f64) -> u64 {
    (ms * 1e6).round() as u64
}

/// Puts a reply together.
pub(crate) struct Composer {
    stream: StreamReply,
    shape: Shape,
    billed: Counts,
    logprobs: bool,
    streamed: bool,
    include_usage: bool,
    continuous_usage: bool,
    /// A digest of the images, where the script sees them.
    image: Option<u64>,
    length: u64,
    stopped_by_length: bool,
    /// Tokens and writes so far, and the time of the last write.
    done: u64,
    writes: u64,
    last_ns: u64,
    fault_played: bool,
    ended: bool,
    ready: VecDeque<(u64, Output)>,
}

impl Composer {
    /// A reply to this request. `billed` holds what the prompt costs.
    pub(crate) fn new(request: &ValidRequest, stream: StreamReply, number: u64, billed: Counts) -> Self {
        let mut digest = DefaultHasher::new();
        request.images.hash(&mut digest);
        let limit = request.max_tokens.filter(|_| !stream.own_length);
        let length = match limit {
            Some(limit) if request.ignore_eos => limit,
            Some(limit) => stream.tokens.min(limit),
            None => stream.tokens,
        };
        Self {
            shape: Shape {
                id: format!("chatcmpl-{number:016x}"),
                model: request.model.clone(),
                created: stamp::unix_ns() / 1_000_000_000,
                frame: stream.clone(),
            },
            billed,
            logprobs: request.logprobs,
            streamed: request.stream,
            include_usage: request.include_usage,
            continuous_usage: request.continuous_usage,
            image: (stream.sees_image && !request.images.is_empty()).then(|| digest.finish()),
            stopped_by_length: limit.is_some_and(|limit| length >= limit),
            length,
            done: 0,
            writes: 0,
            last_ns: ns(stream.prefill_ms),
            fault_played: false,
            ended: false,
            ready: VecDeque::new(),
            stream,
        }
    }

    /// Its pieces.
    pub(crate) fn compose(mut self) -> Box<dyn Iterator<Item = (u64, Output)> + Send> {
        if !self.streamed {
            return Box::new(self.whole().into_iter());
        }
        self.head();
        Box::new(self)
    }

    fn head(&mut self) {
        self.push(0, http::stream_head(false), 0);
        if let Some(ms) = self.stream.role_ms.filter(|_| self.stream.role) {
            let event = self.shape.role(self.running(0));
            self.push(ns(ms), http::chunk(&event), 0);
        }
    }

    /// The next write of tokens; after the last one, the tail.
    fn advance(&mut self) {
        let mut bytes = Vec::new();
        if self.writes == 0 {
            if self.stream.role && self.stream.role_ms.is_none() {
                bytes.extend(http::chunk(&self.shape.role(self.running(0))));
            }
            if self.stream.null_first {
                bytes.extend(http::chunk(&self.shape.choice(
                    Delta { role: None, text: Some(("content", None)) },
                    None,
                    None,
                    None,
                )));
            }
        }
        let due_ns = ns(self.stream.prefill_ms + self.stream.interval_ms * self.writes as f64);
        let mut events = 0;
        while self.done < self.length && u64::from(events) < self.stream.events_per_write {
            if self.fault_is_due() {
                if !bytes.is_empty() {
                    self.push(self.last_ns, std::mem::take(&mut bytes), events);
                    events = 0;
                }
                self.fault();
                if self.ended {
                    return;
                }
            }
            let count = self.stream.tokens_per_event.min(self.length - self.done);
            bytes.extend(http::chunk(&self.token_event(self.done, count)));
            self.done += count;
            events += 1;
        }
        if !bytes.is_empty() {
            self.last_ns = due_ns;
            self.writes += 1;
            self.push(due_ns, bytes, events);
        }
        if self.done >= self.length {
            if self.fault_is_due() {
                self.fault();
            }
            if !self.ended {
                self.tail();
            }
        }
    }

    fn token_event(&self, from: u64, count: u64) -> Vec<u8> {
        let stream = &self.stream;
        let is_empty = |i: u64| stream.empty_every.is_some_and(|every| every > 0 && (i + 1).is_multiple_of(every));
        let text: String = (from..from + count).filter(|i| !is_empty(*i)).map(|i| self.piece(i)).collect();
        let field = if from < stream.reasoning { stream.reasoning_field.as_str() } else { "content" };
        let delta = Delta { role: stream.role_everywhere.then_some("assistant"), text: Some((field, Some(&text))) };
        let is_last = from + count == self.length;
        let finish = (is_last && stream.finish == FinishPlace::LastContent).then(|| self.finish_reason());
        let on_last = is_last && stream.usage == UsagePlace::LastContent;
        let usage = if on_last { Some(self.at(from + count).plain()) } else { self.running(from + count) };
        self.shape.choice(delta, finish, self.logprobs().as_ref(), usage)
    }

    /// The text of token `i`. The first one names the image, so that another image gives another answer.
    fn piece(&self, i: u64) -> String {
        match self.image {
            Some(image) if i == 0 => format!("#{:06x} ", image & 0xff_ffff),
            _ => self.stream.text[(i % self.stream.text.len() as u64) as usize].clone(),
        }
    }

    fn finish_reason(&self) -> &'static str {
        if self.stopped_by_length { "length" } else { "stop" }
    }

    fn logprobs(&self) -> Option<ChatLogprobs> {
        if !self.logprobs {
            return None;
        }
        let seen = (self.image.unwrap_or(0) % 100_000) as f64 / 1e5;
        // What is no number is null in JSON.
        let logprob = if self.stream.bad_logprobs { f64::NAN } else { -1.0 - seen };
        let token = ChatLogprob { token: "x".into(), logprob, bytes: b"x".to_vec(), top_logprobs: Vec::new() };
        Some(ChatLogprobs { content: vec![token] })
    }

    fn at(&self, completion: u64) -> Counts {
        Counts { completion, ..self.billed }
    }

    /// Usage on every event, where the script or the request wants it there.
    fn running(&self, completion: u64) -> Option<Usage> {
        let asked = self.stream.usage == UsagePlace::AsAsked && self.continuous_usage;
        (self.stream.usage == UsagePlace::EveryEvent || asked).then(|| self.at(completion).running())
    }

    /// Everything after the last token.
    fn tail(&mut self) {
        let mut end = Vec::new();
        for _ in 0..self.stream.extra_empty {
            end.extend(http::chunk(&self.shape.choice(Delta::content(""), None, None, None)));
        }
        if self.stream.finish == FinishPlace::OwnEvent {
            let reason = self.finish_reason();
            end.extend(http::chunk(&self.shape.choice(Delta::default(), Some(reason), None, None)));
        }
        if self.stream.usage == UsagePlace::AsAsked && self.include_usage {
            end.extend(http::chunk(&self.shape.no_choice(Some(self.at(self.length).plain()))));
        }
        if self.stream.done {
            end.extend(http::chunk(&self.shape.line("[DONE]")));
        }
        end.extend_from_slice(http::LAST_CHUNK);
        self.push(self.last_ns, end, 0);
        self.end_with(Output::End);
    }

    fn end_with(&mut self, output: Output) {
        self.ready.push_back((self.last_ns, output));
        self.ended = true;
    }

    fn fault_is_due(&self) -> bool {
        !self.fault_played && self.stream.fault.as_ref().is_some_and(|fault| fault.after_tokens <= self.done)
    }

    fn fault(&mut self) {
        self.fault_played = true;
        let Some(kind) = self.stream.fault.as_ref().map(|fault| fault.kind.clone()) else { return };
        match kind {
            FaultKind::Garbage => {
                let event = self.shape.line("{\"choices\":[{\"delta\"");
                self.push(self.last_ns, http::chunk(&event), 0);
            }
            FaultKind::EmptyChoices => {
                let event = self.shape.no_choice(None);
                self.push(self.last_ns, http::chunk(&event), 0);
            }
            FaultKind::Stall => self.ended = true,
            FaultKind::Close => self.end_with(Output::Close),
            FaultKind::Reset => self.end_with(Output::Reset),
            FaultKind::End => {
                self.push(self.last_ns, http::LAST_CHUNK.to_vec(), 0);
                self.end_with(Output::End);
            }
            FaultKind::Error(message) => {
                let error = ApiError::new(500, "InternalServerError", message, None).body;
                let mut end = http::chunk(&self.shape.event(&error));
                end.extend(http::chunk(&self.shape.line("[DONE]")));
                end.extend_from_slice(http::LAST_CHUNK);
                self.push(self.last_ns, end, 0);
                self.end_with(Output::End);
            }
        }
    }

    /// One write, or many small ones. The tokens are there with the last byte.
    fn push(&mut self, after_ns: u64, data: Vec<u8>, tokens: u32) {
        let size = self.stream.write_bytes.unwrap_or(data.len()).max(1);
        let writes = data.len().div_ceil(size);
        for (i, part) in data.chunks(size).enumerate() {
            let tokens = if i + 1 == writes { tokens } else { 0 };
            self.ready.push_back((after_ns, Output::Bytes { bytes: part.to_vec(), tokens }));
        }
    }

    /// The reply that is not streamed.
    fn whole(&self) -> Vec<(u64, Output)> {
        let text: String = (0..self.length).map(|i| self.piece(i)).collect();
        let body = to_json(&WholeReply {
            id: &self.shape.id,
            object: "chat.completion",
            created: self.shape.created,
            model: &self.shape.model,
            choices: [WholeChatChoice {
                index: 0,
                message: Message::of(&text),
                logprobs: self.logprobs().as_ref(),
                finish_reason: self.finish_reason(),
                ..WholeChatChoice::default()
            }],
            system_fingerprint: concat!("vlm-server-", env!("CARGO_PKG_VERSION"), "-scripted"),
            usage: self.at(self.length).whole(),
            prompt: ChatPrompt::default(),
            ..WholeReply::default()
        });
        let after_ns = ns(self.stream.prefill_ms + self.stream.interval_ms * self.length.saturating_sub(1) as f64);
        let whole = Whole { status: 200, content_type: "application/json", body: body.as_bytes(), ..Whole::default() };
        let bytes = whole.bytes();
        vec![(after_ns, Output::Bytes { bytes, tokens: 0 }), (after_ns, Output::End)]
    }
}

impl Iterator for Composer {
    type Item = (u64, Output);

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty() && !self.ended {
            self.advance();
        }
        self.ready.pop_front()
    }
}
