//! Between a chat and token ids, both ways: chat templates, the tokenizer, streamed text and stop strings.
//! It must not know pictures' pixels, the model, the scheduler or HTTP. Only `folder` reads files.

mod chat;
mod detokenize;
mod error;
mod folder;
mod python;
mod refusal;
mod stop;
mod template;
mod token_text;
mod tokenizer;

pub use chat::{Chat, Message, Part};
pub use detokenize::{Detokenizer, TextStep};
pub use error::TextError;
pub use folder::{TextFiles, chat_template_of_flag};
pub use refusal::{Refusal, RefusalKind};
pub use stop::StopStrings;
pub use template::{ChatTemplate, ContentFormat, IMAGE_PLACEHOLDER, RenderOptions};
pub use token_text::TokenText;
pub use tokenizer::{SpecialTokens, Tokenizer};

pub(crate) use python::float_repr;
