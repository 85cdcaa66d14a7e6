//! Arrivals meet connections under a hard cap, on a thread of their own.
//!
//! One thread, one current-thread runtime, its own connections: nothing is shared while requests run. What happens goes
//! out as [`RunEvent`]s over a channel; the other end parses, counts, draws and writes. The channel is not bounded,
//! because the timing path must not wait for the other end: what it can hold is what the server has sent.

use crate::cli::OverCap;
use crate::net::{
    BodyParts, Conn, ConnectError, Connector, Limits, PartsBody, Progress, Segment, Tape, Target, Timer, exchange,
};
use crate::stop::StopSignal;
use crate::workload::Item;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use measure::{Outcome, Phase};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::rustls::ClientConfig;

/// An idle connection older than this may be one that the server is closing: vLLM's HTTP server does after 5 s.
const STALE_AFTER_NS: u64 = 3_000_000_000;
/// A connection is made ready this long before its request is to be sent.
const LEAD_NS: u64 = 100_000_000;
/// How long after the last connection is ready a round begins.
const START_DELAY_NS: u64 = 5_000_000;
/// Connections opened ahead of an open loop without a cap; more follow as they are needed.
const OPEN_LOOP_AHEAD: u64 = 64;
/// How long a request that found no connection keeps its place among those in flight.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);
/// Connections being opened at the same time.
const OPENING_AT_ONCE: usize = 64;

/// How a server is reached: everything a driver thread needs beside the job.
#[derive(Clone)]
pub struct Reach {
    /// The server.
    pub target: Target,
    /// TLS, for https.
    pub tls: Option<Arc<ClientConfig>>,
    /// Limit for opening a connection.
    pub connect_limit: Duration,
    /// The path of the chat endpoint.
    pub path: String,
    /// Authorization and the user's headers.
    pub headers: HeaderMap,
    /// Limits of a request.
    pub limits: Limits,
}

/// One round of requests.
pub struct Job {
    /// What the requests hold: request i takes item `(item_first + i) % items.len()`.
    pub items: Arc<[Item]>,
    /// See `items`.
    pub item_first: usize,
    /// Number of the first request within the run.
    pub index_first: u64,
    /// Part of the run.
    pub phase: Phase,
    /// Round.
    pub round: u32,
    /// How many; `None`: until the duration is over.
    pub requests: Option<u64>,
    /// Intended send times from the start of the round, ns, for an open loop.
    pub offsets_ns: Option<Box<dyn Iterator<Item = u64> + Send>>,
    /// In flight at most.
    pub cap: Option<u32>,
    /// What happens over the cap.
    pub over_cap: OverCap,
    /// No request is sent after this much time.
    pub duration: Option<Duration>,
    /// Without a first connection there is no round; else each request records that it found none.
    pub must_connect: bool,
}

/// What the driver knows of a request before it is sent.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Number within the run.
    pub index: u64,
    /// Part of the run.
    pub phase: Phase,
    /// Round.
    pub round: u32,
    /// Which item of the job.
    pub item: usize,
    /// When it was to be sent.
    pub intended_ns: u64,
    /// When time and cap let it go.
    pub admitted_ns: Option<u64>,
}

/// What happens during a round, in order.
pub enum RunEvent {
    /// The first connection failed: nothing was sent.
    NoServer(ConnectError),
    /// Connections are open, and the clock starts.
    Started,
    /// A request is being sent.
    Sent,
    /// Its first token has come.
    FirstToken,
    /// A full piece of a reply.
    Segment(u64, Segment),
    /// A request has ended.
    Ended(Box<Ended>),
    /// Nothing more follows.
    Finished,
}

/// A request that has ended.
pub struct Ended {
    /// What was planned.
    pub planned: Planned,
    /// Its connection: id, requests before, what opening took, whether it replaced a stale one.
    pub connection: Option<measure::Connection>,
    /// What was observed, or why there is nothing.
    pub end: Result<Tape, Outcome>,
}

