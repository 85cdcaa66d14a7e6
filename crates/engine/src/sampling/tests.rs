//! Probabilities, log probabilities and refusals against vLLM's formulas (float64) and words.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::*;
use crate::text::Refusal;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
    refusals: Vec<Refused>,
}

#[derive(Deserialize)]
struct Case {
    setting: Map<String, Value>,
    row: Vec<f32>,
    prompt: Vec<u32>,
    output: Vec<u32>,
    probabilities: BTreeMap<u32, f64>,
    /// Id, log probability, rank.
    taken: (u32, f64, u32),
    top: Vec<(u32, f64)>,
}

#[derive(Deserialize)]
struct Refused {
    setting: Map<String, Value>,
    words: Option<String>,
}

const LIMITS: SamplingLimits = SamplingLimits { max_model_len: 64, vocab_size: 100, max_logprobs: 20, eos_token: None };

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../../../tests/data/text/sampling.json")).unwrap()
}

fn request(setting: &Map<String, Value>) -> SamplingRequest {
    let float = |name: &str| match setting.get(name) {
        Some(Value::String(_)) => Some(f64::INFINITY),
        other => other.and_then(Value::as_f64),
    };
    let integer = |name: &str| setting.get(name).and_then(Value::as_i64);
    let list = |name: &str| setting.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    SamplingRequest {
        n: integer("n"),
        temperature: float("temperature"),
        top_p: float("top_p"),
        top_k: integer("top_k"),
        min_p: float("min_p"),
        repetition_penalty: float("repetition_penalty"),
        presence_penalty: float("presence_penalty"),
        frequency_penalty: float("frequency_penalty"),
        seed: integer("seed"),
        stop: list("stop").iter().filter_map(|stop| Some(stop.as_str()?.to_owned())).collect(),
        stop_token_ids: list("stop_token_ids").iter().filter_map(Value::as_i64).collect(),
        max_tokens: integer("max_tokens"),
        min_tokens: integer("min_tokens"),
        logprobs: integer("logprobs"),
        prompt_logprobs: integer("prompt_logprobs"),
        ..SamplingRequest::default()
    }
}

fn resolve(request: &SamplingRequest) -> Result<SamplingParams, Refusal> {
    request.resolve(&GenerationDefaults::default(), &LIMITS, 0)
}

#[test]
fn probabilities_are_vllms() {
    for case in golden().cases {
        let params = resolve(&request(&case.setting)).unwrap();
        let mut sampler = Sampler::new(params, &case.prompt, 0);
        case.output.iter().for_each(|token| sampler.record(*token));
        let found: BTreeMap<u32, f64> = sampler.probabilities(&mut case.row.clone()).into_iter().collect();
        assert!(found.keys().eq(case.probabilities.keys()), "{:?}: {found:?} {:?}", case.setting, case.probabilities);
        for (id, expected) in &case.probabilities {
            // Logits are float32 after penalties and temperature, as vLLM's are; with a temperature of 0.01 a
            // rounding of one part in 2^24 of a logit of some 1,000 is 1e-4 of the probability.
            let allowed = if sampler.params().temperature < 0.1 { 1e-4 } else { 2e-6 };
            assert!((found[id] - expected).abs() < allowed, "{:?}, {id}: {} {expected}", case.setting, found[id]);
        }
    }
}

#[test]
fn log_probabilities_and_ranks_are_vllms() {
    for case in golden().cases {
        let found = Logprobs::of(&case.row, case.taken.0, case.top.len()).unwrap();
        assert_eq!((found.taken.id, found.taken.rank), (case.taken.0, case.taken.2));
        assert!((f64::from(found.taken.logprob) - case.taken.1).abs() < 1e-6);
        for ((found, expected), rank) in found.top.iter().zip(&case.top).zip(1..) {
            assert_eq!((found.id, found.rank), (expected.0, rank));
            assert!((f64::from(found.logprob) - expected.1).abs() < 1e-6);
        }
    }
}

#[test]
fn refusals_are_in_vllms_words() {
    for Refused { setting, words } in golden().refusals {
        let found = resolve(&request(&setting)).map_err(|refusal| refusal.to_string());
        assert_eq!(found.err(), words, "{setting:?}");
    }
}

