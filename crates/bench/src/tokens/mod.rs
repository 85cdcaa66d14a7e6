//! How many text tokens a prompt has, and where that number came from.
//!
//! Order of places: what `--tokenizer` names, else the folder `--model` names, else the caches of Hugging Face and
//! ModelScope on this machine; the server's `/tokenize` is asked by the caller with the pure functions of [`server`].
//! The network is used for a hub id given to `--tokenizer` and for nothing else. This module must not know clocks,
//! requests or reports: loading takes 0.1–0.5 s and never belongs on the timing path.

mod cache;
mod env;
mod error;
mod hub;
mod load;
pub mod server;
mod synthetic;
#[cfg(test)]
mod testing;
mod words;

pub use env::Env;
pub use error::TokensError;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use tokenizers::Tokenizer;

/// Where a count of text tokens came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder or file named by the user.
    LocalFolder {
        /// The folder, or the tokenizer.json.
        path: PathBuf,
    },
    /// The Hugging Face cache of this machine.
    HfCache {
        /// `org/name`.
        repo: String,
        /// The snapshot folder.
        path: PathBuf,
    },
    /// The ModelScope cache of this machine.
    ModelScopeCache {
        /// The model's folder.
        path: PathBuf,
    },
    /// Fetched from the hub just now.
    HubDownload {
        /// `org/name`.
        repo: String,
    },
    /// Counted by the server itself.
    ServerTokenize {
        /// The address asked.
        url: String,
    },
}

impl Source {
    /// One short word for records and tables.
    pub fn label(&self) -> &'static str {
        match self {
            Self::LocalFolder { .. } => "local-folder",
            Self::HfCache { .. } => "hf-cache",
            Self::ModelScopeCache { .. } => "modelscope-cache",
            Self::HubDownload { .. } => "hub-download",
            Self::ServerTokenize { .. } => "server-tokenize",
        }
    }

    /// The folder, repository or address behind the label.
    pub fn place(&self) -> String {
        match self {
            Self::LocalFolder { path } | Self::HfCache { path, .. } | Self::ModelScopeCache { path } => {
                path.display().to_string()
            }
            Self::HubDownload { repo } => repo.clone(),
            Self::ServerTokenize { url } => url.clone(),
        }
    }
}

/// What the user said about the tokenizer.
#[derive(Debug, Clone)]
pub struct Spec {
    /// `--tokenizer`: a folder, a tokenizer.json, or a hub id.
    pub tokenizer: Option<String>,
    /// `--model`: a folder, or any name a server may use. Never looked up over the network.
    pub model: Option<String>,
    /// Forbids the network as `HF_HUB_OFFLINE` does.
    pub offline: bool,
    /// The longest a download from the hub may take, all files and redirects together.
    pub hub_limit: Duration,
}

impl Default for Spec {
    fn default() -> Self {
        Self { tokenizer: None, model: None, offline: false, hub_limit: Duration::from_secs(60) }
    }
}