/// A round on its way.
pub struct Running {
    /// What happens.
    pub events: Receiver<RunEvent>,
    thread: std::thread::JoinHandle<()>,
}

impl Running {
    /// Waits for the thread's end; call it after [`RunEvent::Finished`].
    pub fn join(self) {
        drop(self.events);
        // A panic there has been printed there.
        let _ = self.thread.join();
    }
}

/// Starts a round on a thread of its own.
///
/// # Errors
/// When the thread or its runtime cannot be made.
pub fn start(job: Job, reach: Reach, stop: StopSignal) -> std::io::Result<Running> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (tell, events) = channel();
    let thread = std::thread::Builder::new().name("io".into()).spawn(move || {
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, drive(job, reach, stop, tell.clone()));
        // The other end may have gone; then nobody waits for this.
        let _ = tell.send(RunEvent::Finished);
    })?;
    Ok(Running { events, thread })
}

/// What the tasks of a round share, all on one thread.
struct Round {
    items: Arc<[Item]>,
    path: String,
    headers: HeaderMap,
    limits: Limits,
    connector: Connector,
    idle: RefCell<Vec<Conn>>,
    timer: Timer,
    tell: Sender<RunEvent>,
    stop: StopSignal,
}

impl Round {
    fn tell(&self, event: RunEvent) {
        // The receiver lives until `Finished`.
        let _ = self.tell.send(event);
    }

    fn unsent(&self, planned: Planned, outcome: Outcome) {
        self.tell(RunEvent::Ended(Box::new(Ended { planned, connection: None, end: Err(outcome) })));
    }
}

async fn drive(mut job: Job, reach: Reach, stop: StopSignal, tell: Sender<RunEvent>) {
    let timer = match Timer::start() {
        Ok(timer) => timer,
        Err(_) => {
            let _ = tell.send(RunEvent::NoServer(ConnectError::TooManyFiles));
            return;
        }
    };
    let connector = Connector::new(reach.target.clone(), reach.tls.clone(), reach.connect_limit);
    let round = Rc::new(Round {
        items: Arc::clone(&job.items),
        headers: all_headers(&reach),
        path: connector.target().request_uri(&reach.path),
        limits: reach.limits,
        connector,
        idle: RefCell::default(),
        timer,
        tell,
        stop,
    });
    let ahead = match (job.cap, job.requests) {
        (Some(cap), Some(requests)) => requests.min(u64::from(cap)),
        (Some(cap), None) => u64::from(cap),
        (None, requests) => requests.unwrap_or(OPEN_LOOP_AHEAD).min(OPEN_LOOP_AHEAD),
    };
    if let Err(error) = open_ahead(&round, ahead).await
        && job.must_connect
    {
        round.tell(RunEvent::NoServer(error));
        return;
    }
    round.tell(RunEvent::Started);
    let tasks = dispatch(&round, &mut job).await;
    for task in tasks {
        // A task that panicked has said so; its request has no record, which the count shows.
        let _ = task.await;
    }
}

fn all_headers(reach: &Reach) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("vlm-benchmark/", env!("CARGO_PKG_VERSION"))));
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream, application/json"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(host) = HeaderValue::try_from(reach.target.authority()) {
        headers.insert(HOST, host);
    }
    // The user's own come last and win.
    for (name, value) in &reach.headers {
        headers.insert(name, value.clone());
    }
    headers
}

