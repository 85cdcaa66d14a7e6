//! The event loop: one thread, every connection, every route, writes at the times the backend gives.
//!
//! Times are absolute on the monotonic clock, kept by a `timerfd`; each write is stamped on both sides of the call, so
//! that a client's figures can be held against what was really sent.

use crate::backend::{Arrival, Backend, Output, Piece, ReplySink};
use crate::http::{self, Parse, Received};
use crate::validate::{ApiError, validate};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use serde::Serialize;
use serde_json::json;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// The largest request, bytes.
const BODY_BYTES_MAX: usize = 256 << 20;
/// Descriptors of the loop itself; connections count from above.
const LISTENER: u64 = 0;
const TIMER: u64 = 1;
const WAKER: u64 = 2;
const CONNECTION_FIRST: u64 = 3;

/// Now on the monotonic clock, ns.
pub(crate) fn now_ns() -> u64 {
    clock_ns(nix::time::ClockId::CLOCK_MONOTONIC)
}

/// Now on the wall clock, s since 1970.
pub(crate) fn unix_s() -> u64 {
    clock_ns(nix::time::ClockId::CLOCK_REALTIME) / 1_000_000_000
}

fn clock_ns(clock: nix::time::ClockId) -> u64 {
    nix::time::clock_gettime(clock).map_or(0, |time| {
        u64::try_from(time.tv_sec()).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec()).unwrap_or(0)
    })
}

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

/// One write: the clock before and after the call, and the token events in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WriteStamp {
    /// Before the write, ns on the monotonic clock.
    pub before_ns: u64,
    /// After it.
    pub after_ns: u64,
    /// Token events.
    pub tokens: u32,
}

/// What the server saw of one chat request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Number on this server, from 0.
    pub number: u64,
    /// The client's `x-request-id`.
    pub request_id: Option<String>,
    /// Number of the connection.
    pub connection: u64,
    /// Requests that the connection had carried before.
    pub reused: u64,
    /// When its last byte had been read.
    pub read_ns: u64,
    /// Size of its body, bytes.
    pub body_bytes: usize,
    /// Its body.
    #[serde(skip)]
    pub body: Arc<[u8]>,
    /// Its headers.
    #[serde(skip)]
    pub headers: Vec<(String, String)>,
    /// Requests being answered when it came, itself included.
    pub in_flight: usize,
    /// The writes of its answer.
    pub writes: Vec<WriteStamp>,
    /// When its answer was whole.
    pub ended_ns: Option<u64>,
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

