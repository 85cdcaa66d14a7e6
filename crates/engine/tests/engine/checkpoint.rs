//! The engine around the tiny checkpoint: what transformers computes, alone and in company, whole and in pieces.

use std::sync::Arc;
use std::time::Instant;

use engine::engine::{EngineRequest, ImageRules, Picture, TokenEvent};
use engine::model::{Dtype, Instructions, LoadOptions, Qwen2Vl};
use engine::pixels::{Normalisation, RgbImage};
use engine::prompt::{Prompt, PromptImage, PromptRules};
use engine::sampling::{GenerationDefaults, SamplingLimits, SamplingRequest};
use engine::stepper::ModelStepper;
use geometry::{Family, Preprocessor};

use crate::rig::{Rig, config};
use crate::tiny::{CASES, Goldens, IMAGE, folder};

const VOCAB: u32 = 2000;
const PATCH: usize = 14;

impl Goldens {
    /// The resized pictures of a case, out of their patches.
    fn pictures(&self, case: &str) -> Vec<Arc<Picture>> {
        let rules = Arc::new(ImageRules {
            preprocessor: Preprocessor::of(Family::Qwen2Vl),
            normalisation: Normalisation::CLIP,
        });
        if !self.has(&format!("{case}/grid")) {
            return Vec::new();
        }
        let patches = self.bytes(&format!("{case}/patches"));
        let mut patches = patches.chunks(3 * PATCH * PATCH);
        let grids = self.u32s(&format!("{case}/grid"));
        let picture = |grid: &[u32]| {
            let (rows, columns) = (grid[1] as usize, grid[2] as usize);
            let width = columns * PATCH;
            let mut pixels = vec![0; rows * PATCH * width * 3];
            for square in 0..rows * columns / 4 {
                let (top, left) = (square / (columns / 2) * 2, square % (columns / 2) * 2);
                for (row, column) in [(top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)] {
                    for (at, level) in patches.next().unwrap().iter().enumerate() {
                        let (channel, y, x) = (at / (PATCH * PATCH), at / PATCH % PATCH, at % PATCH);
                        pixels[((row * PATCH + y) * width + column * PATCH + x) * 3 + channel] = *level;
                    }
                }
            }
            let image = RgbImage { width: width as u32, height: (rows * PATCH) as u32, pixels };
            Arc::new(Picture::new(&image, &rules).unwrap())
        };
        grids.chunks(3).map(picture).collect()
    }

    /// A case as a request for 128 greedy tokens and the eight likeliest at each place.
    fn request(&self, case: &str, more: SamplingRequest) -> EngineRequest {
        let mut ids = self.u32s(&format!("{case}/ids"));
        ids.dedup_by(|a, b| *a == IMAGE && *b == IMAGE);
        let pictures = self.pictures(case);
        let images: Vec<PromptImage> = pictures.iter().map(|picture| picture.for_prompt()).collect();
        let prompt = Prompt::new(&ids, &images, PromptRules { image_token: IMAGE, merge_size: 2 }).unwrap();
        assert_eq!(prompt.ids(), self.u32s(&format!("{case}/ids")), "{case}");
        let limits = SamplingLimits { max_model_len: 8192, vocab_size: VOCAB, max_logprobs: 20, eos_token: None };
        let asked = SamplingRequest { temperature: Some(0.0), max_tokens: Some(128), logprobs: Some(8), ..more };
        let params = asked.resolve(&GenerationDefaults::default(), &limits, prompt.len()).unwrap();
        EngineRequest { prompt: Arc::new(prompt), pictures, params, salt: Vec::new(), arrived: Instant::now() }
    }
}

/// An engine with the model. `tokens` is the most of a step.
fn rig(tokens: usize) -> Rig {
    let options = LoadOptions {
        dtype: Dtype::Float32,
        threads: std::num::NonZeroUsize::new(2),
        instructions: Instructions::Fastest,
    };
    let model = Qwen2Vl::load(&folder(), &options, |_| ()).unwrap();
    let mut limits = config();
    limits.scheduler.max_num_batched_tokens = tokens;
    Rig::with(Box::new(ModelStepper::new(model, limits.scheduler.blocks as usize)), limits).unwrap()
}

/// The bits of all log probabilities of an answer.
fn bits(answer: &[TokenEvent]) -> Vec<(u32, u32)> {
    let lists = answer.iter().flat_map(|token| &token.logprobs.as_ref().unwrap().top);
    lists.map(|token| (token.id, token.logprob.to_bits())).collect()
}

#[test]
fn greedy_answers_are_those_of_transformers() {
    let (goldens, rig) = (Goldens::read(), rig(2048));
    for case in CASES {
        let answer = rig.ask(goldens.request(case, SamplingRequest::default())).all();
        let tokens: Vec<u32> = answer.iter().map(|token| token.token).collect();
        assert_eq!(tokens, goldens.u32s(&format!("{case}/tokens")), "{case}");
        let expected = goldens.f32s(&format!("{case}/top_logprobs"));
        let got = answer.iter().flat_map(|token| &token.logprobs.as_ref().unwrap().top).map(|token| token.logprob);
        let worst = got.zip(&expected).map(|(got, expected)| (got - expected).abs()).fold(0.0, f32::max);
        assert!(worst <= 5e-5, "{case}: {worst}");
    }
}

#[test]
fn an_answer_has_the_same_bits_whatever_happens_around_it() {
    let goldens = Goldens::read();
    let alone: Vec<_> = {
        let rig = rig(2048);
        CASES.map(|case| bits(&rig.ask(goldens.request(case, SamplingRequest::default())).all())).into()
    };
    // All at once, in pieces of few tokens; then again, with prompts that are in the cache.
    let rig = rig(24);
    for round in 0..2 {
        let answers: Vec<_> = CASES.map(|case| rig.ask(goldens.request(case, SamplingRequest::default()))).into();
        for ((case, answer), alone) in CASES.iter().zip(answers).zip(&alone) {
            assert!(bits(&answer.all()) == *alone, "{case} in round {round}");
        }
    }
    assert!(rig.idle_stats().scheduler.prefix_hits_tokens > 0);
}

#[test]
fn probabilities_of_a_prompt_are_those_of_transformers() {
    let (goldens, rig) = (Goldens::read(), rig(2048));
    for case in ["text_long", "image_70x70", "two_images"] {
        let asked = SamplingRequest { prompt_logprobs: Some(1), ..SamplingRequest::default() };
        let answer = rig.ask(goldens.request(case, asked)).all();
        let got = answer[0].prompt_logprobs.as_ref().unwrap();
        let ids = goldens.u32s(&format!("{case}/prompt_top_ids"));
        let expected = goldens.f32s(&format!("{case}/prompt_top_logprobs"));
        // The last one is of the answer.
        assert_eq!(got.len() + 1, ids.len(), "{case}");
        for (at, logprobs) in got.iter().enumerate() {
            assert!((logprobs.top[0].logprob - expected[at]).abs() <= 5e-5, "{case} {at}");
            assert_eq!(logprobs.top[0].id, ids[at], "{case} {at}");
        }
    }
}
