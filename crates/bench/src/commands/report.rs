//! `report`: a run's figures again, from its records.

use super::{unusable, write_out};
use crate::cli::{ReportArgs, ReportFormat};
use crate::plan;
use crate::session::Failure;
use crate::store::{csv_bytes, pretty, read_run};
use measure::{Header, Lang, RunLog, RunSummary, Summarise};

/// Computes a run's figures again and prints them; the status is 4 when a limit or the score of the run is missed.
///
/// # Errors
/// [`Failure`] with a line that says what was given and what is expected.
pub fn report(args: &ReportArgs, lang: Lang) -> Result<u8, Failure> {
    let given = |error: plan::PlanError| unusable(error.text(lang));
    let goodput = plan::goodput(&args.goodput).map_err(given)?;
    let slo = plan::run_limits(&args.slo).map_err(given)?;
    let log = read_run(&args.run).map_err(|error| unusable(error.text(lang)))?;
    if let Some(given) = args.min_score.filter(|_| log.header.expectations.is_empty()) {
        return Err(unusable(lang.pick(
            format!("--min-score {given}: this run was made without --expect, so it has no score: leave --min-score out, or give a run with --expect"),
            format!("--min-score {given}：该运行未使用 --expect，没有得分：请去掉 --min-score，或给出使用 --expect 的运行"),
        )));
    }
    let mut how = Summarise::as_planned(&log.header);
    how.definitions = args.definitions.map_or(how.definitions, Into::into);
    how.clock = args.clock.map_or(how.clock, Into::into);
    if !goodput.is_empty() {
        how.goodput = goodput;
    }
    if !slo.is_empty() {
        how.slo = slo;
    }
    how.min_score = args.min_score.or(how.min_score);
    let summary = RunSummary::of(&log, &how);
    write_out(&rendered(args, &log, &summary, &how, lang))?;
    Ok(if summary.keeps_slo() && summary.keeps_min_score() { 0 } else { 4 })
}

fn rendered(args: &ReportArgs, log: &RunLog, summary: &RunSummary, how: &Summarise, lang: Lang) -> Vec<u8> {
    match args.format {
        ReportFormat::Text => {
            format!("{}{}", measure::block(summary), measure::report(log, summary, lang)).into_bytes()
        }
        ReportFormat::Block => measure::block(summary).into_bytes(),
        ReportFormat::Json => pretty(summary),
        ReportFormat::Csv => csv_bytes(&measure::requests_csv(log, how), args.bom),
        ReportFormat::Vllm => pretty(&measure::vllm_json(log, summary, how, &date(&log.header))),
    }
}

/// When the run began, as `vllm bench serve` writes it; empty where the header's time cannot be read.
fn date(header: &Header) -> String {
    let started = header.run.started.parse::<jiff::Timestamp>().ok();
    started.map(|at| at.strftime("%Y%m%d-%H%M%S").to_string()).unwrap_or_default()
}
