//! Flags of the engine, with vLLM's names, and those of vLLM that say nothing to a CPU.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use engine::text::ContentFormat;
use serde_json::{Map, Value};

use crate::engine_backend::RemoteRules;
use crate::error::ServeError;

/// What `--mm-processor-kwargs` may name with an effect.
const PROCESSOR_KWARGS: [&str; 5] = ["min_pixels", "max_pixels", "shortest_edge", "longest_edge", "size"];

/// The engine's flags.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model", group = clap::ArgGroup::new("remote_media").multiple(true))]
pub struct EngineArgs {
    /// Chat template: a file, or the template itself; the checkpoint's own if not given
    #[arg(long, value_name = "FILE")]
    pub chat_template: Option<String>,
    /// How a template gets a message's content; `auto` looks at the template
    #[arg(long, value_name = "FORMAT", default_value = "auto", value_parser = ["auto", "string", "openai"])]
    pub chat_template_content_format: String,
    /// Tokenizer's folder; the model's if not given
    #[arg(long, value_name = "FOLDER")]
    pub tokenizer: Option<PathBuf>,
    /// Number format: bfloat16 as on a GPU, float32 is the exact reference; auto takes the checkpoint's
    #[arg(long, default_value = "auto", value_parser = ["auto", "bfloat16", "float32", "float"])]
    pub dtype: String,
    /// Most requests computed at once
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = count)]
    pub max_num_seqs: usize,
    /// Most tokens of prompt and answer, as 16384, 16k (16,000) or 16K (16,384); the checkpoint's own limit if not given
    #[arg(long, value_name = "TOKENS", value_parser = tokens)]
    pub max_model_len: Option<usize>,
    /// Most tokens of one step; longer prompts are computed in pieces
    #[arg(long, value_name = "TOKENS", default_value_t = 2048, value_parser = tokens)]
    pub max_num_batched_tokens: usize,
    /// Memory for keys and values, GiB; taken as it is used
    #[arg(long, value_name = "GIB", default_value_t = 4.0)]
    pub kv_cache_gib: f64,
    /// Share nothing between prompts that begin alike
    #[arg(long, conflicts_with = "enable_prefix_caching")]
    pub no_enable_prefix_caching: bool,
    /// Share what prompts that begin alike have in common (the default)
    #[arg(long)]
    pub enable_prefix_caching: bool,
    /// Most pictures of a prompt: {"image": N}
    #[arg(long, value_name = "JSON")]
    pub limit_mm_per_prompt: Option<String>,
    /// Limits on the pixels of a picture: {"min_pixels": N, "max_pixels": N}
    #[arg(long, value_name = "JSON")]
    pub mm_processor_kwargs: Option<String>,
    /// Requests may name pictures under this folder (file:// URLs)
    #[arg(long, value_name = "FOLDER")]
    pub allowed_local_media_path: Option<PathBuf>,
    /// Hosts from which pictures may be fetched (http and https URLs); none are unless this or the next flag is given
    #[arg(long, value_name = "HOST", num_args = 1.., group = "remote_media")]
    pub allowed_media_domains: Vec<String>,
    /// Fetch pictures from any public host
    #[arg(long, group = "remote_media")]
    pub allow_remote_media: bool,
    /// Fetch pictures from private, loopback and link-local addresses too
    #[arg(long, requires = "remote_media")]
    pub allow_private_media_addresses: bool,
    /// Most time to fetch the pictures of one request, s
    #[arg(long, value_name = "SECONDS", default_value_t = 5, env = "VLLM_IMAGE_FETCH_TIMEOUT")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub media_fetch_timeout: u64,
    /// Most bytes of a picture that is fetched, MiB
    #[arg(long, value_name = "MIB", default_value_t = 64, env = "VLLM_MAX_MEDIA_DOWNLOAD_SIZE_MB")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub max_media_download_mib: u64,
    /// What draws are made from where a request gives no seed
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Longest list of log probabilities
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub max_logprobs: u32,
    /// Where sampling defaults come from: the checkpoint (auto), or nowhere (vllm)
    #[arg(long, default_value = "auto", value_parser = ["auto", "vllm"])]
    pub generation_config: String,
    /// Most requests that wait, from when they are read until they run; then 429
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = count)]
    pub max_num_queued_reqs: usize,
    /// A connection that has been idle so long after a reply is closed
    #[arg(long, value_name = "SECONDS", default_value_t = 5, env = "VLLM_HTTP_TIMEOUT_KEEP_ALIVE")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub http_timeout_keep_alive: u64,
    /// Threads that compute; as many as the process may run on if not given
    #[arg(long, value_name = "N")]
    pub threads: Option<std::num::NonZeroUsize>,
}

