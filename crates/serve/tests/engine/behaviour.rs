//! What clients may do to the server, and what it must not lose by that.

use std::io::Read;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::rig::{Reply, Server, Setup, post, text};

const CHAT: &str = "/v1/chat/completions";

fn chat(text: &str, more: Value) -> String {
    let mut body = json!({"messages": [{"role": "user", "content": text}], "temperature": 0});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body.to_string()
}

/// Waits until a figure is as wanted.
fn until(server: &Server, begins: &str, wanted: impl Fn(f64) -> bool) {
    let begun = Instant::now();
    while !wanted(server.figure(begins)) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{begins}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn is_idle(server: &Server) {
    for figure in ["vllm:num_requests_running", "vllm:num_requests_waiting{", "vllm:kv_cache_usage_perc"] {
        until(server, figure, |value| value == 0.0);
    }
}

#[test]
fn clients_that_go_leave_nothing_behind() {
    let server = Setup::new("m").answering(&["a", "b"]);
    for number in 0..100 {
        let more = json!({"stream": number % 3 != 0, "max_tokens": 15000, "ignore_eos": true});
        let mut stream = server.connect(&post(CHAT, &chat(&format!("request {number}"), more)));
        if number % 3 == 1 {
            stream.read_exact(&mut [0; 400]).unwrap();
        }
    }
    until(&server, "vllm:request_success_total{engine=\"0\",finished_reason=\"abort\",model_name=\"m\"}", |gone| {
        gone > 0.0
    });
    is_idle(&server);
    assert_eq!(server.post(CHAT, &chat("hello", json!({"max_tokens": 2}))).json()[0]["usage"]["completion_tokens"], 2);
}

#[test]
fn many_at_once() {
    let server = Setup::new("m").answering(&["a", "b", "c"]);
    let asked = |number: usize| {
        let body = chat(&format!("request {number}"), json!({"stream": true, "max_tokens": 30, "ignore_eos": true}));
        server.connect(&post(CHAT, &body))
    };
    let streams: Vec<_> = (0..256).map(asked).collect();
    for mut stream in streams {
        let mut bytes = String::new();
        stream.read_to_string(&mut bytes).unwrap();
        // The role, 30 tokens and the end.
        assert_eq!(bytes.matches("data: ").count(), 32, "{bytes}");
        assert!(bytes.contains("\"finish_reason\":\"length\"") && bytes.contains("data: [DONE]"), "{bytes}");
    }
    is_idle(&server);
    assert_eq!(server.figure("vllm:generation_tokens_total"), 256.0 * 30.0);
}

#[test]
fn a_full_queue_is_429() {
    let mut setup = Setup::new("m");
    let limits = &mut setup.options.engine;
    (limits.scheduler.max_num_seqs, limits.queue_max) = (1, 2);
    let (open, gate) = channel::<()>();
    let token = setup.id("a") as usize;
    let server = setup.scripted(move |_, _, row| {
        let _ = gate.recv();
        row[token] = 60.0;
    });
    let body = chat("hello", json!({"max_tokens": 1}));
    let mut held = vec![server.connect(&post(CHAT, &body))];
    until(&server, "vllm:num_requests_running", |running| running == 1.0);
    held.extend((0..2).map(|_| server.connect(&post(CHAT, &body))));
    until(&server, "vllm:num_requests_waiting{", |waiting| waiting == 2.0);
    let refused = server.post(CHAT, &body);
    assert_eq!(
        (refused.status.as_str(), refused.headers["retry-after"].as_str()),
        ("HTTP/1.1 429 Too Many Requests", "1")
    );
    // vLLM refuses by 503 (`err_busy`): all but the status and its words is alike.
    let of = |reply: &Value| {
        reply["error"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), value.is_string()))
            .collect::<Vec<_>>()
    };
    assert_eq!(of(&refused.json()[0]), of(&Reply::recorded("err_busy").json()[0]));
    let error = &refused.json()[0]["error"];
    assert_eq!(
        (&error["code"], &error["type"], &error["param"]),
        (&json!(429), &json!("Too Many Requests"), &Value::Null)
    );
    assert_eq!(server.figure("vllm:admission_rejections_total"), 1.0);
    drop(open);
    for mut stream in held {
        let mut bytes = String::new();
        stream.read_to_string(&mut bytes).unwrap();
        assert!(bytes.starts_with("HTTP/1.1 200 OK"), "{bytes}");
    }
}

