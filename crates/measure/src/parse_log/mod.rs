//! Benchmark blocks and accuracy answers out of a text log: the script's, this client's, those of
//! `vllm bench serve` and `sglang.bench_serving`, mixed as they come. Pure: it must not know files, CSV or screens.
//!
//! The rule for every cell: the log's own characters, or nothing. What the parser that people used before drops in
//! silence is kept, with a [`Note`] that says so.

mod answer;
mod block;
mod draft;
mod lines;
mod note;
#[cfg(test)]
mod tests;

pub use answer::Answer;
pub use block::{Block, COLUMNS, Column, Flavour, InputCount, TTFT_MS_LIMIT};
pub use note::Note;

use answer::Answers;
use draft::{Draft, Heading, Taken};

/// What a log holds, each list in the order of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogReport {
    /// The benchmark blocks.
    pub blocks: Vec<Block>,
    /// The answers of accuracy runs.
    pub answers: Vec<Answer>,
    /// Remarks, ordered by line.
    pub notes: Vec<Note>,
}

/// Reads a whole log. Never fails: a text without anything in it gives empty lists.
pub fn parse(text: &str) -> LogReport {
    let lines = lines::split(text);
    let mut reader = Reader::default();
    for index in 0..lines.len() {
        reader.line(lines.get(index..).unwrap_or_default());
    }
    reader.finish()
}

/// The state between lines: at most one block and one answer are open.
#[derive(Default)]
struct Reader {
    draft: Option<Draft>,
    batch_size: Option<u64>,
    answers: Answers,
    blocks: Vec<Block>,
    notes: Vec<Note>,
}

impl Reader {
    /// Takes the first of these lines; the others are only looked at.
    fn line(&mut self, lines: &[lines::Line]) {
        let Some(line) = lines.first() else {
            return;
        };
        if let Some(heading) = Heading::read(&line.text) {
            self.end_block(false);
            self.answers.interrupt();
            self.draft = Some(Draft::new(heading, line.number, self.batch_size.take()));
        } else if let Some(batch_size) = batch_size(&line.text) {
            self.end_block(false);
            self.answers.interrupt();
            self.batch_size = Some(batch_size);
        } else if let Some(marker) = self.answers.marker(lines) {
            // A new run has begun: an open block was cut off.
            self.end_block(false);
            self.answers.mark(marker, line.number);
        } else {
            match self.draft.as_mut().map_or(Taken::No, |draft| draft.offer(line)) {
                Taken::Yes => {}
                Taken::Closing => self.end_block(true),
                Taken::No => self.answers.more(&line.text),
            }
        }
    }

    fn end_block(&mut self, complete: bool) {
        if let Some(draft) = self.draft.take() {
            let (block, notes) = draft.finish(complete);
            self.blocks.push(block);
            self.notes.extend(notes);
        }
    }

    fn finish(mut self) -> LogReport {
        self.end_block(false);
        let (answers, answer_notes) = self.answers.finish();
        let mut notes = self.notes;
        notes.extend(answer_notes);
        notes.sort_by_key(Note::line);
        LogReport { blocks: self.blocks, answers, notes }
    }
}

/// N of `Running benchmark with batch size N`; it counts for the next block only.
fn batch_size(line: &str) -> Option<u64> {
    let rest = lines::find(line, "Running benchmark with batch size")?.rest;
    let digits = rest.trim_start_matches([' ', '\t', ':', '=']);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}
