//! Every flag, as clap sees it. Checks that need more than one flag are the plan's.

use super::subcommands::{
    CalibrateArgs, CompareArgs, CompletionsArgs, ManArgs, ParseLogArgs, ReportArgs, ScenesArgs, ServerArgs,
};
use super::values::{Arrivals, ClockArg, DefinitionsArg, DetailArg, ImageAs, LangArg, MaxTokensField, OverCap};
use crate::words::{Words, words};
use clap::{Args, Parser, Subcommand};
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// Tokens of an answer that may be asked for.
pub(crate) const OUTPUT_LEN: RangeInclusive<u64> = 1..=10_000_000;

/// Measure how fast and how right a vision-language model is served: the accuracy run, the performance run and load
/// beyond them, against any server that speaks the OpenAI chat protocol.
#[derive(Debug, Parser)]
#[command(
    name = "vlm-benchmark",
    version,
    args_conflicts_with_subcommands = true,
    args_override_self = true,
    after_help = "Flags may be written with - or with _: --image-path and --image_path are one.",
    max_term_width = 110
)]
pub struct Cli {
    /// What to do other than a run.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The run.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Everything but a run.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compute a run's figures again from its folder, without a server
    Report(ReportArgs),
    /// Lay runs side by side: figures with their ratios, where answers part, and what was asked differently
    Compare(CompareArgs),
    /// Turn benchmark logs (of this tool, the script, vllm bench serve, SGLang) into CSV
    ParseLog(ParseLogArgs),
    /// Draw pictures of road works whose truth is known, to grade a server by (--expect) or to train the small model
    Scenes(ScenesArgs),
    #[cfg(target_os = "linux")]
    /// Measure this client's own error on this machine, against a scripted server whose send times are known
    Calibrate(CalibrateArgs),
    /// Print the completion script of a shell
    Completions(CompletionsArgs),
    /// Write man pages into a folder
    Man(ManArgs),
    #[cfg(target_os = "linux")]
    /// vlm-server within this binary, for calibrate and --embedded
    #[command(hide = true)]
    Server(ServerArgs),
}

