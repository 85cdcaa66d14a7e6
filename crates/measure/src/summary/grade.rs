//! The answers of the accuracy run against what was expected of them.

use super::RunSummary;
use crate::expect::Expectation;
use crate::record::{Outcome, Phase, RequestRecord};
use crate::runlog::RunLog;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// So many wrong answers are kept with their words.
const WRONG_MAX: usize = 200;
/// The group of questions that have a reference answer and no facts.
const EXACT: &str = "exact answer";

/// So many of so many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Right ones.
    pub right: u64,
    /// All of them.
    pub of: u64,
}

/// An answer that is wrong about something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongAnswer {
    /// The images' names.
    pub images: Vec<String>,
    /// The prompt.
    pub prompt: String,
    /// What it is wrong about, by groups.
    pub about: Vec<String>,
    /// The reference answer, if there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expected: Option<String>,
    /// What was answered; `None` where the request failed.
    pub answer: Option<String>,
}

/// How right the answers are. What counts is a fact, or the whole answer of a question without facts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grade {
    /// Questions asked.
    pub asked: u64,
    /// Questions that the run did not come to; they count nowhere else.
    pub unasked: u64,
    /// Asked questions without a complete answer: everything about them is wrong.
    pub unanswered: u64,
    /// Everything that counts.
    pub facts: Tally,
    /// The same by groups.
    pub groups: BTreeMap<String, Tally>,
    /// Answers that are right about every one of their facts.
    pub whole: Tally,
    /// Answers that are their reference answer to the letter.
    pub exact: Tally,
    /// Right facts of all, 0 to 1; `None` where nothing was asked.
    pub score: Option<f64>,
    /// The least score that was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub min_score: Option<f64>,
    /// How many answers are wrong about something.
    pub wrong_answers: u64,
    /// The first ones of them.
    pub wrong: Vec<WrongAnswer>,
}

impl Tally {
    fn add(&mut self, right: bool) {
        self.right += u64::from(right);
        self.of += 1;
    }

    /// 0 to 1; `None` of none.
    #[must_use]
    pub fn part(self) -> Option<f64> {
        (self.of > 0).then(|| self.right as f64 / self.of as f64)
    }
}

impl RunSummary {
    /// Whether the score is known and at least what was asked for; so it is where nothing was.
    #[must_use]
    pub fn keeps_min_score(&self) -> bool {
        let least = self.grade.as_ref().and_then(|grade| Some((grade.score, grade.min_score?)));
        least.is_none_or(|(score, least)| score.is_some_and(|score| score >= least))
    }
}

/// `None` where nothing was expected.
pub(super) fn of(log: &RunLog, min_score: Option<f64>) -> Option<Grade> {
    let expected = &log.header.expectations;
    if expected.is_empty() {
        return None;
    }
    let mut grade = Grade {
        asked: 0,
        unasked: 0,
        unanswered: 0,
        facts: Tally::default(),
        groups: BTreeMap::new(),
        whole: Tally::default(),
        exact: Tally::default(),
        score: None,
        min_score,
        wrong_answers: 0,
        wrong: Vec::new(),
    };
    let mut records = log.records.iter().filter(|record| record.phase == Phase::Accuracy);
    for expectation in expected {
        let record = records.next().filter(|record| was_asked(record));
        match record {
            Some(record) => grade.judge(log, expectation, record),
            None => grade.unasked += 1,
        }
    }
    grade.score = grade.facts.part();
    Some(grade)
}

/// What the end of the run kept from being sent or answered says nothing of the server.
fn was_asked(record: &RequestRecord) -> bool {
    !matches!(record.outcome, Outcome::NotSent { .. } | Outcome::Cancelled)
}

impl Grade {
    fn judge(&mut self, log: &RunLog, expectation: &Expectation, record: &RequestRecord) {
        let complete = record.outcome == Outcome::Complete;
        let answer = complete.then(|| record.text.clone().unwrap_or_default());
        self.asked += 1;
        self.unanswered += u64::from(!complete);
        let text = answer.as_deref().unwrap_or_default();
        let exact = expectation.is_exactly(text).map(|exact| exact && complete);
        if let Some(exact) = exact {
            self.exact.add(exact);
        }
        let mut about = Vec::new();
        let mut count = |group: &str, right: bool| {
            self.facts.add(right);
            self.groups.entry(group.to_owned()).or_default().add(right);
            if !right && !about.iter().any(|name| name == group) {
                about.push(group.to_owned());
            }
        };
        for fact in &expectation.facts {
            count(&fact.name, fact.is_told(text));
        }
        if let (true, Some(exact)) = (expectation.facts.is_empty(), exact) {
            count(EXACT, exact);
        }
        if !expectation.facts.is_empty() {
            self.whole.add(about.is_empty());
        }
        self.wrong_answers += u64::from(!about.is_empty());
        if !about.is_empty() && self.wrong.len() < WRONG_MAX {
            self.wrong.push(WrongAnswer {
                images: names(log, &expectation.images),
                prompt: log
                    .header
                    .prompts
                    .get(expectation.prompt as usize)
                    .map_or_else(String::new, |p| p.text.clone()),
                about,
                expected: expectation.answer.clone(),
                answer,
            });
        }
    }
}

fn names(log: &RunLog, images: &[u32]) -> Vec<String> {
    images.iter().filter_map(|image| Some(log.header.images.get(*image as usize)?.name.clone())).collect()
}
