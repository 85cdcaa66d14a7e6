//! What a checkpoint's `generation_config.json` says of sampling, as vLLM takes it: its values stand where a request
//! gives none, and its end tokens end every answer.

use serde::Deserialize;

use crate::text::TextError;

/// Defaults of one checkpoint; `None` where it says nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GenerationDefaults {
    /// Default of `temperature`.
    pub temperature: Option<f64>,
    /// Default of `top_p`.
    pub top_p: Option<f64>,
    /// Default of `top_k`.
    pub top_k: Option<i64>,
    /// Default of `min_p`.
    pub min_p: Option<f64>,
    /// Default of `repetition_penalty`.
    pub repetition_penalty: Option<f64>,
    /// Default of `presence_penalty`.
    pub presence_penalty: Option<f64>,
    /// Default of `frequency_penalty`.
    pub frequency_penalty: Option<f64>,
    /// Default of the longest answer, tokens (`max_new_tokens`).
    pub max_tokens: Option<i64>,
    /// Ids of end tokens.
    pub eos_token_ids: Vec<u32>,
}

impl GenerationDefaults {
    /// The end tokens without the rest (`--generation-config vllm`).
    #[must_use]
    pub fn ends_only(self) -> Self {
        Self { eos_token_ids: self.eos_token_ids, ..Self::default() }
    }

    /// Reads the text of a `generation_config.json`. `do_sample` is not looked at, as in vLLM.
    ///
    /// # Errors
    /// [`TextError::Content`] if the text is no such object.
    pub fn from_json(text: &str) -> Result<Self, TextError> {
        let file: File = serde_json::from_str(text)
            .map_err(|error| TextError::Content { file: "generation_config.json", reason: error.to_string() })?;
        Ok(Self {
            temperature: file.temperature,
            top_p: file.top_p,
            top_k: file.top_k,
            min_p: file.min_p,
            repetition_penalty: file.repetition_penalty,
            presence_penalty: file.presence_penalty,
            frequency_penalty: file.frequency_penalty,
            max_tokens: file.max_new_tokens,
            eos_token_ids: match file.eos_token_id {
                None => Vec::new(),
                Some(OneOrMany::One(id)) => vec![id],
                Some(OneOrMany::Many(ids)) => ids,
            },
        })
    }
}

#[derive(Deserialize)]
struct File {
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<i64>,
    min_p: Option<f64>,
    repetition_penalty: Option<f64>,
    presence_penalty: Option<f64>,
    frequency_penalty: Option<f64>,
    max_new_tokens: Option<i64>,
    eos_token_id: Option<OneOrMany>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(u32),
    Many(Vec<u32>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_file_is_read() {
        // generation_config.json of Qwen2-VL-Instruct.
        let text = r#"{"bos_token_id": 151643, "pad_token_id": 151643, "do_sample": true,
            "eos_token_id": [151645, 151643], "repetition_penalty": 1.0, "temperature": 0.01, "top_p": 0.001,
            "top_k": 1, "transformers_version": "4.37.0"}"#;
        let expected = GenerationDefaults {
            temperature: Some(0.01),
            top_p: Some(0.001),
            top_k: Some(1),
            repetition_penalty: Some(1.0),
            eos_token_ids: vec![151_645, 151_643],
            ..GenerationDefaults::default()
        };
        assert_eq!(GenerationDefaults::from_json(text).unwrap(), expected);
        let one = GenerationDefaults::from_json(r#"{"eos_token_id": 7, "max_new_tokens": 20}"#).unwrap();
        assert_eq!((one.eos_token_ids, one.max_tokens), (vec![7], Some(20)));
        let ends = GenerationDefaults { eos_token_ids: vec![7], ..GenerationDefaults::default() };
        assert_eq!(GenerationDefaults { top_k: Some(1), ..ends.clone() }.ends_only(), ends);
        assert!(GenerationDefaults::from_json("[]").is_err());
    }
}
