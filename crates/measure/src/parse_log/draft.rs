//! Reading one block: from its heading, line by line, to its end. It must not know about answers or other blocks.

use super::block::{Block, Column, Flavour, InputCount, finite, is_not_available, is_not_finite};
use super::lines::{Line, find_label, rule_width};
use super::note::Note;

/// The string at which the old parser splits a log.
const STANDARD_HEADING: &str = "============ Serving Benchmark Result ============";
const TITLE: &str = "Serving Benchmark Result";
/// Shorter rules are somebody's underlining.
const CLOSING_WIDTH_MIN: usize = 10;

/// What a heading says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heading {
    rounds: Option<u64>,
    standard: bool,
    width: usize,
}

/// What became of a line that was offered to a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// A line of the block.
    Yes,
    /// The closing line.
    Closing,
    /// Something else.
    No,
}

/// A block that is being read.
#[derive(Debug)]
pub(super) struct Draft {
    heading: Heading,
    line: usize,
    end_line: usize,
    batch_size: Option<u64>,
    values: [Option<Value>; 10],
    text_tokens: Option<String>,
    failed: Option<u64>,
    sglang: bool,
    vllm: bool,
    latency_seen: bool,
    conflicting: bool,
    notes: Vec<Note>,
}

#[derive(Debug)]
struct Value {
    text: String,
    clean: bool,
}

#[derive(Clone, Copy)]
enum Meaning {
    TextTokens,
    Failed,
    Sglang,
    Vllm,
}

/// Lines beside the ten columns that say something: `sglang.bench_serving` and `vllm bench serve` print them.
const OTHER_LINES: [(&str, Meaning); 14] = [
    ("Total input text tokens", Meaning::TextTokens),
    ("Failed requests", Meaning::Failed),
    ("Backend", Meaning::Sglang),
    ("Max request concurrency", Meaning::Sglang),
    ("Total input vision tokens", Meaning::Sglang),
    ("Total generated tokens (retokenized)", Meaning::Sglang),
    ("Input token throughput (tok/s)", Meaning::Sglang),
    ("Concurrency", Meaning::Sglang),
    ("Mean E2E Latency (ms)", Meaning::Sglang),
    ("Maximum request concurrency", Meaning::Vllm),
    ("Request rate configured (RPS)", Meaning::Vllm),
    ("Request goodput (req/s)", Meaning::Vllm),
    ("Peak output token throughput (tok/s)", Meaning::Vllm),
    ("Mean E2EL (ms)", Meaning::Vllm),
];

impl Heading {
    /// ` Serving Benchmark Result ` between any number of `=`, with or without words in brackets after it.
    pub(super) fn read(line: &str) -> Option<Self> {
        let (left, right) = line.split_once(TITLE)?;
        let bare_left = left.trim_end();
        let left_width = bare_left.len() - bare_left.trim_end_matches('=').len();
        let bare_right = right.trim_start();
        let (words, bare_right) = match bare_right.strip_prefix('(') {
            Some(inner) => inner.split_once(')')?,
            None => ("", bare_right),
        };
        let rule = bare_right.trim_start();
        let right_width = rule.len() - rule.trim_start_matches('=').len();
        if left_width == 0 || right_width == 0 {
            return None;
        }
        let skipped = (left.len() - bare_left.len()) + (right.len() - rule.len());
        Some(Self {
            rounds: words.split_whitespace().find_map(|word| word.parse().ok()),
            standard: line.contains(STANDARD_HEADING),
            width: left_width + skipped + TITLE.len() + right_width,
        })
    }
}

impl Draft {
    pub(super) fn new(heading: Heading, line: usize, batch_size: Option<u64>) -> Self {
        Self {
            heading,
            line,
            end_line: line,
            batch_size,
            values: Default::default(),
            text_tokens: None,
            failed: None,
            sglang: false,
            vllm: false,
            latency_seen: false,
            conflicting: false,
            notes: Vec::new(),
        }
    }

    /// Takes a line when it is one of the block's.
    pub(super) fn offer(&mut self, line: &Line) -> Taken {
        if self.closes(&line.text) {
            self.end_line = line.number;
            return Taken::Closing;
        }
        let taken = self.offer_column(line) || self.offer_other(line);
        if !taken {
            return Taken::No;
        }
        self.end_line = line.number;
        Taken::Yes
    }

    /// The block and the remarks on it.
    pub(super) fn finish(self, complete: bool) -> (Block, Vec<Note>) {
        let flavour = self.flavour();
        let [input, image, rest @ ..] = self.values.map(|value| value.map(|value| value.text));
        let [generated, successful, ttft, tpot, itl, requests, output, duration] = rest;
        let (input_count, input, image) = match (flavour, self.text_tokens) {
            (Flavour::Sglang, Some(text)) => (InputCount::TextAndAll, Some(text), input),
            (Flavour::Seed | Flavour::Averaged, _) => (InputCount::Script, input, image),
            _ => (InputCount::Unsaid, input, image),
        };
        let block = Block {
            line: self.line,
            end_line: self.end_line,
            flavour,
            batch_size: self.batch_size,
            rounds: self.heading.rounds,
            failed: self.failed,
            complete,
            standard_heading: self.heading.standard,
            conflicting: self.conflicting,
            input_count,
            values: [input, image, generated, successful, ttft, tpot, itl, requests, output, duration],
        };
        let mut notes = block_notes(&block);
        notes.extend(self.notes);
        (block, notes)
    }

