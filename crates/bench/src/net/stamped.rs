//! A TCP stream that notes when bytes left and when they came: our own clock right after the call, and the kernel's
//! receive time where it gives one (`SO_TIMESTAMPNS`, Linux).

use super::unsent::Unsent;
use stamp::StampedRead;
use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// The times of one connection, shared between the IO and whoever reads the frames. All ns on the monotonic clock.
#[derive(Debug, Default)]
pub struct Stamps {
    /// Set before a request: the next write is its first.
    armed: Cell<bool>,
    first_write_ns: Cell<Option<u64>>,
    last_write_ns: Cell<Option<u64>>,
    /// What the first write took, from the clock before it to the clock after it, and the latest.
    first_took_ns: Cell<Option<u64>>,
    last_took_ns: Cell<Option<u64>>,
    read_user_ns: Cell<u64>,
    read_kernel_ns: Cell<Option<u64>>,
    wall_minus_monotonic_ns: Cell<i64>,
}

impl Stamps {
    /// The next write is the first of a request.
    pub fn arm(&self) {
        self.armed.set(true);
        self.first_write_ns.set(None);
        self.last_write_ns.set(None);
        self.first_took_ns.set(None);
        self.last_took_ns.set(None);
    }

    /// Just before the first write since [`Stamps::arm`].
    #[must_use]
    pub fn first_write_ns(&self) -> Option<u64> {
        self.first_write_ns.get()
    }

    /// When the latest bytes since [`Stamps::arm`] had left: after their write, or once the kernel had sent what it held.
    #[must_use]
    pub fn last_write_ns(&self) -> Option<u64> {
        self.last_write_ns.get()
    }

    /// The longer of the first and the latest write since [`Stamps::arm`].
    #[must_use]
    pub fn write_ns_max(&self) -> Option<u64> {
        self.first_took_ns.get().max(self.last_took_ns.get())
    }

    /// The latest read: our time after it, and the kernel's time of its last segment.
    #[must_use]
    pub fn last_read(&self) -> (u64, Option<u64>) {
        (self.read_user_ns.get(), self.read_kernel_ns.get())
    }
}

/// The stream.
#[derive(Debug)]
pub struct StampedIo {
    tcp: TcpStream,
    stamps: Rc<Stamps>,
    /// Room for the kernel's control message; empty where it gives none.
    control: Vec<u8>,
    unsent: Unsent,
}

impl StampedIo {
    /// Takes over a connected stream. `wall_minus_monotonic_ns` converts the kernel's wall-clock stamps.
    pub fn new(tcp: TcpStream, wall_minus_monotonic_ns: i64) -> (Self, Rc<Stamps>) {
        let stamps = Rc::new(Stamps::default());
        stamps.wall_minus_monotonic_ns.set(wall_minus_monotonic_ns);
        let control = if stamp::request_stamps(&tcp) { stamp::control_room() } else { Vec::new() };
        let unsent = Unsent::of(&tcp);
        (Self { tcp, stamps: Rc::clone(&stamps), control, unsent }, stamps)
    }

    /// One read into `room`, stamped.
    fn try_read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let (tcp, control) = (&self.tcp, &mut self.control);
        let read = if control.is_empty() {
            StampedRead { bytes: tcp.try_read(room)?, wall_ns: None }
        } else {
            tcp.try_io(Interest::READABLE, || stamp::stamped_read(tcp, room, control))?
        };
        self.stamps.read_user_ns.set(stamp::now_ns());
        let offset = self.stamps.wall_minus_monotonic_ns.get();
        self.stamps.read_kernel_ns.set(read.wall_ns.and_then(|wall| wall.checked_add_signed(offset.wrapping_neg())));
        if (1..room.len()).contains(&read.bytes) {
            // The socket is empty (epoll(7), edge-triggered): a read that would only say so is saved. What closes the stream
            // stays noted.
            let empty = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
            let _ = self.tcp.try_io(Interest::READABLE, empty);
        }
        Ok(read.bytes)
    }

    /// The clock before a write.
    fn before_write(&mut self) -> u64 {
        let now_ns = stamp::now_ns();
        if self.stamps.armed.replace(false) {
            self.stamps.first_write_ns.set(Some(now_ns));
            self.unsent.begin();
        }
        now_ns
    }

    fn after_write(&mut self, before_ns: u64, result: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = result {
            self.unsent.wrote(*bytes);
            let (now_ns, stamps) = (stamp::now_ns(), &self.stamps);
            let took_ns = Some(now_ns - before_ns);
            if stamps.first_took_ns.get().is_none() {
                stamps.first_took_ns.set(took_ns);
            }
            stamps.last_took_ns.set(took_ns);
            stamps.last_write_ns.set(Some(now_ns));
        }
    }
}

impl AsyncRead for StampedIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        loop {
            ready!(me.tcp.poll_read_ready(cx))?;
            match me.try_read(buf.initialize_unfilled()) {
                Ok(count) => {
                    buf.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for StampedIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let me = self.get_mut();
        let before_ns = me.before_write();
        let result = Pin::new(&mut me.tcp).poll_write(cx, bytes);
        me.after_write(before_ns, &result);
        result
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let me = self.get_mut();
        let before_ns = me.before_write();
        let result = Pin::new(&mut me.tcp).poll_write_vectored(cx, parts);
        me.after_write(before_ns, &result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        if ready!(me.unsent.poll_sent(&me.tcp, cx)) {
            me.stamps.last_write_ns.set(Some(stamp::now_ns()));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}

/// Whether this kernel stamps what it receives. The socket returned holds the stamping on from now: the kernel starts
/// it some time after the first socket asks, and stops it with the last.
#[must_use]
pub fn kernel_stamps_work() -> (bool, Option<std::net::UdpSocket>) {
    match std::net::UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, 0)) {
        Ok(socket) if stamp::request_stamps(&socket) => (true, Some(socket)),
        _ => (false, None),
    }
}
