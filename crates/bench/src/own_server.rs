//! A server process of this binary's own: `vlm-server` by another name, on a free port, for `calibrate` and `--embedded`. A server
//! inside the client would spoil the client's figures. It ends with its standard input, so it is gone whatever happens to
//! the client. It must not know what is asked of it.

use crate::stop::StopSignal;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The hidden subcommand that is the server.
pub const SUBCOMMAND: &str = "server";
/// A server that has been told to end and does not is ended.
const END_LIMIT: Duration = Duration::from_secs(300);
/// So late it is seen that the run is to stop while the server loads.
const STOP_CHECK: Duration = Duration::from_millis(50);

/// The server. It is stopped when this goes.
pub struct OwnServer {
    child: Child,
    url: String,
    /// Its end is the server's.
    _stdin: Option<ChildStdin>,
}

impl OwnServer {
    /// What starts a server with these flags of `vlm-server`.
    ///
    /// # Errors
    /// In words, when this program does not know where it is.
    pub fn command(words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Command, String> {
        let mut command = this_binary()?;
        command.args([SUBCOMMAND, "--host", "127.0.0.1", "--port", "0", "--end-with-stdin"]).args(words);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        // Ctrl-C is the client's, which still needs its server to end in order.
        command.process_group(0);
        Ok(command)
    }

    /// Takes over what that command started, and waits until it listens.
    ///
    /// # Errors
    /// In words: it ended, with what it said, or it does not listen within the limit or before the run is stopped.
    pub fn of(mut child: Child, limit: Duration, stop: Option<&StopSignal>) -> Result<Self, String> {
        let stdin = child.stdin.take();
        let mut server = Self { child, url: String::new(), _stdin: stdin };
        let talk = server.child.stderr.take().ok_or("the server has no stderr")?;
        server.url = listening(talk, limit, stop)?;
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends it in order: what it writes at its end is on the disk then.
    ///
    /// # Errors
    /// In words, when it ends badly or not at all.
    pub fn stop(mut self) -> Result<(), String> {
        // It may have ended by itself.
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
        wait(&mut self.child, "server", END_LIMIT)
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// This program, to be started again.
///
/// # Errors
/// In words, when it does not know where it is.
pub fn this_binary() -> Result<Command, String> {
    std::env::current_exe()
        .map(Command::new)
        .map_err(|error| format!("this program does not know where it is: {error}"))
}

/// Waits for a child that is to end by itself, and ends it when it does not.
///
/// # Errors
/// In words.
pub fn wait(child: &mut Child, who: &str, limit: Duration) -> Result<(), String> {
    let start = Instant::now();
    loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("the {who} ended with {status}")),
            None if start.elapsed() > limit => {
                end(child);
                return Err(format!("the {who} did not end within {} s", limit.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Reads the server's talk until it says where it listens. What it says later is read and dropped: a full pipe would stop it.
fn listening(talk: ChildStderr, limit: Duration, stop: Option<&StopSignal>) -> Result<String, String> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(talk);
        let mut said = String::new();
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => {
                    let _ = tell.send(Err(format!("the server ended: {}", said.trim())));
                    return;
                }
                Ok(_) => {}
            }
            if let Some(url) = line.trim().strip_prefix("listening on ") {
                let _ = tell.send(Ok(url.to_owned()));
                let _ = std::io::copy(&mut reader.by_ref(), &mut std::io::sink());
                return;
            }
            said.push_str(&line);
        }
    });
    let start = Instant::now();
    loop {
        match told.recv_timeout(STOP_CHECK) {
            Ok(said) => return said,
            Err(RecvTimeoutError::Disconnected) => return Err("the server's talk cannot be read".into()),
            Err(RecvTimeoutError::Timeout) if stop.is_some_and(|stop| stop.cause().is_some()) => {
                return Err("the run was stopped before its server listened".into());
            }
            Err(RecvTimeoutError::Timeout) if start.elapsed() > limit => {
                return Err(format!("the server did not listen within {} s", limit.as_secs()));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}
