//! The event loop: one thread, every connection, every route, writes at the times the backend gives.
//!
//! Times are absolute on the monotonic clock, kept by a `timerfd`; each write is stamped on both sides of the call, so
//! that a client's figures can be held against what was really sent. No client can keep the loop to itself: in one turn it
//! reads so much and answers so much for each, and goes on with the others. Must not know what a backend does.

use crate::backend::PlacedReply;
use crate::error::ServeError;
use crate::http::Sizes;
use crate::lock::locked;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use stamp::now_ns;
use std::collections::{BTreeSet, HashMap};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

mod accept;
mod connection;
mod drain;
mod input;
mod limits;
mod listening;
mod memory;
mod observed;
mod output;
mod routes;
mod stream;

use connection::Connection;
pub use limits::Limits;
pub(crate) use listening::Bound;
pub use listening::{Listening, StopHandle};
pub(crate) use memory::Share;
pub use observed::{Keep, Record, WriteStamp};

/// Descriptors of the loop itself; connections count from above.
const LISTENER: u64 = 0;
const TIMER: u64 = 1;
const WAKER: u64 = 2;
const CONNECTION_FIRST: u64 = 3;
/// After so many connections that were ready, what is due is written before the next is read …
const READ_AT_ONCE: usize = 8;
/// … and after so many bytes.
const READ_AT_ONCE_BYTES: usize = 1 << 20;

/// The running loop.
struct App {
    listening: Listening,
    epoll: Epoll,
    timer: TimerFd,
    /// When the timer rings.
    alarm_ns: Option<u64>,
    connections: HashMap<u64, Connection>,
    next_connection: u64,
    /// Pieces of replies by the time they are due.
    due: BTreeSet<(u64, u64)>,
    /// Connections by the time at which they have waited long enough.
    deadlines: BTreeSet<(u64, u64)>,
    /// Connections that have more to do than fits into a turn.
    again: BTreeSet<u64>,
    replies: Receiver<PlacedReply>,
    replies_sender: Sender<PlacedReply>,
    /// The process has no descriptor for another connection: the listener rests until then.
    accept_again_ns: Option<u64>,
    /// Nothing new is taken.
    is_draining: bool,
    wake: Arc<dyn Fn() + Send + Sync>,
    /// Requests that a backend was asked to answer, since the start.
    requests: u64,
    /// Requests whose first token has been written, and the time from the kernel's receipt to that write, all together.
    first_tokens: u64,
    first_tokens_ns: u64,
    in_flight: usize,
    room: Vec<u8>,
    /// Bytes read since what is due was last written.
    read_bytes: usize,
    /// What requests hold of the memory.
    held_bytes: Arc<AtomicUsize>,
    /// What replies hold of it that clients have not taken.
    unread_bytes: Arc<AtomicUsize>,
    wall_minus_monotonic_ns: i64,
}

