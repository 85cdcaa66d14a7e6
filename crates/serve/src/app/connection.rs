//! One connection: its stream, plain or encrypted, and what is under way on it.

use super::observed::now_ns;
use crate::backend::{Output, Pieces};
use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt};
use nix::sys::time::TimeSpec;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use tokio_rustls::rustls::{ServerConnection, StreamOwned};

/// Plain or encrypted.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Stream {
    /// Whether TLS still holds bytes that the socket would not take.
    pub(super) fn holds_back(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.conn.wants_write())
    }

    /// Asks the kernel to stamp what it receives, on a plain stream.
    pub(super) fn ask_for_stamps(&self) -> Vec<u8> {
        match self {
            Self::Plain(tcp) if setsockopt(tcp, ReceiveTimestampns, &true).is_ok() => nix::cmsg_space!(TimeSpec),
            _ => Vec::new(),
        }
    }

    /// Reads, and tells when the kernel had the last of it, wall clock, where it does.
    pub(super) fn read_stamped(&mut self, room: &mut [u8], control: &mut [u8]) -> io::Result<(usize, Option<u64>)> {
        let tcp = match self {
            Self::Plain(tcp) if !control.is_empty() => tcp,
            other => return Ok((other.read(room)?, None)),
        };
        let mut parts = [io::IoSliceMut::new(room)];
        let message = recvmsg::<()>(tcp.as_raw_fd(), &mut parts, Some(control), MsgFlags::MSG_DONTWAIT)?;
        let time = message.cmsgs().ok().and_then(|mut controls| {
            controls.find_map(|control| match control {
                ControlMessageOwned::ScmTimestampns(time) => Some(time),
                _ => None,
            })
        });
        let ns = time.and_then(|time| {
            Some(u64::try_from(time.tv_sec()).ok()? * 1_000_000_000 + u64::try_from(time.tv_nsec()).ok()?)
        });
        Ok((message.bytes, ns))
    }

    pub(super) fn tcp(&self) -> &TcpStream {
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

/// One connection and what is under way on it.
pub(super) struct Connection {
    pub(super) stream: Stream,
    pub(super) input: Vec<u8>,
    /// Bytes that the socket would not take yet.
    pub(super) output: VecDeque<u8>,
    /// The rest of the current reply, and its next piece with the time it is due.
    pub(super) pieces: Option<Pieces>,
    pub(super) next_piece: Option<(u64, Output)>,
    /// Rises with every request, so that late pieces of an old reply are known.
    pub(super) generation: u64,
    pub(super) carried: u64,
    /// The request being answered: its place in the records.
    pub(super) answering: Option<usize>,
    pub(super) keep_alive: bool,
    pub(super) continued: bool,
    pub(super) last_used_ns: u64,
    /// When the latest read returned.
    pub(super) read_ns: u64,
    /// When the kernel had the last byte of it; our read where it does not tell.
    pub(super) received_ns: u64,
    /// Room for the kernel's stamp; empty where it gives none.
    pub(super) control: Vec<u8>,
    /// Goes as soon as `output` is empty.
    pub(super) closing: bool,
    pub(super) writable_wanted: bool,
}

impl Connection {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            control: stream.ask_for_stamps(),
            stream,
            input: Vec::new(),
            output: VecDeque::new(),
            pieces: None,
            next_piece: None,
            generation: 0,
            carried: 0,
            answering: None,
            keep_alive: true,
            continued: false,
            last_used_ns: now_ns(),
            read_ns: 0,
            received_ns: 0,
            closing: false,
            writable_wanted: false,
        }
    }
}
