//! What is served: the model's names, limits, tokenizer, template and engine, for every request alike. It must not know
//! requests or replies.

use std::path::PathBuf;
use std::sync::Arc;

use engine::engine::{EngineConfig, EngineHandle, ImageRules};
use engine::prompt::PromptRules;
use engine::sampling::{GenerationDefaults, SamplingLimits};
use engine::stepper::Stepper;
use engine::text::{ChatTemplate, ContentFormat, TextError, TextFiles, Tokenizer};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::media::Media;
use super::remote::RemoteRules;
use super::told::Words;
use crate::shapes;
use crate::validate::ApiError;

/// What a checkpoint gives to serve it.
pub struct ModelParts {
    /// What computes.
    pub stepper: Box<dyn Stepper>,
    /// Tokenizer, template and sampling defaults.
    pub text: TextSide,
    /// How pictures stand in prompts.
    pub prompt_rules: PromptRules,
    /// How pictures become patches.
    pub image_rules: ImageRules,
    /// Width of a row of logits.
    pub vocab_size: u32,
}

/// What of a checkpoint has to do with text.
#[derive(Debug)]
pub struct TextSide {
    pub(super) tokenizer: Arc<Tokenizer>,
    pub(super) template: ChatTemplate,
    pub(super) defaults: GenerationDefaults,
}

impl TextSide {
    /// Reads a checkpoint's text files. `template` stands in place of the checkpoint's own, `format` in place of the content
    /// format that its text shows. Without `generation_defaults` the checkpoint's sampling defaults are left out; its end
    /// tokens are taken in any case.
    ///
    /// # Errors
    /// [`TextError`]: which file or template cannot be used.
    pub fn new(
        files: &TextFiles,
        template: Option<&str>,
        format: Option<ContentFormat>,
        generation_defaults: bool,
    ) -> Result<Self, TextError> {
        let tokenizer = Tokenizer::new(&files.tokenizer, files.tokenizer_config.as_deref())?;
        let own = if template.is_none() { files.chat_template()? } else { String::new() };
        let template = ChatTemplate::new(template.unwrap_or(&own), tokenizer.special_tokens())?.with_format(format);
        let defaults = files.generation_config.as_deref().map(GenerationDefaults::from_json).transpose()?;
        let defaults = defaults.unwrap_or_default();
        let defaults = if generation_defaults { defaults } else { defaults.ends_only() };
        Ok(Self { tokenizer: Arc::new(tokenizer), template, defaults })
    }

    /// One more than the tokenizer's greatest id.
    pub(crate) fn vocabulary(&self) -> u32 {
        self.tokenizer.vocabulary()
    }

    /// The tokenizer's id of `<|image_pad|>`.
    pub(crate) fn image_token(&self) -> u32 {
        self.tokenizer.image_token()
    }
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
    /// A connection that has been idle so long after a reply is closed, ms.
    pub idle_close_ms: u64,
    /// Limits of the engine.
    pub engine: EngineConfig,
    /// Most pictures of a prompt.
    pub images_max: usize,
    /// Files under this folder may be named by a `file://` URL.
    pub local_media: Option<PathBuf>,
    /// Which pictures may be fetched by an http or https URL, if any.
    pub remote_media: Option<RemoteRules>,
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
    pub(super) words: Arc<Words>,
    pub(super) images_max: usize,
    pub(super) encoder_tokens: usize,
    pub(super) block_tokens: usize,
    pub(super) prefix_caching: bool,
}

impl Served {
    /// The name that a reply bears: as in vLLM the first, by whichever the model was asked for.
    pub(super) fn name(&self, asked: Option<&str>) -> Result<String, ApiError> {
        match asked {
            Some(name) if !self.names.iter().any(|known| known == name) => {
                let names = self.names.join(", ");
                let words = format!("The model `{name}` does not exist. Valid aliases: {names}.");
                Err(ApiError::new(404, "NotFoundError", words, Some("model")))
            }
            _ => Ok(self.names.first().cloned().unwrap_or_default()),
        }
    }

    /// `/v1/models`.
    pub(super) fn models(&self) -> Value {
        let created = stamp::unix_ns() / 1_000_000_000;
        shapes::models(&self.names, Some(&self.root), Some(self.limits.max_model_len), created)
    }
}

/// A short name of this program and what it was started with (`system_fingerprint`).
pub(super) fn fingerprint(options: &ServeOptions) -> String {
    let config = format!("{:?} {:?}", options.root, options.engine);
    let hash: String = Sha256::digest(config.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("vlm-server-{}-{hash}", env!("CARGO_PKG_VERSION"))
}