/// Flags that mean something to a GPU or to Python only. They are taken, and said to do nothing.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Without meaning here (accepted, said on stderr)")]
pub struct IgnoredArgs {
    #[arg(long, value_name = "X")]
    gpu_memory_utilization: Option<String>,
    #[arg(long, value_name = "X")]
    tensor_parallel_size: Option<String>,
    #[arg(long, value_name = "X")]
    pipeline_parallel_size: Option<String>,
    #[arg(long)]
    enforce_eager: bool,
    #[arg(long)]
    trust_remote_code: bool,
    #[arg(long, value_name = "X")]
    swap_space: Option<String>,
    #[arg(long, value_name = "X")]
    cpu_offload_gb: Option<String>,
    #[arg(long, value_name = "X")]
    block_size: Option<String>,
    #[arg(long, value_name = "X")]
    kv_cache_dtype: Option<String>,
    #[arg(long, value_name = "X")]
    load_format: Option<String>,
    #[arg(long, value_name = "X")]
    distributed_executor_backend: Option<String>,
    #[arg(long, value_name = "X")]
    compilation_config: Option<String>,
    #[arg(long)]
    disable_custom_all_reduce: bool,
    #[arg(long)]
    disable_log_requests: bool,
    #[arg(long)]
    no_enable_log_requests: bool,
    #[arg(long)]
    disable_log_stats: bool,
    #[arg(long, value_name = "X")]
    uvicorn_log_level: Option<String>,
    #[arg(long)]
    enable_chunked_prefill: bool,
    #[arg(long)]
    no_enable_chunked_prefill: bool,
    #[arg(long)]
    skip_mm_profiling: bool,
    #[arg(long, value_name = "X")]
    mm_processor_cache_gb: Option<String>,
    #[arg(long)]
    disable_mm_preprocessor_cache: bool,
    #[arg(long, value_name = "X")]
    data_parallel_size: Option<String>,
    #[arg(long, value_name = "X")]
    download_dir: Option<String>,
    #[arg(long)]
    async_scheduling: bool,
    #[arg(long)]
    disable_uvicorn_access_log: bool,
    #[arg(long)]
    disable_frontend_multiprocessing: bool,
}

impl EngineArgs {
    /// The content format that overrules the template's.
    #[must_use]
    pub fn content_format(&self) -> Option<ContentFormat> {
        match self.chat_template_content_format.as_str() {
            "string" => Some(ContentFormat::String),
            "openai" => Some(ContentFormat::OpenAi),
            _ => None,
        }
    }

    /// Which pictures may be fetched, if any.
    #[must_use]
    pub fn remote_media(&self) -> Option<RemoteRules> {
        (self.allow_remote_media || !self.allowed_media_domains.is_empty()).then(|| RemoteRules {
            hosts: self.allowed_media_domains.iter().map(|host| host.to_ascii_lowercase()).collect(),
            private_addresses: self.allow_private_media_addresses,
            time_max: Duration::from_secs(self.media_fetch_timeout),
            bytes_max: self.max_media_download_mib << 20,
        })
    }

