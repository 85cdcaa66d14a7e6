//! A sequence's logits are equal to the bit alone, among others, with chunked prefill, in other blocks, after a hit in a
//! prefix cache and with any number of threads.

use engine::model::{Chunk, Dtype, KvCache, Qwen2Vl};

use super::golden::{CASES, Goldens, Prompt, Sequence, best, folder, load};

const STEPS: usize = 6;

/// The logits of each step, as bits, of a sequence that is alone.
fn alone(model: &Qwen2Vl, prompt: &Prompt, chunk: usize, first_block: u32) -> Vec<Vec<u32>> {
    let mut cache = KvCache::new(model.config(), 64, model.dtype());
    let mut sequence = Sequence::new(prompt, STEPS, first_block);
    let mut logits = sequence.prefill(model, &mut cache, chunk);
    let mut found = vec![bits(&logits)];
    for _ in 0..STEPS {
        logits = sequence.decode(model, &mut cache, best(&logits));
        found.push(bits(&logits));
    }
    found
}

fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|logit| logit.to_bits()).collect()
}

#[test]
fn threads_chunks_and_blocks_change_nothing() {
    let goldens = Goldens::read();
    for dtype in [Dtype::Float32, Dtype::BFloat16] {
        let models = [1, 2, 5].map(|threads| load(&folder(), dtype, threads));
        for case in ["text_long", "strip_2000x10", "two_images"] {
            let prompt = goldens.prompt(&models[0], case);
            let expected = alone(&models[0], &prompt, usize::MAX / 2, 0);
            for model in &models {
                assert_eq!(goldens.prompt(model, case).pictures, prompt.pictures, "{case}");
                for (chunk, block) in [(usize::MAX / 2, 40), (1, 0), (7, 3), (16, 0), (33, 11)] {
                    assert!(alone(model, &prompt, chunk, block) == expected, "{dtype:?} {case}: chunks of {chunk}");
                }
            }
        }
    }
}

/// Eight prompts four times, all in one step, with a token of a running sequence between them.
#[test]
fn thirty_two_others_change_nothing() {
    let goldens = Goldens::read();
    for dtype in [Dtype::Float32, Dtype::BFloat16] {
        let model = load(&folder(), dtype, 2);
        let prompts: Vec<Prompt> = CASES.iter().map(|case| goldens.prompt(&model, case)).collect();
        let expected: Vec<_> = prompts.iter().map(|prompt| alone(&model, prompt, usize::MAX / 2, 0)).collect();
        let mut cache = KvCache::new(model.config(), 400, dtype);
        let mut sequences: Vec<Sequence<'_>> = Vec::new();
        for number in 0..33 {
            let first = sequences.last().map_or(0, |sequence| sequence.table.last().unwrap() + 1);
            sequences.push(Sequence::new(&prompts[number % 8], STEPS, first));
        }
        // Each starts two steps after the one before: prefill and decode meet in every step.
        let mut last: Vec<Vec<f32>> = vec![Vec::new(); 33];
        for step in 0..=STEPS + 2 {
            let placed: Vec<_> = prompts.iter().map(|prompt| prompt.placed(0, prompt.ids.len())).collect();
            let next: Vec<(Vec<u32>, Vec<[u32; 3]>)> = (0..33)
                .map(|number| {
                    let sequence = &sequences[number];
                    if sequence.cached == 0 {
                        (sequence.prompt.ids.clone(), sequence.prompt.positions.clone())
                    } else {
                        (vec![best(&last[number])], vec![sequence.position(sequence.cached)])
                    }
                })
                .collect();
            let running = |number: &usize| {
                let started = step >= number % 3;
                started && step - number % 3 <= STEPS
            };
            let numbers: Vec<usize> = (0..33).filter(running).collect();
            let ends: Vec<[usize; 1]> = numbers.iter().map(|number| [next[*number].0.len() - 1]).collect();
            let chunk = |(at, number): (usize, &usize)| Chunk {
                block_table: &sequences[*number].table,
                cached: sequences[*number].cached,
                ids: &next[*number].0,
                positions: &next[*number].1,
                features: if sequences[*number].cached == 0 { &placed[number % 8] } else { &[] },
                wanted: &ends[at],
            };
            let chunks: Vec<Chunk<'_>> = numbers.iter().enumerate().map(chunk).collect();
            let logits = model.forward(&mut cache, &chunks).unwrap();
            for (at, number) in numbers.iter().enumerate() {
                last[*number] = logits.row(at).unwrap().to_vec();
                let expected = &expected[number % 8][step - number % 3];
                assert!(bits(&last[*number]) == *expected, "{dtype:?} sequence {number}, step {step}");
                sequences[*number].cached += next[*number].0.len();
            }
        }
    }
}

/// A second sequence that shares the first's full blocks and computes only the rest.
#[test]
fn a_shared_prefix_changes_nothing() {
    let goldens = Goldens::read();
    let model = load(&folder(), Dtype::Float32, 2);
    let prompt = goldens.prompt(&model, "image_98x98");
    let expected = alone(&model, &prompt, usize::MAX / 2, 0);
    let mut cache = KvCache::new(model.config(), 64, model.dtype());
    Sequence::new(&prompt, STEPS, 0).prefill(&model, &mut cache, usize::MAX / 2);
    let mut second = Sequence::new(&prompt, STEPS, 30);
    second.table[..2].copy_from_slice(&[0, 1]);
    second.cached = 32;
    assert_eq!(bits(&second.prefill(&model, &mut cache, usize::MAX / 2)), expected[0]);
}

/// What an earlier user left in a block is of no consequence, even if it was infinite.
#[test]
fn used_blocks_are_as_good_as_new_ones() {
    let goldens = Goldens::read();
    let model = load(&folder(), Dtype::Float32, 2);
    let mut poison = goldens.prompt(&model, "image_98x98");
    let (patches, grids) = goldens.patches("image_98x98");
    let mut patches: Vec<f32> = patches.iter().map(|_| f32::INFINITY).collect();
    patches[0] = f32::NAN;
    poison.pictures = vec![model.encode_image(&patches, grids[0]).unwrap()];
    let mut cache = KvCache::new(model.config(), 10, model.dtype());
    let logits = Sequence::new(&poison, 0, 0).prefill(&model, &mut cache, usize::MAX / 2);
    assert!(logits.iter().all(|logit| logit.is_nan()));
    let prompt = goldens.prompt(&model, "text_short");
    let expected = alone(&model, &prompt, usize::MAX / 2, 0);
    assert_eq!(bits(&Sequence::new(&prompt, STEPS, 0).prefill(&model, &mut cache, 3)), expected[0]);
}
