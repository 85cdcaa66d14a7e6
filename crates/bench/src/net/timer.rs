//! A timer good to microseconds on one thread. tokio's own wheel turns once a millisecond, which is too coarse for a
//! send schedule; on Linux a `timerfd` on the monotonic clock serves instead.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use tokio::sync::oneshot;

/// Wakes tasks of one thread at absolute times on the monotonic clock. Needs a running `LocalSet`.
#[derive(Clone)]
pub struct Timer {
    shared: Rc<Shared>,
}

struct Shared {
    /// Earliest first. A sequence number makes equal times first come, first served.
    waiting: RefCell<BinaryHeap<Reverse<Entry>>>,
    sequence: std::cell::Cell<u64>,
    /// The system's timer failed: tokio's serves from then on.
    broken: std::cell::Cell<bool>,
    alarm: alarm::Alarm,
}

struct Entry {
    at_ns: u64,
    sequence: u64,
    wake: oneshot::Sender<()>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at_ns, self.sequence) == (other.at_ns, other.sequence)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_ns, self.sequence).cmp(&(other.at_ns, other.sequence))
    }
}

impl Timer {
    /// Starts the timer's own task on the current `LocalSet`; it ends with the set.
    ///
    /// # Errors
    /// When the system has no timer to give (too many open files).
    pub fn start() -> std::io::Result<Self> {
        let shared = Rc::new(Shared {
            waiting: RefCell::default(),
            sequence: Default::default(),
            broken: Default::default(),
            alarm: alarm::Alarm::new()?,
        });
        let timer = Self { shared };
        let shared = Rc::clone(&timer.shared);
        tokio::task::spawn_local(async move {
            while shared.alarm.rang().await.is_ok() {
                shared.ring();
            }
            shared.give_up();
        });
        Ok(timer)
    }

    /// Waits until this time; at once when it has passed.
    pub async fn sleep_until(&self, at_ns: u64) {
        if stamp::now_ns() >= at_ns {
            return;
        }
        if self.shared.broken.get() || !self.rang_at(at_ns).await {
            tokio::time::sleep(std::time::Duration::from_nanos(at_ns.saturating_sub(stamp::now_ns()))).await;
        }
    }

    /// How many sleeps are kept, those that nobody waits for any more among them.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.shared.waiting.borrow().len()
    }

    /// False when the timer gave up before.
    async fn rang_at(&self, at_ns: u64) -> bool {
        let (wake, woken) = oneshot::channel();
        let sequence = self.shared.sequence.replace(self.shared.sequence.get() + 1);
        let entry = Entry { at_ns, sequence, wake };
        let first = {
            let mut waiting = self.shared.waiting.borrow_mut();
            waiting.push(Reverse(entry));
            waiting.peek().map(|Reverse(entry)| entry.at_ns)
        };
        if first == Some(at_ns) {
            self.shared.alarm.set(at_ns);
        }
        // The sender lives in the heap until it is used or the timer gives up.
        woken.await.is_ok()
    }
}

impl Shared {
    /// Wakes everyone who is due and sets the alarm for the next.
    fn ring(&self) {
        let mut waiting = self.waiting.borrow_mut();
        while waiting.peek().is_some_and(|Reverse(entry)| entry.at_ns <= stamp::now_ns()) {
            if let Some(Reverse(entry)) = waiting.pop() {
                // A task that gave up waiting has dropped its end.
                let _ = entry.wake.send(());
            }
        }
        if let Some(Reverse(next)) = waiting.peek() {
            self.alarm.set(next.at_ns);
        }
    }

    /// The alarm cannot be waited for any more: nobody may wait for it in vain.
    fn give_up(&self) {
        self.broken.set(true);
        self.waiting.borrow_mut().clear();
    }
}

#[cfg(target_os = "linux")]
mod alarm {
    //! A `timerfd` set to absolute times.

    use nix::sys::time::TimeSpec;
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
    use std::io;
    use std::os::fd::{AsFd, AsRawFd, RawFd};
    use tokio::io::unix::AsyncFd;

    pub(super) struct Alarm(AsyncFd<Fd>);

    struct Fd(TimerFd);

    impl AsRawFd for Fd {
        fn as_raw_fd(&self) -> RawFd {
            self.0.as_fd().as_raw_fd()
        }
    }

