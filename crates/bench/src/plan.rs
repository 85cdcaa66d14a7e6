//! What was typed → what will be done. Checked, serialisable, without secrets: `--dry-run` prints it, the run's header
//! keeps it.

use crate::cli::{Arrivals, ImageAs, MaxTokensField, OverCap, PartOrder, RunArgs};
use crate::image::Synthetic;
use crate::net::{Limits, Target, TargetError, TlsOptions};
use crate::tokens::Spec;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use measure::{Clock, Definitions, Detail, Lang, RunLimit, SloLimit};
use serde::Serialize;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::time::Duration;

mod limits;

pub use limits::goodput;
use limits::run_limits;

/// Why a command line cannot be done. Exit status 2.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A flag's value.
    #[error("{flag} {given:?}: {}", why.en)]
    Value {
        /// The flag.
        flag: &'static str,
        /// What was given.
        given: String,
        /// What is allowed, and what to do.
        why: Words,
    },
    /// Flags that do not go together, or that are missing.
    #[error("{}", .0.en)]
    Combination(Words),
    /// The server's address or the proxy on the way.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A synthetic image's recipe.
    #[error(transparent)]
    Image(#[from] crate::image::ImageError),
}

/// One sentence in both languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    en: String,
    zh: String,
}

fn words(en: impl Into<String>, zh: impl Into<String>) -> Words {
    Words { en: en.into(), zh: zh.into() }
}

