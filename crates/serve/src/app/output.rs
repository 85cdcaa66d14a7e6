//! Replies onto their connections: each piece at its time, stamped where it really goes to the kernel, and the ends of
//! connections.

use super::App;
use super::connection::State;
use super::observed::Keep;
use crate::backend::Output;
use crate::lock::locked;
use stamp::now_ns;
use std::sync::atomic::Ordering;

/// So long writing goes on before something is read again, ns.
const WRITE_AT_ONCE_NS: u64 = 1_000_000;

impl App {
    /// Replies from the backend, onto their connections.
    pub(super) fn take_replies(&mut self) {
        while let Ok(reply) = self.replies.try_recv() {
            let Some(connection) = self.connections.get_mut(&reply.connection) else { continue };
            if connection.generation == reply.generation && connection.answering.is_some() {
                connection.pieces.push_back((reply.pieces, reply.bytes));
                connection.unread.set(connection.unread.bytes() + reply.bytes);
                self.draw_piece(reply.connection);
                self.leave_who_does_not_read();
            }
        }
    }

    /// Where replies hold too much, ends the connections whose clients let the most of it wait.
    fn leave_who_does_not_read(&mut self) {
        while self.unread_bytes.load(Ordering::Relaxed) > self.listening.limits.unread_bytes_max {
            let slow = self.connections.iter().filter(|(_, connection)| connection.is_blocked());
            let Some((id, _)) = slow.max_by_key(|(_, connection)| connection.unread.bytes()) else { return };
            self.reset_connection(*id);
        }
    }

    /// Asks for the next piece of a reply and notes when it is due, unless one is under way.
    fn draw_piece(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.next_piece.is_some() || connection.is_blocked() {
            return;
        }
        while let Some((pieces, bytes)) = connection.pieces.front_mut() {
            connection.next_piece = pieces.next();
            if let Some((due_ns, _)) = connection.next_piece {
                self.due.insert((due_ns, id));
                return;
            }
            connection.unread.set(connection.unread.bytes().saturating_sub(*bytes));
            connection.pieces.pop_front();
        }
    }

    /// Everything that is due, one piece for each connection before the second of any.
    pub(super) fn write_due(&mut self) {
        self.read_bytes = 0;
        let begun_ns = now_ns();
        let mut now = begun_ns;
        loop {
            let mut batch = Vec::new();
            while let Some(first) = self.due.first().copied().filter(|(due_ns, _)| *due_ns <= now) {
                self.due.remove(&first);
                batch.push(first);
            }
            if batch.is_empty() {
                return;
            }
            for (due_ns, id) in batch {
                self.next_piece(id, due_ns);
            }
            now = now_ns();
            if now.saturating_sub(begun_ns) > WRITE_AT_ONCE_NS {
                return;
            }
        }
    }

    fn next_piece(&mut self, id: u64, due_ns: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some((_, output)) = connection.next_piece.take_if(|(at_ns, _)| *at_ns == due_ns) else { return };
        match output {
            Output::Bytes { bytes, tokens } => {
                let offered = connection.offer(&bytes);
                connection.sending = Some(tokens);
                match offered {
                    Ok(is_out) => self.note_writes(id, is_out),
                    Err(_) => return self.drop_connection(id),
                }
                self.draw_piece(id);
            }
            Output::End => {
                let keep_alive = connection.keep_alive;
                self.end_reply(id);
                if keep_alive { self.requests(id) } else { self.close(id) }
            }
            Output::Close => {
                self.end_reply(id);
                self.close(id);
            }
            Output::Reset => return self.reset_connection(id),
        }
        self.settle(id);
    }

    /// The stamps of the latest calls, onto the record of the reply that they were for.
    fn note_writes(&mut self, id: u64, is_out: bool) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(tokens) = connection.sending else { return };
        if is_out {
            connection.sending = None;
            if let Some(last) = connection.stamps.last_mut() {
                last.tokens = tokens;
                let from_ns = connection.answering.as_mut().filter(|_| tokens > 0);
                if let Some(from_ns) = from_ns.and_then(|answering| answering.uncounted_from_ns.take()) {
                    self.first_tokens += 1;
                    self.first_tokens_ns += last.before_ns.saturating_sub(from_ns);
                }
            }
        }
        if let (Some(answering), true) = (&connection.answering, self.listening.keep != Keep::Nothing)
            && let Some(record) = locked(&self.listening.shared.records).get_mut(answering.number as usize)
        {
            record.writes.append(&mut connection.stamps);
        }
    }

    pub(super) fn end_reply(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if let Some((due_ns, _)) = connection.next_piece {
            self.due.remove(&(due_ns, id));
        }
        if let Some(number) = connection.end_reply() {
            self.in_flight = self.in_flight.saturating_sub(1);
            if let Some(record) = locked(&self.listening.shared.records).get_mut(number as usize) {
                record.ended_ns = Some(now_ns());
            }
        }
    }

    /// Writes now what the socket takes; the rest when it is ready.
    pub(super) fn send(&mut self, id: u64, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.offer(bytes).is_err() {
            self.drop_connection(id);
        }
    }

    /// The socket takes more.
    pub(super) fn flush(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Ok(is_out) = connection.flush() else { return self.drop_connection(id) };
        let state = connection.state;
        self.note_writes(id, is_out);
        match state {
            _ if !is_out => {}
            State::Closing => self.close(id),
            _ => {
                self.draw_piece(id);
                self.requests(id);
            }
        }
    }

    /// Closes a connection once everything written to it has gone out.
    pub(super) fn close(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.is_blocked() {
            connection.state = State::Closing;
        } else if connection.peer_ended || !connection.is_sending() {
            self.drop_connection(id);
        } else {
            // With bytes unread a close would reset the connection, and take the answer back from the client.
            connection.stream.say_end(true);
            connection.input = Vec::new();
            connection.state = State::Lingering(now_ns());
        }
    }

    pub(super) fn drop_connection(&mut self, id: u64) {
        self.end_reply(id);
        if let Some(mut connection) = self.connections.remove(&id) {
            if let Some(at_ns) = connection.deadline_ns {
                self.deadlines.remove(&(at_ns, id));
            }
            connection.stream.say_end(false);
            let _ = self.epoll.delete(connection.stream.tcp());
            self.room_to_accept();
        }
    }

    /// Makes the peer see an error: closing with a linger of zero makes the kernel send a reset.
    fn reset_connection(&mut self, id: u64) {
        let Some(connection) = self.connections.get(&id) else { return };
        let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        let _ = nix::sys::socket::setsockopt(connection.stream.tcp(), nix::sys::socket::sockopt::Linger, &linger);
        self.drop_connection(id);
    }
}