/// The flags of a run.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Image for every request; give it several times for several images in one request
    #[arg(long, value_name = "FILE", value_parser = any_path(), help_heading = "Images")]
    pub image_path: Vec<PathBuf>,
    /// Folder of images; requests draw different ones, shuffled by --seed
    #[arg(long, value_name = "DIR", help_heading = "Images")]
    pub image_dir: Option<PathBuf>,
    /// Look for images in the folders below --image_dir too
    #[arg(long, requires = "image_dir", help_heading = "Images")]
    pub recursive: bool,
    /// Made-up image instead of a file: noise:WxH, gradient:WxH, photo:WxH or scenes:WxH (drawn road works); may be repeated, requests take them in turn
    #[arg(long, value_name = "KIND:WxH", conflicts_with = "image_dir", help_heading = "Images")]
    pub synthetic_image: Vec<String>,
    /// Send text only
    #[arg(long, conflicts_with_all = ["image_dir", "synthetic_image"], help_heading = "Images")]
    pub no_image: bool,
    /// How many images of --image_dir or --synthetic-image one request holds
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole::<u32>(1..=1000), help_heading = "Images")]
    pub images_per_request: u32,
    /// Images before the text
    #[arg(long, overrides_with = "text_first", help_heading = "Images")]
    pub image_first: bool,
    /// Text before the images (the default, as the script does)
    #[arg(long, help_heading = "Images")]
    pub text_first: bool,
    /// How images travel: inside the request, as a path the server can read, or as a URL it fetches (--image-url-prefix)
    #[arg(long, value_enum, default_value_t = ImageAs::Base64, help_heading = "Images")]
    pub image_as: ImageAs,
    /// With --image-as url: what stands before the file's name
    #[arg(long, value_name = "URL", required_if_eq("image_as", "url"), help_heading = "Images")]
    pub image_url_prefix: Option<String>,
    /// Largest image file accepted, bytes
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20, value_parser = whole::<u64>(1..=u64::MAX), help_heading = "Images")]
    pub max_image_bytes: u64,
    /// Scale images to this size and re-encode them as PNG; without it bytes are sent untouched
    #[arg(long, value_name = "WxH", help_heading = "Images")]
    pub resize: Option<String>,
    /// Cold caches: no request before the measured ones, and every image different at the same token count
    #[arg(long, help_heading = "Images")]
    pub cold: bool,
    /// Prove that the image reaches the model: it is billed, and another one changes the answer
    #[arg(long, help_heading = "Images")]
    pub image_proof: bool,

    /// Grade the answers of the accuracy run: JSON lines with "image", "prompt" and what is expected, "answer" or "facts"
    #[arg(long, value_name = "FILE", help_heading = "Prompt and model")]
    pub expect: Option<PathBuf>,
    /// With --expect: the least part that must be right, 0 to 1; under it the exit status is 4
    #[arg(long, value_name = "PART", requires = "expect", value_parser = super::subcommands::part, help_heading = "Prompt and model")]
    pub min_score: Option<f64>,

    /// The text of every request
    #[arg(long, default_value = "请描述这张图片", help_heading = "Prompt and model")]
    pub prompt: String,
    /// File of prompts: one a line, or JSONL with "prompt" and optionally "image" and "output_len"; taken in turn
    #[arg(long, value_name = "FILE", conflicts_with = "prompt", help_heading = "Prompt and model")]
    pub prompts: Option<PathBuf>,
    /// Made-up prompts of exactly this many tokens, each different (needs a tokenizer)
    #[arg(long, value_name = "TOKENS", conflicts_with_all = ["prompt", "prompts"], value_parser = whole::<u32>(1..=1_000_000), help_heading = "Prompt and model")]
    pub synthetic_prompt_tokens: Option<u32>,
    /// Folder of the model (its tokenizer), and the model's name in requests unless --served-model-name is given; empty:
    /// the one the server has
    #[arg(long, default_value = "", hide_default_value = true, help_heading = "Prompt and model")]
    pub model: String,
    /// The model's name in requests
    #[arg(long, value_name = "NAME", help_heading = "Prompt and model")]
    pub served_model_name: Option<String>,
    /// Tokenizer other than --model's: a folder, a tokenizer.json, or a hub id
    #[arg(long, value_name = "FOLDER|ID", help_heading = "Prompt and model")]
    pub tokenizer: Option<String>,
    /// Most tokens of an answer
    #[arg(long, value_name = "TOKENS", default_value_t = 512, value_parser = whole::<u64>(OUTPUT_LEN), help_heading = "Prompt and model")]
    pub output_len: u64,
    /// Always generate --output_len tokens; the answer is not printed then
    #[arg(long, help_heading = "Prompt and model")]
    pub ignore_eos: bool,
    /// Name of the field that limits the answer; older forks know max_tokens only
    #[arg(long, value_enum, default_value_t = MaxTokensField::MaxTokens, help_heading = "Prompt and model")]
    pub max_tokens_field: MaxTokensField,
    /// Sampling temperature
    #[arg(long, default_value_t = 0.0, help_heading = "Prompt and model")]
    pub temperature: f64,
    /// Fields to add to every request, a JSON object
    #[arg(long, value_name = "JSON", help_heading = "Prompt and model")]
    pub extra_body: Option<String>,
    /// Ask for usage on every event, so that tokens per event are known (vLLM)
    #[arg(long, help_heading = "Prompt and model")]
    pub continuous_usage: bool,

    /// Server's host
    #[arg(long, default_value = "127.0.0.1", help_heading = "Server")]
    pub host: String,
    /// Server's port
    #[arg(long, default_value_t = 8000, value_parser = whole::<u16>(1..=65_535), help_heading = "Server")]
    pub port: u16,
    /// Server's URL, instead of host and port; a path in it is kept
    #[arg(long, value_name = "URL", conflicts_with_all = ["host", "port"], help_heading = "Server")]
    pub base_url: Option<String>,
    /// Start a server of this program's own for the run: a small model on this machine's CPU, which knows drawn road works only
    #[arg(long, conflicts_with_all = ["host", "port", "base_url", "model", "served_model_name"], help_heading = "Server")]
    pub embedded: bool,
    /// With --embedded: another Qwen2-VL checkpoint folder
    #[arg(long, value_name = "DIR", requires = "embedded", help_heading = "Server")]
    pub embedded_model: Option<PathBuf>,
    /// Path of the chat endpoint
    #[arg(long, default_value = "/v1/chat/completions", help_heading = "Server")]
    pub endpoint: String,
    /// Key sent as "Authorization: Bearer …"; never written anywhere
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true, value_name = "KEY", help_heading = "Server")]
    pub api_key: Option<String>,
    /// Further header "Name: value"; may be repeated
    #[arg(long, value_name = "NAME: VALUE", help_heading = "Server")]
    pub header: Vec<String>,
    /// Certificate authorities to trust, PEM, instead of the system's
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub cacert: Option<PathBuf>,
    /// Do not check the server's certificate
    #[arg(long, help_heading = "Server")]
    pub insecure: bool,
    /// Switch the server's profiler on before the measured requests and off after (POST /start_profile, /stop_profile)
    #[arg(long, help_heading = "Server")]
    pub profile: bool,

    /// Requests in flight at once, 1 unless given; without --num-prompts also how many are sent
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1..=100_000), help_heading = "Load")]
    pub batch_size: Option<u32>,
    /// Requests in all
    #[arg(long, value_name = "N", value_parser = whole::<u64>(1..=10_000_000), help_heading = "Load")]
    pub num_prompts: Option<u64>,
    /// Most requests in flight; with --request-rate there is no cap without it
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1..=100_000), help_heading = "Load")]
    pub max_concurrency: Option<u32>,
    /// Send at this rate (requests per second) whatever the server does; inf: all at once
    #[arg(long, value_name = "PER_S", help_heading = "Load")]
    pub request_rate: Option<f64>,
    /// Spacing of arrivals with --request-rate
    #[arg(long, value_enum, default_value_t = Arrivals::Poisson, requires = "request_rate", help_heading = "Load")]
    pub arrivals: Arrivals,
    /// Shape of gamma-spaced arrivals: 1 is Poisson, smaller is burstier, larger is more even
    #[arg(long, value_name = "SHAPE", requires = "request_rate", help_heading = "Load")]
    pub burstiness: Option<f64>,
    /// What happens to an arrival when the cap is reached: it waits (its wait is recorded), or is recorded as not sent
    #[arg(long, value_enum, default_value_t = OverCap::Wait, help_heading = "Load")]
    pub over_cap: OverCap,
    /// Threads that send and receive, each with its part of the requests; one is enough for tens of thousands of events a
    /// second
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole::<u32>(1..=256), help_heading = "Load")]
    pub threads: u32,
    /// Stop sending after this many seconds (also 90s, 5m, 2h)
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Load")]
    pub duration: Option<f64>,
    /// Rounds before the measured ones, outside every figure
    #[arg(long, value_name = "ROUNDS", default_value_t = 0, value_parser = whole::<u32>(0..=10_000), help_heading = "Load")]
    pub warmup: u32,
    /// Measured rounds, pooled into one block
    #[arg(long, value_name = "ROUNDS", default_value_t = 1, value_parser = whole::<u32>(1..=10_000), help_heading = "Load")]
    pub num_rounds: u32,
    /// Seed of shuffling, arrivals and everything made up
    #[arg(long, default_value_t = 0, value_parser = whole::<u64>(0..=u64::MAX), help_heading = "Load")]
    pub seed: u64,

    /// Seconds until a connection is open
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = seconds, help_heading = "Limits")]
    pub connect_timeout: f64,
    /// Seconds until the first token
    #[arg(long, value_name = "SECONDS", default_value_t = 1800.0, value_parser = seconds, help_heading = "Limits")]
    pub first_token_timeout: f64,
    /// Seconds without anything from the server, after the first token
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0, value_parser = seconds, help_heading = "Limits")]
    pub idle_timeout: f64,
    /// Seconds for a whole request
    #[arg(long, value_name = "SECONDS", default_value_t = 21600.0, value_parser = seconds, help_heading = "Limits")]
    pub total_timeout: f64,

    /// Folder for the run's files; otherwise one in the user's state folder
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub output_dir: Option<PathBuf>,
    /// Write no files
    #[arg(long, conflicts_with_all = ["output_dir", "save_result"], help_heading = "Output")]
    pub no_save: bool,
    /// What the run's file keeps of each request
    #[arg(long, value_enum, default_value = "stamps", help_heading = "Output")]
    pub detail: DetailArg,
    /// Also write the JSON that `vllm bench serve --save-result` writes
    #[arg(long, help_heading = "Output")]
    pub save_result: bool,
    /// Byte order mark in requests.csv, for Excel
    #[arg(long, help_heading = "Output")]
    pub bom: bool,
    /// Name of the run
    #[arg(long, help_heading = "Output")]
    pub label: Option<String>,
    /// The card that serves, as it is to stand in the records
    #[arg(long, help_heading = "Output")]
    pub card: Option<String>,
    /// Its driver, as it is to stand in the records
    #[arg(long, help_heading = "Output")]
    pub driver: Option<String>,
    /// What counts as a token: ours, or the older meaning that continues tables made with the Python script
    #[arg(long, value_enum, default_value = "standard", help_heading = "Output")]
    pub definitions: DefinitionsArg,
    /// Which time of an event counts: the kernel's receive time, or our own read
    #[arg(long, value_enum, default_value = "kernel", help_heading = "Output")]
    pub clock: ClockArg,
    /// Limits of a good request, in ms: "ttft:500 tpot:50 e2e:10000"
    #[arg(long, value_name = "LIMITS", num_args = 1.., help_heading = "Output")]
    pub goodput: Vec<String>,
    /// Limits of the run, "FIGURE:STATISTIC:MS" such as "ttft:p99:500 tpot:mean:50"; one that is missed makes the exit
    /// status 4
    #[arg(long, value_name = "LIMITS", num_args = 1.., help_heading = "Output")]
    pub slo: Vec<String>,
    /// Exit status 5 unless the client calls its own figures good ("client: figures good to ±…")
    #[arg(long, help_heading = "Output")]
    pub strict_client: bool,
    /// Print the plan as JSON, send nothing
    #[arg(long, help_heading = "Output")]
    pub dry_run: bool,
    /// Language of talk and help
    #[arg(long, value_enum, global = true, help_heading = "Output")]
    pub lang: Option<LangArg>,
}

