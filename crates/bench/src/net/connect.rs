//! Opening connections: TCP, a proxy's tunnel, TLS, HTTP. All of it before any clock of a request starts.

use super::body::PartsBody;
use super::connect_error::{ConnectError, Peer, Step};
use super::io::{HyperIo, Stream};
use super::stamped::{StampedIo, Stamps};
use super::target::{Proxy, Target};
use hyper::client::conn::http1;
use rustls_pki_types::ServerName;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::rustls::ClientConfig;

/// Opens connections to one server, on one thread.
pub struct Connector {
    target: Target,
    tls: Option<Arc<ClientConfig>>,
    timeout: Duration,
    wall_minus_monotonic_ns: i64,
    /// The addresses of the server (or of its proxy), the one that worked first.
    addresses: RefCell<Vec<SocketAddr>>,
    /// Connections opened so far, by this connector and those before it in the run.
    opened: Arc<AtomicU32>,
}

/// One open HTTP/1.1 connection.
pub struct Conn {
    /// Sends requests on it.
    pub sender: http1::SendRequest<PartsBody>,
    /// Its times.
    pub stamps: Rc<Stamps>,
    /// Number within the run.
    pub id: u32,
    /// Requests carried so far.
    pub carried: u32,
    /// What opening it took.
    pub connect_ns: u64,
    /// When it was opened or last used.
    pub idle_since_ns: u64,
}

impl Connector {
    /// A connector; `tls` is needed for https. Its connections are numbered on from `opened`.
    #[must_use]
    pub fn new(target: Target, tls: Option<Arc<ClientConfig>>, timeout: Duration, opened: Arc<AtomicU32>) -> Self {
        Self {
            target,
            tls,
            timeout,
            wall_minus_monotonic_ns: stamp::wall_minus_monotonic_ns(),
            addresses: RefCell::default(),
            opened,
        }
    }

    /// The server.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Opens a connection. Its task runs on the current `LocalSet`.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn open(&self) -> Result<Conn, ConnectError> {
        let start = stamp::now_ns();
        let step = Cell::new(Step::Tcp);
        let (stream, stamps) = match tokio::time::timeout(self.timeout, self.stream(&step)).await {
            Ok(stream) => stream?,
            Err(_) => return Err(self.late(step.get())),
        };
        let mut builder = http1::Builder::new();
        builder.max_buf_size(1 << 20);
        let (sender, connection) = builder.handshake(HyperIo::new(stream)).await.map_err(|error| {
            ConnectError::Refused { peer: self.peer(), kind: io::ErrorKind::Other, why: error.to_string() }
        })?;
        // The task ends with the connection; what went wrong on it reaches the request that was on it.
        tokio::task::spawn_local(async move {
            let _ = connection.await;
        });
        let id = self.opened.fetch_add(1, Ordering::Relaxed);
        let now = stamp::now_ns();
        Ok(Conn { sender, stamps, id, carried: 0, connect_ns: now - start, idle_since_ns: now })
    }

    /// Who is at the other end of the first hop, by name.
    fn peer(&self) -> Peer {
        match self.target.proxy() {
            Some(proxy) => Peer::Proxy(proxy.name()),
            None => Peer::Server(self.target.host_and_port()),
        }
    }

    /// The same, by the address that was tried.
    fn peer_at(&self, address: SocketAddr) -> Peer {
        match self.target.proxy() {
            Some(_) => Peer::Proxy(address.to_string()),
            None => Peer::Server(address.to_string()),
        }
    }

    fn late(&self, step: Step) -> ConnectError {
        let peer = match step {
            Step::Tls => Peer::Server(self.target.host_and_port()),
            Step::Tcp | Step::Tunnel => self.peer(),
        };
        ConnectError::Timeout { peer, step, limit: self.timeout }
    }

    async fn stream(&self, step: &Cell<Step>) -> Result<(Stream, Rc<Stamps>), ConnectError> {
        let tcp = self.tcp(Instant::now() + self.timeout).await?;
        // Without this the last part of a large body waits for an acknowledgement. A refusal costs time, not truth.
        let _ = tcp.set_nodelay(true);
        let (mut io, stamps) = StampedIo::new(tcp, self.wall_minus_monotonic_ns);
        if !self.target.is_tls() {
            return Ok((Stream::Plain(io), stamps));
        }
        if let Some(proxy) = self.target.proxy() {
            step.set(Step::Tunnel);
            tunnel(&mut io, proxy, &self.target).await?;
        }
        step.set(Step::Tls);
        let host = self.target.host();
        let refuse = |why: String| ConnectError::Tls { host: host.clone(), why };
        let config = self.tls.clone().ok_or_else(|| refuse("it was not set up".into()))?;
        let name = ServerName::try_from(host.clone()).map_err(|error| refuse(error.to_string()))?;
        let connector = tokio_rustls::TlsConnector::from(config);
        let stream = connector.connect(name, io).await.map_err(|error| refuse(error.to_string()))?;
        Ok((Stream::Tls(Box::new(stream)), stamps))
    }

    /// Tries every address of the host, the one that worked last first. Each gets its share of the time left, so that
    /// one which swallows packets leaves some for the next; the last has all of it, and the caller's limit ends it.
    async fn tcp(&self, deadline: Instant) -> Result<TcpStream, ConnectError> {
        let known = self.addresses.borrow().clone();
        let addresses = if known.is_empty() { self.resolve().await? } else { known };
        let mut last = None;
        for (tried, address) in addresses.iter().enumerate() {
            let connecting = TcpStream::connect(address);
            let to_go = addresses.len() - tried;
            let result = if to_go == 1 {
                connecting.await
            } else {
                let share = deadline.saturating_duration_since(Instant::now()) / u32::try_from(to_go).unwrap_or(1);
                match tokio::time::timeout(share, connecting).await {
                    Ok(result) => result,
                    Err(_) => {
                        let peer = self.peer_at(*address);
                        last = Some(ConnectError::Timeout { peer, step: Step::Tcp, limit: share });
                        continue;
                    }
                }
            };
            match result {
                Ok(tcp) => {
                    let mut order = vec![*address];
                    order.extend(addresses.iter().filter(|other| *other != address));
                    self.addresses.replace(order);
                    return Ok(tcp);
                }
                Err(error) => last = Some(ConnectError::of(&error, self.peer_at(*address))),
            }
        }
        Err(last.unwrap_or_else(|| ConnectError::Resolve { peer: self.peer(), why: "it has no address".into() }))
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, ConnectError> {
        let (host, port) = match self.target.proxy() {
            Some(proxy) => (proxy.host.clone(), proxy.port),
            None => (self.target.host(), self.target.port()),
        };
        let found = tokio::net::lookup_host((host.as_str(), port)).await.map(Iterator::collect);
        found.map_err(|error| ConnectError::Resolve { peer: self.peer(), why: error.to_string() })
    }
}

