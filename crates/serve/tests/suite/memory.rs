//! Half-sent bodies on many connections: the memory for them is bounded, whoever they are.

use crate::descriptors::Process;
use crate::rig::{Client, get};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// The most that the process has had of the memory so far, MiB (proc_pid_status(5)).
fn peak_mib(process: &Process) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.0.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() / 1024
}

#[test]
fn half_sent_bodies_on_many_connections() {
    let child = Command::new(env!("CARGO_BIN_EXE_vlm-server"))
        .args(["--scripted", "--port", "0", "--max-body-memory-mib", "8"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut server = Process(child);
    let lines = BufReader::new(server.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut addresses = lines.filter_map(|line| line.strip_prefix("listening on http://")?.parse().ok());
    let address = addresses.next().unwrap();
    let before = peak_mib(&server);
    let part = vec![b'x'; 2 << 20];
    let half = |_| {
        let mut client = Client::to(address);
        client.send("POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 4194304\r\n\r\n").send(&part);
        client
    };
    let mut clients: Vec<Client> = (0..60).map(half).collect();
    // 120 MiB were sent, and the server is there for others.
    assert_eq!(Client::to(address).send(get("/health")).reply().status, 200);
    let grown = peak_mib(&server) - before;
    assert!(grown < 40, "{grown} MiB");
    for client in &mut clients[..50] {
        let reply = client.reply();
        assert_eq!((reply.status, reply.headers["retry-after"].as_str()), (429, "1"), "{reply:?}");
    }
}
