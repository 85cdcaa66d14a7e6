//! Steps and pictures that contradict themselves are errors, and write nothing.

use engine::model::{Chunk, Dtype, KvCache, ModelConfig, Placed, Qwen2Vl};
use geometry::Grid;

use super::golden::{Goldens, Sequence, folder, load};

fn refusal(model: &Qwen2Vl, cache: &mut KvCache, chunks: &[Chunk<'_>]) -> String {
    model.forward(cache, chunks).unwrap_err().to_string()
}

#[test]
fn a_bad_chunk_is_named_with_its_fault() {
    let model = load(&folder(), Dtype::Float32, 1);
    let goldens = Goldens::read();
    let prompt = goldens.prompt(&model, "image_28x28");
    let features = &prompt.pictures[0];
    let mut cache = KvCache::new(model.config(), 8, model.dtype());
    Sequence::new(&prompt, 0, 0).prefill(&model, &mut cache, usize::MAX / 2);
    let good =
        Chunk { block_table: &[4], cached: 0, ids: &[1, 2], positions: &[[0; 3], [1; 3]], features: &[], wanted: &[1] };
    let mut check = |bad: Chunk<'_>, expected: &str| {
        let message = refusal(&model, &mut cache, &[good, bad]);
        assert_eq!(message, format!("chunk 1 of the step: {expected}"));
    };
    let other = Chunk { block_table: &[5], ..good };
    check(Chunk { ids: &[], positions: &[], wanted: &[], ..other }, "it has no tokens");
    check(Chunk { positions: &[[0; 3]], ..other }, "2 tokens have 1 positions");
    check(Chunk { ids: &[1, 2000], ..other }, "id 2000 is not below the vocabulary size of 2000");
    check(Chunk { wanted: &[2], ..other }, "logits are wanted after token 2 of 2");
    check(Chunk { cached: 15, ..other }, "15 cached and 2 new tokens do not fit 16 slots");
    check(
        Chunk { cached: usize::MAX, ..other },
        &format!("{} cached and 2 new tokens do not fit 16 slots", usize::MAX),
    );
    check(Chunk { block_table: &[8], ..other }, "block 8 is not one of the cache's 8");
    check(Chunk { block_table: &[4], ..other }, "block 4 would be written twice in one step");
    check(
        Chunk { block_table: &[6, 7], cached: 16, ..other },
        "block 6 should hold cached tokens, but nothing was written to it",
    );
    check(
        Chunk { block_table: &[0, 0], cached: 14, ids: &[1; 4], positions: &[[0; 3]; 4], ..other },
        "block 0 would be written twice in one step",
    );
    let placed = |at: std::ops::Range<usize>, first| [Placed { at, features, first }];
    check(Chunk { features: &placed(0..3, 0), ..other }, "image tokens 0.. of 4 cannot stand at 0..3 of 2 tokens");
    check(Chunk { features: &placed(0..2, 3), ..other }, "image tokens 3.. of 4 cannot stand at 0..2 of 2 tokens");
    let reader = Chunk { block_table: &[0, 5], cached: 16, ..good };
    let writer = Chunk { block_table: &[0], ..good };
    let message = refusal(&model, &mut cache, &[reader, writer]);
    assert_eq!(message, "chunk 0 of the step: block 0 is read while another chunk writes it");
    assert!(model.forward(&mut cache, &[good, other]).is_ok());
    assert!(model.forward(&mut cache, &[]).unwrap().is_empty());
}

#[test]
fn a_cache_of_another_model_or_format_is_refused() {
    let model = load(&folder(), Dtype::Float32, 1);
    let chunk = Chunk { block_table: &[0], cached: 0, ids: &[1], positions: &[[0; 3]], features: &[], wanted: &[] };
    let text = std::fs::read_to_string(folder().join("config.json")).unwrap();
    let other = ModelConfig::from_json(&text.replace("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 2")).unwrap();
    for mut cache in [KvCache::new(&other, 1, Dtype::Float32), KvCache::new(model.config(), 1, Dtype::BFloat16)] {
        assert!(refusal(&model, &mut cache, &[chunk]).contains("another model or number format"));
    }
}

#[test]
fn a_block_takes_what_its_keys_and_values_take() {
    let config = ModelConfig::load(&folder()).unwrap();
    // 3 layers, 2 heads of 16 values, 16 tokens, keys and values.
    assert_eq!(KvCache::block_bytes(&config, Dtype::Float32), 3 * 2 * 16 * 16 * 2 * 4);
    assert_eq!(KvCache::block_bytes(&config, Dtype::BFloat16), 3 * 2 * 16 * 16 * 2 * 2);
}

#[test]
fn patches_that_do_not_fit_are_refused() {
    let model = load(&folder(), Dtype::Float32, 1);
    let check = |grid: [u32; 3], values: usize, expected: &str| {
        let [t, h, w] = grid;
        let message = model.encode_image(&vec![0.0; values], Grid { t, h, w }).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    };
    check([2, 2, 2], 8 * 1176, "video is not supported");
    check([1, 3, 2], 6 * 1176, "multiples of 2");
    check([1, 0, 2], 0, "multiples of 2");
    check([1, 2, 2], 4 * 1176 - 1, "1176 values a patch make 4704");
    check([1, u32::MAX - 1, u32::MAX - 1], 0, "at most 4194304 patches");
}
