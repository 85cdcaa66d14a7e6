//! Arrivals meet connections under a hard cap, on threads of their own.
//!
//! Each has its current-thread runtime, its connections, its part of the requests and of the cap: nothing is shared while
//! requests run. What happens goes
//! out as [`RunEvent`]s over a channel; the other end parses, counts, draws and writes. The channel is not bounded,
//! because the timing path must not wait for the other end: what it can hold is what the server has sent.

use crate::arrival::Schedule;
use crate::cli::OverCap;
use crate::net::{Conn, ConnectError, Connector, Limits, Segment, Tape, Target, Timer};
use crate::stop::StopSignal;
use crate::words::{Words, as_said, words};
use crate::workload::Item;
use hyper::header::HeaderMap;
use measure::{Outcome, Phase};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tokio_rustls::rustls::ClientConfig;

mod dispatch;
mod refusals;
mod request;
mod start;

use refusals::Refusals;
pub use start::Share;
use start::Start;

/// How long after the last connection is ready a round begins.
const START_DELAY_NS: u64 = 5_000_000;

/// Connections opened ahead of an open loop without a cap; more follow as they are needed.
const OPEN_LOOP_AHEAD: u64 = 64;
/// Connections being opened at the same time.
const OPENING_AT_ONCE: usize = 64;

/// What tells this run from others, and goes on from round to round.
#[derive(Debug, Clone)]
pub struct RunIds {
    /// Stands in every `x-request-id`: two runs share none.
    nonce: u64,
    /// Connections opened so far.
    connections: Arc<AtomicU32>,
}

impl RunIds {
    /// For a new run.
    #[must_use]
    pub fn new() -> Self {
        Self { nonce: rand::random(), connections: Arc::default() }
    }
}

impl Default for RunIds {
    fn default() -> Self {
        Self::new()
    }
}

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
    /// What tells this run from others.
    pub ids: RunIds,
}

/// One round of requests.
#[derive(Clone)]
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
    /// Intended send times, for an open loop.
    pub schedule: Option<Schedule>,
    /// In flight at most.
    pub cap: Option<u32>,
    /// What happens over the cap.
    pub over_cap: OverCap,
    /// No request is sent after this much time.
    pub duration: Option<Duration>,
    /// Without a first connection there is no round; else each request records that it found none.
    pub must_connect: bool,
    /// Which part of the requests and of the cap is this thread's.
    pub share: Share,
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
    /// The client itself failed, in its own words: what had not ended by then has ended now, without a reply.
    Broken(Words),
    /// The server refused so many connections in a row: no more is sent, and what was left has ended as not sent.
    GaveUp {
        /// How many.
        refusals: u32,
    },
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

/// How far a round has come, for who looks now and then: an event for each would wake the other end in the middle of a burst.
#[derive(Debug, Default)]
pub struct Counters {
    sent: AtomicU64,
    first_tokens: AtomicU64,
}

