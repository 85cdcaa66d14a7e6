//! The event loop: one thread, every connection, every route, writes at the times the backend gives.
//!
//! Times are absolute on the monotonic clock, kept by a `timerfd`; each write is stamped on both sides of the call, so
//! that a client's figures can be held against what was really sent.

use crate::backend::{Backend, Output, PlacedReply};
use crate::http::{self, Parse};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use serde_json::json;
use stamp::{StampedRead, now_ns};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

mod connection;
mod observed;
mod routes;

use connection::{Connection, Stream};
pub use observed::{Record, WriteStamp};

/// The largest request, bytes.
const BODY_BYTES_MAX: usize = 256 << 20;
/// Descriptors of the loop itself; connections count from above.
const LISTENER: u64 = 0;
const TIMER: u64 = 1;
const WAKER: u64 = 2;
const CONNECTION_FIRST: u64 = 3;
/// So much may be sent ahead while a reply is under way.
const AHEAD_BYTES_MAX: usize = 1 << 20;
/// After so many connections that were ready, what is due is written before the next is read.
const READ_AT_ONCE: usize = 8;

/// Why the server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address.
    #[error("cannot listen on {address}: {why}; choose another --port (0 takes a free one)")]
    Listen {
        /// What was given.
        address: String,
        /// The system's words.
        why: io::Error,
    },
    /// The system.
    #[error("the event loop: {0}")]
    Loop(#[from] io::Error),
}

impl From<nix::errno::Errno> for ServeError {
    fn from(errno: nix::errno::Errno) -> Self {
        Self::Loop(errno.into())
    }
}

/// Stops a running server, opens gates, reads records; from any thread.
#[derive(Clone)]
pub struct StopHandle {
    shared: Arc<Shared>,
}

struct Shared {
    stop: AtomicBool,
    waker: EventFd,
    records: Mutex<Vec<Record>>,
    gates: Mutex<Vec<String>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // The data are whole after every single change: a panic elsewhere does not spoil them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StopHandle {
    /// Ends the loop soon.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Opens a gate that replies wait at.
    pub fn open_gate(&self, name: &str) {
        locked(&self.shared.gates).push(name.to_owned());
        self.wake();
    }

    /// What the server has seen so far.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        locked(&self.shared.records).clone()
    }

    fn wake(&self) {
        // A full counter means that the loop is being woken already.
        let _ = self.shared.waker.write(1);
    }
}

/// A server that listens and has not begun to serve.
pub struct Listening {
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    backend: Box<dyn Backend>,
    shared: Arc<Shared>,
    /// Poll without sleeping while replies are under way: the truest write times, at the price of a core.
    pub spin: bool,
    /// Keep the bodies of requests in the records.
    pub keep_bodies: bool,
}

impl Listening {
    /// Binds; port 0 takes a free one.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn bind(
        host: &str,
        port: u16,
        tls: Option<Arc<ServerConfig>>,
        backend: Box<dyn Backend>,
    ) -> Result<Self, ServeError> {
        let refuse = |why| ServeError::Listen { address: format!("{host}:{port}"), why };
        let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(refuse)?.collect();
        let listener = TcpListener::bind(addresses.as_slice()).map_err(refuse)?;
        // std's backlog of 128 resets bursts of connections; listening again only raises it.
        nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::MAXCONN)?;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            waker: EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?,
            records: Mutex::default(),
            gates: Mutex::default(),
        });
        Ok(Self { listener, tls, backend, shared, spin: false, keep_bodies: false })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> Result<SocketAddr, ServeError> {
        Ok(self.listener.local_addr()?)
    }

    /// Stops it from elsewhere.
    #[must_use]
    pub fn handle(&self) -> StopHandle {
        StopHandle { shared: Arc::clone(&self.shared) }
    }

    /// Serves until it is stopped.
    ///
    /// # Errors
    /// When the system's event mechanism fails.
    pub fn serve(self) -> Result<(), ServeError> {
        App::new(self)?.run()
    }
}

