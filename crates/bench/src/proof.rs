//! Did the picture reach the model? Billed: usage with the image minus usage of the same text without it. With effect:
//! a picture of the same size with inverted colours changes the answer or its log probabilities.

use crate::image::{self, ImageError, Picture};
use crate::plan::Plan;
use crate::workload::{self, Item};
use bytes::Bytes;
use measure::{ImageProof, Outcome, ProofVerdict, RequestRecord};
use serde_json::{Value, json};
use std::sync::Arc;

/// An answer this long is enough to compare: beyond a first sentence that may be the same for every picture.
const ANSWER_TOKENS: u64 = 24;
/// Beyond the image's own tokens a server bills two to four for what stands around it.
const AROUND_MIN: u64 = 2;
const AROUND_MAX: u64 = 4;

/// What is asked: the prompt with its number, and the pictures with theirs.
pub struct Asked<'a> {
    /// The prompt's number in the header.
    pub number: u32,
    /// The prompt.
    pub prompt: &'a str,
    /// The pictures' numbers in the header.
    pub images: &'a [u32],
    /// The pictures.
    pub pictures: &'a [Picture],
}

/// The questions, in order: the image, the same again, the text alone, the inverted image, which has no number.
///
/// # Errors
/// When the image cannot be decoded here.
pub fn questions(plan: &Plan, model: &str, asked: &Asked<'_>, with_logprobs: bool) -> Result<Arc<[Item]>, ImageError> {
    let mut plan = plan.clone();
    plan.ignore_eos = false;
    if with_logprobs {
        plan.extra_body.insert("logprobs".into(), Value::Bool(true));
        plan.extra_body.insert("top_logprobs".into(), json!(1));
    }
    let urls: Vec<Bytes> = asked.pictures.iter().map(image::data_url).collect();
    let inverted = asked.pictures.iter().map(|picture| Ok(image::data_url(&image::inverted(picture)?)));
    let inverted = inverted.collect::<Result<Vec<Bytes>, ImageError>>()?;
    let output_len = plan.output_len.clamp(1, ANSWER_TOKENS);
    let item = |images: &[u32], urls: &[Bytes]| Item {
        prompt: asked.number,
        images: images.to_vec(),
        output_len,
        body: workload::body(&plan, model, asked.prompt, output_len, urls),
    };
    Ok([item(asked.images, &urls), item(asked.images, &urls), item(&[], &[]), item(&[], &inverted)].into())
}

/// A question about the whole picture in the prompt's language: what to ask where the prompt's answer is the same whatever is on
/// the picture. `None` where the prompt is that question.
#[must_use]
pub fn about_the_whole(prompt: &str) -> Option<&'static str> {
    let question = if prompt.is_ascii() { "Describe the image." } else { "请描述图片" };
    (prompt != question).then_some(question)
}

/// The verdict over the four answers. `expected` is the sum of image tokens by the preprocessor settings.
#[must_use]
pub fn judge(records: &[RequestRecord], images: u64, expected: Option<u64>) -> ImageProof {
    let answer = |i: usize| records.get(i).filter(|record| record.outcome == Outcome::Complete);
    let billed = |i: usize| answer(i).and_then(|record| record.usage?.prompt);
    let (with_image, without_image) = (billed(0), billed(2));
    let answers = answer(0).zip(answer(1)).zip(answer(3));
    let effect = answers.and_then(|((first, again), inverted)| effect(first, again, inverted));
    let words_changed = answers.and_then(|((first, again), inverted)| words_changed(first, again, inverted));
    // Between other words the log probabilities are those of other tokens.
    let logprob_change = answers
        .filter(|_| words_changed == Some(false))
        .and_then(|((first, _), inverted)| largest_change(&first.logprobs, &inverted.logprobs));
    let verdict = match with_image.zip(without_image) {
        None => ProofVerdict::Unknown,
        Some((with, without)) if with <= without => ProofVerdict::NotSeen,
        Some((with, without)) => {
            let around = (with - without).checked_sub(expected.unwrap_or(0));
            let as_expected = expected.is_none()
                || around.is_some_and(|around| (AROUND_MIN * images..=AROUND_MAX * images).contains(&around));
            match (as_expected, effect) {
                (false, _) => ProofVerdict::UnexpectedSize,
                (true, Some(true)) => ProofVerdict::Seen,
                (true, Some(false)) => ProofVerdict::BilledWithoutEffect,
                (true, None) => ProofVerdict::Unknown,
            }
        }
    };
    ImageProof {
        verdict,
        with_image,
        without_image,
        expected,
        images,
        effect,
        words_changed,
        logprob_change,
        question: None,
    }
}

/// Whether the inverted picture changes the words, where asking twice does not.
fn words_changed(first: &RequestRecord, again: &RequestRecord, inverted: &RequestRecord) -> Option<bool> {
    let is_steady = first.text_sha256.is_some() && first.text_sha256 == again.text_sha256;
    is_steady.then(|| first.text_sha256 != inverted.text_sha256)
}

/// Whether the inverted picture changes more than asking twice does: servers that batch are not exact to the last bit.
fn effect(first: &RequestRecord, again: &RequestRecord, inverted: &RequestRecord) -> Option<bool> {
    const NOISE_FACTOR: f64 = 10.0;
    const LEAST: f64 = 1e-4;
    let words_changed = words_changed(first, again, inverted);
    if words_changed == Some(true) {
        return Some(true);
    }
    // The noise of a token holds for those after it: from where the two equal answers part, nothing is told apart.
    let mut noise: f64 = 0.0;
    let changed =
        first.logprobs.iter().zip(&again.logprobs).zip(&inverted.logprobs).any(|((first, again), inverted)| {
            noise = noise.max((first - again).abs());
            (first - inverted).abs() > NOISE_FACTOR * noise + LEAST
        });
    if changed { Some(true) } else { words_changed }
}

