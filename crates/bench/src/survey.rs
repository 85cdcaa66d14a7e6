//! What the server says of itself, and the machine the client runs on. Off the timing path; a server that says nothing is
//! no failure.

use crate::driver::Reach;
use crate::net::{Connector, Fetch, FetchError, Reply, fetch};
use crate::stop::StopSignal;
use crate::tokens::server::{parse_tokenize_reply, tokenize_request, tokenize_request_content};
use bytes::Bytes;
use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderValue, SERVER};
use measure::{ClientFacts, ServerFacts};
use serde_json::Value;
use std::time::Duration;

/// Limit for each question.
const LIMIT: Duration = Duration::from_secs(10);

/// Asks one server, on the calling thread.
pub struct Asker {
    reach: Reach,
    runtime: tokio::runtime::Runtime,
}

impl Asker {
    /// An asker for this server.
    ///
    /// # Errors
    /// When the runtime cannot be made.
    pub fn new(reach: Reach) -> std::io::Result<Self> {
        Ok(Self { reach, runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()? })
    }

    /// What `/v1/models`, `/version` and `/metrics` say.
    ///
    /// # Errors
    /// Only when there is no connection at all, or when the run is stopped meanwhile.
    pub fn server_facts(&self, model: &str, stop: &StopSignal) -> Result<ServerFacts, FetchError> {
        let models = match self.get(&self.reach.target.path("/v1/models"), stop) {
            Err(error @ (FetchError::Connect(_) | FetchError::Stopped)) => return Err(error),
            other => other.ok(),
        };
        let json = |reply: &Reply| serde_json::from_slice::<Value>(&reply.body).ok().filter(|_| reply.is_success());
        let root = self.reach.target.root();
        let from_root = |path: &str| self.get(&root.path(path), stop).ok();
        let metrics = from_root("/metrics").filter(Reply::is_success);
        Ok(ServerFacts {
            url: self.reach.target.url().to_owned(),
            model: model.to_owned(),
            version: from_root("/version").as_ref().and_then(json),
            software: models.as_ref().and_then(|reply| reply.headers.get(SERVER)?.to_str().ok().map(str::to_owned)),
            models: models.as_ref().and_then(json),
            metric_names: metrics.map(|reply| metric_names(&reply.body)).unwrap_or_default(),
        })
    }

    /// Tokens of a text by the server's `/tokenize`, in vLLM's form or llama.cpp's. `None` where it has none.
    #[must_use]
    pub fn tokenize(&self, model: &str, text: &str, stop: &StopSignal) -> Option<u64> {
        let path = self.reach.target.root().path("/tokenize");
        [tokenize_request(model, text), tokenize_request_content(text)].iter().find_map(|question| {
            let reply = self.post(&path, question, LIMIT, Some(stop.clone())).ok()?;
            parse_tokenize_reply(&reply.body).filter(|_| reply.is_success())
        })
    }

    /// Switches the server's profiler.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub fn profile(&self, path: &str) -> Result<(), String> {
        let path = self.reach.target.root().path(path);
        match self.post(&path, &Value::Object(serde_json::Map::new()), Duration::from_secs(600), None) {
            Ok(reply) if reply.is_success() => Ok(()),
            Ok(reply) => Err(format!("POST {path}: HTTP {}: {}", reply.status, wire::error_words(&reply.body).message)),
            Err(error) => Err(format!("POST {path}: {error}")),
        }
    }

    fn get(&self, path: &str, stop: &StopSignal) -> Result<Reply, FetchError> {
        self.ask(Method::GET, path, Bytes::new(), LIMIT, Some(stop.clone()))
    }

    fn post(&self, path: &str, body: &Value, timeout: Duration, stop: Option<StopSignal>) -> Result<Reply, FetchError> {
        self.ask(Method::POST, path, Bytes::from(body.to_string()), timeout, stop)
    }

    fn ask(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        timeout: Duration,
        stop: Option<StopSignal>,
    ) -> Result<Reply, FetchError> {
        let mut headers = self.reach.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let question = Fetch { method, path: path.to_owned(), headers, body, timeout };
        let connect_limit = self.reach.connect_limit.min(timeout);
        let connector = Connector::new(self.reach.target.clone(), self.reach.tls.clone(), connect_limit);
        let stopped = async {
            match stop {
                Some(mut stop) => stop.stopped().await,
                None => std::future::pending().await,
            }
        };
        tokio::task::LocalSet::new().block_on(&self.runtime, async {
            tokio::select! {
                reply = fetch(&connector, &question) => reply,
                () = stopped => Err(FetchError::Stopped),
            }
        })
    }
}

/// The ids in a `/v1/models` reply.
#[must_use]
pub fn model_ids(models: Option<&Value>) -> Vec<String> {
    let data = models.and_then(|models| models.get("data")).and_then(Value::as_array);
    data.into_iter().flatten().filter_map(|model| model.get("id")?.as_str().map(str::to_owned)).collect()
}

/// The metric names of a Prometheus text, without the labels and without the parts of a histogram.
fn metric_names(body: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(body);
    let names =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_whitespace().next().map(str::to_owned));
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    names
}

/// The machine the client runs on.
#[must_use]
pub fn client_facts(kernel_stamps: bool) -> ClientFacts {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let cpu = field("model name").map(|name| match (field("cpu family"), field("model\t")) {
        (Some(family), Some(model)) => format!("{name} (family {family}, model {model})"),
        _ => name,
    });
    ClientFacts {
        os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        cpu,
        cores: std::thread::available_parallelism().ok().and_then(|cores| u32::try_from(cores.get()).ok()),
        kernel_stamps,
    }
}

/// Makes sure that `connections` may be open at once; where that is only the most there could be (`is_bound`), as many as
/// the system allows do. `Ok(Some(limit))` when the limit was raised to do so.
///
/// # Errors
/// A line that says how many are possible and what to do.
pub fn raise_open_files(connections: u64, is_bound: bool) -> Result<Option<u64>, String> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    // Files, pipes, the timer, the listener of signals, and a question or two.
    const OTHERS: u64 = 64;
    let needed = connections + OTHERS;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return Ok(None) };
    if soft >= needed {
        return Ok(None);
    }
    let raised = needed.min(hard);
    if raised < needed && !is_bound {
        return Err(format!(
            "{connections} connections at once need {needed} open files, and this process may have {hard}: raise it (ulimit -Hn), or lower --batch_size / --max-concurrency"
        ));
    }
    if raised <= soft {
        return Ok(None);
    }
    setrlimit(Resource::RLIMIT_NOFILE, raised, hard)
        .map(|()| Some(raised))
        .map_err(|error| format!("the limit of open files cannot be raised from {soft} to {raised}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_metrics_and_models() {
        let text = b"# HELP a x\n# TYPE vllm:b histogram\nvllm:b_bucket{le=\"1\"} 0\n# TYPE a gauge\na 1\n";
        assert_eq!(metric_names(text), ["a", "vllm:b"]);
        assert_eq!(metric_names(b"<html>"), Vec::<String>::new());
        let models = serde_json::json!({"data": [{"id": "m"}, {"x": 1}, {"id": "n"}]});
        assert_eq!(model_ids(Some(&models)), ["m", "n"]);
        assert_eq!(model_ids(None), Vec::<String>::new());
    }

    #[test]
    fn more_files_than_the_system_allows_is_said() {
        let error = raise_open_files(u64::from(u32::MAX) * 4, false).unwrap_err();
        assert!(error.contains("--max-concurrency"), "{error}");
        assert_eq!(raise_open_files(1, false), Ok(None));
    }
}
