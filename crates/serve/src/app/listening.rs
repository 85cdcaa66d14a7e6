//! A server before it serves, and the handle that other threads hold on it.

use super::App;
use super::limits::Limits;
use super::observed::{Keep, Record};
use crate::backend::Backend;
use crate::error::ServeError;
use crate::lock::locked;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, getsockname, listen, setsockopt, socket, sockopt,
};
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio_rustls::rustls::ServerConfig;

/// What the loop and its handles share.
pub(super) struct Shared {
    pub(super) stop: AtomicBool,
    pub(super) drain: AtomicBool,
    pub(super) waker: EventFd,
    pub(super) records: Mutex<Vec<Record>>,
    pub(super) gates: Mutex<Vec<String>>,
}

impl Shared {
    pub(super) fn wake(&self) {
        // A full counter means that the loop is being woken already.
        let _ = self.waker.write(1);
    }
}

/// Stops a running server, opens gates, reads records; from any thread.
#[derive(Clone)]
pub struct StopHandle {
    shared: Arc<Shared>,
}

impl StopHandle {
    /// Ends the loop soon.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.wake();
    }

    /// Takes no connection more, and ends the loop when everything that was asked for is answered.
    pub fn drain(&self) {
        self.shared.drain.store(true, Ordering::SeqCst);
        self.shared.wake();
    }

    /// Opens a gate that replies wait at.
    pub fn open_gate(&self, name: &str) {
        locked(&self.shared.gates).push(name.to_owned());
        self.shared.wake();
    }

    /// What the server has seen so far; empty unless [`Listening::keep`] says otherwise.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        locked(&self.shared.records).clone()
    }
}

/// An address that is taken, and nobody can connect to yet.
pub(crate) struct Bound(OwnedFd);

impl Bound {
    /// Takes an address; port 0 takes a free one.
    ///
    /// # Errors
    /// [`ServeError::Listen`].
    pub(crate) fn to(host: &str, port: u16) -> Result<Self, ServeError> {
        let refuse = |why| ServeError::Listen { address: format!("{host}:{port}"), why };
        let mut why = io::ErrorKind::NotFound.into();
        for address in (host, port).to_socket_addrs().map_err(refuse)? {
            match take(address) {
                Ok(socket) => return Ok(Self(socket)),
                Err(error) => why = error,
            }
        }
        Err(refuse(why))
    }
}

fn take(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(socket)
}

/// A server that listens and has not begun to serve.
pub struct Listening {
    pub(super) listener: TcpListener,
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) backend: Box<dyn Backend>,
    pub(super) shared: Arc<Shared>,
    /// Poll without sleeping while replies are under way: the truest write times, at the price of a core.
    pub spin: bool,
    /// What is kept of the requests. The records grow until the server ends: nothing, unless it is asked for.
    pub keep: Keep,
    /// What a client may take of the server.
    pub limits: Limits,
}

impl Listening {
    /// Binds; port 0 takes a free one.
    ///
    /// # Errors
    /// [`ServeError::Listen`], [`ServeError::System`].
    pub fn bind(
        host: &str,
        port: u16,
        tls: Option<Arc<ServerConfig>>,
        backend: Box<dyn Backend>,
    ) -> Result<Self, ServeError> {
        Self::on(Bound::to(host, port)?, tls, backend)
    }

    /// Listens on an address that was taken before.
    pub(crate) fn on(
        Bound(socket): Bound,
        tls: Option<Arc<ServerConfig>>,
        backend: Box<dyn Backend>,
    ) -> Result<Self, ServeError> {
        // A short backlog resets bursts of connections.
        if let Err(error) = listen(&socket, Backlog::MAXCONN) {
            // Another has listened on the same address in between.
            let address = getsockname::<SockaddrStorage>(socket.as_raw_fd()).map(|address| address.to_string());
            return Err(ServeError::Listen { address: address.unwrap_or_default(), why: error.into() });
        }
        let listener = TcpListener::from(socket);
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            drain: AtomicBool::new(false),
            waker: EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?,
            records: Mutex::default(),
            gates: Mutex::default(),
        });
        let limits = Limits::default();
        Ok(Self { listener, tls, backend, shared, spin: false, keep: Keep::Nothing, limits })
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
