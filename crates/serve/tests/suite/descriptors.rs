//! A server that has no descriptor left: it goes on with what it has, without spinning, and accepts again later.

use crate::rig::{Client, get};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The server as a process of its own, gone when dropped.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Whether its loop waits for something. One that spins runs or could run at any moment, whatever else the machine does.
    fn is_waiting(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        // The state of its first thread (proc_pid_stat(5)), after the name.
        stat.rsplit(") ").next().unwrap().starts_with('S')
    }
}

#[test]
fn without_descriptors_the_server_rests() {
    let start = format!("ulimit -n 24; exec {} --scripted --port 0", env!("CARGO_BIN_EXE_vlm-server"));
    let child = Command::new("sh").args(["-c", &start]).stderr(Stdio::piped()).spawn().unwrap();
    let mut server = Process(child);
    let lines = BufReader::new(server.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut addresses = lines.filter_map(|line| line.strip_prefix("listening on http://")?.parse().ok());
    let address = addresses.next().unwrap();
    let mut first = Client::to(address);
    assert_eq!(first.send(get("/health")).reply().status, 200);
    // The kernel completes these connections; the server cannot take all of them.
    let mut others: Vec<Client> = (0..40).map(|_| Client::to(address)).collect();
    let last = others.pop();
    let mut waiting = 0;
    for _ in 0..20 {
        assert_eq!(first.send(get("/health")).reply().status, 200);
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(10));
            waiting += usize::from(server.is_waiting());
        }
    }
    assert!(waiting > 10, "{waiting} times of 100");
    drop(others);
    assert_eq!(last.unwrap().send(get("/health")).reply().status, 200);
}
