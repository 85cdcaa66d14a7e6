//! Runs side by side: what was asked differently, their figures with ratios, and where their answers part. It must not know
//! files.

use crate::block::{Cell, sections};
use crate::estimate::Estimate;
use crate::record::{Outcome, Phase, RequestRecord};
use crate::runlog::{Header, RunLog};
use crate::summary::{RunSummary, Summarise};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

mod text;

/// Version of the JSON form.
const SCHEMA: u32 = 1;
/// So many differing answers are kept of two runs.
const DIFFERING_MAX: usize = 50;

/// What the plan says of where a run goes, how much of it is kept, and how it is judged: of no weight for its figures, or to be
/// seen elsewhere.
const NOT_ASKED: [&str; 22] = [
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
    "image_url_prefix",
    "image_bytes_max",
    "image_proof",
    "prompts",
    "limits_s",
    "detail",
    "definitions",
    "clock",
    "goodput",
    "strict_client",
    "slo",
    "min_score",
];

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
pub struct Difference {
    /// What: a field of the plan, `images` or `prompts`.
    pub what: String,
    /// Each run's value.
    pub values: Vec<Value>,
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
    /// Whether the two 95 % intervals lie apart; `None` where one of the figures has none.
    pub apart: Option<bool>,
}

/// The answers of a run against the first run's. A question is a prompt with its images; of those asked more than once the
/// first complete answer counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ComparedAnswers {
    /// Questions that both answered.
    pub common: u64,
    /// Those with the same answer to the letter.
    pub equal: u64,
    /// The first ones of the others.
    pub differing: Vec<DifferingAnswer>,
}

/// A question with two answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DifferingAnswer {
    /// The images' names, in the first run.
    pub images: Vec<String>,
    /// The prompt, cut as in the run's header.
    pub prompt: String,
    /// How many characters the answers have in common from the start; `None` where one of them was not kept.
    pub common_chars: Option<u64>,
    /// The first run's answer; `None` where it was not kept.
    pub first: Option<String>,
    /// The other's.
    pub other: Option<String>,
}

impl Comparison {
    /// Puts runs side by side, all with the figures that `how` says.
    #[must_use]
    pub fn of(runs: &[(String, RunLog)], how: &Summarise) -> Self {
        let compared: Vec<ComparedRun> = runs
            .iter()
            .map(|(name, log)| ComparedRun { name: name.clone(), summary: RunSummary::of(log, how) })
            .collect();
        let headers: Vec<&Header> = runs.iter().map(|(_, log)| &log.header).collect();
        let answers: Vec<Answers<'_>> = runs.iter().map(|(_, log)| answers(log)).collect();
        Self {
            schema: SCHEMA,
            asked_differently: differences(&headers),
            figures: figures(&compared),
            answers: answers.iter().skip(1).map(|other| compare(&answers[0], other)).collect(),
            runs: compared,
        }
    }
}

fn differences(headers: &[&Header]) -> Vec<Difference> {
    let mut names: Vec<&String> =
        headers.iter().filter_map(|header| header.plan.as_object()).flat_map(|p| p.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let of_plan = names.into_iter().filter(|name| !NOT_ASKED.contains(&name.as_str())).map(|name| {
        let values = headers.iter().map(|header| header.plan.get(name).cloned().unwrap_or_default()).collect();
        Difference { what: name.clone(), values }
    });
    let digests = |mut list: Vec<&String>| {
        list.sort_unstable();
        list.dedup();
        Value::from(list.into_iter().cloned().collect::<Vec<_>>())
    };
    let images =
        headers.iter().map(|header| digests(header.images.iter().map(|image| &image.sha256).collect())).collect();
    let prompts =
        headers.iter().map(|header| digests(header.prompts.iter().map(|prompt| &prompt.sha256).collect())).collect();
    [Difference { what: "images".into(), values: images }, Difference { what: "prompts".into(), values: prompts }]
        .into_iter()
        .chain(of_plan)
        .filter(|difference| difference.values.windows(2).any(|pair| pair[0] != pair[1]))
        .collect()
}

fn figures(runs: &[ComparedRun]) -> Vec<ComparedFigure> {
    let columns: Vec<Vec<(String, Cell)>> =
        runs.iter().map(|run| sections(&run.summary).into_iter().flat_map(|section| section.rows).collect()).collect();
    let rows = columns.first().map_or(0, Vec::len);
    (0..rows)
        .map(|row| {
            let cells: Vec<Cell> = columns.iter().map(|column| column[row].1).collect();
            ComparedFigure {
                name: columns[0][row].0.trim_end_matches(':').to_owned(),
                values: cells.iter().map(|cell| estimate(*cell).map(|estimate| estimate.value)).collect(),
                texts: cells.iter().map(|cell| cell.text()).collect(),
                ratios: cells.iter().skip(1).map(|cell| ratio(cells[0], *cell)).collect(),
            }
        })
        .collect()
}

fn estimate(cell: Cell) -> Option<Estimate> {
    match cell {
        Cell::Count(count) => count.map(|count| Estimate::bare(count as f64)),
        Cell::Figure(figure) => figure,
    }
}

fn ratio(first: Cell, other: Cell) -> Option<Ratio> {
    let (first, other) = (estimate(first)?, estimate(other)?);
    let apart = first.interval.zip(other.interval).map(|(a, b)| a.high < b.low || b.high < a.low);
    (first.value != 0.0).then(|| Ratio { value: other.value / first.value, apart })
}

/// A question: the digests of its images, then of its prompt.
type Question<'a> = (Vec<&'a str>, &'a str);
/// Of each question its first complete answer.
type Answers<'a> = BTreeMap<Question<'a>, (&'a Header, &'a RequestRecord)>;

fn answers(log: &RunLog) -> Answers<'_> {
    let header = &log.header;
    let mut answers = Answers::new();
    let asked = [Phase::Accuracy, Phase::Preliminary, Phase::Measured];
    for record in log.records.iter().filter(|record| asked.contains(&record.phase)) {
        let images: Option<Vec<&str>> =
            record.images.iter().map(|image| Some(header.images.get(*image as usize)?.sha256.as_str())).collect();
        let prompt = header.prompts.get(record.prompt as usize).map(|prompt| prompt.sha256.as_str());
        if let Some(question) = images.zip(prompt)
            && record.outcome == Outcome::Complete
            && record.text_sha256.is_some()
        {
            answers.entry(question).or_insert((header, record));
        }
    }
    answers
}

fn compare(first: &Answers<'_>, other: &Answers<'_>) -> ComparedAnswers {
    let mut compared = ComparedAnswers::default();
    for (question, (header, record)) in first {
        let Some((_, answer)) = other.get(question) else { continue };
        compared.common += 1;
        if record.text_sha256 == answer.text_sha256 {
            compared.equal += 1;
        } else if compared.differing.len() < DIFFERING_MAX {
            compared.differing.push(differing(header, record, answer));
        }
    }
    compared
}

fn differing(header: &Header, first: &RequestRecord, other: &RequestRecord) -> DifferingAnswer {
    let name = |image: &u32| header.images.get(*image as usize).map(|image| image.name.clone());
    let common = |(a, b): (&String, &String)| a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count() as u64;
    DifferingAnswer {
        images: first.images.iter().filter_map(name).collect(),
        prompt: header.prompts.get(first.prompt as usize).map(|prompt| prompt.text.clone()).unwrap_or_default(),
        common_chars: first.text.as_ref().zip(other.text.as_ref()).map(common),
        first: first.text.clone(),
        other: other.text.clone(),
    }
}
