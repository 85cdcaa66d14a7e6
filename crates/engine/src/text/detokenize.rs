//! Token by token to text, as vLLM 0.32's events show it: a token that leaves a character unfinished gives no text, the
//! one that finishes it gives the whole character. It must not know the model or events.

use super::tokenizer::library;
use super::{StopStrings, TextError, Tokenizer};

/// The text of one answer, as it grows.
#[derive(Debug)]
pub struct Detokenizer {
    stops: StopStrings,
    skip_special_tokens: bool,
    min_tokens: usize,
    /// All text so far.
    text: String,
    /// How much of it has been given out, in bytes.
    shown: usize,
    /// Tokens so far.
    tokens: usize,
    /// The library's streaming state: ids that still matter, their text, and how many of them that text covers.
    ids: Vec<u32>,
    prefix: String,
    prefix_index: usize,
}

/// What one token added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextStep {
    /// New text to show. Often empty.
    pub text: String,
    /// The stop string that ended the answer.
    pub stop: Option<String>,
}

impl Detokenizer {
    /// For one answer. The text before it is `prompt`: a decoder may treat the first token of a text differently.
    #[must_use]
    pub fn new(prompt: &[u32], stops: StopStrings, skip_special_tokens: bool, min_tokens: usize) -> Self {
        Self {
            stops,
            skip_special_tokens,
            min_tokens,
            text: String::new(),
            shown: 0,
            tokens: 0,
            ids: prompt.to_vec(),
            prefix: String::new(),
            prefix_index: 0,
        }
    }

    /// Adds one token. `finish` is whether the answer ends with it anyway, `by_stop_id` whether it ends because this
    /// token is an end token: then the token is no text, unless stop strings are to be included.
    ///
    /// Where `stop` is given the answer ends here too, and everything that waited is in `text`.
    ///
    /// # Errors
    /// [`TextError::Tokenizer`] if the library fails.
    pub fn push(
        &mut self,
        tokenizer: &Tokenizer,
        id: u32,
        finish: bool,
        by_stop_id: bool,
    ) -> Result<TextStep, TextError> {
        self.tokens += 1;
        let mut new_chars = 0;
        if !by_stop_id || self.stops.include() {
            let new = self.decode_next(tokenizer, id)?;
            new_chars = new.chars().count();
            self.text.push_str(&new);
        }
        let found = if self.tokens > self.min_tokens { self.stops.find(&self.text, new_chars) } else { None };
        if let Some(found) = &found {
            self.text.truncate(found.keep);
        }
        let end = if finish || found.is_some() { self.text.len() } else { self.stops.showable(&self.text) };
        let text = self.text.get(self.shown..end).unwrap_or_default().to_owned();
        self.shown = self.shown.max(end);
        Ok(TextStep { text, stop: found.map(|found| found.string) })
    }

    /// All text so far, with what still waits.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Text that has been held back and not given out.
    #[must_use]
    pub fn waiting(&self) -> &str {
        self.text.get(self.shown..).unwrap_or_default()
    }

    fn decode_next(&mut self, tokenizer: &Tokenizer, id: u32) -> Result<String, TextError> {
        match self.stream(tokenizer, id) {
            Ok(text) => Ok(text),
            // Invalid UTF-8 can decode differently once more bytes follow, and then the library cannot tell what is
            // new. As in vLLM, the stream begins anew with this token.
            Err(error) if error.to_string().starts_with("Invalid prefix encountered") => {
                (self.ids, self.prefix, self.prefix_index) = (Vec::new(), String::new(), 0);
                self.stream(tokenizer, id).map_err(library)
            }
            Err(error) => Err(library(error)),
        }
    }

    fn stream(&mut self, tokenizer: &Tokenizer, id: u32) -> Result<String, tokenizers::Error> {
        tokenizers::step_decode_stream(
            tokenizer.library(),
            vec![id],
            self.skip_special_tokens,
            &mut self.ids,
            &mut self.prefix,
            &mut self.prefix_index,
        )
        .map(Option::unwrap_or_default)
    }
}
