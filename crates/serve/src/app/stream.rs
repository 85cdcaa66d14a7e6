//! The bytes of a connection, plain or encrypted. Must not know what they mean.

use stamp::StampedRead;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use tokio_rustls::rustls::{ServerConnection, StreamOwned};

/// Plain or encrypted.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, StampedTcp>>),
}

/// The socket beneath TLS: what the kernel says of its latest read is kept for the plaintext that comes of it.
pub(super) struct StampedTcp {
    tcp: TcpStream,
    control: Vec<u8>,
    wall_ns: Option<u64>,
}

impl StampedTcp {
    pub(super) fn new(tcp: TcpStream) -> Self {
        let control = if stamp::request_stamps(&tcp) { stamp::control_room() } else { Vec::new() };
        Self { tcp, control, wall_ns: None }
    }
}

impl Read for StampedTcp {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.control.is_empty() {
            return self.tcp.read(room);
        }
        let read = stamp::stamped_read(&self.tcp, room, &mut self.control)?;
        self.wall_ns = read.wall_ns;
        Ok(read.bytes)
    }
}

impl Write for StampedTcp {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

impl Stream {
    /// Whether TLS still holds bytes that the socket would not take.
    pub(super) fn holds_back(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.conn.wants_write())
    }

    /// Whether the two sides have not agreed on keys yet.
    pub(super) fn is_handshaking(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.conn.is_handshaking())
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
        let bytes = match self {
            Self::Plain(tcp) if !control.is_empty() => return stamp::stamped_read(tcp, room, control),
            Self::Plain(tcp) => tcp.read(room)?,
            Self::Tls(stream) => {
                let bytes = stream.read(room)?;
                return Ok(StampedRead { bytes, wall_ns: stream.sock.wall_ns });
            }
        };
        Ok(StampedRead { bytes, wall_ns: None })
    }

    /// Writes some of these bytes, which must not be none.
    pub(super) fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = match self {
            Self::Plain(tcp) => tcp.write(bytes)?,
            Self::Tls(stream) => {
                let count = stream.write(bytes)?;
                match stream.flush() {
                    // What TLS holds back goes out with the next readiness.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock && count > 0 => {}
                    other => other?,
                }
                count
            }
        };
        if count == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(count) }
    }

    /// Writes what TLS holds back.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(stream) => stream.flush(),
        }
    }

    /// Tells the peer that nothing more comes; with `half`, what it sends can still be read.
    pub(super) fn say_end(&mut self, half: bool) {
        // A peer that cannot be told is gone, which the next read says.
        if let Self::Tls(stream) = self {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
        if half {
            let _ = self.tcp().shutdown(Shutdown::Write);
        }
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(stream) => &stream.sock.tcp,
        }
    }
}
