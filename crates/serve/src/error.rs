//! What can go wrong before and while the server runs. What a client does wrong is no error here: it gets an answer.

use std::io;
use std::path::PathBuf;

/// Why the server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address.
    #[error("cannot listen on {address}: {why}; {}", listen_hint(why))]
    Listen {
        /// What was given.
        address: String,
        /// The system's words.
        why: io::Error,
    },
    /// The certificate or its key.
    #[error("the certificate or its key cannot be used: {0}; PEM of both is needed")]
    Certificate(String),
    /// The file of a script, or what is in it.
    #[error("--script {path}: {why}")]
    ScriptFile {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: Box<ServeError>,
    },
    /// No JSON of a script.
    #[error("this is no script: {0}; `vlm-server --scripted --print-script` shows one")]
    ScriptJson(String),
    /// A value of a script that is out of range.
    #[error("{field} is {given}; allowed: {allowed}")]
    ScriptValue {
        /// The field.
        field: &'static str,
        /// What was given.
        given: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// No model was named.
    #[error(
        "no model: give the folder of a Qwen2-VL checkpoint (--model FOLDER, or serve FOLDER), or play a script \
         (--scripted)"
    )]
    NoModel,
    /// The model's folder.
    #[error(
        "--model {given}: {found}. Give the folder of a Qwen2-VL checkpoint as a download has it (config.json, \
         tokenizer.json, safetensors)"
    )]
    ModelFolder {
        /// What was given.
        given: String,
        /// What is there instead.
        found: String,
    },
    /// Words of the command line that are no flag.
    #[error("`{given}` is not understood: a model is given as --model FOLDER, as FOLDER or as serve FOLDER")]
    Words {
        /// What was given.
        given: String,
    },
    /// A flag's value.
    #[error("{name} {given}: allowed is {allowed}")]
    Flag {
        /// The flag.
        name: &'static str,
        /// What was given.
        given: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A longer context than the model is made for.
    #[error("--max-model-len {given}: the checkpoint is made for at most {longest} tokens; give that or fewer")]
    TooLong {
        /// What was given.
        given: usize,
        /// What the checkpoint says.
        longest: usize,
    },
    /// The tokenizer of another model.
    #[error(
        "the tokenizer in {} is not this model's: {why}; give the folder of the model's own with --tokenizer, or leave \
         the flag out", folder.display()
    )]
    OtherTokenizer {
        /// The tokenizer's folder.
        folder: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// Nothing says how pictures are made to fit.
    #[error(
        "{} has no preprocessor_config.json, which says how pictures are made to fit the model; fetch it with the checkpoint",
        folder.display()
    )]
    NoImageSettings {
        /// The checkpoint's folder.
        folder: PathBuf,
    },
    /// A file of the checkpoint.
    #[error("{}: {why}; check that the checkpoint's folder is whole", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's words.
        why: io::Error,
    },
    /// The checkpoint.
    #[error(transparent)]
    Model(#[from] engine::model::Error),
    /// The checkpoint's settings for pictures.
    #[error(transparent)]
    Geometry(#[from] geometry::Error),
    /// The same, for their values.
    #[error(transparent)]
    Pixels(#[from] engine::pixels::Error),
    /// The log of what was received and sent.
    #[error("--truth-log {path}: {why}")]
    TruthLog {
        /// Which.
        path: PathBuf,
        /// The system's words.
        why: io::Error,
    },
    /// The checkpoint's text files, or a template.
    #[error(transparent)]
    Text(#[from] engine::text::TextError),
    /// The engine's limits.
    #[error(transparent)]
    Engine(#[from] engine::engine::EngineError),
    /// The system.
    #[error("{0}")]
    System(#[from] io::Error),
}

fn listen_hint(why: &io::Error) -> &'static str {
    match why.kind() {
        io::ErrorKind::AddrInUse => {
            "something listens there already: end it, or choose another --port (0 takes a free one)"
        }
        io::ErrorKind::AddrNotAvailable => {
            "--host must be an address of this machine: 127.0.0.1 for itself only, 0.0.0.0 for all"
        }
        io::ErrorKind::PermissionDenied => "ports below 1024 are not for everyone: choose a --port from 1024 on",
        _ => "check --host and --port",
    }
}

impl From<nix::errno::Errno> for ServeError {
    fn from(errno: nix::errno::Errno) -> Self {
        Self::System(errno.into())
    }
}
