//! One token by itself as text, for log probabilities: a token that is only part of a character shows the character
//! where it finishes it, else nothing. The rule is vLLM 0.32's (`vllm/v1/engine/logprobs.py`).

use super::{TextError, Tokenizer};

/// How many tokens before this one are looked at: no character has more than four bytes.
const CONTEXT_MAX: usize = 4;

/// A token in a list of log probabilities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenText {
    /// Its text; empty if it ends inside a character.
    pub text: String,
}

impl TokenText {
    /// The text of `id`, given the tokens that stand before it in the sequence (for an alternative: before the token
    /// that was taken instead).
    ///
    /// # Errors
    /// [`TextError::Tokenizer`] if the library fails.
    pub fn of(tokenizer: &Tokenizer, id: u32, before: &[u32]) -> Result<Self, TextError> {
        let text = tokenizer.decode(&[id], false)?;
        if !text.ends_with(char::REPLACEMENT_CHARACTER) {
            return Ok(Self { text });
        }
        let context = &before[before.len().saturating_sub(CONTEXT_MAX)..];
        for length in 1..=context.len() {
            let context = &context[context.len() - length..];
            let whole = tokenizer.decode(&[context, &[id]].concat(), false)?;
            if !whole.ends_with(char::REPLACEMENT_CHARACTER) {
                return Ok(Self { text: without_clean_prefix(tokenizer, context, &whole)? });
            }
        }
        Ok(Self { text: String::new() })
    }

    /// The bytes of the text.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// What the last tokens and this one make together, without the text of those before them that stand alone: the
/// unfinished ones showed nothing of their own, so their bytes belong to this token.
fn without_clean_prefix(tokenizer: &Tokenizer, context: &[u32], whole: &str) -> Result<String, TextError> {
    let mut clean = context.len();
    while clean > 0 && tokenizer.decode(&context[clean - 1..clean], false)?.ends_with(char::REPLACEMENT_CHARACTER) {
        clean -= 1;
    }
    let prefix = tokenizer.decode(&context[..clean], false)?;
    let common: usize =
        prefix.chars().zip(whole.chars()).take_while(|(a, b)| a == b).map(|(letter, _)| letter.len_utf8()).sum();
    Ok(whole[common..].to_owned())
}
