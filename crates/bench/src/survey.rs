//! What the server says of itself, and the machine the client runs on. Off the timing path; a server that says nothing is
//! no failure.

use crate::driver::Reach;
use crate::net::{Connector, Fetch, FetchError, Reply, fetch};
use crate::stop::StopSignal;
use crate::tokens::server::{parse_tokenize_reply, tokenize_request, tokenize_request_content};
use crate::view::View;
use crate::words::{Words, words};
use bytes::Bytes;
use hyper::Method;
use hyper::header::SERVER;
use measure::{ClientFacts, Lang, ServerFacts};
use serde_json::Value;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

mod times;

pub use times::ServerTimes;

/// Limit for each question.
const LIMIT: Duration = Duration::from_secs(10);
/// A server that counts its requests later than this is not waited for.
const COUNT_LIMIT: Duration = Duration::from_secs(1);
/// After so long without an answer the user is told what is waited for.
const TELL_AFTER: Duration = Duration::from_secs(1);

/// Why a run cannot begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SurveyError {
    /// There is no answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// No model was named, and the server does not tell which it has.
    #[error("{question}: HTTP {status}: {words}")]
    Refused {
        /// Method and path.
        question: String,
        /// HTTP status.
        status: u16,
        /// The server's own words.
        words: String,
    },
}

impl SurveyError {
    /// The error in the user's language. The server's own words stay as they are.
    #[must_use]
    pub fn text(&self, lang: Lang) -> String {
        match self {
            Self::Fetch(error) => error.text(lang),
            Self::Refused { question, status, words } => lang.pick(
                format!("no --model was given, and the server refuses to say which it has: {question}: HTTP {status}: {words}"),
                format!("没有给出 --model，而服务端拒绝说明其模型：{question}：HTTP {status}：{words}"),
            ),
        }
    }
}

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

    /// What `/v1/models`, `/version` and `/metrics` say. Whoever has to be waited for is named on the view.
    ///
    /// # Errors
    /// When there is no connection at all, or when the run is stopped meanwhile. Without a `model` also when the server
    /// does not answer, or refuses to: nobody else knows the name.
    pub fn server_facts(
        &self,
        model: Option<&str>,
        stop: &StopSignal,
        view: &View,
    ) -> Result<ServerFacts, SurveyError> {
        let question = self.question(Method::GET, &self.reach.target.path("/v1/models"), Bytes::new());
        let models = match self.ask(&question, Some(stop), Some(view)) {
            Ok(reply) => Some(reply),
            Err(error @ (FetchError::Connect(_) | FetchError::Stopped)) => return Err(error.into()),
            Err(error) if model.is_none() => return Err(error.into()),
            Err(error) => {
                let (text, lang) = (error.text(view.lang()), view.lang());
                view.say(lang.pick(
                    format!("caution: {text}; the run goes on with its first request"),
                    format!("注意：{text}；继续发送第一个请求"),
                ));
                None
            }
        };
        if let (None, Some(reply)) = (model, &models)
            && !reply.is_success()
            && !has_no_list(reply.status)
        {
            let words = wire::error_words(&reply.body).message;
            return Err(SurveyError::Refused { question: question.name(), status: reply.status, words });
        }
        let json = |reply: &Reply| serde_json::from_slice::<Value>(&reply.body).ok().filter(|_| reply.is_success());
        let root = self.reach.target.root();
        // A server that did not answer once is not waited for again.
        let from_root = |path: &str| {
            models.as_ref()?;
            self.ask(&self.question(Method::GET, &root.path(path), Bytes::new()), Some(stop), Some(view)).ok()
        };
        let metrics = from_root("/metrics").filter(Reply::is_success);
        Ok(ServerFacts {
            url: self.reach.target.url().to_owned(),
            model: model.unwrap_or_default().to_owned(),
            version: from_root("/version").as_ref().and_then(json),
            software: models.as_ref().and_then(|reply| reply.headers.get(SERVER)?.to_str().ok().map(str::to_owned)),
            models: models.as_ref().and_then(json),
            metric_names: metrics.map(|reply| metric_names(&reply.body)).unwrap_or_default(),
        })
    }

    /// The proxy on the way, for people.
    #[must_use]
    pub fn proxy_name(&self) -> Option<String> {
        self.reach.target.proxy_name()
    }

    /// Tokens of a text by the server's `/tokenize`, in vLLM's form or llama.cpp's. `None` where it has none.
    #[must_use]
    pub fn tokenize(&self, model: &str, text: &str, stop: &StopSignal) -> Option<u64> {
        let path = self.reach.target.root().path("/tokenize");
        [tokenize_request(model, text), tokenize_request_content(text)].iter().find_map(|question| {
            let question = self.question(Method::POST, &path, Bytes::from(question.to_string()));
            let reply = self.ask(&question, Some(stop), None).ok()?;
            parse_tokenize_reply(&reply.body).filter(|_| reply.is_success())
        })
    }

    /// The server's own times so far, where its `/metrics` tells.
    #[must_use]
    pub fn server_times(&self, model: &str, stop: &StopSignal) -> Option<ServerTimes> {
        let path = self.reach.target.root().path("/metrics");
        let reply = self.ask(&self.question(Method::GET, &path, Bytes::new()), Some(stop), None).ok()?;
        reply.is_success().then(|| ServerTimes::parse(&String::from_utf8_lossy(&reply.body), model))
    }

    /// The server's own times so far. It may count a request a little after it has answered: it is waited for until it has counted
    /// `requests` since `before`, a second at most.
    #[must_use]
    pub fn settled_server_times(
        &self,
        before: &ServerTimes,
        requests: u64,
        model: &str,
        stop: &StopSignal,
    ) -> Option<ServerTimes> {
        let started = Instant::now();
        loop {
            let now = self.server_times(model, stop)?;
            if now.counted_since(before).is_none_or(|counted| counted >= requests) || started.elapsed() > COUNT_LIMIT {
                return Some(now);
            }
            std::thread::sleep(COUNT_LIMIT / 20);
        }
    }

    /// Switches the server's profiler.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub fn profile(&self, path: &str) -> Result<(), String> {
        let path = self.reach.target.root().path(path);
        let mut question = self.question(Method::POST, &path, Bytes::from_static(b"{}"));
        // A profiler writes its files before it answers.
        question.timeout = Duration::from_secs(600);
        match self.ask(&question, None, None) {
            Ok(reply) if reply.is_success() => Ok(()),
            Ok(reply) => Err(format!("POST {path}: HTTP {}: {}", reply.status, wire::error_words(&reply.body).message)),
            Err(error) => Err(format!("POST {path}: {error}")),
        }
    }

    /// The user's limits for requests hold for questions too, where they are shorter.
    fn question(&self, method: Method, path: &str, body: Bytes) -> Fetch {
        let timeout = LIMIT.min(self.reach.limits.first_token).min(self.reach.limits.total);
        Fetch { method, path: path.to_owned(), headers: self.reach.headers.clone(), body, timeout }
    }

    fn ask(&self, question: &Fetch, stop: Option<&StopSignal>, view: Option<&View>) -> Result<Reply, FetchError> {
        let connect_limit = self.reach.connect_limit;
        // These connections are no part of the load, and have numbers of their own.
        let (target, tls) = (self.reach.target.clone(), self.reach.tls.clone());
        let connector = Connector::new(target, tls, connect_limit, Arc::default());
        let tell = |what: Waiting| {
            if let Some(view) = view {
                view.say(what.text(connector.target().host_and_port(), question, connect_limit, view.lang()));
            }
        };
        let asking = async {
            let conn = patiently(connector.open(), || tell(Waiting::Connection)).await?;
            patiently(fetch(conn, connector.target(), question), || tell(Waiting::Answer)).await
        };
        let stopped = async {
            match stop {
                Some(stop) => stop.clone().stopped().await,
                None => std::future::pending().await,
            }
        };
        tokio::task::LocalSet::new().block_on(&self.runtime, async {
            tokio::select! {
                reply = asking => reply,
                () = stopped => Err(FetchError::Stopped),
            }
        })
    }
}

