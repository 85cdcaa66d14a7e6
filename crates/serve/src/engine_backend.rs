//! The engine behind HTTP: vLLM 0.32.0's routes, their requests and replies. What takes time happens on worker threads and
//! on the engine's own; the event loop only hands bodies over.

mod answer;
mod asked;
mod chat_reply;
mod completion_reply;
mod fields;
mod media;
mod metrics;
mod out;
mod pool;
mod prepare;
mod python_json;
mod served;
mod shapes;
mod tokens;

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Instant;

use engine::engine::Engine;
use engine::sampling::SamplingLimits;
use serde_json::{Value, json};

use crate::backend::{Arrival, Backend, Call, ReplySink};
use crate::error::ServeError;
use crate::http::Whole;
use crate::validate::ApiError;
use answer::{Answer, unique};
use asked::{ChatAsked, CompletionAsked};
use chat_reply::ChatReply;
use completion_reply::CompletionReply;
use media::Media;
use out::{Out, Sink, failed, too_busy};
use pool::Pool;
use served::Served;
pub use served::{ModelParts, ServeOptions, TextSide};

/// Most threads that prepare requests.
const THREADS_MAX: usize = 4;
/// Most bytes of bodies that wait to be prepared.
const BODIES_BYTES_MAX: usize = 1 << 30;

/// Answers with a model.
pub struct EngineBackend {
    // The order is that of their ends: nothing is prepared any more when the engine goes.
    pool: Pool<Task>,
    served: Arc<Served>,
    _engine: Engine,
    api_key: Option<String>,
}

/// A request to be prepared.
struct Task {
    call: Call,
    out: Out,
    arrived: Instant,
}

impl EngineBackend {
    /// Starts the engine and the threads around it.
    ///
    /// # Errors
    /// [`ServeError`]: limits that do not fit together, or a system without threads.
    pub fn start(parts: ModelParts, options: &ServeOptions) -> Result<Self, ServeError> {
        let TextSide { tokenizer, template, defaults } = parts.text;
        let scheduler = options.engine.scheduler;
        let limits = SamplingLimits {
            max_model_len: scheduler.max_model_len,
            vocab_size: parts.vocab_size,
            max_logprobs: options.max_logprobs,
            eos_token: tokenizer.eos_token(),
        };
        let engine = Engine::start(parts.stepper, Arc::clone(&tokenizer), options.engine)?;
        let served = Arc::new(Served {
            names: options.names.clone(),
            root: options.root.clone(),
            fingerprint: served::fingerprint(options),
            tokenizer,
            template,
            prompt_rules: parts.prompt_rules,
            limits,
            defaults,
            media: Media::new(parts.image_rules, options.local_media.as_deref()),
            engine: engine.handle(),
            images_max: options.images_max,
            encoder_tokens: scheduler.encoder_tokens,
            block_tokens: scheduler.block_tokens,
            prefix_caching: scheduler.prefix_caching,
        });
        let threads = available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        let work = {
            let served = Arc::clone(&served);
            move |task: Task| served.answer(task)
        };
        let pool = Pool::new(threads, scheduler.queue_max, BODIES_BYTES_MAX, work)?;
        Ok(Self { pool, served, _engine: engine, api_key: options.api_key.clone() })
    }
}

impl Backend for EngineBackend {
    fn models(&self) -> Vec<String> {
        self.served.names.clone()
    }

    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").into()
    }

    fn api_key(&self) -> Option<&str> {
        self.api_key.as_deref()
    }

    fn methods(&self, path: &str) -> Option<&'static [&'static str]> {
        match path {
            "/v1/chat/completions" | "/v1/completions" | "/tokenize" | "/detokenize" => Some(&["POST"]),
            "/v1/models" | "/metrics" | "/health" => Some(&["GET"]),
            "/ping" => Some(&["GET", "POST"]),
            _ => None,
        }
    }

    fn call(&mut self, call: Call, _arrival: Arrival, sink: ReplySink) {
        let mut out = Out::new(sink, call.head_only);
        match call.path.as_str() {
            "/v1/models" => out.json(200, &self.served.models()),
            "/metrics" => {
                let text = metrics::page(&self.served);
                let content_type = "text/plain; version=1.0.0; charset=utf-8";
                out.whole(Whole { status: 200, content_type, body: text.as_bytes(), ..Whole::default() });
            }
            "/health" | "/ping" => {
                let status = if self.served.engine.is_open() { 200 } else { 503 };
                out.whole(Whole { status, content_type: "text/plain", ..Whole::default() });
            }
            _ => {
                let bytes = call.body.len();
                if let Err(mut task) = self.pool.submit(bytes, Task { call, out, arrived: Instant::now() }) {
                    task.out.refuse(&too_busy("too many requests are waiting to be read; try again later"));
                }
            }
        }
    }
}

