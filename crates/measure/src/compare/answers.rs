//! Where the answers of two runs part.

use super::asked::Asked;
use crate::record::RequestRecord;
use serde::Serialize;

/// So many differing answers are kept of two runs.
const DIFFERING_MAX: usize = 50;

/// The answers of a run against the first run's. A question is a prompt with its images; of one asked more than once the
/// first complete answer counts. An answer is its reasoning and its text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ComparedAnswers {
    /// Questions that both answered.
    pub common: u64,
    /// Those with the same answer to the letter.
    pub equal: u64,
    /// The first ones of the others, in the order in which the first run asked.
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

impl Asked<'_> {
    /// This run's answers against another's.
    pub(super) fn compare(&self, other: &Self) -> ComparedAnswers {
        let answers = self.answers.iter();
        let common: Vec<Pair<'_>> =
            answers.filter_map(|(question, first)| Some(Pair { first, other: other.answers.get(question)? })).collect();
        let mut differing: Vec<&Pair<'_>> =
            common.iter().filter(|pair| pair.first.text_sha256 != pair.other.text_sha256).collect();
        differing.sort_by_key(|pair| pair.first.index);
        ComparedAnswers {
            common: common.len() as u64,
            equal: (common.len() - differing.len()) as u64,
            differing: differing.iter().take(DIFFERING_MAX).map(|pair| self.differing(pair)).collect(),
        }
    }

    fn differing(&self, pair: &Pair<'_>) -> DifferingAnswer {
        let name = |image: &u32| self.header.images.get(*image as usize).map(|image| image.name.clone());
        let prompt = self.header.prompts.get(pair.first.prompt as usize);
        let (first, other) = (whole(pair.first), whole(pair.other));
        let common = |(a, b): (&String, &String)| a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count() as u64;
        DifferingAnswer {
            images: pair.first.images.iter().filter_map(name).collect(),
            prompt: prompt.map(|prompt| prompt.text.clone()).unwrap_or_default(),
            common_chars: first.as_ref().zip(other.as_ref()).map(common),
            first,
            other,
        }
    }
}

/// Two answers to one question.
struct Pair<'a> {
    first: &'a RequestRecord,
    other: &'a RequestRecord,
}

/// What the digest of an answer is of; `None` where it was not kept.
fn whole(record: &RequestRecord) -> Option<String> {
    let text = record.text.as_ref()?;
    Some([record.reasoning.as_deref().unwrap_or_default(), text].concat())
}
