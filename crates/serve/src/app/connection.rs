//! One connection: what is under way on it, what it waits for, and how bytes go out on it. Must not know other connections.

use super::limits::Limits;
use super::memory::Share;
use super::observed::WriteStamp;
use super::stream::Stream;
use crate::backend::{Backend, Output, Pieces};
use crate::http::{Phase, RequestReader, Sizes};
use nix::sys::epoll::EpollFlags;
use stamp::now_ns;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// So much may be sent ahead while a reply is under way; then the client must wait.
const AHEAD_BYTES_MAX: usize = 1 << 20;

/// So much room for input is kept between requests.
const KEPT_BYTES_MAX: usize = 16 << 10;

/// One connection and what is under way on it.
pub(super) struct Connection {
    pub(super) stream: Stream,
    pub(super) input: Vec<u8>,
    pub(super) reader: RequestReader,
    /// What `input` and `reader` hold.
    share: Share,
    /// Bytes that the socket would not take yet.
    pub(super) output: VecDeque<u8>,
    /// The rest of the current reply with what each part holds of the memory, and its next piece with the time it is due.
    pub(super) pieces: VecDeque<(Pieces, usize)>,
    /// What `pieces` hold, and those of them that wait in `output`.
    pub(super) unread: Share,
    pub(super) next_piece: Option<(u64, Output)>,
    /// Token events of the piece of which a part waits in `output`.
    pub(super) sending: Option<u32>,
    /// The calls of the latest offer or flush.
    pub(super) stamps: Vec<WriteStamp>,
    /// Rises with every request, so that late pieces of an old reply are known.
    pub(super) generation: u64,
    pub(super) carried: u64,
    pub(super) answering: Option<Answering>,
    pub(super) keep_alive: bool,
    /// The current request wants no body in its answer.
    pub(super) head_only: bool,
    pub(super) last_used_ns: u64,
    /// Where the current request stands, and since when.
    pub(super) phase: (Phase, u64),
    /// When the latest read returned.
    pub(super) read_ns: u64,
    /// When the kernel had the last byte of it; our read where it does not tell.
    pub(super) received_ns: u64,
    /// When the client last took something of what waits for it.
    taken_ns: u64,
    /// Room for the kernel's stamp; empty where it gives none.
    pub(super) control: Vec<u8>,
    pub(super) state: State,
    /// The client sends nothing more.
    pub(super) peer_ended: bool,
    /// A request was refused before it was read.
    pub(super) cut_short: bool,
    /// What the system is asked to tell of.
    pub(super) interest: EpollFlags,
    /// When something must have happened.
    pub(super) deadline_ns: Option<u64>,
}

/// The request being answered.
pub(super) struct Answering {
    /// Its number on this server.
    pub(super) number: u64,
    /// When the kernel had its last byte; `None` once its first token has been counted.
    pub(super) uncounted_from_ns: Option<u64>,
    /// Told to the backend.
    pub(super) gone: Arc<AtomicBool>,
}

/// How far a connection's life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Open,
    /// Goes as soon as `output` is empty.
    Closing,
    /// Everything is said; what the client still sends is read over since this time.
    Lingering(u64),
}

impl Connection {
    pub(super) fn new(stream: Stream, sizes: Sizes, share: Share, unread: Share) -> Self {
        let now = now_ns();
        Self {
            control: stream.ask_for_stamps(),
            stream,
            input: Vec::new(),
            reader: RequestReader::new(sizes),
            share,
            output: VecDeque::new(),
            pieces: VecDeque::new(),
            unread,
            next_piece: None,
            sending: None,
            stamps: Vec::new(),
            generation: 0,
            carried: 0,
            answering: None,
            keep_alive: true,
            head_only: false,
            last_used_ns: now,
            phase: (Phase::Idle, now),
            read_ns: 0,
            received_ns: 0,
            taken_ns: now,
            state: State::Open,
            peer_ended: false,
            cut_short: false,
            interest: EpollFlags::empty(),
            deadline_ns: None,
        }
    }

    /// Whether something that was written still waits for the socket.
    pub(super) fn is_blocked(&self) -> bool {
        !self.output.is_empty() || self.stream.holds_back()
    }

    /// Whether another request may be taken up.
    pub(super) fn is_free(&self) -> bool {
        self.answering.is_none() && !self.is_blocked() && self.state == State::Open
    }

    /// Whether there is a use for more input.
    pub(super) fn wants_input(&self) -> bool {
        match self.state {
            _ if self.peer_ended => false,
            State::Lingering(_) => true,
            State::Closing => false,
            State::Open => !self.cut_short && self.input.len() < AHEAD_BYTES_MAX,
        }
    }

