//! Did the picture reach the model? Billed: usage with the image minus usage of the same text without it. With effect:
//! a picture of the same size with inverted colours changes the answer or its first log probability.

use crate::image::{self, ImageError, Picture};
use crate::plan::Plan;
use crate::workload::{self, Item};
use bytes::Bytes;
use measure::{ImageProof, Outcome, ProofVerdict, RequestRecord};
use serde_json::{Value, json};
use std::sync::Arc;

/// An answer this long is enough to compare.
const ANSWER_TOKENS: u64 = 8;
/// Beyond the image's own tokens a server bills two to four for what stands around it.
const AROUND_MIN: u64 = 2;
const AROUND_MAX: u64 = 4;

/// The questions, in order: the image, the same again, the text alone, the inverted image.
///
/// # Errors
/// When the image cannot be decoded here.
pub fn questions(
    plan: &Plan,
    model: &str,
    prompt: &str,
    pictures: &[Picture],
    with_logprobs: bool,
) -> Result<Arc<[Item]>, ImageError> {
    let mut plan = plan.clone();
    plan.ignore_eos = false;
    if with_logprobs {
        plan.extra_body.insert("logprobs".into(), Value::Bool(true));
        plan.extra_body.insert("top_logprobs".into(), json!(1));
    }
    let urls: Vec<Bytes> = pictures.iter().map(image::data_url).collect();
    let inverted = pictures.iter().map(|picture| Ok(image::data_url(&image::inverted(picture)?)));
    let inverted = inverted.collect::<Result<Vec<Bytes>, ImageError>>()?;
    let output_len = plan.output_len.clamp(1, ANSWER_TOKENS);
    let item = |urls: &[Bytes]| Item {
        prompt: 0,
        images: Vec::new(),
        output_len,
        body: workload::body(&plan, model, prompt, output_len, urls),
    };
    Ok([item(&urls), item(&urls), item(&[]), item(&inverted)].into())
}

/// The verdict over the four answers. `expected` is the sum of image tokens by the preprocessor settings.
#[must_use]
pub fn judge(records: &[RequestRecord], images: u64, expected: Option<u64>) -> ImageProof {
    let answer = |i: usize| records.get(i).filter(|record| record.outcome == Outcome::Complete);
    let billed = |i: usize| answer(i).and_then(|record| record.usage?.prompt);
    let (with_image, without_image) = (billed(0), billed(2));
    let effect = match (answer(0), answer(1), answer(3)) {
        (Some(first), Some(again), Some(inverted)) => effect(first, again, inverted),
        _ => None,
    };
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
    ImageProof { verdict, with_image, without_image, expected, images, effect }
}

/// Whether the inverted picture changes more than asking twice does: servers that batch are not exact to the last bit.
fn effect(first: &RequestRecord, again: &RequestRecord, inverted: &RequestRecord) -> Option<bool> {
    const NOISE_FACTOR: f64 = 10.0;
    const LEAST: f64 = 1e-4;
    let steady = first.text_sha256.is_some() && first.text_sha256 == again.text_sha256;
    if steady && first.text_sha256 != inverted.text_sha256 {
        return Some(true);
    }
    match (first.first_logprob, again.first_logprob, inverted.first_logprob) {
        (Some(a), Some(b), Some(c)) => Some((a - c).abs() > NOISE_FACTOR * (a - b).abs() + LEAST),
        _ => steady.then_some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use measure::{Phase, TokenUsage};

    /// An answer: prompt tokens billed, the answer's digest, its first log probability.
    fn answer(prompt: Option<u64>, digest: &str, logprob: Option<f64>) -> RequestRecord {
        let mut record = RequestRecord::planned(0, Phase::Proof);
        record.outcome = Outcome::Complete;
        record.usage = prompt.map(|prompt| TokenUsage { prompt: Some(prompt), ..Default::default() });
        record.text_sha256 = Some(digest.into());
        record.first_logprob = logprob;
        record
    }

    fn check(
        with: Option<u64>,
        without: Option<u64>,
        other: (&str, Option<f64>),
        expected: Option<u64>,
        want: ProofVerdict,
    ) {
        let records = [
            answer(with, "a", Some(-1.0)),
            answer(with, "a", Some(-1.0)),
            answer(without, "t", Some(-3.0)),
            answer(with, other.0, other.1),
        ];
        assert_eq!(judge(&records, 1, expected).verdict, want, "{with:?} {without:?} {other:?} {expected:?}");
    }

    #[test]
    fn verdicts() {
        use ProofVerdict::{BilledWithoutEffect, NotSeen, Seen, UnexpectedSize, Unknown};
        // Measured with the real vLLM: 1134 for the 1131 tokens of the picture with the chatml template, 1133 without.
        check(Some(1145), Some(11), ("b", Some(-1.0)), Some(1131), Seen);
        check(Some(1155), Some(22), ("a", Some(-1.5)), Some(1131), Seen);
        check(Some(1145), Some(11), ("a", Some(-1.0)), Some(1131), BilledWithoutEffect);
        check(Some(1145), Some(11), ("a", None), Some(1131), BilledWithoutEffect);
        check(Some(11), Some(11), ("a", Some(-1.0)), Some(1131), NotSeen);
        check(Some(300), Some(11), ("b", Some(-1.0)), Some(1131), UnexpectedSize);
        check(Some(1143), Some(11), ("b", Some(-1.0)), Some(1131), UnexpectedSize);
        check(Some(300), Some(11), ("b", Some(-1.0)), None, Seen);
        check(None, Some(11), ("b", Some(-1.0)), Some(1131), Unknown);
    }

    #[test]
    fn answers_without_a_word_tell_nothing() {
        let silent = |logprob: Option<f64>| RequestRecord { text_sha256: None, ..answer(Some(50), "", logprob) };
        assert_eq!(effect(&silent(None), &silent(None), &silent(None)), None);
        assert_eq!(effect(&silent(Some(-1.0)), &silent(Some(-1.0)), &silent(Some(-2.0))), Some(true));
    }

    #[test]
    fn noise_between_equal_questions_is_no_effect() {
        let at = |logprob: f64| answer(Some(50), "a", Some(logprob));
        assert_eq!(effect(&at(-1.0), &at(-1.001), &at(-1.002)), Some(false));
        assert_eq!(effect(&at(-1.0), &at(-1.001), &at(-1.2)), Some(true));
    }
}
