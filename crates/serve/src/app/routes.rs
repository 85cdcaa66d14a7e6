//! What is served where, to whom, and with which methods.

use super::connection::Answering;
use super::memory::Share;
use super::observed::{Keep, Record};
use super::{App, CONNECTION_FIRST};
use crate::backend::{Arrival, Call, ReplySink};
use crate::http::{Received, Whole};
use crate::lock::locked;
use crate::shapes::{self, Tokenized};
use crate::validate::{ApiError, validate};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The longest request to count tokens of: the answer is many times longer.
const TOKENIZE_BYTES_MAX: usize = 4 << 20;
/// vLLM 0.32.0's answer to a browser of another origin (recorded).
const NO_ORIGIN_ALLOWED: [(&str, &str); 3] = [
    (
        "vary",
        "Origin, Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network",
    ),
    ("access-control-allow-methods", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, QUERY"),
    ("access-control-max-age", "600"),
];

/// Everything that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Chat,
    Models,
    Version,
    Alive,
    Metrics,
    Records,
    Tokenize,
    Profile,
}

impl Route {
    /// What is at a path, and the methods that it takes. HEAD is taken wherever GET is.
    fn at(path: &str) -> Option<(Self, &'static [&'static str])> {
        match path {
            "/v1/chat/completions" => Some((Self::Chat, &["POST"])),
            "/v1/models" => Some((Self::Models, &["GET"])),
            "/version" => Some((Self::Version, &["GET"])),
            "/health" => Some((Self::Alive, &["GET"])),
            "/ping" => Some((Self::Alive, &["GET", "POST"])),
            "/metrics" => Some((Self::Metrics, &["GET"])),
            "/records" => Some((Self::Records, &["GET"])),
            "/tokenize" => Some((Self::Tokenize, &["POST"])),
            "/start_profile" | "/stop_profile" => Some((Self::Profile, &["POST"])),
            _ => None,
        }
    }
}

impl App {
    /// Answers a request, or has it answered; `share` is what it holds of the memory.
    pub(super) fn route(&mut self, id: u64, request: Received, share: Share) {
        let asks_to_ask =
            request.header("origin").is_some() && request.header("access-control-request-method").is_some();
        if request.method == "OPTIONS" && asks_to_ask {
            let whole = Whole { status: 400, headers: &NO_ORIGIN_ALLOWED, ..Whole::default() };
            return self.whole(
                id,
                Whole { content_type: "text/plain; charset=utf-8", body: b"Disallowed CORS origin", ..whole },
            );
        }
        let route = self.served(&request.path);
        let is_guarded = request.path.starts_with("/v1") || matches!(route, Some((Route::Records, _)));
        if is_guarded && request.method != "OPTIONS" && !self.may_enter(&request) {
            return self.json(id, 401, &json!({"error": "Unauthorized"}));
        }
        let method = if request.method == "HEAD" { "GET" } else { request.method.as_str() };
        if let Some(methods) = self.listening.backend.methods(&request.path) {
            return if methods.contains(&method) {
                self.call(id, request, share)
            } else {
                self.wrong_method(id, methods)
            };
        }
        match route {
            Some((route, methods)) if methods.contains(&method) => self.serve(id, route, &request),
            Some((_, methods)) => self.wrong_method(id, methods),
            None => self.refuse(id, &ApiError::detail(404, "Not Found")),
        }
    }

