//! `vlm-server` from its command line to its end, as a library function: another binary can be this server too.

use crate::app::{Bound, Keep, Listening, StopHandle};
use crate::backend::Backend;
use crate::cli::{self, Args};
use crate::error::ServeError;
use crate::loading;
use crate::manual;
use crate::rig::tls_config;
use crate::script::Script;
use crate::scripted::ScriptedBackend;
use nix::sys::signal::{SigSet, Signal};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use tokio_rustls::rustls::ServerConfig;

/// The exit status of a program that a signal ended is this and the signal's number.
const BY_SIGNAL: i32 = 128;

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
    if let Some(done) = manual::asked(args) {
        return done;
    }
    args.check_words()?;
    if !args.scripted {
        return serve(args, None);
    }
    let mut script = args.script()?;
    if args.print_script {
        // What is printed ends in files: the key does not.
        script.api_key = None;
        let json = serde_json::to_vec_pretty(&script).map_err(std::io::Error::from)?;
        std::io::stdout().lock().write_all(&[json.as_slice(), b"\n"].concat())?;
        return Ok(());
    }
    serve(args, Some(script))
}

/// Serves a script, or else a model, until a signal.
fn serve(args: &Args, script: Option<Script>) -> Result<(), ServeError> {
    raise_open_files();
    let is_scripted = script.is_some();
    let running = heed_signals(is_scripted)?;
    if args.end_with_stdin {
        end_with_stdin(Arc::clone(&running))?;
    }
    let tls = tls(args)?;
    // Before weights are loaded, which takes minutes.
    let bound = Bound::to(&args.host, args.port)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let (backend, words): (Box<dyn Backend>, String) = match script {
        Some(script) => {
            let names = script.models.join(", ");
            let words =
                format!("vlm-server: SCRIPTED, no model: answers are made-up tokens at set times; served as {names}");
            (Box::new(ScriptedBackend::new(script)), words)
        }
        None => {
            if !args.ignored_names.is_empty() {
                say(&format!("without meaning on a CPU, and ignored: {}", args.ignored_names.join(", ")));
            }
            let backend = loading::backend(args, say)?;
            let words = format!("vlm-server: served as {}", backend.models().join(", "));
            (Box::new(backend), words)
        }
    };
    let mut listening = Listening::on(bound, tls, backend)?;
    listening.spin = args.spin;
    listening.limits.bodies_bytes_max = usize::try_from(args.max_body_memory_mib).unwrap_or(usize::MAX) << 20;
    listening.keep = if args.truth_log.is_some() { Keep::Times } else { Keep::Nothing };
    let handle = listening.handle();
    let _ = running.set(handle.clone());
    say(&words);
    say(&format!("listening on {scheme}://{}", listening.address()?));
    listening.serve()?;
    write_truth(args, &handle)
}

/// Waits for signals in a thread of its own, and blocks them in every other from here on. What they end is put into the
/// cell once it runs; before that they end the process.
fn heed_signals(is_scripted: bool) -> Result<Arc<OnceLock<StopHandle>>, ServeError> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    let running: Arc<OnceLock<StopHandle>> = Arc::default();
    let server = Arc::clone(&running);
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        let mut drains = !is_scripted;
        while let Ok(signal) = signals.wait() {
            match server.get() {
                None => std::process::exit(BY_SIGNAL + signal as i32),
                // Answers of a model are finished first; a second signal ends them too.
                Some(server) if drains => {
                    say("ending: what is under way is finished; a second signal ends it now");
                    server.drain();
                    drains = false;
                }
                Some(server) => server.stop(),
            }
        }
    })?;
    Ok(running)
}

/// Ends what is in the cell at the end of the standard input; before it runs, the process.
fn end_with_stdin(running: Arc<OnceLock<StopHandle>>) -> Result<(), ServeError> {
    std::thread::Builder::new().name("stdin".into()).spawn(move || {
        // An input that cannot be read is at its end.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        match running.get() {
            Some(server) => server.stop(),
            None => {
                say("ending: standard input ended before anything was served");
                std::process::exit(0);
            }
        }
    })?;
    Ok(())
}

fn tls(args: &Args) -> Result<Option<Arc<ServerConfig>>, ServeError> {
    let (Some(certificate), Some(key)) = (&args.ssl_certfile, &args.ssl_keyfile) else { return Ok(None) };
    let read = |path: &std::path::Path| {
        std::fs::read(path).map_err(|why| ServeError::Certificate(format!("{}: {why}", path.display())))
    };
    tls_config(&read(certificate)?, &read(key)?).map(Some)
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
