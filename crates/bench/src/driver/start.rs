//! Several io threads begin a round at one time, once all are there and have their connections.

use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Which of the io threads this is. Thread `t` of `n` takes the requests t, t + n, t + 2n, …
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// From 0.
    pub thread: u32,
    /// Of so many, at least 1.
    pub threads: u32,
}

impl Share {
    /// One thread for everything.
    pub const WHOLE: Self = Self { thread: 0, threads: 1 };

    /// Whether a request is this thread's.
    #[must_use]
    pub fn has(self, number: u64) -> bool {
        number % u64::from(self.threads) == u64::from(self.thread)
    }

    /// Its part of a number that all share; the parts add up to the number.
    #[must_use]
    pub fn of(self, all: u64) -> u64 {
        all / u64::from(self.threads) + u64::from(u64::from(self.thread) < all % u64::from(self.threads))
    }
}

/// Starts a thread for each work. None begins before all are there: where one cannot be had, those that are have ended
/// without their work when this returns.
pub(super) fn all_or_none<Work: FnOnce() + Send + 'static>(
    works: impl Iterator<Item = Work>,
    spawn: impl Fn(usize, Box<dyn FnOnce() + Send>) -> std::io::Result<JoinHandle<()>>,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let may_begin = Arc::new(RwLock::new(false));
    let mut are_there = may_begin.write().unwrap_or_else(PoisonError::into_inner);
    let mut threads = Vec::new();
    let mut failed = None;
    for (number, work) in works.enumerate() {
        let may_begin = Arc::clone(&may_begin);
        // Waits until it is known whether all are there.
        let waits = Box::new(move || {
            if *may_begin.read().unwrap_or_else(PoisonError::into_inner) {
                work();
            }
        });
        match spawn(number, waits) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    *are_there = failed.is_none();
    drop(are_there);
    let Some(error) = failed else { return Ok(threads) };
    for thread in threads {
        // They had nothing to do in which they could panic.
        let _ = thread.join();
    }
    Err(error)
}

/// Where the threads of a round meet.
#[derive(Debug)]
pub(super) struct Start {
    threads: u32,
    met: Mutex<Met>,
    all: Condvar,
}

#[derive(Debug, Default)]
struct Met {
    arrived: u32,
    connected: u32,
    at_ns: Option<u64>,
}

impl Start {
    pub(super) fn of(threads: u32) -> Self {
        Self { threads, met: Mutex::default(), all: Condvar::new() }
    }

    /// Waits for the others; the time at which the round begins, `delay_ns` after the last has come. `None`: none of them
    /// has a connection. One that does not come within the limit is not waited for any longer.
    pub(super) fn meet(&self, connected: bool, delay_ns: u64, limit: Duration) -> Option<u64> {
        let deadline = Instant::now() + limit;
        // A thread that panicked holding this has changed nothing halfway.
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        met.arrived += 1;
        met.connected += u32::from(connected);
        if met.arrived == self.threads {
            met.at_ns.get_or_insert_with(|| stamp::now_ns() + delay_ns);
            self.all.notify_all();
        }
        while met.at_ns.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                met.at_ns = Some(stamp::now_ns() + delay_ns);
                self.all.notify_all();
                break;
            }
            (met, _) = self.all.wait_timeout(met, left).unwrap_or_else(PoisonError::into_inner);
        }
        met.at_ns.filter(|_| met.connected > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_apart_and_add_up() {
        for threads in 1..5 {
            let shares: Vec<Share> = (0..threads).map(|thread| Share { thread, threads }).collect();
            for all in [0, 1, 7, 64] {
                assert_eq!(shares.iter().map(|share| share.of(all)).sum::<u64>(), all);
            }
            for number in 0..20 {
                assert_eq!(shares.iter().filter(|share| share.has(number)).count(), 1);
            }
        }
    }

    #[test]
    fn where_a_thread_is_missing_no_work_begins() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let check = |missing: usize, expected: Result<usize, std::io::ErrorKind>, begun: usize| {
            let count = Arc::new(AtomicUsize::new(0));
            let works = (0..5).map(|_| {
                let count = Arc::clone(&count);
                move || {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            });
            let started = all_or_none(works, |number, work| match number == missing {
                true => Err(std::io::ErrorKind::WouldBlock.into()),
                false => Ok(std::thread::spawn(work)),
            });
            let joined = started.map(|threads| threads.into_iter().map(|thread| thread.join().unwrap()).count());
            assert_eq!(joined.map_err(|error| error.kind()), expected);
            // The threads that had been started are gone, and with them their share of this.
            assert_eq!((count.load(Ordering::SeqCst), Arc::strong_count(&count)), (begun, 1));
        };
        check(3, Err(std::io::ErrorKind::WouldBlock), 0);
        check(0, Err(std::io::ErrorKind::WouldBlock), 0);
        check(9, Ok(5), 5);
    }

    #[test]
    fn all_begin_at_one_time_or_none_does() {
        let meet = |connected: [bool; 3]| {
            let start = Start::of(3);
            let limit = Duration::from_secs(60);
            std::thread::scope(|scope| {
                connected
                    .map(|it| {
                        let start = &start;
                        scope.spawn(move || start.meet(it, 5, limit))
                    })
                    .map(|thread| thread.join().unwrap())
            })
        };
        let times = meet([true, false, true]);
        assert!(times[0].is_some() && times.iter().all(|time| *time == times[0]));
        assert_eq!(meet([false; 3]), [None; 3]);
        // One that never comes holds nobody for ever.
        assert!(Start::of(2).meet(true, 0, Duration::from_millis(5)).is_some());
    }
}
