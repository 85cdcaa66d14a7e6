//! Locks whose data are whole after every single change.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The data: a panic of another thread that held them does not spoil them.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
