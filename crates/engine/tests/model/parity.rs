//! float32 against transformers float32 with eager attention: tolerances are those that the real vLLM keeps within.

use engine::model::{Dtype, Instructions, KvCache, LoadOptions, Qwen2Vl};

use super::golden::{CASES, Goldens, Sequence, best, folder, load, logprobs};

/// The greatest difference of a logprob. The real vLLM in float32 stays within 1.4e-5 on a larger model.
const LOGPROB_MAX: f32 = 5e-5;

/// The greatest difference of two lists of the same length.
fn distance(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(found, expected)| (found - expected).abs()).fold(0.0, f32::max)
}

#[test]
fn pictures_become_the_same_tokens() {
    let (goldens, model) = (Goldens::read(), load(&folder(), Dtype::Float32, 2));
    for case in CASES.iter().filter(|case| goldens.has(&format!("{case}/features"))) {
        let prompt = goldens.prompt(&model, case);
        let found: Vec<f32> = prompt.pictures.iter().flat_map(|picture| picture.values().to_vec()).collect();
        let expected = goldens.f32s(&format!("{case}/features"));
        assert!(expected.iter().any(|value| value.abs() > 1.0), "{case}");
        let distance = distance(&found, &expected);
        assert!(distance < 2e-5, "{case}: {distance}");
    }
}

#[test]
fn greedy_answers_are_the_same_over_128_tokens() {
    check_greedy(&load(&folder(), Dtype::Float32, 2), &CASES);
}

/// The path of processors without AVX2 gives the same answers, though not the same bits.
#[test]
fn portable_instructions_give_the_same_answers() {
    let options = LoadOptions { dtype: Dtype::Float32, threads: None, instructions: Instructions::Portable };
    let model = Qwen2Vl::load(&folder(), &options, |_| ()).unwrap();
    assert_eq!(model.instructions(), "portable");
    check_greedy(&model, &["text_long", "strip_2000x10", "two_images"]);
}

fn check_greedy(model: &Qwen2Vl, cases: &[&str]) {
    let goldens = Goldens::read();
    for case in cases {
        let prompt = goldens.prompt(model, case);
        let tokens = goldens.u32s(&format!("{case}/tokens"));
        let top_ids = goldens.u32s(&format!("{case}/top_ids"));
        let top_logprobs = goldens.f32s(&format!("{case}/top_logprobs"));
        let mut cache = KvCache::new(model.config(), 20, model.dtype());
        let mut sequence = Sequence::new(&prompt, tokens.len(), 0);
        let mut logits = sequence.prefill(model, &mut cache, usize::MAX / 2);
        let first = distance(&logprobs(&logits), &goldens.f32s(&format!("{case}/first_logprobs")));
        assert!(first <= LOGPROB_MAX, "{case}: {first}");
        for (step, token) in tokens.iter().enumerate() {
            assert_eq!(best(&logits), *token, "{case}, step {step}");
            let all = logprobs(&logits);
            let found: Vec<f32> = top_ids[step * 8..step * 8 + 8].iter().map(|id| all[*id as usize]).collect();
            let distance = distance(&found, &top_logprobs[step * 8..step * 8 + 8]);
            assert!(distance <= LOGPROB_MAX, "{case}, step {step}: {distance}");
            logits = sequence.decode(model, &mut cache, *token);
        }
    }
}

/// What `prompt_logprobs` needs: logits after every token of the prompt.
#[test]
fn every_token_of_a_prompt_has_the_same_best_successor() {
    let (goldens, model) = (Goldens::read(), load(&folder(), Dtype::Float32, 2));
    for case in CASES {
        let prompt = goldens.prompt(&model, case);
        let mut cache = KvCache::new(model.config(), 10, model.dtype());
        let sequence = Sequence::new(&prompt, 0, 0);
        let wanted: Vec<usize> = (0..prompt.ids.len()).collect();
        let placed = prompt.placed(0, prompt.ids.len());
        let logits = sequence.step(&model, &mut cache, &prompt.ids, &prompt.positions, &placed, &wanted);
        assert_eq!(logits.len(), wanted.len());
        let top_ids = goldens.u32s(&format!("{case}/prompt_top_ids"));
        let top_logprobs = goldens.f32s(&format!("{case}/prompt_top_logprobs"));
        for row in wanted {
            let logprob = logprobs(logits.row(row).unwrap())[top_ids[row] as usize];
            let distance = (logprob - top_logprobs[row]).abs();
            assert!(distance <= LOGPROB_MAX, "{case}, token {row}: {distance}");
        }
    }
}

/// bfloat16 rounds inputs to 8 bits of mantissa; it must stay close, and its first tokens are those of float32.
#[test]
fn bfloat16_stays_close() {
    let (goldens, model) = (Goldens::read(), load(&folder(), Dtype::BFloat16, 2));
    for case in CASES {
        let prompt = goldens.prompt(&model, case);
        let mut cache = KvCache::new(model.config(), 10, model.dtype());
        let logits = Sequence::new(&prompt, 0, 0).prefill(&model, &mut cache, usize::MAX / 2);
        let first = goldens.f32s(&format!("{case}/first_logprobs"));
        let distance = distance(&logprobs(&logits), &first);
        assert!(distance < 0.25 && distance > 1e-4, "{case}: {distance}");
    }
}
