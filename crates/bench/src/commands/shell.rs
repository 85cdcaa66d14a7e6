//! `completions` and `man`: what a shell and `man` are to know of the command line, both from clap's description of it.

use super::{unusable, write_out};
use crate::cli::{self, CompletionsArgs, ManArgs};
use crate::session::Failure;
use measure::Lang;

/// Prints the completion script of a shell, with the help in this language.
///
/// # Errors
/// [`Failure`], when stdout takes nothing.
pub fn completions(args: &CompletionsArgs, lang: Lang) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut without_hidden(&cli::command(lang)), "vlm-benchmark", &mut script);
    write_out(&script)?;
    Ok(0)
}

/// The command as far as its help shows it: clap_complete offers sub-commands that are hidden too.
fn without_hidden(command: &clap::Command) -> clap::Command {
    let arguments = command.get_arguments().filter(|arg| !arg.is_hide_set()).cloned();
    let commands = command.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    clap::Command::new("vlm-benchmark")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_flag(command.is_disable_help_flag_set())
        .disable_version_flag(command.is_disable_version_flag_set())
        .disable_help_subcommand(command.is_disable_help_subcommand_set())
        .args(arguments)
        .subcommands(commands)
}

/// Writes a page for the program and one for each sub-command into a folder, which is made if it is not there.
///
/// # Errors
/// [`Failure`], when the folder cannot be made or written.
pub fn man(args: &ManArgs, lang: Lang) -> Result<u8, Failure> {
    let folder = &args.pages;
    let written = std::fs::create_dir_all(folder);
    written.and_then(|()| clap_mangen::generate_to(cli::command(lang), folder)).map_err(|why| {
        let given = folder.display();
        unusable(lang.pick(
            format!("man {given}: {why}; give a folder that can be written"),
            format!("man {given}：{why}；请给出可写的目录"),
        ))
    })?;
    Ok(0)
}
