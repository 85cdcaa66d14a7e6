//! A server in a thread with limits of the test's choice, and a client that speaks HTTP by hand.

use serve::{Backend, Keep, Limits, Listening, Script, ScriptedBackend, StopHandle};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A running server; gone when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) handle: StopHandle,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// With this backend; `change` sets what the test is about.
    pub(crate) fn with(backend: impl Backend + 'static, change: impl FnOnce(&mut Listening)) -> Self {
        let mut listening = Listening::bind("127.0.0.1", 0, None, Box::new(backend)).unwrap();
        change(&mut listening);
        let (address, handle) = (listening.address().unwrap(), listening.handle());
        let thread = std::thread::spawn(move || listening.serve().unwrap());
        Self { address, handle, thread: Some(thread) }
    }

    /// That plays a script within these limits.
    pub(crate) fn limited(script: Script, limits: Limits) -> Self {
        Self::with(ScriptedBackend::new(script), |listening| {
            (listening.limits, listening.keep) = (limits, Keep::Everything);
        })
    }

    /// That plays a script.
    pub(crate) fn scripted(script: Script) -> Self {
        Self::limited(script, Limits::default())
    }

    pub(crate) fn client(&self) -> Client {
        Client::to(self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One connection to it.
pub(crate) struct Client {
    pub(crate) tcp: TcpStream,
    unread: Vec<u8>,
}

/// One reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Reply {
    /// Of recorded bytes: a head, and what follows.
    pub(crate) fn recorded(bytes: &[u8]) -> Self {
        let end = head_end(bytes).unwrap();
        Self { body: String::from_utf8(bytes[end..].to_vec()).unwrap(), ..Self::head(&bytes[..end]) }
    }

    fn head(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let mut lines = text.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        Self { status, headers: lines.filter_map(header).collect(), body: String::new() }
    }
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

impl Client {
    pub(crate) fn to(address: SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        tcp.set_write_timeout(Some(Duration::from_secs(120))).unwrap();
        Self { tcp, unread: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.tcp.write_all(bytes.as_ref()).unwrap();
        self
    }

    /// The next reply; with `has_body`, also as much of a body as its length says.
    fn next_reply(&mut self, has_body: bool) -> Reply {
        let end = loop {
            match head_end(&self.unread) {
                Some(end) => break end,
                None => assert!(self.more(), "the connection ended before a reply: {:?}", self.unread),
            }
        };
        let mut reply = Reply::head(&self.unread.drain(..end).collect::<Vec<_>>());
        let length = reply.headers.get("content-length").map_or(0, |value| value.parse().unwrap());
        if has_body {
            while self.unread.len() < length {
                assert!(self.more(), "the connection ended within a body");
            }
            reply.body = String::from_utf8(self.unread.drain(..length).collect()).unwrap();
        }
        reply
    }

    pub(crate) fn reply(&mut self) -> Reply {
        self.next_reply(true)
    }

    pub(crate) fn reply_without_body(&mut self) -> Reply {
        self.next_reply(false)
    }

    /// Reads until this stands in what was read, and takes it and all before it.
    pub(crate) fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.unread.windows(text.len()).position(|part| part == text.as_bytes()) {
                return String::from_utf8(self.unread.drain(..at + text.len()).collect()).unwrap();
            }
            assert!(self.more(), "the connection ended before {text}");
        }
    }

    /// Reads until nothing but this end of a long reply is left.
    pub(crate) fn read_over(&mut self, end: &str) {
        while !self.unread.ends_with(end.as_bytes()) {
            self.unread.drain(..self.unread.len().saturating_sub(end.len()));
            assert!(self.more(), "the connection ended before {end:?}");
        }
    }

    /// The rest, to an end that is no error.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.unread)
    }

    fn more(&mut self) -> bool {
        let mut room = vec![0; 1 << 20];
        loop {
            match self.tcp.read(&mut room) {
                Ok(count) => {
                    self.unread.extend_from_slice(&room[..count]);
                    return count > 0;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("{error} after {} bytes", self.unread.len()),
            }
        }
    }
}

/// A GET of this path.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n")
}

/// A streamed chat request.
pub(crate) fn chat(text: &str) -> String {
    let body = chat_body(text);
    format!("POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

pub(crate) fn chat_body(text: &str) -> String {
    format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}],"stream":true}}"#)
}

/// Bounded waiting for something that must come.
pub(crate) fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(start.elapsed() < Duration::from_secs(120), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
