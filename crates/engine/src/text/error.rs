//! What can be wrong with the text files of a checkpoint or with a flag that names one. Said before the port opens.
//! What is wrong with a request is a [`super::Refusal`].

/// Why the text side of a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// A file cannot be read.
    #[error("{path} cannot be read: {reason}; check the path and that the checkpoint folder is whole")]
    File {
        /// The file.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// There is no `tokenizer.json`.
    #[error(
        "{folder} has no tokenizer.json{found}; fetch it with the checkpoint, or name a folder that has it with --tokenizer"
    )]
    NoTokenizer {
        /// Where it was looked for.
        folder: String,
        /// What there is instead, in words.
        found: &'static str,
    },
    /// A file is not what its name says.
    #[error("{file} cannot be used: {reason}; expected is the file published with the model")]
    Content {
        /// Name of the file.
        file: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// `--chat-template` looks like a path, and no template can be read there.
    #[error(
        "--chat-template {given} cannot be read as a template ({reason}); give the path of a template file, or the template itself \
         (a text with braces or line ends)"
    )]
    TemplatePath {
        /// What was given.
        given: String,
        /// The system's words.
        reason: String,
    },
    /// There is no template.
    #[error(
        "no chat template: neither chat_template.json, chat_template.jinja nor tokenizer_config.json has one; \
         give one with --chat-template FILE"
    )]
    NoTemplate,
    /// The template is no valid Jinja.
    #[error("the chat template cannot be used: {reason}; check the template's text")]
    Template {
        /// The parser's words, with the line.
        reason: String,
    },
    /// The tokenizer lacks a token that the model needs.
    #[error("tokenizer.json has no token {token}; expected is the tokenizer published with the model")]
    MissingToken {
        /// The token.
        token: String,
    },
    /// The library refuses to encode or decode.
    #[error("the tokenizer failed: {reason}")]
    Tokenizer {
        /// The library's words.
        reason: String,
    },
}
