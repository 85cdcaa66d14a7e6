//! What was typed → what will be done. Checked, serialisable, without secrets: `--dry-run` prints it, the run's header
//! keeps it.

use crate::cli::{ImageAs, MaxTokensField, OverCap, PartOrder, RunArgs};
use crate::image::Synthetic;
use crate::net::{Limits, TargetError};
use crate::tokens::Spec;
use crate::words::{Words, words};
use measure::{Clock, Definitions, Detail, Lang, RunLimit, SloLimit};
use serde::Serialize;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::time::Duration;

mod access;
mod limits;
mod load;
mod secrets;
mod together;
mod values;

pub use access::Access;
pub use limits::{goodput, run_limits};
pub use load::Schedule;
use values::{at_least, extra_body, resize, seconds};

/// Why a command line cannot be done. Exit status 2.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A flag's value.
    #[error("{flag} {given:?}: {why}")]
    Value {
        /// The flag.
        flag: &'static str,
        /// What was given.
        given: String,
        /// What is allowed, and what to do.
        why: Words,
    },
    /// Flags that do not go together, or that are missing.
    #[error("{0}")]
    Combination(Words),
    /// The server's address or the proxy on the way.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A synthetic image's recipe.
    #[error(transparent)]
    Image(#[from] crate::image::ImageError),
}

impl PlanError {
    /// The error in one language, where it has both.
    #[must_use]
    pub fn text(&self, lang: Lang) -> String {
        match (self, lang) {
            (Self::Value { flag, given, why }, Lang::Zh) => format!("{flag} {given:?}：{}", why.text(Lang::Zh)),
            (Self::Combination(why), Lang::Zh) => why.text(Lang::Zh).to_owned(),
            (Self::Image(error), lang) => error.text(lang == Lang::Zh),
            (Self::Target(error), lang) => error.text(lang),
            (other, _) => other.to_string(),
        }
    }
}

/// Where the images come from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageSource {
    /// Text only.
    None,
    /// These files, all in every request.
    Files(Vec<PathBuf>),
    /// The files of a folder.
    Folder {
        /// The folder.
        path: PathBuf,
        /// The folders below it too.
        recursive: bool,
    },
    /// Made up by recipe.
    Synthetic(Vec<String>),
}

/// Where the prompts come from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptSource {
    /// One text for all.
    Text(String),
    /// A file.
    File(PathBuf),
    /// Made up, of exactly so many tokens.
    Synthetic(u32),
}