    /// What is served at a path, if anything is.
    fn served(&self, path: &str) -> Option<(Route, &'static [&'static str])> {
        // As in vLLM there is no such path where nothing profiles.
        Route::at(path).filter(|(route, _)| *route != Route::Profile || self.listening.backend.profiles())
    }

    fn wrong_method(&mut self, id: u64, methods: &[&str]) {
        let body = ApiError::detail(405, "Method Not Allowed").body.to_string();
        let headers = [("allow", &*methods.join(", "))];
        let whole = Whole { status: 405, content_type: "application/json", headers: &headers, ..Whole::default() };
        self.whole(id, Whole { body: body.as_bytes(), ..whole });
    }

    /// Hands a request to a backend that has a route of its own for it.
    fn call(&mut self, id: u64, request: Received, share: Share) {
        let Some((arrival, sink)) = self.begin(id, &request) else { return };
        let head_only = request.method == "HEAD";
        let request_id = request.header("x-request-id").map(str::to_owned);
        let call = Call { path: request.path, body: request.body, head_only, request_id, _share: share };
        self.listening.backend.call(call, arrival, sink);
    }

    /// Whether the request carries the key, if one is needed.
    fn may_enter(&self, request: &Received) -> bool {
        let Some(key) = self.listening.backend.api_key() else { return true };
        let given = request.header("authorization").and_then(|value| value.split_once(' '));
        given.is_some_and(|(scheme, token)| {
            scheme.eq_ignore_ascii_case("bearer") && same_in_constant_time(token.trim().as_bytes(), key.as_bytes())
        })
    }

    fn serve(&mut self, id: u64, route: Route, request: &Received) {
        match route {
            Route::Chat => self.chat(id, request),
            Route::Models => {
                let created = stamp::unix_ns() / 1_000_000_000;
                let models = shapes::models(&self.listening.backend.models(), None, None, created);
                self.json(id, 200, &models);
            }
            Route::Version => {
                let version = self.listening.backend.version();
                self.json(id, 200, &json!({"version": version}));
            }
            Route::Alive | Route::Profile => self.text(id, "text/plain", ""),
            Route::Metrics => {
                let text = self.metrics();
                self.text(id, "text/plain; version=0.0.4; charset=utf-8", &text);
            }
            Route::Records if self.listening.keep == Keep::Nothing => {
                let words = "no records are kept; start the server with --truth-log FILE";
                self.refuse(id, &ApiError::detail(404, words));
            }
            Route::Records => {
                let json = serde_json::to_string(&*locked(&self.listening.shared.records)).unwrap_or_default();
                self.text(id, "application/json", &json);
            }
            Route::Tokenize => self.tokenize(id, request),
        }
    }

    fn tokenize(&mut self, id: u64, request: &Received) {
        if request.body.len() > TOKENIZE_BYTES_MAX {
            return self.refuse(id, &ApiError::detail(413, "Request Entity Too Large"));
        }
        let value: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let tokens = value["prompt"].as_str().and_then(|text| self.listening.backend.tokenize(text));
        match tokens {
            Some(tokens) => {
                let count = tokens.len();
                let tokenized = Tokenized { count, max_model_len: None, tokens: &tokens, token_strs: None };
                self.json(id, 200, &tokenized);
            }
            None => self.refuse(id, &ApiError::detail(404, "Not Found")),
        }
    }

    fn metrics(&self) -> String {
        format!(
            "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running {}\n# TYPE vllm:request_success_total counter\nvllm:request_success_total {}\n# TYPE vllm:time_to_first_token_seconds histogram\nvllm:time_to_first_token_seconds_sum {}\nvllm:time_to_first_token_seconds_count {}\n",
            self.in_flight,
            self.requests - self.in_flight as u64,
            self.first_tokens_ns as f64 / 1e9,
            self.first_tokens
        )
    }

    fn chat(&mut self, id: u64, request: &Received) {
        let valid = match validate(&request.body, &self.listening.backend.models()) {
            Ok(valid) => valid,
            Err(error) => return self.refuse(id, &error),
        };
        let Some((arrival, sink)) = self.begin(id, request) else { return };
        if let Err(error) = self.listening.backend.submit(&valid, arrival, sink) {
            self.end_reply(id);
            self.refuse(id, &error);
        }
    }

    /// Notes that a request is being answered.
    fn begin(&mut self, id: u64, request: &Received) -> Option<(Arrival, ReplySink)> {
        let connection = self.connections.get_mut(&id)?;
        let (number, read_ns, gone) = (self.requests, connection.read_ns, Arc::new(AtomicBool::new(false)));
        self.in_flight += 1;
        self.requests += 1;
        let keep = self.listening.keep;
        if keep != Keep::Nothing {
            locked(&self.listening.shared.records).push(Record {
                number,
                request_id: request.header("x-request-id").map(str::to_owned),
                connection: id - CONNECTION_FIRST,
                reused: connection.carried,
                received_ns: connection.received_ns,
                read_ns,
                body_bytes: request.body.len(),
                body: keep.body(&request.body),
                headers: keep.headers(&request.headers),
                in_flight: self.in_flight,
                writes: Vec::new(),
                ended_ns: None,
            });
        }
        connection.carried += 1;
        connection.answering =
            Some(Answering { number, uncounted_from_ns: Some(connection.received_ns), gone: Arc::clone(&gone) });
        let sink = ReplySink {
            connection: id,
            generation: connection.generation,
            closes: !connection.keep_alive,
            gone,
            replies: self.replies_sender.clone(),
            wake: Arc::clone(&self.wake),
        };
        let arrival = Arrival { number, read_ns, in_flight: self.in_flight };
        Some((arrival, sink))
    }

    pub(super) fn refuse(&mut self, id: u64, error: &ApiError) {
        let body = error.body.to_string();
        let whole = Whole { status: error.status, headers: error.headers(), ..Whole::default() };
        self.whole(id, Whole { content_type: "application/json", body: body.as_bytes(), ..whole });
    }

    fn json(&mut self, id: u64, status: u16, body: &impl serde::Serialize) {
        let body = shapes::to_json(body);
        let whole = Whole { status, content_type: "application/json", body: body.as_bytes(), ..Whole::default() };
        self.whole(id, whole);
    }

    fn text(&mut self, id: u64, content_type: &str, body: &str) {
        self.whole(id, Whole { status: 200, content_type, body: body.as_bytes(), ..Whole::default() });
    }

    fn whole(&mut self, id: u64, whole: Whole<'_>) {
        let Some(connection) = self.connections.get(&id) else { return };
        let closes = !connection.keep_alive;
        let head_only = connection.head_only;
        self.send(id, &Whole { closes, head_only, ..whole }.bytes());
        if closes {
            self.close(id);
        }
    }
}

/// Compares without telling by its time where the first difference is.
fn same_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}
