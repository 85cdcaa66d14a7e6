//! Runs side by side: what was asked differently, their figures with ratios, and where their answers part. It must not know
//! files.

use crate::block::{Cell, sections};
use crate::runlog::RunLog;
use crate::summary::{RunSummary, Summarise};
use serde::Serialize;
use serde_json::Value;

mod answers;
mod asked;
mod text;

pub use answers::{ComparedAnswers, DifferingAnswer};
use asked::Asked;

/// Version of the JSON form.
const SCHEMA: u32 = 1;
/// From so many values on an interval tells two runs apart: the bootstrap's are too narrow for fewer.
const APART_FROM_N: u64 = 10;

/// Two or more runs. Everything is held against the first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Version of this form.
    pub schema: u32,
    /// The runs, in the order given.
    pub runs: Vec<ComparedRun>,
    /// What was not the same in all of them.
    pub asked_differently: Vec<Difference>,
    /// The figures of the block.
    pub figures: Vec<ComparedFigure>,
    /// The answers of each further run against the first run's.
    pub answers: Vec<ComparedAnswers>,
}

/// One of the runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedRun {
    /// As it was given.
    pub name: String,
    /// Its figures.
    pub summary: RunSummary,
}

/// Something that was asked of the runs in different ways: figures differ for this reason too.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Difference {
    /// A field of the plan.
    Setting {
        /// Its name.
        name: String,
        /// Each run's value.
        values: Vec<Value>,
    },
    /// Questions: a prompt with its images. A cold run's image is the one that it was made from.
    Questions {
        /// How many different ones each run asked.
        asked: Vec<u64>,
        /// How many of those the first run asked too.
        shared: Vec<u64>,
    },
    /// Prompt tokens billed for the questions that all runs asked: another chat template, or another size of the images.
    BilledTokens {
        /// Each run's mean over those questions.
        means: Vec<f64>,
    },
    /// What was expected of the answers, so that the scores are of different examinations.
    Expectations,
}

/// A line of the block.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedFigure {
    /// Its words in the block, without the colon.
    pub name: String,
    /// Each run's value; `None` where it is not known.
    pub values: Vec<Option<f64>>,
    /// As the block prints them.
    #[serde(skip)]
    texts: Vec<String>,
    /// Of each further run to the first.
    pub ratios: Vec<Option<Ratio>>,
}

/// How a figure stands to that of the first run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    /// The figure by the first run's.
    pub value: f64,
    /// How the two 95 % intervals lie; `None` where one of the figures has no interval or too few values.
    pub intervals: Option<Intervals>,
}

/// How two 95 % intervals lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Intervals {
    /// Apart.
    Apart,
    /// Apart, but by no more than the two clients may be wrong.
    WithinClientError,
    /// They overlap.
    Overlap,
}

impl Comparison {
    /// Fields of the plan that are not held against each other: where requests go and by which name of the model, how pictures
    /// and prompts were given (what was asked is seen in the requests), what is kept on disk, and how a run is judged.
    pub const LEFT_OUT: [&str; 26] = [
        "url",
        "path",
        "model",
        "model_folder",
        "tokenizer",
        "header_names",
        "has_api_key",
        "cacert",
        "insecure",
        "images",
        "images_per_request",
        "image_url_prefix",
        "image_bytes_max",
        "image_proof",
        "prompts",
        "output_len",
        "limits_s",
        "profile",
        "detail",
        "definitions",
        "clock",
        "goodput",
        "strict_client",
        "slo",
        "expect",
        "min_score",
    ];

    /// Puts runs side by side, all with the figures that `how` says.
    #[must_use]
    pub fn of(runs: &[(String, RunLog)], how: &Summarise) -> Self {
        let compared: Vec<ComparedRun> = runs
            .iter()
            .map(|(name, log)| ComparedRun { name: name.clone(), summary: RunSummary::of(log, how) })
            .collect();
        let asked: Vec<Asked<'_>> = runs.iter().map(|(_, log)| Asked::of(log)).collect();
        let others = asked.iter().skip(1);
        Self {
            schema: SCHEMA,
            asked_differently: asked::differences(&asked),
            figures: figures(&compared),
            answers: asked.first().map(|first| others.map(|other| first.compare(other)).collect()).unwrap_or_default(),
            runs: compared,
        }
    }
}

/// A line of a block: its words, its value, and by how much the client may be wrong about it.
struct Line {
    label: String,
    cell: Cell,
    client_ms: f64,
}

fn figures(runs: &[ComparedRun]) -> Vec<ComparedFigure> {
    let mut columns: Vec<std::vec::IntoIter<Line>> = runs.iter().map(|run| lines(&run.summary).into_iter()).collect();
    // Every run has the same lines.
    std::iter::from_fn(|| {
        columns.iter_mut().map(Iterator::next).collect::<Option<Vec<Line>>>().filter(|row| !row.is_empty())
    })
    .map(|row| ComparedFigure {
        name: row[0].label.trim_end_matches(':').to_owned(),
        values: row.iter().map(|line| line.cell.value()).collect(),
        texts: row.iter().map(|line| line.cell.text()).collect(),
        ratios: row.iter().skip(1).map(|line| ratio(&row[0], line)).collect(),
    })
    .collect()
}

fn lines(summary: &RunSummary) -> Vec<Line> {
    let client = &summary.client;
    let line = |(label, cell): (String, Cell)| {
        let bound_us = match label.as_str() {
            "Mean TTFT (ms):" | "Median TTFT (ms):" => client.ttft_mean_bound_us,
            "P99 TTFT (ms):" => client.ttft_bound_us,
            _ => None,
        };
        Line { label, cell, client_ms: bound_us.unwrap_or_default() / 1e3 }
    };
    sections(summary).into_iter().flat_map(|section| section.rows).map(line).collect()
}

fn ratio(first: &Line, other: &Line) -> Option<Ratio> {
    let (base, value) = (first.cell.value()?, other.cell.value()?);
    let interval = |line: &Line| match line.cell {
        Cell::Figure(Some(estimate), n) if n >= APART_FROM_N => estimate.interval,
        _ => None,
    };
    let intervals = interval(first).zip(interval(other)).map(|(a, b)| {
        let gap_ms = (b.low - a.high).max(a.low - b.high);
        match gap_ms {
            gap if gap <= 0.0 => Intervals::Overlap,
            gap if gap <= first.client_ms + other.client_ms => Intervals::WithinClientError,
            _ => Intervals::Apart,
        }
    });
    (base != 0.0).then(|| Ratio { value: value / base, intervals })
}
