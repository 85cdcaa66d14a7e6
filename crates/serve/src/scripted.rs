//! Answers from a script: given tokens at given times, and everything that can go wrong.

use crate::backend::{Arrival, Backend, Output, ReplySink};
use crate::http;
use crate::image_size::image_tokens;
use crate::reply::{Billed, Shape};
use crate::script::{
    Fault, FaultKind, FinishPlace, HttpReply, ImageBilling, RawReply, Reply, Script, StreamReply, UsagePlace, When,
};
use crate::validate::{ApiError, ValidRequest};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Plays a [`Script`].
pub struct ScriptedBackend {
    script: Script,
    /// Digests of the prompts answered so far.
    seen: HashSet<u64>,
    open_gates: HashSet<String>,
    /// Replies that wait at a gate.
    waiting: HashMap<String, Vec<(Vec<Timed>, ReplySink)>>,
}

/// A piece of a reply and its time from the reply's beginning.
struct Timed {
    after_ns: u64,
    output: Output,
}

impl ScriptedBackend {
    /// A backend that plays this script.
    #[must_use]
    pub fn new(script: Script) -> Self {
        Self { script, seen: HashSet::new(), open_gates: HashSet::new(), waiting: HashMap::new() }
    }

    fn text_tokens(&self, text: &str) -> u64 {
        // Without a tokenizer: a known text's own number, else one token for four characters.
        let guess = || (text.chars().count() as u64).div_ceil(4).max(1);
        self.script.text_tokens.get(text).copied().unwrap_or_else(guess)
    }

    /// Prompt tokens as Qwen2-VL's chatml template makes them: 8 around the text of one message, 3 around an image.
    fn prompt_tokens(&self, request: &ValidRequest) -> u64 {
        let each = |url: &String| match self.script.image {
            ImageBilling::BySize | ImageBilling::FirstOnly => image_tokens(url).unwrap_or(0) + 3,
            ImageBilling::Fixed(tokens) => tokens,
            ImageBilling::Ignored => 0,
        };
        let images = match self.script.image {
            ImageBilling::FirstOnly => &request.images[..request.images.len().min(1)],
            _ => &request.images,
        };
        8 + self.text_tokens(&request.text) + images.iter().map(each).sum::<u64>()
    }

    fn reply(&self, request: &ValidRequest, number: u64) -> Reply {
        let fits = |when: &When| {
            when.number.is_none_or(|wanted| wanted == number)
                && when.every.is_none_or(|every| every > 0 && number % every == 0)
                && when.contains.as_ref().is_none_or(|part| request.text.contains(part))
                && when.has_image.is_none_or(|wanted| wanted != request.images.is_empty())
        };
        let rule = self.script.rules.iter().find(|rule| fits(&rule.when));
        rule.map_or_else(|| self.script.reply.clone(), |rule| rule.reply.clone())
    }
}

impl Backend for ScriptedBackend {
    fn models(&self) -> Vec<String> {
        self.script.models.clone()
    }

    fn version(&self) -> String {
        concat!(env!("CARGO_PKG_VERSION"), "-scripted").into()
    }

    fn api_key(&self) -> Option<&str> {
        self.script.api_key.as_deref()
    }

    fn idle_close_ms(&self) -> Option<u64> {
        self.script.idle_close_ms
    }

    fn tokenize(&self, text: &str) -> Option<Vec<u32>> {
        self.script.tokenize.then(|| (0..u32::try_from(self.text_tokens(text)).unwrap_or(u32::MAX)).collect())
    }

