//! `config.json` of a Qwen2-VL checkpoint, checked: shapes that fit each other, and kinds that the engine runs.
//! It must not know tensors or threads.
//!
//! Both layouts are read: the flat one of the published checkpoints and the nested one (`text_config`) that newer
//! transformers write. Defaults are those of transformers' `Qwen2VLConfig`.

mod fields;

use std::path::Path;

use serde_json::{Map, Value};

pub(crate) use fields::{Fields, read_object};

use super::Error;

const FILE: &str = "config.json";
/// No size in a configuration may be greater: products of three still fit 64 bits.
const SIZE_MAX: usize = 1 << 20;
/// Layers and blocks at most: the published 72B has 80.
const LAYERS_MAX: usize = 4096;

/// What a Qwen2-VL model is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// The language model.
    pub text: TextConfig,
    /// The vision tower.
    pub vision: VisionConfig,
    /// `image_token_id`: `<|image_pad|>`, which stands for one image token in a prompt.
    pub image_token_id: u32,
    /// Whether the output matrix is the embedding.
    pub tie_word_embeddings: bool,
    /// The number format that the checkpoint states (`torch_dtype` or `dtype`).
    pub stated_dtype: Option<String>,
}

/// The language model.
#[derive(Debug, Clone, PartialEq)]
pub struct TextConfig {
    /// Ids of the embedding; a tokenizer may use fewer.
    pub vocab_size: usize,
    /// Values of a token's state.
    pub hidden_size: usize,
    /// Values inside the MLP.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads: each serves `heads / kv_heads` query heads.
    pub kv_heads: usize,
    /// Values of a head.
    pub head_dim: usize,
    /// The longest sequence that the checkpoint is made for, in tokens.
    pub max_position_embeddings: usize,
    /// The epsilon of RMSNorm.
    pub rms_norm_eps: f32,
    /// The base of the rotary frequencies.
    pub rope_theta: f64,
    /// How many rotary frequencies follow the temporal, the vertical and the horizontal position.
    pub mrope_section: [usize; 3],
}

/// The vision tower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisionConfig {
    /// Blocks.
    pub depth: usize,
    /// Values of a patch's state.
    pub embed_dim: usize,
    /// Attention heads.
    pub heads: usize,
    /// Values of a head.
    pub head_dim: usize,
    /// Values inside the MLP.
    pub mlp_dim: usize,
    /// Colour channels.
    pub channels: usize,
    /// Side of a patch, in pixels.
    pub patch_size: usize,
    /// Frames of a patch.
    pub temporal_patch_size: usize,
    /// Side of the square of patches that become one token.
    pub merge_size: usize,
}

impl VisionConfig {
    /// Values of a patch: channels × frames × side × side.
    #[must_use]
    pub fn patch_values(&self) -> usize {
        self.channels * self.temporal_patch_size * self.patch_size * self.patch_size
    }
}

impl ModelConfig {
    /// Reads and checks `config.json` of a checkpoint folder.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Json`], and those of [`ModelConfig::from_json`].
    pub fn load(folder: &Path) -> Result<Self, Error> {
        Self::from_object(&read_object(&folder.join(FILE))?)
    }

    /// Checks the text of a `config.json`.
    ///
    /// # Errors
    /// [`Error::Json`] if it is no JSON object, [`Error::Unsupported`] for another architecture, a quantised
    /// checkpoint or an option that the engine has not, [`Error::Setting`] for sizes that are missing or do not fit.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let object: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| Error::Json { path: FILE.into(), reason: error.to_string() })?;
        Self::from_object(&object)
    }

    fn from_object(root: &Map<String, Value>) -> Result<Self, Error> {
        let root = Fields::new(FILE, "", root);
        check_kind(&root)?;
        let nested = root.object("text_config")?;
        let text = nested.as_ref().unwrap_or(&root);
        check_kind_of_text(text)?;
        // Before version 5 transformers wrote it beside the text fields.
        let tie = root.flag("tie_word_embeddings")?.unwrap_or(false) || text.flag("tie_word_embeddings")? == Some(true);
        let text_config = text_config(text)?;
        Ok(Self {
            vision: vision_config(&root, text_config.hidden_size)?,
            image_token_id: image_token_id(&root, text_config.vocab_size)?,
            tie_word_embeddings: tie,
            stated_dtype: root.string("torch_dtype")?.or(root.string("dtype")?).or(text.string("dtype")?),
            text: text_config,
        })
    }
}

