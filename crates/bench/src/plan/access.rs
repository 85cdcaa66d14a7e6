//! The way to the server, with what must not be shown of it.

use super::{Plan, PlanError, words};
use crate::cli::RunArgs;
use crate::net::{Target, TlsOptions};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

/// What a plan must not show, and what is no part of it.
#[derive(Clone)]
pub struct Access {
    /// The chat endpoint's path, base path and query included.
    pub path: String,
    /// The server.
    pub target: Target,
    /// Authorization and the user's headers. Secret.
    pub headers: HeaderMap,
    /// How far its certificate is checked.
    pub tls: TlsOptions,
}

impl Plan {
    /// The same run against a server that has been started since, at `url`, which has no path of its own.
    ///
    /// # Errors
    /// [`PlanError::Target`], where that is no URL of a server.
    pub fn moved(self, access: Access, url: &str) -> Result<(Self, Access), PlanError> {
        let target = Target::parse(url)?.with_proxy_from_environment()?;
        Ok((Self { url: target.url().to_owned(), ..self }, Access { target, ..access }))
    }
}

pub(super) fn access(args: &RunArgs) -> Result<Access, PlanError> {
    if args.host.contains('/') {
        return Err(PlanError::Value {
            flag: "--host",
            given: args.host.clone(),
            why: words(
                "a name or an address is expected, such as 127.0.0.1; a URL goes to --base-url",
                "应为主机名或地址，例如 127.0.0.1；URL 请用 --base-url 给出",
            ),
        });
    }
    let host = if args.host.contains(':') && !args.host.starts_with('[') {
        format!("[{}]", args.host)
    } else {
        args.host.clone()
    };
    let url = args.base_url.clone().unwrap_or_else(|| format!("http://{host}:{}", args.port));
    let target = Target::parse(&url)?.with_proxy_from_environment()?;
    let mut headers = HeaderMap::new();
    for header in &args.header {
        // Only the name is shown: the value may be a secret.
        let refuse = |name: &str, en: &str, zh: &str| PlanError::Value {
            flag: "--header",
            given: name.to_owned(),
            why: words(format!("{en}; \"Name: value\" is expected"), format!("{zh}；应为 \"名称: 值\"")),
        };
        let (name, value) = header.split_once(':').ok_or_else(|| refuse("…", "there is no colon", "没有冒号"))?;
        let header_name = HeaderName::try_from(name.trim())
            .map_err(|_| refuse(name, "that is no header name", "不是合法的请求头名称"))?;
        let mut value = HeaderValue::try_from(value.trim())
            .map_err(|_| refuse(name, "its value holds characters that no header may", "值含有请求头不允许的字符"))?;
        value.set_sensitive(true);
        headers.append(header_name, value);
    }
    // An empty variable is how shells unset one. A header that the user wrote out wins over the key.
    let key = args.api_key.as_deref().filter(|key| !key.is_empty());
    if let Some(key) = key.filter(|_| !headers.contains_key(AUTHORIZATION)) {
        let refuse = |_| {
            PlanError::Combination(words(
                "--api-key (or OPENAI_API_KEY) holds characters that no header may: check for a line break at its end",
                "--api-key（或 OPENAI_API_KEY）含有请求头不允许的字符：请检查末尾是否有换行",
            ))
        };
        let mut value = HeaderValue::try_from(format!("Bearer {key}")).map_err(refuse)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    let tls = TlsOptions { cacert: args.cacert.clone(), insecure: args.insecure };
    Ok(Access { path: target.path(&args.endpoint), target, headers, tls })
}