    /// Most pictures of a prompt.
    ///
    /// # Errors
    /// [`ServeError::Flag`] if the flag is no such JSON object.
    pub fn images_max(&self) -> Result<usize, ServeError> {
        let Some(given) = &self.limit_mm_per_prompt else { return Ok(999) };
        // Older vLLM wrote `image=2`.
        let old = given.strip_prefix("image=").and_then(|count| count.parse().ok());
        let read = || -> Option<usize> {
            let object: Map<String, Value> = serde_json::from_str(given).ok()?;
            match object.get("image") {
                None => Some(999),
                Some(count) => usize::try_from(count.as_u64()?).ok(),
            }
        };
        old.or_else(read).ok_or_else(|| flag("--limit-mm-per-prompt", given, "a JSON object such as {\"image\": 2}"))
    }

    /// Least and greatest number of pixels of a picture.
    ///
    /// # Errors
    /// [`ServeError::Flag`] if the flag is no such JSON object.
    pub fn pixel_limits(&self) -> Result<(Option<u64>, Option<u64>), ServeError> {
        let Some(given) = &self.mm_processor_kwargs else { return Ok((None, None)) };
        let refused = || {
            let allowed = "a JSON object with min_pixels and max_pixels, or size with shortest_edge and longest_edge";
            flag("--mm-processor-kwargs", given, allowed)
        };
        let object: Map<String, Value> = serde_json::from_str(given).map_err(|_| refused())?;
        let (mut least, mut most) = (None, None);
        let nested = object.get("size").map(|size| size.as_object().ok_or_else(refused)).transpose()?;
        let flat = object.iter().filter(|(name, _)| PROCESSOR_KWARGS.contains(&name.as_str()) && *name != "size");
        for (name, value) in flat.chain(nested.into_iter().flatten()) {
            let limit = match name.as_str() {
                "min_pixels" | "shortest_edge" => &mut least,
                "max_pixels" | "longest_edge" => &mut most,
                _ => return Err(refused()),
            };
            *limit = Some(value.as_u64().ok_or_else(refused)?);
        }
        Ok((least, most))
    }

    /// What `--mm-processor-kwargs` names besides. As in vLLM it is dropped, and that is said.
    #[must_use]
    pub fn unknown_processor_kwargs(&self) -> Vec<String> {
        let given = self.mm_processor_kwargs.as_deref().unwrap_or_default();
        // What is no object is refused where the limits are read.
        let object: Map<String, Value> = serde_json::from_str(given).unwrap_or_default();
        object.into_iter().map(|(name, _)| name).filter(|name| !PROCESSOR_KWARGS.contains(&name.as_str())).collect()
    }
}

/// A number of tokens as vLLM takes it: `k` and `m` count thousands and millions, `K` and `M` 1024 and 1024².
fn tokens(given: &str) -> Result<usize, String> {
    let (digits, unit) = match given.as_bytes().last() {
        Some(b'k') => (given.strip_suffix('k'), 1000),
        Some(b'K') => (given.strip_suffix('K'), 1024),
        Some(b'm') => (given.strip_suffix('m'), 1_000_000),
        Some(b'M') => (given.strip_suffix('M'), 1 << 20),
        _ => (Some(given), 1),
    };
    let count = digits.and_then(|digits| digits.parse::<usize>().ok()).and_then(|count| count.checked_mul(unit));
    count.filter(|count| *count > 0).ok_or_else(|| "a number of tokens is wanted: 16384, 16k or 16K".to_owned())
}

/// A number of requests. With none every request would be refused.
fn count(given: &str) -> Result<usize, String> {
    let count = given.parse::<usize>().ok().filter(|count| *count > 0);
    count.ok_or_else(|| "a number of requests from 1 on is wanted; without the flag the default holds".to_owned())
}

/// A flag whose value cannot be used.
pub(crate) fn flag(name: &'static str, given: &str, allowed: &'static str) -> ServeError {
    ServeError::Flag { name, given: given.to_owned(), allowed }
}