/// Refuses what is not a plain Qwen2-VL.
fn check_kind(root: &Fields<'_>) -> Result<(), Error> {
    let kind = root.string("model_type")?.unwrap_or_else(|| "none".to_owned());
    let architectures = root.strings("architectures")?;
    if kind != "qwen2_vl" || architectures.iter().any(|name| name != "Qwen2VLForConditionalGeneration") {
        return Err(Error::Unsupported {
            what: "this architecture",
            given: format!("model_type {kind}, architectures [{}]", architectures.join(", ")),
            hint: "Give a Qwen2-VL checkpoint (Qwen2VLForConditionalGeneration)",
        });
    }
    for field in ["quantization_config", "compression_config"] {
        if let Some(quantised) = root.object(field)? {
            let method = quantised.string("quant_method")?.unwrap_or_else(|| "method not stated".to_owned());
            return Err(Error::Unsupported {
                what: "a quantised checkpoint",
                given: format!("{field}: {method}"),
                hint: "Give the checkpoint with BF16, F16 or F32 weights (without -AWQ, -GPTQ or -Int in its name)",
            });
        }
    }
    Ok(())
}

/// Refuses options of the language model that would change its answers.
fn check_kind_of_text(text: &Fields<'_>) -> Result<(), Error> {
    text.one_of("hidden_act", &["silu"])?;
    let layers = text.size("num_hidden_layers", LAYERS_MAX)?;
    let windowed = text.flag("use_sliding_window")?.unwrap_or(false)
        && text.size_or("sliding_window", None, usize::MAX)?.is_some()
        && text.size_or("max_window_layers", Some(80), usize::MAX)?.is_some_and(|full| full < layers);
    let layer_types = text.strings("layer_types")?;
    if windowed || layer_types.iter().any(|kind| kind != "full_attention") {
        return Err(Error::Unsupported {
            what: "sliding-window attention",
            given: "use_sliding_window with max_window_layers below num_hidden_layers".to_owned(),
            hint: "The published checkpoints have use_sliding_window false",
        });
    }
    Ok(())
}

fn text_config(text: &Fields<'_>) -> Result<TextConfig, Error> {
    let hidden_size = text.size("hidden_size", SIZE_MAX)?;
    let heads = text.size("num_attention_heads", SIZE_MAX)?;
    let kv_heads = text.size_or("num_key_value_heads", Some(heads), SIZE_MAX)?.unwrap_or(heads);
    text.check("num_attention_heads", hidden_size.is_multiple_of(2 * heads), || {
        format!("hidden_size ({hidden_size}) must be an even multiple of it")
    })?;
    text.check("num_key_value_heads", heads.is_multiple_of(kv_heads), || {
        format!("num_attention_heads ({heads}) must be a multiple of it")
    })?;
    let head_dim = hidden_size / heads;
    if let Some(stated) = text.size_or("head_dim", None, SIZE_MAX)? {
        text.check("head_dim", stated == head_dim, || format!("hidden_size / num_attention_heads is {head_dim}"))?;
    }
    let intermediate_size = text.size("intermediate_size", SIZE_MAX)?;
    text.check("intermediate_size", intermediate_size.is_multiple_of(2), || "an even number is needed".to_owned())?;
    let (rope_theta, mrope_section) = rope(text, head_dim)?;
    Ok(TextConfig {
        vocab_size: text.size("vocab_size", 16 * SIZE_MAX)?,
        hidden_size,
        intermediate_size,
        layers: text.size("num_hidden_layers", LAYERS_MAX)?,
        heads,
        kv_heads,
        head_dim,
        max_position_embeddings: text.size_or("max_position_embeddings", Some(32768), 1 << 30)?.unwrap_or(32768),
        rms_norm_eps: text.positive("rms_norm_eps", 1e-5)? as f32,
        rope_theta,
        mrope_section,
    })
}

