//! What the model is asked in one step and what it answers: chunks of sequences, and logits. The checks here make a bad
//! step an error before anything is computed. It must not know weights.

use std::collections::HashSet;
use std::ops::Range;

use super::Error;
use super::attention::BLOCK_TOKENS;
use super::config::TextConfig;
use super::kernel::Line;
use super::kv_cache::Blocks;

/// The image tokens of one picture: `[tokens][width]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageFeatures {
    rows: Vec<f32>,
    width: usize,
}

impl ImageFeatures {
    pub(crate) fn new(rows: Vec<f32>, width: usize) -> Self {
        Self { rows, width }
    }

    /// How many tokens the picture has in a prompt.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.rows.len() / self.width.max(1)
    }

    /// Values of a token: the language model's hidden size.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The values, token by token.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.rows
    }

    /// Bytes of memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(self.rows.as_slice())
    }

    /// One token's values.
    pub(crate) fn row(&self, token: usize) -> &[f32] {
        self.rows.get(token * self.width..(token + 1) * self.width).unwrap_or_default()
    }
}

/// Image tokens in place of ids.
#[derive(Debug, Clone)]
pub struct Placed<'a> {
    /// The tokens of the chunk that they replace.
    pub at: Range<usize>,
    /// The picture.
    pub features: &'a ImageFeatures,
    /// The picture's token that comes first.
    pub first: usize,
}

/// Some tokens of one sequence that follow those already in its blocks. They are computed, and their keys and values
/// kept, in one step.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    /// The sequence's blocks in order, for the cached tokens and those of the chunk.
    pub block_table: &'a [u32],
    /// How many tokens of the sequence are in its blocks.
    pub cached: usize,
    /// The tokens.
    pub ids: &'a [u32],
    /// Temporal, vertical and horizontal position of each token.
    pub positions: &'a [[u32; 3]],
    /// The pictures among the tokens.
    pub features: &'a [Placed<'a>],
    /// The tokens of the chunk after which logits are wanted.
    pub wanted: &'a [usize],
}

/// One row of scores over the vocabulary for each wanted token, in the order of chunks and of their lists.
#[derive(Debug, Clone, PartialEq)]
pub struct Logits {
    values: Vec<f32>,
    vocab: usize,
}

impl Logits {
    pub(crate) fn new(values: Vec<f32>, vocab: usize) -> Self {
        Self { values, vocab }
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / self.vocab.max(1)
    }

    /// Whether no row was wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// One row: a score for each id.
    #[must_use]
    pub fn row(&self, row: usize) -> Option<&[f32]> {
        self.values.get(row * self.vocab..(row + 1) * self.vocab)
    }
}

/// Checks all chunks of a step against each other, the model and the cache.
pub(crate) fn check<L: Line>(chunks: &[Chunk<'_>], config: &TextConfig, cache: &Blocks<L>) -> Result<(), Error> {
    let mut written = HashSet::new();
    for (number, chunk) in chunks.iter().enumerate() {
        let refuse = |reason: String| Error::Chunk { chunk: number, reason };
        check_one(chunk, config).map_err(refuse)?;
        let needed = (chunk.cached + chunk.ids.len()).div_ceil(BLOCK_TOKENS);
        for (place, block) in chunk.block_table.iter().enumerate().take(needed) {
            if *block as usize >= cache.len() {
                return Err(refuse(format!("block {block} is not one of the cache's {}", cache.len())));
            }
            if place * BLOCK_TOKENS < chunk.cached && !cache.is_used(*block) {
                return Err(refuse(format!("block {block} should hold cached tokens, but nothing was written to it")));
            }
            if (place + 1) * BLOCK_TOKENS > chunk.cached && !written.insert(*block) {
                return Err(refuse(format!("block {block} would be written twice in one step")));
            }
        }
    }
    for (number, chunk) in chunks.iter().enumerate() {
        let full = chunk.cached / BLOCK_TOKENS;
        if let Some(block) = chunk.block_table.iter().take(full).find(|block| written.contains(block)) {
            let reason = format!("block {block} is read while another chunk writes it");
            return Err(Error::Chunk { chunk: number, reason });
        }
    }
    Ok(())
}

fn check_one(chunk: &Chunk<'_>, config: &TextConfig) -> Result<(), String> {
    let tokens = chunk.ids.len();
    if tokens == 0 {
        return Err("it has no tokens".to_owned());
    }
    if chunk.positions.len() != tokens {
        return Err(format!("{tokens} tokens have {} positions", chunk.positions.len()));
    }
    if let Some(id) = chunk.ids.iter().find(|id| **id as usize >= config.vocab_size) {
        return Err(format!("id {id} is not below the vocabulary size of {}", config.vocab_size));
    }
    let room = chunk.block_table.len().saturating_mul(BLOCK_TOKENS);
    if chunk.cached.checked_add(tokens).is_none_or(|end| end > room) {
        return Err(format!("{} cached and {tokens} new tokens do not fit {room} slots", chunk.cached));
    }
    if let Some(row) = chunk.wanted.iter().find(|row| **row >= tokens) {
        return Err(format!("logits are wanted after token {row} of {tokens}"));
    }
    for placed in chunk.features {
        let Range { start, end } = placed.at;
        let held = placed.features.tokens();
        if start > end || end > tokens || placed.first.checked_add(end - start).is_none_or(|last| last > held) {
            let first = placed.first;
            return Err(format!("image tokens {first}.. of {held} cannot stand at {start}..{end} of {tokens} tokens"));
        }
        if placed.features.width() != config.hidden_size {
            return Err(format!("image tokens are {} wide, not {}", placed.features.width(), config.hidden_size));
        }
    }
    Ok(())
}
