//! The end in order: no new connection, what was asked for is answered, then the loop is done.

use super::App;
use super::connection::State;
use nix::sys::socket::{Shutdown, shutdown};
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;

impl App {
    /// Whether the loop was asked to end in order and nothing is left to do. Begins the end where it was asked for.
    pub(super) fn is_drained(&mut self) -> bool {
        if !self.is_draining {
            if !self.listening.shared.drain.load(Ordering::SeqCst) {
                return false;
            }
            self.begin_to_drain();
        }
        self.connections.is_empty()
    }

    fn begin_to_drain(&mut self) {
        self.is_draining = true;
        self.accept_again_ns = None;
        let _ = self.epoll.delete(&self.listening.listener);
        // Whoever connects from now on is refused by the system, and not left waiting.
        let _ = shutdown(self.listening.listener.as_raw_fd(), Shutdown::Both);
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        for id in ids {
            self.leave(id);
        }
    }

    /// A connection goes as soon as its answer has gone out: at once where none is under way.
    fn leave(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.keep_alive = false;
        if connection.state == State::Open && connection.answering.is_none() {
            self.close(id);
            self.settle(id);
        }
    }
}