    fn submit(&mut self, request: &ValidRequest, arrival: Arrival, sink: ReplySink) -> Result<(), ApiError> {
        if let Some(field) = self.script.refuse_fields.iter().find(|field| request.fields.contains(field)) {
            let message = format!("Extra inputs are not permitted: {field}");
            return Err(ApiError::new(400, "BadRequestError", message, Some(field)));
        }
        if self.script.concurrency_max.is_some_and(|most| arrival.in_flight > most) {
            return Err(ApiError::new(429, "TooManyRequests", "the server is at its limit of requests", None));
        }
        let mut digest = DefaultHasher::new();
        (&request.text, &request.images).hash(&mut digest);
        let again = !self.seen.insert(digest.finish());
        let prompt = self.prompt_tokens(request);
        let (timed, gate) = match self.reply(request, arrival.number) {
            Reply::Http(reply) => (plain(&reply), None),
            Reply::Raw(reply) => (raw(&reply), None),
            Reply::Stream(stream) => {
                let cached = stream.caches.then_some(if again { prompt } else { 0 });
                let billed = Billed { prompt, completion: 0, cached };
                let composed = Composer::new(request, &stream, arrival.number, billed).compose();
                (composed, stream.gate.clone())
            }
        };
        match gate.filter(|gate| !self.open_gates.contains(gate)) {
            Some(gate) => self.waiting.entry(gate).or_default().push((timed, sink)),
            None => play(timed, &sink, arrival.read_ns),
        }
        Ok(())
    }

    fn open_gate(&mut self, name: &str) {
        self.open_gates.insert(name.to_owned());
        for (timed, sink) in self.waiting.remove(name).unwrap_or_default() {
            play(timed, &sink, crate::app::now_ns());
        }
    }
}

fn play(timed: Vec<Timed>, sink: &ReplySink, from_ns: u64) {
    for piece in timed {
        sink.send(from_ns + piece.after_ns, piece.output);
    }
}

fn ns(ms: f64) -> u64 {
    (ms * 1e6).round() as u64
}

fn bytes(bytes: Vec<u8>, tokens: u32) -> Output {
    Output::Bytes { bytes, tokens }
}

fn plain(reply: &HttpReply) -> Vec<Timed> {
    let content_type = if reply.content_type.is_empty() { "application/json" } else { &reply.content_type };
    let out = http::whole(reply.status, content_type, &reply.headers, reply.body.as_bytes(), true);
    let after_ns = ns(reply.delay_ms);
    vec![Timed { after_ns, output: bytes(out, 0) }, Timed { after_ns, output: Output::End }]
}

fn raw(reply: &RawReply) -> Vec<Timed> {
    let size = reply.write_bytes.unwrap_or(reply.bytes.len()).max(1);
    let writes = reply.bytes.chunks(size).enumerate();
    let mut timed: Vec<Timed> = writes
        .map(|(i, part)| Timed { after_ns: ns(reply.interval_ms) * i as u64, output: bytes(part.to_vec(), 0) })
        .collect();
    let after_ns = timed.last().map_or(0, |piece| piece.after_ns);
    timed.push(Timed { after_ns, output: Output::Close });
    timed
}

/// Puts one streamed (or whole) reply together.
struct Composer<'a> {
    request: &'a ValidRequest,
    stream: &'a StreamReply,
    shape: Shape<'a>,
    billed: Billed,
    /// Which answer this is: the image decides, where the script sees images.
    variant: u64,
    length: u64,
    stopped_by_length: bool,
    out: Vec<Timed>,
}

impl<'a> Composer<'a> {
    fn new(request: &'a ValidRequest, stream: &'a StreamReply, number: u64, billed: Billed) -> Self {
        let mut digest = DefaultHasher::new();
        request.images.hash(&mut digest);
        let variant = if stream.sees_image && !request.images.is_empty() { digest.finish() } else { 0 };
        let limit = request.max_tokens.filter(|_| !stream.own_length);
        let length = match limit {
            Some(limit) if request.ignore_eos => limit,
            Some(limit) => stream.tokens.min(limit),
            None => stream.tokens,
        };
        Self {
            request,
            stream,
            shape: Shape {
                id: format!("chatcmpl-{number:016x}"),
                model: &request.model,
                created: crate::app::unix_s(),
                stream,
            },
            billed,
            variant,
            stopped_by_length: limit.is_some_and(|limit| length >= limit),
            length,
            out: Vec::new(),
        }
    }

