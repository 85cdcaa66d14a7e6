//! `vlm-benchmark`: reads the command line and says how it went.

use bench::cli::{self, Command, RunArgs};
use bench::plan::{Plan, PlanError};
use bench::session::{self, ExtraFiles, Failure, Output};
use bench::{commands, embedded, stop, store};
use measure::Lang;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    let lang = language(&argv);
    let cli = match cli::parse(argv, lang) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout with status 0, faults to stderr with status 2.
            let _ = match cli::fault(&error, lang) {
                Some(text) => writeln!(std::io::stderr().lock(), "{text}"),
                None => error.print(),
            };
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let result = match &cli.command {
        Some(Command::Report(args)) => commands::report(args, lang),
        Some(Command::Compare(args)) => commands::compare(args, lang),
        Some(Command::ParseLog(args)) => commands::parse_log(args, lang),
        Some(Command::Scenes(args)) => commands::scenes(args, lang),
        Some(Command::Completions(args)) => commands::completions(args, lang),
        Some(Command::Man(args)) => commands::man(args, lang),
        #[cfg(target_os = "linux")]
        Some(Command::Calibrate(args)) => bench::calibrate::run(args, lang),
        #[cfg(target_os = "linux")]
        Some(Command::Server(args)) => {
            return serve::main(std::iter::once("vlm-server".into()).chain(args.words.iter().cloned()));
        }
        None => run(&cli.run, lang),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            let word = lang.pick("error", "错误");
            let _ = writeln!(std::io::stderr().lock(), "{word}: {}", failure.text);
            ExitCode::from(failure.status)
        }
    }
}

fn run(args: &RunArgs, lang: Lang) -> Result<u8, Failure> {
    let refused = |error: PlanError| Failure { status: 2, text: error.text(lang) };
    let embedded = args.embedded.then(|| embedded::prepare(args, lang)).transpose()?;
    let (prepared, model) = embedded.map_or_else(|| (args.clone(), None), |(args, model)| (args, Some(model)));
    let (plan, access) = Plan::new(&prepared).map_err(refused)?;
    if args.dry_run {
        session::check_files(&plan, &access, lang)?;
        let _ = std::io::stdout().lock().write_all(&store::pretty(&plan));
        return Ok(0);
    }
    let output = Output {
        folder: args.output_dir.clone(),
        no_save: args.no_save,
        extras: ExtraFiles { bom: args.bom, save_result: args.save_result },
        label: args.label.clone(),
        card: args.card.clone(),
        driver: args.driver.clone(),
    };
    // Before any other thread: threads inherit the mask.
    let stop = stop::catch_signals().map_err(|error| Failure { status: 1, text: error.to_string() })?;
    let draft = session::read_files(&plan, &access, lang)?;
    let Some(model) = model else { return session::run(plan, access, draft, &output, stop, lang) };
    let server = embedded::start(&model, &stop, lang)?;
    let (plan, access) = plan.moved(access, server.url()).map_err(refused)?;
    session::run(plan, access, draft, &output, stop, lang)
}

/// `--lang` wherever it stands, because the help comes before the command line is understood; else the locale's.
fn language(argv: &[OsString]) -> Lang {
    let words: Vec<&str> = argv.iter().filter_map(|word| word.to_str()).collect();
    let given = words.iter().zip(words.iter().skip(1)).find(|(flag, _)| **flag == "--lang").map(|(_, value)| *value);
    let given = given.or_else(|| words.iter().find_map(|word| word.strip_prefix("--lang=")));
    match given {
        Some("zh") => Lang::Zh,
        Some(_) => Lang::En,
        None if sys_locale::get_locale().is_some_and(|locale| locale.to_lowercase().starts_with("zh")) => Lang::Zh,
        None => Lang::En,
    }
}
