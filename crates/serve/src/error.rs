//! What can go wrong before and while the server runs. What a client does wrong is no error here: it gets an answer.

use std::io;
use std::path::PathBuf;

/// Why the server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address.
    #[error("cannot listen on {address}: {why}; choose another --port (0 takes a free one)")]
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
    /// No script was asked for.
    #[error("this build has no engine: it can only play scripts; give --scripted (--help shows what a script can do)")]
    NoEngine,
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

impl From<nix::errno::Errno> for ServeError {
    fn from(errno: nix::errno::Errno) -> Self {
        Self::System(errno.into())
    }
}
