//! A tokenizer from the Hugging Face hub or a mirror that speaks like it. One GET per file, bounded in time and size.
//!
//! hf-hub's own downloader is not used (its cache names are): it sends the token on to whatever host a redirect
//! names, takes the environment's proxy for loopback too, has no time limit, and moves `refs/main`, which makes a model
//! whose weights lie under the older revision unusable offline.

use super::cache::is_plain_name;
use super::env::Env;
use super::error::TokensError;
use super::load;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokenizers::Tokenizer;
use ureq::http::{HeaderMap, Response, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};
use url::{Host, Url};

const REDIRECTS_MAX: usize = 8;

/// Fetches the tokenizer of `repo` (main revision) and keeps it in the Hugging Face cache where that can be written.
pub(super) fn download(repo: &str, env: &Env, limit: Duration) -> Result<Tokenizer, TokensError> {
    let hub = Hub::new(repo, env, limit)?;
    let missing = match hub.fetch("tokenizer.json")? {
        Answer::File(file) => {
            let tokenizer = load::from_json(&file.bytes, &hub.label("tokenizer.json"))?;
            keep(repo, env, &[file]);
            return Ok(tokenizer);
        }
        Answer::Status(status) => hub.refused("tokenizer.json", status),
    };
    if !matches!(missing, TokensError::HubStatus { status: 404, .. }) {
        return Err(missing);
    }
    let (Answer::File(vocab), Answer::File(merges)) = (hub.fetch("vocab.json")?, hub.fetch("merges.txt")?) else {
        return Err(missing);
    };
    let config = match hub.fetch("tokenizer_config.json")? {
        Answer::File(file) => Some(file),
        Answer::Status(_) => None,
    };
    let config_bytes = config.as_ref().map(|f| f.bytes.as_slice());
    let tokenizer = load::from_parts(&vocab.bytes, &merges.bytes, config_bytes, &hub.label(""))?;
    let files: Vec<File> = [vocab, merges].into_iter().chain(config).collect();
    keep(repo, env, &files);
    Ok(tokenizer)
}

struct File {
    name: &'static str,
    bytes: Vec<u8>,
    /// `x-repo-commit`, where the hub said it.
    commit: Option<String>,
}

enum Answer {
    File(File),
    Status(u16),
}

struct Hub {
    repo: String,
    base: Url,
    token: Option<String>,
    agent: Agent,
    limit: Duration,
    deadline: Instant,
}

impl Hub {
    fn new(repo: &str, env: &Env, limit: Duration) -> Result<Self, TokensError> {
        let wrong =
            || TokensError::Endpoint { endpoint: env.endpoint().rsplit('@').next().unwrap_or_default().to_owned() };
        let base = Url::parse(&format!("{}/", env.endpoint())).map_err(|_| wrong())?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(wrong());
        }
        let deadline = Instant::now() + limit;
        Ok(Self { repo: repo.to_owned(), agent: agent(&base), base, token: env.token(), limit, deadline })
    }

    fn fetch(&self, name: &'static str) -> Result<Answer, TokensError> {
        let mut url = self.base.join(&format!("{}/resolve/main/{name}", self.repo)).map_err(|e| self.failed(&e))?;
        let mut commit = None;
        for _ in 0..=REDIRECTS_MAX {
            let mut response = self.get(&url)?;
            commit = commit.or_else(|| text(response.headers(), "x-repo-commit"));
            let status = response.status().as_u16();
            match text(response.headers(), header::LOCATION.as_str()) {
                Some(location) if (300..400).contains(&status) => {
                    url = url.join(&location).map_err(|e| self.failed(&e))?;
                    if !matches!(url.scheme(), "http" | "https") {
                        return Err(self.failed(&"a redirect leads away from http and https"));
                    }
                }
                _ if status == 200 => {
                    let body = response.body_mut().with_config().limit(load::FILE_BYTES_MAX);
                    let bytes = body.read_to_vec().map_err(|e| self.broke(&e))?;
                    return Ok(Answer::File(File { name, bytes, commit }));
                }
                _ => return Ok(Answer::Status(status)),
            }
        }
        Err(self.failed(&format!("more than {REDIRECTS_MAX} redirects")))
    }

    /// One request. The token goes to the hub's own address only, never to a store that a redirect names.
    fn get(&self, url: &Url) -> Result<Response<Body>, TokensError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.broke(&ureq::Error::Timeout(ureq::Timeout::Global)));
        }
        let mut request = self.agent.get(url.as_str()).config().timeout_global(Some(left)).build();
        if let Some(token) = self.token.as_ref().filter(|_| url.origin() == self.base.origin()) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request.call().map_err(|e| self.broke(&e))
    }

    fn broke(&self, error: &ureq::Error) -> TokensError {
        match error {
            ureq::Error::Timeout(_) => self.failed(&format!("no complete answer within {:?}", self.limit)),
            other => self.failed(other),
        }
    }

    fn failed(&self, why: &impl std::fmt::Display) -> TokensError {
        TokensError::Hub { endpoint: self.shown(), repo: self.repo.clone(), why: why.to_string() }
    }

    fn refused(&self, file: &str, status: u16) -> TokensError {
        TokensError::HubStatus { endpoint: self.shown(), repo: self.repo.clone(), file: file.to_owned(), status }
    }

    /// The address without a password.
    fn shown(&self) -> String {
        let origin = self.base.origin().ascii_serialization();
        format!("{origin}{}", self.base.path().trim_end_matches('/'))
    }

    /// A name for messages about a file that lies nowhere yet.
    fn label(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("{}/{}/{name}", self.shown(), self.repo))
    }
}

/// Statuses are ours to read and redirects ours to follow. The environment's proxy is never used for loopback.
fn agent(base: &Url) -> Agent {
    let loopback = match base.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let mut config = Agent::config_builder()
        .max_redirects(0)
        .http_status_as_error(false)
        .user_agent(concat!("vlm-benchmark/", env!("CARGO_PKG_VERSION")));
    if loopback {
        config = config.proxy(None);
    }
    if base.scheme() == "https" {
        config = config.tls_config(TlsConfig::builder().root_certs(roots()).build());
    }
    config.build().into()
}

/// The machine's certificates (a firm's own among them), else Mozilla's.
fn roots() -> RootCerts {
    let native = rustls_native_certs::load_native_certs().certs;
    let certs: Vec<_> = native.iter().map(|c| Certificate::from_der(c.as_ref()).to_owned()).collect();
    if certs.is_empty() { RootCerts::WebPki } else { RootCerts::Specific(Arc::new(certs)) }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Lays the files where the next run finds them. A cache that cannot be written costs the next run a download, no more.
fn keep(repo: &str, env: &Env, files: &[File]) {
    let commit = files.first().and_then(|f| f.commit.as_deref()).filter(|c| is_plain_name(c));
    let (Some(commit), Some(cache)) = (commit, env.hf_hub_cache()) else {
        return;
    };
    let model = cache.join(hf_hub::Repo::model(repo.to_owned()).folder_name());
    let snapshot = model.join("snapshots").join(commit);
    let written = files.iter().all(|f| place(&snapshot, f.name, &f.bytes).is_ok());
    let main = model.join("refs/main");
    if written && !main.exists() {
        place(&model.join("refs"), "main", commit.as_bytes()).ok();
    }
}

/// Writes beside and renames: nobody reads half a file. A plain file, as the hub's own programs make them where there
/// are no symbolic links.
fn place(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let part = folder.join(format!(".{name}.{}.part", std::process::id()));
    let done = std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, folder.join(name)));
    if done.is_err() {
        std::fs::remove_file(&part).ok();
    }
    done
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