#[test]
fn a_prompt_that_comes_again_is_found() {
    let server = Setup::new("m").answering(&["a"]);
    let body = chat(&"words ".repeat(50), json!({"max_tokens": 1}));
    let tokens = server.post(CHAT, &body).json()[0]["usage"]["prompt_tokens"].as_f64().unwrap();
    assert_eq!(server.figure("vllm:prefix_cache_hits_total"), 0.0);
    server.post(CHAT, &body);
    is_idle(&server);
    assert_eq!(server.figure("vllm:prefix_cache_queries_total"), 2.0 * tokens);
    // Whole blocks of 16 of all tokens but the last.
    assert_eq!(server.figure("vllm:prefix_cache_hits_total"), ((tokens - 1.0) / 16.0).floor() * 16.0);
}

#[test]
fn the_end_comes_after_the_last_answer() {
    let mut setup = Setup::new("m");
    let (open, gate) = channel::<()>();
    let token = setup.id("a") as usize;
    let server = setup.scripted(move |_, _, row| {
        let _ = gate.recv();
        row[token] = 60.0;
    });
    let idle = server.connect("");
    let mut stream = server.connect(&post(CHAT, &chat("hello", json!({"stream": true, "max_tokens": 3}))));
    until(&server, "vllm:num_requests_running", |running| running == 1.0);
    server.handle.drain();
    drop(open);
    let mut bytes = String::new();
    stream.read_to_string(&mut bytes).unwrap();
    assert!(bytes.contains("\"finish_reason\":\"length\"") && bytes.contains("data: [DONE]"), "{bytes}");
    server.join();
    drop(idle);
}

#[test]
fn figures_have_the_names_of_vllm() {
    let server = Setup::new("m").answering(&["a"]);
    server.post(CHAT, &chat("hello", json!({"max_tokens": 3, "ignore_eos": true})));
    is_idle(&server);
    let page = server.get("/metrics");
    assert_eq!(page.headers["content-type"], "text/plain; version=1.0.0; charset=utf-8");
    let known = text("vllm-0.32.0/metrics_names.txt");
    let page = page.body();
    let kinds: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert!(kinds.len() > 20);
    for kind in kinds {
        assert!(known.lines().any(|line| line == kind), "{kind}");
    }
    assert_eq!(server.figure("vllm:time_to_first_token_seconds_count"), 1.0);
    assert_eq!(server.figure("vllm:inter_token_latency_seconds_count"), 2.0);
    assert_eq!(
        server.figure("vllm:e2e_request_latency_seconds_bucket{engine=\"0\",le=\"+Inf\",model_name=\"m\"}"),
        1.0
    );
}

#[test]
fn a_key_guards_the_answers() {
    let mut setup = Setup::new("m");
    setup.options.api_key = Some("secret".into());
    let server = setup.answering(&["a"]);
    let request = post(CHAT, &chat("hello", json!({"max_tokens": 1})));
    assert!(server.ask(&request).status.contains("401"));
    let with_key = request.replacen("host: h", "host: h\r\nauthorization: Bearer secret", 1);
    assert!(server.ask(&with_key).status.contains("200"));
    assert!(server.get("/health").status.contains("200"));
}

#[test]
fn what_this_server_cannot_do_is_refused() {
    let server = Setup::new("m").answering(&["a"]);
    for more in [json!({"n": 2}), json!({"logit_bias": {"5": 1}}), json!({"tools": [{}]})] {
        let reply = server.post(CHAT, &chat("hello", more.clone()));
        let name = more.as_object().unwrap().keys().next().unwrap().clone();
        let error = &reply.json()[0]["error"];
        assert!(reply.status.contains("400") && error["message"].as_str().unwrap().contains(&name), "{reply:?}");
    }
}

