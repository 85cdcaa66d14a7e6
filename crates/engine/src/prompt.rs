//! A prompt as the model takes it: ids with as many image tokens as the pictures need, where each picture stands, and
//! the three-axis positions. It must not know text, pixels or tensors.

mod hash;
mod positions;

use geometry::{Grid, ImageGeometry};

pub use hash::{BlockHash, ContentHash};
pub use positions::Positions;

use crate::text::{Refusal, RefusalKind};

/// What of a checkpoint shapes its prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptRules {
    /// The id of `<|image_pad|>`.
    pub image_token: u32,
    /// Side of the square of patches that becomes one token, in patches (`spatial_merge_size`).
    pub merge_size: u32,
}

/// A picture of a prompt, in the order of the placeholders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptImage {
    /// Its size, grid and number of tokens.
    pub geometry: ImageGeometry,
    /// What the model will see of it.
    pub content: ContentHash,
}

/// Where a picture stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageSpan {
    /// Its first token.
    pub start: usize,
    /// How many tokens it has.
    pub len: usize,
    /// Its patches before merging.
    pub grid: Grid,
    /// What the model will see of it.
    pub content: ContentHash,
}

impl ImageSpan {
    /// One past the last token.
    #[must_use]
    pub fn end(&self) -> usize {
        self.start + self.len
    }
}

/// A checked prompt.
///
/// By construction there is at least one token, spans are in order and apart, each holds image tokens only, and its
/// length is the number of tokens of its grid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    ids: Vec<u32>,
    images: Vec<ImageSpan>,
    positions: Positions,
}

impl Prompt {
    /// A prompt from the ids of its text, where one image token stands for each picture.
    ///
    /// Without pictures an image token in the text is a token like any other, as in vLLM.
    ///
    /// # Errors
    /// [`RefusalKind::Content`] if there are no ids, or the image tokens are not as many as the pictures.
    pub fn new(text_ids: &[u32], images: &[PromptImage], rules: PromptRules) -> Result<Self, Refusal> {
        if text_ids.is_empty() {
            return Err(Refusal::new(RefusalKind::Content, "The decoder prompt cannot be empty").of("prompt"));
        }
        let placeholders = text_ids.iter().filter(|id| **id == rules.image_token).count();
        if !images.is_empty() && placeholders != images.len() {
            let words = format!(
                "the prompt has {placeholders} places for pictures (<|image_pad|>) and {} pictures; use a chat template \
                 that gives each picture its place, and leave the token out of the text",
                images.len()
            );
            return Err(Refusal::new(RefusalKind::Content, words).of("messages"));
        }
        let mut ids = Vec::with_capacity(text_ids.len());
        let mut spans = Vec::with_capacity(images.len());
        let mut rest = images.iter();
        for id in text_ids {
            let image = if *id == rules.image_token { rest.next() } else { None };
            let Some(image) = image else {
                ids.push(*id);
                continue;
            };
            let span = span(image, ids.len(), rules.merge_size)?;
            ids.extend(std::iter::repeat_n(rules.image_token, span.len));
            spans.push(span);
        }
        let positions = Positions::new(ids.len(), &spans, rules.merge_size);
        Ok(Self { ids, images: spans, positions })
    }

    /// All ids, at least one.
    #[must_use]
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The pictures, in order.
    #[must_use]
    pub fn images(&self) -> &[ImageSpan] {
        &self.images
    }

    /// Where each token stands on the three axes.
    #[must_use]
    pub fn positions(&self) -> &Positions {
        &self.positions
    }

    /// Number of tokens: `usage.prompt_tokens`.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Never: kept for the lint that wants it beside `len`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Refuses a prompt that is longer than the context once its pictures have their tokens, in vLLM's words.
    ///
    /// # Errors
    /// [`RefusalKind::ContextLength`] with both counts.
    pub fn check_length(&self, max_model_len: usize) -> Result<(), Refusal> {
        if self.len() <= max_model_len {
            return Ok(());
        }
        let words = format!("Input length ({}) exceeds model's maximum context length ({max_model_len}).", self.len());
        Err(Refusal::new(RefusalKind::ContextLength, words))
    }

    /// Refuses a prompt with a picture of more tokens than can be encoded.
    ///
    /// # Errors
    /// [`RefusalKind::Content`] with both counts.
    pub fn check_pictures(&self, tokens_max: usize) -> Result<(), Refusal> {
        let Some(image) = self.images.iter().find(|image| image.len > tokens_max) else { return Ok(()) };
        let words = format!(
            "a picture has {} tokens, and this server takes pictures of at most {tokens_max}; use a smaller picture",
            image.len
        );
        Err(Refusal::new(RefusalKind::Content, words).of("messages"))
    }
}

/// Refuses an input of more tokens than the context, in vLLM's words; pictures count one token each. Of a text vLLM makes
/// one token more than the context at most and then says `at least`: for a text give `tokens.min(max_model_len + 1)`,
/// for ids that a client sent their number.
///
/// # Errors
/// [`RefusalKind::ContextLength`] with both counts.
pub fn check_input_length(tokens: usize, max_model_len: usize) -> Result<(), Refusal> {
    if tokens <= max_model_len {
        return Ok(());
    }
    let least = if tokens == max_model_len + 1 { "at least " } else { "" };
    let words = format!(
        "This model's maximum context length is {max_model_len} tokens. However, your prompt contains {least}{tokens} \
         input tokens, which exceeds this limit even without any output tokens. Please reduce the length of the input \
         prompt."
    );
    Err(Refusal::new(RefusalKind::ContextLength, words).of("input_tokens").given(tokens))
}

/// The span of a picture, if its grid and its number of tokens agree.
fn span(image: &PromptImage, start: usize, merge_size: u32) -> Result<ImageSpan, Refusal> {
    let grid = image.geometry.grid;
    let side = |patches: u32| u64::from(patches / merge_size.max(1));
    let tokens = u64::from(grid.t) * side(grid.h) * side(grid.w);
    let fits = usize::try_from(tokens).ok().filter(|len| *len > 0 && tokens == image.geometry.image_tokens);
    let Some(len) = fits else {
        let words = format!(
            "a picture of {}x{} patches has {} tokens, and its grid makes {tokens}",
            grid.w, grid.h, image.geometry.image_tokens
        );
        return Err(Refusal::new(RefusalKind::Content, words));
    };
    Ok(ImageSpan { start, len, grid, content: image.content })
}
