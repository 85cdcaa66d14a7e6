//! The command line of `vlm-server`: vLLM's flags, in either spelling, and those of the script.

use crate::error::ServeError;
use crate::script::{Script, StreamReply};
use clap::{CommandFactory, FromArgMatches, Parser};
use std::ffi::OsString;
use std::path::PathBuf;

/// Serve the OpenAI chat protocol as vLLM does. This build has no engine yet: it plays scripts (--scripted).
#[derive(Debug, Clone, Parser)]
#[command(name = "vlm-server", version, max_term_width = 110)]
pub struct Args {
    /// `serve MODEL`, as in `vllm serve MODEL`
    #[arg(value_name = "serve MODEL", num_args = 0..=2)]
    pub words: Vec<String>,
    /// The model's folder; with --scripted, its name
    #[arg(long)]
    pub model: Option<String>,
    /// Names under which the model is served
    #[arg(long, num_args = 1.., value_name = "NAME")]
    pub served_model_name: Vec<String>,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8000)]
    pub port: u16,
    /// Key that requests must carry
    #[arg(long, env = "VLLM_API_KEY", hide_env_values = true)]
    pub api_key: Option<String>,
    /// Certificate, PEM: serve over TLS
    #[arg(long, value_name = "FILE", requires = "ssl_keyfile")]
    pub ssl_certfile: Option<PathBuf>,
    /// The certificate's key, PEM
    #[arg(long, value_name = "FILE", requires = "ssl_certfile")]
    pub ssl_keyfile: Option<PathBuf>,
    /// Chat template (the engine's)
    #[arg(long)]
    pub chat_template: Option<PathBuf>,
    /// Tokenizer's folder (the engine's)
    #[arg(long)]
    pub tokenizer: Option<PathBuf>,
    /// Type of the weights (the engine's)
    #[arg(long)]
    pub dtype: Option<String>,
    /// Sequences at once (the engine's)
    #[arg(long)]
    pub max_num_seqs: Option<u32>,
    /// Longest context (the engine's)
    #[arg(long)]
    pub max_model_len: Option<u32>,
    /// Share of a GPU's memory (without meaning here)
    #[arg(long)]
    pub gpu_memory_utilization: Option<f64>,
    /// GPUs to spread over (without meaning here)
    #[arg(long)]
    pub tensor_parallel_size: Option<u32>,
    /// Trust code from the model's repository (without meaning here)
    #[arg(long)]
    pub trust_remote_code: bool,

    /// Answer from a script: given tokens at given times, no model
    #[arg(long, help_heading = "Script")]
    pub scripted: bool,
    /// The script, JSON
    #[arg(long, value_name = "FILE", requires = "scripted", help_heading = "Script")]
    pub script: Option<PathBuf>,
    /// From a request to its first token, ms
    #[arg(long, value_name = "MS", conflicts_with = "script", help_heading = "Script")]
    pub prefill_ms: Option<f64>,
    /// Between tokens, ms
    #[arg(long, value_name = "MS", conflicts_with = "script", help_heading = "Script")]
    pub interval_ms: Option<f64>,
    /// Tokens of an answer that is not limited
    #[arg(long, value_name = "N", conflicts_with = "script", help_heading = "Script")]
    pub tokens: Option<u64>,
    /// Pad each event to this many bytes
    #[arg(long, value_name = "BYTES", conflicts_with = "script", help_heading = "Script")]
    pub event_bytes: Option<usize>,
    /// Print the script as JSON and end
    #[arg(long, requires = "scripted", help_heading = "Script")]
    pub print_script: bool,
    /// Keep what was received and sent, with its times; write it to this file at the end (JSON)
    #[arg(long, value_name = "FILE", requires = "scripted", help_heading = "Script")]
    pub truth_log: Option<PathBuf>,
    /// Poll without sleeping while replies are under way: truer send times, a whole core
    #[arg(long, requires = "scripted", help_heading = "Script")]
    pub spin: bool,
}

