//! The command line of `vlm-server`: vLLM's flags, in either spelling, and those of the script.

mod engine;

use crate::error::ServeError;
use crate::script::{Script, StreamReply};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Args as _, CommandFactory, FromArgMatches, Parser};
use std::ffi::OsString;
use std::path::PathBuf;

pub(crate) use engine::flag;
pub use engine::{EngineArgs, IgnoredArgs};

/// Serve Qwen2-VL over the OpenAI protocol, as vLLM does, on the CPU; or play a script (--scripted).
#[derive(Debug, Clone, Parser)]
#[command(
    name = "vlm-server",
    version,
    max_term_width = 110,
    after_help = "vlm-server completions SHELL prints a completion script, vlm-server man DIR writes the man page."
)]
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
    /// Most memory for requests that are being read, all connections together, MiB; then 429
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_body_memory_mib: u32,
    /// Certificate, PEM: serve over TLS
    #[arg(long, value_name = "FILE", requires = "ssl_keyfile")]
    pub ssl_certfile: Option<PathBuf>,
    /// The certificate's key, PEM
    #[arg(long, value_name = "FILE", requires = "ssl_certfile")]
    pub ssl_keyfile: Option<PathBuf>,
    /// Flags of the engine.
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Flags that do nothing here.
    #[command(flatten)]
    pub ignored: IgnoredArgs,
    /// The names of those that were given.
    #[arg(skip)]
    pub ignored_names: Vec<String>,

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
    /// End when standard input does: whoever holds its other end is then gone
    #[arg(long, hide = true)]
    pub end_with_stdin: bool,
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
    let matches = command.try_get_matches_from(hyphened).map_err(with_help)?;
    let mut args = Args::from_arg_matches(&matches)?;
    // An empty variable is none, as vLLM takes it.
    args.api_key = args.api_key.filter(|key| !key.is_empty());
    let ignored = IgnoredArgs::augment_args(clap::Command::new("ignored"));
    let is_given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let given = ignored.get_arguments().filter(|arg| is_given(arg.get_id().as_str()));
    args.ignored_names = given.filter_map(|arg| arg.get_long()).map(|name| format!("--{name}")).collect();
    Ok(args)
}

/// An unknown flag that is like no other: clap would only say how to pass it as a model's name.
fn with_help(mut error: clap::Error) -> clap::Error {
    if error.kind() == ErrorKind::UnknownArgument && error.get(ContextKind::SuggestedArg).is_none() {
        let tip = "flags of vLLM that are not listed by --help are not known here; leave it out if the answer does not depend on it";
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

impl Args {
    /// Whether the words that are no flags say something.
    ///
    /// # Errors
    /// [`ServeError::Words`].
    pub fn check_words(&self) -> Result<(), ServeError> {
        match self.words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            [] | [_] | ["serve", _] => Ok(()),
            words => Err(ServeError::Words { given: words.join(" ") }),
        }
    }

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
            (seed.port, seed.engine.max_num_seqs, seed.model_name()),
            (8001, 256, Some("/data/models/Qwen2-VL-7B-Instruct"))
        );
        assert_eq!((seed.engine.dtype.as_str(), seed.engine.max_model_len), ("bfloat16", Some(16384)));
        let other = args("serve m --gpu_memory_utilization=0.9 --enforce-eager");
        assert_eq!(other.model_name(), Some("m"));
        assert_eq!(other.ignored_names, ["--gpu-memory-utilization", "--enforce-eager"]);
        assert_eq!(args("m").model_name(), Some("m"));
        assert_eq!(args("--max-model-len 8k m").engine.max_model_len, Some(8000));
        assert_eq!(args("m --api-key=").api_key, None);
        assert!(args("m n").check_words().is_err() && args("serve m").check_words().is_ok());
    }

    #[test]
    fn flags_that_are_not_known() {
        let error = |word: &str| parse(["vlm-server", "m", word].map(OsString::from)).unwrap_err().to_string();
        assert!(error("--max-num-seq=3").contains("'--max-num-seqs'"));
        assert!(error("--gpu_memory_utilisation=0.9").contains("'--gpu-memory-utilization'"));
        let other = error("--quantization");
        assert!(other.contains("--help") && !other.contains("as a value"), "{other}");
    }

    #[test]
    fn numbers_that_would_let_nothing_through() {
        for flag in ["--max-num-queued-reqs=0", "--max_num_seqs=0", "--max-num-batched-tokens=0"] {
            let error = parse(["vlm-server", "m", flag].map(OsString::from)).unwrap_err().to_string();
            let name = flag.trim_end_matches("=0").replace('_', "-");
            assert!(error.contains("'0'") && error.contains(&name) && error.contains("is wanted"), "{error}");
        }
    }

    #[test]
    fn limits_on_pictures() {
        let pixels = |json: &str| args_of(&["--mm-processor-kwargs", json]).engine.pixel_limits().ok();
        assert_eq!(pixels(r#"{"min_pixels": 3136, "max_pixels": 501760}"#), Some((Some(3136), Some(501_760))));
        assert_eq!(pixels(r#"{"size": {"longest_edge": 7}}"#), Some((None, Some(7))));
        assert_eq!((pixels("5"), pixels(r#"{"size": 5}"#), pixels(r#"{"size": {"fps": 2}}"#)), (None, None, None));
        assert_eq!((pixels(r#"{"max_pixels": "7"}"#), pixels(r#"{"min_pixels": -1, "fps": 2}"#)), (None, None));
        // What vLLM's processor does not know it drops.
        let more = r#"{"fps": 2, "max_pixels": 7, "do_resize": true}"#;
        assert_eq!(pixels(more), Some((None, Some(7))));
        assert_eq!(args_of(&["--mm-processor-kwargs", more]).engine.unknown_processor_kwargs(), ["fps", "do_resize"]);
        let images = |given: &str| args_of(&["--limit-mm-per-prompt", given]).engine.images_max().ok();
        assert_eq!((images(r#"{"image": 2}"#), images("image=3"), images("x")), (Some(2), Some(3), None));
        assert_eq!(args("m").engine.images_max().ok(), Some(999));
    }

    #[test]
    fn pictures_of_other_servers() {
        let rules = |words: &str| args(words).engine.remote_media();
        assert_eq!(rules("m"), None);
        let named = rules("m --allowed_media_domains Example.com localhost --allow-private-media-addresses").unwrap();
        assert_eq!((named.hosts, named.private_addresses), (vec!["example.com".into(), "localhost".into()], true));
        let any = rules("m --allow-remote-media --max-media-download-mib 3").unwrap();
        assert_eq!((any.hosts.len(), any.private_addresses, any.bytes_max), (0, false, 3 << 20));
    }

    fn args_of(words: &[&str]) -> Args {
        parse(["vlm-server"].iter().chain(words).map(OsString::from)).unwrap()
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
