//! The tokenizer of a checkpoint: text to ids and back, and the names of its special tokens.
//! It must not know chats, streams or files: it is made from texts.

use std::collections::HashMap;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::TextError;

/// Qwen2's tokenizer class has this token where `tokenizer_config.json` does not name one.
const QWEN2_DEFAULT: &str = "<|endoftext|>";

/// A tokenizer and what the model's configuration says of its tokens.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// How many ids have a name: one more than the greatest id.
    vocabulary: u32,
    special: SpecialTokens,
    image_token: u32,
    eos_token: Option<u32>,
}

/// Names of special tokens, as in `tokenizer_config.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    tokens: Vec<(String, String)>,
}

impl Tokenizer {
    /// A tokenizer from the texts of `tokenizer.json` and `tokenizer_config.json`.
    ///
    /// # Errors
    /// [`TextError::Content`] if a text is not such a file, [`TextError::MissingToken`] if there is no `<|image_pad|>`.
    pub fn new(tokenizer_json: &str, tokenizer_config: Option<&str>) -> Result<Self, TextError> {
        let inner = tokenizers::Tokenizer::from_str(tokenizer_json)
            .map_err(|error| TextError::Content { file: "tokenizer.json", reason: error.to_string() })?;
        let special = SpecialTokens::from_config(tokenizer_config.unwrap_or("{}"))?;
        let vocabulary = inner.get_vocab(true).into_values().max().map_or(0, |id| id + 1);
        let image = "<|image_pad|>";
        let image_token = inner.token_to_id(image).ok_or_else(|| TextError::MissingToken { token: image.into() })?;
        let eos_token = special.get("eos_token").and_then(|token| inner.token_to_id(token));
        Ok(Self { inner, vocabulary, special, image_token, eos_token })
    }

    /// The ids of a text. Special tokens that stand in the text are recognised, as in vLLM.
    ///
    /// `add_special_tokens` lets the tokenizer put its own around the text (vLLM: true for completions, false for
    /// chats). Qwen2's adds none.
    ///
    /// # Errors
    /// [`TextError::Tokenizer`] if the library fails.
    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>, TextError> {
        // `encode_fast` leaves out where each token stood in the text, which nobody asks for.
        let encoding = self.inner.encode_fast(text, add_special_tokens).map_err(library)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of ids. Bytes that are no UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// [`TextError::Tokenizer`] if the library fails.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, TextError> {
        self.inner.decode(ids, skip_special_tokens).map_err(library)
    }

    /// A token as the vocabulary writes it (`Ċ` for a line feed), or nothing for an id without one.
    #[must_use]
    pub fn piece(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// One more than the greatest id that has a token.
    #[must_use]
    pub fn vocabulary(&self) -> u32 {
        self.vocabulary
    }

    /// The id of `<|image_pad|>`.
    #[must_use]
    pub fn image_token(&self) -> u32 {
        self.image_token
    }

    /// The id of the tokenizer's `eos_token`.
    #[must_use]
    pub fn eos_token(&self) -> Option<u32> {
        self.eos_token
    }

    /// The names of the special tokens.
    #[must_use]
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.special
    }

    pub(super) fn library(&self) -> &tokenizers::Tokenizer {
        &self.inner
    }
}

impl SpecialTokens {
    /// The names that transformers reads from a `tokenizer_config.json`.
    ///
    /// # Errors
    /// [`TextError::Content`] if the text is no JSON object.
    pub fn from_config(text: &str) -> Result<Self, TextError> {
        let config: HashMap<String, Value> = serde_json::from_str(text)
            .map_err(|error| TextError::Content { file: "tokenizer_config.json", reason: error.to_string() })?;
        let names = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
        let token = |name: &str| match config.get(name) {
            Some(Value::String(token)) => Some(token.clone()),
            Some(Value::Object(token)) => token.get("content").and_then(Value::as_str).map(str::to_owned),
            Some(_) => None,
            None => ["eos_token", "unk_token", "pad_token"].contains(&name).then(|| QWEN2_DEFAULT.to_owned()),
        };
        let tokens = names.iter().filter_map(|name| Some(((*name).to_owned(), token(name)?))).collect();
        Ok(Self { tokens })
    }

    /// The token of a name such as `eos_token`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.tokens.iter().find(|(known, _)| known == name).map(|(_, token)| token.as_str())
    }

    /// All of them, for a template's scope.
    pub(super) fn named(&self) -> Map<String, Value> {
        self.tokens.iter().map(|(name, token)| (name.clone(), token.clone().into())).collect()
    }
}

pub(super) fn library(error: tokenizers::Error) -> TextError {
    TextError::Tokenizer { reason: error.to_string() }
}
