//! Memory that several threads take for a while: who finds too little left waits for its turn, in the order of coming, so
//! that a large share is not kept out by small ones for ever. It must not know what the memory is for.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::lock::locked;

/// So many bytes for all.
pub(super) struct Budget {
    bytes: u64,
    state: Mutex<State>,
    change: Condvar,
}

struct State {
    free_bytes: u64,
    /// The number that who comes next gets, and the number whose turn it is.
    next: u64,
    turn: u64,
}

/// A part of it, given back when this is dropped.
pub(super) struct Lease<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    pub(super) fn new(bytes: u64) -> Self {
        let state = Mutex::new(State { free_bytes: bytes, next: 0, turn: 0 });
        Self { bytes, state, change: Condvar::new() }
    }

    /// Takes so many bytes, at most all there are; waits until they are free. Who holds a lease must not take another.
    pub(super) fn take(&self, bytes: u64) -> Lease<'_> {
        let bytes = bytes.min(self.bytes);
        let mut state = locked(&self.state);
        let number = state.next;
        state.next += 1;
        while state.turn != number || state.free_bytes < bytes {
            state = self.change.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.turn += 1;
        state.free_bytes -= bytes;
        drop(state);
        self.change.notify_all();
        Lease { budget: self, bytes }
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> u64 {
        let state = locked(&self.state);
        state.next - state.turn
    }
}

impl Lease<'_> {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        locked(&self.budget.state).free_bytes += self.bytes;
        self.budget.change.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn the_sum_is_bounded_and_everyone_has_a_turn() {
        let (budget, held, turns) = (Budget::new(100), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (budget, held, turns) = (&budget, &held, &turns);
                scope.spawn(move || {
                    for round in 0..200 {
                        // Some ask for more than there is: they get all of it.
                        let lease = budget.take((thread * 31 + round * 17) % 130);
                        let sum = held.fetch_add(lease.bytes(), Ordering::SeqCst) + lease.bytes();
                        assert!(sum <= 100, "{sum}");
                        turns.fetch_add(1, Ordering::SeqCst);
                        held.fetch_sub(lease.bytes(), Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!((turns.into_inner(), budget.waiting()), (1600, 0));
        assert_eq!(budget.take(u64::MAX).bytes(), 100);
    }

    #[test]
    fn who_asks_for_much_is_not_passed_by_who_asks_for_little() {
        let budget = Budget::new(100);
        let (first, order) = (budget.take(50), Mutex::new(Vec::new()));
        let until = |waiting| {
            while budget.waiting() < waiting {
                std::thread::yield_now();
            }
        };
        std::thread::scope(|scope| {
            for (place, bytes) in [(1, 80), (2, 10)] {
                let (budget, order) = (&budget, &order);
                scope.spawn(move || {
                    let _lease = budget.take(bytes);
                    order.lock().unwrap().push(bytes);
                });
                until(place);
            }
            assert!(order.lock().unwrap().is_empty());
            drop(first);
        });
        assert_eq!(order.into_inner().unwrap().len(), 2);
    }
}
