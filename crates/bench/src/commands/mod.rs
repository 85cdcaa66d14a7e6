//! What is done without a server: with runs and logs that are already there, scenes drawn, and for the shell.

mod compare;
mod parse_log;
mod report;
mod scenes;
mod shell;

pub use compare::compare;
pub use parse_log::parse_log;
pub use report::report;
pub use scenes::scenes;
pub use shell::{completions, man};

use crate::session::Failure;
use std::io::Write;

/// What was given cannot be used: status 2.
fn unusable(text: impl Into<String>) -> Failure {
    Failure { status: 2, text: text.into() }
}

/// Data to stdout, whole.
fn write_out(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        // `… | head` is no failure.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure { status: 1, text: format!("stdout: {error}") })
        }
        _ => Ok(()),
    }
}