    /// Whether the client may be in the middle of sending something.
    pub(super) fn is_sending(&self) -> bool {
        self.cut_short || self.reader.phase(&self.input) != Phase::Idle
    }

    /// Notes what the connection holds of the memory; whether that has grown.
    pub(super) fn weigh(&mut self) -> bool {
        if self.input.is_empty() && self.input.capacity() > KEPT_BYTES_MAX && self.phase.0 == Phase::Idle {
            self.input = Vec::new();
        }
        self.share.set(self.input.capacity() + self.reader.held_bytes())
    }

    /// Lets go what was read and not answered. The connection cannot carry another request.
    pub(super) fn forget_input(&mut self) {
        self.input = Vec::new();
        self.reader.forget();
        (self.keep_alive, self.cut_short) = (false, true);
    }

    /// What the system is to tell of.
    pub(super) fn wanted_interest(&self) -> EpollFlags {
        let mut flags = EpollFlags::empty();
        flags.set(EpollFlags::EPOLLIN, self.wants_input());
        flags.set(EpollFlags::EPOLLOUT, self.is_blocked());
        // A client that is gone is noticed even where its input is not wanted now.
        flags.set(EpollFlags::EPOLLRDHUP, !self.peer_ended);
        flags
    }

    /// When something must have happened, if anything must.
    pub(super) fn wanted_deadline_ns(&self, limits: &Limits, backend: &dyn Backend) -> Option<u64> {
        let after = |since_ns: u64, ms: u64| Some(since_ns.saturating_add(ms.saturating_mul(1_000_000)));
        match (self.state, self.phase) {
            (State::Lingering(since_ns), _) => after(since_ns, limits.linger_ms_max),
            _ if self.is_blocked() => after(self.taken_ns, limits.unread_ms_max),
            _ if self.answering.is_some() => None,
            (_, (Phase::Body, since_ns)) => after(since_ns, limits.body_ms_max),
            (_, (Phase::Head, since_ns)) => after(since_ns, limits.head_ms_max),
            _ if self.stream.is_handshaking() => after(self.last_used_ns, limits.head_ms_max),
            _ => {
                let idle_ms = if self.generation > 0 { backend.idle_close_ms() } else { backend.unused_close_ms() };
                idle_ms.and_then(|ms| after(self.last_used_ns, ms))
            }
        }
    }

    /// Notes where the current request stands.
    pub(super) fn note_phase(&mut self) {
        let phase = self.reader.phase(&self.input);
        if phase != self.phase.0 {
            self.phase = (phase, now_ns());
        }
    }

    /// Tells the backend that nobody waits for its reply; the request's number, if one was being answered.
    pub(super) fn end_reply(&mut self) -> Option<u64> {
        self.last_used_ns = now_ns();
        self.pieces.clear();
        self.unread.set(0);
        (self.next_piece, self.sending) = (None, None);
        let answering = self.answering.take()?;
        answering.gone.store(true, Ordering::Release);
        Some(answering.number)
    }

    /// Hands bytes to the kernel, behind those that wait already; those it does not take wait. Whether it has all of them.
    /// `stamps` holds the calls afterwards.
    pub(super) fn offer(&mut self, bytes: &[u8]) -> io::Result<bool> {
        self.stamps.clear();
        let mut rest = bytes;
        if !self.is_blocked() {
            self.taken_ns = now_ns();
            while !rest.is_empty() {
                match self.write(Some(rest))? {
                    Some(count) => rest = rest.get(count..).unwrap_or_default(),
                    None => break,
                }
            }
        }
        self.output.extend(rest);
        Ok(!self.is_blocked())
    }

    /// Hands over what waits. Whether the kernel has all of it.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        self.stamps.clear();
        while self.is_blocked() {
            if self.write(None)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// One call, stamped: of these bytes, or of what waits. `None`: the socket takes nothing now.
    fn write(&mut self, bytes: Option<&[u8]>) -> io::Result<Option<usize>> {
        let before_ns = now_ns();
        let result = match bytes {
            Some(bytes) => self.stream.write_some(bytes),
            // TLS has taken these long ago.
            None if self.stream.holds_back() => self.stream.flush().map(|()| 0),
            None => self.stream.write_some(self.output.as_slices().0),
        };
        let count = match result {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Some(0)),
            Err(error) => return Err(error),
        };
        self.taken_ns = now_ns();
        self.stamps.push(WriteStamp { before_ns, after_ns: self.taken_ns, tokens: 0 });
        if bytes.is_none() {
            self.output.drain(..count);
        }
        Ok(Some(count))
    }
}
