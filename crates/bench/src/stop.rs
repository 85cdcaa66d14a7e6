//! Stopping a run: SIGINT and SIGTERM, caught by a thread of their own and told to everyone who listens.

use nix::sys::signal::{SigSet, Signal};
use tokio::sync::watch;

/// Who asked to stop, once somebody did.
pub type StopCause = Option<&'static str>;

/// Listens for the end of the run.
#[derive(Debug, Clone)]
pub struct StopSignal {
    told: watch::Receiver<StopCause>,
}

/// The other end: tells everyone.
#[derive(Debug, Clone)]
pub struct Stopper {
    tell: watch::Sender<StopCause>,
}

impl Stopper {
    /// A pair of both ends.
    #[must_use]
    pub fn new() -> (Self, StopSignal) {
        let (tell, told) = watch::channel(None);
        (Self { tell }, StopSignal { told })
    }

    /// Stops everyone.
    pub fn stop(&self, cause: &'static str) {
        self.tell.send_replace(Some(cause));
    }
}

impl StopSignal {
    /// Comes back once the run is to stop.
    pub async fn stopped(&mut self) {
        if self.told.wait_for(Option::is_some).await.is_err() {
            // Nobody is left who could ask: never.
            std::future::pending::<()>().await;
        }
    }

    /// Who asked, if somebody did.
    #[must_use]
    pub fn cause(&self) -> StopCause {
        *self.told.borrow()
    }
}

/// The exit status of a run that this cause ended.
#[must_use]
pub fn stop_status(cause: &str) -> u8 {
    if cause == "SIGTERM" { 143 } else { 130 }
}

/// Catches SIGINT and SIGTERM from now on. Call it before any other thread starts: threads inherit the mask. A second
/// signal ends the process at once; what was measured is on disk by then.
///
/// # Errors
/// When the mask cannot be set or the thread not be started.
pub fn catch_signals() -> std::io::Result<StopSignal> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    let (stopper, stop) = Stopper::new();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        while let Ok(signal) = signals.wait() {
            let cause = if signal == Signal::SIGTERM { "SIGTERM" } else { "SIGINT" };
            if stopper.tell.borrow().is_some() {
                std::process::exit(128 + signal as i32);
            }
            stopper.stop(cause);
        }
    })?;
    Ok(stop)
}
