//! Replies to slow readers: nothing is made ahead, and the stamps tell when bytes really went to the kernel.

use crate::clients::{Handed, bytes};
use crate::rig::{Server, chat, get};
use serve::{Script, StreamReply};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn a_slow_reader_makes_nothing_pile_up() {
    let (backend, sinks) = Handed::new();
    let server = Server::with(backend, |_| ());
    let mut slow = server.client();
    slow.send(chat("a"));
    let drawn = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&drawn);
    let pieces = (0..1000).map(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        (0, bytes(&"x".repeat(1 << 20)))
    });
    let sink = sinks.recv().unwrap();
    sink.play(Box::new(pieces));
    // Each answer is a turn or more of the loop.
    let mut other = server.client();
    for _ in 0..300 {
        assert_eq!(other.send(get("/health")).reply().status, 200);
    }
    // What the kernel takes of a connection by itself is some megabytes.
    let drawn = drawn.load(Ordering::SeqCst);
    assert!((1..100).contains(&drawn), "{drawn}");
}

fn check_stamps(write_bytes: Option<usize>) {
    let event_bytes = 16 << 20;
    let reply = StreamReply {
        prefill_ms: 0.0,
        interval_ms: 0.0,
        tokens: 3,
        event_bytes: Some(event_bytes),
        write_bytes,
        ..StreamReply::default()
    };
    let server = Server::scripted(Script::of(reply));
    let mut client = server.client();
    client.send(chat("a"));
    crate::rig::wait_until("the first write", || server.handle.records().first().is_some_and(|r| r.writes.len() > 1));
    // The kernel holds less than two of the events, so that the last of them goes out after this.
    let reads_from_ns = stamp::now_ns();
    client.read_over("\r\n0\r\n\r\n");
    let read_ns = stamp::now_ns();
    let record = server.handle.records().remove(0);
    let with_tokens: Vec<_> = record.writes.iter().filter(|write| write.tokens > 0).collect();
    assert_eq!(with_tokens.iter().map(|write| write.tokens).collect::<Vec<_>>(), [1, 1, 1]);
    assert!(with_tokens[2].before_ns > reads_from_ns && with_tokens[2].before_ns < read_ns);
    let times: Vec<u64> = record.writes.iter().flat_map(|write| [write.before_ns, write.after_ns]).collect();
    assert!(times.is_sorted());
}

#[test]
fn stamps_are_of_the_call_that_gave_the_bytes_to_the_kernel() {
    check_stamps(None);
    check_stamps(Some(1 << 20));
}

#[test]
fn a_reply_read_at_once_is_a_write_for_each_piece() {
    let server = Server::scripted(Script::steady(0.0, 0.0, 3));
    server.client().send(chat("a")).until("0\r\n\r\n");
    // The client has read the last piece, perhaps before the server has noted it.
    crate::rig::wait_until("the end", || server.handle.records()[0].ended_ns.is_some());
    let tokens: Vec<u32> = server.handle.records()[0].writes.iter().map(|write| write.tokens).collect();
    // Head, three tokens, tail.
    assert_eq!(tokens, [0, 1, 1, 1, 0]);
}
