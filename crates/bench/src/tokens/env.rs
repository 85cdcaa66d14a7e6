//! The environment variables that decide where a tokenizer is looked for. Must not be read anywhere else, so that
//! tests build an [`Env`] by hand.

use std::path::{Path, PathBuf};

/// The variables as they were found; an empty one counts as unset. Holds a secret: it has no `Debug`.
#[derive(Clone, Default)]
pub struct Env {
    /// The home folder.
    pub home: Option<PathBuf>,
    /// `XDG_CACHE_HOME`.
    pub xdg_cache_home: Option<String>,
    /// `HF_HOME`.
    pub hf_home: Option<String>,
    /// `HF_HUB_CACHE`, or its older name `HUGGINGFACE_HUB_CACHE`.
    pub hf_hub_cache: Option<String>,
    /// `HF_ENDPOINT`: a mirror instead of `https://huggingface.co`.
    pub hf_endpoint: Option<String>,
    /// `HF_TOKEN`, or its older name `HUGGING_FACE_HUB_TOKEN`.
    pub hf_token: Option<String>,
    /// `HF_TOKEN_PATH`: the file that holds the token.
    pub hf_token_path: Option<String>,
    /// `HF_HUB_OFFLINE`, or `TRANSFORMERS_OFFLINE`.
    pub hf_hub_offline: Option<String>,
    /// `MODELSCOPE_CACHE`.
    pub modelscope_cache: Option<String>,
}

impl Env {
    /// The environment of this process.
    pub fn from_process() -> Self {
        let get = |names: &[&str]| names.iter().find_map(|n| std::env::var(n).ok().filter(|v| !v.trim().is_empty()));
        Self {
            home: std::env::home_dir(),
            xdg_cache_home: get(&["XDG_CACHE_HOME"]),
            hf_home: get(&["HF_HOME"]),
            hf_hub_cache: get(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"]),
            hf_endpoint: get(&["HF_ENDPOINT"]),
            hf_token: get(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]),
            hf_token_path: get(&["HF_TOKEN_PATH"]),
            hf_hub_offline: get(&["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]),
            modelscope_cache: get(&["MODELSCOPE_CACHE"]),
        }
    }

    /// `~` and `~/x` as the home folder; anything else as it stands.
    pub(super) fn expand(&self, path: &str) -> PathBuf {
        match (&self.home, path.strip_prefix('~')) {
            (Some(home), Some("")) => home.clone(),
            (Some(home), Some(rest)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
            _ => PathBuf::from(path),
        }
    }

    /// Whether the user forbade the hub: `1`, `true`, `on` or `yes` in any case, as huggingface_hub reads it.
    pub(super) fn offline(&self) -> bool {
        let value = self.hf_hub_offline.as_deref().unwrap_or_default().trim().to_ascii_lowercase();
        matches!(value.as_str(), "1" | "true" | "on" | "yes")
    }

    /// The hub's address without a trailing slash.
    pub(super) fn endpoint(&self) -> &str {
        let given = self.hf_endpoint.as_deref().map(str::trim).filter(|s| !s.is_empty());
        given.unwrap_or("https://huggingface.co").trim_end_matches('/')
    }

    /// The hub's token: the variable, else the file that `hf auth login` writes.
    pub(super) fn token(&self) -> Option<String> {
        let clean = |s: &str| Some(s.trim().to_owned()).filter(|s| !s.is_empty());
        if let Some(token) = self.hf_token.as_deref().and_then(clean) {
            return Some(token);
        }
        let file = match &self.hf_token_path {
            Some(path) => self.expand(path),
            None => self.hf_home()?.join("token"),
        };
        clean(&std::fs::read_to_string(file).ok()?)
    }

    /// The folder of Hugging Face's cache that holds `models--org--name`.
    pub(super) fn hf_hub_cache(&self) -> Option<PathBuf> {
        match &self.hf_hub_cache {
            Some(path) => Some(self.expand(path)),
            None => Some(self.hf_home()?.join("hub")),
        }
    }

    /// The folders that may hold ModelScope's `org/name`, newest layout first.
    pub(super) fn model_scope_roots(&self) -> Vec<PathBuf> {
        let below = |base: &Path| ["hub/models", "models", "hub", ""].map(|p| base.join(p)).to_vec();
        match (&self.modelscope_cache, self.cache_home()) {
            (Some(path), _) => below(&self.expand(path)),
            (None, Some(cache)) => below(&cache.join("modelscope")),
            (None, None) => Vec::new(),
        }
    }

    fn hf_home(&self) -> Option<PathBuf> {
        match &self.hf_home {
            Some(path) => Some(self.expand(path)),
            None => Some(self.cache_home()?.join("huggingface")),
        }
    }

    fn cache_home(&self) -> Option<PathBuf> {
        match &self.xdg_cache_home {
            Some(path) => Some(self.expand(path)),
            None => Some(self.home.as_ref()?.join(".cache")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{home, write};
    use super::*;

    #[test]
    fn offline_words() {
        for (value, want) in
            [("1", true), ("TRUE", true), ("on", true), ("Yes", true), ("0", false), ("", false), ("no", false)]
        {
            let env = Env { hf_hub_offline: Some(value.to_owned()), ..Env::default() };
            assert_eq!(env.offline(), want, "{value:?}");
        }
        assert!(!Env::default().offline());
    }

    #[test]
    fn token_from_the_variable_or_the_file() {
        let (dir, env) = home();
        assert_eq!(env.token(), None);
        write(&dir.path().join(".cache/huggingface/token"), " hf_file\n");
        assert_eq!(env.token().as_deref(), Some("hf_file"));
        write(&dir.path().join("elsewhere"), "hf_elsewhere");
        let env = Env { hf_token_path: Some("~/elsewhere".to_owned()), ..env };
        assert_eq!(env.token().as_deref(), Some("hf_elsewhere"));
        let env = Env { hf_token: Some("hf_var".to_owned()), ..env };
        assert_eq!(env.token().as_deref(), Some("hf_var"));
    }

    #[test]
    fn cache_folder() {
        let base = Env { home: Some("/h".into()), ..Env::default() };
        let check = |env: Env, want: &str| assert_eq!(env.hf_hub_cache(), Some(PathBuf::from(want)));
        check(base.clone(), "/h/.cache/huggingface/hub");
        check(Env { xdg_cache_home: Some("/x".into()), ..base.clone() }, "/x/huggingface/hub");
        check(Env { hf_home: Some("/hf".into()), xdg_cache_home: Some("/x".into()), ..base.clone() }, "/hf/hub");
        check(Env { hf_hub_cache: Some("~/c".into()), hf_home: Some("/hf".into()), ..base }, "/h/c");
        assert_eq!(Env::default().hf_hub_cache(), None);
    }
}
