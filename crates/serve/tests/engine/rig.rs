//! The engine's server around a scripted stepper, clients of it, and recordings to hold its replies against.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::engine::{EngineConfig, ImageRules};
use engine::pixels::Normalisation;
use engine::prompt::{Prompt, PromptRules};
use engine::schedule::SchedulerConfig;
use engine::stepper::ScriptedStepper;
use engine::text::TextFiles;
use geometry::{Family, Preprocessor};
use serde_json::{Value, json};
use serve::{EngineBackend, Listening, ModelParts, ServeOptions, StopHandle, TextSide};

pub(crate) const VOCAB: usize = 151_936;
/// Ids from here on name texts that a test adds to the vocabulary.
const ADDED: u32 = 100_000;

pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data").join(name)
}

pub(crate) fn text(name: &str) -> String {
    let path = data(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A server of the engine with its template and tokenizer; gone when dropped.
pub(crate) struct Server {
    address: SocketAddr,
    pub(crate) handle: StopHandle,
    thread: Option<JoinHandle<()>>,
}

/// How it is set up.
pub(crate) struct Setup {
    pub(crate) options: ServeOptions,
    /// Bytes of tokens that the cut vocabulary lacks, with their ids.
    vocabulary: Vec<(Vec<u8>, u32)>,
    /// Words of prompts that are one token of the full vocabulary, whose merges the cut one lacks.
    pub(crate) words: Vec<(&'static str, u32)>,
}

impl Setup {
    pub(crate) fn new(name: &str) -> Self {
        let scheduler = SchedulerConfig {
            max_num_seqs: 256,
            max_num_batched_tokens: 4096,
            max_model_len: 16384,
            block_tokens: 16,
            blocks: 8192,
            prefix_caching: true,
            encoder_tokens: 16384,
        };
        let options = ServeOptions {
            names: vec![name.to_owned()],
            root: name.to_owned(),
            api_key: None,
            idle_close_ms: 300_000,
            engine: EngineConfig { scheduler, queue_max: 10_000, seed: 0 },
            images_max: 999,
            local_media: None,
            remote_media: None,
            max_logprobs: 20,
        };
        Self { options, vocabulary: Vec::new(), words: Vec::new() }
    }

    /// A server whose greedy answers are tokens of these texts, over and over.
    pub(crate) fn answering(self, texts: &[&str]) -> Server {
        let tokens: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
        self.answering_bytes(&tokens)
    }

    /// The same for tokens that need not be whole characters.
    pub(crate) fn answering_bytes(mut self, tokens: &[&[u8]]) -> Server {
        let ids: Vec<u32> = tokens.iter().map(|token| self.id_of(token)).collect();
        self.start(ScriptedStepper::new(VOCAB, move |prompt, after, row| {
            let place = (after + 1).saturating_sub(prompt.len()) % ids.len();
            row[ids[place] as usize] = 60.0;
        }))
    }

    /// The id of a token of this text, which is added to the vocabulary if it has to be.
    pub(crate) fn id(&mut self, text: &str) -> u32 {
        self.id_of(text.as_bytes())
    }

    fn id_of(&mut self, token: &[u8]) -> u32 {
        if let Some((_, id)) = self.vocabulary.iter().find(|(other, _)| other.as_slice() == token) {
            return *id;
        }
        if let Some(id) = cut_tokenizer()["model"]["vocab"][written(token)].as_u64() {
            return u32::try_from(id).unwrap();
        }
        let vocabulary = cut_tokenizer()["model"]["vocab"].as_object().unwrap();
        let is_taken = |id: &u32| {
            self.vocabulary.iter().any(|(_, other)| other == id) || vocabulary.values().any(|other| other == id)
        };
        let id = (ADDED..).find(|id| !is_taken(id)).unwrap();
        self.vocabulary.push((token.to_vec(), id));
        id
    }

    /// Adds a token to the vocabulary under its id.
    pub(crate) fn know(&mut self, text: &str, id: u64) {
        self.vocabulary.push((text.as_bytes().to_vec(), u32::try_from(id).unwrap()));
    }

    pub(crate) fn scripted(self, script: impl FnMut(&Prompt, usize, &mut [f32]) + Send + 'static) -> Server {
        self.start(ScriptedStepper::new(VOCAB, script))
    }

    fn start(self, stepper: ScriptedStepper) -> Server {
        let files = TextFiles {
            tokenizer: tokenizer(&self.vocabulary, &self.words),
            tokenizer_config: Some(text("tokenizer/tokenizer_config.json")),
            ..TextFiles::default()
        };
        let parts = ModelParts {
            stepper: Box::new(stepper),
            text: TextSide::new(&files, Some(&text("chat-template/chatml.jinja")), None, true).unwrap(),
            prompt_rules: PromptRules { image_token: 151_655, merge_size: 2 },
            image_rules: ImageRules {
                preprocessor: Preprocessor::of(Family::Qwen2Vl),
                normalisation: Normalisation::CLIP,
            },
            vocab_size: VOCAB as u32,
        };
        let backend = EngineBackend::start(parts, &self.options).unwrap();
        let listening = Listening::bind("127.0.0.1", 0, None, Box::new(backend)).unwrap();
        let (address, handle) = (listening.address().unwrap(), listening.handle());
        let thread = std::thread::spawn(move || listening.serve().unwrap());
        Server { address, handle, thread: Some(thread) }
    }
}

/// The cut tokenizer and more tokens, each written as byte-level BPE writes it.
fn tokenizer(more: &[(Vec<u8>, u32)], words: &[(&str, u32)]) -> String {
    let mut tokenizer = cut_tokenizer().clone();
    let vocabulary = tokenizer["model"]["vocab"].as_object_mut().unwrap();
    let known: HashMap<u64, String> =
        vocabulary.iter().map(|(text, id)| (id.as_u64().unwrap(), text.clone())).collect();
    for (token, id) in more {
        let written = written(token);
        match known.get(&u64::from(*id)) {
            Some(known) => assert_eq!(*known, written, "{id}"),
            None => drop(vocabulary.insert(written, json!(id))),
        }
    }
    for (word, id) in words {
        tokenizer["model"]["vocab"][word] = json!(id);
        let added = json!({"id": id, "content": word, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": false});
        tokenizer["added_tokens"].as_array_mut().unwrap().push(added);
    }
    tokenizer.to_string()
}

/// A token's text as the vocabulary has it.
fn written(token: &[u8]) -> String {
    token.iter().copied().map(byte_letter).collect()
}

fn cut_tokenizer() -> &'static Value {
    static CUT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(&text("tokenizer/tokenizer.json")).unwrap());
    &CUT
}

/// The letter that stands for a byte in the vocabulary (`bytes_to_unicode` of GPT-2).
pub(crate) fn byte_letter(byte: u8) -> char {
    let stands_for_itself = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if stands_for_itself(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|other| !stands_for_itself(*other)).count();
    char::from_u32(256 + u32::try_from(before).unwrap()).unwrap()
}

impl Server {
    /// One request on a connection of its own.
    pub(crate) fn post(&self, path: &str, body: &str) -> Reply {
        self.ask(&post(path, body))
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.ask(&format!("GET {path} HTTP/1.1\r\nconnection: close\r\n\r\n"))
    }

    pub(crate) fn ask(&self, request: &str) -> Reply {
        let mut bytes = Vec::new();
        self.connect(request).read_to_end(&mut bytes).unwrap();
        Reply::read(&bytes)
    }

    pub(crate) fn connect(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(600))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    /// A figure of `/metrics`: the line that begins so.
    pub(crate) fn figure(&self, begins: &str) -> f64 {
        let page = self.get("/metrics").body();
        let line = page.lines().find(|line| line.starts_with(begins)).unwrap_or_else(|| panic!("{begins}\n{page}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    }

    /// Waits for the thread to end.
    pub(crate) fn join(mut self) {
        self.thread.take().unwrap().join().unwrap();
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

pub(crate) fn post(path: &str, body: &str) -> String {
    let length = body.len();
    let head = "connection: close\r\ncontent-type: application/json";
    format!("POST {path} HTTP/1.1\r\nhost: h\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// A reply: its status line, its headers, and its body in the chunks that it came in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) chunks: Vec<String>,
}

impl Reply {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).unwrap();
        let (head, mut body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text}"));
        let mut lines = head.lines();
        let status = lines.next().unwrap().to_owned();
        let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        let headers: HashMap<String, String> = lines.filter_map(header).collect();
        let mut chunks = Vec::new();
        if headers.contains_key("transfer-encoding") {
            loop {
                let (size, rest) = body.split_once("\r\n").unwrap_or_else(|| panic!("cut short: {text}"));
                let size = usize::from_str_radix(size, 16).unwrap();
                if size == 0 {
                    break;
                }
                chunks.push(rest[..size].to_owned());
                body = &rest[size + 2..];
            }
        } else {
            chunks.push(body.to_owned());
        }
        Self { status, headers, chunks }
    }

    pub(crate) fn recorded(name: &str) -> Self {
        Self::read(recording(&format!("{name}.http")).as_bytes())
    }

    pub(crate) fn body(&self) -> String {
        self.chunks.concat()
    }

    /// The JSON of every event, without the end marker; of a whole reply its body.
    pub(crate) fn json(&self) -> Vec<Value> {
        let data = self.chunks.iter().map(|chunk| chunk.strip_prefix("data: ").unwrap_or(chunk).trim());
        data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    /// What is said, without what no two replies say alike: ids, times, names of builds.
    pub(crate) fn essence(&self) -> (String, Option<String>, Vec<String>) {
        let body = |chunk: &String| {
            let mut chunk = chunk.clone();
            for field in ["\"id\":\"", "\"created\":", "\"system_fingerprint\":\"", "\"owned_by\":\""] {
                chunk = without(&chunk, field);
            }
            chunk
        };
        let content = self.headers.get("content-type").cloned();
        (self.status.clone(), content, self.chunks.iter().map(body).collect())
    }
}

/// A JSON text without the values of a field whose beginning is given.
fn without(text: &str, field: &str) -> String {
    let mut parts = text.split(field);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end =
            if field.ends_with('"') { part.find('"') } else { part.find(|letter: char| !letter.is_ascii_digit()) };
        out.push_str(field);
        out.push_str(&part[end.unwrap_or(0)..]);
    }
    out
}

/// A file of the recordings, which lie in two folders.
fn recording(name: &str) -> String {
    let folders = ["vllm-0.32.0", "vllm-0.32.0-2"].map(|folder| format!("{folder}/{name}"));
    text(folders.iter().find(|file| data(file).exists()).unwrap_or(&folders[0]))
}

/// A recorded request. Its photograph is replaced by a picture of the same size.
pub(crate) fn request(name: &str) -> String {
    let url = STANDARD.encode(std::fs::read(data("pictures/road_1080x810.png")).unwrap());
    recording(&format!("requests/{name}.json")).replace("<photo_1080x810.png as base64>", &url)
}
