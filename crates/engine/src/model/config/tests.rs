//! Configurations of published checkpoints, of newer transformers, and those that must be refused.

use serde_json::{Value, json};

use super::*;

/// The flat `config.json` of Qwen2-VL-7B-Instruct.
fn published() -> Value {
    json!({
        "architectures": ["Qwen2VLForConditionalGeneration"], "model_type": "qwen2_vl", "torch_dtype": "bfloat16",
        "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151645, "vision_start_token_id": 151652,
        "vision_end_token_id": 151653, "vision_token_id": 151654, "image_token_id": 151655, "video_token_id": 151656,
        "hidden_act": "silu", "hidden_size": 3584, "initializer_range": 0.02, "intermediate_size": 18944,
        "max_position_embeddings": 32768, "max_window_layers": 28, "num_attention_heads": 28, "num_hidden_layers": 28,
        "num_key_value_heads": 4, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 32768,
        "tie_word_embeddings": false, "use_cache": true, "use_sliding_window": false, "vocab_size": 152064,
        "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
        "vision_config": {"depth": 32, "embed_dim": 1280, "mlp_ratio": 4, "num_heads": 16, "in_chans": 3,
            "hidden_size": 3584, "patch_size": 14, "spatial_merge_size": 2, "spatial_patch_size": 14,
            "temporal_patch_size": 2}
    })
}

fn with(changes: &[(&str, Value)]) -> Value {
    let mut config = published();
    for (path, value) in changes {
        let (object, field) =
            path.split_once('/').map_or((String::new(), *path), |(o, field)| (format!("/{o}"), field));
        let object = config.pointer_mut(&object).unwrap().as_object_mut().unwrap();
        object.insert(field.to_owned(), value.clone());
    }
    config
}

fn read(config: &Value) -> Result<ModelConfig, Error> {
    ModelConfig::from_json(&config.to_string())
}

#[test]
fn the_published_layout_is_read() {
    let config = read(&published()).unwrap();
    assert_eq!((config.text.head_dim, config.text.mrope_section), (128, [16, 24, 24]));
    assert_eq!((config.vision.head_dim, config.vision.mlp_dim, config.vision.patch_values()), (80, 5120, 1176));
    assert_eq!(config.image_token_id, 151_655);
    assert_eq!(config.stated_dtype.as_deref(), Some("bfloat16"));
    assert!(!config.tie_word_embeddings);
}

/// What transformers 5 writes: text fields in `text_config`, `rope_parameters`, `dtype`, `layer_types`.
#[test]
fn the_nested_layout_says_the_same() {
    let flat = published();
    let mut text = flat.as_object().unwrap().clone();
    for field in ["vision_config", "rope_scaling", "rope_theta", "architectures", "torch_dtype"] {
        text.remove(field);
    }
    text.insert("model_type".to_owned(), json!("qwen2_vl_text"));
    text.insert("layer_types".to_owned(), json!(vec!["full_attention"; 28]));
    text.insert("sliding_window".to_owned(), Value::Null);
    let rope = json!({"rope_type": "default", "rope_theta": 1000000.0, "mrope_section": [16, 24, 24]});
    text.insert("rope_parameters".to_owned(), rope);
    let mut vision = flat["vision_config"].clone();
    vision["in_channels"] = vision.as_object_mut().unwrap().remove("in_chans").unwrap();
    vision["hidden_act"] = json!("quick_gelu");
    let nested = json!({
        "architectures": ["Qwen2VLForConditionalGeneration"], "model_type": "qwen2_vl", "dtype": "bfloat16",
        "image_token_id": 151655, "text_config": text, "vision_config": vision, "tie_word_embeddings": false
    });
    assert_eq!(read(&nested).unwrap(), read(&flat).unwrap());
    let mut tied = nested;
    tied["text_config"]["tie_word_embeddings"] = json!(true);
    assert!(read(&tied).unwrap().tie_word_embeddings);
}

#[test]
fn what_changes_nothing_is_taken() {
    let check = |changes: &[(&str, Value)]| drop(read(&with(changes)).unwrap());
    check(&[("use_sliding_window", json!(true))]);
    check(&[("use_sliding_window", json!(true)), ("max_window_layers", json!(3)), ("sliding_window", Value::Null)]);
    check(&[("rope_scaling", Value::Null)]);
    check(&[("eos_token_id", json!([1, 2]))]);
    check(&[("vision_config/mlp_ratio", json!(4.0))]);
    check(&[("quantization_config", Value::Null)]);
}

#[test]
fn what_the_engine_cannot_run_is_refused_by_name() {
    let check = |changes: &[(&str, Value)], expected: &[&str]| {
        let message = read(&with(changes)).unwrap_err().to_string();
        for words in expected {
            assert!(message.contains(words), "{message:?} lacks {words:?}");
        }
    };
    check(&[("model_type", json!("qwen2_5_vl"))], &["qwen2_5_vl", "Give a Qwen2-VL checkpoint"]);
    check(&[("architectures", json!(["LlamaForCausalLM"]))], &["LlamaForCausalLM"]);
    check(&[("quantization_config", json!({"quant_method": "awq", "bits": 4}))], &["quantised", "awq"]);
    check(&[("quantization_config", json!({"quant_method": "gptq"}))], &["gptq"]);
    check(&[("use_sliding_window", json!(true)), ("max_window_layers", json!(14))], &["sliding-window"]);
    check(&[("layer_types", json!(["sliding_attention"]))], &["sliding-window"]);
    check(&[("rope_scaling", json!({"type": "yarn", "factor": 4.0}))], &["rotary", "yarn"]);
    check(&[("hidden_act", json!("gelu"))], &["hidden_act", "\"gelu\"", "silu"]);
    check(&[("vision_config/hidden_act", json!("silu"))], &["vision_config.hidden_act", "quick_gelu"]);
}

#[test]
fn sizes_that_do_not_fit_are_refused_with_the_field() {
    let check = |changes: &[(&str, Value)], expected: &str| {
        let message = read(&with(changes)).unwrap_err().to_string();
        assert!(message.starts_with(&format!("config.json: {expected}")), "{message}");
    };
    check(&[("hidden_size", Value::Null)], "hidden_size is missing");
    check(&[("hidden_size", json!("3584"))], "hidden_size is \"3584\", but 1 to");
    check(&[("hidden_size", json!(3586))], "num_attention_heads is 28, but hidden_size (3586)");
    check(&[("num_hidden_layers", json!(0))], "num_hidden_layers is 0");
    check(&[("num_key_value_heads", json!(5))], "num_key_value_heads is 5");
    check(&[("num_hidden_layers", json!(1e18))], "num_hidden_layers is 1e+18");
    check(&[("rope_scaling", json!({"type": "mrope", "mrope_section": [16, 24]}))], "rope_scaling.mrope_section is");
    check(&[("rope_scaling", json!({"mrope_section": [16, 24, 23]}))], "rope_scaling.mrope_section is");
    check(&[("vision_config/hidden_size", json!(1536))], "vision_config.hidden_size is 1536, but the language");
    check(&[("vision_config", json!(3))], "vision_config is 3");
    check(&[("vision_config/num_heads", json!(17))], "vision_config.num_heads is 17");
    check(&[("image_token_id", json!(152_064))], "image_token_id is 152064, but vocab_size is 152064");
    check(&[("image_token_id", json!(-1))], "image_token_id is -1");
    check(&[("rms_norm_eps", json!(0))], "rms_norm_eps is 0");
    assert!(matches!(ModelConfig::from_json("[]"), Err(Error::Json { .. })));
}
