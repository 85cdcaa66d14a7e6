//! HTTP that clients may speak, and how what they may not is refused: the answer always reaches them.

use crate::rig::{Client, Reply, Server, chat, chat_body, get};
use serve::{Limits, Script};
use std::time::{Duration, Instant};

fn quick() -> Server {
    Server::scripted(Script::steady(0.0, 0.0, 3))
}

/// What is said, without what no two servers say alike.
fn essence(mut reply: Reply) -> Reply {
    for name in ["date", "server", "connection", "vary"] {
        reply.headers.remove(name);
    }
    reply
}

#[test]
fn preflights_and_wrong_methods_as_recorded() {
    let server = quick();
    let mut client = server.client();
    let preflight =
        "OPTIONS /v1/models HTTP/1.1\r\nhost: h\r\norigin: http://x\r\naccess-control-request-method: GET\r\n\r\n";
    let got = client.send(preflight).reply();
    let want = Reply::recorded(include_bytes!("../data/vllm-0.32.0/options_cors.http"));
    assert_eq!(got.headers["vary"], want.headers["vary"]);
    assert_eq!(essence(got), essence(want));
    let want = essence(Reply::recorded(include_bytes!("../data/vllm-0.32.0/err_405.http")));
    for request in [
        "GET /v1/chat/completions HTTP/1.1\r\n\r\n",
        "OPTIONS /v1/chat/completions HTTP/1.1\r\norigin: http://x\r\n\r\n",
        "DELETE /tokenize HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(essence(client.send(request).reply()), want, "{request}");
    }
}

#[test]
fn head_is_get_without_the_body() {
    let server = quick();
    let mut client = server.client();
    let whole = client.send(get("/version")).reply();
    let head = client.send("HEAD /version HTTP/1.1\r\n\r\n").reply_without_body();
    assert_eq!(head, Reply { body: String::new(), ..whole.clone() });
    assert_eq!(client.send("HEAD /none HTTP/1.1\r\n\r\n").reply_without_body().status, 404);
    assert_eq!(client.send("HEAD /tokenize HTTP/1.1\r\n\r\n").reply_without_body().status, 405);
    // Whatever followed a head would be taken for the next reply.
    assert_eq!(client.send(get("/version")).reply(), whole);
}

#[test]
fn a_body_in_chunks_is_a_body() {
    let server = quick();
    let mut client = server.client();
    client.send("POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n");
    for part in chat_body("hello").as_bytes().chunks(7) {
        client.send(format!("{:x}\r\n", part.len())).send(part).send("\r\n");
    }
    client.send("0\r\n\r\n").until("[DONE]");
    assert_eq!(server.handle.records()[0].body[..], *chat_body("hello").as_bytes());
}

#[test]
fn a_client_that_asks_before_it_sends() {
    let server = quick();
    let mut client = server.client();
    let body = chat_body("hello");
    for _ in 0..2 {
        client.send(format!(
            "POST /v1/chat/completions HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
            body.len()
        ));
        assert_eq!(client.reply().status, 100);
        client.send(&body).until("0\r\n\r\n");
    }
    let asked = "POST /v1/chat/completions HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 999999999\r\n\r\n";
    assert_eq!(client.send(asked).reply().status, 413);
}

#[test]
fn many_requests_in_one_write() {
    let server = quick();
    let mut client = server.client();
    let requests: String = (0..100).map(|i| get(if i % 2 == 0 { "/version" } else { "/none" })).collect();
    client.send(requests);
    for i in 0..100 {
        assert_eq!(client.reply().status, if i % 2 == 0 { 200 } else { 404 }, "{i}");
    }
    // Requests behind streams: each is answered after the one before.
    client.send([chat("a"), get("/version"), chat("b"), get("/none")].concat());
    for status in [200, 404] {
        client.until("0\r\n\r\n");
        assert_eq!(client.reply().status, status);
    }
}

fn check_refused_while_sending(request: &str, status: u16) {
    let limits = Limits { head_bytes_max: 1000, body_bytes_max: 1000, linger_ms_max: 300_000, ..Limits::default() };
    let server = Server::limited(Script::default(), limits);
    let mut client = server.client();
    // More than the kernel holds: a server that closed at once would break this write, or take its answer back.
    client.send(request).send(vec![b'x'; 32 << 20]);
    assert_eq!(client.reply().status, status, "{request}");
    assert_eq!(client.rest(), b"", "{request}");
}

#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    check_refused_while_sending("POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 33554432\r\n\r\n", 413);
    check_refused_while_sending("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2000000\r\n", 413);
    check_refused_while_sending("GET / HTTP/1.1\r\nx: ", 431);
    check_refused_while_sending("this is no HTTP\r\n\r\n", 400);
    check_refused_while_sending("POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", 501);
}

#[test]
fn a_client_that_sends_for_ever_is_left() {
    let limits = Limits { body_bytes_max: 1000, linger_ms_max: 100, ..Limits::default() };
    let server = Server::limited(Script::default(), limits);
    let mut client = server.client();
    let start = Instant::now();
    client.send("POST / HTTP/1.1\r\ncontent-length: 9999999999\r\n\r\n");
    use std::io::Write;
    while client.tcp.write_all(&[b'x'; 1000]).is_ok() {
        assert!(start.elapsed() < Duration::from_secs(30), "still read over");
    }
    assert!(start.elapsed() >= Duration::from_millis(90));
}

fn check_too_slow(bytes: &str, limits: Limits) {
    let server = Server::limited(Script::default(), limits);
    let mut client = server.client();
    let start = Instant::now();
    client.send(bytes);
    assert_eq!(client.reply().status, 408, "{bytes}");
    assert!(start.elapsed() >= Duration::from_millis(50), "{bytes}");
    assert_eq!(client.rest(), b"");
    assert_eq!(server.client().send(get("/health")).reply().status, 200);
}

#[test]
fn what_does_not_come_in_time_is_not_waited_for() {
    let usual = Limits { linger_ms_max: 50, ..Limits::default() };
    check_too_slow("GET / HT", Limits { head_ms_max: 50, ..usual });
    check_too_slow("POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nx", Limits { body_ms_max: 50, ..usual });
    check_too_slow("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n9\r\nx", Limits { body_ms_max: 50, ..usual });
    check_too_slow("\r\nGET /", Limits { head_ms_max: 50, ..usual });
}

#[test]
fn bytes_that_trickle_in_do_not_stretch_the_time() {
    let server = Server::limited(Script::default(), Limits { head_ms_max: 100, ..Limits::default() });
    let mut client = server.client();
    let start = Instant::now();
    client.tcp.set_nonblocking(true).unwrap();
    use std::io::{Read, Write};
    let mut room = [0; 12];
    // One byte each 5 ms: the head would never end.
    while client.tcp.read(&mut room).is_err() {
        let _ = client.tcp.write(b"x");
        std::thread::sleep(Duration::from_millis(5));
        assert!(start.elapsed() < Duration::from_secs(30), "still waited for");
    }
    assert_eq!(&room, b"HTTP/1.1 408");
}

#[test]
fn idle_connections_are_closed_when_it_is_time() {
    let script = Script { idle_close_ms: Some(30), ..Script::default() };
    let server = Server::scripted(script);
    let start = Instant::now();
    let mut client = Client::to(server.address);
    assert_eq!(client.rest(), b"");
    let waited = start.elapsed();
    assert!(waited >= Duration::from_millis(30), "{waited:?}");
}