impl Counters {
    /// Requests sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Requests whose first token has come so far.
    #[must_use]
    pub fn first_tokens(&self) -> u64 {
        self.first_tokens.load(Ordering::Relaxed)
    }

    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// A round on its way.
pub struct Running {
    /// What happens.
    pub events: Receiver<RunEvent>,
    /// How far the round has come.
    pub counters: Arc<Counters>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Running {
    /// Waits for the threads' end; call it after [`RunEvent::Finished`].
    pub fn join(self) {
        drop(self.events);
        for thread in self.threads {
            // A panic there has been told as `Broken`.
            let _ = thread.join();
        }
    }
}

/// Starts a round on threads of its own, which share nothing while requests run.
///
/// # Errors
/// When a thread or its runtime cannot be made.
pub fn start(job: &Job, threads: u32, reach: &Reach, stop: &StopSignal) -> std::io::Result<Running> {
    let most = job.cap.map_or(u64::MAX, u64::from).min(job.requests.unwrap_or(u64::MAX));
    let threads = u32::try_from(most).unwrap_or(u32::MAX).min(threads).max(1);
    let (tell, events) = channel();
    let runtimes = (0..threads).map(|_| tokio::runtime::Builder::new_current_thread().enable_all().build());
    let runtimes = runtimes.collect::<std::io::Result<Vec<_>>>()?;
    let counters = Arc::new(Counters::default());
    let (begin, running) = (Arc::new(Start::of(threads)), Arc::new(AtomicU32::new(threads)));
    let works = (0..).zip(runtimes).map(|(thread, runtime)| {
        let job = Job { share: Share { thread, threads }, ..job.clone() };
        let (reach, stop, tell, begin) = (reach.clone(), stop.clone(), tell.clone(), Arc::clone(&begin));
        let (running, counters) = (Arc::clone(&running), Arc::clone(&counters));
        move || {
            let work = AssertUnwindSafe(|| {
                let local = tokio::task::LocalSet::new();
                local.block_on(&runtime, drive(job, reach, stop, (tell.clone(), counters), &begin));
            });
            if let Err(panic) = catch_unwind(work) {
                // By now the tasks are gone, and each has accounted for its request.
                let _ = tell.send(RunEvent::Broken(words_of(panic.as_ref())));
            }
            if running.fetch_sub(1, Ordering::AcqRel) == 1 {
                // The other end may have gone; then nobody waits for this.
                let _ = tell.send(RunEvent::Finished);
            }
        }
    });
    let spawn = |thread, work| std::thread::Builder::new().name(format!("io-{thread}")).spawn(work);
    let threads = start::all_or_none(works, spawn)?;
    Ok(Running { events, counters, threads })
}

fn words_of(panic: &(dyn Any + Send)) -> Words {
    let said = panic.downcast_ref::<&str>().map(as_said);
    let said = said.or_else(|| panic.downcast_ref::<String>().map(as_said));
    said.unwrap_or_else(|| words("a panic without words", "没有说明的 panic"))
}

/// What the tasks of a round share, all on one thread.
struct Round {
    items: Arc<[Item]>,
    path: String,
    headers: HeaderMap,
    limits: Limits,
    connector: Connector,
    idle: RefCell<Vec<Conn>>,
    refusals: Refusals,
    timer: Timer,
    nonce: u64,
    tell: Sender<RunEvent>,
    counters: Arc<Counters>,
    stop: StopSignal,
}

impl Round {
    fn new(
        items: Arc<[Item]>,
        reach: Reach,
        timer: Timer,
        stop: StopSignal,
        (tell, counters): (Sender<RunEvent>, Arc<Counters>),
    ) -> Self {
        let connections = Arc::clone(&reach.ids.connections);
        Self {
            items,
            path: reach.target.request_uri(&reach.path),
            headers: request::headers(&reach),
            limits: reach.limits,
            connector: Connector::new(reach.target, reach.tls, reach.connect_limit, connections),
            idle: RefCell::default(),
            refusals: Refusals::default(),
            timer,
            nonce: reach.ids.nonce,
            tell,
            counters,
            stop,
        }
    }

    fn tell(&self, event: RunEvent) {
        // The receiver lives until `Finished`.
        let _ = self.tell.send(event);
    }

    fn unsent(&self, planned: Planned, outcome: Outcome) {
        self.tell(RunEvent::Ended(Box::new(Ended { planned, connection: None, end: Err(outcome) })));
    }
}

async fn drive(
    job: Job,
    reach: Reach,
    stop: StopSignal,
    (tell, counters): (Sender<RunEvent>, Arc<Counters>),
    begin: &Start,
) {
    let timer = match Timer::start() {
        Ok(timer) => timer,
        Err(error) => {
            let why = words(
                format!(
                    "the system gives no timer for the send schedule (timerfd): {error}; if too many files are open, raise the limit (ulimit -n)"
                ),
                format!(
                    "系统没有给出发送计划所需的定时器（timerfd）：{error}；如果打开的文件过多，请提高上限（ulimit -n）"
                ),
            );
            let _ = tell.send(RunEvent::Broken(why));
            return;
        }
    };
    // The others wait at most as long as this thread may take to connect.
    let limit = reach.connect_limit + Duration::from_secs(10);
    let round = Rc::new(Round::new(Arc::clone(&job.items), reach, timer, stop, (tell, counters)));
    let share = |all: u64| job.share.of(all);
    let ahead = match (job.cap, job.requests) {
        (Some(cap), Some(requests)) => share(requests).min(share(u64::from(cap))),
        (Some(cap), None) => share(u64::from(cap)),
        (None, requests) => share(requests.unwrap_or(OPEN_LOOP_AHEAD).min(OPEN_LOOP_AHEAD)),
    };
    let opened = open_ahead(&round, ahead).await;
    let start_ns = begin.meet(opened.is_ok(), START_DELAY_NS, limit);
    match (start_ns, opened) {
        (Some(start_ns), _) => dispatch::dispatch(&round, &job, start_ns).await,
        (None, Err(error)) if job.must_connect => round.tell(RunEvent::NoServer(error)),
        (None, _) => dispatch::dispatch(&round, &job, stamp::now_ns() + START_DELAY_NS).await,
    }
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

#[cfg(test)]
mod tests;
