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
mod remote;
mod served;
mod task;
mod tokens;
mod told;

use std::sync::Arc;
use std::thread::available_parallelism;

use engine::engine::Engine;
use engine::sampling::SamplingLimits;

use crate::backend::{Arrival, Backend, Call, ReplySink};
use crate::error::ServeError;
use crate::http::Whole;
use crate::validate::ApiError;
use media::Media;
use out::Out;
use pool::Pool;
pub use remote::RemoteRules;
use served::Served;
pub use served::{ModelParts, ServeOptions, TextSide};
use task::Task;

/// Most threads that prepare requests.
const THREADS_MAX: usize = 4;
/// Threads for requests whose pictures have to be fetched: nobody else waits for other servers.
const FETCHING_THREADS: usize = 8;
/// Most requests that wait for such a thread, of all that may wait.
const FETCHING_QUEUE_MAX: usize = 256;

/// A connection on which no request comes is closed after so long, ms. vLLM's server keeps it: clients connect ahead.
const UNUSED_CLOSE_MS: u64 = 60_000;

/// Answers with a model.
pub struct EngineBackend {
    // The order is that of their ends: nothing is prepared any more when the engine goes.
    pool: Pool<Task>,
    served: Arc<Served>,
    _engine: Engine,
    api_key: Option<String>,
    idle_close_ms: u64,
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
            media: Media::new(parts.image_rules, options.local_media.as_deref(), options.remote_media.clone()),
            engine: engine.handle(),
            words: Arc::new(told::Words::start()?),
            images_max: options.images_max,
            encoder_tokens: scheduler.encoder_tokens,
            block_tokens: scheduler.block_tokens,
            prefix_caching: scheduler.prefix_caching,
        });
        let pool = Self::pool(&served, options.remote_media.is_some())?;
        let (api_key, idle_close_ms) = (options.api_key.clone(), options.idle_close_ms);
        Ok(Self { pool, served, _engine: engine, api_key, idle_close_ms })
    }

    /// The threads that prepare requests, and behind them those that may wait for other servers.
    fn pool(served: &Arc<Served>, fetches: bool) -> Result<Pool<Task>, ServeError> {
        let fetching = match fetches {
            false => None,
            true => {
                let served = Arc::clone(served);
                let work = move |task: Task| {
                    drop(task.answer(&served, true));
                    None
                };
                Some(Pool::new("fetch", FETCHING_THREADS, FETCHING_QUEUE_MAX, work)?)
            }
        };
        let served = Arc::clone(served);
        let work = move |task: Task| {
            if let (Some(task), Some(fetching)) = (task.answer(&served, false), &fetching)
                && let Err(task) = fetching.submit(task)
            {
                task.refuse(&ApiError::busy("too many requests wait for their pictures; try again later"));
            }
            None
        };
        let threads = available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        // Each task has a place among the requests that wait, and those have a bound.
        Ok(Pool::new("prepare", threads, usize::MAX, work)?)
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

    fn idle_close_ms(&self) -> Option<u64> {
        Some(self.idle_close_ms)
    }

    fn unused_close_ms(&self) -> Option<u64> {
        Some(self.idle_close_ms.max(UNUSED_CLOSE_MS))
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
            _ => match self.served.engine.place() {
                // No bound of its own could refuse it.
                Ok(place) => drop(self.pool.submit(Task::new(call, out, place))),
                Err(refusal) => out.refuse(&out::refused(&refusal)),
            },
        }
    }
}
