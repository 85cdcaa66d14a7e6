//! Opening connections: TCP, a proxy's tunnel, TLS, HTTP. All of it before any clock of a request starts.

use super::body::PartsBody;
use super::stamped::{StampedIo, Stamps};
use super::target::{Proxy, Target};
use hyper::client::conn::http1;
use hyper::rt::ReadBufCursor;
use rustls_pki_types::ServerName;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The host's name has no address.
    #[error("{host} cannot be resolved: {why}")]
    Resolve {
        /// The host.
        host: String,
        /// The system's words.
        why: String,
    },
    /// Nothing answers there.
    #[error("no connection to {address}: {why}")]
    Refused {
        /// Address and port.
        address: String,
        /// The system's words.
        why: String,
    },
    /// It took too long.
    #[error("no connection to {address} within {seconds} s")]
    Timeout {
        /// Address and port.
        address: String,
        /// The limit.
        seconds: u64,
    },
    /// The proxy refused the tunnel.
    #[error("the proxy {proxy} opened no tunnel: {why}")]
    Tunnel {
        /// The proxy.
        proxy: String,
        /// Its status line, or what is wrong.
        why: String,
    },
    /// The TLS handshake failed.
    #[error("TLS with {host}: {why}")]
    Tls {
        /// The host.
        host: String,
        /// What is wrong.
        why: String,
    },
    /// Out of file descriptors.
    #[error("too many open files: this process may hold no more connections; raise the limit (ulimit -n)")]
    TooManyFiles,
    /// Out of local ports.
    #[error("no local port is left for {address}: some 28,000 connections to one address are the system's limit")]
    NoPorts {
        /// Address and port.
        address: String,
    },
}

/// Opens connections to one server, on one thread.
pub struct Connector {
    target: Target,
    tls: Option<Arc<ClientConfig>>,
    timeout: Duration,
    wall_minus_monotonic_ns: i64,
    /// The addresses of the server (or of its proxy), the one that worked first.
    addresses: RefCell<Vec<SocketAddr>>,
    opened: Cell<u32>,
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
    /// A connector; `tls` is needed for https.
    #[must_use]
    pub fn new(target: Target, tls: Option<Arc<ClientConfig>>, timeout: Duration) -> Self {
        Self {
            target,
            tls,
            timeout,
            wall_minus_monotonic_ns: stamp::wall_minus_monotonic_ns(),
            addresses: RefCell::default(),
            opened: Cell::new(0),
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
        let late = || ConnectError::Timeout { address: self.address_name(), seconds: self.timeout.as_secs() };
        let (stream, stamps) = tokio::time::timeout(self.timeout, self.stream()).await.map_err(|_| late())??;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(1 << 20);
        let (sender, connection) = builder
            .handshake(HyperIo::new(stream))
            .await
            .map_err(|error| ConnectError::Refused { address: self.address_name(), why: error.to_string() })?;
        // The task ends with the connection; what went wrong on it reaches the request that was on it.
        tokio::task::spawn_local(async move {
            let _ = connection.await;
        });
        let id = self.opened.get();
        self.opened.set(id + 1);
        let now = stamp::now_ns();
        Ok(Conn { sender, stamps, id, carried: 0, connect_ns: now - start, idle_since_ns: now })
    }

    fn address_name(&self) -> String {
        self.target.proxy().map_or_else(
            || format!("{}:{}", self.target.host(), self.target.port()),
            |proxy| format!("{}:{}", proxy.host, proxy.port),
        )
    }

    async fn stream(&self) -> Result<(Stream, Rc<Stamps>), ConnectError> {
        let tcp = self.tcp().await?;
        // Without this the last part of a large body waits for an acknowledgement. A refusal costs time, not truth.
        let _ = tcp.set_nodelay(true);
        let (mut io, stamps) = StampedIo::new(tcp, self.wall_minus_monotonic_ns);
        if !self.target.is_tls() {
            return Ok((Stream::Plain(io), stamps));
        }
        if let Some(proxy) = self.target.proxy() {
            tunnel(&mut io, proxy, &self.target).await?;
        }
        let host = self.target.host();
        let refuse = |why: String| ConnectError::Tls { host: host.clone(), why };
        let config = self.tls.clone().ok_or_else(|| refuse("it was not set up".into()))?;
        let name = ServerName::try_from(host.clone()).map_err(|error| refuse(error.to_string()))?;
        let connector = tokio_rustls::TlsConnector::from(config);
        let stream = connector.connect(name, io).await.map_err(|error| refuse(error.to_string()))?;
        Ok((Stream::Tls(Box::new(stream)), stamps))
    }

    /// Tries every address of the host, the one that worked last first.
    async fn tcp(&self) -> Result<TcpStream, ConnectError> {
        let known = self.addresses.borrow().clone();
        let addresses = if known.is_empty() { self.resolve().await? } else { known };
        let mut last = None;
        for address in &addresses {
            match TcpStream::connect(address).await {
                Ok(tcp) => {
                    let mut order = vec![*address];
                    order.extend(addresses.iter().filter(|other| *other != address));
                    self.addresses.replace(order);
                    return Ok(tcp);
                }
                Err(error) => last = Some(connect_error(&error, &address.to_string())),
            }
        }
        Err(last.unwrap_or_else(|| ConnectError::Resolve { host: self.target.host(), why: "no address".into() }))
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, ConnectError> {
        let (host, port) = match self.target.proxy() {
            Some(proxy) => (proxy.host.clone(), proxy.port),
            None => (self.target.host(), self.target.port()),
        };
        let found = tokio::net::lookup_host((host.as_str(), port)).await.map(Iterator::collect);
        found.map_err(|error| ConnectError::Resolve { host, why: error.to_string() })
    }
}

fn connect_error(error: &io::Error, address: &str) -> ConnectError {
    use nix::errno::Errno;
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EMFILE | Errno::ENFILE) => ConnectError::TooManyFiles,
        Some(Errno::EADDRNOTAVAIL) => ConnectError::NoPorts { address: address.to_owned() },
        _ => ConnectError::Refused { address: address.to_owned(), why: error.to_string() },
    }
}

