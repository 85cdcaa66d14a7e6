//! Where requests go: scheme, host, port, base path, and the proxy on the way.

use hyper::header::{HOST, HeaderMap, HeaderValue, PROXY_AUTHORIZATION};
use hyper_util::client::proxy::matcher::Matcher;
use measure::Lang;
use url::{Host, Url};

/// A checked server address.
#[derive(Debug, Clone)]
pub struct Target {
    /// The base URL, without a trailing slash and without credentials.
    base: Url,
    /// The proxy's address and its authorization header, if requests go through one.
    proxy: Option<Proxy>,
}

/// A proxy from the environment.
#[derive(Clone)]
pub(super) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) authorization: Option<HeaderValue>,
}

impl Proxy {
    /// For people: without its authorization.
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The authorization is a secret.
        f.write_str(&self.name())
    }
}

/// Why an address cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No URL.
    #[error(
        "{given:?} is no server address ({why}); an http:// or https:// URL such as http://127.0.0.1:8000 is expected"
    )]
    NoUrl {
        /// What was given.
        given: String,
        /// What is wrong with it.
        why: String,
    },
    /// Neither http nor https.
    #[error("{given:?} has the scheme {scheme:?}; http and https are possible")]
    Scheme {
        /// What was given.
        given: String,
        /// Its scheme.
        scheme: String,
    },
    /// The proxy in the environment cannot be used.
    #[error(
        "the proxy {proxy:?} from the environment cannot be used: only http:// proxies are; unset it or set NO_PROXY"
    )]
    Proxy {
        /// Its scheme and host.
        proxy: String,
    },
}

impl TargetError {
    /// The error in the user's language.
    #[must_use]
    pub fn text(&self, lang: Lang) -> String {
        match (lang, self) {
            (Lang::En, _) => self.to_string(),
            (Lang::Zh, Self::NoUrl { given, why }) => {
                format!(
                    "{given:?} 不是服务端地址（{why}）；应为 http:// 或 https:// 的 URL，例如 http://127.0.0.1:8000"
                )
            }
            (Lang::Zh, Self::Scheme { given, scheme }) => {
                format!("{given:?} 的协议是 {scheme:?}；只支持 http 与 https")
            }
            (Lang::Zh, Self::Proxy { proxy }) => {
                format!("环境变量中的代理 {proxy:?} 不能使用：只支持 http:// 代理；请取消它，或设置 NO_PROXY")
            }
        }
    }
}

impl Target {
    /// Reads a base URL. A path in it is kept in front of every endpoint. Credentials in it are dropped: they would
    /// otherwise reach files and screens.
    /// # Errors
    /// [`TargetError`].
    pub fn parse(given: &str) -> Result<Self, TargetError> {
        let shown = without_credentials(given);
        let no_url = |why: &str| TargetError::NoUrl { given: shown.clone(), why: why.to_owned() };
        let mut base = Url::parse(given).map_err(|error| no_url(&error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(TargetError::Scheme { given: shown, scheme: base.scheme().to_owned() });
        }
        if base.host().is_none() {
            return Err(no_url("it names no host"));
        }
        if base.set_username("").is_err() || base.set_password(None).is_err() {
            return Err(no_url("its credentials cannot be removed"));
        }
        base.set_query(None);
        base.set_fragment(None);
        Ok(Self { base, proxy: None })
    }

    /// Takes a proxy from the environment (`http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`), never for loopback.
    /// # Errors
    /// [`TargetError::Proxy`] for a proxy that is no plain HTTP proxy.
    pub fn with_proxy_from_environment(self) -> Result<Self, TargetError> {
        self.with_proxy(&Matcher::from_env())
    }

    fn with_proxy(mut self, matcher: &Matcher) -> Result<Self, TargetError> {
        if self.is_loopback() {
            return Ok(self);
        }
        let Some(found) = self.base.as_str().parse().ok().and_then(|uri| matcher.intercept(&uri)) else {
            return Ok(self);
        };
        let uri = found.uri();
        let host = uri.host().unwrap_or_default().to_owned();
        if uri.scheme_str() != Some("http") || host.is_empty() {
            return Err(TargetError::Proxy { proxy: format!("{}://{host}", uri.scheme_str().unwrap_or("?")) });
        }
        let authorization = found.basic_auth().cloned();
        self.proxy = Some(Proxy { host, port: uri.port_u16().unwrap_or(80), authorization });
        Ok(self)
    }

    /// Whether the server is on this machine by its address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.base.host() {
            Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
            Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unspecified(),
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            None => false,
        }
    }

    /// Whether TLS is spoken.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// The host, without brackets.
    #[must_use]
    pub fn host(&self) -> String {
        match self.base.host() {
            Some(Host::Ipv6(address)) => address.to_string(),
            Some(host) => host.to_string(),
            None => String::new(),
        }
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.base.port_or_known_default().unwrap_or(80)
    }

    /// Host and port, both always: `[::1]:8000`.
    #[must_use]
    pub fn host_and_port(&self) -> String {
        format!("{}:{}", self.base.host_str().unwrap_or_default(), self.port())
    }

    /// What every request needs on its way: `Host`, and the proxy's authorization where the proxy itself reads the
    /// request. Over TLS it reads `CONNECT` only, and what follows is for the server.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        // A parsed URL's host is made of characters that a header may hold.
        if let Ok(host) = HeaderValue::try_from(self.authority()) {
            headers.insert(HOST, host);
        }
        if let (Some(Proxy { authorization: Some(secret), .. }), false) = (&self.proxy, self.is_tls()) {
            headers.insert(PROXY_AUTHORIZATION, secret.clone());
        }
        headers
    }

    /// The `Host` header: the port only where it is not the scheme's own.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        self.base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The base URL, for people.
    #[must_use]
    pub fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Scheme, host and port without the base path: where servers keep `/version` and `/metrics`.
    #[must_use]
    pub fn root(&self) -> Self {
        let mut root = self.clone();
        root.base.set_path("");
        root
    }

    /// The path of an endpoint, the base path in front. An endpoint that repeats the base's `/v1` is not doubled:
    /// people give `http://host/v1` and `/v1/chat/completions` together.
    #[must_use]
    pub fn path(&self, endpoint: &str) -> String {
        let base = self.base.path().trim_end_matches('/');
        let endpoint = endpoint.trim_start_matches('/');
        let endpoint = match (base.ends_with("/v1"), endpoint.strip_prefix("v1/")) {
            (true, Some(rest)) => rest,
            _ => endpoint,
        };
        format!("{base}/{endpoint}")
    }

    /// The proxy, for people.
    #[must_use]
    pub fn proxy_name(&self) -> Option<String> {
        self.proxy.as_ref().map(Proxy::name)
    }

    pub(super) fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// What goes into the request line: the path alone, or the whole URL for a plain request through a proxy.
    #[must_use]
    pub fn request_uri(&self, path: &str) -> String {
        if self.proxy.is_some() && !self.is_tls() {
            format!("http://{}{path}", self.authority())
        } else {
            path.to_owned()
        }
    }
}

