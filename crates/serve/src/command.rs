//! `vlm-server` from its command line to its end, as a library function: another binary can be this server too.

use crate::app::{Keep, Listening, StopHandle};
use crate::cli::{self, Args};
use crate::error::ServeError;
use crate::rig::tls_config;
use crate::scripted::ScriptedBackend;
use nix::sys::signal::{SigSet, Signal};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

/// Runs the server that these words describe; the first is the program's name. SIGINT and SIGTERM end it in order.
pub fn main(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match cli::parse(words) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<(), ServeError> {
    if !args.scripted {
        return Err(ServeError::NoEngine);
    }
    let mut script = args.script()?;
    if args.print_script {
        // What is printed ends in files: the key does not.
        script.api_key = None;
        let json = serde_json::to_vec_pretty(&script).map_err(std::io::Error::from)?;
        std::io::stdout().lock().write_all(&[json.as_slice(), b"\n"].concat())?;
        return Ok(());
    }
    raise_open_files();
    let names = script.models.join(", ");
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    let tls = match (&args.ssl_certfile, &args.ssl_keyfile) {
        (Some(certificate), Some(key)) => {
            let read = |path: &std::path::Path| {
                std::fs::read(path).map_err(|why| ServeError::Certificate(format!("{}: {why}", path.display())))
            };
            Some(tls_config(&read(certificate)?, &read(key)?)?)
        }
        _ => None,
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut listening = Listening::bind(&args.host, args.port, tls, Box::new(ScriptedBackend::new(script)))?;
    listening.spin = args.spin;
    listening.keep = if args.truth_log.is_some() { Keep::Times } else { Keep::Nothing };
    let handle = listening.handle();
    say(&format!("vlm-server: SCRIPTED, no model: answers are made-up tokens at set times; served as {names}"));
    say(&format!("listening on {scheme}://{}", listening.address()?));
    let stopper = handle.clone();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        if signals.wait().is_ok() {
            stopper.stop();
        }
    })?;
    listening.serve()?;
    write_truth(args, &handle)
}

/// As many open files as the system allows: each stream is one.
fn raise_open_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Refused, the limit stays as it was; the listener rests when it is reached.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

fn write_truth(args: &Args, handle: &StopHandle) -> Result<(), ServeError> {
    let Some(path) = &args.truth_log else { return Ok(()) };
    let json = serde_json::to_vec(&handle.records()).map_err(std::io::Error::from)?;
    std::fs::write(path, json).map_err(|why| ServeError::TruthLog { path: path.clone(), why })
}

fn say(text: &str) {
    // Nobody can be told that stderr is gone.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
