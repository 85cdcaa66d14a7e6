//! The log of a run: one JSON object a line. A header, the records as they end, a footer. A run that was killed has no
//! footer and at most one torn last line; everything before it is read.

use crate::expect::Expectation;
use crate::image::ImageFacts;
use crate::record::RequestRecord;
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod read;

pub use read::{LogError, LogParser};

/// Version of the log and of the summary. It rises when a reader of the older form would misread the newer one.
pub const SCHEMA_VERSION: u32 = 1;

/// How much of each request is kept on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Detail {
    /// The events that bound a figure, and answers only where they are printed, graded or counted.
    Summary,
    /// Every event's time, kind and size, and the same answers.
    #[default]
    Stamps,
    /// Every event and every answer.
    Text,
}

/// Which run it is: when, by what, and the user's own words for it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunName {
    /// Name and version of the client.
    pub tool: String,
    /// When the run began, UTC, RFC 3339.
    pub started: String,
    /// The user's name for the run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub label: Option<String>,
    /// The card that serves, as the user named it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub card: Option<String>,
    /// Its driver, as the user named it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub driver: Option<String>,
}

/// The first line: what was measured, with what, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema: u32,
    /// Which run this is.
    #[serde(flatten)]
    pub run: RunName,
    /// The full plan of the run, secrets left out.
    pub plan: Value,
    /// Whether the end token was to be ignored.
    pub ignore_eos: bool,
    /// How much of each request is kept.
    pub detail: Detail,
    /// What the server says of itself.
    pub server: ServerFacts,
    /// The machine the client ran on.
    pub client: ClientFacts,
    /// Where the times of the records are counted from.
    pub clocks: Clocks,
    /// The images, numbered from 0. Never their bytes.
    pub images: Vec<ImageFacts>,
    /// Image tokens expected for each image, by the model's preprocessor settings, where they are known.
    #[serde(default)]
    pub expected_image_tokens: Vec<Option<u64>>,
    /// The prompts, numbered from 0.
    pub prompts: Vec<PromptFacts>,
    /// What is expected of the answers of the accuracy run, one for each of its requests.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub expectations: Vec<Expectation>,
}

impl Header {
    /// Image tokens expected for these images together; `None` for no images, and when one is unknown.
    #[must_use]
    pub fn expected_tokens(&self, images: &[u32]) -> Option<u64> {
        let each = |image: &u32| self.expected_image_tokens.get(*image as usize).copied().flatten();
        images.iter().map(each).reduce(|sum, each| sum?.checked_add(each?))?
    }
}

/// What the server says of itself; absent where it does not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerFacts {
    /// Where requests go.
    pub url: String,
    /// The model named in the requests.
    pub model: String,
    /// `/version`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<Value>,
    /// `/v1/models`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub models: Option<Value>,
    /// The names that its `/metrics` offers.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub metric_names: Vec<String>,
    /// The `server` header of its replies.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub software: Option<String>,
}

/// The machine the client ran on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientFacts {
    /// Operating system and architecture.
    pub os: String,
    /// Processor, where the system tells.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cpu: Option<String>,
    /// Cores the process may use.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cores: Option<u32>,
    /// Whether the kernel stamps what it receives.
    pub kernel_stamps: bool,
}

/// Where the times of a run are counted from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clocks {
    /// The origin of the run on the monotonic clock of this machine.
    pub origin_monotonic_ns: u64,
    /// The same instant on the wall clock (nanoseconds since 1970).
    pub origin_unix_ns: u64,
}

/// One prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromptFacts {
    /// The text, cut at 2,000 characters.
    pub text: String,
    /// Characters in all.
    pub chars: u64,
    /// SHA-256 of the whole text.
    pub sha256: String,
}

/// Tokens of the prompts' text, and who counted them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TextTokens {
    /// One count for each prompt of the header, `None` where unknown.
    pub counts: Vec<Option<u64>>,
    /// Who counted: `local-folder`, `hf-cache`, `server-tokenize`, …; `None` when nobody could.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<String>,
}

