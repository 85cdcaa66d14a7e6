//! What a run asked, so that it can be held against what another one asked. It must not know figures.

use super::{Comparison, Difference};
use crate::expect::{Expectation, ExpectedFact};
use crate::record::{Outcome, Phase, RequestRecord};
use crate::runlog::{Header, RunLog};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A question: the digests of its images in their order, then that of its prompt.
pub(super) type Question<'a> = (Vec<&'a str>, &'a str);
/// What an answer must be or say.
type Demand<'a> = (&'a Option<String>, &'a [ExpectedFact]);

/// The questions of a run before and during its load; what a warm-up and an image proof ask is left out.
pub(super) struct Asked<'a> {
    pub(super) header: &'a Header,
    questions: BTreeSet<Question<'a>>,
    output_lens: BTreeSet<u64>,
    /// Prompt tokens billed for each question, where the server tells.
    billed: BTreeMap<Question<'a>, u64>,
    /// Of each answered question the first complete answer.
    pub(super) answers: BTreeMap<Question<'a>, &'a RequestRecord>,
    demands: Vec<(Option<Question<'a>>, Demand<'a>)>,
}

impl<'a> Asked<'a> {
    pub(super) fn of(log: &'a RunLog) -> Self {
        let header = &log.header;
        let mut asked = Self {
            header,
            questions: BTreeSet::new(),
            output_lens: BTreeSet::new(),
            billed: BTreeMap::new(),
            answers: BTreeMap::new(),
            demands: header.expectations.iter().map(|expectation| demand(header, expectation)).collect(),
        };
        asked.demands.sort_by(|a, b| a.0.cmp(&b.0));
        let phases = [Phase::Accuracy, Phase::Preliminary, Phase::Measured];
        for record in log.records.iter().filter(|record| phases.contains(&record.phase)) {
            asked.output_lens.insert(record.max_tokens);
            let Some(question) = question(header, &record.images, record.prompt) else { continue };
            if let Some(tokens) =
                record.usage.and_then(|usage| usage.prompt).filter(|_| record.outcome == Outcome::Complete)
            {
                asked.billed.entry(question.clone()).or_insert(tokens);
            }
            if record.outcome == Outcome::Complete && record.text_sha256.is_some() {
                asked.answers.entry(question.clone()).or_insert(record);
            }
            asked.questions.insert(question);
        }
        asked
    }
}

/// `None` where the header lacks what the record names.
fn question<'a>(header: &'a Header, images: &[u32], prompt: u32) -> Option<Question<'a>> {
    let digest = |image: &u32| {
        let image = header.images.get(*image as usize)?;
        Some(image.altered.as_ref().map_or(image.sha256.as_str(), |altered| altered.from_sha256.as_str()))
    };
    let images: Option<Vec<&str>> = images.iter().map(digest).collect();
    Some((images?, header.prompts.get(prompt as usize)?.sha256.as_str()))
}

fn demand<'a>(header: &'a Header, expectation: &'a Expectation) -> (Option<Question<'a>>, Demand<'a>) {
    let question = question(header, &expectation.images, expectation.prompt);
    (question, (&expectation.answer, expectation.facts.as_slice()))
}

/// What was not the same in all runs.
pub(super) fn differences(asked: &[Asked<'_>]) -> Vec<Difference> {
    let mut out = Vec::new();
    let Some((first, others)) = asked.split_first() else { return out };
    if others.iter().any(|other| other.questions != first.questions) {
        let shared = |run: &Asked<'_>| run.questions.intersection(&first.questions).count() as u64;
        out.push(Difference::Questions {
            asked: asked.iter().map(|run| run.questions.len() as u64).collect(),
            shared: asked.iter().map(shared).collect(),
        });
    }
    out.extend(billed_differently(asked));
    let output_lens = asked.iter().map(|run| match run.output_lens.iter().collect::<Vec<_>>()[..] {
        [] => Value::Null,
        [one] => (*one).into(),
        ref several => several.iter().map(|len| **len).collect(),
    });
    out.extend(setting("output_len", output_lens.collect()));
    let plans = || asked.iter().map(|run| &run.header.plan);
    let names: BTreeSet<&String> = plans().filter_map(Value::as_object).flat_map(|plan| plan.keys()).collect();
    let compared = names.into_iter().filter(|name| !Comparison::LEFT_OUT.contains(&name.as_str()));
    out.extend(
        compared.filter_map(|name| {
            setting(name, plans().map(|plan| plan.get(name).cloned().unwrap_or_default()).collect())
        }),
    );
    let mut graded = asked.iter().filter(|run| !run.demands.is_empty());
    if graded.next().is_some_and(|one| graded.any(|other| other.demands != one.demands)) {
        out.push(Difference::Expectations);
    }
    out
}

/// Prompt tokens billed for the questions of all runs, each question once: how often it was asked is of no weight.
fn billed_differently(asked: &[Asked<'_>]) -> Option<Difference> {
    let (first, others) = asked.split_first()?;
    let of_all = |question: &&Question<'_>| others.iter().all(|run| run.billed.contains_key(*question));
    let questions: Vec<&Question<'_>> = first.billed.keys().filter(of_all).collect();
    let of_run = |run: &Asked<'_>| questions.iter().filter_map(|question| run.billed.get(*question)).copied().collect();
    let counts: Vec<Vec<u64>> = asked.iter().map(of_run).collect();
    let mean = |counts: &Vec<u64>| counts.iter().map(|count| *count as f64).sum::<f64>() / counts.len() as f64;
    let differ = counts.windows(2).any(|pair| pair[0] != pair[1]);
    differ.then(|| Difference::BilledTokens { means: counts.iter().map(mean).collect() })
}

/// A setting, if it is not the same in all runs.
fn setting(name: &str, values: Vec<Value>) -> Option<Difference> {
    let differ = values.windows(2).any(|pair| pair[0] != pair[1]);
    differ.then(|| Difference::Setting { name: name.to_owned(), values })
}
