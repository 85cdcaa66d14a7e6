//! What requests hold of the memory, all of them together: bytes that are being read, and bodies that wait to be prepared.
//! (What replies hold, and what waits to become one, is counted by the same shares, in sums of their own.)
//! Where it is full, the body that has been under way for the longest gives way: who sends slowly, or half a body, does not
//! keep others out.

use super::App;
use super::connection::Connection;
use crate::http::Phase;
use crate::validate::ApiError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of one request or connection within the sum of all. They go from it when this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    sum: Arc<AtomicUsize>,
    bytes: usize,
}

impl Share {
    pub(crate) fn of(sum: &Arc<AtomicUsize>, bytes: usize) -> Self {
        sum.fetch_add(bytes, Ordering::Relaxed);
        Self { sum: Arc::clone(sum), bytes }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Changes the bytes; whether there are more now.
    pub(crate) fn set(&mut self, bytes: usize) -> bool {
        let grows = bytes > self.bytes;
        self.sum.fetch_add(bytes, Ordering::Relaxed);
        self.sum.fetch_sub(std::mem::replace(&mut self.bytes, bytes), Ordering::Relaxed);
        grows
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.sum.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl App {
    /// Whether requests hold more than they may.
    fn is_over(&self) -> bool {
        self.held_bytes.load(Ordering::Relaxed) > self.listening.limits.bodies_bytes_max
    }

    /// A share for a body that is whole, if there is room for it or can be made.
    pub(super) fn room_for(&mut self, bytes: usize) -> Option<Share> {
        let share = Share::of(&self.held_bytes, bytes);
        if bytes > 0 {
            self.make_room();
        }
        (bytes == 0 || !self.is_over()).then_some(share)
    }

    /// Where requests hold too much, takes back what can be: bodies that are not whole, the oldest first, then what was sent ahead of its time. Bodies
    /// that wait to be prepared stay.
    pub(super) fn make_room(&mut self) {
        while self.is_over() {
            let is_body = |connection: &&Connection| connection.is_free() && connection.phase.0 == Phase::Body;
            // Their time limits are alike, so that the first to end began first.
            let mut waiting = self.deadlines.iter().map(|(_, id)| *id);
            let Some(id) = waiting.find(|id| self.connections.get(id).filter(is_body).is_some()) else { break };
            self.refuse_and_close(id, &busy());
            self.settle(id);
        }
        if self.is_over() {
            let answering = self.connections.iter().filter(|(_, connection)| connection.answering.is_some());
            let ahead: Vec<u64> =
                answering.filter(|(_, connection)| !connection.input.is_empty()).map(|(id, _)| *id).collect();
            for id in ahead {
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.forget_input();
                }
                self.settle(id);
            }
        }
    }
}

/// The refusal of a body for which there is no memory.
pub(super) fn busy() -> ApiError {
    ApiError::busy("the requests that are being read fill the memory for them; try again later")
}

#[cfg(test)]
mod tests {
    use super::super::{Keep, Limits, Listening};
    use super::*;
    use crate::{Arrival, Backend, ReplySink, Script, ScriptedBackend, ValidRequest};
    use nix::sys::epoll::EpollTimeout;
    use std::io::{ErrorKind, Read, Write};
    use std::net::TcpStream;
    use std::sync::mpsc::{Sender, channel};

    const MAX: usize = 4 << 20;
    const TURN: usize = 64 << 10;

    /// A server that a test turns by hand.
    fn app() -> App {
        app_with(ScriptedBackend::new(Script::steady(1e9, 0.0, 1)))
    }

    fn app_with(backend: impl Backend + 'static) -> App {
        let mut listening = Listening::bind("127.0.0.1", 0, None, Box::new(backend)).unwrap();
        listening.limits = Limits { bodies_bytes_max: MAX, turn_bytes: TURN, ..Limits::default() };
        listening.keep = Keep::Times;
        App::new(listening).unwrap()
    }

    fn connect(app: &mut App) -> TcpStream {
        let client = TcpStream::connect(app.listening.address().unwrap()).unwrap();
        client.set_nonblocking(true).unwrap();
        let before = app.next_connection;
        while app.next_connection == before {
            app.turn(EpollTimeout::ZERO).unwrap();
        }
        client
    }

    /// Sends all of it, turning the server meanwhile; whether the server has read it or refused.
    fn send(app: &mut App, client: &mut TcpStream, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match client.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            turn(app);
        }
    }

    fn turn(app: &mut App) {
        app.turn(EpollTimeout::ZERO).unwrap();
        let held = app.held_bytes.load(Ordering::Relaxed);
        // Beyond the limit is at most what one connection brought in this turn, in rooms that grow twofold.
        assert!(held <= MAX + 4 * TURN, "{held}");
    }

    fn reply(app: &mut App, client: &mut TcpStream) -> String {
        let (mut text, mut room) = (Vec::new(), [0; 4096]);
        while !text.ends_with(b"}}") {
            turn(app);
            match client.read(&mut room) {
                Ok(0) => panic!("the connection ended: {}", String::from_utf8_lossy(&text)),
                Ok(count) => text.extend_from_slice(&room[..count]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        String::from_utf8(text).unwrap()
    }

    fn half(bytes: usize) -> Vec<u8> {
        let mut request = b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 4000000\r\n\r\n".to_vec();
        request.resize(request.len() + bytes, b'x');
        request
    }

    #[test]
    fn half_sent_bodies_give_way_the_oldest_first() {
        let mut app = app();
        let mut clients: Vec<TcpStream> = Vec::new();
        for _ in 0..20 {
            let mut client = connect(&mut app);
            send(&mut app, &mut client, &half(1 << 20));
            clients.push(client);
        }
        for client in &mut clients[..16] {
            let text = reply(&mut app, client);
            assert!(text.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{text}");
            assert!(text.contains("retry-after: 1\r\n") && text.contains("\"type\":\"Too Many Requests\""), "{text}");
        }
        let mut room = [0; 16];
        assert_eq!(clients[19].read(&mut room).unwrap_err().kind(), ErrorKind::WouldBlock);
        // Who sends a whole request is served meanwhile, at the cost of the oldest.
        let mut quick = connect(&mut app);
        send(&mut app, &mut quick, b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}");
        assert!(reply(&mut app, &mut quick).starts_with("HTTP/1.1 400 "));
        drop((clients, quick));
        while app.connections.values().any(|connection| !connection.peer_ended) {
            turn(&mut app);
        }
        assert_eq!(app.held_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn bodies_that_wait_elsewhere_count() {
        let mut app = app();
        let elsewhere = Share::of(&app.held_bytes, MAX);
        let mut client = connect(&mut app);
        let body = r#"{"messages":[{"role":"user","content":"x"}],"stream":true}"#;
        let chat = format!("POST /v1/chat/completions HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        send(&mut app, &mut client, chat.as_bytes());
        let text = reply(&mut app, &mut client);
        assert!(text.starts_with("HTTP/1.1 429 "), "{text}");
        // What has no body is served, on the same connection.
        send(&mut app, &mut client, b"GET /none HTTP/1.1\r\n\r\n");
        let mut room = [0; 12];
        while client.read(&mut room).is_err() {
            turn(&mut app);
        }
        assert_eq!(&room, b"HTTP/1.1 404");
        drop(elsewhere);
        send(&mut app, &mut client, chat.as_bytes());
        assert!(app.connections.values().all(|connection| connection.answering.is_some()));
    }

    /// Hands the replies out to the test.
    struct Handed(Sender<ReplySink>);

    impl Backend for Handed {
        fn models(&self) -> Vec<String> {
            vec!["m".into()]
        }

        fn version(&self) -> String {
            String::new()
        }

        fn submit(&mut self, _: &ValidRequest, _: Arrival, sink: ReplySink) -> Result<(), ApiError> {
            self.0.send(sink).unwrap();
            Ok(())
        }
    }

    #[test]
    fn who_does_not_read_is_left_when_replies_fill_the_memory() {
        let (sender, sinks) = channel();
        let mut app = app_with(Handed(sender));
        app.listening.limits.unread_bytes_max = MAX;
        let ask = |app: &mut App| {
            let mut client = connect(app);
            let body = r#"{"messages":[{"role":"user","content":"x"}],"stream":true}"#;
            let head = format!("POST /v1/chat/completions HTTP/1.1\r\ncontent-length: {}\r\n\r\n", body.len());
            send(app, &mut client, (head + body).as_bytes());
            (client, sinks.recv().unwrap())
        };
        let ((mut reads, read), (_waits, unread)) = (ask(&mut app), ask(&mut app));
        let mut room = vec![0; 1 << 20];
        // The kernel takes some, then MAX wait, then one of the two has to go: who reads stays.
        for sent in 0.. {
            assert!(sent < 1 << 12, "{} MiB wait", app.unread_bytes.load(Ordering::Relaxed) >> 20);
            unread.write(vec![b'x'; 1 << 20], 1, false);
            read.write(vec![b'x'; 1 << 16], 1, false);
            turn(&mut app);
            while reads.read(&mut room).is_ok_and(|count| count > 0) {
                turn(&mut app);
            }
            let held = app.unread_bytes.load(Ordering::Relaxed);
            assert!(held <= MAX + (2 << 20), "{held}");
            if unread.is_gone() {
                break;
            }
        }
        assert!(!read.is_gone());
        read.write(b"end".to_vec(), 0, true);
        while !read.is_gone() {
            turn(&mut app);
            let _ = reads.read(&mut room);
        }
        assert_eq!((app.unread_bytes.load(Ordering::Relaxed), app.connections.len()), (0, 1));
    }

    #[test]
    fn what_is_sent_ahead_gives_way_too() {
        let mut app = app();
        let body = r#"{"messages":[{"role":"user","content":"x"}],"stream":true}"#;
        let chat = format!("POST /v1/chat/completions HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let mut ahead = chat.into_bytes();
        ahead.resize(ahead.len() + (1 << 19), b'x');
        let mut clients = Vec::new();
        for _ in 0..30 {
            let mut client = connect(&mut app);
            let mut left = ahead.as_slice();
            // The server stops reading when it holds enough.
            for _ in 0..1000 {
                left = &left[client.write(left).unwrap_or(0)..];
                turn(&mut app);
                if left.is_empty() {
                    break;
                }
            }
            clients.push(client);
        }
        assert!(app.connections.values().all(|connection| connection.answering.is_some()));
    }
}