    fn compose(mut self) -> Vec<Timed> {
        if !self.request.stream {
            return self.whole();
        }
        self.push(0, http::stream_head(true), 0);
        let first_ns = ns(self.stream.prefill_ms);
        let mut pending: Vec<u8> = Vec::new();
        if self.stream.role {
            let event =
                self.shape.choice(json!({"role": "assistant", "content": ""}), None, Value::Null, self.running(0));
            match self.stream.role_ms {
                Some(ms) => self.push(ns(ms), http::chunk(&event), 0),
                None => pending.extend(http::chunk(&event)),
            }
        }
        if self.stream.null_first {
            pending.extend(http::chunk(&self.shape.choice(json!({"content": null}), None, Value::Null, None)));
        }
        let last_ns = match self.tokens(first_ns, pending) {
            Some(last_ns) => last_ns,
            // A fault has ended the reply.
            None => return self.out,
        };
        self.tail(last_ns);
        self.out
    }

    /// Every token at its time; the time of the last. `None` when a fault ended the reply.
    fn tokens(&mut self, first_ns: u64, mut pending: Vec<u8>) -> Option<u64> {
        let mut done = 0u64;
        let mut write = 0u64;
        let (mut events, mut last_ns) = (0u32, first_ns);
        while done < self.length {
            if self.fault_at(done) && self.fault(last_ns, &mut pending) {
                return None;
            }
            let count = self.stream.tokens_per_event.min(self.length - done);
            let event = self.token_event(done, count);
            done += count;
            pending.extend(http::chunk(&event));
            events += 1;
            if u64::from(events) == self.stream.events_per_write || done == self.length {
                last_ns = first_ns + ns(self.stream.interval_ms * write as f64);
                self.push(last_ns, std::mem::take(&mut pending), events);
                events = 0;
                write += 1;
            }
        }
        if !pending.is_empty() {
            self.push(last_ns, pending, 0);
            pending = Vec::new();
        }
        if self.fault_at(done) && self.fault(last_ns, &mut pending) {
            return None;
        }
        Some(last_ns)
    }

    fn token_event(&self, from: u64, count: u64) -> Vec<u8> {
        let stream = self.stream;
        let piece = |i: u64| stream.text[((i + self.variant) % stream.text.len() as u64) as usize].as_str();
        let is_empty = |i: u64| stream.empty_every.is_some_and(|every| every > 0 && (i + 1) % every == 0);
        let text: String = (from..from + count).filter(|i| !is_empty(*i)).map(piece).collect();
        let field = if from < stream.reasoning { stream.reasoning_field.as_str() } else { "content" };
        let mut delta = if stream.role_everywhere { json!({"role": "assistant"}) } else { json!({}) };
        delta[field] = json!(text);
        let is_last = from + count == self.length;
        let finish = (is_last && stream.finish == FinishPlace::LastContent).then(|| self.finish_reason());
        let on_last = is_last && stream.usage == UsagePlace::LastContent;
        let usage = if on_last { Some(self.at(from + count)) } else { self.running(from + count) };
        self.shape.choice(delta, finish, self.logprobs(), usage)
    }

