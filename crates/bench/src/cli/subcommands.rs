//! Flags of the sub-commands.

use super::args::whole;
use super::values::{ClockArg, DefinitionsArg};
use crate::image::ImageError;
use crate::words::{Words, words};
use clap::{Args, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// Flags of `report`.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// Folder of the run, or its run.jsonl
    pub run: PathBuf,
    /// What to print
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub format: ReportFormat,
    /// What counts as a token; without it, as in the run
    #[arg(long, value_enum)]
    pub definitions: Option<DefinitionsArg>,
    /// Which time of an event counts; without it, as in the run
    #[arg(long, value_enum)]
    pub clock: Option<ClockArg>,
    /// Limits of a good request, in ms: "ttft:500 tpot:50"; without it, the run's
    #[arg(long, value_name = "LIMITS", num_args = 1..)]
    pub goodput: Vec<String>,
    /// Limits of the run, "FIGURE:STATISTIC:MS" such as "ttft:p99:500"; one that is missed makes the exit status 4;
    /// without it, the run's
    #[arg(long, value_name = "LIMITS", num_args = 1..)]
    pub slo: Vec<String>,
    /// The least part of what was expected of the answers that must be right, 0 to 1; without it, the run's
    #[arg(long, value_name = "PART", value_parser = part)]
    pub min_score: Option<f64>,
    /// Byte order mark before CSV, for Excel
    #[arg(long)]
    pub bom: bool,
}

/// Flags of `compare`.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// Folders of two or more runs, or their run.jsonl; each is held against the first
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// What to print
    #[arg(id = "compare_format", long = "format", value_name = "FORMAT", value_enum, default_value_t = CompareFormat::Text)]
    pub format: CompareFormat,
    /// What counts as a token; without it, as in the first run
    #[arg(long, value_enum)]
    pub definitions: Option<DefinitionsArg>,
    /// Which time of an event counts; without it, as in the first run
    #[arg(long, value_enum)]
    pub clock: Option<ClockArg>,
    /// Byte order mark before CSV, for Excel
    #[arg(long)]
    pub bom: bool,
}

/// Flags of `parse-log`.
#[derive(Debug, Clone, Args)]
pub struct ParseLogArgs {
    /// Log files; - is standard input. Several get a last column with the file of each row
    #[arg(required = true)]
    pub logs: Vec<PathBuf>,
    /// Write the answers (image, answer) instead of the figures
    #[arg(long)]
    pub answers: bool,
    /// A column more that says what is special about a block
    #[arg(long)]
    pub flags: bool,
    /// Byte order mark, for Excel
    #[arg(long)]
    pub bom: bool,
}

/// Flags of `calibrate`.
#[derive(Debug, Clone, Args)]
pub struct CalibrateArgs {
    /// Streams at once, one case for each number; without it the usual cases, about a minute
    #[arg(long, value_name = "N", num_args = 1.., value_delimiter = ',', value_parser = whole::<u32>(1..=50_000))]
    pub streams: Vec<u32>,
    /// Between two events of a stream, ms; 0: back to back
    #[arg(long, value_name = "MS", value_parser = interval)]
    pub interval_ms: Option<f64>,
    /// Token events of a stream
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = whole::<u64>(2..=1_000_000))]
    pub tokens: u64,
    /// Pad each event to this many bytes
    #[arg(long, value_name = "BYTES", value_parser = whole::<usize>(1..=1_048_576))]
    pub event_bytes: Option<usize>,
    /// Put an image of about this many MB into every request
    #[arg(long, value_name = "MB", value_parser = megabytes)]
    pub image_mb: Option<f64>,
    /// Over TLS
    #[arg(long)]
    pub tls: bool,
    /// Which time of an event counts
    #[arg(long, value_enum, default_value = "kernel")]
    pub clock: ClockArg,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Flags of `scenes`.
