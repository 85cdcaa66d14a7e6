//! Threads for work that would hold up the event loop: parsing bodies, decoding pictures, templates, tokens. Bounded by
//! number; what tasks hold of the memory is counted where their bodies are read.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::lock::locked;

/// The threads. Each task is handed to one function.
pub(super) struct Pool<T> {
    shared: Arc<Shared<T>>,
    threads: Vec<JoinHandle<()>>,
    tasks_max: usize,
}

/// A task that is not done: it goes to the back of the line, whatever the bound.
pub(super) type Again<T> = Option<T>;

struct Shared<T> {
    queue: Mutex<Queue<T>>,
    wake: Condvar,
}

struct Queue<T> {
    tasks: VecDeque<T>,
    ends: bool,
}

impl<T: Send + 'static> Pool<T> {
    /// `threads` threads of this name, at least one.
    pub(super) fn new(
        name: &str,
        threads: usize,
        tasks_max: usize,
        work: impl Fn(T) -> Again<T> + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let queue = Mutex::new(Queue { tasks: VecDeque::new(), ends: false });
        let shared = Arc::new(Shared { queue, wake: Condvar::new() });
        let mut pool = Self { shared, threads: Vec::new(), tasks_max };
        let work = Arc::new(work);
        for _ in 0..threads.max(1) {
            let (shared, work) = (Arc::clone(&pool.shared), Arc::clone(&work));
            let run = move || shared.run(&*work);
            pool.threads.push(std::thread::Builder::new().name(name.into()).spawn(run)?);
        }
        Ok(pool)
    }

    /// Hands a task over; gives it back if too many wait already.
    pub(super) fn submit(&self, task: T) -> Result<(), T> {
        let mut queue = locked(&self.shared.queue);
        if queue.tasks.len() >= self.tasks_max {
            return Err(task);
        }
        queue.tasks.push_back(task);
        drop(queue);
        self.shared.wake.notify_one();
        Ok(())
    }

    /// How many tasks wait.
    pub(super) fn waiting(&self) -> usize {
        locked(&self.shared.queue).tasks.len()
    }
}

impl<T> Drop for Pool<T> {
    fn drop(&mut self) {
        let left = {
            let mut queue = locked(&self.shared.queue);
            queue.ends = true;
            std::mem::take(&mut queue.tasks)
        };
        drop(left);
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            // Panics of tasks are caught; there is nobody to tell of another.
            let _ = thread.join();
        }
    }
}

impl<T> Shared<T> {
    fn run(&self, work: &dyn Fn(T) -> Again<T>) {
        while let Some(task) = self.next() {
            // Whoever waits for it learns of a panic from what the task drops; the panic itself has been printed.
            let again = catch_unwind(AssertUnwindSafe(|| work(task))).ok().flatten();
            let Some(task) = again else { continue };
            let mut queue = locked(&self.queue);
            // This thread is the next to look; where all end, nothing goes on.
            if !queue.ends {
                queue.tasks.push_back(task);
            }
        }
    }

    fn next(&self) -> Option<T> {
        let mut queue = locked(&self.queue);
        loop {
            if let Some(task) = queue.tasks.pop_front() {
                return Some(task);
            }
            if queue.ends {
                return None;
            }
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Says that it has begun, waits, and fails.
    struct Task(Sender<()>, Receiver<()>);

    #[test]
    fn it_is_bounded_and_survives_panics() {
        let work = |Task(begin, gate): Task| -> Again<Task> {
            let _ = begin.send(());
            let _ = gate.recv();
            std::panic::resume_unwind(Box::new("a task fails"));
        };
        let pool = Pool::new("task", 1, 2, work).unwrap();
        let (begin, begun) = channel();
        let mut gates = Vec::new();
        let mut submit = || {
            let (open, gate) = channel();
            gates.push(open);
            pool.submit(Task(begin.clone(), gate)).is_ok()
        };
        assert!(submit());
        begun.recv().unwrap();
        assert!(submit() && submit());
        assert!(!submit());
        drop(gates);
        assert_eq!((begun.recv(), begun.recv()), (Ok(()), Ok(())));
    }
}
