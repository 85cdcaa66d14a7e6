//! `report` and `parse-log`: from disk, without a server.

use crate::cli::{ParseLogArgs, ReportArgs, ReportFormat};
use crate::plan;
use crate::store::{csv_bytes, pretty, read_run};
use anyhow::Context;
use measure::{Lang, RunSummary, Summarise, parse_log};
use std::io::{Read, Write};
use std::path::Path;

/// Computes a run's figures again and prints them.
///
/// # Errors
/// A line that says what was given and what is expected.
pub fn report(args: &ReportArgs, lang: Lang) -> anyhow::Result<()> {
    let how = Summarise {
        definitions: args.definitions.into(),
        clock: args.clock.into(),
        goodput: plan::goodput(&args.goodput)?,
    };
    let log = read_run(&args.run)?;
    let summary = RunSummary::of(&log, &how);
    let bytes = match args.format {
        ReportFormat::Text => {
            format!("{}{}", measure::block(&summary), measure::story(&log, &summary, lang)).into_bytes()
        }
        ReportFormat::Block => measure::block(&summary).into_bytes(),
        ReportFormat::Json => pretty(&summary),
        ReportFormat::Csv => csv_bytes(&measure::requests_csv(&log, &how), args.bom),
        ReportFormat::Vllm => {
            let started = log.header.started.parse::<jiff::Timestamp>().ok();
            let date = started.map(|at| at.strftime("%Y%m%d-%H%M%S").to_string()).unwrap_or_default();
            pretty(&measure::vllm_json(&log, &summary, &how, &date))
        }
    };
    write_out(&bytes)
}

/// Turns logs into CSV on stdout; what there is to say about them goes to stderr.
///
/// # Errors
/// A log that cannot be read.
pub fn parse_logs(args: &ParseLogArgs, lang: Lang) -> anyhow::Result<()> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut talk = std::io::stderr().lock();
    for path in &args.logs {
        let text = read_log(path)?;
        let log = parse_log::parse(&text);
        for note in &log.notes {
            writeln!(talk, "{}: {}", path.display(), note.text(lang == Lang::Zh))?;
        }
        if args.answers {
            rows.extend(log.answers.iter().map(|a| vec![a.image.clone().unwrap_or_default(), a.text.clone()]));
        } else {
            rows.extend(log.blocks.iter().map(|block| block_row(block, args.flags)));
        }
    }
    if rows.is_empty() {
        let what = if args.answers { lang.pick("answers", "回答") } else { lang.pick("blocks", "结果块") };
        writeln!(talk, "{}", lang.pick(format!("no {what} were found"), format!("没有找到{what}")))?;
    }
    rows.insert(0, head(args));
    write_out(&csv_bytes(&rows, args.bom))
}

fn head(args: &ParseLogArgs) -> Vec<String> {
    if args.answers {
        return vec!["image".into(), "answer".into()];
    }
    let mut head: Vec<String> = parse_log::COLUMNS.iter().map(|name| (*name).to_owned()).collect();
    if args.flags {
        head.push("flags".into());
    }
    head
}

fn block_row(block: &parse_log::Block, flags: bool) -> Vec<String> {
    let mut row: Vec<String> = block.row().iter().map(|cell| cell.unwrap_or_default().to_owned()).collect();
    if flags {
        row.push(block.flags().join(" "));
    }
    row
}

/// UTF-8, or UTF-16 with its byte order mark as Windows shells write it; anything else with replacement characters.
fn read_log(path: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).context("standard input")?;
    } else {
        bytes = std::fs::read(path).with_context(|| format!("{}: a log file is expected", path.display()))?;
    }
    let wide = |from: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes[2..].chunks_exact(2).map(|pair| from([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    Ok(match bytes.as_slice() {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    })
}

fn write_out(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        // `… | head` is no failure.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