    /// A rule ends the block when it is as wide as the heading, or when times have been printed already: programs
    /// that share the log underline things too.
    fn closes(&self, line: &str) -> bool {
        rule_width(line)
            .is_some_and(|width| width == self.heading.width || (width >= CLOSING_WIDTH_MIN && self.latency_seen))
    }

    fn offer_column(&mut self, line: &Line) -> bool {
        let hit = Column::ALL.into_iter().find_map(|column| Some((column, find_label(&line.text, column.label())?)));
        let Some((column, found)) = hit else {
            return false;
        };
        if matches!(column, Column::MeanTtftMs | Column::MeanTpotMs | Column::MeanItlMs) {
            self.latency_seen = true;
        }
        let Some(text) = found.rest.split_whitespace().next() else {
            return true;
        };
        let (line, value) = (line.number, text.to_owned());
        if is_not_available(text) || is_not_finite(text) {
            self.notes.push(Note::NotANumber { line, column, value });
        } else if finite(text).is_none() {
            self.notes.push(Note::Unreadable { line, column, value });
            return true;
        }
        self.store(line, column, text, found.clean);
        true
    }

    /// The first value stays, except that a line of its own beats one that was found after other words.
    fn store(&mut self, line: usize, column: Column, text: &str, clean: bool) {
        let Some(slot) = self.values.get_mut(column as usize) else {
            return;
        };
        match slot {
            Some(kept) if kept.clean || !clean => {
                if kept.text != text {
                    self.conflicting = true;
                    self.notes.push(Note::Conflicting {
                        line,
                        column,
                        kept: kept.text.clone(),
                        other: text.to_owned(),
                    });
                }
            }
            _ => *slot = Some(Value { text: text.to_owned(), clean }),
        }
    }

    fn offer_other(&mut self, line: &Line) -> bool {
        let hit =
            OTHER_LINES.into_iter().find_map(|(label, meaning)| Some((meaning, find_label(&line.text, label)?.rest)));
        let Some((meaning, rest)) = hit else {
            return false;
        };
        let word = rest.split_whitespace().next().unwrap_or_default();
        match meaning {
            Meaning::TextTokens => {
                self.sglang = true;
                if self.text_tokens.is_none() && finite(word).is_some() {
                    self.text_tokens = Some(word.to_owned());
                }
            }
            Meaning::Failed => {
                self.vllm = true;
                self.failed = self.failed.or_else(|| word.parse().ok());
            }
            Meaning::Sglang => self.sglang = true,
            Meaning::Vllm => self.vllm = true,
        }
        true
    }

    fn flavour(&self) -> Flavour {
        let has = |column: Column| self.values.get(column as usize).is_some_and(Option::is_some);
        if self.heading.rounds.is_some() {
            Flavour::Averaged
        } else if has(Column::ImageAndInputTokens) {
            Flavour::Seed
        } else if self.sglang {
            Flavour::Sglang
        } else if self.vllm || has(Column::GeneratedTokens) {
            // The script prints its image line before the generated tokens.
            Flavour::VllmBench
        } else {
            Flavour::Seed
        }
    }
}

/// Remarks that follow from a finished block.
fn block_notes(block: &Block) -> Vec<Note> {
    let line = block.line;
    let mut notes = Vec::new();
    match (block.rounds, block.standard_heading) {
        (Some(rounds), _) => notes.push(Note::Averaged { line, rounds }),
        (None, false) => notes.push(Note::OtherHeading { line }),
        (None, true) => {}
    }
    let mut missing = block.missing();
    if block.input_count == InputCount::Unsaid {
        missing.retain(|column| *column != Column::ImageAndInputTokens);
    }
    if !block.complete {
        let end_line = block.end_line;
        notes.push(Note::CutShort { line, end_line, missing });
    } else if !missing.is_empty() {
        let flavour = block.flavour;
        notes.push(Note::Missing { line, flavour, missing });
    }
    if block.ttft_over_limit() {
        let ttft_ms = block.text(Column::MeanTtftMs).unwrap_or_default().to_owned();
        notes.push(Note::TtftOverLimit { line, ttft_ms });
    }
    if let Some(failed) = block.failed.filter(|failed| *failed > 0) {
        notes.push(Note::Failed { line, failed });
    }
    match block.input_count {
        InputCount::TextAndAll => notes.push(Note::SglangInput { line }),
        InputCount::Unsaid if block.text(Column::InputTokens).is_some() => {
            notes.push(Note::InputUnsaid { line });
        }
        _ => {}
    }
    notes
}