/// The running loop.
pub struct App {
    listening: Listening,
    epoll: Epoll,
    timer: TimerFd,
    connections: HashMap<u64, Connection>,
    next_connection: u64,
    due: BinaryHeap<Reverse<(u64, u64)>>,
    replies: Receiver<PlacedReply>,
    replies_sender: Sender<PlacedReply>,
    /// The listener rests: the process has no descriptor left for another connection.
    accept_paused: bool,
    wake: Arc<dyn Fn() + Send + Sync>,
    chats: u64,
    in_flight: usize,
    room: Vec<u8>,
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
            wake: Arc::new(move || {
                let _ = shared.waker.write(1);
            }),
            listening,
            epoll,
            timer,
            connections: HashMap::new(),
            next_connection: CONNECTION_FIRST,
            due: BinaryHeap::new(),
            replies,
            replies_sender,
            accept_paused: false,
            chats: 0,
            in_flight: 0,
            room: vec![0; 256 * 1024],
            wall_minus_monotonic_ns: stamp::wall_minus_monotonic_ns(),
        })
    }

    fn run(mut self) -> Result<(), ServeError> {
        let mut events = vec![EpollEvent::empty(); 1024];
        while !self.listening.shared.stop.load(Ordering::SeqCst) {
            let spinning = self.listening.spin && self.in_flight > 0;
            let timeout = if spinning { EpollTimeout::ZERO } else { EpollTimeout::from(500u16) };
            let count = match self.epoll.wait(&mut events, timeout) {
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => 0,
                Err(error) => return Err(error.into()),
            };
            let ready: Vec<(u64, EpollFlags)> =
                events[..count].iter().map(|event| (event.data(), event.events())).collect();
            for (place, (id, flags)) in ready.into_iter().enumerate() {
                if place % READ_AT_ONCE == READ_AT_ONCE - 1 {
                    self.take_replies();
                    self.write_due();
                }
                match id {
                    LISTENER => self.accept(),
                    TIMER => drop(self.timer.wait()),
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
            self.close_idle();
            self.pause_accepting(false);
        }
        Ok(())
    }

    fn accept(&mut self) {
        loop {
            let tcp = match self.listening.listener.accept() {
                Ok((tcp, _)) => tcp,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(_) => return self.pause_accepting(true),
            };
            if tcp.set_nonblocking(true).is_err() || tcp.set_nodelay(true).is_err() {
                continue;
            }
            let stream = match &self.listening.tls {
                None => Stream::Plain(tcp),
                Some(config) => match ServerConnection::new(Arc::clone(config)) {
                    Ok(tls) => Stream::Tls(Box::new(StreamOwned::new(tls, tcp))),
                    Err(_) => continue,
                },
            };
            let id = self.next_connection;
            if self.epoll.add(stream.tcp(), EpollEvent::new(EpollFlags::EPOLLIN, id)).is_err() {
                continue;
            }
            self.next_connection += 1;
            self.connections.insert(id, Connection::new(stream));
        }
    }

    /// Without a free descriptor the waiting connection would wake the loop for ever: the listener rests until the next
    /// turn of the loop, half a second at most.
    fn pause_accepting(&mut self, pause: bool) {
        if self.accept_paused != pause {
            self.accept_paused = pause;
            let flags = if pause { EpollFlags::empty() } else { EpollFlags::EPOLLIN };
            // The listener is registered as long as the loop runs.
            let _ = self.epoll.modify(&self.listening.listener, &mut EpollEvent::new(flags, LISTENER));
        }
    }

    fn ready(&mut self, id: u64, flags: EpollFlags) {
        if flags.contains(EpollFlags::EPOLLOUT) {
            self.flush(id);
        }
        if flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
            self.read(id);
        }
    }

    fn read(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        loop {
            match connection.stream.read_stamped(&mut self.room, &mut connection.control) {
                Ok(StampedRead { bytes: 0, .. }) => return self.drop_connection(id),
                Ok(StampedRead { bytes: count, wall_ns }) => {
                    connection.read_ns = now_ns();
                    let monotonic = wall_ns.and_then(|wall| wall.checked_add_signed(-self.wall_minus_monotonic_ns));
                    connection.received_ns = monotonic.unwrap_or(connection.read_ns).min(connection.read_ns);
                    connection.input.extend_from_slice(&self.room[..count]);
                    if connection.answering.is_some() && connection.input.len() > AHEAD_BYTES_MAX {
                        return self.drop_connection(id);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.drop_connection(id),
            }
        }
        self.requests(id);
    }

    /// Every whole request in the input, one after the other: the next only when the last is answered.
    fn requests(&mut self, id: u64) {
        while let Some(connection) = self.connections.get_mut(&id) {
            if connection.answering.is_some() || connection.input.is_empty() {
                return;
            }
            match http::parse(&connection.input, BODY_BYTES_MAX) {
                Parse::Partial { wants_continue } => {
                    if wants_continue && !std::mem::replace(&mut connection.continued, true) {
                        self.send(id, b"HTTP/1.1 100 Continue\r\n\r\n");
                    }
                    return;
                }
                Parse::Refused(status, words) => {
                    let body = json!({"detail": words}).to_string();
                    let reply = http::whole(status, "application/json", &[], body.as_bytes(), false);
                    connection.keep_alive = false;
                    self.send(id, &reply);
                    return self.close(id);
                }
                Parse::Request(request, used) => {
                    connection.input.drain(..used);
                    connection.continued = false;
                    connection.generation += 1;
                    connection.keep_alive = request.keep_alive;
                    connection.last_used_ns = now_ns();
                    self.route(id, &request);
                }
            }
        }
    }

    /// Replies from the backend, onto their connections.
    fn take_replies(&mut self) {
        while let Ok(reply) = self.replies.try_recv() {
            let Some(connection) = self.connections.get_mut(&reply.connection) else { continue };
            if connection.generation == reply.generation {
                connection.pieces = Some(reply.pieces);
                self.draw_piece(reply.connection);
            }
        }
    }

    /// Asks for the next piece of a reply and notes when it is due.
    fn draw_piece(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.next_piece = connection.pieces.as_mut().and_then(Iterator::next);
        if let Some((due_ns, _)) = connection.next_piece {
            self.due.push(Reverse((due_ns, id)));
        }
    }

    /// Everything that is due now, then the alarm for the next.
    fn write_due(&mut self) {
        loop {
            let Some(Reverse((due_ns, id))) = self.due.peek().copied() else { return };
            if due_ns > now_ns() {
                break;
            }
            self.due.pop();
            self.next_piece(id);
        }
        if let (Some(Reverse((due_ns, _))), false) = (self.due.peek(), self.listening.spin) {
            let seconds = i64::try_from(due_ns / 1_000_000_000).unwrap_or(i64::MAX);
            let rest = i64::try_from(due_ns % 1_000_000_000).unwrap_or(0).max(1);
            let at = Expiration::OneShot(TimeSpec::new(seconds, rest));
            // Setting our own timer to a valid time does not fail.
            let _ = self.timer.set(at, TimerSetTimeFlags::TFD_TIMER_ABSTIME);
        }
    }

    fn next_piece(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some((_, output)) = connection.next_piece.take() else { return };
        match output {
            Output::Bytes { bytes, tokens } => {
                let answering = connection.answering;
                let before_ns = now_ns();
                self.send(id, &bytes);
                let after_ns = now_ns();
                let mut records = locked(&self.listening.shared.records);
                if let Some(record) = answering.and_then(|number| records.get_mut(number)) {
                    record.writes.push(WriteStamp { before_ns, after_ns, tokens });
                }
                drop(records);
                self.draw_piece(id);
            }
            Output::End => {
                let keep_alive = connection.keep_alive;
                self.end_reply(id);
                if keep_alive { self.requests(id) } else { self.close(id) }
            }
            Output::Close => {
                self.end_reply(id);
                self.close(id);
            }
            Output::Reset => {
                // Closing with a linger of zero makes the kernel send a reset.
                let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
                let _ =
                    nix::sys::socket::setsockopt(connection.stream.tcp(), nix::sys::socket::sockopt::Linger, &linger);
                self.end_reply(id);
                self.drop_connection(id);
            }
        }
    }

    fn end_reply(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.last_used_ns = now_ns();
        (connection.pieces, connection.next_piece) = (None, None);
        if let Some(number) = connection.answering.take() {
            self.in_flight = self.in_flight.saturating_sub(1);
            if let Some(record) = locked(&self.listening.shared.records).get_mut(number) {
                record.ended_ns = Some(now_ns());
            }
        }
    }

    /// Writes now what the socket takes; the rest when it is ready.
    fn send(&mut self, id: u64, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if !connection.output.is_empty() {
            connection.output.extend(bytes);
            return;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            match connection.stream.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    connection.output.extend(rest);
                    return self.want_writable(id, true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.drop_connection(id),
            }
        }
        if connection.stream.holds_back() {
            self.want_writable(id, true);
        }
    }

    fn flush(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.stream.holds_back() {
            match connection.stream.flush() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.drop_connection(id),
                Ok(()) => {}
            }
        }
        while !connection.output.is_empty() {
            let (front, _) = connection.output.as_slices();
            match connection.stream.write(front) {
                Ok(count) => drop(connection.output.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.drop_connection(id),
            }
        }
        if connection.closing {
            return self.drop_connection(id);
        }
        self.want_writable(id, false);
    }

    fn want_writable(&mut self, id: u64, wanted: bool) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.writable_wanted != wanted {
            connection.writable_wanted = wanted;
            let flags = if wanted { EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT } else { EpollFlags::EPOLLIN };
            // The descriptor is registered as long as the connection lives.
            let _ = self.epoll.modify(connection.stream.tcp(), &mut EpollEvent::new(flags, id));
        }
    }

    /// Closes a connection once everything written to it has gone out.
    fn close(&mut self, id: u64) {
        match self.connections.get_mut(&id) {
            Some(connection) if !connection.output.is_empty() => connection.closing = true,
            _ => self.drop_connection(id),
        }
    }

    fn drop_connection(&mut self, id: u64) {
        self.end_reply(id);
        if let Some(mut connection) = self.connections.remove(&id) {
            if let Stream::Tls(stream) = &mut connection.stream {
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
            let _ = self.epoll.delete(connection.stream.tcp());
        }
    }

    fn close_idle(&mut self) {
        let Some(limit_ms) = self.listening.backend.idle_close_ms() else { return };
        let now = now_ns();
        let idle = |connection: &Connection| {
            connection.answering.is_none() && now.saturating_sub(connection.last_used_ns) > limit_ms * 1_000_000
        };
        let ids: Vec<u64> = self.connections.iter().filter(|(_, c)| idle(c)).map(|(id, _)| *id).collect();
        for id in ids {
            self.drop_connection(id);
        }
    }
}
