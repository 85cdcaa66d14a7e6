//! `vlm-server`: reads vLLM's command line and serves, by now from a script.

use nix::sys::signal::{SigSet, Signal};
use serve::cli::{self, Args};
use serve::{Keep, Listening, ScriptedBackend, StopHandle};
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match cli::parse(std::env::args_os()) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    if !args.scripted {
        anyhow::bail!(
            "this build has no engine: it can only play scripts; give --scripted (and --help shows what a script can do)"
        );
    }
    let mut script = args.script()?;
    if args.print_script {
        // What is printed ends in files: the key does not.
        script.api_key = None;
        let mut out = std::io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, &script)?;
        writeln!(out)?;
        return Ok(());
    }
    raise_open_files();
    let names = script.models.join(", ");
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    let mut listening = Listening::bind(&args.host, args.port, None, Box::new(ScriptedBackend::new(script)))?;
    listening.spin = args.spin;
    listening.keep = if args.truth_log.is_some() { Keep::Times } else { Keep::Nothing };
    let handle = listening.handle();
    say(&format!("vlm-server: SCRIPTED, no model: answers are made-up tokens at set times; served as {names}"));
    say(&format!("listening on http://{}", listening.address()?));
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

fn write_truth(args: &Args, handle: &StopHandle) -> anyhow::Result<()> {
    use anyhow::Context;
    if let Some(path) = &args.truth_log {
        let json = serde_json::to_vec(&handle.records())?;
        std::fs::write(path, json).with_context(|| format!("--truth-log {}", path.display()))?;
    }
    Ok(())
}

fn say(text: &str) {
    // Nobody can be told that stderr is gone.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
