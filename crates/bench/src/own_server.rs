//! A server process of this binary's own: `vlm-server` by another name, on a free port, for `calibrate` and `--embedded`. A server
//! inside the client would spoil the client's figures. It ends with its standard input, so it is gone whatever happens to
//! the client. It must not know what is asked of it.

use crate::stop::StopSignal;
use crate::words::{Words, as_said, words};
use measure::Lang;
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
    pub fn command(words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Command, Words> {
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
    pub fn of(mut child: Child, limit: Duration, stop: Option<&StopSignal>) -> Result<Self, Words> {
        let stdin = child.stdin.take();
        let mut server = Self { child, url: String::new(), _stdin: stdin };
        let talk = server.child.stderr.take().ok_or_else(|| words("the server has no stderr", "服务端没有 stderr"))?;
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
    pub fn stop(mut self) -> Result<(), Words> {
        // It may have ended by itself.
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
        wait(&mut self.child, &words("the server", "服务端"), END_LIMIT)
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
pub fn this_binary() -> Result<Command, Words> {
    std::env::current_exe().map(Command::new).map_err(|error| {
        words(format!("this program does not know where it is: {error}"), format!("程序不知道自己的位置：{error}"))
    })
}

/// Waits for a child that is to end by itself, and ends it when it does not. `who` begins the sentence of an error.
///
/// # Errors
/// In words.
pub fn wait(child: &mut Child, who: &Words, limit: Duration) -> Result<(), Words> {
    let who_zh = who.text(Lang::Zh);
    let start = Instant::now();
    loop {
        match child.try_wait().map_err(as_said)? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(words(format!("{who} ended with {status}"), format!("{who_zh}结束：{status}"))),
            None if start.elapsed() > limit => {
                end(child);
                let s = limit.as_secs();
                return Err(words(format!("{who} did not end within {s} s"), format!("{who_zh}在 {s} 秒内没有结束")));
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Reads the server's talk until it says where it listens. What it says later is read and dropped: a full pipe would stop it.
fn listening(talk: ChildStderr, limit: Duration, stop: Option<&StopSignal>) -> Result<String, Words> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(talk);
        let mut said = String::new();
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => {
                    let said = said.trim();
                    let why = words(format!("the server ended: {said}"), format!("服务端已结束：{said}"));
                    let _ = tell.send(Err(why));
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
            Err(RecvTimeoutError::Disconnected) => {
                return Err(words("the server's talk cannot be read", "无法读取服务端的输出"));
            }
            Err(RecvTimeoutError::Timeout) if stop.is_some_and(|stop| stop.cause().is_some()) => {
                return Err(words("the run was stopped before its server listened", "运行在服务端开始监听之前被中止"));
            }
            Err(RecvTimeoutError::Timeout) if start.elapsed() > limit => {
                let s = limit.as_secs();
                return Err(words(
                    format!("the server did not listen within {s} s"),
                    format!("服务端在 {s} 秒内没有开始监听"),
                ));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_child_ended_is_said_in_both_languages() {
        let check = |script: &str, limit_ms: u64, en: &str, zh: &str| {
            let mut child = Command::new("sh").args(["-c", script]).spawn().unwrap();
            let limit = Duration::from_millis(limit_ms);
            let why = wait(&mut child, &words("the server", "服务端"), limit).unwrap_err();
            assert_eq!((why.text(Lang::En), why.text(Lang::Zh)), (en, zh), "{script}");
        };
        check("exit 3", 60_000, "the server ended with exit status: 3", "服务端结束：exit status: 3");
        check("exec sleep 60", 0, "the server did not end within 0 s", "服务端在 0 秒内没有结束");
    }

    #[test]
    fn a_server_that_ends_or_says_nothing() {
        let check = |script: &str, limit_ms: u64, en: &str, zh: &str| {
            let mut command = Command::new("sh");
            let child = command.args(["-c", script]).stderr(Stdio::piped()).spawn().unwrap();
            let why = OwnServer::of(child, Duration::from_millis(limit_ms), None).err().unwrap();
            assert_eq!((why.text(Lang::En), why.text(Lang::Zh)), (en, zh), "{script}");
        };
        check("echo no model >&2", 60_000, "the server ended: no model", "服务端已结束：no model");
        check("exec sleep 60", 0, "the server did not listen within 0 s", "服务端在 0 秒内没有开始监听");
    }
}