/// The first connection alone: if it fails there is no server. The rest at once, in bounded numbers; one of them that
/// fails is opened again by its request, which then records the failure.
async fn open_ahead(round: &Rc<Round>, count: u64) -> Result<(), ConnectError> {
    let mut stop = round.stop.clone();
    let first = tokio::select! {
        first = round.connector.open() => first?,
        () = stop.stopped() => return Ok(()),
    };
    round.idle.borrow_mut().push(first);
    let left = Rc::new(Cell::new(count.saturating_sub(1)));
    let openers: Vec<_> = (0..OPENING_AT_ONCE.min(left.get() as usize))
        .map(|_| {
            let (round, left) = (Rc::clone(round), Rc::clone(&left));
            tokio::task::spawn_local(async move {
                while left.get() > 0 && round.stop.cause().is_none() {
                    left.set(left.get() - 1);
                    match round.connector.open().await {
                        Ok(conn) => round.idle.borrow_mut().push(conn),
                        Err(_) => return,
                    }
                }
            })
        })
        .collect();
    for opener in openers {
        let _ = opener.await;
    }
    Ok(())
}

/// Lets the requests go, one after the other, each at its time and under the cap.
async fn dispatch(round: &Rc<Round>, job: &mut Job) -> Vec<tokio::task::JoinHandle<()>> {
    let start_ns = stamp::now_ns() + START_DELAY_NS;
    let end_ns = job.duration.map(|duration| start_ns + duration.as_nanos() as u64);
    let room = job.cap.map(|cap| Arc::new(Semaphore::new(cap as usize)));
    let mut tasks: Vec<tokio::task::JoinHandle<()>> = Vec::new();
    let mut number = 0u64;
    while job.requests.is_none_or(|requests| number < requests) {
        let offset = job.offsets_ns.as_mut().and_then(Iterator::next);
        let intended_ns = start_ns + offset.unwrap_or(0);
        let mut planned = Planned {
            index: job.index_first + number,
            phase: job.phase,
            round: job.round,
            item: (job.item_first as u64).wrapping_add(number) as usize % job.items.len().max(1),
            intended_ns,
            admitted_ns: None,
        };
        let over = |now_ns: u64| end_ns.is_some_and(|end_ns| now_ns >= end_ns);
        if over(intended_ns.max(if offset.is_none() { stamp::now_ns() } else { 0 })) {
            break;
        }
        number += 1;
        match admit(round, job, offset.is_some(), intended_ns, end_ns, room.as_ref()).await {
            Admitted::Go(permit) => {
                let admitted_ns = stamp::now_ns().max(intended_ns);
                if offset.is_none() {
                    if over(admitted_ns) {
                        break;
                    }
                    planned.intended_ns = admitted_ns;
                }
                planned.admitted_ns = Some(admitted_ns);
                tasks.push(tokio::task::spawn_local(one(Rc::clone(round), planned, permit)));
            }
            Admitted::Over if offset.is_none() => break,
            Admitted::Over => round.unsent(
                planned,
                Outcome::NotSent { reason: "the duration was over before there was room for it".into() },
            ),
            Admitted::Dropped => {
                let cap = job.cap.unwrap_or_default();
                let reason = format!("{cap} requests were in flight already (--over-cap drop)");
                round.unsent(planned, Outcome::NotSent { reason });
            }
            Admitted::Stopped if job.requests.is_none() => break,
            Admitted::Stopped => {
                round.unsent(planned, Outcome::NotSent { reason: "the run was stopped".into() });
            }
        }
        // Ended tasks are let go, so that a long run does not gather them.
        if tasks.len() >= 4096 {
            tasks.retain(|task| !task.is_finished());
        }
    }
    tasks
}

enum Admitted {
    Go(Option<OwnedSemaphorePermit>),
    Dropped,
    Over,
    Stopped,
}

