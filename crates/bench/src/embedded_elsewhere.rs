//! `--embedded` where `vlm-server` does not run: it says so.

use crate::cli::RunArgs;
use crate::session::Failure;
use crate::stop::StopSignal;
use measure::Lang;
use std::path::{Path, PathBuf};

/// Nothing can be prepared.
///
/// # Errors
/// Always: [`Failure`].
pub fn prepare(_: &RunArgs, lang: Lang) -> Result<(RunArgs, PathBuf), Failure> {
    let text = lang.pick(
        "--embedded: vlm-server runs on Linux only; name a server by --host and --port, or --base-url",
        "--embedded：vlm-server 只能在 Linux 上运行；请用 --host 与 --port 或 --base-url 指定服务端",
    );
    Err(Failure { status: 2, text: text.to_owned() })
}

/// Nothing can be started.
///
/// # Errors
/// Always: [`Failure`].
pub fn start(args: RunArgs, _: &Path, _: &StopSignal, lang: Lang) -> Result<(RunArgs, ()), Failure> {
    prepare(&args, lang).map(|(args, _)| (args, ()))
}