impl PlanError {
    /// The error in one language, where it has both.
    #[must_use]
    pub fn text(&self, lang: Lang) -> String {
        match (self, lang) {
            (Self::Value { flag, given, why }, Lang::Zh) => format!("{flag} {given:?}：{}", why.zh),
            (Self::Combination(why), Lang::Zh) => why.zh.clone(),
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

/// When requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Each as soon as there is room among those in flight.
    ClosedLoop,
    /// At given times, whatever the server does.
    OpenLoop {
        /// Even or random.
        arrivals: Arrivals,
    },
}

/// One run, whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The server's base URL.
    pub url: String,
    /// The chat endpoint's path, base path included.
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
    /// Limits of the run.
    pub slo: Vec<RunLimit>,
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

/// What a plan must not show, and what is no part of it.
#[derive(Clone)]
pub struct Access {
    /// The server.
    pub target: Target,
    /// Authorization and the user's headers. Secret.
    pub headers: HeaderMap,
    /// How far its certificate is checked.
    pub tls: TlsOptions,
}

impl Plan {
    /// Checks a command line.
    ///
    /// # Errors
    /// [`PlanError`], before anything is sent or written.
    pub fn new(args: &RunArgs) -> Result<(Self, Access), PlanError> {
        let access = access(args)?;
        let (model, model_folder) = model(args);
        let (schedule, max_concurrency, requests) = load(args)?;
        let plan = Self {
            url: access.target.url().to_owned(),
            path: access.target.path(&args.endpoint),
            model,
            model_folder,
            tokenizer: args.tokenizer.clone(),
            header_names: access.headers.keys().map(|name| name.as_str().to_owned()).collect(),
            has_api_key: api_key(args).is_some(),
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
            prompts: match (&args.prompts, args.synthetic_prompt_tokens) {
                (Some(file), _) => PromptSource::File(file.clone()),
                (None, Some(tokens)) => PromptSource::Synthetic(tokens),
                (None, None) => PromptSource::Text(args.prompt.clone()),
            },
            output_len: args.output_len,
            ignore_eos: args.ignore_eos,
            max_tokens_field: args.max_tokens_field,
            temperature: at_least(args.temperature, 0.0, "--temperature")?,
            extra_body: extra_body(args.extra_body.as_deref())?,
            continuous_usage: args.continuous_usage,
            schedule,
            max_concurrency,
            requests,
            request_rate: args.request_rate,
            burstiness: positive(args.burstiness, "--burstiness")?,
            over_cap: args.over_cap,
            duration_s: args.duration.map(|seconds| positive(seconds, "--duration")).transpose()?,
            warmup: args.warmup,
            rounds: args.num_rounds,
            seed: args.seed,
            limits_s: LimitsS {
                connect: positive(args.connect_timeout, "--connect-timeout")?,
                first_token: positive(args.first_token_timeout, "--first-token-timeout")?,
                idle: positive(args.idle_timeout, "--idle-timeout")?,
                total: positive(args.total_timeout, "--total-timeout")?,
            },
            profile: args.profile,
            detail: args.detail.into(),
            definitions: args.definitions.into(),
            clock: args.clock.into(),
            goodput: goodput(&args.goodput)?,
            slo: run_limits(&args.slo)?,
        };
        plan.check_together()?;
        Ok((plan, access))
    }

    /// The time limits as durations.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(86_400));
        Limits {
            first_token: seconds(self.limits_s.first_token),
            idle: seconds(self.limits_s.idle),
            total: seconds(self.limits_s.total),
        }
    }

    /// Limit for opening a connection.
    #[must_use]
    pub fn connect_limit(&self) -> Duration {
        Duration::try_from_secs_f64(self.limits_s.connect).unwrap_or(Duration::from_secs(30))
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

    fn check_together(&self) -> Result<(), PlanError> {
        let refuse = |en: &str, zh: &str| Err(PlanError::Combination(words(en, zh)));
        let from_files = matches!(self.images, ImageSource::Files(_) | ImageSource::Folder { .. });
        if self.image_as != ImageAs::Base64 && (!from_files || self.resize.is_some() || self.cold) {
            return refuse(
                "--image-as file-url and url send files as they are: they need --image_path or --image_dir, and exclude --resize and --cold",
                "--image-as file-url 与 url 原样发送文件：需要 --image_path 或 --image_dir，且不能与 --resize、--cold 同用",
            );
        }
        if self.image_proof && !self.has_images() {
            return refuse(
                "--image-proof needs an image: give --image_path, --image_dir or --synthetic-image",
                "--image-proof 需要图片：请给出 --image_path、--image_dir 或 --synthetic-image",
            );
        }
        if self.image_proof && self.image_as != ImageAs::Base64 {
            return refuse(
                "--image-proof sends an altered image, which only --image-as base64 can",
                "--image-proof 要发送修改过的图片，只有 --image-as base64 可以",
            );
        }
        if self.cold && self.requests.is_none() {
            return refuse(
                "--cold makes every image before the run begins, so it needs --num-prompts beside --duration",
                "--cold 在测试开始前生成所有图片，与 --duration 同用时需要 --num-prompts",
            );
        }
        let prompts_differ = matches!(self.prompts, PromptSource::Synthetic(_) | PromptSource::File(_));
        if self.cold && !self.has_images() && !prompts_differ {
            return refuse(
                "--cold without images needs prompts that differ: --synthetic-prompt-tokens or --prompts",
                "没有图片时 --cold 需要各不相同的提示：--synthetic-prompt-tokens 或 --prompts",
            );
        }
        if self.requests.is_none() && matches!(self.prompts, PromptSource::Synthetic(_)) {
            return refuse(
                "--synthetic-prompt-tokens makes every prompt before the run begins, so it needs --num-prompts beside --duration",
                "--synthetic-prompt-tokens 在测试开始前生成所有提示，与 --duration 同用时需要 --num-prompts",
            );
        }
        Ok(())
    }
}

fn access(args: &RunArgs) -> Result<Access, PlanError> {
    let host = if args.host.contains(':') && !args.host.starts_with('[') {
        format!("[{}]", args.host)
    } else {
        args.host.clone()
    };
    let url = args.base_url.clone().unwrap_or_else(|| format!("http://{host}:{}", args.port));
    let target = Target::parse(&url)?.with_proxy_from_environment()?;
    let mut headers = HeaderMap::new();
    for header in &args.header {
        // Only the name is shown: the value may be a secret.
        let refuse = |name: &str, en: &str, zh: &str| PlanError::Value {
            flag: "--header",
            given: name.to_owned(),
            why: words(format!("{en}; \"Name: value\" is expected"), format!("{zh}；应为 \"名称: 值\"")),
        };
        let (name, value) = header.split_once(':').ok_or_else(|| refuse("…", "there is no colon", "没有冒号"))?;
        let header_name = HeaderName::try_from(name.trim())
            .map_err(|_| refuse(name, "that is no header name", "不是合法的请求头名称"))?;
        let mut value = HeaderValue::try_from(value.trim())
            .map_err(|_| refuse(name, "its value holds characters that no header may", "值含有请求头不允许的字符"))?;
        value.set_sensitive(true);
        headers.append(header_name, value);
    }
    // A header that the user wrote out wins over the key.
    if let (Some(key), false) = (api_key(args), headers.contains_key(AUTHORIZATION)) {
        let refuse = |_| {
            PlanError::Combination(words(
                "--api-key (or OPENAI_API_KEY) holds characters that no header may: check for a line break at its end",
                "--api-key（或 OPENAI_API_KEY）含有请求头不允许的字符：请检查末尾是否有换行",
            ))
        };
        let mut value = HeaderValue::try_from(format!("Bearer {key}")).map_err(refuse)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(Access { target, headers, tls: TlsOptions { cacert: args.cacert.clone(), insecure: args.insecure } })
}

/// The key; an empty one, as an unset variable leaves it in a script, is none.
fn api_key(args: &RunArgs) -> Option<&str> {
    args.api_key.as_deref().filter(|key| !key.is_empty())
}

fn model(args: &RunArgs) -> (Option<String>, Option<String>) {
    let given = (!args.model.is_empty()).then(|| args.model.clone());
    (args.served_model_name.clone().or_else(|| given.clone()), given)
}

fn image_source(args: &RunArgs) -> Result<ImageSource, PlanError> {
    // The script's default is an empty path; scripts pass it on.
    let paths: Vec<PathBuf> = args.image_path.iter().filter(|path| !path.as_os_str().is_empty()).cloned().collect();
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

/// Schedule, cap and number of requests.
fn load(args: &RunArgs) -> Result<(Schedule, Option<u32>, Option<u64>), PlanError> {
    if let Some(rate) = args.request_rate {
        positive(rate, "--request-rate")?;
        if args.num_prompts.is_none() && args.duration.is_none() {
            return Err(PlanError::Combination(words(
                "--request-rate needs --num-prompts or --duration: how long should it go on?",
                "--request-rate 需要 --num-prompts 或 --duration：要持续多久？",
            )));
        }
        return Ok((Schedule::OpenLoop { arrivals: args.arrivals }, args.max_concurrency, args.num_prompts));
    }
    let cap = args
        .max_concurrency
        .map_or(args.batch_size, |most| if args.batch_size == 1 { most } else { most.min(args.batch_size) });
    let requests = match (args.num_prompts, args.duration) {
        (Some(requests), _) => Some(requests),
        (None, Some(_)) => None,
        (None, None) => Some(u64::from(cap)),
    };
    Ok((Schedule::ClosedLoop, Some(cap), requests))
}

fn positive(value: f64, flag: &'static str) -> Result<f64, PlanError> {
    if value.is_finite() && value > 0.0 {
        return Ok(value);
    }
    Err(PlanError::Value {
        flag,
        given: value.to_string(),
        why: words("a number greater than 0 is expected", "应为大于 0 的数"),
    })
}

fn at_least(value: f64, least: f64, flag: &'static str) -> Result<f64, PlanError> {
    if value.is_finite() && value >= least {
        return Ok(value);
    }
    Err(PlanError::Value {
        flag,
        given: value.to_string(),
        why: words(format!("a number of at least {least} is expected"), format!("应为不小于 {least} 的数")),
    })
}

fn resize(given: &str) -> Result<(u32, u32), PlanError> {
    let side = |text: &str| text.trim().parse::<u32>().ok().filter(|side| (1..=16_384).contains(side));
    given.split_once(['x', 'X', '×']).and_then(|(w, h)| Some((side(w)?, side(h)?))).ok_or_else(|| PlanError::Value {
        flag: "--resize",
        given: given.to_owned(),
        why: words(
            "width x height is expected, each from 1 to 16384, such as 1080x810",
            "应为 宽x高，各为 1 到 16384，例如 1080x810",
        ),
    })
}

fn extra_body(given: Option<&str>) -> Result<Map<String, Value>, PlanError> {
    let Some(given) = given else { return Ok(Map::new()) };
    let refuse = |en: String, zh: String| PlanError::Value {
        flag: "--extra-body",
        given: given.to_owned(),
        why: words(
            format!("{en}; a JSON object such as '{{\"top_p\": 0.9}}' is expected"),
            format!("{zh}；应为 JSON 对象，例如 '{{\"top_p\": 0.9}}'"),
        ),
    };
    let value: Value = serde_json::from_str(given).map_err(|error| refuse(error.to_string(), error.to_string()))?;
    let Value::Object(fields) = value else { return Err(refuse("this is no object".into(), "这不是对象".into())) };
    if let Some(name) = ["messages", "stream"].iter().find(|name| fields.contains_key(**name)) {
        return Err(refuse(format!("{name:?} is the benchmark's own"), format!("{name:?} 由本工具自己填写")));
    }
    Ok(fields)
}

#[cfg(test)]
mod tests;
