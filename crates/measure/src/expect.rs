//! What an answer must say, and whether it does. It must not know where answers come from.

use serde::{Deserialize, Serialize};

/// One fact: an answer that is right about it holds one of `any`, if there are any, and none of `none`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedFact {
    /// The group in which it is counted.
    #[serde(rename = "fact")]
    pub name: String,
    /// Phrases of which one must be in the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub any: Vec<String>,
    /// Phrases of which none may be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub none: Vec<String>,
}

/// What is expected of the answer to one question of the accuracy run; these stand in the order of their requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// Which prompt of the header.
    pub prompt: u32,
    /// Which images of the header.
    pub images: Vec<u32>,
    /// The reference answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// The facts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<ExpectedFact>,
}

impl ExpectedFact {
    /// Whether an answer is right about it. Upper and lower case are one; an empty answer is right about nothing.
    #[must_use]
    pub fn is_told(&self, answer: &str) -> bool {
        let answer = answer.to_lowercase();
        let holds = |phrase: &String| answer.contains(&phrase.to_lowercase());
        !answer.trim().is_empty() && (self.any.is_empty() || self.any.iter().any(holds)) && !self.none.iter().any(holds)
    }
}

impl Expectation {
    /// Whether an answer is the reference answer, but for white space around it; `None` where there is none.
    #[must_use]
    pub fn is_exactly(&self, answer: &str) -> Option<bool> {
        self.answer.as_ref().map(|expected| expected.trim() == answer.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_is_told_by_one_phrase_and_denied_by_another() {
        let check = |any: &[&str], none: &[&str], answer: &str, told| {
            let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
            let fact = ExpectedFact { name: "colour".into(), any: list(any), none: list(none) };
            assert_eq!(fact.is_told(answer), told, "{fact:?} {answer}");
        };
        check(&["黄色", "yellow"], &[], "一辆黄色卡车", true);
        check(&["黄色", "yellow"], &[], "A Yellow truck.", true);
        check(&["黄色", "yellow"], &[], "A red truck.", false);
        check(&["sun"], &["no sun"], "There is no sun.", false);
        check(&[], &["sun"], "Clouds.", true);
        check(&[], &["sun"], " \n", false);
        check(&["x"], &[], "", false);
    }

    #[test]
    fn an_exact_answer_may_have_white_space_around_it() {
        let with = |answer: Option<&str>| Expectation {
            prompt: 0,
            images: Vec::new(),
            answer: answer.map(str::to_owned),
            facts: Vec::new(),
        };
        assert_eq!(with(Some("有两棵树。")).is_exactly(" 有两棵树。\n"), Some(true));
        assert_eq!(with(Some("Yes.")).is_exactly("yes."), Some(false));
        assert_eq!(with(None).is_exactly("yes."), None);
    }
}
