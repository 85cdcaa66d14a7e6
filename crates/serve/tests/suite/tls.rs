//! The same over TLS, which keeps bytes of its own between the server and the kernel.

use crate::rig::{chat, get, wait_until};
use serve::{Script, ScriptedServer, StreamReply};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

fn start(script: Script) -> (ScriptedServer, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let key = made.signing_key.serialize_pem();
    (ScriptedServer::start_tls(script, made.cert.pem().as_bytes(), key.as_bytes()).unwrap(), Arc::new(config))
}

fn connect(server: &ScriptedServer, config: &Arc<ClientConfig>) -> StreamOwned<ClientConnection, TcpStream> {
    let tcp = TcpStream::connect(server.address()).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let name = server.address().ip().into();
    StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), tcp)
}

#[test]
fn what_the_kernel_says_goes_through_tls() {
    let (server, config) = start(Script::steady(0.0, 0.0, 2));
    // Equal would be our own read: the kernel had the bytes before. Where somebody sets the clock in between it may be equal
    // once, but not always.
    let is_the_kernels = |number: usize| {
        let mut client = connect(&server, &config);
        client.write_all(chat("a").as_bytes()).unwrap();
        wait_until("the request", || server.records().len() > number);
        let record = server.records().remove(number);
        record.received_ns < record.read_ns
    };
    assert!((0..20).any(is_the_kernels));
}

#[test]
fn a_slow_reader_over_tls_gets_everything() {
    let event_bytes = 4 << 20;
    let stream = StreamReply { prefill_ms: 0.0, interval_ms: 0.0, tokens: 4, ..StreamReply::default() };
    let (server, config) = start(Script::of(StreamReply { event_bytes: Some(event_bytes), ..stream }));
    let mut client = connect(&server, &config);
    client.write_all(chat("a").as_bytes()).unwrap();
    wait_until("the first write", || server.records().first().is_some_and(|record| record.writes.len() > 1));
    let reads_from_ns = stamp::now_ns();
    let (mut room, mut bytes, mut tail) = (vec![0; 1 << 16], 0, Vec::new());
    while !tail.ends_with(b"\r\n0\r\n\r\n") {
        let count = client.read(&mut room).unwrap();
        assert!(count > 0, "the end after {bytes} bytes");
        bytes += count;
        tail.extend_from_slice(&room[..count]);
        tail.drain(..tail.len().saturating_sub(16));
    }
    assert!(bytes > 4 * event_bytes, "{bytes}");
    // The bytes are here before the server has noted when it wrote them.
    wait_until("the end", || server.records().first().is_some_and(|record| record.ended_ns.is_some()));
    let record = server.records().remove(0);
    let tokens: Vec<_> = record.writes.iter().filter(|write| write.tokens > 0).collect();
    assert_eq!(tokens.len(), 4);
    assert!(tokens[3].before_ns > reads_from_ns);
}

#[test]
fn a_body_larger_than_a_turn_comes_over_tls() {
    let (server, config) = start(Script::steady(0.0, 0.0, 1));
    let mut client = connect(&server, &config);
    for _ in 0..2 {
        client.write_all(chat(&"x".repeat(5 << 20)).as_bytes()).unwrap();
        let mut tail = Vec::new();
        while !tail.ends_with(b"\r\n0\r\n\r\n") {
            let mut room = [0; 1024];
            let count = client.read(&mut room).unwrap();
            tail.extend_from_slice(&room[..count]);
        }
    }
    assert_eq!(server.records().len(), 2);
    // The end is said in the words of TLS.
    client.write_all(get("/health").replace("host: h", "connection: close").as_bytes()).unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}
