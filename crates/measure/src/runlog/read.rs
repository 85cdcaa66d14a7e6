//! Lines → a run's log. What a crash leaves is read as far as it goes; what is damaged elsewhere is refused, so that no
//! record is lost in silence. It must not know files.

use super::{Footer, Header, Line, RunLog, SCHEMA_VERSION};
use crate::lang::Lang;
use crate::record::RequestRecord;
use serde_json::Value;
use std::collections::HashMap;

/// Why a log cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// No header line.
    #[error("this is no log of a run: its first line is no header; a run folder's run.jsonl was expected")]
    NoHeader,
    /// A newer program wrote it.
    #[error("this log has schema {found}, and this program reads up to {SCHEMA_VERSION}: use a newer vlm-benchmark")]
    Newer {
        /// The log's schema.
        found: u32,
    },
    /// A line that is none of ours, and no torn last one.
    #[error("line {line} of the log cannot be read: {why}")]
    BadLine {
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

impl LogError {
    /// The error in one language; what a line of it cannot be read for stays in the reader's own words.
    #[must_use]
    pub fn text(&self, lang: Lang) -> String {
        match (self, lang) {
            (_, Lang::En) => self.to_string(),
            (Self::NoHeader, Lang::Zh) => "这不是运行日志：第一行不是头部；应为运行目录中的 run.jsonl".into(),
            (Self::Newer { found }, Lang::Zh) => {
                format!("日志的 schema 为 {found}，本程序最多读到 {SCHEMA_VERSION}：请使用更新的 vlm-benchmark")
            }
            (Self::BadLine { line, why }, Lang::Zh) => format!("无法读取日志第 {line} 行：{why}"),
        }
    }
}

impl RunLog {
    /// Reads a log; see [`RunLog::parse_bytes`].
    ///
    /// # Errors
    /// [`LogError`], with the line's number.
    pub fn parse(text: &str) -> Result<Self, LogError> {
        Self::parse_bytes(text.as_bytes())
    }

    /// Reads a log as it lies on the disk. A last line without its line end that cannot be read is what a crash tore, in
    /// the middle of a character perhaps, and is dropped. A line WITH its line end was written whole (inside a line JSON
    /// has none): if it cannot be read the file was damaged, and that is an error, for the last line too.
    ///
    /// # Errors
    /// [`LogError`], with the line's number.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, LogError> {
        let mut parser = LogParser::default();
        bytes.split_inclusive(|byte| *byte == b'\n').try_for_each(|line| parser.line(line))?;
        parser.finish()
    }
}

/// A log line by line, for those that are too long to be held as text.
#[derive(Debug, Default)]
pub struct LogParser {
    lines: usize,
    header: Option<Header>,
    records: Vec<RequestRecord>,
    footer: Option<Footer>,
}

impl LogParser {
    /// Takes the next line, its line end included.
    ///
    /// # Errors
    /// [`LogError`], with the line's number.
    pub fn line(&mut self, line: &[u8]) -> Result<(), LogError> {
        self.lines += 1;
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        if self.header.is_none() {
            self.header = Some(header(line)?);
            return Ok(());
        }
        let bad = |why: String| LogError::BadLine { line: self.lines, why };
        match serde_json::from_slice::<Line>(line) {
            Ok(_) if self.footer.is_some() => return Err(bad("the log goes on after its footer".into())),
            Ok(Line::Request(record)) => self.records.push(*record),
            Ok(Line::Footer(last)) => self.footer = Some(*last),
            Ok(Line::Header(_)) => return Err(bad("a second header".into())),
            Err(_) if !line.ends_with(b"\n") => {}
            Err(error) => return Err(bad(error.to_string())),
        }
        Ok(())
    }

    /// The whole log.
    ///
    /// # Errors
    /// [`LogError::NoHeader`] when no line came.
    pub fn finish(self) -> Result<RunLog, LogError> {
        let Self { header, mut records, footer, .. } = self;
        let header = header.ok_or(LogError::NoHeader)?;
        if let Some(footer) = &footer {
            take_counts(&mut records, footer);
        }
        records.sort_by_key(|record| record.index);
        Ok(RunLog { header, records, footer })
    }
}

fn header(line: &[u8]) -> Result<Header, LogError> {
    let schema = serde_json::from_slice::<Value>(line)
        .ok()
        .filter(|value| value["type"] == "header")
        .and_then(|value| value["schema"].as_u64())
        .ok_or(LogError::NoHeader)?;
    if schema > u64::from(SCHEMA_VERSION) {
        return Err(LogError::Newer { found: u32::try_from(schema).unwrap_or(u32::MAX) });
    }
    match serde_json::from_slice::<Line>(line) {
        Ok(Line::Header(header)) => Ok(*header),
        Ok(_) => Err(LogError::NoHeader),
        Err(error) => Err(LogError::BadLine { line: 1, why: error.to_string() }),
    }
}

/// Puts what the client counted after the run where it belongs.
fn take_counts(records: &mut [RequestRecord], footer: &Footer) {
    let counted: HashMap<u64, u64> = footer.retokenised.iter().copied().collect();
    for record in records {
        record.retokenised = record.retokenised.or_else(|| counted.get(&record.index).copied());
    }
}