#[test]
fn draws_follow_the_probabilities() {
    // Four tokens of 1/2, 1/4, 1/8, 1/8: 20,000 draws, five standard deviations are 350 at most.
    let row: Vec<f32> = [4.0f32, 2.0, 1.0, 1.0].iter().map(|weight| weight.ln()).collect();
    let mut counts = [0i32; 4];
    for seed in 0..20_000 {
        let params = resolve(&SamplingRequest { seed: Some(seed), ..SamplingRequest::default() }).unwrap();
        counts[Sampler::new(params, &[], 0).sample(&mut row.clone()).unwrap().token as usize] += 1;
    }
    for (count, expected) in counts.into_iter().zip([10_000, 5_000, 2_500, 2_500]) {
        assert!((count - expected).abs() < 350, "{counts:?}");
    }
}

#[test]
fn a_seed_repeats_the_draws_and_nothing_else_does() {
    let row: Vec<f32> = (0..50).map(|id| (id as f32 * 0.7).sin()).collect();
    let draws = |seed, entropy| {
        let params = resolve(&SamplingRequest { seed, ..SamplingRequest::default() }).unwrap();
        let mut sampler = Sampler::new(params, &[], entropy);
        (0..20).map(|_| sampler.sample(&mut row.clone()).unwrap().token).collect::<Vec<_>>()
    };
    assert_eq!(draws(Some(7), 1), draws(Some(7), 2));
    assert_ne!(draws(Some(7), 1), draws(Some(8), 1));
    assert_ne!(draws(None, 1), draws(None, 2));
    assert_eq!(draws(Some(-1), 1), draws(None, 1));
}

/// Tokens of a greedy sampler over one row.
fn greedy(row: &[f32], request: SamplingRequest, steps: usize) -> Vec<u32> {
    let request = SamplingRequest { temperature: Some(0.0), ..request };
    let limits = SamplingLimits { eos_token: Some(0), ..LIMITS };
    let defaults = GenerationDefaults { eos_token_ids: vec![0, 1], ..GenerationDefaults::default() };
    let mut sampler = Sampler::new(request.resolve(&defaults, &limits, 0).unwrap(), &[], 0);
    (0..steps).map(|_| sampler.sample(&mut row.to_vec()).unwrap().token).collect()
}

#[test]
fn greedy_takes_the_greatest_and_of_equals_the_lowest() {
    assert_eq!(greedy(&[1.0, 3.0, 3.0, 2.0], SamplingRequest::default(), 2), [1, 1]);
    assert_eq!(greedy(&[-1.0, f32::NEG_INFINITY, -0.5], SamplingRequest::default(), 1), [2]);
}

#[test]
fn end_tokens_cannot_come_too_early() {
    let row = [9.0, 8.0, 7.0, 6.0, 5.0];
    let after = |min_tokens, stop_token_ids, ignore_eos| {
        let request =
            SamplingRequest { min_tokens: Some(min_tokens), stop_token_ids, ignore_eos, ..Default::default() };
        greedy(&row, request, 3)
    };
    assert_eq!(after(0, vec![], false), [0, 0, 0]);
    assert_eq!(after(2, vec![], false), [2, 2, 0]);
    assert_eq!(after(2, vec![2], false), [3, 3, 0]);
    assert_eq!(after(2, vec![], true), [2, 2, 0], "even if they are ignored, as in vLLM");
}

#[test]
fn broken_logits_are_refused() {
    let check = |row: &[f32], temperature, expected| {
        let request = SamplingRequest { temperature: Some(temperature), ..SamplingRequest::default() };
        let mut sampler = Sampler::new(resolve(&request).unwrap(), &[], 0);
        assert_eq!(sampler.sample(&mut row.to_vec()), Err(expected));
    };
    for temperature in [0.0, 1.0] {
        check(&[1.0, f32::NAN], temperature, BadLogits::NotANumber);
        check(&[f32::NEG_INFINITY; 3], temperature, BadLogits::NothingPossible);
        check(&[1.0, f32::INFINITY], temperature, BadLogits::NothingPossible);
        check(&[], temperature, BadLogits::NothingPossible);
    }
    assert_eq!(Logprobs::of(&[1.0], 3, 1), Err(BadLogits::NoSuchToken { id: 3, width: 1 }));
}

#[test]
fn the_taken_token_is_listed_first_and_once() {
    let row = [0.0, 2.0, 1.0, 1.0];
    let listed = |taken, top| {
        let found = Logprobs::of(&row, taken, top).unwrap();
        found.listed().map(|token| (token.id, token.rank)).collect::<Vec<_>>()
    };
    assert_eq!(listed(1, 2), [(1, 1), (2, 2)]);
    assert_eq!(listed(0, 2), [(0, 4), (1, 1), (2, 2)]);
    assert_eq!(listed(3, 0), [(3, 3)], "two are at least as likely, and the token itself");
    assert_eq!(listed(3, 9), [(3, 3), (1, 1), (2, 2), (0, 4)]);
}

