//! Pictures by http URLs, from servers of the test on loopback.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};
use serve::RemoteRules;

use crate::rig::{Reply, Server, Setup, data, post, request};

const CHAT: &str = "/v1/chat/completions";

fn rules() -> RemoteRules {
    RemoteRules { hosts: Vec::new(), private_addresses: true, time_max: Duration::from_secs(600), bytes_max: 1 << 20 }
}

fn server(rules: Option<RemoteRules>, texts: &[&str]) -> Server {
    let mut setup = Setup::new("m");
    setup.options.remote_media = rules;
    setup.answering(texts)
}

/// A web server that waits for the word before each of its answers; its port, and who asked.
fn web(gate: Receiver<()>) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, who) = channel();
    std::thread::spawn(move || {
        let picture = std::fs::read(data("pictures/formats/png_rgb.png")).unwrap();
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut room = [0; 2048];
            let count = stream.read(&mut room).unwrap_or(0);
            let _ = asked.send(String::from_utf8_lossy(&room[..count]).into_owned());
            let _ = gate.recv();
            let head = match room.starts_with(b"GET /redirect ") {
                true => "HTTP/1.1 302 Found\r\nlocation: /photo.png\r\ncontent-length: 0\r\n\r\n".to_owned(),
                false => format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", picture.len()),
            };
            let _ = stream.write_all(head.as_bytes());
            if !head.contains("302") {
                let _ = stream.write_all(&picture);
            }
        }
    });
    (port, who)
}

fn chat(url: &str) -> String {
    let content = json!([{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "hello"}]);
    json!({"messages": [{"role": "user", "content": content}], "max_tokens": 1, "temperature": 0}).to_string()
}

#[test]
fn replies_as_recorded() {
    for name in ["url_photo", "url_redirect"] {
        let (open, gate) = channel();
        let (port, who) = web(gate);
        drop(open);
        let body = request(name).replace(":8019/", &format!(":{port}/"));
        let got = server(Some(rules()), &[" produ", "packages"]).post(CHAT, &body);
        assert_eq!(got.essence(), Reply::recorded(name).essence(), "{name}");
        let asked = who.recv().unwrap().to_lowercase();
        assert!(asked.contains("user-agent: vlm-server/") && !asked.contains("authorization"), "{asked}");
    }
}

#[test]
fn who_waits_for_a_picture_waits_like_any_other() {
    let mut setup = Setup::new("m");
    (setup.options.remote_media, setup.options.engine.queue_max) = (Some(rules()), 1);
    let server = setup.answering(&["a"]);
    let (open, gate) = channel();
    let (port, who) = web(gate);
    let mut waits = server.connect(&post(CHAT, &chat(&format!("http://127.0.0.1:{port}/photo.png"))));
    who.recv().unwrap();
    let plain = json!({"messages": [{"role": "user", "content": "hello"}], "max_tokens": 1}).to_string();
    let refused = server.post(CHAT, &plain);
    assert_eq!(refused.status, "HTTP/1.1 429 Too Many Requests");
    assert!(refused.json()[0]["error"]["message"].as_str().unwrap().starts_with("1 request is waiting"));
    drop(open);
    let mut head = [0; 15];
    waits.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    assert_eq!(server.post(CHAT, &plain).status, "HTTP/1.1 200 OK");
}

#[test]
fn refusals_as_recorded() {
    let named = RemoteRules { hosts: vec!["localhost".into(), "example.com".into()], ..rules() };
    let check = |name: &str, rules: &RemoteRules, message: Option<&str>| {
        let got = server(Some(rules.clone()), &["a"]).post(CHAT, &request(name));
        let recorded = Reply::recorded(name);
        match message {
            None => assert_eq!(got.essence(), recorded.essence(), "{name}"),
            // In words of this server's own.
            Some(words) => {
                let (mut got, mut want) = (got.json().remove(0), recorded.json().remove(0));
                assert!(got["error"]["message"].as_str().unwrap().contains(words), "{name}: {got}");
                (got["error"]["message"], want["error"]["message"]) = (Value::Null, Value::Null);
                assert_eq!(got.to_string(), want.to_string(), "{name}");
            }
        }
    };
    check("err_url_domain", &named, None);
    check("err_url_scheme", &rules(), None);
    check("err_url_empty", &rules(), None);
    check("err_url_refused", &rules(), Some("host 127.0.0.1:9"));
    check("err_url_name", &rules(), Some("host no-such-host.invalid"));
}

#[test]
fn nothing_is_fetched_unless_the_server_was_told_to() {
    let (_open, gate) = channel();
    let (port, who) = web(gate);
    let url = format!("http://127.0.0.1:{port}/photo.png");
    let reply = server(None, &["a"]).post(CHAT, &chat(&url));
    assert!(reply.status.contains("400") && reply.body().contains("--allowed-media-domains"), "{reply:?}");
    let public_only = RemoteRules { private_addresses: false, ..rules() };
    let reply = server(Some(public_only), &["a"]).post(CHAT, &chat(&url));
    assert!(reply.status.contains("422") && reply.body().contains("--allow-private-media-addresses"), "{reply:?}");
    assert!(who.try_recv().is_err(), "it was asked");
}

/// More requests wait for other servers than there are threads of any kind; those that do not are answered meanwhile.
#[test]
fn who_waits_for_a_picture_holds_up_nobody_else() {
    let (open, gate) = channel();
    let (port, who) = web(gate);
    let url = format!("http://127.0.0.1:{port}/photo.png");
    let server = server(Some(rules()), &["a"]);
    let mut waiting: Vec<_> = (0..40).map(|_| server.connect(&post(CHAT, &chat(&url)))).collect();
    waiting.push(server.connect(&post("/tokenize", &chat(&url))));
    who.recv().unwrap();
    for _ in 0..20 {
        let text = json!({"messages": [{"role": "user", "content": "hello"}], "max_tokens": 1}).to_string();
        assert!(server.post(CHAT, &text).status.contains("200"));
        assert!(server.get("/health").status.contains("200"));
    }
    drop(open);
    for mut stream in waiting {
        let mut bytes = String::new();
        stream.read_to_string(&mut bytes).unwrap();
        assert!(bytes.starts_with("HTTP/1.1 200 OK"), "{bytes}");
    }
}