impl Served {
    /// Prepares a request and hands it to the engine.
    fn answer(&self, Task { call, mut out, arrived }: Task) {
        if out.is_gone() {
            return;
        }
        let body = call.body.as_slice();
        let result = match call.path.as_str() {
            "/v1/chat/completions" => return self.chat(&call, out, arrived),
            "/v1/completions" => return self.completion(&call, out, arrived),
            "/tokenize" => tokens::tokenize(self, body, &mut out),
            "/detokenize" => tokens::detokenize(self, body, &mut out),
            path => Err(failed(&format!("{path} has no handler"))),
        };
        if let Err(error) = result {
            out.refuse(&error);
        }
    }

    fn chat(&self, call: &Call, mut out: Out, arrived: Instant) {
        let prepared = (|| -> Result<_, ApiError> {
            let asked = ChatAsked::of(&call.body)?;
            let model = self.name(asked.common.model.as_deref())?;
            self.check_length(&asked.common)?;
            let prepared = self.chat_prompt(&asked.chat)?;
            let request = self.engine_request(&asked.common, &prepared, arrived)?;
            Ok((request, Answer::new(self, reply_id("chatcmpl", call), model, &asked.common, prepared)))
        })();
        match prepared {
            Ok((request, answer)) => self.engine.submit(request, Box::new(Sink { out, reply: ChatReply::new(answer) })),
            Err(error) => out.refuse(&error),
        }
    }

    fn completion(&self, call: &Call, mut out: Out, arrived: Instant) {
        let prepared = (|| -> Result<_, ApiError> {
            let asked = CompletionAsked::of(&call.body)?;
            let model = self.name(asked.common.model.as_deref())?;
            self.check_length(&asked.common)?;
            let prepared = self.completion_prompt(&asked.prompt, asked.add_special_tokens)?;
            let request = self.engine_request(&asked.common, &prepared, arrived)?;
            let echo = asked.echo.then(|| prepared.text.clone());
            let answer = Answer::new(self, reply_id("cmpl", call), model, &asked.common, prepared);
            Ok((request, answer, echo, asked.prompt_only))
        })();
        match prepared {
            Ok((request, answer, echo, prompt_only)) => {
                let reply = Sink { out, reply: CompletionReply::new(answer, echo, prompt_only) };
                self.engine.submit(request, Box::new(reply));
            }
            Err(error) => out.refuse(&error),
        }
    }

    fn check_length(&self, asked: &asked::Asked) -> Result<(), ApiError> {
        asked.sampling.check_output_limit(self.limits.max_model_len).map_err(|refusal| out::refused(&refusal))
    }

    /// `/v1/models` (recorded).
    fn models(&self) -> Value {
        let created = stamp::unix_ns() / 1_000_000_000;
        let entry = |name: &String| {
            json!({
                "id": name,
                "object": "model",
                "created": created,
                "owned_by": "vlm-server",
                "root": self.root,
                "parent": null,
                "max_model_len": self.limits.max_model_len,
                "permission": [{
                    "id": format!("modelperm-{}", unique()),
                    "object": "model_permission",
                    "created": created,
                    "allow_create_engine": false,
                    "allow_sampling": true,
                    "allow_logprobs": true,
                    "allow_search_indices": false,
                    "allow_view": true,
                    "allow_fine_tuning": false,
                    "organization": "*",
                    "group": null,
                    "is_blocking": false,
                }],
            })
        };
        json!({"object": "list", "data": self.names.iter().map(entry).collect::<Vec<_>>()})
    }
}

/// The name of a reply: as in vLLM the client's own name of the request is in it, if there is one.
fn reply_id(kind: &str, call: &Call) -> String {
    match &call.request_id {
        Some(id) => format!("{kind}-{id}"),
        None => format!("{kind}-{}", unique()),
    }
}