/// `CONNECT host:port` through a proxy (RFC 9110, section 9.3.6).
async fn tunnel(io: &mut StampedIo, proxy: &Proxy, target: &Target) -> Result<(), ConnectError> {
    const HEAD_BYTES_MAX: usize = 16 * 1024;
    let name = format!("{}:{}", proxy.host, proxy.port);
    let refuse = |why: String| ConnectError::Tunnel { proxy: name.clone(), why };
    let host = if target.host().contains(':') { format!("[{}]", target.host()) } else { target.host() };
    let authority = format!("{host}:{}", target.port());
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

/// Plain or encrypted.
enum Stream {
    Plain(StampedIo),
    Tls(Box<TlsStream<StampedIo>>),
}

/// What hyper reads from and writes to. Reads go through one buffer of the thread, so that fresh memory need not be
/// cleared for every read.
struct HyperIo {
    stream: Stream,
}

thread_local! {
    static READ_ROOM: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 * 1024]);
}

impl HyperIo {
    fn new(stream: Stream) -> Self {
        Self { stream }
    }

    fn writer(self: Pin<&mut Self>) -> Pin<&mut dyn AsyncWrite> {
        match &mut self.get_mut().stream {
            Stream::Plain(io) => {
                let io: Pin<&mut StampedIo> = Pin::new(io);
                io
            }
            Stream::Tls(io) => {
                let io: Pin<&mut TlsStream<StampedIo>> = Pin::new(io.as_mut());
                io
            }
        }
    }
}

impl hyper::rt::Read for HyperIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut out: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        READ_ROOM.with_borrow_mut(|room| {
            let most = out.remaining().min(room.len());
            let mut buf = ReadBuf::new(&mut room[..most]);
            ready!(match &mut me.stream {
                Stream::Plain(io) => Pin::new(io).poll_read(cx, &mut buf),
                Stream::Tls(io) => Pin::new(io.as_mut()).poll_read(cx, &mut buf),
            })?;
            out.put_slice(buf.filled());
            Poll::Ready(Ok(()))
        })
    }
}

impl hyper::rt::Write for HyperIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writer().poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer().poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(io) => io.is_write_vectored(),
            Stream::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writer().poll_write_vectored(cx, parts)
    }
}