/// A path that may be empty: the script's default is, and shell scripts pass it on.
fn any_path() -> impl clap::builder::TypedValueParser<Value = PathBuf> {
    use clap::builder::{OsStringValueParser, TypedValueParser};
    OsStringValueParser::new().map(PathBuf::from)
}

/// A whole number within bounds.
pub(super) fn whole<T: TryFrom<u64>>(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, Words> + Clone + Send + Sync + 'static {
    move |given| {
        let number = given.parse::<u64>().ok().filter(|number| range.contains(number));
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| match (range.start(), range.end()) {
            (least, &u64::MAX) => {
                words(format!("a whole number of at least {least} is expected"), format!("应为不小于 {least} 的整数"))
            }
            (least, most) => words(
                format!("a whole number from {least} to {most} is expected"),
                format!("应为 {least} 到 {most} 的整数"),
            ),
        })
    }
}

/// Seconds, or a number with its unit.
fn seconds(given: &str) -> Result<f64, Words> {
    let (number, unit) = match given.trim_end_matches(|c: char| c.is_ascii_alphabetic()) {
        number if number.len() < given.len() => (number, &given[number.len()..]),
        number => (number, "s"),
    };
    let factor = match unit {
        "ms" => Some(0.001),
        "s" | "sec" => Some(1.0),
        "m" | "min" => Some(60.0),
        "h" => Some(3600.0),
        _ => None,
    };
    let seconds = number.trim().parse::<f64>().ok().zip(factor).map(|(number, factor)| number * factor);
    seconds.ok_or_else(|| {
        words(
            "seconds are expected, such as 90, or a number with a unit: 90s, 5m, 2h",
            "应为秒数，例如 90，或带单位的数：90s、5m、2h",
        )
    })
}