/// What came of the question whether the picture reached the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageProof {
    /// The verdict.
    pub verdict: ProofVerdict,
    /// Prompt tokens billed with the image.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub with_image: Option<u64>,
    /// Prompt tokens billed for the same text without it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub without_image: Option<u64>,
    /// Image tokens expected, all images together.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expected: Option<u64>,
    /// How many images the request held.
    pub images: u64,
    /// Whether another picture of the same size changed the answer or its log probabilities.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub effect: Option<bool>,
    /// Whether it changed the answer's words; absent where equal questions get different ones.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub words_changed: Option<bool>,
    /// By how much at most it changed the log probability of a token, where the words stayed; absent where they did not, and where
    /// the server gave none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub logprob_change: Option<f64>,
    /// The question that `effect` and `logprob_change` are of, where it is not the prompt: it is asked where another picture
    /// changed nothing of the answer to that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub question: Option<String>,
}

/// Verdict of an image proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofVerdict {
    /// Billed as expected, and another picture changes the answer.
    Seen,
    /// Billed, but another picture changes nothing.
    BilledWithoutEffect,
    /// Billed with another size than expected.
    UnexpectedSize,
    /// Not billed at all.
    NotSeen,
    /// The server tells too little to judge.
    Unknown,
}

/// One of the server's own times: what came to a histogram of its `/metrics` during the measured rounds. Requests of other
/// clients are in it too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerTime {
    /// The histogram's name.
    pub name: String,
    /// How many values came.
    pub n: u64,
    /// Their mean, ns.
    pub mean_ns: u64,
}

impl ServerTime {
    /// How the name of a histogram of first tokens ends (vLLM and SGLang).
    pub const TTFT: &str = ":time_to_first_token_seconds";
    /// How the name of a histogram of whole answers ends.
    pub const END_TO_END: &str = ":e2e_request_latency_seconds";

    /// The mean in ms.
    #[must_use]
    pub fn mean_ms(&self) -> f64 {
        self.mean_ns as f64 / 1e6
    }
}

/// The last line: what is known only at the end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Footer {
    /// Why the run stopped before its end, if it did: `SIGINT`, `SIGTERM`, ….
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub interrupted: Option<String>,
    /// Tokens of the prompts' text.
    pub text_tokens: TextTokens,
    /// Output tokens that the client counted over whole answers: pairs of a request's number and its count. Reading a log
    /// puts them into the records.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub retokenised: Vec<(u64, u64)>,
    /// The image proof, if one was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub image_proof: Option<ImageProof>,
    /// How far the wall clock moved against the monotonic one during the run, nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub wall_clock_step_ns: Option<i64>,
    /// Processor time of the client during the run, nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_cpu_ns: Option<u64>,
    /// The part of it that fell into the measured rounds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_cpu_load_ns: Option<u64>,
    /// Largest resident size of the client, bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_rss_bytes_max: Option<u64>,
    /// How often the system took a core away from the client during the run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_involuntary_switches: Option<u64>,
    /// TCP segments that this machine sent again during the run, whoever sent them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tcp_retransmits: Option<u64>,
    /// The server's own times over the measured rounds, where its `/metrics` tells.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub server_times: Vec<ServerTime>,
    /// A proxy that the requests went through, credentials left out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proxy: Option<String>,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Line {
    /// The first.
    Header(Box<Header>),
    /// One request.
    Request(Box<RequestRecord>),
    /// The last.
    Footer(Box<Footer>),
}

/// A whole run, as read from disk or gathered in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct RunLog {
    /// What was measured.
    pub header: Header,
    /// The requests, by their number.
    pub records: Vec<RequestRecord>,
    /// `None` for a run that did not end in order.
    pub footer: Option<Footer>,
}

impl RunLog {
    /// Whether the run came to its planned end.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.footer.as_ref().is_some_and(|footer| footer.interrupted.is_none())
    }
}