/// A tokenizer, ready to count.
pub struct Loaded {
    source: Source,
    tokenizer: Tokenizer,
    pieces: OnceLock<Vec<synthetic::Piece>>,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Loaded {
    fn new(source: Source, tokenizer: Tokenizer) -> Self {
        Self { source, tokenizer, pieces: OnceLock::new() }
    }

    /// Where it was found.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The ids of `text`, without tokens that a tokenizer adds around a text.
    ///
    /// # Errors
    /// [`TokensError::Encode`] when the tokenizer itself fails on this text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokensError> {
        let encoding =
            self.tokenizer.encode_fast(text, false).map_err(|e| TokensError::Encode { why: e.to_string() })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The number of tokens of `text`, without tokens that a tokenizer adds around a text: 请描述图片 is 3 for Qwen2.
    ///
    /// # Errors
    /// As [`Loaded::encode`].
    pub fn count(&self, text: &str) -> Result<u64, TokensError> {
        Ok(self.encode(text)?.len() as u64)
    }
}

/// Finds the tokenizer for `spec`. `Ok(None)`: nothing local is known and none was named by `--tokenizer`, so the
/// caller may ask the server.
///
/// # Errors
/// When `--tokenizer` cannot be had (a fault of the command line), or the folder given as `--model` holds no
/// tokenizer that can be read (the caller may go on with the server's `/tokenize` and a caution).
pub fn resolve(spec: &Spec, env: &Env) -> Result<Option<Loaded>, TokensError> {
    if let Some(given) = spec.tokenizer.as_deref().filter(|s| !s.is_empty()) {
        return explicit(given, spec, env).map(Some);
    }
    let Some(model) = spec.model.as_deref().filter(|s| !s.is_empty()) else {
        return Ok(None);
    };
    let path = env.expand(model);
    if path.is_dir() {
        return local(&path).map(Some);
    }
    if is_hub_id(model) { cached(model, env) } else { Ok(None) }
}

/// Whether [`resolve`] would find files to load: a look, without reading them. For the decision whom to ask.
#[must_use]
pub fn at_hand(spec: &Spec, env: &Env) -> bool {
    if spec.tokenizer.as_deref().is_some_and(|given| !given.is_empty()) {
        return true;
    }
    let Some(model) = spec.model.as_deref().filter(|model| !model.is_empty()) else { return false };
    let path = env.expand(model);
    if path.is_dir() {
        return ["tokenizer.json", "vocab.json"].iter().any(|file| path.join(file).exists());
    }
    is_hub_id(model) && (cache::hugging_face(model, env).is_some() || cache::model_scope(model, env).is_some())
}

fn explicit(given: &str, spec: &Spec, env: &Env) -> Result<Loaded, TokensError> {
    let path = env.expand(given);
    if path.exists() {
        return local(&path);
    }
    if !is_hub_id(given) {
        return Err(TokensError::NotFound { given: given.to_owned() });
    }
    if let Some(found) = cached(given, env)? {
        return Ok(found);
    }
    if spec.offline || env.offline() {
        return Err(TokensError::Offline { repo: given.to_owned() });
    }
    let tokenizer = hub::download(given, env, spec.hub_limit)?;
    Ok(Loaded::new(Source::HubDownload { repo: given.to_owned() }, tokenizer))
}

fn local(path: &Path) -> Result<Loaded, TokensError> {
    let tokenizer = load::from_path(path)?;
    Ok(Loaded::new(Source::LocalFolder { path: path.to_owned() }, tokenizer))
}

fn cached(repo: &str, env: &Env) -> Result<Option<Loaded>, TokensError> {
    if let Some(path) = cache::hugging_face(repo, env) {
        let tokenizer = load::from_path(&path)?;
        return Ok(Some(Loaded::new(Source::HfCache { repo: repo.to_owned(), path }, tokenizer)));
    }
    if let Some(path) = cache::model_scope(repo, env) {
        let tokenizer = load::from_path(&path)?;
        return Ok(Some(Loaded::new(Source::ModelScopeCache { path }, tokenizer)));
    }
    Ok(None)
}

/// `name` or `org/name` of the characters a hub allows. Everything that looks like a path is none: a leading `/`, `.`
/// or `~`, a drive letter, a backslash, more than one `/`, the name of a JSON file.
fn is_hub_id(name: &str) -> bool {
    let segment = |s: &str| {
        s.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && s.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
            && !s.ends_with(['-', '.'])
            && !s.contains("..")
            && !s.contains("--")
    };
    name.len() <= 96 && name.split('/').count() <= 2 && name.split('/').all(segment) && !name.ends_with(".json")
}

#[cfg(test)]
mod tests {
    use super::testing::{expected_ids, home, qwen_folder, tiny_tokenizer, write};
    use super::*;

