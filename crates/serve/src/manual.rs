//! `vlm-server completions SHELL` and `vlm-server man DIR`: what a shell and `man` are to know of the command line. They are no
//! sub-commands of clap's, because vLLM's command line has a model where those would stand; two words were never a model.

use crate::cli::{Args, flag};
use crate::error::ServeError;
use clap::CommandFactory;
use clap_complete::Shell;
use std::io::Write;

/// Does what the words that are no flags ask for, if they ask for one of the two.
///
/// # Errors
/// [`ServeError::Flag`]: no such shell, or a folder that cannot be written; [`ServeError::Io`], when stdout takes nothing.
pub(crate) fn asked(args: &Args) -> Option<Result<(), ServeError>> {
    match args.words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["completions", shell] => Some(completions(shell)),
        ["man", folder] => Some(page(folder)),
        _ => None,
    }
}

fn completions(shell: &str) -> Result<(), ServeError> {
    let shells = "bash, elvish, fish, powershell or zsh";
    let shell = shell.parse::<Shell>().map_err(|_| flag("completions", shell, shells))?;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "vlm-server", &mut script);
    Ok(std::io::stdout().lock().write_all(&script)?)
}

fn page(folder: &str) -> Result<(), ServeError> {
    let written = std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(Args::command(), folder));
    written.map_err(|why| flag("man", &format!("{folder} ({why})"), "a folder that can be written"))
}