/// One run, whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The server's base URL.
    pub url: String,
    /// The chat endpoint's path as it may be shown: base path included, values of a query left out.
    pub path: String,
    /// The model's name in requests; `None`: the one the server has.
    pub model: Option<String>,
    /// A folder of the model that may hold a tokenizer and preprocessor settings.
    pub model_folder: Option<String>,
    /// `--tokenizer`.
    pub tokenizer: Option<String>,
    /// Names of further headers; their values are secrets.
    pub header_names: Vec<String>,
    /// A key is sent.
    pub has_api_key: bool,
    /// `--cacert`.
    pub cacert: Option<PathBuf>,
    /// `--insecure`.
    pub insecure: bool,
    /// The images.
    pub images: ImageSource,
    /// How many of a folder's or the made-up images one request holds.
    pub images_per_request: u32,
    /// What stands first in a message.
    pub order: PartOrder,
    /// How images travel.
    pub image_as: ImageAs,
    /// What stands before a file's name in an image URL.
    #[serde(serialize_with = "secrets::optional_url")]
    pub image_url_prefix: Option<String>,
    /// Largest image accepted, bytes.
    pub image_bytes_max: u64,
    /// Scale images to this width and height.
    pub resize: Option<(u32, u32)>,
    /// Nothing before the measured requests, every image different.
    pub cold: bool,
    /// Prove that the image reaches the model.
    pub image_proof: bool,
    /// The prompts.
    pub prompts: PromptSource,
    /// Most tokens of an answer.
    pub output_len: u64,
    /// Always that many.
    pub ignore_eos: bool,
    /// The field that says so.
    pub max_tokens_field: MaxTokensField,
    /// Sampling temperature.
    pub temperature: f64,
    /// Further fields of every request.
    #[serde(serialize_with = "secrets::fields")]
    pub extra_body: Map<String, Value>,
    /// Usage on every event.
    pub continuous_usage: bool,
    /// When requests are sent.
    pub schedule: Schedule,
    /// Requests in flight at most; `None`: no cap.
    pub max_concurrency: Option<u32>,
    /// Requests of a round; `None`: as many as the duration allows.
    pub requests: Option<u64>,
    /// Arrivals per second.
    pub request_rate: Option<f64>,
    /// Shape of gamma-spaced arrivals.
    pub burstiness: f64,
    /// What happens over the cap.
    pub over_cap: OverCap,
    /// Threads that send and receive.
    pub threads: u32,
    /// Stop sending after so many seconds.
    pub duration_s: Option<f64>,
    /// Rounds before.
    pub warmup: u32,
    /// Measured rounds.
    pub rounds: u32,
    /// Seed of everything random.
    pub seed: u64,
    /// Time limits, seconds.
    pub limits_s: LimitsS,
    /// Profiler on and off.
    pub profile: bool,
    /// What the log keeps.
    pub detail: Detail,
    /// What counts as a token.
    pub definitions: Definitions,
    /// Which clock.
    pub clock: Clock,
    /// Limits of a good request.
    pub goodput: Vec<SloLimit>,
    /// A run whose client does not call its own figures good has exit status 5.
    pub strict_client: bool,
    /// Limits of the run.
    pub slo: Vec<RunLimit>,
    /// What is asked in the accuracy run, and what is expected of the answers.
    pub expect: Option<PathBuf>,
    /// The least part of it that must be right.
    pub min_score: Option<f64>,
}

/// The time limits in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LimitsS {
    /// Until a connection is open.
    pub connect: f64,
    /// Until the first token.
    pub first_token: f64,
    /// Without anything.
    pub idle: f64,
    /// Whole request.
    pub total: f64,
}

impl LimitsS {
    fn of(args: &RunArgs) -> Result<Self, PlanError> {
        Ok(Self {
            connect: seconds(args.connect_timeout, "--connect-timeout")?,
            first_token: seconds(args.first_token_timeout, "--first-token-timeout")?,
            idle: seconds(args.idle_timeout, "--idle-timeout")?,
            total: seconds(args.total_timeout, "--total-timeout")?,
        })
    }
}

impl Plan {
    /// Checks a command line.
    ///
    /// # Errors
    /// [`PlanError`], before anything is sent or written.
    pub fn new(args: &RunArgs) -> Result<(Self, Access), PlanError> {
        let access = access::access(args)?;
        let (model, model_folder) = model(args);
        let (schedule, max_concurrency, requests) = load::load(args)?;
        let plan = Self {
            url: access.target.url().to_owned(),
            path: secrets::without_query_values(&access.path),
            model,
            model_folder,
            tokenizer: args.tokenizer.clone(),
            header_names: access.headers.keys().map(|name| name.as_str().to_owned()).collect(),
            has_api_key: access.headers.contains_key(hyper::header::AUTHORIZATION),
            cacert: args.cacert.clone(),
            insecure: args.insecure,
            images: image_source(args)?,
            images_per_request: args.images_per_request,
            order: if args.image_first { PartOrder::ImageFirst } else { PartOrder::TextFirst },
            image_as: args.image_as,
            image_url_prefix: args.image_url_prefix.clone(),
            image_bytes_max: args.max_image_bytes,
            resize: args.resize.as_deref().map(resize).transpose()?,
            cold: args.cold,
            image_proof: args.image_proof,
            prompts: prompt_source(args),
            output_len: args.output_len,
            ignore_eos: args.ignore_eos,
            max_tokens_field: args.max_tokens_field,
            temperature: at_least(args.temperature, 0.0, "--temperature")?,
            extra_body: extra_body(args.extra_body.as_deref())?,
            continuous_usage: args.continuous_usage,
            schedule,
            max_concurrency,
            requests,
            request_rate: args.request_rate.filter(|_| schedule != Schedule::ClosedLoop),
            burstiness: args.burstiness.unwrap_or(1.0),
            over_cap: args.over_cap,
            threads: args.threads,
            duration_s: args.duration.map(|given| seconds(given, "--duration")).transpose()?,
            warmup: args.warmup,
            rounds: args.num_rounds,
            seed: args.seed,
            limits_s: LimitsS::of(args)?,
            profile: args.profile,
            detail: args.detail.into(),
            definitions: args.definitions.into(),
            clock: args.clock.into(),
            goodput: goodput(&args.goodput)?,
            strict_client: args.strict_client,
            slo: run_limits(&args.slo)?,
            expect: args.expect.clone(),
            min_score: args.min_score,
        };
        plan.check_together()?;
        Ok((plan, access))
    }

