//! `/tokenize` and `/detokenize`, as vLLM 0.32.0 replies to them.

use serde_json::{Value, json};

use super::asked::{ChatPrompt, bad};
use super::fields::Fields;
use super::prepare::{Unprepared, broken};
use super::served::Served;
use crate::shapes::Tokenized;
use crate::validate::ApiError;

/// Answers `/tokenize`: of a text, or of a chat's whole prompt.
pub(super) fn tokenize(served: &Served, body: &[u8], may_wait: bool) -> Result<Value, Unprepared> {
    let mut fields = Fields::of(body)?;
    let model = fields.text("model");
    let strings = fields.boolean("return_token_strs").unwrap_or(false);
    let ids = if fields.value("messages").is_some() {
        let chat = ChatPrompt::of(&mut fields);
        fields.finish()?;
        served.name(model.as_deref())?;
        served.chat_prompt(&chat?, may_wait)?.prompt.ids().to_vec()
    } else {
        if fields.value("prompt").is_none() {
            fields.missing("prompt");
        }
        let text = fields.text("prompt").unwrap_or_default();
        let special = fields.boolean("add_special_tokens").unwrap_or(true);
        fields.finish()?;
        served.name(model.as_deref())?;
        served.encode(&text, special)?
    };
    let pieces: Option<Vec<_>> = strings.then(|| ids.iter().map(|id| served.tokenizer.piece(*id)).collect());
    let max_model_len = Some(served.limits.max_model_len);
    Ok(json!(Tokenized { count: ids.len(), max_model_len, tokens: &ids, token_strs: pieces }))
}

/// Answers `/detokenize`.
pub(super) fn detokenize(served: &Served, body: &[u8]) -> Result<Value, ApiError> {
    let mut fields = Fields::of(body)?;
    let model = fields.text("model");
    if fields.value("tokens").is_none() {
        fields.missing("tokens");
    }
    let ids = fields.integers("tokens");
    fields.finish()?;
    served.name(model.as_deref())?;
    let ids: Option<Vec<u32>> = ids.iter().map(|id| u32::try_from(*id).ok()).collect();
    let ids = ids.ok_or_else(|| bad("tokens must be ids of the vocabulary", "tokens"))?;
    let text = served.tokenizer.decode(&ids, false).map_err(|error| broken(&error))?;
    Ok(json!({"prompt": text}))
}