/// What may be shown of a URL that cannot be read: nothing before its last `@`.
fn without_credentials(given: &str) -> String {
    match given.rsplit_once('@') {
        Some((_, rest)) => format!("…@{rest}"),
        None => given.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_path(base: &str, endpoint: &str, path: &str) {
        assert_eq!(Target::parse(base).unwrap().path(endpoint), path, "{base} + {endpoint}");
    }

    #[test]
    fn the_base_path_is_kept() {
        check_path("http://h:8000", "/v1/chat/completions", "/v1/chat/completions");
        check_path("http://h:8000/", "v1/chat/completions", "/v1/chat/completions");
        check_path("https://h/api", "/v1/chat/completions", "/api/v1/chat/completions");
        check_path("https://h/api/v1", "/v1/chat/completions", "/api/v1/chat/completions");
        check_path("https://h/api/v1/", "/chat/completions", "/api/v1/chat/completions");
    }

    #[test]
    fn addresses() {
        let target = Target::parse("https://user:secret@[::1]:8443/x?q#f").unwrap();
        assert_eq!(target.url(), "https://[::1]:8443/x");
        assert_eq!((target.host().as_str(), target.port(), target.authority().as_str()), ("::1", 8443, "[::1]:8443"));
        assert!(target.is_loopback() && target.is_tls());
        assert_eq!(Target::parse("http://h").unwrap().authority(), "h");
        assert_eq!(Target::parse("https://h").unwrap().port(), 443);
        for bad in ["", "127.0.0.1:8000", "ftp://h", "http://"] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bad_address_is_shown_without_its_password() {
        for bad in ["http://user:sesame@h:99999", "htps://user:sesame@h", "http://user:sesame@"] {
            let error = Target::parse(bad).map(|_| ()).unwrap_err().to_string();
            assert!(!error.contains("sesame"), "{error}");
        }
    }

    #[test]
    fn proxies_never_for_loopback() {
        let matcher = Matcher::builder().all("http://u:p@proxy:3128").no("inside.example").build();
        let through = |url: &str| Target::parse(url).unwrap().with_proxy(&matcher).unwrap().proxy_name();
        assert_eq!(through("http://far.example:8000"), Some("proxy:3128".into()));
        for near in ["http://127.0.0.1:8000", "http://localhost:1", "http://[::1]:1", "http://inside.example"] {
            assert_eq!(through(near), None, "{near}");
        }
        let target = Target::parse("http://far.example:8000").unwrap().with_proxy(&matcher).unwrap();
        assert_eq!(target.request_uri("/v1"), "http://far.example:8000/v1");
        assert!(!format!("{target:?}").contains("p@"), "no secret in {target:?}");
    }

    #[test]
    fn the_proxy_s_credentials_are_for_the_proxy_alone() {
        let matcher = Matcher::builder().all("http://u:p@proxy:3128").build();
        let headers = |url: &str, matcher: &Matcher| {
            let target = Target::parse(url).unwrap().with_proxy(matcher).unwrap();
            let headers = target.headers();
            headers.get(PROXY_AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        // base64 of "u:p", by coreutils.
        assert_eq!(headers("http://far.example", &matcher).as_deref(), Some("Basic dTpw"));
        assert_eq!(headers("https://far.example", &matcher), None);
        assert_eq!(headers("http://127.0.0.1:8000", &matcher), None);
        assert_eq!(headers("http://far.example", &Matcher::builder().all("http://proxy:3128").build()), None);
    }

    #[test]
    fn other_proxies_are_refused() {
        let matcher = Matcher::builder().all("socks5://proxy:1080").build();
        assert!(matches!(
            Target::parse("http://far.example").unwrap().with_proxy(&matcher),
            Err(TargetError::Proxy { .. })
        ));
    }
}
