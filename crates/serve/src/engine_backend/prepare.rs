//! From what a client asks for to what the engine takes, on a worker thread: pictures, template, tokens, parameters. The
//! order of the checks is vLLM's, so that a request with two faults is refused for the same one.

use std::sync::Arc;
use std::time::Instant;

use engine::engine::EngineRequest;
use engine::prompt::{Prompt, check_input_length};
use engine::text::{Chat, Refusal, RefusalKind, TextError};

use super::asked::{Asked, ChatPrompt, PromptAsked};
use super::media::Held;
use super::out::{failed, refused};
use super::served::Served;
use crate::validate::ApiError;

/// No token of Qwen2's vocabulary has more bytes: the longest are 128 spaces.
const TOKEN_BYTES_MAX: usize = 128;

/// A prompt and the pictures in it.
pub(super) struct Prepared {
    pub(super) prompt: Arc<Prompt>,
    pub(super) pictures: Vec<Arc<Held>>,
    /// The text that it was made of.
    pub(super) text: String,
}

/// Why there is no prompt.
pub(super) enum Unprepared {
    Refused(ApiError),
    /// Pictures have to be fetched from other servers, and the thread may not wait for them.
    MustWait,
}

impl From<ApiError> for Unprepared {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

impl Served {
    /// The prompt of a chat.
    pub(super) fn chat_prompt(&self, asked: &ChatPrompt, may_wait: bool) -> Result<Prepared, Unprepared> {
        let chat = Chat::from_json(&asked.messages).map_err(|refusal| refused(&refusal))?;
        let images = chat.images().count();
        if images > self.images_max {
            let words = format!("At most {} image(s) may be provided in one prompt.", self.images_max);
            return Err(ApiError::new(400, "BadRequestError", words, None).into());
        }
        if !may_wait && chat.images().any(|url| self.media.is_fetched(url)) {
            return Err(Unprepared::MustWait);
        }
        let text = self.template.render(&chat, &asked.options).map_err(|refusal| refused(&refusal))?;
        let until = self.media.deadline();
        let pictures = chat.images().map(|url| self.media.load(url, until)).collect::<Result<Vec<_>, _>>()?;
        let ids = self.encode(&text, asked.add_special_tokens)?;
        let prompt = self.prompt(&ids, &pictures, true)?;
        Ok(Prepared { prompt, pictures, text })
    }

    /// The prompt of a completion.
    pub(super) fn completion_prompt(&self, asked: &PromptAsked, special: bool) -> Result<Prepared, ApiError> {
        let (ids, text, is_text) = match asked {
            PromptAsked::Text(text) => {
                let ids = self.encode(text, special)?;
                (ids, text.clone(), true)
            }
            PromptAsked::Ids(ids) => {
                let ids = self.known_ids(ids)?;
                let text = self.tokenizer.decode(&ids, false).map_err(|error| broken(&error))?;
                (ids, text, false)
            }
        };
        let prompt = self.prompt(&ids, &[], is_text)?;
        Ok(Prepared { prompt, pictures: Vec::new(), text })
    }

    /// The ids of a text. One that is too long in any case is refused before it is read.
    pub(super) fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>, ApiError> {
        let longest = self.limits.max_model_len;
        if text.len() / TOKEN_BYTES_MAX > longest {
            check_input_length(longest + 1, longest).map_err(|refusal| refused(&refusal))?;
        }
        self.tokenizer.encode(text, special).map_err(|error| broken(&error))
    }

    /// Ids that a client sent, if the model knows all of them.
    pub(super) fn known_ids(&self, ids: &[i64]) -> Result<Vec<u32>, ApiError> {
        let known = |id: &i64| u32::try_from(*id).ok().filter(|id| *id < self.limits.vocab_size);
        match ids.iter().find(|id| known(id).is_none()) {
            None => Ok(ids.iter().filter_map(known).collect()),
            Some(id) => {
                let words = format!("Token id {id} is out of vocabulary");
                Err(refused(&Refusal::new(RefusalKind::Content, words)))
            }
        }
    }

    /// What the engine takes.
    pub(super) fn engine_request(
        &self,
        asked: &Asked,
        prepared: &Prepared,
        arrived: Instant,
    ) -> Result<EngineRequest, ApiError> {
        let tokens = prepared.prompt.len();
        let params =
            asked.sampling.resolve(&self.defaults, &self.limits, tokens).map_err(|refusal| refused(&refusal))?;
        Ok(EngineRequest {
            prompt: Arc::clone(&prepared.prompt),
            pictures: prepared.pictures.iter().map(|held| Arc::clone(&held.picture)).collect(),
            params,
            salt: asked.salt.clone(),
            arrived,
        })
    }

    fn prompt(&self, ids: &[u32], pictures: &[Arc<Held>], is_text: bool) -> Result<Arc<Prompt>, ApiError> {
        let longest = self.limits.max_model_len;
        // Of a text vLLM makes one token more than fit at most, and counts those.
        let tokens = if is_text { ids.len().min(longest + 1) } else { ids.len() };
        let images: Vec<_> = pictures.iter().map(|held| held.picture.for_prompt()).collect();
        let prompt = check_input_length(tokens, longest)
            .and_then(|()| Prompt::new(ids, &images, self.prompt_rules))
            .and_then(|prompt| prompt.check_length(longest).map(|()| prompt))
            .and_then(|prompt| prompt.check_pictures(self.encoder_tokens).map(|()| prompt))
            .map_err(|refusal| refused(&refusal))?;
        Ok(Arc::new(prompt))
    }
}

/// The tokenizer's library failed: not the client's fault.
pub(super) fn broken(error: &TextError) -> ApiError {
    failed(&error.to_string())
}
