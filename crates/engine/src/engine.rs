//! The engine: a thread of its own that owns the scheduler and what computes, takes requests out of a bounded queue and
//! tells each one's sink what came of it, token by token. It must not know HTTP.

mod event;
mod histogram;
mod live;
mod picture;
mod stats;
mod worker;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

pub use event::{EngineEvent, EventSink, FinishReason, StopReason, TokenEvent};
pub use histogram::Histogram;
pub use picture::{ImageRules, Picture};
pub use stats::{EngineStats, Finished};

use crate::prompt::Prompt;
use crate::sampling::SamplingParams;
use crate::schedule::{ScheduleError, Scheduler, SchedulerConfig};
use crate::stepper::Stepper;
use crate::text::{Refusal, RefusalKind, Tokenizer};
use worker::Worker;

/// Limits of an engine.
#[derive(Debug, Clone, Copy)]
pub struct EngineConfig {
    /// Limits of the scheduler.
    pub scheduler: SchedulerConfig,
    /// Most requests that wait: from [`EngineHandle::place`] until they run (`--max-num-queued-reqs`).
    pub queue_max: usize,
    /// What the draws of requests without a seed of their own are made from (`--seed`).
    pub seed: u64,
}

/// Why an engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The limits.
    #[error(transparent)]
    Limits(#[from] ScheduleError),
    /// The system gives no thread.
    #[error("the engine's thread cannot be started: {0}; check the limit on processes (ulimit -u)")]
    Thread(std::io::Error),
}

/// One request, checked.
#[derive(Debug, Clone)]
pub struct EngineRequest {
    /// The prompt.
    pub prompt: Arc<Prompt>,
    /// Its pictures, in the order of [`Prompt::images`].
    pub pictures: Vec<Arc<Picture>>,
    /// How tokens are drawn, and when the answer ends.
    pub params: SamplingParams,
    /// Requests of different salt share no blocks (`cache_salt`).
    pub salt: Vec<u8>,
    /// When the server had read it: before its pictures were.
    pub arrived: Instant,
}

/// The running engine. It ends when this is dropped: what is under way is told so.
#[derive(Debug)]
pub struct Engine {
    handle: EngineHandle,
    thread: Option<JoinHandle<()>>,
}

/// What other threads hold of an engine.
#[derive(Debug, Clone)]
pub struct EngineHandle {
    shared: Arc<Shared>,
}

/// What the thread and its handles share.
#[derive(Debug)]
struct Shared {
    inbox: Mutex<Inbox>,
    wake: Condvar,
    /// Locked with or without the inbox, never before it.
    stats: Mutex<EngineStats>,
    queue_max: usize,
}

/// A place among the requests that wait, for one that is not ready yet. It is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    shared: Arc<Shared>,
}

/// A request with who waits for its events.
struct Submission {
    request: EngineRequest,
    sink: Box<dyn EventSink>,
    handed_over: Instant,
}

/// What has come and is not in the scheduler yet.
#[derive(Default)]
struct Inbox {
    submissions: Vec<Submission>,
    /// Places of requests that are not ready yet.
    places: usize,
    /// Requests that were taken out and do not run yet.
    waiting_inside: usize,
    /// The engine has ended or is about to: what is there is given up.
    is_closed: bool,
}

impl Engine {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`EngineError`] if the limits do not fit together or there is no thread to be had.
    pub fn start(
        stepper: Box<dyn Stepper>,
        tokenizer: Arc<Tokenizer>,
        config: EngineConfig,
    ) -> Result<Self, EngineError> {
        let (queue_max, scheduler) = (config.queue_max, Scheduler::new(config.scheduler)?);
        let stats = EngineStats { scheduler: scheduler.stats(), ..EngineStats::default() };
        let shared =
            Arc::new(Shared { inbox: Mutex::default(), wake: Condvar::new(), stats: Mutex::new(stats), queue_max });
        let worker = Worker::new(Arc::clone(&shared), scheduler, stepper, tokenizer, config.seed);
        let thread = std::thread::Builder::new().name("engine".into()).spawn(move || worker.run());
        let thread = Some(thread.map_err(EngineError::Thread)?);
        Ok(Self { handle: EngineHandle { shared }, thread })
    }

    /// What other threads may hold.
    #[must_use]
    pub fn handle(&self) -> EngineHandle {
        self.handle.clone()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        locked(&self.handle.shared.inbox).is_closed = true;
        self.handle.shared.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed there.
            let _ = thread.join();
        }
    }
}

impl EngineHandle {
    /// A place for a request that is to be made ready.
    ///
    /// # Errors
    /// [`RefusalKind::QueueFull`], [`RefusalKind::Ending`].
    pub fn place(&self) -> Result<Place, Refusal> {
        let mut inbox = locked(&self.shared.inbox);
        if inbox.is_closed {
            return Err(ending());
        }
        let waiting = inbox.places + inbox.submissions.len() + inbox.waiting_inside;
        if waiting >= self.shared.queue_max {
            locked(&self.shared.stats).refused_queue_full += 1;
            let requests = if waiting == 1 { "request is" } else { "requests are" };
            let words = format!("{waiting} {requests} waiting already; try again later");
            return Err(Refusal::new(RefusalKind::QueueFull, words));
        }
        inbox.places += 1;
        Ok(Place { shared: Arc::clone(&self.shared) })
    }

    /// Hands a request over that is ready already: as [`Place::submit`], with the refusals of [`EngineHandle::place`].
    pub fn submit(&self, request: EngineRequest, mut sink: Box<dyn EventSink>) {
        match self.place() {
            Ok(place) => place.submit(request, sink),
            Err(refusal) => sink.event(EngineEvent::Refused(refusal)),
        }
    }

    /// Whether the engine takes requests.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !locked(&self.shared.inbox).is_closed
    }

    /// Counters, levels and histograms, as of the last step. A request that was handed over waits, runs or has ended at
    /// every moment.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        let inbox = locked(&self.shared.inbox);
        let mut stats = locked(&self.shared.stats).clone();
        stats.scheduler.waiting = inbox.submissions.len() + inbox.waiting_inside;
        stats
    }
}

impl Place {
    /// Hands the request over. From now on its sink is told everything, from the engine's thread; a refusal at once
    /// ([`RefusalKind::Ending`]).
    pub fn submit(self, request: EngineRequest, mut sink: Box<dyn EventSink>) {
        let mut inbox = locked(&self.shared.inbox);
        if inbox.is_closed {
            drop(inbox);
            return sink.event(EngineEvent::Refused(ending()));
        }
        inbox.submissions.push(Submission { request, sink, handed_over: Instant::now() });
        drop(inbox);
        self.shared.wake.notify_all();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        locked(&self.shared.inbox).places -= 1;
    }
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox")
            .field("submissions", &self.submissions.len())
            .field("places", &self.places)
            .field("is_closed", &self.is_closed)
            .finish()
    }
}

fn ending() -> Refusal {
    Refusal::new(RefusalKind::Ending, "the server is ending; send the request to another one")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The data are whole after every single change: a panic elsewhere does not spoil them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
