//! One benchmark block of a log: ten values in the log's own digits, and what is known of where they come from.
//! It must not know how lines are read.

/// A mean time to first token above this made the old parser drop the block.
pub const TTFT_MS_LIMIT: f64 = 5000.0;

/// The header of the CSV: the script's own line labels, in the order of the old parser.
pub const COLUMNS: [&str; 10] = [
    "Total input tokens",
    "Total image and input tokens",
    "Total generated tokens",
    "Successful requests",
    "Mean TTFT (ms)",
    "Mean TPOT (ms)",
    "Mean ITL (ms)",
    "Request throughput (req/s)",
    "Output token throughput (tok/s)",
    "Benchmark duration (s)",
];

/// A column of the CSV; its number is its place in [`COLUMNS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Tokens of the prompt text.
    InputTokens,
    /// All input tokens, those of images included.
    ImageAndInputTokens,
    /// Generated tokens.
    GeneratedTokens,
    /// Requests that were answered.
    SuccessfulRequests,
    /// Mean time to first token, ms.
    MeanTtftMs,
    /// Mean time per output token after the first, ms.
    MeanTpotMs,
    /// Mean gap between tokens, ms.
    MeanItlMs,
    /// Requests per second.
    RequestThroughput,
    /// Output tokens per second.
    OutputThroughput,
    /// Duration, s.
    DurationS,
}

/// Which program printed a block, as far as its lines tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// The Python script or this client: it has `Total image and input tokens`. Also a block that was cut off
    /// before any line that could tell.
    Seed,
    /// `vllm bench serve` and its forerunner `benchmark_serving.py`.
    VllmBench,
    /// `sglang.bench_serving`.
    Sglang,
    /// The script's variant whose heading says `(avg N rounds)`.
    Averaged,
}

/// What the block's input token columns hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputCount {
    /// Both lines of the script, or what there is of them.
    Script,
    /// SGLang's `Total input text tokens` and `Total input tokens` (text and vision).
    TextAndAll,
    /// `Total input tokens` of a program that prints one line only: text tokens in older versions, the server's
    /// whole prompt (images included) in newer ones; the block does not tell which.
    Unsaid,
}

/// One benchmark block of a log.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Line of the heading, from 1.
    pub line: usize,
    /// Last line that belongs to the block.
    pub end_line: usize,
    /// Which program printed it.
    pub flavour: Flavour,
    /// N of the `Running benchmark with batch size N` that announced this block.
    pub batch_size: Option<u64>,
    /// N of a heading `(avg N rounds)`.
    pub rounds: Option<u64>,
    /// The line `Failed requests`, where the log has it.
    pub failed: Option<u64>,
    /// The closing line was there.
    pub complete: bool,
    /// The heading holds the exact string at which the old parser splits a log.
    pub standard_heading: bool,
    /// A line of the block came twice with different values; the first one is kept.
    pub conflicting: bool,
    /// What the input token columns hold.
    pub input_count: InputCount,
    pub(super) values: [Option<String>; 10],
}

impl Column {
    /// All columns in the order of [`COLUMNS`].
    pub const ALL: [Self; 10] = [
        Self::InputTokens,
        Self::ImageAndInputTokens,
        Self::GeneratedTokens,
        Self::SuccessfulRequests,
        Self::MeanTtftMs,
        Self::MeanTpotMs,
        Self::MeanItlMs,
        Self::RequestThroughput,
        Self::OutputThroughput,
        Self::DurationS,
    ];

    /// The label of the column and of its line in a block.
    pub fn label(self) -> &'static str {
        COLUMNS.get(self as usize).copied().unwrap_or_default()
    }
}

impl Flavour {
    /// The short word for it in the flags column; the script's own blocks have none.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Seed => None,
            Self::VllmBench => Some("vllm-bench"),
            Self::Sglang => Some("sglang"),
            Self::Averaged => Some("averaged"),
        }
    }
}

impl Block {
    /// The ten values in the order of [`COLUMNS`], each in the log's own characters (`n/a` too); `None` where the
    /// log says nothing.
    pub fn row(&self) -> [Option<&str>; 10] {
        self.values.each_ref().map(Option::as_deref)
    }