    fn finish_reason(&self) -> &'static str {
        if self.stopped_by_length { "length" } else { "stop" }
    }

    fn logprobs(&self) -> Value {
        if !self.request.logprobs {
            return Value::Null;
        }
        let logprob =
            if self.stream.bad_logprobs { Value::Null } else { json!(-1.0 - (self.variant % 1000) as f64 / 1e3) };
        json!({"content": [{"token": "x", "logprob": logprob, "bytes": [120], "top_logprobs": []}]})
    }

    fn at(&self, completion: u64) -> Billed {
        Billed { completion, ..self.billed }
    }

    /// Usage on every event, where the script or the request wants it there.
    fn running(&self, completion: u64) -> Option<Billed> {
        let asked = self.stream.usage == UsagePlace::AsAsked && self.request.continuous_usage;
        (self.stream.usage == UsagePlace::EveryEvent || asked).then(|| self.at(completion))
    }

    /// Everything after the last token.
    fn tail(&mut self, last_ns: u64) {
        let mut end = Vec::new();
        for _ in 0..self.stream.extra_empty {
            end.extend(http::chunk(&self.shape.choice(json!({"content": ""}), None, Value::Null, None)));
        }
        if self.stream.finish == FinishPlace::OwnEvent {
            let reason = self.finish_reason();
            end.extend(http::chunk(&self.shape.choice(json!({}), Some(reason), Value::Null, None)));
        }
        if self.stream.usage == UsagePlace::AsAsked && self.request.include_usage {
            end.extend(http::chunk(&self.shape.no_choice(Some(self.at(self.length)))));
        }
        if self.stream.done {
            end.extend(http::chunk(&self.shape.line("[DONE]")));
        }
        end.extend_from_slice(http::LAST_CHUNK);
        self.push(last_ns, end, 0);
        self.out.push(Timed { after_ns: last_ns, output: Output::End });
    }

    fn fault_at(&self, done: u64) -> bool {
        self.stream.fault.as_ref().is_some_and(|fault| {
            // Events of several tokens may step over the exact number.
            (done..done + self.stream.tokens_per_event).contains(&fault.after_tokens)
        })
    }

    /// Plays the fault; whether it ends the reply.
    fn fault(&mut self, at_ns: u64, pending: &mut Vec<u8>) -> bool {
        let Some(Fault { kind, .. }) = self.stream.fault.clone() else { return false };
        self.push(at_ns, std::mem::take(pending), 0);
        let goes_on = matches!(kind, FaultKind::Garbage | FaultKind::EmptyChoices);
        match kind {
            FaultKind::Garbage => pending.extend(http::chunk(&self.shape.line("{\"choices\":[{\"delta\""))),
            FaultKind::EmptyChoices => pending.extend(http::chunk(&self.shape.no_choice(None))),
            FaultKind::Stall => {}
            FaultKind::Close => self.out.push(Timed { after_ns: at_ns, output: Output::Close }),
            FaultKind::Reset => self.out.push(Timed { after_ns: at_ns, output: Output::Reset }),
            FaultKind::End => {
                self.push(at_ns, http::LAST_CHUNK.to_vec(), 0);
                self.out.push(Timed { after_ns: at_ns, output: Output::End });
            }
            FaultKind::Error(message) => {
                let error =
                    json!({"error": {"message": message, "type": "InternalServerError", "param": null, "code": 500}});
                let mut end = http::chunk(&self.shape.event(&error));
                end.extend(http::chunk(&self.shape.line("[DONE]")));
                end.extend_from_slice(http::LAST_CHUNK);
                self.push(at_ns, end, 0);
                self.out.push(Timed { after_ns: at_ns, output: Output::End });
            }
        }
        !goes_on
    }

    /// One write, or many small ones.
    fn push(&mut self, after_ns: u64, data: Vec<u8>, tokens: u32) {
        if data.is_empty() {
            return;
        }
        let size = self.stream.write_bytes.unwrap_or(data.len());
        let writes = data.len().div_ceil(size);
        for (i, part) in data.chunks(size).enumerate() {
            // The tokens are there with the last byte.
            let tokens = if i + 1 == writes { tokens } else { 0 };
            self.out.push(Timed { after_ns, output: bytes(part.to_vec(), tokens) });
        }
    }

    /// The reply that is not streamed.
    fn whole(self) -> Vec<Timed> {
        let text: String = (0..self.length)
            .map(|i| self.stream.text[((i + self.variant) % self.stream.text.len() as u64) as usize].as_str())
            .collect();
        let body = json!({
            "id": self.shape.id,
            "object": "chat.completion",
            "created": self.shape.created,
            "model": self.shape.model,
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "logprobs": self.logprobs(),
                "finish_reason": self.finish_reason(),
            }],
            "usage": self.at(self.length).json(),
        });
        let after_ns = ns(self.stream.prefill_ms + self.stream.interval_ms * self.length.saturating_sub(1) as f64);
        let out = http::whole(200, "application/json", &[], body.to_string().as_bytes(), true);
        vec![Timed { after_ns, output: bytes(out, 0) }, Timed { after_ns, output: Output::End }]
    }
}
