//! A pool of worker threads that sleep while there is nothing to do, and a parallel loop over borrowed data.
//! It must not know what is computed: results never depend on the number of threads, because a task is the same
//! whoever runs it.
//!
//! Workers park and never spin. Client and server often share two cores, and there a spinning pool makes a kernel
//! several times slower.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::{io, mem};

/// The threads of one model. The calling thread works too, so `n` threads are `n - 1` workers.
#[derive(Debug)]
pub(crate) struct Threads {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held while a loop runs: two callers take turns.
    turn: Mutex<()>,
}

impl Threads {
    /// As many threads as asked for, else as many as this process may run on.
    pub(crate) fn new(wanted: Option<NonZeroUsize>) -> io::Result<Self> {
        let count = wanted.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
        let shared = Arc::new(Shared::default());
        let mut pool = Self { shared: Arc::clone(&shared), workers: Vec::new(), turn: Mutex::new(()) };
        for number in 1..count {
            let shared = Arc::clone(&shared);
            let worker = thread::Builder::new().name(format!("engine-{number}")).spawn(move || shared.serve())?;
            pool.workers.push(worker);
        }
        Ok(pool)
    }

    /// The number of threads, the caller's included.
    pub(crate) fn count(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task` once for each number below `tasks`, in no fixed order, and returns when all are done.
    ///
    /// A task must not call this again: it would wait for itself.
    ///
    /// # Panics
    /// If a task panics.
    pub(crate) fn run(&self, tasks: usize, task: impl Fn(usize) + Sync) {
        if self.workers.is_empty() || tasks < 2 {
            (0..tasks).for_each(task);
            return;
        }
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= tasks {
                    return;
                }
                task(number);
            }
        };
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let open = self.shared.open(&work, tasks - 1);
        work();
        drop(open);
        assert!(!mem::take(&mut self.shared.lock().panicked), "a task of the engine panicked");
    }

    /// Calls `task` with each item, the items being shared out among the threads.
    pub(crate) fn each<T: Send>(&self, items: Vec<T>, task: impl Fn(T) + Sync) {
        let items: Vec<Mutex<Option<T>>> = items.into_iter().map(|item| Mutex::new(Some(item))).collect();
        self.run(items.len(), |number| {
            let item = items.get(number).and_then(|slot| slot.lock().ok()?.take());
            if let Some(item) = item {
                task(item);
            }
        });
    }

    /// Calls `task` with the number and the data of each row of `data`, `len` values a row.
    pub(crate) fn rows<T: Send>(&self, data: &mut [T], len: usize, task: impl Fn(usize, &mut [T]) + Sync) {
        /// Fewer values than this are not worth waking anyone.
        const VALUES_MIN: usize = 16 * 1024;
        let rows = data.len() / len.max(1);
        let share = if data.len() < VALUES_MIN { rows } else { rows.div_ceil(4 * self.count()) }.max(1);
        let shares = data.chunks_mut(share * len.max(1)).enumerate().collect();
        self.each(shares, |(number, part)| {
            for (row, values) in part.chunks_mut(len.max(1)).enumerate() {
                task(number * share + row, values);
            }
        });
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.work.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches what its tasks throw, so there is nothing to learn from a failed join.
            let _ = worker.join();
        }
    }
}

/// What a worker runs: it returns when no task is left.
type Work<'a> = dyn Fn() + Sync + 'a;

#[derive(Default)]
struct State {
    /// The loop that is open, if one is.
    job: Option<&'static Work<'static>>,
    /// How many loops there have been: a worker joins each once.
    loops: u64,
    /// Workers inside the loop.
    active: usize,
    panicked: bool,
    stop: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
    idle: Condvar,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets up to `helpers` workers join until the returned value is dropped, which waits for those that did.
    fn open<'a>(&'a self, work: &'a Work<'a>, helpers: usize) -> Open<'a> {
        #[expect(
            unsafe_code,
            reason = "Workers outlive the borrowed closure, so its lifetime has to be hidden from them. It is sound \
                      because `Open` takes the job back under the lock and waits until no worker is inside, and it does \
                      so on unwinding too."
        )]
        // SAFETY: see the reason; the reference is not used after `Open` is dropped, and 'a outlives `Open`.
        let job = unsafe { mem::transmute::<&'a Work<'a>, &'static Work<'static>>(work) };
        let mut state = self.lock();
        state.job = Some(job);
        state.loops += 1;
        drop(state);
        for _ in 0..helpers.min(64) {
            self.work.notify_one();
        }
        Open { shared: self }
    }

    fn serve(&self) {
        let mut seen = 0;
        let mut state = self.lock();
        loop {
            if state.stop {
                return;
            }
            match state.job {
                Some(job) if state.loops != seen => {
                    seen = state.loops;
                    state.active += 1;
                    drop(state);
                    let result = catch_unwind(AssertUnwindSafe(job));
                    state = self.lock();
                    state.active -= 1;
                    state.panicked |= result.is_err();
                    if state.active == 0 {
                        self.idle.notify_all();
                    }
                }
                _ => state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// A loop that workers may join. Dropping it closes the loop.
struct Open<'a> {
    shared: &'a Shared,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.job = None;
        while state.active > 0 {
            state = self.shared.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(threads: usize) -> Threads {
        Threads::new(NonZeroUsize::new(threads)).unwrap()
    }

    #[test]
    fn every_task_runs_once() {
        for threads in [1, 2, 5] {
            let pool = pool(threads);
            assert_eq!(pool.count(), threads);
            for tasks in [0, 1, 2, 7, 1000] {
                let seen: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                pool.run(tasks, |number| {
                    seen[number].fetch_add(1, Ordering::Relaxed);
                });
                assert!(seen.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{threads} {tasks}");
            }
        }
    }

    #[test]
    fn rows_keep_their_numbers() {
        for (rows, len) in [(1, 3), (100, 7), (3000, 40), (0, 5)] {
            let mut data = vec![0usize; rows * len];
            pool(3).rows(&mut data, len, |row, values| values.fill(row + 1));
            assert!(data.chunks(len).enumerate().all(|(row, values)| values.iter().all(|v| *v == row + 1)));
        }
    }

    #[test]
    fn a_panic_in_a_task_reaches_the_caller_and_the_pool_lives_on() {
        let pool = pool(2);
        let outcome = catch_unwind(AssertUnwindSafe(|| pool.run(8, |number| assert!(number != 5, "task 5"))));
        assert!(outcome.is_err());
        let count = AtomicUsize::new(0);
        pool.run(8, |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(count.into_inner(), 8);
    }

    #[test]
    fn two_callers_take_turns() {
        let pool = pool(2);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let count = AtomicUsize::new(0);
                        pool.run(9, |_| {
                            count.fetch_add(1, Ordering::Relaxed);
                        });
                        assert_eq!(count.into_inner(), 9);
                    }
                });
            }
        });
    }
}
