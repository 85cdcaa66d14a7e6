//! `generation_config.json`: where an answer ends and how it is sampled if a request does not say.
//! It must not know requests or the sampler.

use std::path::Path;

use super::{Fields, ModelConfig, read_object};
use crate::model::Error;

const FILE: &str = "generation_config.json";

/// The checkpoint's own ends and sampling defaults. What the file does not state is `None`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GenerationConfig {
    /// The ids that end an answer; those of `config.json` if the file has none.
    pub eos_token_ids: Vec<u32>,
    /// `temperature`.
    pub temperature: Option<f64>,
    /// `top_p`.
    pub top_p: Option<f64>,
    /// `top_k`.
    pub top_k: Option<i64>,
    /// `min_p`.
    pub min_p: Option<f64>,
    /// `repetition_penalty`.
    pub repetition_penalty: Option<f64>,
    /// `max_new_tokens`.
    pub max_new_tokens: Option<i64>,
}

impl GenerationConfig {
    /// Reads the file of a checkpoint folder. A folder without it has no defaults.
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::Json`] if the file is there and cannot be read, [`Error::Setting`] if a field has
    /// the wrong type.
    pub fn load(folder: &Path, config: &ModelConfig) -> Result<Self, Error> {
        let path = folder.join(FILE);
        let ends_of_config = config.text.eos_token_ids.clone();
        if !path.exists() {
            return Ok(Self { eos_token_ids: ends_of_config, ..Self::default() });
        }
        let object = read_object(&path)?;
        let fields = Fields::new(FILE, "", &object);
        Ok(Self {
            eos_token_ids: fields.ids("eos_token_id")?.unwrap_or(ends_of_config),
            temperature: fields.number("temperature")?,
            top_p: fields.number("top_p")?,
            top_k: fields.integer("top_k")?,
            min_p: fields.number("min_p")?,
            repetition_penalty: fields.number("repetition_penalty")?,
            max_new_tokens: fields.integer("max_new_tokens")?,
        })
    }
}