    #[test]
    fn what_is_a_hub_id() {
        let check = |name: &str, want: bool| assert_eq!(is_hub_id(name), want, "{name:?}");
        check("Qwen/Qwen2-VL-7B-Instruct", true);
        check("gpt2", true);
        check("org/name.v1_2", true);
        for path in [
            "",
            "/",
            "/data/models/qwen",
            "./x",
            "../x",
            "~/x",
            "x/",
            "a/b/c",
            r"C:\x",
            r"a\b",
            "C:/x",
            "a b/c",
            "org/..",
            "org/.x",
            "org/x--y",
            "模型/x",
            "x/tokenizer.json",
            "http://h/x",
            "org/na?me",
            "org/na%2Fme",
        ] {
            check(path, false);
        }
        check(&format!("o/{}", "x".repeat(95)), false);
    }

    #[test]
    fn qwen2_gives_the_ids_of_hugging_face() {
        let spec = Spec { tokenizer: Some(qwen_folder().display().to_string()), ..Spec::default() };
        let loaded = resolve(&spec, &Env::default()).unwrap().unwrap();
        assert_eq!(loaded.source().label(), "local-folder");
        assert_eq!(loaded.count("请描述图片").unwrap(), 3); // the reply of vLLM's /tokenize
        assert_eq!(loaded.count("").unwrap(), 0);
        for (text, ids) in expected_ids() {
            assert_eq!(loaded.encode(&text).unwrap(), ids, "{text:?}");
            assert_eq!(loaded.count(&text).unwrap(), ids.len() as u64, "{text:?}");
        }
    }

    #[test]
    fn places_are_tried_in_order() {
        let (dir, env) = home();
        let folder = dir.path().join("folder");
        write(&folder.join("tokenizer.json"), &tiny_tokenizer(&["folder"]));
        let hf = dir.path().join(".cache/huggingface/hub/models--org--name");
        write(&hf.join("refs/main"), "c0ffee");
        write(&hf.join("snapshots/c0ffee/tokenizer.json"), &tiny_tokenizer(&["hf"]));
        let ms = dir.path().join(".cache/modelscope/hub/models/org/only");
        write(&ms.join("tokenizer.json"), &tiny_tokenizer(&["ms"]));
        let folder = folder.display().to_string();
        let file = format!("{folder}/tokenizer.json");
        let check = |tokenizer: Option<&str>, model: Option<&str>, want: Option<&str>| {
            let spec = Spec {
                tokenizer: tokenizer.map(str::to_owned),
                model: model.map(str::to_owned),
                offline: true,
                ..Spec::default()
            };
            let got = resolve(&spec, &env).unwrap().map(|l| l.source().label());
            assert_eq!(got, want, "{tokenizer:?} {model:?}");
        };
        check(None, None, None);
        check(Some(""), Some(""), None);
        check(Some(&folder), Some("org/name"), Some("local-folder"));
        check(Some(&file), None, Some("local-folder"));
        check(Some("~/folder"), None, Some("local-folder"));
        check(Some("org/name"), Some(&folder), Some("hf-cache"));
        check(Some("org/only"), None, Some("modelscope-cache"));
        check(None, Some(&folder), Some("local-folder"));
        check(None, Some("org/name"), Some("hf-cache"));
        check(None, Some("org/only"), Some("modelscope-cache"));
        check(None, Some("org/unknown"), None);
        check(None, Some("/data/models/missing"), None);
        check(None, Some(&file), None);
    }

    #[test]
    fn a_named_tokenizer_that_is_not_there_is_an_error() {
        let (_dir, env) = home();
        let check = |given: &str, want: &str| {
            let spec = Spec { tokenizer: Some(given.to_owned()), offline: true, ..Spec::default() };
            let error = resolve(&spec, &env).unwrap_err();
            assert!(error.to_string().contains(want), "{given}: {error}");
            assert!(error.to_string().contains(given), "{given}: {error}");
        };
        check("/data/models/missing", "does not exist");
        check("./missing", "does not exist");
        check(r"C:\missing", "does not exist");
        check("org/missing", "offline");
    }
}
