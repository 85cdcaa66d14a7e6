//! Keys and values of all layers, in blocks of 16 tokens that belong to nobody in particular: who may use which block is
//! decided elsewhere. It must not know sequences.

use super::Dtype;
use super::attention::{BLOCK_TOKENS, HeadShape};
use super::config::ModelConfig;
use super::kernel::{Bf16Line, F32Line, Line};

/// Memory for keys and values. A block takes memory from its first use on and keeps it.
#[derive(Debug)]
pub struct KvCache {
    pub(crate) store: Store,
}

/// The blocks in the number format of the model.
#[derive(Debug)]
pub(crate) enum Store {
    F32(Blocks<F32Line>),
    Bf16(Blocks<Bf16Line>),
}

/// Blocks in one number format.
#[derive(Debug)]
pub(crate) struct Blocks<L> {
    shape: CacheShape,
    /// Each `[layer][head][lines]`, empty until it is used.
    blocks: Vec<Vec<L>>,
}

/// What a cache must have in common with a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CacheShape {
    layers: usize,
    kv_heads: usize,
    head: HeadShape,
}

impl CacheShape {
    pub(crate) fn of(config: &ModelConfig) -> Self {
        let text = &config.text;
        Self { layers: text.layers, kv_heads: text.kv_heads, head: HeadShape::new(text.head_dim) }
    }

    fn lines<L: Line>(self) -> usize {
        self.layers * self.kv_heads * self.head.block_lines::<L>()
    }
}

impl KvCache {
    /// A cache of `blocks` blocks for models of this configuration and number format.
    #[must_use]
    pub fn new(config: &ModelConfig, blocks: usize, dtype: Dtype) -> Self {
        let shape = CacheShape::of(config);
        let store = match dtype {
            Dtype::Float32 => Store::F32(Blocks::new(shape, blocks)),
            Dtype::BFloat16 => Store::Bf16(Blocks::new(shape, blocks)),
        };
        Self { store }
    }

    /// Bytes that one block takes.
    #[must_use]
    pub fn block_bytes(config: &ModelConfig, dtype: Dtype) -> u64 {
        let shape = CacheShape::of(config);
        let lines = match dtype {
            Dtype::Float32 => shape.lines::<F32Line>(),
            Dtype::BFloat16 => shape.lines::<Bf16Line>(),
        };
        lines as u64 * 64
    }

    /// How many blocks there are.
    #[must_use]
    pub fn blocks(&self) -> usize {
        match &self.store {
            Store::F32(blocks) => blocks.blocks.len(),
            Store::Bf16(blocks) => blocks.blocks.len(),
        }
    }
}

impl<L: Line> Blocks<L> {
    fn new(shape: CacheShape, blocks: usize) -> Self {
        Self { shape, blocks: vec![Vec::new(); blocks] }
    }

    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    pub(crate) fn shape(&self) -> CacheShape {
        self.shape
    }

    /// Whether something was ever written to the block.
    pub(crate) fn is_used(&self, block: u32) -> bool {
        self.blocks.get(block as usize).is_some_and(|lines| !lines.is_empty())
    }

    /// Makes the block ready to be written.
    pub(crate) fn reserve(&mut self, block: u32) {
        let lines = self.shape.lines::<L>();
        if let Some(block) = self.blocks.get_mut(block as usize) {
            block.resize(lines, L::default());
        }
    }

    /// Puts the key and the value of one head of a token into its slot. The first slot clears the block, so that nothing
    /// of an earlier user is left beside it: a weight of 0 would still carry an infinite value over.
    pub(crate) fn put(
        &mut self,
        (layer, head): (usize, usize),
        (block, slot): (u32, usize),
        key: &[f32],
        value: &[f32],
    ) {
        let (span, shape) = (self.span(layer, head), self.shape.head);
        if let Some(lines) = self.blocks.get_mut(block as usize).and_then(|lines| lines.get_mut(span)) {
            if slot == 0 {
                lines.fill(L::default());
            }
            shape.put(lines, slot, key, value);
        }
    }

    /// The lines of one head of a block. Empty if the block was never written, which a step has excluded before.
    pub(crate) fn head(&self, layer: usize, head: usize, block: u32) -> &[L] {
        let span = self.span(layer, head);
        self.blocks.get(block as usize).and_then(|lines| lines.get(span)).unwrap_or_default()
    }

    fn span(&self, layer: usize, head: usize) -> std::ops::Range<usize> {
        let lines = self.shape.head.block_lines::<L>();
        let first = (layer * self.shape.kv_heads + head) * lines;
        first..first + lines
    }
}

/// The block and the slot of a token, by its place in the sequence.
pub(crate) fn place(block_table: &[u32], token: usize) -> (u32, usize) {
    (block_table.get(token / BLOCK_TOKENS).copied().unwrap_or(u32::MAX), token % BLOCK_TOKENS)
}
