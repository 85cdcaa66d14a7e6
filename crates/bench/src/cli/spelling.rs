//! Both spellings of every flag, and the language of the help.

use super::args::Cli;
use super::chinese;
use clap::{CommandFactory, FromArgMatches};
use measure::Lang;
use std::collections::HashSet;
use std::ffi::OsString;

/// The command with its help in one language.
#[must_use]
pub fn command(lang: Lang) -> clap::Command {
    // A negative number is a value, so that what is said is that it is out of bounds.
    let command = with_negative_numbers(Cli::command());
    match lang {
        Lang::En => command,
        Lang::Zh => chinese::translate(command),
    }
}

fn with_negative_numbers(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|arg| {
        let can_be = arg.get_action().takes_values() && !arg.is_allow_hyphen_values_set();
        arg.allow_negative_numbers(can_be)
    });
    command.mut_subcommands(with_negative_numbers)
}

/// Reads a command line in which `--batch_size` and `--batch-size` are the same flag.
///
/// # Errors
/// clap's, with the help in the language; help and version are "errors" too, in clap's way.
pub fn parse(argv: impl IntoIterator<Item = OsString>, lang: Lang) -> Result<Cli, clap::Error> {
    let command = command(lang);
    let flags = long_flags(&command);
    let argv = argv.into_iter().map(|word| with_hyphens(word, &flags)).collect();
    let argv = language_last(argv, &command);
    let matches = command.try_get_matches_from(argv)?;
    Cli::from_arg_matches(&matches)
}

fn long_flags(command: &clap::Command) -> HashSet<String> {
    let own = command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned));
    own.chain(command.get_subcommands().flat_map(long_flags)).collect()
}

/// `--lang zh report RUN` becomes `report RUN --lang zh`: before a subcommand clap takes it for a run's flag.
fn language_last(mut argv: Vec<OsString>, command: &clap::Command) -> Vec<OsString> {
    let words = match argv.get(1).and_then(|word| word.to_str()) {
        Some("--lang") => 2,
        Some(word) if word.starts_with("--lang=") => 1,
        _ => return argv,
    };
    let next = argv.get(1 + words).and_then(|word| word.to_str()).and_then(|word| command.find_subcommand(word));
    // The hidden one passes on all that follows it.
    if next.is_some_and(|subcommand| !subcommand.is_hide_set()) {
        let language: Vec<OsString> = argv.drain(1..=words).collect();
        argv.extend(language);
    }
    argv
}

/// `--a_b=c_d` becomes `--a-b=c_d` when `--a-b` is a flag; everything else stays as it is.
fn with_hyphens(word: OsString, flags: &HashSet<String>) -> OsString {
    let Some(text) = word.to_str().and_then(|text| text.strip_prefix("--")) else { return word };
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let hyphened = name.replace('_', "-");
    if hyphened == name || !flags.contains(&hyphened) {
        return word;
    }
    match value {
        Some(value) => format!("--{hyphened}={value}").into(),
        None => format!("--{hyphened}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_may_stand_before_a_subcommand() {
        let parsed = |words: &str| {
            let argv = std::iter::once("vlm-benchmark").chain(words.split_whitespace()).map(OsString::from);
            parse(argv, Lang::Zh).map(|cli| format!("{:?} {:?}", cli.command.is_some(), cli.run.lang))
        };
        for words in ["--lang zh report r", "--lang=zh report r", "report r --lang zh"] {
            assert_eq!(parsed(words).unwrap(), parsed("report r --lang zh").unwrap(), "{words}");
        }
        assert!(parsed("--lang report").is_err());
    }

    fn run(words: &str) -> super::super::RunArgs {
        let argv = std::iter::once("vlm-benchmark").chain(words.split_whitespace()).map(OsString::from);
        parse(argv, Lang::En).unwrap().run
    }

    #[test]
    fn both_spellings_are_one_flag() {
        for words in ["--batch_size 4 --output_len=7 --ignore_eos", "--batch-size 4 --output-len 7 --ignore-eos"] {
            let args = run(words);
            assert_eq!((args.batch_size, args.output_len, args.ignore_eos), (Some(4), 7, true), "{words}");
        }
    }

    #[test]
    fn values_keep_their_underscores() {
        assert_eq!(run("--prompt a_b --label=c_d").prompt, "a_b");
        assert_eq!(run("--prompt a_b --label=c_d").label.as_deref(), Some("c_d"));
    }

    #[test]
    fn times_with_their_units() {
        for (word, seconds) in [("90", 90.0), ("90s", 90.0), ("1.5m", 90.0), ("2h", 7200.0), ("500ms", 0.5)] {
            assert_eq!(run(&format!("--duration {word} --idle-timeout={word}")).duration, Some(seconds), "{word}");
        }
        let error = parse(["vlm-benchmark", "--duration", "1d"].map(OsString::from), Lang::En).unwrap_err();
        assert!(error.to_string().contains("5m, 2h"), "{error}");
    }

    #[test]
    fn the_commands_of_the_script() {
        let args = run("--image_path ./test.png --prompt 请描述图片 --model /data/models/Qwen2-VL-7B-Instruct \
             --served-model-name Qwen2-VL-7B-Instruct --batch_size 1 --port 8001 --host 127.0.0.1 --ignore-eos --output_len 512");
        assert_eq!((args.port, args.output_len, args.ignore_eos), (8001, 512, true));
        assert_eq!(args.served_model_name.as_deref(), Some("Qwen2-VL-7B-Instruct"));
    }

    #[test]
    fn clap_finds_no_fault_in_either_language() {
        command(Lang::En).debug_assert();
        command(Lang::Zh).debug_assert();
    }

    #[test]
    fn every_flag_has_chinese_help() {
        fn check(command: &clap::Command) {
            for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(!help.is_ascii(), "{}: {help}", arg.get_id());
                for value in arg.get_possible_values().iter().filter_map(|value| value.get_help()) {
                    let help = value.to_string();
                    assert!(!help.is_ascii(), "{}: {help}", arg.get_id());
                }
            }
            command.get_subcommands().filter(|command| !command.is_hide_set()).for_each(check);
        }
        check(&command(Lang::Zh));
    }
}
