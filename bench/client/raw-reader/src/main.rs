//! The floor: one thread, epoll, no HTTP library. It sends N requests at once, reads until each stream's end marker, stamps every
//! read by our clock and by the kernel's, and looks for blank lines only. What a load generator costs beyond this is its own.
//!
//! usage: raw-reader HOST:PORT STREAMS TOKENS OUT.json

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use serde_json::json;
use std::error::Error;
use std::io::{ErrorKind, Write};
use std::net::TcpStream;

/// One stream and what was seen of it.
struct Stream {
    tcp: TcpStream,
    sent_ns: u64,
    /// Ends of events: our time, the kernel's.
    events: Vec<(u64, Option<u64>)>,
    /// The reply's last bytes, for a blank line or an end marker cut between reads.
    tail: Vec<u8>,
    done: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, streams, tokens, out] = args.as_slice() else {
        return Err("usage: raw-reader HOST:PORT STREAMS TOKENS OUT.json".into());
    };
    let (streams, tokens): (usize, u64) = (streams.parse()?, tokens.parse()?);
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    let mut all = (0..streams).map(|_| open(address, tokens)).collect::<Result<Vec<_>, _>>()?;
    for (number, stream) in all.iter().enumerate() {
        epoll.add(&stream.tcp, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
    }
    let (wall_minus_monotonic_ns, cpu_before_ns) = (stamp::wall_minus_monotonic_ns(), stamp::cpu_ns());
    for (number, stream) in all.iter_mut().enumerate() {
        let request = request(address, number, tokens);
        stream.sent_ns = stamp::now_ns();
        stream.tcp.write_all(request.as_bytes())?;
    }
    read_all(&epoll, &mut all, wall_minus_monotonic_ns)?;
    let cpu_ns = stamp::cpu_ns() - cpu_before_ns;
    let streams: Vec<_> = all.iter().map(|stream| json!({"sent_ns": stream.sent_ns, "events": stream.events})).collect();
    std::fs::write(out, serde_json::to_vec(&json!({"cpu_ns": cpu_ns, "streams": streams}))?)?;
    Ok(())
}

fn open(address: &str, tokens: u64) -> Result<Stream, Box<dyn Error>> {
    let tcp = TcpStream::connect(address)?;
    tcp.set_nodelay(true)?;
    tcp.set_nonblocking(true)?;
    stamp::request_stamps(&tcp);
    Ok(Stream { tcp, sent_ns: 0, events: Vec::with_capacity(tokens as usize + 4), tail: Vec::new(), done: false })
}

fn request(address: &str, number: usize, tokens: u64) -> String {
    let body = json!({
        "model": "scripted", "messages": [{"role": "user", "content": "raw"}], "stream": true, "max_tokens": tokens,
        "ignore_eos": true,
    })
    .to_string();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\nx-request-id: raw-{number}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn read_all(epoll: &Epoll, all: &mut [Stream], wall_minus_monotonic_ns: i64) -> Result<(), Box<dyn Error>> {
    let (mut left, mut ready) = (all.len(), vec![EpollEvent::empty(); 1024]);
    let (mut room, mut control) = (vec![0; 64 * 1024], stamp::control_room());
    while left > 0 {
        let count = epoll.wait(&mut ready, EpollTimeout::NONE)?;
        for event in &ready[..count] {
            let stream = &mut all[event.data() as usize];
            let read = match stamp::stamped_read(&stream.tcp, &mut room, &mut control) {
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            };
            let user_ns = stamp::now_ns();
            let kernel_ns = read.wall_ns.and_then(|wall| wall.checked_add_signed(-wall_minus_monotonic_ns));
            if read.bytes == 0 {
                return Err("the server closed a connection".into());
            }
            stream.take(&room[..read.bytes], (user_ns, kernel_ns));
            if stream.done {
                epoll.delete(&stream.tcp)?;
                left -= 1;
            }
        }
    }
    Ok(())
}

impl Stream {
    /// A blank line ends an event; the one of the reply's head does not count. The end marker is the last event.
    fn take(&mut self, bytes: &[u8], at: (u64, Option<u64>)) {
        let from = self.tail.len();
        self.tail.extend_from_slice(bytes);
        for end in from.saturating_sub(1)..self.tail.len().saturating_sub(1) {
            if &self.tail[end..end + 2] == b"\n\n" {
                self.done |= self.tail[..end].ends_with(b"data: [DONE]");
                self.events.push(at);
            }
        }
        let keep = self.tail.len().saturating_sub(16);
        self.tail.drain(..keep);
    }
}
