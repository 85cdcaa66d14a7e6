//! A request body made of shared parts: the text around the images is small and each request's own, the images are
//! one buffer each for the whole run. Nothing is copied for a request.

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The parts of one body, in order.
#[derive(Debug, Clone)]
pub struct BodyParts {
    parts: Arc<[Bytes]>,
    bytes: u64,
}

impl BodyParts {
    /// A body of these parts.
    #[must_use]
    pub fn new(parts: Vec<Bytes>) -> Self {
        let bytes = parts.iter().map(|part| part.len() as u64).sum();
        Self { parts: parts.into(), bytes }
    }

    /// Its length, bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The parts joined: for tests and for showing a request, never on the timing path.
    #[must_use]
    pub fn joined(&self) -> Vec<u8> {
        self.parts.concat()
    }

    /// A fresh reader of it.
    #[must_use]
    pub fn body(&self) -> PartsBody {
        PartsBody { parts: Arc::clone(&self.parts), next: 0, left: self.bytes }
    }
}

/// [`BodyParts`] on their way out.
#[derive(Debug)]
pub struct PartsBody {
    parts: Arc<[Bytes]>,
    next: usize,
    left: u64,
}

impl Body for PartsBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(part) = self.parts.get(self.next).cloned() else { return Poll::Ready(None) };
        self.next += 1;
        self.left -= part.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.next == self.parts.len()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