#[test]
fn the_checkpoint_s_defaults_stand_where_the_client_is_silent() {
    let text =
        r#"{"eos_token_id": [45, 43], "temperature": 0.001, "top_p": 0.5, "top_k": 3, "repetition_penalty": 1.05}"#;
    let defaults = GenerationDefaults::from_json(text).unwrap();
    let limits = SamplingLimits { eos_token: Some(45), ..LIMITS };
    let silent = SamplingRequest::default().resolve(&defaults, &limits, 14).unwrap();
    assert_eq!((silent.temperature, silent.top_p, silent.top_k, silent.repetition_penalty), (0.01, 0.5, 3, 1.05));
    assert_eq!((silent.eos_token, &silent.stop_token_ids, silent.max_tokens), (Some(45), &vec![43], 50));
    let loud = SamplingRequest {
        temperature: Some(0.0),
        ignore_eos: true,
        stop_token_ids: vec![7, 7],
        max_tokens: Some(5),
        max_completion_tokens: Some(70),
        ..SamplingRequest::default()
    };
    let loud = loud.resolve(&defaults, &limits, 14).unwrap();
    assert_eq!((loud.temperature, loud.top_p, loud.top_k), (0.0, 1.0, 0), "greedy keeps all");
    assert_eq!((loud.eos_token, loud.stop_token_ids, loud.max_tokens), (None, vec![7], 50));
    assert_eq!(loud.masked_before_min_tokens, [7, 43, 45]);
    let full = SamplingRequest::default().resolve(&defaults, &limits, 64).unwrap_err().to_string();
    assert_eq!(full, "max_tokens must be at least 1, got 0. (parameter=max_tokens, value=0)");
}

#[test]
fn an_answer_longer_than_the_context_is_refused_before_the_prompt_is_read() {
    let words = |request: SamplingRequest| request.check_output_limit(16_384).map_err(|refusal| refusal.to_string());
    let max_tokens = |limit| SamplingRequest { max_tokens: Some(limit), ..SamplingRequest::default() };
    assert_eq!(words(max_tokens(16_384)), Ok(()));
    assert_eq!(words(max_tokens(-1)), Ok(()));
    // The words that the real server replied.
    let replied = "max_tokens=99999999 cannot be greater than max_model_len=16384. Please request fewer output tokens. \
                   (parameter=max_tokens, value=99999999)";
    assert_eq!(words(max_tokens(99_999_999)), Err(replied.into()));
    let newer = SamplingRequest { max_completion_tokens: Some(20_000), ..max_tokens(1) };
    assert!(words(newer).unwrap_err().starts_with("max_completion_tokens=20000 "));
}

#[test]
fn top_p_keeps_the_same_of_a_large_vocabulary() {
    // 5,000 equally likely tokens and one that is as likely as all of them: each of them has a probability of 1/10,000, so
    // that a `top_p` of 0.75005 keeps it and 2,501 of them, those with the lower ids.
    let mut row = vec![0.0; 5_001];
    row[4_000] = 5_000f32.ln();
    let kept = |top_p| {
        let params = resolve(&SamplingRequest { top_p: Some(top_p), ..SamplingRequest::default() }).unwrap();
        Sampler::new(params, &[], 0).probabilities(&mut row.clone()).into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    assert_eq!(kept(0.4), [4_000]);
    assert_eq!(kept(0.750_05), (0..2_501).chain([4_000]).collect::<Vec<_>>());
    assert_eq!(kept(0.999_99).len(), 5_001);
}

#[test]
fn top_k_keeps_what_equals_the_last() {
    // Logits 0 to 99 in a mixed order, each twice: an even k keeps k, an odd one k + 1.
    let row: Vec<f32> = (0..200u32).map(|id| (id * 37 % 100) as f32).collect();
    for (k, expected) in [(1, 2), (2, 2), (63, 64), (64, 64), (65, 66), (199, 200), (0, 200)] {
        let request = SamplingRequest { top_k: Some(k), temperature: Some(2.0), ..SamplingRequest::default() };
        let kept = Sampler::new(resolve(&request).unwrap(), &[], 0).probabilities(&mut row.clone());
        assert_eq!(kept.len(), expected, "{k}");
        assert!(kept.iter().all(|(id, _)| row[*id as usize] >= (100 - expected / 2) as f32), "{k}");
    }
}
