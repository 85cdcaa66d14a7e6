//! Reads the text files of a checkpoint folder. The one place of this module that touches files.

use std::path::Path;

use serde_json::Value;

use super::TextError;

/// The texts of a checkpoint folder that this crate's text side needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextFiles {
    /// `tokenizer.json`.
    pub tokenizer: String,
    /// `tokenizer_config.json`.
    pub tokenizer_config: Option<String>,
    /// `processor_config.json`.
    pub processor_config: Option<String>,
    /// `chat_template.json`.
    pub chat_template_json: Option<String>,
    /// `chat_template.jinja`.
    pub chat_template_jinja: Option<String>,
    /// `generation_config.json`.
    pub generation_config: Option<String>,
}

impl TextFiles {
    /// Reads a checkpoint folder. `tokenizer` names another folder for the tokenizer and its template (`--tokenizer`).
    ///
    /// # Errors
    /// [`TextError::NoTokenizer`] if `tokenizer.json` is missing, [`TextError::File`] if a file cannot be read.
    pub fn read(model: &Path, tokenizer: Option<&Path>) -> Result<Self, TextError> {
        let text_folder = tokenizer.unwrap_or(model);
        if !text_folder.join("tokenizer.json").exists() {
            let slow = text_folder.join("vocab.json").exists() && text_folder.join("merges.txt").exists();
            let found = if slow { " (vocab.json and merges.txt are not read in its place)" } else { "" };
            return Err(TextError::NoTokenizer { folder: text_folder.display().to_string(), found });
        }
        Ok(Self {
            tokenizer: read(&text_folder.join("tokenizer.json"))?,
            tokenizer_config: read_if_there(&text_folder.join("tokenizer_config.json"))?,
            processor_config: read_if_there(&text_folder.join("processor_config.json"))?,
            chat_template_json: read_if_there(&text_folder.join("chat_template.json"))?,
            chat_template_jinja: read_if_there(&text_folder.join("chat_template.jinja"))?,
            generation_config: read_if_there(&model.join("generation_config.json"))?,
        })
    }

    /// The checkpoint's own chat template, looked for where transformers 5 looks and in its order: the processor's
    /// (`processor_config.json`, `chat_template.json`, `chat_template.jinja`), then that of `tokenizer_config.json`.
    ///
    /// # Errors
    /// [`TextError::Content`] if a file is no JSON, [`TextError::NoTemplate`] if none has a template.
    pub fn chat_template(&self) -> Result<String, TextError> {
        let sources = [
            ("processor_config.json", &self.processor_config),
            ("chat_template.json", &self.chat_template_json),
            ("chat_template.jinja", &self.chat_template_jinja),
            ("tokenizer_config.json", &self.tokenizer_config),
        ];
        for (file, text) in sources {
            let Some(text) = text else { continue };
            if file == "chat_template.jinja" {
                return Ok(text.clone());
            }
            let json: Value =
                serde_json::from_str(text).map_err(|error| TextError::Content { file, reason: error.to_string() })?;
            if let Some(template) = default_template(&json["chat_template"]) {
                return Ok(template.to_owned());
            }
        }
        Err(TextError::NoTemplate)
    }
}

/// The template that `--chat-template` names: a file, or the template's text itself. As in vLLM, what cannot be opened
/// and has a brace or a line end is the text.
///
/// # Errors
/// [`TextError::TemplatePath`] if it looks like a path and cannot be read.
pub fn chat_template_of_flag(given: &str) -> Result<String, TextError> {
    match std::fs::read_to_string(given) {
        Ok(text) => Ok(text),
        Err(_) if given.contains(['{', '}', '\n']) => Ok(given.to_owned()),
        Err(error) => Err(TextError::TemplatePath { given: given.to_owned(), reason: error.to_string() }),
    }
}

/// One template, or of a list of named ones the one called `default`.
fn default_template(value: &Value) -> Option<&str> {
    match value {
        Value::Array(named) => named.iter().find(|each| each["name"] == "default")?["template"].as_str(),
        Value::Object(named) => named.get("default")?.as_str(),
        template => template.as_str(),
    }
}

fn read(path: &Path) -> Result<String, TextError> {
    std::fs::read_to_string(path)
        .map_err(|error| TextError::File { path: path.display().to_string(), reason: error.to_string() })
}

fn read_if_there(path: &Path) -> Result<Option<String>, TextError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TextError::File { path: path.display().to_string(), reason: error.to_string() }),
    }
}