#[derive(Debug, Clone, Args)]
pub struct ScenesArgs {
    /// Folder to write to; it must not hold scenes already
    pub folder: PathBuf,
    /// How many pictures
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = whole::<u64>(1..=10_000_000))]
    pub count: u64,
    /// Number of the first scene
    #[arg(long, value_name = "K", default_value_t = 0, value_parser = whole::<u64>(0..=1_000_000_000_000))]
    pub first: u64,
    /// Which scenes: those for examination or those for training, which are never the same; without it, training with
    /// --pool, else held-out
    #[arg(long, value_enum)]
    pub split: Option<SplitArg>,
    /// Size of the pictures
    #[arg(long, value_name = "WxH", default_value = "1080x810", value_parser = scene_size)]
    pub size: (u32, u32),
    /// Factor of the light
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = brightness)]
    pub brightness: f64,
    /// How far the whole picture is moved to the right and downward, in pixels of a picture of 1080x810
    #[arg(long, value_name = "X,Y", default_value = "0,0", allow_hyphen_values = true, value_parser = shift)]
    pub shift: (f64, f64),
    /// What fills the place that it leaves
    #[arg(long, value_enum, default_value_t = BorderArg::Black)]
    pub border: BorderArg,
    /// Light and noise that differ a little from picture to picture, as in a camera
    #[arg(long)]
    pub grain: bool,
    /// How many short questions expect.jsonl asks of each picture in each language, beside the description
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = whole::<u32>(0..=100))]
    pub questions: u32,
    /// Write a training pool instead: pictures at the model's size, in shards of 4096
    #[arg(long, conflicts_with_all = ["size", "brightness", "shift", "border", "grain", "questions"])]
    pub pool: bool,
}

/// [`scenes::Split`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SplitArg {
    /// For examination.
    HeldOut,
    /// For training.
    Training,
}

/// [`scenes::Border`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BorderArg {
    /// Black.
    Black,
    /// The outermost pixels, repeated.
    Edge,
}

/// What `completions` takes.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// What `man` takes.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// Where the pages go; it is made if it is not there
    #[arg(value_name = "DIR")]
    pub pages: PathBuf,
}

/// The command line of `vlm-server`.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    /// As `vlm-server` takes them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

/// What `report` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// The block and everything beneath it.
    Text,
    /// The block alone.
    Block,
    /// summary.json.
    Json,
    /// requests.csv.
    Csv,
    /// The JSON of vllm bench serve.
    Vllm,
}

/// What `compare` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompareFormat {
    /// Runs, figures, answers and cautions.
    Text,
    /// All of it as JSON.
    Json,
    /// The figures as CSV.
    Csv,
}

fn interval(given: &str) -> Result<f64, Words> {
    within(given, 0.0, 60_000.0)
        .ok_or_else(|| words("milliseconds from 0 to 60000 are expected", "应为 0 到 60000 的毫秒数"))
}

fn megabytes(given: &str) -> Result<f64, Words> {
    within(given, 0.01, 150.0)
        .ok_or_else(|| words("megabytes from 0.01 to 150 are expected", "应为 0.01 到 150 的 MB 数"))
}

/// A part of a whole.
pub(super) fn part(given: &str) -> Result<f64, Words> {
    within(given, 0.0, 1.0)
        .ok_or_else(|| words("a number from 0 to 1 is expected, such as 0.98", "应为 0 到 1 的数，例如 0.98"))
}

fn scene_size(given: &str) -> Result<(u32, u32), Words> {
    let sides = given.split_once(['x', 'X', '×']).and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    let (width, height) =
        sides.ok_or_else(|| words("width x height is expected, such as 1080x810", "应为 宽x高，例如 1080x810"))?;
    scenes::check_size(width, height).map_err(|_| {
        let error = ImageError::BadSceneSize { width, height };
        words(error.text(false), error.text(true))
    })
}

fn brightness(given: &str) -> Result<f64, Words> {
    within(given, 0.05, 5.0).ok_or_else(|| words("a factor from 0.05 to 5 is expected", "应为 0.05 到 5 的倍数"))
}

fn shift(given: &str) -> Result<(f64, f64), Words> {
    let way = |text: &str| within(text.trim(), -1000.0, 1000.0);
    let both = given.split_once(',').and_then(|(x, y)| Some((way(x)?, way(y)?)));
    both.ok_or_else(|| {
        words("X,Y is expected, each from -1000 to 1000, such as 40,-25", "应为 X,Y，各为 -1000 到 1000，例如 40,-25")
    })
}

fn within(given: &str, least: f64, most: f64) -> Option<f64> {
    given.parse::<f64>().ok().filter(|value| (least..=most).contains(value))
}
