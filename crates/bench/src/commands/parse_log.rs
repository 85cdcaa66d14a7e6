//! `parse-log`: logs → CSV on stdout; what there is to say about them on stderr.

use super::{unusable, write_out};
use crate::cli::ParseLogArgs;
use crate::session::Failure;
use crate::store::csv_bytes;
use measure::Lang;
use measure::parse_log::{Block, COLUMNS, LogReport, parse};
use std::io::{Read, Write};
use std::path::Path;

/// Turns logs into CSV. One log gives the script's ten columns and nothing else; several get a column `file` behind them.
/// The status is 1 when a log held nothing of what was asked for.
///
/// # Errors
/// [`Failure`] for a log that cannot be read: then nothing is written.
pub fn parse_log(args: &ParseLogArgs, lang: Lang) -> Result<u8, Failure> {
    let logs =
        args.logs.iter().map(|path| Ok((name(path), parse(&read(path, lang)?)))).collect::<Result<Vec<_>, _>>()?;
    let several = logs.len() > 1;
    let mut rows = vec![head(args, several)];
    let mut status = 0;
    for (file, log) in &logs {
        let mut found = if args.answers { answer_rows(log) } else { block_rows(log, args.flags) };
        for note in log.notes.iter().filter(|note| note.is_about_an_answer() == args.answers) {
            say(file, &note.text(lang));
        }
        if found.is_empty() {
            say(file, &nothing_found(log, args.answers, lang));
            status = 1;
        }
        if several {
            found.iter_mut().for_each(|row| row.push(file.clone()));
        }
        rows.append(&mut found);
    }
    write_out(&csv_bytes(&rows, args.bom))?;
    Ok(status)
}

/// How a log is called in the CSV and on stderr: as it was typed.
fn name(path: &Path) -> String {
    path.display().to_string()
}

fn say(file: &str, text: &str) {
    // Nobody can be told that stderr is gone.
    let _ = writeln!(std::io::stderr().lock(), "{file}: {text}");
}

fn head(args: &ParseLogArgs, several: bool) -> Vec<String> {
    let columns: &[&str] = if args.answers { &["image", "answer"] } else { &COLUMNS };
    let flags = (args.flags && !args.answers).then_some("flags");
    let more = flags.into_iter().chain(several.then_some("file"));
    columns.iter().copied().chain(more).map(str::to_owned).collect()
}

fn answer_rows(log: &LogReport) -> Vec<Vec<String>> {
    let row = |answer: &measure::parse_log::Answer| vec![answer.image.clone().unwrap_or_default(), answer.text.clone()];
    log.answers.iter().map(row).collect()
}

fn block_rows(log: &LogReport, flags: bool) -> Vec<Vec<String>> {
    let row = |block: &Block| {
        let cells = block.row().map(|cell| cell.unwrap_or_default().to_owned());
        cells.into_iter().chain(flags.then(|| block.flags().join(" "))).collect()
    };
    log.blocks.iter().map(row).collect()
}

/// What to do about a log without a row.
fn nothing_found(log: &LogReport, answers: bool, lang: Lang) -> String {
    let (blocks_there, answers_there) = (log.blocks.len(), log.answers.len());
    match (answers, blocks_there, answers_there) {
        (false, _, 1..) => lang.pick(
            format!("no benchmark block was found, but {answers_there} answer(s): --answers writes those"),
            format!("没有找到性能结果块，但有 {answers_there} 个回答：用 --answers 输出"),
        ),
        (true, 1.., _) => lang.pick(
            format!("no answer was found, but {blocks_there} benchmark block(s): leave --answers out for those"),
            format!("没有找到回答，但有 {blocks_there} 个性能结果块：去掉 --answers 即可输出"),
        ),
        _ => lang.pick(
            "neither a benchmark block (heading `Serving Benchmark Result`) nor an answer (`输出结果：`) was found: is it the client's output and not the server's, and is its text UTF-8?".into(),
            "既没有性能结果块（标题 `Serving Benchmark Result`），也没有回答（`输出结果：`）：请确认它是客户端而不是服务端的输出，并且编码是 UTF-8".into(),
        ),
    }
}

/// UTF-8, or UTF-16 with its byte order mark as Windows shells write it; anything else with replacement characters.
fn read(path: &Path, lang: Lang) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        read.map_err(|error| unusable(format!("{}: {error}", lang.pick("standard input", "标准输入"))))?;
    } else {
        let expected = lang.pick("a log file is expected", "应为日志文件");
        bytes = std::fs::read(path).map_err(|error| unusable(format!("{}: {expected}: {error}", path.display())))?;
    }
    let wide = |from: fn([u8; 2]) -> u16| {
        let pairs = bytes.get(2..).unwrap_or_default().chunks_exact(2);
        let units: Vec<u16> = pairs.filter_map(|pair| Some(from(pair.try_into().ok()?))).collect();
        String::from_utf16_lossy(&units)
    };
    Ok(match bytes.as_slice() {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    })
}
