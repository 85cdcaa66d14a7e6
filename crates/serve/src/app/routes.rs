//! What is served where.

use super::observed::Record;
use super::{App, CONNECTION_FIRST, locked};
use crate::backend::{Arrival, ReplySink};
use crate::http::{self, Received};
use crate::validate::{ApiError, validate};
use serde_json::json;
use stamp::now_ns;
use std::sync::Arc;

/// Larger bodies are not kept in the records.
const KEPT_BODY_BYTES_MAX: usize = 256 * 1024;

impl App {
    pub(super) fn route(&mut self, id: u64, request: &Received) {
        let backend = &self.listening.backend;
        if let Some(key) = backend.api_key()
            && request.path.starts_with("/v1")
            && request.header("authorization") != Some(format!("Bearer {key}").as_str())
        {
            return self.json(id, 401, &json!({"error": "Unauthorized"}));
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/v1/chat/completions") => self.chat(id, request),
            ("GET", "/v1/models") => {
                let entry = |name: String| json!({"id": name, "object": "model", "created": stamp::unix_ns() / 1_000_000_000, "owned_by": "vlm-server", "root": name, "parent": null, "max_model_len": null, "permission": []});
                let data: Vec<_> = backend.models().into_iter().map(entry).collect();
                self.json(id, 200, &json!({"object": "list", "data": data}));
            }
            ("GET", "/version") => {
                let version = backend.version();
                self.json(id, 200, &json!({"version": version}));
            }
            ("GET" | "POST", "/ping") | ("GET", "/health") => self.whole(id, 200, "text/plain", b""),
            ("GET", "/metrics") => {
                let text = self.metrics();
                self.whole(id, 200, "text/plain; version=0.0.4; charset=utf-8", text.as_bytes());
            }
            ("GET", "/records") => {
                let records = serde_json::to_value(&*locked(&self.listening.shared.records)).unwrap_or_default();
                self.json(id, 200, &records);
            }
            ("POST", "/tokenize") => self.tokenize(id, request),
            ("POST", "/start_profile" | "/stop_profile") => self.whole(id, 200, "text/plain", b""),
            (
                _,
                "/v1/chat/completions" | "/v1/models" | "/version" | "/health" | "/metrics" | "/tokenize" | "/records",
            ) => {
                self.refuse(id, &ApiError::detail(405, "Method Not Allowed"));
            }
            _ => self.refuse(id, &ApiError::detail(404, "Not Found")),
        }
    }

    fn tokenize(&mut self, id: u64, request: &Received) {
        let value: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let tokens = value["prompt"].as_str().and_then(|text| self.listening.backend.tokenize(text));
        match tokens {
            Some(tokens) => {
                self.json(id, 200, &json!({"count": tokens.len(), "max_model_len": null, "tokens": tokens}))
            }
            None => self.refuse(id, &ApiError::detail(404, "Not Found")),
        }
    }

    fn metrics(&self) -> String {
        format!(
            "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running {}\n# TYPE vllm:request_success_total counter\nvllm:request_success_total {}\n",
            self.in_flight,
            self.chats - self.in_flight as u64
        )
    }

    fn chat(&mut self, id: u64, request: &Received) {
        let read_ns = self.connections.get(&id).map_or_else(now_ns, |connection| connection.read_ns);
        let valid = match validate(&request.body, &self.listening.backend.models()) {
            Ok(valid) => valid,
            Err(error) => return self.refuse(id, &error),
        };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        self.in_flight += 1;
        let number = self.chats;
        self.chats += 1;
        let record = Record {
            number,
            request_id: request.header("x-request-id").map(str::to_owned),
            connection: id - CONNECTION_FIRST,
            reused: connection.carried,
            received_ns: connection.received_ns.min(read_ns),
            read_ns,
            body_bytes: request.body.len(),
            body: if self.listening.keep_bodies && request.body.len() <= KEPT_BODY_BYTES_MAX {
                request.body.as_slice().into()
            } else {
                Arc::from([])
            },
            headers: request.headers.clone(),
            in_flight: self.in_flight,
            writes: Vec::new(),
            ended_ns: None,
        };
        connection.carried += 1;
        connection.answering = Some(number as usize);
        let sink = ReplySink {
            connection: id,
            generation: connection.generation,
            replies: self.replies_sender.clone(),
            wake: Arc::clone(&self.wake),
        };
        locked(&self.listening.shared.records).push(record);
        let arrival = Arrival { number, read_ns, in_flight: self.in_flight };
        if let Err(error) = self.listening.backend.submit(&valid, arrival, sink) {
            self.refuse(id, &error);
            self.end_reply(id);
        }
    }

    fn refuse(&mut self, id: u64, error: &ApiError) {
        self.json(id, error.status, &error.body);
    }

    fn json(&mut self, id: u64, status: u16, body: &serde_json::Value) {
        self.whole(id, status, "application/json", body.to_string().as_bytes());
    }

    fn whole(&mut self, id: u64, status: u16, content_type: &str, body: &[u8]) {
        let keep_alive = self.connections.get(&id).is_some_and(|connection| connection.keep_alive);
        self.send(id, &http::whole(status, content_type, &[], body, keep_alive));
        if !keep_alive {
            self.close(id);
        }
    }
}