#[test]
fn a_completion_of_ids_and_a_prompt_only() {
    let server = Setup::new("m").answering(&["a"]);
    let reply = server
        .post("/v1/completions", r#"{"prompt":[14880,53481],"max_tokens":2,"temperature":0,"return_token_ids":true}"#);
    let reply = reply.json().remove(0);
    assert_eq!((&reply["choices"][0]["text"], &reply["usage"]["prompt_tokens"]), (&json!("aa"), &json!(2)));
    assert_eq!(reply["choices"][0]["prompt_token_ids"], json!([14880, 53481]));
    let reply = server.post("/v1/completions", r#"{"prompt":"请描述","max_tokens":0,"echo":true,"logprobs":1}"#);
    let reply = reply.json().remove(0);
    assert_eq!(reply["choices"][0]["text"], "请描述");
    assert_eq!(reply["choices"][0]["logprobs"]["tokens"], json!(["请", "描述"]));
    let reply = server.post("/v1/completions", r#"{"prompt":[99999999]}"#);
    assert!(reply.status.contains("400"), "{reply:?}");
}

#[test]
fn a_failure_in_the_middle_is_an_event() {
    let mut setup = Setup::new("m");
    let token = setup.id("a") as usize;
    let server = setup.scripted(move |prompt, after, row| {
        row[token] = if after + 1 >= prompt.len() + 2 { f32::NAN } else { 60.0 };
    });
    let more = json!({"stream": true, "max_tokens": 9, "ignore_eos": true});
    let reply = server.post(CHAT, &chat("hello", more));
    // The role, two tokens, the error and the end.
    assert_eq!(reply.chunks.len(), 5, "{reply:?}");
    assert_eq!(reply.json()[3]["error"]["code"], 500);
    assert_eq!(reply.chunks[4], "data: [DONE]\n\n");
    let reply = server.post(CHAT, &chat("hello", json!({"max_tokens": 9, "ignore_eos": true})));
    assert!(reply.status.contains("500") && reply.body().contains("NaN"), "{reply:?}");
    is_idle(&server);
    assert_eq!(server.post(CHAT, &chat("hello", json!({"max_tokens": 2}))).json()[0]["usage"]["completion_tokens"], 2);
}

#[test]
fn an_engine_that_is_gone_is_said_to_be() {
    let server = Setup::new("m").scripted(|_, _, _| std::panic::resume_unwind(Box::new("the model fails")));
    let reply = server.post(CHAT, &chat("hello", json!({"max_tokens": 9})));
    assert!(reply.status.contains("500"), "{reply:?}");
    assert!(server.get("/health").status.contains("503"));
    let reply = server.post(CHAT, &chat("hello", json!({"max_tokens": 9})));
    assert!(reply.status.contains("503") && reply.headers.contains_key("retry-after"), "{reply:?}");
}

#[test]
fn a_reply_bears_the_clients_name_of_the_request() {
    let server = Setup::new("m").answering(&["a"]);
    let request = post(CHAT, &chat("hello", json!({"max_tokens": 1})));
    let named = request.replacen("host: h", "host: h\r\nx-request-id: bench-7", 1);
    assert_eq!(server.ask(&named).json()[0]["id"], "chatcmpl-bench-7");
    let (first, second) = (server.ask(&request).json().remove(0), server.ask(&request).json().remove(0));
    assert!(first["id"].as_str().unwrap().starts_with("chatcmpl-") && first["id"] != second["id"]);
}

#[test]
fn what_is_too_long_in_any_case_is_not_read() {
    let mut setup = Setup::new("m");
    setup.options.engine.scheduler.max_model_len = 64;
    let server = setup.answering(&["a"]);
    // More bytes than 65 tokens of 128.
    let text = " ".repeat(65 * 128);
    let words = "your prompt contains at least 65 input tokens";
    let reply = server.post(CHAT, &chat(&text, json!({})));
    assert!(reply.status.contains("400") && reply.body().contains(words), "{reply:?}");
    let reply = server.post("/tokenize", &json!({"prompt": text}).to_string());
    assert!(reply.status.contains("400") && reply.body().contains(words), "{reply:?}");
}
