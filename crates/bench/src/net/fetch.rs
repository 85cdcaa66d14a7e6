//! A plain request off the timing path: what a server says of itself, a token count, a profiler switch.

use super::connect::{ConnectError, Connector};
use super::exchange::whole_body;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::header::{HOST, HeaderMap};
use hyper::{Method, Request};
use std::time::Duration;

/// What to ask.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// GET or POST.
    pub method: Method,
    /// The path, base path included.
    pub path: String,
    /// Headers; authorization among them.
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

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The user stopped the run meanwhile.
    #[error("stopped")]
    Stopped,
    /// The request cannot be written or the answer not be read.
    #[error("{path}: {why}")]
    Exchange {
        /// The path.
        path: String,
        /// What is wrong.
        why: String,
    },
}

const BODY_BYTES_MAX: usize = 16 << 20;

/// Asks once, over a connection of its own.
///
/// # Errors
/// [`FetchError`]; a reply with an error status is a reply.
pub async fn fetch(connector: &Connector, ask: &Fetch) -> Result<Reply, FetchError> {
    let refuse = |why: String| FetchError::Exchange { path: ask.path.clone(), why };
    let mut conn = connector.open().await?;
    let mut request = Request::builder()
        .method(ask.method.clone())
        .uri(connector.target().request_uri(&ask.path))
        .body(whole_body(ask.body.clone()))
        .map_err(|error| refuse(error.to_string()))?;
    *request.headers_mut() = ask.headers.clone();
    let host = connector.target().authority().parse().map_err(|_| refuse("the host is no header value".into()))?;
    request.headers_mut().insert(HOST, host);
    let exchange = async {
        let response = conn.sender.send_request(request).await.map_err(|error| refuse(error.to_string()))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|error| refuse(error.to_string()))?;
        Ok(Reply { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes() })
    };
    tokio::time::timeout(ask.timeout, exchange)
        .await
        .map_err(|_| refuse(format!("no answer within {} s", ask.timeout.as_secs())))?
}