    /// The time limits as durations.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            first_token: Duration::from_secs_f64(self.limits_s.first_token),
            idle: Duration::from_secs_f64(self.limits_s.idle),
            total: Duration::from_secs_f64(self.limits_s.total),
        }
    }

    /// Limit for opening a connection.
    #[must_use]
    pub fn connect_limit(&self) -> Duration {
        Duration::from_secs_f64(self.limits_s.connect)
    }

    /// Where a tokenizer may be found.
    #[must_use]
    pub fn tokenizer_spec(&self) -> Spec {
        Spec { tokenizer: self.tokenizer.clone(), model: self.model_folder.clone(), ..Spec::default() }
    }

    /// Whether requests hold images.
    #[must_use]
    pub fn has_images(&self) -> bool {
        self.images != ImageSource::None
    }
}

fn model(args: &RunArgs) -> (Option<String>, Option<String>) {
    let given = (!args.model.is_empty()).then(|| args.model.clone());
    (args.served_model_name.clone().or_else(|| given.clone()), given)
}

fn prompt_source(args: &RunArgs) -> PromptSource {
    match (&args.prompts, args.synthetic_prompt_tokens) {
        (Some(file), _) => PromptSource::File(file.clone()),
        (None, Some(tokens)) => PromptSource::Synthetic(tokens),
        (None, None) => PromptSource::Text(args.prompt.clone()),
    }
}

fn image_source(args: &RunArgs) -> Result<ImageSource, PlanError> {
    // The script's default is an empty path; shell scripts pass it on.
    let paths: Vec<PathBuf> = args.image_path.iter().filter(|path| !path.as_os_str().is_empty()).cloned().collect();
    let others = [
        (args.image_dir.is_some(), "--image_dir"),
        (!args.synthetic_image.is_empty(), "--synthetic-image"),
        (args.no_image, "--no-image"),
    ];
    if let Some((_, other)) = others.iter().find(|(given, _)| *given && !paths.is_empty()) {
        return Err(PlanError::Combination(words(
            format!("--image_path and {other} cannot both be given: which images should be sent?"),
            format!("--image_path 与 {other} 不能同时给出：应发送哪些图片？"),
        )));
    }
    if let Some(path) = &args.image_dir {
        return Ok(ImageSource::Folder { path: path.clone(), recursive: args.recursive });
    }
    if !args.synthetic_image.is_empty() {
        for recipe in &args.synthetic_image {
            recipe.parse::<Synthetic>()?;
        }
        return Ok(ImageSource::Synthetic(args.synthetic_image.clone()));
    }
    if !paths.is_empty() {
        return Ok(ImageSource::Files(paths));
    }
    if args.no_image || args.prompts.is_some() {
        return Ok(ImageSource::None);
    }
    Err(PlanError::Combination(words(
        "no image was given: --image_path FILE, --image_dir FOLDER or --synthetic-image photo:1080x810 names one, --no-image sends text only",
        "没有给出图片：用 --image_path 文件、--image_dir 目录或 --synthetic-image photo:1080x810 指定；--no-image 只发送文本",
    )))
}

#[cfg(test)]
mod tests;
