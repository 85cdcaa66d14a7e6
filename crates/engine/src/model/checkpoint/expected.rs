//! The tensors of a Qwen2-VL model: their names in either layout and their shapes.
//! It must not know files.
//!
//! Names and shapes follow transformers' `Qwen2VLForConditionalGeneration`; a test holds them against a list that
//! transformers made for the published sizes.

use crate::model::ModelConfig;

/// A tensor that the model needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
}

impl Expected {
    /// Values of a row, all dimensions but the first folded together.
    pub(crate) fn columns(&self) -> usize {
        self.shape.iter().skip(1).product()
    }
}

/// How a checkpoint names its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Names {
    text: &'static str,
    visual: &'static str,
}

/// A part of the model, to name its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The language model outside its layers.
    Text,
    /// One of its layers.
    Layer(usize),
    /// The vision tower outside its blocks.
    Visual,
    /// One of its blocks.
    Block(usize),
    /// The output matrix.
    Root,
}

impl Names {
    /// The layout of a checkpoint, by whether it has a tensor: that of newer transformers (`model.language_model.`,
    /// `model.visual.`) or else the published one (`model.`, `visual.`).
    pub(crate) fn of(has: impl Fn(&str) -> bool) -> Self {
        let text = if has("model.language_model.embed_tokens.weight") { "model.language_model." } else { "model." };
        let visual = if has("model.visual.patch_embed.proj.weight") { "model.visual." } else { "visual." };
        Self { text, visual }
    }

    /// The tensor `name` of a part.
    pub(crate) fn tensor(self, part: Part, name: &str, shape: &[usize]) -> Expected {
        let name = match part {
            Part::Text => format!("{}{name}", self.text),
            Part::Layer(layer) => format!("{}layers.{layer}.{name}", self.text),
            Part::Visual => format!("{}{name}", self.visual),
            Part::Block(block) => format!("{}blocks.{block}.{name}", self.visual),
            Part::Root => name.to_owned(),
        };
        Expected { name, shape: shape.to_vec() }
    }
}

/// Every tensor that a model of this configuration needs.
pub(crate) fn all(config: &ModelConfig, names: Names) -> Vec<Expected> {
    let text = &config.text;
    let mut found = vec![
        names.tensor(Part::Text, "embed_tokens.weight", &[text.vocab_size, text.hidden_size]),
        names.tensor(Part::Text, "norm.weight", &[text.hidden_size]),
    ];
    if !config.tie_word_embeddings {
        found.push(names.tensor(Part::Root, "lm_head.weight", &[text.vocab_size, text.hidden_size]));
    }
    let tensors = layer(config);
    for number in 0..text.layers {
        found.extend(tensors.iter().map(|(name, shape)| names.tensor(Part::Layer(number), name, shape)));
    }
    found.extend(outside_blocks(config).iter().map(|(name, shape)| names.tensor(Part::Visual, name, shape)));
    let tensors = block(config);
    for number in 0..config.vision.depth {
        found.extend(tensors.iter().map(|(name, shape)| names.tensor(Part::Block(number), name, shape)));
    }
    found
}

fn layer(config: &ModelConfig) -> Vec<(&'static str, Vec<usize>)> {
    let text = &config.text;
    let (hidden, inner, kv) = (text.hidden_size, text.intermediate_size, text.kv_heads * text.head_dim);
    vec![
        ("input_layernorm.weight", vec![hidden]),
        ("self_attn.q_proj.weight", vec![hidden, hidden]),
        ("self_attn.q_proj.bias", vec![hidden]),
        ("self_attn.k_proj.weight", vec![kv, hidden]),
        ("self_attn.k_proj.bias", vec![kv]),
        ("self_attn.v_proj.weight", vec![kv, hidden]),
        ("self_attn.v_proj.bias", vec![kv]),
        ("self_attn.o_proj.weight", vec![hidden, hidden]),
        ("post_attention_layernorm.weight", vec![hidden]),
        ("mlp.gate_proj.weight", vec![inner, hidden]),
        ("mlp.up_proj.weight", vec![inner, hidden]),
        ("mlp.down_proj.weight", vec![hidden, inner]),
    ]
}

fn outside_blocks(config: &ModelConfig) -> Vec<(&'static str, Vec<usize>)> {
    let vision = &config.vision;
    let (width, side) = (vision.embed_dim, vision.patch_size);
    let merged = width * vision.merge_size * vision.merge_size;
    vec![
        ("patch_embed.proj.weight", vec![width, vision.channels, vision.temporal_patch_size, side, side]),
        ("merger.ln_q.weight", vec![width]),
        ("merger.ln_q.bias", vec![width]),
        ("merger.mlp.0.weight", vec![merged, merged]),
        ("merger.mlp.0.bias", vec![merged]),
        ("merger.mlp.2.weight", vec![config.text.hidden_size, merged]),
        ("merger.mlp.2.bias", vec![config.text.hidden_size]),
    ]
}

fn block(config: &ModelConfig) -> Vec<(&'static str, Vec<usize>)> {
    let (width, inner) = (config.vision.embed_dim, config.vision.mlp_dim);
    vec![
        ("norm1.weight", vec![width]),
        ("norm1.bias", vec![width]),
        ("attn.qkv.weight", vec![3 * width, width]),
        ("attn.qkv.bias", vec![3 * width]),
        ("attn.proj.weight", vec![width, width]),
        ("attn.proj.bias", vec![width]),
        ("norm2.weight", vec![width]),
        ("norm2.bias", vec![width]),
        ("mlp.fc1.weight", vec![inner, width]),
        ("mlp.fc1.bias", vec![inner]),
        ("mlp.fc2.weight", vec![width, inner]),
        ("mlp.fc2.bias", vec![width]),
    ]
}
