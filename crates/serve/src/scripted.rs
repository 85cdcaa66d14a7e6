//! Answers from a script: given tokens at given times, and everything that can go wrong.

use crate::backend::{Arrival, Backend, Output, ReplySink};
use crate::composer::{Composer, ns};
use crate::http::Whole;
use crate::image_size::image_tokens;
use crate::script::{HttpReply, ImageBilling, RawReply, Reply, Script, When};
use crate::shapes::Counts;
use crate::validate::{ApiError, ValidRequest};
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Plays a [`Script`].
pub struct ScriptedBackend {
    script: Script,
    /// Digests of the prompts answered so far, where a reply bills repeated ones as cached.
    seen: HashSet<u64>,
    open_gates: HashSet<String>,
    /// Replies that wait at a gate.
    waiting: HashMap<String, Vec<(Timed, ReplySink)>>,
}

/// The pieces of a reply, each with its time from the reply's beginning.
type Timed = Box<dyn Iterator<Item = (u64, Output)> + Send>;

impl ScriptedBackend {
    /// A backend that plays this script.
    #[must_use]
    pub fn new(script: Script) -> Self {
        Self { script, seen: HashSet::new(), open_gates: HashSet::new(), waiting: HashMap::new() }
    }

    fn text_tokens(&self, text: &str) -> u64 {
        // Without a tokenizer: a known text's own number, else a token for four letters, and three for five characters
        // of other scripts.
        let (letters, others) =
            text.chars().fold((0, 0), |(a, b), c| if c.is_ascii() { (a + 1, b) } else { (a, b + 1) });
        let guess = || (u64::div_ceil(letters, 4) + u64::div_ceil(others * 3, 5)).max(1);
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
                && when.every.is_none_or(|every| every > 0 && number.is_multiple_of(every))
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

    fn profiles(&self) -> bool {
        true
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
            return Err(ApiError::busy("the server is at its limit of requests"));
        }
        let again = self.script.caches() && {
            let mut digest = DefaultHasher::new();
            (&request.text, &request.images).hash(&mut digest);
            !self.seen.insert(digest.finish())
        };
        let prompt = self.prompt_tokens(request);
        let (timed, gate) = match self.reply(request, arrival.number) {
            Reply::Http(reply) => (plain(&reply), None),
            Reply::Raw(reply) => (raw(&reply), None),
            Reply::Stream(stream) => {
                let cached = stream.caches.then_some(if again { prompt } else { 0 });
                let billed = Counts { prompt, completion: 0, cached };
                let gate = stream.gate.clone();
                (Composer::new(request, *stream, arrival.number, billed).compose(), gate)
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
            play(timed, &sink, stamp::now_ns());
        }
    }
}

fn play(timed: Timed, sink: &ReplySink, from_ns: u64) {
    sink.play(Box::new(timed.map(move |(after_ns, output)| (from_ns.saturating_add(after_ns), output))));
}

fn plain(reply: &HttpReply) -> Timed {
    let content_type = if reply.content_type.is_empty() { "application/json" } else { &reply.content_type };
    let headers: Vec<(&str, &str)> = reply.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    let (status, body) = (reply.status, reply.body.as_bytes());
    let out = Whole { status, content_type, headers: &headers, body, ..Whole::default() }.bytes();
    let after_ns = ns(reply.delay_ms);
    Box::new([(after_ns, Output::Bytes { bytes: out, tokens: 0 }), (after_ns, Output::End)].into_iter())
}

fn raw(reply: &RawReply) -> Timed {
    let size = reply.write_bytes.unwrap_or(reply.bytes.len()).max(1);
    let step_ns = ns(reply.interval_ms);
    let parts: Vec<Vec<u8>> = reply.bytes.chunks(size).map(<[u8]>::to_vec).collect();
    let last_ns = step_ns.saturating_mul(parts.len().saturating_sub(1) as u64);
    let writes = parts.into_iter().enumerate();
    let writes = writes.map(move |(i, bytes)| (step_ns.saturating_mul(i as u64), Output::Bytes { bytes, tokens: 0 }));
    Box::new(writes.chain(std::iter::once((last_ns, Output::Close))))
}
