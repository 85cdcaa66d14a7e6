//! Against a server on loopback that answers by path, and hosts that must not be asked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use super::*;

/// A server that answers every connection by the path that is asked for; its thread ends with the process.
fn web() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut asked = Vec::new();
                while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
                    let mut room = [0; 1024];
                    match stream.read(&mut room) {
                        Ok(count) if count > 0 => asked.extend_from_slice(&room[..count]),
                        _ => return,
                    }
                }
                let asked = String::from_utf8(asked).unwrap();
                // Whoever asked may be gone.
                let _ = stream.write_all(answer(asked.split(' ').nth(1).unwrap(), address).as_bytes());
                if asked.contains("/hang") || asked.contains("/drip") {
                    let _ = stream.read(&mut [0]);
                }
            });
        }
    });
    address
}

fn answer(path: &str, address: SocketAddr) -> String {
    let whole = |status: &str, body: &str| format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let to = |place: &str| format!("HTTP/1.1 302 Found\r\nlocation: {place}\r\ncontent-length: 0\r\n\r\n");
    let port = address.port();
    match path {
        "/picture" | "/%E5%9B%BE%20a.png?b=|" => whole("200 OK", "bytes"),
        "/redirect" => to("/picture"),
        "/loop" => to("/loop"),
        "/elsewhere" => to(&format!("http://localhost:{port}/picture")),
        "/ftp" => to("ftp://127.0.0.1/picture"),
        "/403" => whole("403 Forbidden", ""),
        "/429" => whole("429 Too Many Requests", ""),
        "/500" => whole("500 Internal Server Error", ""),
        "/large" => whole("200 OK", &"x".repeat(1001)),
        "/announced" => "HTTP/1.1 200 OK\r\ncontent-length: 314572800\r\n\r\nx".to_owned(),
        "/endless" => {
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}", "8\r\nxxxxxxxx\r\n".repeat(500))
        }
        "/cut" => "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nx".to_owned(),
        "/hang" => String::new(),
        "/drip" => "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nx".to_owned(),
        _ => whole("404 Not Found", ""),
    }
}

fn rules() -> RemoteRules {
    RemoteRules { hosts: Vec::new(), private_addresses: true, time_max: Duration::from_secs(60), bytes_max: 1000 }
}

fn fetch(rules: RemoteRules, url: &str) -> Result<Vec<u8>, ApiError> {
    let remote = Remote::new(rules);
    remote.fetch(url, remote.deadline())
}

#[test]
fn what_is_fetched() {
    let web = web();
    for path in ["/picture", "/redirect", "/elsewhere", "/图 a.png?b=|", "/picture#part"] {
        assert_eq!(fetch(rules(), &format!("HTTP://{web}{path}")).unwrap(), b"bytes", "{path}");
    }
}

#[test]
fn what_other_servers_do_wrong() {
    let web = web();
    let check = |path: &str, status: u16, words: &str| {
        let url = format!("http://{web}{path}");
        let error = fetch(rules(), &url).unwrap_err();
        let message = error.body["error"]["message"].as_str().unwrap();
        assert!(error.status == status && message.contains(words), "{path}: {error:?}");
        if status == 422 {
            assert!(message.ends_with(&format!("(parameter=image_url, value={url})")), "{message}");
        }
    };
    check("/none", 422, "Failed to fetch media from URL: HTTP 404 error");
    check("/403", 422, "Failed to fetch media from URL: HTTP 403 error");
    check("/429", 500, "429, message='Too Many Requests', url=");
    check("/500", 500, &format!("500, message='Internal Server Error', url='http://{web}/500'"));
    check("/loop", 422, "more than 5 redirects");
    check("/large", 422, "more than 1000 bytes");
    check("/announced", 422, "more than 1000 bytes");
    check("/endless", 422, "more than 1000 bytes");
    check("/cut", 500, "Cannot fetch from host");
    check("/ftp", 422, "Invalid URL");
}

#[test]
fn urls_that_are_none() {
    for url in ["http:///x.png", "http://[::1/x.png", "http://", "http://a b/x", "http://图.example/x", "https:x"] {
        let error = fetch(rules(), url).unwrap_err();
        assert!(error.status == 422 && error.body.to_string().contains("Invalid URL"), "{url}: {error:?}");
    }
}

#[test]
fn addresses_that_are_not_public() {
    let web = web();
    let port = web.port();
    let hosts = ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "127.1", "0.0.0.0"];
    for host in hosts {
        let public_only = RemoteRules { private_addresses: false, ..rules() };
        let error = fetch(public_only, &format!("http://{host}:{port}/picture")).unwrap_err();
        let barred = error.status == 422 && error.body.to_string().contains("--allow-private-media-addresses");
        assert!(barred, "{host}: {error:?}");
    }
}

/// The rules hold for where a redirect leads too.
#[test]
fn only_named_hosts() {
    let web = web();
    let named = RemoteRules { hosts: vec!["127.0.0.1".into(), "example.com".into()], ..rules() };
    assert!(fetch(named.clone(), &format!("http://{web}/redirect")).is_ok());
    for url in [format!("http://localhost:{}/picture", web.port()), format!("http://{web}/elsewhere")] {
        let error = fetch(named.clone(), &url).unwrap_err();
        let words = "The URL must be from one of the allowed domains: ['127.0.0.1', 'example.com']. Input URL domain: localhost";
        assert_eq!((error.status, error.body["error"]["message"].as_str()), (400, Some(words)), "{url}");
    }
}

#[test]
fn what_takes_too_long() {
    let web = web();
    for path in ["/hang", "/drip"] {
        let begun = Instant::now();
        let hasty = RemoteRules { time_max: Duration::from_millis(200), ..rules() };
        let error = fetch(hasty, &format!("http://{web}{path}")).unwrap_err();
        assert!(error.status == 500 && error.body.to_string().contains("within 0.2 s"), "{path}: {error:?}");
        assert!(begun.elapsed() >= Duration::from_millis(200), "{path}");
    }
    let remote = Remote::new(rules());
    let late = remote.fetch(&format!("http://{web}/picture"), Instant::now()).unwrap_err();
    assert!(late.body.to_string().contains("within 60 s"), "{late:?}");
}