impl App {
    fn new(listening: Listening) -> Result<Self, ServeError> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        epoll.add(&listening.listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        epoll.add(listening.shared.waker.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, WAKER))?;
        let (replies_sender, replies) = channel();
        let shared = Arc::clone(&listening.shared);
        Ok(Self {
            wake: Arc::new(move || shared.wake()),
            room: vec![0; listening.limits.turn_bytes.clamp(1, 256 << 10)],
            listening,
            epoll,
            timer,
            alarm_ns: None,
            connections: HashMap::new(),
            next_connection: CONNECTION_FIRST,
            due: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            again: BTreeSet::new(),
            replies,
            replies_sender,
            accept_again_ns: None,
            is_draining: false,
            requests: 0,
            first_tokens: 0,
            first_tokens_ns: 0,
            in_flight: 0,
            read_bytes: 0,
            held_bytes: Arc::default(),
            unread_bytes: Arc::default(),
            wall_minus_monotonic_ns: stamp::wall_minus_monotonic_ns(),
        })
    }

    fn run(mut self) -> Result<(), ServeError> {
        while !self.listening.shared.stop.load(Ordering::SeqCst) && !self.is_drained() {
            let timeout = self.timeout();
            self.turn(timeout)?;
        }
        Ok(())
    }

    /// One turn: waits, then does what there is to do, bounded for each connection.
    fn turn(&mut self, timeout: EpollTimeout) -> Result<(), ServeError> {
        let mut events = [EpollEvent::empty(); 512];
        let count = match self.epoll.wait(&mut events, timeout) {
            Ok(count) => count,
            Err(nix::errno::Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        let again = std::mem::take(&mut self.again);
        let ready = events.iter().take(count).map(|event| (event.data(), event.events()));
        for (place, (id, flags)) in again.into_iter().map(|id| (id, EpollFlags::EPOLLIN)).chain(ready).enumerate() {
            if place % READ_AT_ONCE == READ_AT_ONCE - 1 || self.read_bytes > READ_AT_ONCE_BYTES {
                self.take_replies();
                self.write_due();
            }
            match id {
                LISTENER => self.accept(),
                TIMER => {
                    let _ = self.timer.wait();
                    self.alarm_ns = None;
                }
                WAKER => drop(self.listening.shared.waker.read()),
                id => self.ready(id, flags),
            }
        }
        let gates = std::mem::take(&mut *locked(&self.listening.shared.gates));
        for gate in gates {
            self.listening.backend.open_gate(&gate);
        }
        self.take_replies();
        self.write_due();
        self.expire();
        Ok(())
    }

    /// How long the next turn may wait: not at all where there is work, else until the alarm, which it sets.
    fn timeout(&mut self) -> EpollTimeout {
        self.accept_again();
        let spinning = self.listening.spin && self.in_flight > 0;
        if spinning || !self.again.is_empty() {
            return EpollTimeout::ZERO;
        }
        let first = |times: &BTreeSet<(u64, u64)>| times.first().map(|(at_ns, _)| *at_ns);
        let next = [first(&self.due), first(&self.deadlines), self.accept_again_ns].into_iter().flatten().min();
        let Some(at_ns) = next else { return EpollTimeout::NONE };
        if at_ns <= now_ns() {
            return EpollTimeout::ZERO;
        }
        if self.alarm_ns != Some(at_ns) {
            let seconds = i64::try_from(at_ns / 1_000_000_000).unwrap_or(i64::MAX);
            let rest = i64::try_from(at_ns % 1_000_000_000).unwrap_or(0);
            let at = Expiration::OneShot(TimeSpec::new(seconds, rest));
            // Setting our own timer to a valid time does not fail.
            let _ = self.timer.set(at, TimerSetTimeFlags::TFD_TIMER_ABSTIME);
            self.alarm_ns = Some(at_ns);
        }
        EpollTimeout::NONE
    }

    fn ready(&mut self, id: u64, flags: EpollFlags) {
        let Some(connection) = self.connections.get(&id) else { return };
        let (is_answering, wants_input) = (connection.answering.is_some(), connection.wants_input());
        let peer_ends = flags.contains(EpollFlags::EPOLLRDHUP);
        if flags.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) || peer_ends && is_answering {
            return self.drop_connection(id);
        }
        if peer_ends && !wants_input {
            self.peer_ended(id);
        }
        if flags.contains(EpollFlags::EPOLLOUT) {
            self.flush(id);
        }
        if flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP) {
            self.read(id);
        }
        if self.settle(id) {
            self.make_room();
        }
    }

    /// Brings what the system tells of a connection, its deadline and its share of the memory in line with what it waits
    /// for now. Whether the share has grown.
    fn settle(&mut self, id: u64) -> bool {
        let Some(connection) = self.connections.get_mut(&id) else { return false };
        let interest = connection.wanted_interest();
        if interest != connection.interest {
            if interest.contains(EpollFlags::EPOLLIN) && !connection.interest.contains(EpollFlags::EPOLLIN) {
                // TLS may hold bytes that the socket has given already.
                self.again.insert(id);
            }
            connection.interest = interest;
            // The descriptor is registered as long as the connection lives.
            let _ = self.epoll.modify(connection.stream.tcp(), &mut EpollEvent::new(interest, id));
        }
        let deadline_ns = connection.wanted_deadline_ns(&self.listening.limits, &*self.listening.backend);
        if deadline_ns != connection.deadline_ns {
            if let Some(at_ns) = std::mem::replace(&mut connection.deadline_ns, deadline_ns) {
                self.deadlines.remove(&(at_ns, id));
            }
            self.deadlines.extend(deadline_ns.map(|at_ns| (at_ns, id)));
        }
        connection.weigh()
    }

    fn sizes(&self) -> Sizes {
        let Limits { head_bytes_max, body_bytes_max, bodies_bytes_max, .. } = self.listening.limits;
        Sizes { head_bytes_max, body_bytes_max: body_bytes_max.min(bodies_bytes_max) }
    }
}
