//! Runs the binary with an environment of its own and reads what it leaves behind.

use measure::{Phase, RequestRecord, RunLog, RunSummary};
use serve::{Record, Script, ScriptedServer, StreamReply};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The picture of the project: 1080×810, 1131 image tokens.
pub(crate) fn picture() -> String {
    data("pictures/road_1080x810.png")
}

/// A folder with a tokenizer in which 请描述图片 has 3 tokens, and Qwen2-VL's preprocessor settings.
pub(crate) fn tokenizer() -> String {
    data("tokenizer")
}

/// A file of the test data.
pub(crate) fn data(name: &str) -> String {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data")).join(name).display().to_string()
}

/// One run of the binary and its folder.
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) folder: PathBuf,
    _home: TempDir,
}

impl Run {
    /// The log on disk.
    pub(crate) fn log(&self) -> RunLog {
        let bytes = std::fs::read(self.folder.join("run.jsonl")).unwrap_or_else(|e| panic!("{e}\n{}", self.stderr));
        RunLog::parse(&String::from_utf8(bytes).unwrap()).unwrap()
    }

    /// The measured requests.
    pub(crate) fn measured(&self) -> Vec<RequestRecord> {
        self.log().records.into_iter().filter(|record| record.phase == Phase::Measured).collect()
    }

    /// The summary on disk.
    pub(crate) fn summary(&self) -> RunSummary {
        serde_json::from_slice(&std::fs::read(self.folder.join("summary.json")).unwrap()).unwrap()
    }

    /// Mean of a figure, ms.
    pub(crate) fn mean(&self, metric: &str) -> f64 {
        let summary = self.summary();
        summary.metric(metric).unwrap_or_else(|| panic!("no {metric}\n{}", self.stderr)).mean.value
    }

    /// The value behind a label of the block.
    pub(crate) fn line(&self, label: &str) -> String {
        let line = self.stdout.lines().find(|line| line.starts_with(label));
        line.map(|line| line[label.len()..].trim().to_owned()).unwrap_or_else(|| panic!("no {label}\n{}", self.stderr))
    }

    /// Whether a caution of this kind was raised.
    pub(crate) fn has_caution(&self, kind: &str) -> bool {
        let json = serde_json::to_value(self.summary().cautions).unwrap();
        json.as_array().unwrap().iter().any(|caution| caution["kind"] == kind)
    }

    /// Panics with everything there is unless the status is this.
    pub(crate) fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, status, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// A binary about to be run.
pub(crate) struct Client {
    command: Command,
    folder: PathBuf,
    home: TempDir,
}

impl Client {
    /// With these words, split at white space; more may follow.
    pub(crate) fn new(words: &str) -> Self {
        let home = TempDir::new().unwrap();
        let folder = home.path().join("run");
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("vlm-benchmark"));
        command.env_clear().env("HOME", home.path()).env("LANG", "C.UTF-8");
        command.arg("--output-dir").arg(&folder).args(words.split_whitespace());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, folder, home }
    }

    /// Against this server.
    pub(crate) fn at(self, server: &ScriptedServer) -> Self {
        let url = server.url();
        self.arg("--base-url").arg(&url)
    }

    /// With one more word, white space kept.
    pub(crate) fn arg(mut self, word: &str) -> Self {
        self.command.arg(word);
        self
    }

    /// With this in the environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Where its files go.
    pub(crate) fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// With this as its standard input.
    pub(crate) fn stdin(mut self, from: impl Into<Stdio>) -> Self {
        self.command.stdin(from);
        self
    }

    /// Waits until a started one has written so many lines to its log: the header and a line a request.
    pub(crate) fn wait_for_lines(&self, lines: usize) {
        let log = self.folder.join("run.jsonl");
        wait_until(|| std::fs::read_to_string(&log).unwrap_or_default().lines().count() >= lines);
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Run {
        let child = self.command.spawn().unwrap();
        self.finish(child)
    }

    /// Starts it; [`Client::finish`] waits.
    pub(crate) fn spawn(&mut self) -> Child {
        self.command.spawn().unwrap()
    }

    /// Waits for a started one.
    pub(crate) fn finish(self, child: Child) -> Run {
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        Run {
            status: status.code().unwrap_or(-1),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
            folder: self.folder,
            _home: self.home,
        }
    }
}

/// A command of the binary that needs no server: stdout, stderr, status.
pub(crate) fn command(words: &[&str]) -> (String, String, i32) {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("vlm-benchmark"));
    let out = command.env_clear().env("LANG", "C.UTF-8").args(words).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(out.stdout), text(out.stderr), out.status.code().unwrap())
}

/// A server that plays this script.
pub(crate) fn serve(script: Script) -> ScriptedServer {
    ScriptedServer::start(script).unwrap()
}

/// A quick stream with these changes.
pub(crate) fn stream(change: impl FnOnce(&mut StreamReply)) -> Script {
    let mut reply = StreamReply { prefill_ms: 20.0, interval_ms: 5.0, tokens: 8, ..StreamReply::default() };
    change(&mut reply);
    Script::of(reply)
}

/// A text-only run against a script: the run and what the server saw.
pub(crate) fn text_run(script: Script, words: &str) -> (Run, Vec<Record>) {
    let server = serve(script);
    let run = Client::new(&format!("--no-image --model scripted {words}")).at(&server).run();
    let records = server.records();
    (run, records)
}

/// The request's body as the server saw it.
pub(crate) fn body(record: &Record) -> serde_json::Value {
    serde_json::from_slice(&record.body).unwrap()
}

/// Bounded waiting for something that must come.
pub(crate) fn wait_until(mut ready: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !ready() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A server that answers so many chats and is gone then; its port. `counts`: what its `/tokenize` says, if it has one.
pub(crate) fn vanishing(chats: usize, counts: Option<u64>) -> (u16, std::thread::JoinHandle<()>) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let reply = std::fs::read(data("vllm-0.32.0/stream_1tok.http")).unwrap();
    let none = || b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec();
    let counted = counts.map(|count| {
        let body = serde_json::json!({"count": count, "max_model_len": 16384}).to_string();
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    });
    let serve = move || {
        let mut left = chats;
        while left > 0 {
            let (mut connection, _) = listener.accept().unwrap();
            let mut head = [0; 64 * 1024];
            let count = connection.read(&mut head).unwrap();
            let answer = match &head[..count] {
                head if head.starts_with(b"POST /v1/chat") => {
                    left -= 1;
                    reply.clone()
                }
                head if head.starts_with(b"POST /tokenize") => counted.clone().unwrap_or_else(none),
                _ => none(),
            };
            connection.write_all(&answer).unwrap();
        }
    };
    (port, std::thread::spawn(serve))
}