/// What the user is told to be waiting for.
#[derive(Clone, Copy)]
enum Waiting {
    Connection,
    Answer,
}

impl Waiting {
    fn text(self, server: String, question: &Fetch, connect_limit: Duration, lang: Lang) -> String {
        let (name, answer_s, connect_s) = (question.name(), question.timeout, connect_limit);
        match self {
            Self::Connection => lang.pick(
                format!("waiting for a connection to {server} (at most {connect_s:?}) …"),
                format!("正在等待与 {server} 建立连接（最多 {connect_s:?}）…"),
            ),
            Self::Answer => lang.pick(
                format!("waiting for {server} to answer {name} (at most {answer_s:?}) …"),
                format!("正在等待 {server} 回答 {name}（最多 {answer_s:?}）…"),
            ),
        }
    }
}

/// Waits, and calls `tell` once it takes long.
async fn patiently<T>(work: impl Future<Output = T>, tell: impl FnOnce()) -> T {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = tokio::time::sleep(TELL_AFTER) => tell(),
    }
    work.await
}

/// Statuses of a server that has no list of models, which is no failure: the user has to name one.
fn has_no_list(status: u16) -> bool {
    matches!(status, 404 | 405 | 501)
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
pub fn raise_open_files(connections: u64, is_bound: bool) -> Result<Option<u64>, Words> {
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
        return Err(words(
            format!(
                "{connections} connections at once need {needed} open files, and this process may have {hard}: raise it (ulimit -Hn), or lower --batch_size / --max-concurrency"
            ),
            format!(
                "同时 {connections} 个连接需要打开 {needed} 个文件，而本进程最多 {hard} 个：请提高上限（ulimit -Hn），或减小 --batch_size / --max-concurrency"
            ),
        ));
    }
    if raised <= soft {
        return Ok(None);
    }
    setrlimit(Resource::RLIMIT_NOFILE, raised, hard).map(|()| Some(raised)).map_err(|error| {
        words(
            format!("the limit of open files cannot be raised from {soft} to {raised}: {error}"),
            format!("打开文件数的上限不能从 {soft} 提高到 {raised}：{error}"),
        )
    })
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
        for (lang, part) in [(Lang::En, "need 17179869244 open files"), (Lang::Zh, "需要打开 17179869244 个文件")]
        {
            let text = error.text(lang);
            assert!(text.contains(part) && text.contains("--max-concurrency"), "{text}");
        }
        assert_eq!(raise_open_files(1, false), Ok(None));
    }
}