/// `CONNECT host:port` through a proxy (RFC 9110, section 9.3.6).
async fn tunnel(io: &mut StampedIo, proxy: &Proxy, target: &Target) -> Result<(), ConnectError> {
    const HEAD_BYTES_MAX: usize = 16 * 1024;
    let refuse = |why: String| ConnectError::Tunnel { proxy: proxy.name(), why };
    let authority = target.host_and_port();
    let mut head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    if let Some(authorization) = &proxy.authorization {
        head.extend_from_slice(b"Proxy-Authorization: ");
        head.extend_from_slice(authorization.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    io.write_all(&head).await.map_err(|error| refuse(error.to_string()))?;
    let mut reply = Vec::new();
    while !reply.ends_with(b"\r\n\r\n") {
        // Byte by byte: what follows the head already belongs to TLS.
        let byte = io.read_u8().await.map_err(|error| refuse(error.to_string()))?;
        reply.push(byte);
        if reply.len() > HEAD_BYTES_MAX {
            return Err(refuse("its reply has no end".into()));
        }
    }
    let text = String::from_utf8_lossy(&reply);
    let status = text.lines().next().unwrap_or_default().to_owned();
    let code = status.split(' ').nth(1).unwrap_or_default();
    if code.starts_with('2') { Ok(()) } else { Err(refuse(status)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, socket};
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;

    /// A port of loopback whose queue of connections is full: it swallows every further SYN. It does so as long as what
    /// comes with the address lives.
    fn black_hole() -> (SocketAddr, impl Sized) {
        let listener = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(listener.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
        listen(&listener, Backlog::new(0).unwrap()).unwrap();
        let at = getsockname::<SockaddrIn>(listener.as_raw_fd()).unwrap();
        let address = SocketAddr::from((at.ip(), at.port()));
        let mut queued = Vec::new();
        while let Ok(tcp) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            queued.push(tcp);
        }
        (address, (listener, queued))
    }

    fn connector(limit: Duration) -> Connector {
        let target = Target::parse("http://server.invalid:8000").unwrap();
        Connector::new(target, None, limit, Arc::default())
    }

    fn on_a_thread<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, work)
    }

    #[test]
    fn an_address_that_swallows_packets_leaves_time_for_the_next() {
        let (hole, _held) = black_hole();
        let good = TcpListener::bind("127.0.0.1:0").unwrap();
        let connector = connector(Duration::from_secs(2));
        connector.addresses.replace(vec![hole, good.local_addr().unwrap()]);
        let conn = on_a_thread(connector.open()).unwrap();
        // Half of two seconds went to the first.
        assert!((1_000_000_000..2_000_000_000).contains(&conn.connect_ns), "{}", conn.connect_ns);
        // The next connection begins with the address that worked.
        assert_eq!(connector.addresses.borrow()[0], good.local_addr().unwrap());
    }

    #[test]
    fn the_last_address_has_the_whole_limit() {
        let (hole, _held) = black_hole();
        let connector = connector(Duration::from_millis(200));
        connector.addresses.replace(vec![hole]);
        let error = on_a_thread(connector.open()).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "no connection to server.invalid:8000 within 0.2 s (--connect-timeout)");
    }

    #[test]
    fn numbers_of_connections_go_on_in_the_next_connector() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::parse(&format!("http://{}", server.local_addr().unwrap())).unwrap();
        let opened = Arc::default();
        let ids: Vec<u32> = (0..2)
            .map(|_| {
                let connector = Connector::new(target.clone(), None, Duration::from_secs(30), Arc::clone(&opened));
                on_a_thread(connector.open()).unwrap().id
            })
            .collect();
        assert_eq!(ids, [0, 1]);
    }

    #[test]
    fn a_server_that_takes_a_connection_and_no_handshake_is_named() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::parse(&format!("https://{}", silent.local_addr().unwrap())).unwrap();
        let tls = super::super::client_config(&super::super::TlsOptions { cacert: None, insecure: true }).unwrap();
        let connector = Connector::new(target, Some(tls), Duration::from_millis(100), Arc::default());
        let error = on_a_thread(connector.open()).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("no TLS handshake within 0.1 s"), "{error}");
    }
}