/// The largest change from one answer's log probabilities to another's, token by token.
fn largest_change(one: &[f64], other: &[f64]) -> Option<f64> {
    one.iter().zip(other).map(|(a, b)| (a - b).abs()).reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use measure::{Phase, TokenUsage};

    /// An answer: prompt tokens billed, the answer's digest, its tokens' log probabilities.
    fn answer(prompt: Option<u64>, digest: &str, logprobs: &[f64]) -> RequestRecord {
        let mut record = RequestRecord::planned(0, Phase::Proof);
        record.outcome = Outcome::Complete;
        record.usage = prompt.map(|prompt| TokenUsage { prompt: Some(prompt), ..Default::default() });
        record.text_sha256 = Some(digest.into());
        record.logprobs = logprobs.to_vec();
        record
    }

    fn check(
        with: Option<u64>,
        without: Option<u64>,
        other: (&str, &[f64]),
        expected: Option<u64>,
        want: ProofVerdict,
    ) {
        let records = [
            answer(with, "a", &[-1.0, -2.0]),
            answer(with, "a", &[-1.0, -2.0]),
            answer(without, "t", &[-3.0]),
            answer(with, other.0, other.1),
        ];
        assert_eq!(judge(&records, 1, expected).verdict, want, "{with:?} {without:?} {other:?} {expected:?}");
    }

    #[test]
    fn verdicts() {
        use ProofVerdict::{BilledWithoutEffect, NotSeen, Seen, UnexpectedSize, Unknown};
        // Measured with the real vLLM: 1134 for the 1131 tokens of the picture with the chatml template, 1133 without.
        let same: &[f64] = &[-1.0, -2.0];
        check(Some(1145), Some(11), ("b", same), Some(1131), Seen);
        check(Some(1155), Some(22), ("a", &[-1.5, -2.0]), Some(1131), Seen);
        check(Some(1145), Some(11), ("a", &[-1.0, -2.001]), Some(1131), Seen);
        check(Some(1145), Some(11), ("a", same), Some(1131), BilledWithoutEffect);
        check(Some(1145), Some(11), ("a", &[]), Some(1131), BilledWithoutEffect);
        check(Some(11), Some(11), ("a", same), Some(1131), NotSeen);
        check(Some(300), Some(11), ("b", same), Some(1131), UnexpectedSize);
        check(Some(1143), Some(11), ("b", same), Some(1131), UnexpectedSize);
        check(Some(300), Some(11), ("b", same), None, Seen);
        check(None, Some(11), ("b", same), Some(1131), Unknown);
    }

    #[test]
    fn a_change_of_log_probabilities_alone_is_told_from_one_of_words() {
        let of = |digest: &str, logprobs: &[f64]| {
            let same = || answer(Some(50), "a", &[-1.0]);
            judge(&[same(), same(), answer(Some(2), "t", &[]), answer(Some(50), digest, logprobs)], 1, Some(45))
        };
        let proof = of("a", &[-1.5]);
        assert_eq!((proof.effect, proof.words_changed, proof.logprob_change), (Some(true), Some(false), Some(0.5)));
        let proof = of("b", &[-1.0]);
        assert_eq!((proof.effect, proof.words_changed, proof.logprob_change), (Some(true), Some(true), None));
    }

    #[test]
    fn answers_without_a_word_tell_nothing() {
        let silent = |logprobs: &[f64]| RequestRecord { text_sha256: None, ..answer(Some(50), "", logprobs) };
        assert_eq!(effect(&silent(&[]), &silent(&[]), &silent(&[])), None);
        assert_eq!(effect(&silent(&[-1.0]), &silent(&[-1.0]), &silent(&[-2.0])), Some(true));
    }

    #[test]
    fn noise_between_equal_questions_is_no_effect() {
        let at = |logprobs: &[f64]| answer(Some(50), "a", logprobs);
        assert_eq!(effect(&at(&[-1.0]), &at(&[-1.001]), &at(&[-1.002])), Some(false));
        assert_eq!(effect(&at(&[-1.0]), &at(&[-1.001]), &at(&[-1.2])), Some(true));
        // A token that is certain for any picture, and one that is not.
        assert_eq!(effect(&at(&[0.0, -1.0]), &at(&[0.0, -1.0]), &at(&[-1e-6, -1.001])), Some(true));
    }

    #[test]
    fn answers_that_differ_by_themselves_tell_something_up_to_where_they_part() {
        let [first, again, third] = ["a", "b", "c"];
        let of = |digest: &str, logprobs: &[f64]| answer(Some(50), digest, logprobs);
        let unlike =
            |logprobs: &[f64]| effect(&of(first, &[-1.0, -2.0]), &of(again, &[-1.0, -9.0]), &of(third, logprobs));
        assert_eq!(unlike(&[-1.5, -2.0]), Some(true));
        assert_eq!(unlike(&[-1.0, -4.0]), None);
    }

    #[test]
    fn the_question_about_the_whole_picture_is_in_the_prompts_language() {
        assert_eq!(about_the_whole("Is there a worker?"), Some("Describe the image."));
        assert_eq!(about_the_whole("有工人吗？"), Some("请描述图片"));
        assert_eq!(about_the_whole("请描述图片"), None);
    }
}