/// Reads a command line in which `_` and `-` in flags are the same.
///
/// # Errors
/// clap's.
pub fn parse(argv: impl IntoIterator<Item = OsString>) -> Result<Args, clap::Error> {
    let command = Args::command();
    let flags: Vec<String> = command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect();
    let hyphened = argv.into_iter().map(|word| {
        let Some(text) = word.to_str().and_then(|text| text.strip_prefix("--")) else { return word };
        let (name, rest) = text.split_at(text.find('=').unwrap_or(text.len()));
        let name = name.replace('_', "-");
        if flags.contains(&name) { format!("--{name}{rest}").into() } else { word }
    });
    Args::from_arg_matches(&command.try_get_matches_from(hyphened)?)
}

impl Args {
    /// The model, from `--model` or `serve MODEL`.
    #[must_use]
    pub fn model_name(&self) -> Option<&str> {
        let positional = match self.words.as_slice() {
            [serve, model] if serve == "serve" => Some(model),
            [model] if model != "serve" => Some(model),
            _ => None,
        };
        self.model.as_ref().or(positional).map(String::as_str)
    }

    /// The script that the flags describe.
    ///
    /// # Errors
    /// [`ServeError`]: what is wrong with it, and in which file.
    pub fn script(&self) -> Result<Script, ServeError> {
        let mut script = match &self.script {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(ServeError::from);
                text.and_then(|text| Script::from_json(&text))
                    .map_err(|why| ServeError::ScriptFile { path: path.clone(), why: Box::new(why) })?
            }
            None => {
                let usual = StreamReply::default();
                Script::of(StreamReply {
                    prefill_ms: self.prefill_ms.unwrap_or(usual.prefill_ms),
                    interval_ms: self.interval_ms.unwrap_or(usual.interval_ms),
                    tokens: self.tokens.unwrap_or(usual.tokens),
                    event_bytes: self.event_bytes.or(usual.event_bytes),
                    ..usual
                })
            }
        };
        let names = if self.served_model_name.is_empty() {
            self.model_name().map(str::to_owned).into_iter().collect()
        } else {
            self.served_model_name.clone()
        };
        if !names.is_empty() {
            script.models = names;
        }
        if self.api_key.is_some() {
            script.api_key.clone_from(&self.api_key);
        }
        script.check()?;
        Ok(script)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &str) -> Args {
        parse(std::iter::once("vlm-server").chain(words.split_whitespace()).map(OsString::from)).unwrap()
    }

    #[test]
    fn the_command_line_of_vllm() {
        Args::command().debug_assert();
        let seed = "--model /data/models/Qwen2-VL-7B-Instruct --chat-template ./vllm/examples/template_chatml.jinja \
            --tokenizer /data/models/Qwen2-VL-7B-Instruct --dtype bfloat16 --max_num_seqs 256 --max-model-len 16384 --port 8001 --host 127.0.0.1";
        let seed = args(seed);
        assert_eq!(
            (seed.port, seed.max_num_seqs, seed.model_name()),
            (8001, Some(256), Some("/data/models/Qwen2-VL-7B-Instruct"))
        );
        assert_eq!(args("serve m --gpu_memory_utilization=0.9").model_name(), Some("m"));
        assert_eq!(args("m").model_name(), Some("m"));
    }

    #[test]
    fn flags_make_a_script() {
        let script = args("--scripted --prefill_ms 5 --tokens 7 --served-model-name a b").script().unwrap();
        assert_eq!(script.models, ["a", "b"]);
        let crate::Reply::Stream(stream) = script.reply else { panic!("a stream") };
        assert_eq!((stream.prefill_ms, stream.interval_ms, stream.tokens), (5.0, 20.0, 7));
        assert!(args("--scripted --prefill-ms=-5").script().is_err());
        let error = args("--scripted --script /no/such.json").script().unwrap_err().to_string();
        assert!(error.starts_with("--script /no/such.json: "), "{error}");
    }
}
