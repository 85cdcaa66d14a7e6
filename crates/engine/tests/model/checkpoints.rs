//! The same model in every form a checkpoint may have, and every way in which a folder can be wrong.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use engine::model::{Checkpoint, Dtype, Error, Instructions, KvCache, LoadOptions, ModelConfig, Progress, Qwen2Vl};
use half::{bf16, f16};
use safetensors::{Dtype as Stored, SafeTensors, tensor::TensorView};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::golden::{Goldens, Sequence, folder, load, logprobs};

/// A checkpoint in memory: name → dtype, shape, bytes.
type Tensors = BTreeMap<String, (Stored, Vec<usize>, Vec<u8>)>;

fn tiny() -> Tensors {
    let bytes = fs::read(folder().join("model.safetensors")).unwrap();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    let copy = |(name, tensor): (String, TensorView<'_>)| {
        (name, (tensor.dtype(), tensor.shape().to_vec(), tensor.data().to_vec()))
    };
    read.tensors().into_iter().map(copy).collect()
}

fn write(path: &Path, tensors: &Tensors) {
    let view = |(name, (dtype, shape, bytes)): (&String, &(Stored, Vec<usize>, Vec<u8>))| {
        (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).unwrap().data().to_vec(), *dtype, shape.clone())
    };
    let owned: Vec<_> = tensors.iter().map(view).collect();
    let views = owned
        .iter()
        .map(|(name, bytes, dtype, shape)| (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn config() -> Value {
    serde_json::from_str(&fs::read_to_string(folder().join("config.json")).unwrap()).unwrap()
}

/// A folder with one file of weights.
fn checkpoint(tensors: &Tensors, config: &Value) -> TempDir {
    let made = tempfile::tempdir().unwrap();
    fs::write(made.path().join("config.json"), config.to_string()).unwrap();
    write(&made.path().join("model.safetensors"), tensors);
    made
}

fn first_logits(model: &Qwen2Vl, case: &str) -> Vec<f32> {
    let prompt = Goldens::read().prompt(model, case);
    let mut cache = KvCache::new(model.config(), 12, model.dtype());
    Sequence::new(&prompt, 0, 0).prefill(model, &mut cache, usize::MAX / 2)
}

fn published_logits() -> Vec<f32> {
    first_logits(&load(&folder(), Dtype::Float32, 2), "two_images")
}

#[test]
fn shards_and_newer_names_make_the_same_model() {
    let mut shards = [Tensors::new(), Tensors::new(), Tensors::new()];
    let mut weight_map = serde_json::Map::new();
    for (number, (name, tensor)) in tiny().into_iter().enumerate() {
        let name = match name.strip_prefix("model.") {
            Some(rest) => format!("model.language_model.{rest}"),
            None if name.starts_with("visual.") => format!("model.{name}"),
            None => name,
        };
        weight_map.insert(name.clone(), json!(format!("model-{}.safetensors", number % 3)));
        shards[number % 3].insert(name, tensor);
    }
    let made = tempfile::tempdir().unwrap();
    fs::write(made.path().join("config.json"), config().to_string()).unwrap();
    let index = json!({"metadata": {"total_size": 0}, "weight_map": weight_map});
    fs::write(made.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
    for (number, shard) in shards.iter().enumerate() {
        write(&made.path().join(format!("model-{number}.safetensors")), shard);
    }
    assert!(first_logits(&load(made.path(), Dtype::Float32, 2), "two_images") == published_logits());
    fs::remove_file(made.path().join("model-1.safetensors")).unwrap();
    let message = refusal(made.path());
    assert!(message.starts_with("cannot read ") && message.contains("model-1.safetensors"), "{message}");
}

fn stored_as(tensors: &Tensors, dtype: Stored) -> Tensors {
    let convert = |(name, (_, shape, bytes)): (&String, &(Stored, Vec<usize>, Vec<u8>))| {
        let values = bytes.as_chunks::<2>().0.iter().map(|pair| bf16::from_le_bytes(*pair).to_f32());
        let bytes = match dtype {
            Stored::F32 => values.flat_map(f32::to_le_bytes).collect(),
            Stored::F16 => values.flat_map(|value| f16::from_f32(value).to_le_bytes()).collect(),
            _ => bytes.clone(),
        };
        (name.clone(), (dtype, shape.clone(), bytes))
    };
    tensors.iter().map(convert).collect()
}

/// bf16 weights keep their values in f32; f16 loses those below its range, and the model still answers alike.
#[test]
fn weights_in_f32_and_f16_are_read() {
    let wide = checkpoint(&stored_as(&tiny(), Stored::F32), &config());
    let model = load(wide.path(), Dtype::Float32, 2);
    assert!(model.weight_bytes() > 2 * load(&folder(), Dtype::Float32, 1).weight_bytes() - 1);
    assert!(first_logits(&model, "two_images") == published_logits());
    let narrow = load(wide.path(), Dtype::BFloat16, 2);
    let expected = first_logits(&load(&folder(), Dtype::BFloat16, 2), "two_images");
    assert!(first_logits(&narrow, "two_images") == expected);
    let half = checkpoint(&stored_as(&tiny(), Stored::F16), &config());
    let found = first_logits(&load(half.path(), Dtype::Float32, 2), "two_images");
    let distance = found.iter().zip(published_logits()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(distance < 1e-3, "{distance}");
}

#[test]
fn a_tied_output_matrix_is_the_embedding() {
    let (mut tensors, mut config) = (tiny(), config());
    tensors.remove("lm_head.weight");
    config["tie_word_embeddings"] = json!(true);
    let made = checkpoint(&tensors, &config);
    let found = logprobs(&first_logits(&load(made.path(), Dtype::Float32, 2), "text_long"));
    let expected = Goldens::read().f32s("tied/first_logprobs");
    // The embedding is twelve times as wide as the output matrix, so its logprobs reach -84, where f32 itself is
    // coarse: the tolerance is that share of the greatest.
    let greatest = expected.iter().fold(0.0f32, |top, logprob| top.max(logprob.abs()));
    let distance = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(greatest > 50.0 && distance <= 1e-6 * greatest, "{distance} of {greatest}");
}

#[test]
fn loading_tells_how_far_it_is() {
    let mut seen = Vec::new();
    let options = LoadOptions { dtype: Dtype::Float32, threads: None, instructions: Instructions::Fastest };
    Qwen2Vl::load(&folder(), &options, |progress| seen.push(progress)).unwrap();
    let total: usize = tiny().values().map(|(_, _, bytes)| bytes.len()).sum();
    let total_bytes = total as u64;
    assert_eq!(seen.first(), Some(&Progress { done_bytes: 0, total_bytes }));
    assert_eq!(seen.last(), Some(&Progress { done_bytes: total_bytes, total_bytes }));
    assert!(seen.is_sorted_by(|a, b| a.done_bytes < b.done_bytes));
}

fn refusal(folder: &Path) -> String {
    let options = LoadOptions { dtype: Dtype::Float32, threads: None, instructions: Instructions::Fastest };
    Qwen2Vl::load(folder, &options, |_| panic!("something was read")).unwrap_err().to_string()
}

#[test]
fn a_wrong_tensor_is_named_before_anything_is_read() {
    let check = |change: &dyn Fn(&mut Tensors), expected: &[&str]| {
        let mut tensors = tiny();
        change(&mut tensors);
        let made = checkpoint(&tensors, &config());
        let message = refusal(made.path());
        for words in expected {
            assert!(message.contains(words), "{message:?} lacks {words:?}");
        }
    };
    let name = "model.layers.1.mlp.down_proj.weight";
    check(&|tensors| drop(tensors.remove(name)), &[name, "is missing", "[128, 320]"]);
    check(&|tensors| drop(tensors.remove("lm_head.weight")), &["lm_head.weight is missing", "[2000, 128]"]);
    check(&|tensors| tensors.get_mut(name).unwrap().1 = vec![320, 128], &[name, "shape [320, 128]", "[128, 320]"]);
    check(&|tensors| tensors.get_mut(name).unwrap().0 = Stored::I16, &[name, "dtype I16", "BF16, F16 or F32"]);
    check(&|tensors| drop(tensors.remove("visual.merger.ln_q.bias")), &["visual.merger.ln_q.bias is missing", "[80]"]);
}

#[test]
fn a_damaged_file_is_named() {
    let made = checkpoint(&tiny(), &config());
    let path = made.path().join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    let check = |bytes: &[u8], expected: &[&str]| {
        fs::write(&path, bytes).unwrap();
        let message = refusal(made.path());
        for words in expected.iter().chain(&["model.safetensors"]) {
            assert!(message.contains(words), "{message:?} lacks {words:?}");
        }
    };
    check(&whole[..whole.len() - 1], &["cut short", "tensor ", "of shape [", &format!("{}", whole.len() - 1)]);
    check(&whole[..100], &["ends inside its head"]);
    check(&whole[..5], &["shorter than 8 bytes"]);
    check(&[], &["shorter than 8 bytes"]);
    check(&[255; 64], &["its head would have 18446744073709551615 bytes"]);
    check(b"\x02\0\0\0\0\0\0\0[]", &["no safetensors file"]);
    let head = br#"{"a":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,4]}}"#;
    let file = [&(head.len() as u64).to_le_bytes(), head.as_slice(), &[0; 8]].concat();
    check(&file, &["tensor a: shape [2, 2] of BF16 does not make 4 bytes"]);
    let head = br#"{"a":{"dtype":"BF16","shape":[4611686018427387904,8],"data_offsets":[8,4]}}"#;
    let file = [&(head.len() as u64).to_le_bytes(), head.as_slice(), &[0; 8]].concat();
    check(&file, &["tensor a: it ends before it begins"]);
}

#[test]
fn a_folder_without_its_files_says_what_it_lacks() {
    let made = tempfile::tempdir().unwrap();
    assert!(refusal(made.path()).contains("config.json"));
    fs::write(made.path().join("config.json"), config().to_string()).unwrap();
    assert!(refusal(made.path()).contains("neither model.safetensors nor model.safetensors.index.json"));
    let index = made.path().join("model.safetensors.index.json");
    fs::write(&index, "{}").unwrap();
    assert!(refusal(made.path()).contains("it has no weight_map"));
    fs::write(&index, r#"{"weight_map": {"a": "../model.safetensors"}}"#).unwrap();
    assert!(refusal(made.path()).contains("is no plain file name"));
}

/// The published sizes up to 72B, by configuration and heads alone: names and shapes come from transformers.
#[test]
fn published_sizes_are_checked_without_their_data() {
    let listed = fs::read_to_string(folder().join("published_shapes.json")).unwrap();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    for size in ["2b", "7b", "72b"] {
        let (config, tensors) = (&listed[size]["config"], all_tensors(&listed[size]));
        let made = tempfile::tempdir().unwrap();
        let index: serde_json::Map<String, Value> =
            tensors.keys().enumerate().map(|(at, name)| (name.clone(), json!(format!("{}.st", at % 4)))).collect();
        let path = made.path().join("model.safetensors.index.json");
        fs::write(path, json!({ "weight_map": index }).to_string()).unwrap();
        for shard in 0..4 {
            write_head(&made.path().join(format!("{shard}.st")), tensors.iter().skip(shard).step_by(4));
        }
        let config = ModelConfig::from_json(&config.to_string()).unwrap();
        let checkpoint = Checkpoint::open(made.path()).unwrap();
        checkpoint.check_heads(&config).unwrap();
        assert_eq!(checkpoint.bytes(&config), 2 * listed[size]["parameters"].as_u64().unwrap(), "{size}");
        assert!(matches!(checkpoint.check_extent(), Err(Error::Truncated { .. })));
        // Another size's configuration does not fit.
        let other = listed[if size == "7b" { "2b" } else { "7b" }]["config"].to_string();
        let other = ModelConfig::from_json(&other).unwrap();
        assert!(matches!(checkpoint.check_heads(&other), Err(Error::Shape { .. })), "{size}");
    }
}

/// Unfolds `layers.*.` and `blocks.*.`.
fn all_tensors(size: &Value) -> BTreeMap<String, Vec<usize>> {
    let mut found = BTreeMap::new();
    for (name, entry) in size["tensors"].as_object().unwrap() {
        let shape: Vec<usize> = serde_json::from_value(entry[1].clone()).unwrap();
        for number in 0..entry[0].as_u64().unwrap() {
            found.insert(name.replace('*', &number.to_string()), shape.clone());
        }
    }
    found
}

/// The head of a safetensors file without the data.
fn write_head<'a>(path: &Path, tensors: impl Iterator<Item = (&'a String, &'a Vec<usize>)>) {
    let mut end = 0;
    let mut head = serde_json::Map::new();
    for (name, shape) in tensors {
        let start = end;
        end += 2 * shape.iter().product::<usize>();
        head.insert(name.clone(), json!({"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}));
    }
    let head = Value::Object(head).to_string();
    fs::write(path, [&(head.len() as u64).to_le_bytes(), head.as_bytes()].concat()).unwrap();
}
