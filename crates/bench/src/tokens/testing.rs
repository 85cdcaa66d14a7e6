//! What the tests of this module share: a home folder of their own, a tiny tokenizer, a fake hub. Never in the product.

use super::Env;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// An empty home folder and the environment of somebody who lives there.
pub(super) fn home() -> (tempfile::TempDir, Env) {
    let dir = tempfile::tempdir().unwrap();
    let env = Env { home: Some(dir.path().to_owned()), ..Env::default() };
    (dir, env)
}

/// The folder with the cut tokenizer.json that keeps Qwen2's ids.
pub(super) fn qwen_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/tokenizer")
}

/// Texts with the ids that Hugging Face's own tokenizer gives them.
pub(super) fn expected_ids() -> Vec<(String, Vec<u32>)> {
    let bytes = std::fs::read(qwen_folder().join("expected_ids.json")).unwrap();
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&bytes).unwrap();
    let ids =
        |row: &serde_json::Value| row["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
    rows.iter().map(|row| (row["text"].as_str().unwrap().to_owned(), ids(row))).collect()
}

/// Writes a file and the folders above it.
pub(super) fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A tokenizer.json that knows whole words.
pub(super) fn tiny_tokenizer(words: &[&str]) -> String {
    let vocab: serde_json::Map<_, _> = words.iter().enumerate().map(|(i, w)| ((*w).to_owned(), i.into())).collect();
    serde_json::json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": words[0]}})
    .to_string()
}

/// What the fake hub answers.
#[derive(Clone)]
pub(super) struct Reply {
    status: u16,
    headers: String,
    body: String,
    missing: usize,
}

impl Reply {
    pub(super) fn new(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let headers = headers.iter().map(|(k, v)| format!("{k}: {v}\r\n")).collect();
        Self { status, headers, body: body.to_owned(), missing: 0 }
    }

    /// Announces more bytes than it sends.
    pub(super) fn cut_short(mut self, missing: usize) -> Self {
        self.missing = missing;
        self
    }
}

/// One request as it arrived.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) line: String,
    headers: Vec<(String, String)>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

#[derive(Default)]
struct Log {
    connections: usize,
    seen: Vec<Seen>,
}

/// An HTTP server on loopback with fixed answers and 404 for the rest; its thread ends with the test's process.
pub(super) struct Server {
    address: SocketAddr,
    log: Arc<Mutex<Log>>,
}

impl Server {
    pub(super) fn start(replies: Vec<(&'static str, Reply)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Log::default()));
        let shared = Arc::clone(&log);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                shared.lock().unwrap_or_else(PoisonError::into_inner).connections += 1;
                // A client that goes away is its own affair.
                answer(stream, &replies, &shared).ok();
            }
        });
        Self { address, log }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).seen.clone()
    }

    /// Connections until now. A connection of our own is made last and not counted: the queue of the listener is
    /// in order, so every earlier one has been seen by then.
    pub(super) fn connections(&self) -> usize {
        let mut last = TcpStream::connect(self.address).unwrap();
        last.write_all(b"GET /last HTTP/1.1\r\n\r\n").unwrap();
        std::io::copy(&mut last, &mut std::io::sink()).unwrap();
        self.log.lock().unwrap_or_else(PoisonError::into_inner).connections - 1
    }
}

fn answer(mut stream: TcpStream, replies: &[(&str, Reply)], log: &Mutex<Log>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let line = lines.next().transpose()?.unwrap_or_default();
    let mut headers = Vec::new();
    for header in lines {
        let header = header?;
        let Some((name, value)) = header.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    log.lock().unwrap_or_else(PoisonError::into_inner).seen.push(Seen { line, headers });
    let unknown = Reply::new(404, &[], "Entry not found");
    let reply = replies.iter().find(|(p, _)| *p == path).map_or(&unknown, |(_, r)| r);
    let length = reply.body.len() + reply.missing;
    let head = format!("HTTP/1.1 {} X\r\ncontent-length: {length}\r\nconnection: close\r\n", reply.status);
    stream.write_all(format!("{head}{}\r\n{}", reply.headers, reply.body).as_bytes())
}
