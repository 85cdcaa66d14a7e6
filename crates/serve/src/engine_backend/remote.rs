//! Pictures by http and https URLs, where the command line allows it: from which hosts and addresses, in how much time and of
//! how many bytes. It waits for others, so that it belongs on threads that may. It must not know pictures.
//!
//! Direct connections only: behind a proxy nobody could tell which address is asked.

mod address;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::{StatusCode, Uri};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Error};

use super::out::failed;
use crate::validate::ApiError;

/// More redirects than this lead nowhere.
const REDIRECTS_MAX: u32 = 5;
/// So much of a URL is repeated to whom sent it.
const SHOWN_MAX: usize = 2048;

/// Which pictures may be fetched, and what that may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteRules {
    /// Hosts that may be asked, in lower case; none: any host.
    pub hosts: Vec<String>,
    /// Whether addresses may be asked that are not public: loopback, private, link-local.
    pub private_addresses: bool,
    /// Most time for all pictures of one request.
    pub time_max: Duration,
    /// Most bytes of one picture.
    pub bytes_max: u64,
}

/// Fetches pictures.
pub(super) struct Remote {
    agent: Agent,
    rules: Arc<RemoteRules>,
}

/// Looks hosts up and keeps to the rules: whatever is connected to, at first or after a redirect, has passed here.
#[derive(Debug)]
struct Gate {
    rules: Arc<RemoteRules>,
    names: DefaultResolver,
}

/// Why a host is not asked.
#[derive(Debug)]
enum Barred {
    Host(String),
    Address,
}

impl Remote {
    pub(super) fn new(rules: RemoteRules) -> Self {
        let rules = Arc::new(rules);
        let config = Agent::config_builder()
            .proxy(None)
            .max_redirects(REDIRECTS_MAX)
            .http_status_as_error(false)
            .max_idle_connections(0)
            .user_agent(concat!("vlm-server/", env!("CARGO_PKG_VERSION")))
            .build();
        let gate = Gate { rules: Arc::clone(&rules), names: DefaultResolver::default() };
        Self { agent: Agent::with_parts(config, DefaultConnector::default(), gate), rules }
    }

    /// When a request that begins now has waited long enough for its pictures.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.rules.time_max
    }

    /// The bytes behind a URL; refused as vLLM 0.32.0 does where it does.
    pub(super) fn fetch(&self, url: &str, until: Instant) -> Result<Vec<u8>, ApiError> {
        let uri = uri(url).ok_or_else(|| unprocessable("Invalid URL", url))?;
        let host =
            uri.authority().map(|authority| authority.as_str().rsplit('@').next().unwrap_or_default().to_owned());
        let refuse = |error| self.refusal(url, host.as_deref().unwrap_or_default(), error);
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(refuse(Error::Timeout(ureq::Timeout::Global)));
        }
        let mut reply = self.agent.get(uri).config().timeout_global(Some(left)).build().call().map_err(refuse)?;
        let status = reply.status();
        if !status.is_success() {
            return Err(of_status(status, url));
        }
        let body = reply.body_mut();
        if body.content_length().is_some_and(|bytes| bytes > self.rules.bytes_max) {
            return Err(refuse(Error::BodyExceedsLimit(self.rules.bytes_max)));
        }
        body.with_config().limit(self.rules.bytes_max).read_to_vec().map_err(refuse)
    }

    fn refusal(&self, url: &str, host: &str, error: Error) -> ApiError {
        match error {
            Error::Other(why) => match why.downcast_ref::<Barred>() {
                Some(barred) => self.barred(url, barred),
                None => failed(&format!("Cannot connect to host {host}: {why}")),
            },
            Error::TooManyRedirects => unprocessable(&format!("more than {REDIRECTS_MAX} redirects"), url),
            Error::BodyExceedsLimit(_) => {
                unprocessable(&format!("it has more than {} bytes", self.rules.bytes_max), url)
            }
            Error::BadUri(_) | Error::Http(_) => unprocessable("Invalid URL", url),
            Error::Timeout(_) => {
                let most = self.rules.time_max.as_secs_f64();
                failed(&format!("Cannot fetch from host {host}: no complete answer within {most} s"))
            }
            other => failed(&format!("Cannot fetch from host {host}: {other}")),
        }
    }

    fn barred(&self, url: &str, barred: &Barred) -> ApiError {
        match barred {
            Barred::Host(host) => {
                let hosts: Vec<String> = self.rules.hosts.iter().map(|host| format!("'{host}'")).collect();
                let words = format!(
                    "The URL must be from one of the allowed domains: [{}]. Input URL domain: {host}",
                    hosts.join(", ")
                );
                ApiError::new(400, "BadRequestError", words, None)
            }
            Barred::Address => {
                let words = "the host has no public address, and this server was not started with \
                             --allow-private-media-addresses";
                unprocessable(words, url)
            }
        }
    }
}

impl Resolver for Gate {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        if !self.rules.hosts.is_empty() && !self.rules.hosts.contains(&host) {
            return Err(Error::Other(Box::new(Barred::Host(host))));
        }
        let found = self.names.resolve(uri, config, timeout)?;
        if self.rules.private_addresses {
            return Ok(found);
        }
        let mut public = self.empty();
        found.iter().filter(|found| address::is_public(found.ip())).for_each(|found| public.push(*found));
        if public.is_empty() { Err(Error::Other(Box::new(Barred::Address))) } else { Ok(public) }
    }
}

impl fmt::Display for Barred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => write!(f, "{host} is not asked"),
            Self::Address => f.write_str("its address is not asked"),
        }
    }
}

impl std::error::Error for Barred {}

/// A URL as it goes over the wire: people write letters of any script into paths, and schemes in any case.
fn uri(url: &str) -> Option<Uri> {
    let (scheme, rest) = url.split_once(':')?;
    let mut text = scheme.to_ascii_lowercase() + ":";
    for byte in rest.bytes() {
        match byte {
            b'!'..=b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text.parse().ok().filter(|uri: &Uri| uri.host().is_some_and(|host| !host.is_empty() && !host.contains('%')))
}

/// vLLM's words for what another server answers: 4xx is the client's fault, the rest may pass.
fn of_status(status: StatusCode, url: &str) -> ApiError {
    match status.as_u16() {
        408 | 429 | 500.. => {
            let (code, reason) = (status.as_u16(), status.canonical_reason().unwrap_or_default());
            failed(&format!("{code}, message='{reason}', url='{}'", shown(url)))
        }
        code => unprocessable(&format!("HTTP {code} error"), url),
    }
}

fn unprocessable(words: &str, url: &str) -> ApiError {
    let message = format!("Failed to fetch media from URL: {words} (parameter=image_url, value={})", shown(url));
    ApiError::new(422, "UnprocessableEntityError", message, Some("image_url"))
}

fn shown(url: &str) -> &str {
    let end = (0..=SHOWN_MAX.min(url.len())).rev().find(|at| url.is_char_boundary(*at)).unwrap_or(0);
    url.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests;