/// Plain or encrypted.
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(stream) => &stream.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(room),
            Self::Tls(stream) => stream.read(room),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            Self::Tls(stream) => {
                let written = stream.write(bytes)?;
                // What TLS holds back goes out with the next readiness.
                match stream.flush() {
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
                    _ => Ok(written),
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

struct Connection {
    stream: Stream,
    input: Vec<u8>,
    /// Bytes that the socket would not take yet.
    output: VecDeque<u8>,
    /// Pieces of the current reply that are not due yet.
    pieces: VecDeque<(u64, Output)>,
    /// Rises with every request, so that late pieces of an old reply are known.
    generation: u64,
    carried: u64,
    /// The request being answered: its place in the records.
    answering: Option<usize>,
    keep_alive: bool,
    continued: bool,
    last_used_ns: u64,
    writable_wanted: bool,
}

/// The running loop.
pub struct App {
    listening: Listening,
    epoll: Epoll,
    timer: TimerFd,
    connections: HashMap<u64, Connection>,
    next_connection: u64,
    due: BinaryHeap<Reverse<(u64, u64)>>,
    pieces: Receiver<Piece>,
    pieces_sender: Sender<Piece>,
    wake: Arc<dyn Fn() + Send + Sync>,
    chats: u64,
    in_flight: usize,
    room: Vec<u8>,
}

impl App {
    fn new(listening: Listening) -> Result<Self, ServeError> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        epoll.add(&listening.listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        epoll.add(listening.shared.waker.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, WAKER))?;
        let (pieces_sender, pieces) = channel();
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
            pieces,
            pieces_sender,
            chats: 0,
            in_flight: 0,
            room: vec![0; 256 * 1024],
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
            for (id, flags) in ready {
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
            self.take_pieces();
            self.write_due();
            self.close_idle();
        }
        Ok(())
    }

    fn accept(&mut self) {
        while let Ok((tcp, _)) = self.listening.listener.accept() {
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
            let connection = Connection {
                stream,
                input: Vec::new(),
                output: VecDeque::new(),
                pieces: VecDeque::new(),
                generation: 0,
                carried: 0,
                answering: None,
                keep_alive: true,
                continued: false,
                last_used_ns: now_ns(),
                writable_wanted: false,
            };
            self.connections.insert(id, connection);
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
            match connection.stream.read(&mut self.room) {
                Ok(0) => return self.drop_connection(id),
                Ok(count) => connection.input.extend_from_slice(&self.room[..count]),
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
                    return self.drop_connection(id);
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

    fn route(&mut self, id: u64, request: &Received) {
        let backend = &self.listening.backend;
        if let Some(key) = backend.api_key()
            && request.path.starts_with("/v1")
            && request.header("authorization") != Some(format!("Bearer {key}").as_str())
        {
            return self.json(id, 401, &json!({"error": "Unauthorized"}));
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/v1/chat/completions") => self.chat(id, request),
            ("GET", "/v1/models") => {
                let entry = |name: String| json!({"id": name, "object": "model", "created": unix_s(), "owned_by": "vlm-server", "root": name, "parent": null, "max_model_len": null, "permission": []});
                let data: Vec<_> = backend.models().into_iter().map(entry).collect();
                self.json(id, 200, &json!({"object": "list", "data": data}));
            }
            ("GET", "/version") => {
                let version = backend.version();
                self.json(id, 200, &json!({"version": version}));
            }
            ("GET" | "POST", "/ping") | ("GET", "/health") => self.whole(id, 200, "text/plain", b""),
            ("GET", "/metrics") => {
                let text = self.metrics();
                self.whole(id, 200, "text/plain; version=0.0.4; charset=utf-8", text.as_bytes());
            }
            ("GET", "/records") => {
                let records = serde_json::to_value(&*locked(&self.listening.shared.records)).unwrap_or_default();
                self.json(id, 200, &records);
            }
            ("POST", "/tokenize") => self.tokenize(id, request),
            ("POST", "/start_profile" | "/stop_profile") => self.whole(id, 200, "text/plain", b""),
            (
                _,
                "/v1/chat/completions" | "/v1/models" | "/version" | "/health" | "/metrics" | "/tokenize" | "/records",
            ) => {
                self.refuse(id, &ApiError::detail(405, "Method Not Allowed"));
            }
            _ => self.refuse(id, &ApiError::detail(404, "Not Found")),
        }
    }

    fn tokenize(&mut self, id: u64, request: &Received) {
        let value: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let tokens = value["prompt"].as_str().and_then(|text| self.listening.backend.tokenize(text));
        match tokens {
            Some(tokens) => {
                self.json(id, 200, &json!({"count": tokens.len(), "max_model_len": null, "tokens": tokens}))
            }
            None => self.refuse(id, &ApiError::detail(404, "Not Found")),
        }
    }

    fn metrics(&self) -> String {
        format!(
            "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running {}\n# TYPE vllm:request_success_total counter\nvllm:request_success_total {}\n",
            self.in_flight,
            self.chats - self.in_flight as u64
        )
    }

    fn chat(&mut self, id: u64, request: &Received) {
        let read_ns = now_ns();
        let valid = match validate(&request.body, &self.listening.backend.models()) {
            Ok(valid) => valid,
            Err(error) => return self.refuse(id, &error),
        };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        self.in_flight += 1;
        let number = self.chats;
        self.chats += 1;
        let record = Record {
            number,
            request_id: request.header("x-request-id").map(str::to_owned),
            connection: id - CONNECTION_FIRST,
            reused: connection.carried,
            read_ns,
            body_bytes: request.body.len(),
            body: if self.listening.keep_bodies { request.body.as_slice().into() } else { Arc::from([]) },
            headers: request.headers.clone(),
            in_flight: self.in_flight,
            writes: Vec::new(),
            ended_ns: None,
        };
        connection.carried += 1;
        connection.answering = Some(number as usize);
        let sink = ReplySink {
            connection: id,
            generation: connection.generation,
            pieces: self.pieces_sender.clone(),
            wake: Arc::clone(&self.wake),
        };
        locked(&self.listening.shared.records).push(record);
        let arrival = Arrival { number, read_ns, in_flight: self.in_flight };
        if let Err(error) = self.listening.backend.submit(&valid, arrival, sink) {
            self.refuse(id, &error);
            self.end_reply(id);
        }
    }

    fn refuse(&mut self, id: u64, error: &ApiError) {
        self.json(id, error.status, &error.body);
    }

    fn json(&mut self, id: u64, status: u16, body: &serde_json::Value) {
        self.whole(id, status, "application/json", body.to_string().as_bytes());
    }

    fn whole(&mut self, id: u64, status: u16, content_type: &str, body: &[u8]) {
        let keep_alive = self.connections.get(&id).is_some_and(|connection| connection.keep_alive);
        self.send(id, &http::whole(status, content_type, &[], body, keep_alive));
        if !keep_alive {
            self.drop_connection(id);
        }
    }

    /// Pieces from the backend, into the queues of their connections.
    fn take_pieces(&mut self) {
        while let Ok(piece) = self.pieces.try_recv() {
            let Some(connection) = self.connections.get_mut(&piece.connection) else { continue };
            if connection.generation != piece.generation {
                continue;
            }
            if connection.pieces.is_empty() {
                self.due.push(Reverse((piece.due_ns, piece.connection)));
            }
            connection.pieces.push_back((piece.due_ns, piece.output));
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
        let Some((_, output)) = connection.pieces.pop_front() else { return };
        if let Some((due_ns, _)) = connection.pieces.front() {
            self.due.push(Reverse((*due_ns, id)));
        }
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
            }
            Output::End => {
                let keep_alive = connection.keep_alive;
                self.end_reply(id);
                if keep_alive { self.requests(id) } else { self.drop_connection(id) }
            }
            Output::Close => {
                self.end_reply(id);
                self.drop_connection(id);
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
    }

    fn flush(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        while !connection.output.is_empty() {
            let (front, _) = connection.output.as_slices();
            match connection.stream.write(front) {
                Ok(count) => drop(connection.output.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.drop_connection(id),
            }
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
