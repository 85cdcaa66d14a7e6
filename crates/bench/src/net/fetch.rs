//! A plain request off the timing path: what a server says of itself, a token count, a profiler switch.

use super::connect::Conn;
use super::connect_error::{ConnectError, seconds};
use super::exchange::whole_body;
use super::headers::overridden;
use super::target::Target;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request};
use measure::Lang;
use std::time::Duration;

/// What to ask.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// GET or POST.
    pub method: Method,
    /// The path, base path included.
    pub path: String,
    /// The user's headers; authorization among them.
    pub headers: HeaderMap,
    /// The body; empty for GET.
    pub body: Bytes,
    /// Limit for the whole exchange.
    pub timeout: Duration,
}

/// The answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, at most 16 MiB.
    pub body: Bytes,
}

impl Reply {
    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Fetch {
    /// The question, for people: `GET /v1/models`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The user stopped the run meanwhile.
    #[error("stopped")]
    Stopped,
    /// The server took the connection and the question, and said nothing.
    #[error("{}", silent(server, question, *limit, Lang::En))]
    Silent {
        /// Host and port.
        server: String,
        /// Method and path.
        question: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The request cannot be written or the answer not be read.
    #[error("{question}: {why}")]
    Exchange {
        /// Method and path.
        question: String,
        /// What is wrong.
        why: String,
    },
}

impl FetchError {
    /// The error in the user's language.
    #[must_use]
    pub fn text(&self, lang: Lang) -> String {
        match self {
            Self::Connect(error) => error.text(lang),
            Self::Stopped => lang.pick("stopped", "已中止").into(),
            Self::Silent { server, question, limit } => silent(server, question, *limit, lang),
            Self::Exchange { question, why } => {
                lang.pick(format!("{question}: {why}"), format!("{question}：连接出错：{why}"))
            }
        }
    }
}

fn silent(server: &str, question: &str, limit: Duration, lang: Lang) -> String {
    let seconds = seconds(limit);
    lang.pick(
        format!("{server} took the connection, but did not answer {question} within {seconds} s"),
        format!("{server} 接受了连接，但在 {seconds} 秒内没有回答 {question}"),
    )
}

const BODY_BYTES_MAX: usize = 16 << 20;

/// Asks once, over a connection that nobody else uses.
///
/// # Errors
/// [`FetchError`]; a reply with an error status is a reply.
pub async fn fetch(mut conn: Conn, target: &Target, ask: &Fetch) -> Result<Reply, FetchError> {
    let refuse = |why: String| FetchError::Exchange { question: ask.name(), why };
    let mut request = Request::builder()
        .method(ask.method.clone())
        .uri(target.request_uri(&ask.path))
        .body(whole_body(ask.body.clone()))
        .map_err(|error| refuse(error.to_string()))?;
    let mut ours = target.headers();
    ours.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *request.headers_mut() = overridden(ours, &ask.headers);
    let exchange = async {
        let response = conn.sender.send_request(request).await.map_err(|error| refuse(error.to_string()))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|error| refuse(error.to_string()))?;
        Ok(Reply { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes() })
    };
    tokio::time::timeout(ask.timeout, exchange).await.map_err(|_| FetchError::Silent {
        server: target.host_and_port(),
        question: ask.name(),
        limit: ask.timeout,
    })?
}