/// Waits for a request's time (less what its connection needs) and for room among those in flight.
async fn admit(
    round: &Round,
    job: &Job,
    timed: bool,
    intended_ns: u64,
    end_ns: Option<u64>,
    room: Option<&Arc<Semaphore>>,
) -> Admitted {
    let mut stop = round.stop.clone();
    if stop.cause().is_some() {
        return Admitted::Stopped;
    }
    let dropping = timed && job.over_cap == OverCap::Drop && room.is_some();
    let wait_until_ns = if dropping { intended_ns } else { intended_ns.saturating_sub(LEAD_NS) };
    if timed {
        tokio::select! {
            () = round.timer.sleep_until(wait_until_ns) => {}
            () = stop.stopped() => return Admitted::Stopped,
        }
    }
    let Some(room) = room else { return Admitted::Go(None) };
    if dropping {
        return Arc::clone(room).try_acquire_owned().map_or(Admitted::Dropped, |permit| Admitted::Go(Some(permit)));
    }
    let end = async {
        match end_ns {
            Some(end_ns) => round.timer.sleep_until(end_ns).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        permit = Arc::clone(room).acquire_owned() => Admitted::Go(permit.ok()),
        () = stop.stopped() => Admitted::Stopped,
        () = end => Admitted::Over,
    }
}

/// One request, from its connection to its end.
async fn one(round: Rc<Round>, planned: Planned, permit: Option<OwnedSemaphorePermit>) {
    let mut stop = round.stop.clone();
    let ready = tokio::select! {
        ready = connection(&round) => ready,
        () = stop.stopped() => {
            round.unsent(planned, Outcome::NotSent { reason: "the run was stopped".into() });
            return;
        }
    };
    let (mut conn, reopened) = match ready {
        Ok(ready) => ready,
        Err(error) => {
            round.unsent(planned, Outcome::ConnectFailed { message: error.to_string() });
            // Its place stays taken for a while: a dead server is not asked as fast as it refuses.
            tokio::select! {
                () = tokio::time::sleep(AFTER_REFUSAL) => {}
                () = stop.stopped() => {}
            }
            return;
        }
    };
    let Some(item) = round.items.get(planned.item) else { return };
    let request = match request(&round, &item.body, planned.index) {
        Ok(request) => request,
        Err(error) => {
            round.unsent(planned, Outcome::NotSent { reason: error.to_string() });
            return;
        }
    };
    let connection = measure::Connection { id: conn.id, reused: conn.carried, connect_ns: conn.connect_ns, reopened };
    tokio::select! {
        () = round.timer.sleep_until(planned.intended_ns) => {}
        () = stop.stopped() => {
            round.unsent(planned, Outcome::NotSent { reason: "the run was stopped".into() });
            return;
        }
    }
    round.tell(RunEvent::Sent);
    let index = planned.index;
    let tape = exchange(&mut conn, request, round.limits, &mut stop, |progress| {
        round.tell(match progress {
            Progress::FirstToken => RunEvent::FirstToken,
            Progress::Segment(segment) => RunEvent::Segment(index, segment),
        });
    })
    .await;
    if tape.ending == crate::net::Ending::Whole && !conn.sender.is_closed() {
        round.idle.borrow_mut().push(conn);
    }
    drop(permit);
    round.tell(RunEvent::Ended(Box::new(Ended { planned, connection: Some(connection), end: Ok(tape) })));
}

/// An idle connection that is surely open, or a new one; and whether it replaces one that had gone stale.
async fn connection(round: &Round) -> Result<(Conn, bool), ConnectError> {
    let mut replaced = false;
    loop {
        let idle = round.idle.borrow_mut().pop();
        let Some(mut conn) = idle else { break };
        let fresh = stamp::now_ns().saturating_sub(conn.idle_since_ns) < STALE_AFTER_NS;
        if fresh && conn.sender.ready().await.is_ok() {
            return Ok((conn, replaced));
        }
        replaced = true;
    }
    Ok((round.connector.open().await?, replaced))
}

fn request(round: &Round, body: &BodyParts, index: u64) -> Result<Request<PartsBody>, hyper::http::Error> {
    let mut request = Request::builder().method(Method::POST).uri(round.path.as_str()).body(body.body())?;
    *request.headers_mut() = round.headers.clone();
    request.headers_mut().insert("x-request-id", HeaderValue::try_from(format!("vlm-{}-{index}", std::process::id()))?);
    Ok(request)
}