    impl Alarm {
        pub(super) fn new() -> io::Result<Self> {
            let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
            let fd = Fd(TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?);
            // SAFETY: `Fd` owns its descriptor, always gives the same one, and closes it only when it is dropped,
            // which `AsyncFd` does after taking it off the reactor.
            #[expect(unsafe_code, reason = "tokio has no safe way left to wait for a foreign descriptor")]
            let registered = unsafe { AsyncFd::register(fd) };
            Ok(Self(registered?))
        }

        pub(super) fn set(&self, at_ns: u64) {
            let seconds = i64::try_from(at_ns / 1_000_000_000).unwrap_or(i64::MAX);
            // A time of zero would disarm it; this one is in the past and rings at once.
            let ns = i64::try_from(at_ns % 1_000_000_000).unwrap_or(0).max(1);
            let at = Expiration::OneShot(TimeSpec::new(seconds, ns));
            // Setting a timer of our own to a valid time does not fail.
            let _ = self.0.get_ref().0.set(at, TimerSetTimeFlags::TFD_TIMER_ABSTIME);
        }

        pub(super) async fn rang(&self) -> io::Result<()> {
            loop {
                let mut ready = self.0.readable().await?;
                match ready.try_io(|fd| fd.get_ref().0.wait().map_err(io::Error::from)) {
                    Ok(result) => return result,
                    Err(_would_block) => {}
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod alarm {
    //! tokio's timer: good to a millisecond.

    use std::cell::Cell;
    use std::io;
    use std::time::Duration;
    use tokio::sync::Notify;

    pub(super) struct Alarm {
        at_ns: Cell<u64>,
        changed: Notify,
    }

    impl Alarm {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self { at_ns: Cell::new(u64::MAX), changed: Notify::new() })
        }

        pub(super) fn set(&self, at_ns: u64) {
            self.at_ns.set(at_ns);
            self.changed.notify_one();
        }

        pub(super) async fn rang(&self) -> io::Result<()> {
            loop {
                let left = Duration::from_nanos(self.at_ns.get().saturating_sub(stamp::now_ns()));
                tokio::select! {
                    () = tokio::time::sleep(left.min(Duration::from_secs(3600))) => {
                        if stamp::now_ns() >= self.at_ns.get() {
                            self.at_ns.set(u64::MAX);
                            return Ok(());
                        }
                    }
                    () = self.changed.notified() => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order in which four sleepers wake, the first after `lead_ns`; `None` where not all of them slept by then.
    fn order_of_waking(lead_ns: u64) -> Option<Vec<u64>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let order = Rc::new(RefCell::new(Vec::new()));
        let all_slept = tokio::task::LocalSet::new().block_on(&runtime, async {
            let timer = Timer::start().unwrap();
            let first = stamp::now_ns() + lead_ns;
            let tasks = [3u64, 1, 2, 0].map(|step| {
                let (timer, order) = (timer.clone(), Rc::clone(&order));
                tokio::task::spawn_local(async move {
                    let at = first + step * 3_000_000;
                    timer.sleep_until(at).await;
                    assert!(stamp::now_ns() >= at);
                    order.borrow_mut().push(step);
                })
            });
            tokio::task::yield_now().await;
            let all_slept = timer.kept() == tasks.len() && stamp::now_ns() < first;
            for task in tasks {
                task.await.unwrap();
            }
            all_slept
        });
        all_slept.then(|| order.take())
    }

    #[test]
    fn wakes_in_order_and_never_early() {
        // On a machine that stands still for a while the first wake may be over before the last one is asked for.
        let order = [20_000_000, 200_000_000, 2_000_000_000].into_iter().find_map(order_of_waking);
        assert_eq!(order, Some(vec![0, 1, 2, 3]));
    }

    #[test]
    fn a_timer_that_fails_leaves_nobody_waiting() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let timer = Timer::start().unwrap();
            let at = stamp::now_ns() + 20_000_000;
            let sleeper = tokio::task::spawn_local({
                let timer = timer.clone();
                async move { timer.sleep_until(at).await }
            });
            tokio::task::yield_now().await;
            assert_eq!(timer.kept(), 1);
            timer.shared.give_up();
            sleeper.await.unwrap();
            timer.sleep_until(at + 1_000_000).await;
            assert!(stamp::now_ns() > at && timer.kept() == 0);
        });
    }
}
