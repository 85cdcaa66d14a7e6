//! New connections. Without a free descriptor the listener rests: the waiting connection would wake the loop for ever.

use super::connection::Connection;
use super::memory::Share;
use super::stream::{StampedTcp, Stream};
use super::{App, LISTENER};
use nix::sys::epoll::{EpollEvent, EpollFlags};
use stamp::now_ns;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use tokio_rustls::rustls::{ServerConnection, StreamOwned};

/// How many connections are taken in one turn.
const ACCEPT_AT_ONCE: usize = 64;
/// How long the listener rests, ns, unless a connection goes before.
const REST_NS: u64 = 100_000_000;

impl App {
    /// Takes connections that wait.
    pub(super) fn accept(&mut self) {
        for _ in 0..ACCEPT_AT_ONCE {
            match self.listening.listener.accept() {
                Ok((tcp, _)) => self.welcome(tcp),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => {
                }
                Err(_) => {
                    self.accept_again_ns = Some(now_ns().saturating_add(REST_NS));
                    return self.listen(false);
                }
            }
        }
    }

    /// Ends the listener's rest when its time has come. Called once before each wait, so that a rest is at least one wait.
    pub(super) fn accept_again(&mut self) {
        if !self.is_draining && self.accept_again_ns.is_some_and(|at_ns| at_ns <= now_ns()) {
            self.accept_again_ns = None;
            self.listen(true);
        }
    }

    /// A descriptor has become free.
    pub(super) fn room_to_accept(&mut self) {
        if !self.is_draining && self.accept_again_ns.is_some() {
            self.accept_again_ns = Some(0);
        }
    }

    fn listen(&mut self, wanted: bool) {
        let flags = if wanted { EpollFlags::EPOLLIN } else { EpollFlags::empty() };
        // The listener is registered as long as the loop runs.
        let _ = self.epoll.modify(&self.listening.listener, &mut EpollEvent::new(flags, LISTENER));
    }

    fn welcome(&mut self, tcp: TcpStream) {
        if tcp.set_nonblocking(true).is_err() || tcp.set_nodelay(true).is_err() {
            return;
        }
        let stream = match &self.listening.tls {
            None => Stream::Plain(tcp),
            Some(config) => match ServerConnection::new(Arc::clone(config)) {
                Ok(tls) => Stream::Tls(Box::new(StreamOwned::new(tls, StampedTcp::new(tcp)))),
                Err(_) => return,
            },
        };
        let id = self.next_connection;
        let shares = (Share::of(&self.held_bytes, 0), Share::of(&self.unread_bytes, 0));
        let mut connection = Connection::new(stream, self.sizes(), shares.0, shares.1);
        connection.interest = connection.wanted_interest();
        if self.epoll.add(connection.stream.tcp(), EpollEvent::new(connection.interest, id)).is_ok() {
            self.next_connection += 1;
            self.connections.insert(id, connection);
            self.settle(id);
        }
    }
}
