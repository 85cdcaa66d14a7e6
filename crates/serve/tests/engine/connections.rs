//! Connections of a model's server: when they end, and what says so.

use std::io::Read;

use serde_json::json;

use crate::rig::{Reply, Server, Setup, post};

const CHAT: &str = "/v1/chat/completions";

fn chat(stream: bool) -> String {
    let messages = json!([{"role": "user", "content": "hello"}]);
    json!({"messages": messages, "max_tokens": 2, "temperature": 0, "stream": stream}).to_string()
}

/// The reply to a request on a connection that the client would use again, once the server has closed it.
fn closed_by_the_server(server: &Server, request: &str) -> Reply {
    let mut bytes = Vec::new();
    server.connect(&request.replace("connection: close\r\n", "")).read_to_end(&mut bytes).unwrap();
    Reply::read(&bytes)
}

#[test]
fn idle_connections_are_closed() {
    let mut setup = Setup::new("m");
    setup.options.idle_close_ms = 50;
    let server = setup.answering(&["a"]);
    // Clients connect ahead: a connection that was not used yet stays.
    let mut ahead = server.connect("");
    for request in ["GET /health HTTP/1.1\r\n\r\n".to_owned(), post(CHAT, &chat(false)), post(CHAT, &chat(true))] {
        assert!(closed_by_the_server(&server, &request).status.contains("200"), "{request}");
    }
    std::io::Write::write_all(&mut ahead, b"GET /health HTTP/1.1\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    ahead.read_to_end(&mut bytes).unwrap();
    assert!(Reply::read(&bytes).status.contains("200"));
}

#[test]
fn a_reply_says_whether_the_connection_ends_with_it() {
    let mut setup = Setup::new("m");
    setup.options.idle_close_ms = 50;
    let server = setup.answering(&["a"]);
    let health = "GET /health HTTP/1.1\r\nconnection: close\r\n\r\n".to_owned();
    for request in [health, post(CHAT, &chat(false)), post(CHAT, &chat(true)), post(CHAT, "{}")] {
        let header = |reply: Reply| reply.headers.get("connection").cloned();
        assert_eq!(header(server.ask(&request)).as_deref(), Some("close"), "{request}");
        assert_eq!(header(closed_by_the_server(&server, &request)), None, "{request}");
    }
}

#[test]
fn nothing_profiles_here() {
    let server = Setup::new("m").answering(&["a"]);
    for path in ["/start_profile", "/stop_profile"] {
        let reply = server.post(path, "");
        assert!(reply.status.contains("404"), "{reply:?}");
        assert_eq!(reply.body(), r#"{"detail":"Not Found"}"#);
    }
}
