//! Sentences about a scene in Chinese and English. What they say is true of the facts, and a description says all of
//! them. They must not know pictures.

mod chinese;
mod english;
mod expected;
#[cfg(test)]
mod parse;
mod prompts;
#[cfg(test)]
mod score;

use serde::{Deserialize, Serialize};

use crate::dice::{Dice, Purpose};
use crate::facts::{Colour, Facts, Kind};

pub use expected::{Expected, expected};
#[cfg(test)]
use parse::{Told, parse};
pub(crate) use prompts::{NO_IMAGE, SYSTEMS, describing};
#[cfg(test)]
use score::score;

/// The language of a prompt and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Language {
    /// Chinese.
    #[serde(rename = "zh")]
    Chinese,
    /// English.
    #[serde(rename = "en")]
    English,
}

impl Language {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Chinese, Self::English];

    /// The language of a text: Chinese where it has a Chinese character.
    #[must_use]
    pub fn of(text: &str) -> Self {
        if text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)) { Self::Chinese } else { Self::English }
    }
}

/// A prompt and the answer that is true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The language of both.
    pub language: Language,
    /// What is asked.
    pub prompt: String,
    /// What is right.
    pub answer: String,
}

/// All facts in 20 to 100 words. A description begins with one of three sentences, chosen by `seed`, the first one
/// where there is none.
#[must_use]
pub fn describe(facts: &Facts, language: Language, seed: Option<u64>) -> String {
    let opening = seed.map_or(0, |seed| Dice::new(seed, Purpose::Words).below(3));
    match language {
        Language::Chinese => chinese::describe(facts, opening),
        Language::English => english::describe(facts, opening),
    }
}

/// Short questions in both languages, worded by `seed`: every fact is asked for, every kind of vehicle that is there,
/// and one that is not.
#[must_use]
pub fn questions(facts: &Facts, seed: u64) -> Vec<Question> {
    let dice = &mut Dice::new(seed, Purpose::Words);
    let mut out = Vec::new();
    let kinds = asked_kinds(facts, dice);
    chinese::questions(facts, &kinds, &mut Asker { dice, language: Language::Chinese, out: &mut out });
    english::questions(facts, &kinds, &mut Asker { dice, language: Language::English, out: &mut out });
    out
}

fn asked_kinds(facts: &Facts, dice: &mut Dice) -> Vec<Kind> {
    let there = |kind: &Kind| facts.vehicles.iter().any(|vehicle| vehicle.kind == *kind);
    let (mut asked, absent): (Vec<Kind>, Vec<Kind>) = Kind::ALL.into_iter().partition(there);
    asked.extend(absent.get(dice.below(absent.len())));
    asked
}

/// Collects questions, each in one of several wordings.
struct Asker<'a> {
    dice: &'a mut Dice,
    language: Language,
    out: &'a mut Vec<Question>,
}

impl Asker<'_> {
    fn ask<const N: usize>(&mut self, wordings: [&str; N], answer: impl Into<String>) {
        let prompt = self.dice.pick(wordings).to_owned();
        self.out.push(Question { language: self.language, prompt, answer: answer.into() });
    }
}

/// The colours of the vehicles of one kind, from left to right.
fn colours_of(facts: &Facts, kind: Kind) -> Vec<Colour> {
    facts.vehicles.iter().filter(|vehicle| vehicle.kind == kind).map(|vehicle| vehicle.colour).collect()
}

/// Whether several things have one colour.
fn all_alike(colours: &[Colour]) -> bool {
    colours.len() > 1 && colours.windows(2).all(|pair| pair[0] == pair[1])
}

/// The word for a small number; the last one for any greater.
fn number<const N: usize>(words: [&'static str; N], count: usize) -> &'static str {
    words[count.min(N - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_description_reads_back_to_its_facts() {
        for seed in 0..3000 {
            let facts = Facts::of(seed);
            for language in Language::ALL {
                let text = describe(&facts, language, Some(seed));
                assert_eq!(Language::of(&text), language);
                let scores = score(&parse(&text), &facts);
                assert!(scores.len() >= 8 && scores.iter().all(|(_, right)| *right), "{text} {facts:?} {scores:?}");
            }
        }
    }

    #[test]
    fn questions_are_asked_in_both_languages_and_about_both_of_a_kind() {
        let mut pairs = 0;
        for seed in 0..500 {
            let facts = Facts::of(seed);
            let all = questions(&facts, seed);
            assert!(all.len() >= 24, "{}", all.len());
            for question in &all {
                assert_eq!(Language::of(&question.prompt), question.language, "{question:?}");
                assert_eq!(Language::of(&question.answer), question.language, "{question:?}");
                assert!(question.answer.ends_with(['。', '.']), "{question:?}");
            }
            pairs += all.iter().filter(|q| q.answer.contains("both ") || q.answer.contains(" and ")).count();
        }
        assert!(pairs > 200, "{pairs}");
    }

    #[test]
    fn the_sentences_of_one_scene() {
        let facts: Facts = serde_json::from_str(
            r#"{"vehicles":[{"kind":"truck","colour":"yellow","tipping":true},{"kind":"excavator","colour":"red","tipping":false}],
            "workers":[{"helmet":"yellow","overalls":"orange"}],"trees":1,"building":true,"cones":0,"road":"gravel","sun":true,"clouds":false}"#,
        )
        .unwrap();
        assert_eq!(
            describe(&facts, Language::Chinese, None),
            "图中是一处道路施工现场。现场有两辆车，左边是一辆正在卸料的黄色自卸卡车，右边是一台红色挖掘机。路面铺着碎石。有一名工人，\
             戴黄色安全帽，穿橙色工作服。没有路锥。远处有一棵树，有楼房。天上有太阳，没有云。"
        );
        assert_eq!(
            describe(&facts, Language::English, None),
            "The picture shows a road construction site. There are two vehicles: on the left a yellow dump truck tipping \
             its load, on the right a red excavator. The road is covered with gravel. There is one worker in a yellow \
             helmet and orange overalls. There are no cones. In the background there is one tree and a building. The sun \
             is shining and there are no clouds."
        );
    }
}
