//! Clients that vanish: the backend is told.

use crate::rig::{Server, chat, get, wait_until};
use serve::{ApiError, Arrival, Backend, Limits, Output, ReplySink, ValidRequest};
use std::sync::mpsc::{Receiver, Sender, channel};

/// Hands every sink to the test.
pub(crate) struct Handed {
    sinks: Sender<ReplySink>,
}

impl Handed {
    pub(crate) fn new() -> (Self, Receiver<ReplySink>) {
        let (sinks, receiver) = channel();
        (Self { sinks }, receiver)
    }
}

impl Backend for Handed {
    fn models(&self) -> Vec<String> {
        vec!["m".into()]
    }

    fn version(&self) -> String {
        "1".into()
    }

    fn tokenize(&self, _: &str) -> Option<Vec<u32>> {
        None
    }

    fn submit(&mut self, _: &ValidRequest, _: Arrival, sink: ReplySink) -> Result<(), ApiError> {
        self.sinks.send(sink).unwrap();
        Ok(())
    }
}

pub(crate) fn bytes(text: &str) -> Output {
    Output::Bytes { bytes: text.into(), tokens: 1 }
}

fn check_gone(limits: Limits, leave: impl FnOnce(&mut crate::rig::Client, &ReplySink)) {
    let (backend, sinks) = Handed::new();
    let server = Server::with(backend, |listening| listening.limits = limits);
    let mut client = server.client();
    let sink = client.send(chat("a")).until_sink(&sinks);
    sink.play(Box::new([(0, bytes("first"))].into_iter()));
    client.until("first");
    assert!(!sink.is_gone());
    leave(&mut client, &sink);
    // Nothing else happens on the server: the leaving itself must wake the loop.
    wait_until("gone", || sink.is_gone());
    assert_eq!(server.client().send(get("/health")).reply().status, 200);
}

impl crate::rig::Client {
    fn until_sink(&mut self, sinks: &Receiver<ReplySink>) -> ReplySink {
        sinks.recv_timeout(std::time::Duration::from_secs(120)).unwrap()
    }
}

#[test]
fn the_backend_is_told_of_clients_that_leave() {
    use std::net::Shutdown;
    check_gone(Limits::default(), |client, _| client.tcp.shutdown(Shutdown::Both).unwrap());
    check_gone(Limits::default(), |client, _| client.tcp.shutdown(Shutdown::Write).unwrap());
    // Behind more than is read ahead.
    check_gone(Limits::default(), |client, _| {
        client.send(vec![b'x'; 3 << 19]);
        client.tcp.shutdown(Shutdown::Both).unwrap();
    });
}

#[test]
fn the_backend_is_told_of_clients_that_do_not_read() {
    check_gone(Limits { unread_ms_max: 50, ..Limits::default() }, |_, sink| {
        sink.play(Box::new(std::iter::repeat_with(|| (0, bytes(&"x".repeat(1 << 20))))));
    });
}

#[test]
fn a_reply_in_steps() {
    let (backend, sinks) = Handed::new();
    let server = Server::with(backend, |_| ());
    let mut client = server.client();
    for _ in 0..2 {
        let sink = client.send(chat("a")).until_sink(&sinks);
        sink.play(Box::new([(0, bytes("one"))].into_iter()));
        assert_eq!(client.until("one"), "one");
        sink.play(Box::new([(0, bytes("two"))].into_iter()));
        sink.play(Box::new([(0, bytes("three")), (0, Output::End)].into_iter()));
        assert_eq!(client.until("three"), "twothree");
        wait_until("the end", || sink.is_gone());
        // Too late: it must not come before the next reply.
        sink.play(Box::new([(0, bytes("four"))].into_iter()));
    }
}