    /// One value in the log's own characters.
    pub fn text(&self, column: Column) -> Option<&str> {
        self.values.get(column as usize)?.as_deref()
    }

    /// One value as a finite number, in the unit of its label; `None` when it is absent, `n/a`, `nan` or `inf`.
    pub fn number(&self, column: Column) -> Option<f64> {
        finite(self.text(column)?)
    }

    /// Columns for which the log says nothing.
    pub fn missing(&self) -> Vec<Column> {
        let absent = |column: &Column| self.text(*column).is_none();
        Column::ALL.into_iter().filter(absent).collect()
    }

    /// Whether the mean TTFT is above [`TTFT_MS_LIMIT`].
    pub fn ttft_over_limit(&self) -> bool {
        self.number(Column::MeanTtftMs).is_some_and(|ttft_ms| ttft_ms > TTFT_MS_LIMIT)
    }

    /// Short machine words for an optional column, in a fixed order: `vllm-bench`, `sglang` or `averaged`;
    /// `other-heading`, `cut-short`, `ttft-over-5000`, `n/a`, `not-finite`, `missing`, `failed=N`,
    /// `conflicting`, `input-tokens-unsaid`.
    pub fn flags(&self) -> Vec<String> {
        let given = |test: fn(&str) -> bool| self.row().into_iter().flatten().any(test);
        // The one line that other programs never print is no news.
        let one_line = self.input_count == InputCount::Unsaid;
        let expected = |column: &Column| one_line && *column == Column::ImageAndInputTokens;
        let missing = self.missing().iter().any(|column| !expected(column));
        let words = [
            ("other-heading", !self.standard_heading),
            ("cut-short", !self.complete),
            ("ttft-over-5000", self.ttft_over_limit()),
            ("n/a", given(is_not_available)),
            ("not-finite", given(is_not_finite)),
            ("missing", missing),
        ];
        let mut flags: Vec<String> = self.flavour.word().map(str::to_owned).into_iter().collect();
        flags.extend(words.iter().filter(|(_, on)| *on).map(|(word, _)| (*word).to_owned()));
        if let Some(failed) = self.failed.filter(|failed| *failed > 0) {
            flags.push(format!("failed={failed}"));
        }
        if self.conflicting {
            flags.push("conflicting".to_owned());
        }
        if one_line && self.text(Column::InputTokens).is_some() {
            flags.push("input-tokens-unsaid".to_owned());
        }
        flags
    }
}

/// A finite number, with or without commas between thousands.
pub(super) fn finite(text: &str) -> Option<f64> {
    let first_digit = text.strip_prefix('-').unwrap_or(text).bytes().next()?;
    if !first_digit.is_ascii_digit() && first_digit != b'.' {
        return None;
    }
    let number: f64 = if text.contains(',') { text.replace(',', "").parse().ok()? } else { text.parse().ok()? };
    number.is_finite().then_some(number)
}

/// Words with which programs say that they have no value.
pub(super) fn is_not_available(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "n/a" | "na" | "none" | "null" | "-" | "--")
}

/// `nan` and `inf`, as Python and others print them.
pub(super) fn is_not_finite(text: &str) -> bool {
    let bare = text.trim_start_matches(['-', '+']).to_ascii_lowercase();
    matches!(bare.as_str(), "nan" | "inf" | "infinity")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_numbered_in_order() {
        let labels = Column::ALL.map(Column::label);
        assert_eq!(labels, COLUMNS);
    }

    #[test]
    fn numbers_are_finite_or_none() {
        let check = |text: &str, expected: Option<f64>| {
            assert_eq!(finite(text), expected, "{text:?}");
        };
        check("12345.67", Some(12345.67));
        check("12,345.67", Some(12345.67));
        check("-0.00", Some(0.0));
        check("1e3", Some(1000.0));
        check("1e999", None);
        check("nan", None);
        check("inf", None);
        check("n/a", None);
        check("", None);
        check("-", None);
        check("1.2.3", None);
        check("XXXX", None);
    }
}
