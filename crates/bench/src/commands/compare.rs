//! `compare`: runs that are there, side by side.

use super::{unusable, write_out};
use crate::cli::{CompareArgs, CompareFormat};
use crate::session::Failure;
use crate::store::{csv_bytes, pretty, read_run};
use measure::{Comparison, Lang, RunLog, Summarise};
use std::io::Write;

/// Computes the figures of two or more runs in one way and prints them side by side.
///
/// # Errors
/// [`Failure`] for a run that cannot be read: then nothing is printed.
pub fn compare(args: &CompareArgs, lang: Lang) -> Result<u8, Failure> {
    let read = |path: &std::path::PathBuf| {
        let log = read_run(path).map_err(|error| unusable(error.text(lang)))?;
        Ok((path.display().to_string(), log))
    };
    let runs = args.runs.iter().map(read).collect::<Result<Vec<(String, RunLog)>, Failure>>()?;
    let planned = runs.first().map(|(_, log)| Summarise::as_planned(&log.header)).unwrap_or_default();
    let how = Summarise {
        definitions: args.definitions.map_or(planned.definitions, Into::into),
        clock: args.clock.map_or(planned.clock, Into::into),
        ..Summarise::default()
    };
    let comparison = Comparison::of(&runs, &how);
    write_out(&match args.format {
        CompareFormat::Text => comparison.text(lang).into_bytes(),
        CompareFormat::Json => pretty(&comparison),
        CompareFormat::Csv => {
            // Nobody can be told that stderr is gone.
            let _ = std::io::stderr().lock().write_all(comparison.remarks(lang).as_bytes());
            csv_bytes(&comparison.rows(), args.bom)
        }
    })?;
    Ok(0)
}
