//! What a reader of figures needs beside them: which run, when, against what and from where. Taken from the header as it
//! is; it must not know any figure.

use crate::runlog::{ClientFacts, Header, RunName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which run the figures are of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// Its name.
    #[serde(flatten)]
    pub name: RunName,
    /// The server.
    pub server: ServerName,
    /// The machine the client ran on.
    pub client: ClientFacts,
}

/// Which server, and what it calls itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerName {
    /// Where requests went.
    pub url: String,
    /// The model named in the requests.
    pub model: String,
    /// Its version, where it tells (`/version`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
    /// The `server` header of its replies.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub software: Option<String>,
}

impl RunFacts {
    pub(super) fn of(header: &Header) -> Self {
        let server = &header.server;
        Self {
            name: header.run.clone(),
            server: ServerName {
                url: server.url.clone(),
                model: server.model.clone(),
                version: server.version.as_ref().and_then(version),
                software: server.software.clone(),
            },
            client: header.client.clone(),
        }
    }
}

/// vLLM answers `{"version": "0.32.0"}`; of any other form the JSON stands as it is.
fn version(reply: &Value) -> Option<String> {
    match reply.get("version").unwrap_or(reply) {
        Value::Null => None,
        Value::String(version) => Some(version.clone()),
        other => Some(other.to_string()),
    }
}
