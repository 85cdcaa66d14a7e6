//! What HTTP reads from and writes to: a stamped TCP stream, plain or under TLS.

use super::stamped::StampedIo;
use hyper::rt::ReadBufCursor;
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

/// Plain or encrypted.
pub(super) enum Stream {
    Plain(StampedIo),
    Tls(Box<TlsStream<StampedIo>>),
}

/// What hyper reads from and writes to. Reads go through one buffer of the thread, so that fresh memory need not be
/// cleared for every read.
pub(super) struct HyperIo {
    stream: Stream,
}

thread_local! {
    static READ_ROOM: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 * 1024]);
}

impl HyperIo {
    pub(super) fn new(stream: Stream) -> Self {
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
