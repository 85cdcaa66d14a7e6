//! From readable sockets to requests, so much of each connection in one turn; and what has not come in time.

use super::App;
use super::connection::State;
use super::memory::busy;
use crate::http::{Phase, Progress, Refusal};
use crate::validate::ApiError;
use stamp::{StampedRead, now_ns};
use std::io;

/// How many requests of one connection are taken up in one turn.
const REQUESTS_AT_ONCE: usize = 16;

impl App {
    /// Reads at most `turn_bytes`, then takes up the requests in them.
    pub(super) fn read(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let mut left = self.listening.limits.turn_bytes;
        let mut may_have_more = false;
        while connection.wants_input() && left > 0 {
            let room_bytes = left.min(self.room.len());
            let Some(room) = self.room.get_mut(..room_bytes) else { break };
            match connection.stream.read_stamped(room, &mut connection.control) {
                Ok(StampedRead { bytes: 0, .. }) => return self.peer_ended(id),
                Ok(StampedRead { bytes: count, wall_ns }) => {
                    may_have_more = true;
                    left -= count;
                    self.read_bytes += count;
                    connection.read_ns = now_ns();
                    let monotonic = wall_ns.and_then(|wall| wall.checked_add_signed(-self.wall_minus_monotonic_ns));
                    connection.received_ns = monotonic.unwrap_or(connection.read_ns).min(connection.read_ns);
                    if connection.state == State::Open {
                        connection.input.extend_from_slice(room.get(..count).unwrap_or_default());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    may_have_more = false;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.drop_connection(id),
            }
        }
        if may_have_more {
            // The system need not tell of what TLS has taken from the socket already.
            self.again.insert(id);
        }
        self.requests(id);
    }

    /// The client sends nothing more: what it asked for before is answered, if it can be at once.
    pub(super) fn peer_ended(&mut self, id: u64) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.peer_ended = true;
        }
        self.requests(id);
        match self.connections.get(&id) {
            Some(connection) if connection.answering.is_none() => self.close(id),
            _ => self.drop_connection(id),
        }
    }

    /// The whole requests in the input, one after the other: the next only when the last is answered and gone out.
    pub(super) fn requests(&mut self, id: u64) {
        for _ in 0..REQUESTS_AT_ONCE {
            let Some(connection) = self.connections.get_mut(&id) else { return };
            if !connection.is_free() {
                return;
            }
            let progress = connection.reader.next(&mut connection.input);
            connection.note_phase();
            match progress {
                Progress::Partial => return,
                Progress::WantsContinue => self.send(id, b"HTTP/1.1 100 Continue\r\n\r\n"),
                Progress::Refused(Refusal(status, words)) => {
                    return self.refuse_and_close(id, &ApiError::detail(status, words));
                }
                Progress::Request(request) => {
                    connection.phase = (Phase::Idle, now_ns());
                    connection.generation += 1;
                    connection.keep_alive = request.keep_alive;
                    connection.head_only = request.method == "HEAD";
                    connection.last_used_ns = now_ns();
                    connection.weigh();
                    match self.room_for(request.body.capacity()) {
                        Some(share) => self.route(id, *request, share),
                        None => self.refuse(id, &busy()),
                    }
                }
            }
        }
        self.again.insert(id);
    }

    /// Refuses in the middle of a request: the connection cannot be used after it.
    pub(super) fn refuse_and_close(&mut self, id: u64, error: &ApiError) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.head_only = false;
            connection.forget_input();
        }
        self.refuse(id, error);
    }

    /// What should have happened by now on connections that wait.
    pub(super) fn expire(&mut self) {
        while let Some((at_ns, id)) = self.deadlines.first().copied() {
            if at_ns > now_ns() {
                return;
            }
            self.deadlines.pop_first();
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            connection.deadline_ns = None;
            let is_waiting = connection.is_free() && !connection.stream.is_handshaking();
            match connection.phase.0 {
                Phase::Head | Phase::Body if is_waiting => {
                    self.refuse_and_close(id, &ApiError::detail(408, "Request Timeout"));
                    self.settle(id);
                }
                _ => self.drop_connection(id),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CONNECTION_FIRST, Keep, Limits, Listening};
    use super::*;
    use crate::{Script, ScriptedBackend};
    use nix::sys::epoll::EpollTimeout;
    use std::io::Write;
    use std::net::TcpStream;

    const TURN_BYTES: usize = 16 << 10;

    /// A server that a test turns by hand, and a client on it.
    fn app() -> (App, TcpStream) {
        // Its answers come after the test.
        let backend = Box::new(ScriptedBackend::new(Script::steady(1e9, 0.0, 1)));
        let mut listening = Listening::bind("127.0.0.1", 0, None, backend).unwrap();
        listening.limits = Limits { turn_bytes: TURN_BYTES, ..Limits::default() };
        listening.keep = Keep::Times;
        let client = TcpStream::connect(listening.address().unwrap()).unwrap();
        let mut app = App::new(listening).unwrap();
        while app.connections.is_empty() {
            app.turn(EpollTimeout::NONE).unwrap();
        }
        (app, client)
    }

    #[test]
    fn an_uploader_has_its_share_of_a_turn() {
        let (mut app, mut client) = app();
        client.set_nonblocking(true).unwrap();
        let request = format!("POST / HTTP/1.1\r\ncontent-length: 100000\r\n\r\n{}", "x".repeat(100_000));
        let (mut unsent, mut read_bytes) = (request.as_bytes(), 0);
        while read_bytes < request.len() {
            unsent = &unsent[client.write(unsent).unwrap_or(0)..];
            app.read_bytes = 0;
            app.read(CONNECTION_FIRST);
            assert!(app.read_bytes <= TURN_BYTES, "{}", app.read_bytes);
            read_bytes += app.read_bytes;
        }
        assert_eq!(app.connections[&CONNECTION_FIRST].reader.phase(&[]), Phase::Idle);
    }

    #[test]
    fn a_pipeline_has_its_share_of_a_turn() {
        let (mut app, mut client) = app();
        client.write_all("GET / HTTP/1.1\r\n\r\n".repeat(100).as_bytes()).unwrap();
        let mut last = 0;
        while last < 100 {
            app.read(CONNECTION_FIRST);
            let answered = app.connections[&CONNECTION_FIRST].generation;
            assert!(answered - last <= REQUESTS_AT_ONCE as u64, "{last} {answered}");
            let has_more = answered < 100 && answered - last == REQUESTS_AT_ONCE as u64;
            assert!(!has_more || app.again.contains(&CONNECTION_FIRST), "{answered}");
            last = answered;
        }
    }

    #[test]
    fn what_waits_behind_a_reply_does_not_turn_the_loop() {
        let (mut app, mut client) = app();
        let body = r#"{"messages":[{"role":"user","content":"x"}],"stream":true}"#;
        let chat = format!("POST /v1/chat/completions HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        client.write_all(chat.as_bytes()).unwrap();
        client.set_nonblocking(true).unwrap();
        // As much as is read ahead, and then some for the kernel to hold.
        while app.connections[&CONNECTION_FIRST].wants_input() {
            let _ = client.write(&[b'x'; 1 << 16]);
            app.turn(EpollTimeout::ZERO).unwrap();
        }
        while client.write(&[b'x'; 1 << 16]).is_ok() {}
        (0..8).for_each(|_| app.turn(EpollTimeout::ZERO).unwrap());
        assert!(!app.connections[&CONNECTION_FIRST].wants_input());
        assert!(app.again.is_empty(), "another turn for nothing");
        assert_eq!(app.timeout(), EpollTimeout::NONE);
    }
}
