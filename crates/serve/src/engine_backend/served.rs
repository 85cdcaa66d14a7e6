//! What is served: the model's names, limits, tokenizer, template and engine, for every request alike. It must not know
//! requests or replies.

use std::path::PathBuf;
use std::sync::Arc;

use engine::engine::{EngineConfig, EngineHandle, ImageRules};
use engine::prompt::PromptRules;
use engine::sampling::{GenerationDefaults, SamplingLimits};
use engine::stepper::Stepper;
use engine::text::{ChatTemplate, ContentFormat, TextFiles, Tokenizer};
use sha2::{Digest, Sha256};

use super::media::Media;
use crate::validate::ApiError;

/// What a checkpoint gives to serve it.
pub struct ModelParts {
    /// What computes.
    pub stepper: Box<dyn Stepper>,
    /// Tokenizer, templates and defaults.
    pub files: TextFiles,
    /// How pictures stand in prompts.
    pub prompt_rules: PromptRules,
    /// How pictures become patches.
    pub image_rules: ImageRules,
    /// Width of a row of logits.
    pub vocab_size: u32,
}

/// How a model is served.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Names under which it is served, at least one.
    pub names: Vec<String>,
    /// The model's folder as it was given (`root` of `/v1/models`).
    pub root: String,
    /// The key that requests must carry.
    pub api_key: Option<String>,
    /// A chat template in place of the checkpoint's own.
    pub chat_template: Option<String>,
    /// The template's content format; as its text shows if not given.
    pub content_format: Option<ContentFormat>,
    /// Take sampling defaults from `generation_config.json`; its end tokens are taken in any case.
    pub generation_defaults: bool,
    /// Limits of the engine.
    pub engine: EngineConfig,
    /// Most pictures of a prompt.
    pub images_max: usize,
    /// Files under this folder may be named by a `file://` URL.
    pub local_media: Option<PathBuf>,
    /// Longest list of log probabilities.
    pub max_logprobs: u32,
}

/// What requests share.
pub(super) struct Served {
    pub(super) names: Vec<String>,
    pub(super) root: String,
    pub(super) fingerprint: String,
    pub(super) tokenizer: Arc<Tokenizer>,
    pub(super) template: ChatTemplate,
    pub(super) prompt_rules: PromptRules,
    pub(super) limits: SamplingLimits,
    pub(super) defaults: GenerationDefaults,
    pub(super) media: Media,
    pub(super) engine: EngineHandle,
    pub(super) images_max: usize,
    pub(super) encoder_tokens: usize,
    pub(super) block_tokens: usize,
    pub(super) prefix_caching: bool,
}

impl Served {
    /// The name under which a request is answered.
    pub(super) fn name(&self, asked: Option<&str>) -> Result<String, ApiError> {
        match asked {
            None => Ok(self.names.first().cloned().unwrap_or_default()),
            Some(name) if self.names.iter().any(|known| known == name) => Ok(name.to_owned()),
            Some(name) => {
                let names = self.names.join(", ");
                let words = format!("The model `{name}` does not exist. Valid aliases: {names}.");
                Err(ApiError::new(404, "NotFoundError", words, Some("model")))
            }
        }
    }
}

/// A short name of this program and what it was started with (`system_fingerprint`).
pub(super) fn fingerprint(options: &ServeOptions) -> String {
    let config = format!("{:?} {:?} {:?}", options.root, options.engine, options.content_format);
    let hash: String = Sha256::digest(config.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("vlm-server-{}-{hash}", env!("CARGO_PKG_VERSION"))
}
