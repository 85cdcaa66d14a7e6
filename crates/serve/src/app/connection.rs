//! One connection: its stream, plain or encrypted, and what is under way on it.

use crate::backend::{Output, Pieces};
use stamp::{StampedRead, now_ns};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
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
            Self::Plain(tcp) if stamp::request_stamps(tcp) => stamp::control_room(),
            _ => Vec::new(),
        }
    }

    /// Reads, and tells when the kernel had the last of it, where it does.
    pub(super) fn read_stamped(&mut self, room: &mut [u8], control: &mut [u8]) -> io::Result<StampedRead> {
        match self {
            Self::Plain(tcp) if !control.is_empty() => stamp::stamped_read(tcp, room, control),
            other => Ok(StampedRead { bytes: other.read(room)?, wall_ns: None }),
        }
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