/// The base and the sections of the rotary embedding, from `rope_parameters` (new) or `rope_scaling` and `rope_theta`.
fn rope(text: &Fields<'_>, head_dim: usize) -> Result<(f64, [usize; 3]), Error> {
    let theta = text.positive("rope_theta", 1_000_000.0)?;
    let parameters = match text.object("rope_parameters")? {
        Some(parameters) => Some(parameters),
        None => text.object("rope_scaling")?,
    };
    let Some(parameters) = parameters else { return Ok((theta, sections(text, &[16, 24, 24], head_dim)?)) };
    for field in ["rope_type", "type"] {
        if let Some(kind) = parameters.string(field)?.filter(|kind| kind != "default" && kind != "mrope") {
            return Err(Error::Unsupported {
                what: "this rotary embedding",
                given: format!("{field} {kind}"),
                hint: "The published checkpoints have \"mrope\"",
            });
        }
    }
    let given = parameters.sizes("mrope_section")?.unwrap_or_else(|| vec![16, 24, 24]);
    Ok((parameters.positive("rope_theta", theta)?, sections(&parameters, &given, head_dim)?))
}

fn sections(fields: &Fields<'_>, given: &[usize], head_dim: usize) -> Result<[usize; 3], Error> {
    let wanted = || format!("three sections that sum to half a head ({}) are needed, not {given:?}", head_dim / 2);
    let found = <[usize; 3]>::try_from(given).ok();
    let found = found.filter(|s| s.iter().try_fold(0usize, |sum, s| sum.checked_add(*s)) == Some(head_dim / 2));
    found.map_or_else(|| Err(fields.refuse("mrope_section", wanted())), Ok)
}

fn vision_config(root: &Fields<'_>, hidden_size: usize) -> Result<VisionConfig, Error> {
    let Some(vision) = root.object("vision_config")? else {
        return Err(root.refuse("vision_config", "an object is needed".to_owned()));
    };
    let size = |field, default| vision.size_or(field, Some(default), SIZE_MAX).map(|size| size.unwrap_or(default));
    vision.one_of("hidden_act", &["quick_gelu"])?;
    let (embed_dim, heads) = (size("embed_dim", 1280)?, size("num_heads", 16)?);
    vision.check("num_heads", embed_dim.is_multiple_of(4 * heads), || {
        format!("embed_dim ({embed_dim}) must be a multiple of four times it")
    })?;
    let width = size("hidden_size", 3584)?;
    vision.check("hidden_size", width == hidden_size, || format!("the language model's is {hidden_size}"))?;
    let channels = match vision.size_or("in_channels", None, SIZE_MAX)? {
        Some(channels) => channels,
        None => size("in_chans", 3)?,
    };
    let found = VisionConfig {
        depth: vision.size_or("depth", Some(32), LAYERS_MAX)?.unwrap_or(32),
        embed_dim,
        heads,
        head_dim: embed_dim / heads,
        mlp_dim: embed_dim * vision.size_or("mlp_ratio", Some(4), 64)?.unwrap_or(4),
        channels,
        patch_size: vision.size_or("patch_size", Some(14), 1024)?.unwrap_or(14),
        temporal_patch_size: vision.size_or("temporal_patch_size", Some(2), 64)?.unwrap_or(2),
        merge_size: vision.size_or("spatial_merge_size", Some(2), 64)?.unwrap_or(2),
    };
    vision.check("patch_size", found.patch_values().is_multiple_of(2), || {
        "channels x frames x side x side must be even".to_owned()
    })?;
    Ok(found)
}

fn image_token_id(root: &Fields<'_>, vocab_size: usize) -> Result<u32, Error> {
    let field = "image_token_id";
    let id = root.id(field)?.unwrap_or(151_655);
    root.check(field, (id as usize) < vocab_size, || format!("vocab_size is {vocab_size}"))?;
    Ok(id)
}

#[cfg(test)]
mod tests;
