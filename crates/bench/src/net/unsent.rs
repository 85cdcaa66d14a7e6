//! When the last byte of a large body really left. The kernel takes bytes long before it sends them: how far ahead is
//! `TCP_NOTSENT_LOWAT` (tcp(7)), and a socket is writable only below it. It must not know what is sent.

use std::io;
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// What the kernel holds of a body beyond what is on its way.
const AHEAD_BYTES_MAX: u32 = 16 * 1024;

/// What may still wait in this machine's kernel.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    /// Written of this request since the kernel surely had sent everything, bytes.
    bytes: usize,
    /// Writable means that nothing waits.
    is_strict: bool,
}

impl Unsent {
    /// For a new connection. A refusal only makes uploads end earlier than they do.
    pub(super) fn of(tcp: &TcpStream) -> Self {
        writable_below(tcp, AHEAD_BYTES_MAX);
        Self::default()
    }

    /// A request begins: what was written before it has been answered, and so has left.
    pub(super) fn begin(&mut self) {
        self.bytes = 0;
    }

    pub(super) fn wrote(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Waits until the kernel has sent everything; whether it had to be asked at all. Small requests leave with their write.
    pub(super) fn poll_sent(&mut self, tcp: &TcpStream, cx: &mut Context<'_>) -> Poll<bool> {
        if self.bytes <= AHEAD_BYTES_MAX as usize {
            return Poll::Ready(false);
        }
        if !self.is_strict {
            writable_below(tcp, 1);
            self.is_strict = true;
        }
        while !is_writable(tcp) {
            // What tokio knows is older: it forgets it, and the kernel tells when it changes.
            let _ = tcp.try_io(Interest::WRITABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
            match tcp.poll_write_ready(cx) {
                Poll::Pending if is_writable(tcp) => break,
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
                // The next read or write says what has happened.
                Poll::Ready(Err(_)) => break,
            }
        }
        writable_below(tcp, AHEAD_BYTES_MAX);
        *self = Self::default();
        Poll::Ready(true)
    }
}

#[cfg(target_os = "linux")]
fn writable_below(tcp: &TcpStream, bytes: u32) {
    let _ = socket2::SockRef::from(tcp).set_tcp_notsent_lowat(bytes);
}

#[cfg(not(target_os = "linux"))]
fn writable_below(_: &TcpStream, _: u32) {}

/// Asks the kernel, now. A socket in error counts as writable.
fn is_writable(tcp: &TcpStream) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    let mut sockets = [PollFd::new(tcp.as_fd(), PollFlags::POLLOUT)];
    poll(&mut sockets, PollTimeout::ZERO).is_ok_and(|count| count > 0)
}

#[cfg(test)]
mod tests {
    use super::super::stamped::StampedIo;
    use super::*;
    use std::io::{Read, Write};
    use std::time::Duration;
    use tokio::io::AsyncWriteExt;

    #[test]
    fn small_requests_do_not_add_up_to_a_large_one() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let tcp = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let mut unsent = Unsent::of(&tcp);
            let mut asked = |bytes: usize| {
                unsent.begin();
                unsent.wrote(bytes);
                let mut cx = Context::from_waker(std::task::Waker::noop());
                unsent.poll_sent(&tcp, &mut cx)
            };
            for _ in 0..3 {
                assert_eq!(asked(10 * 1024), Poll::Ready(false));
            }
            assert_eq!(asked(20 * 1024), Poll::Ready(true), "nothing waits: nothing was written");
        });
    }

    /// A peer with a small buffer that stops reading short of the end: what the kernel took is not sent before it goes on.
    #[test]
    fn a_body_has_left_when_the_peer_could_take_it() {
        const TOTAL: usize = 256 * 1024;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket2::SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
        let address = listener.local_addr().unwrap();
        let peer = std::thread::spawn(move || {
            let (mut tcp, _) = listener.accept().unwrap();
            let mut room = vec![0; TOTAL - 12 * 1024];
            tcp.read_exact(&mut room).unwrap();
            std::thread::sleep(Duration::from_millis(50));
            let goes_on_ns = stamp::now_ns();
            tcp.read_exact(&mut room[..12 * 1024]).unwrap();
            // The second request on the connection.
            tcp.read_exact(&mut room[..10]).unwrap();
            tcp.write_all(b"!").unwrap();
            goes_on_ns
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (body_sent_ns, small_sent_ns) = runtime.block_on(async {
            let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
            let (mut io, stamps) = StampedIo::new(tcp, 0);
            stamps.arm();
            io.write_all(&vec![7; TOTAL]).await.unwrap();
            io.flush().await.unwrap();
            let body_sent_ns = stamps.last_write_ns();
            stamps.arm();
            io.write_all(b"0123456789").await.unwrap();
            io.flush().await.unwrap();
            (body_sent_ns.unwrap(), stamps.last_write_ns().unwrap())
        });
        let goes_on_ns = peer.join().unwrap();
        assert!(
            goes_on_ns < body_sent_ns && body_sent_ns < small_sent_ns,
            "{goes_on_ns} {body_sent_ns} {small_sent_ns}"
        );
    }
}
