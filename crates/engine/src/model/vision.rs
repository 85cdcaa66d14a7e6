//! The vision tower: patches of one picture to image tokens. It must not know prompts or pixels of other layouts than
//! patches.
//!
//! Mirrors transformers' `Qwen2VisionTransformerPretrainedModel`.

use geometry::Grid;

use super::activation::{gelu, quick_gelu};
use super::attention::{BLOCK_TOKENS, HeadShape, QUERY_ROWS};
use super::checkpoint::Part;
use super::compute::{Compute, SLAB_ROWS};
use super::config::{ModelConfig, VisionConfig};
use super::kernel::F32Line;
use super::linear::Linear;
use super::loader::Loader;
use super::norm::LayerNorm;
use super::rope::Angles;
use super::{Error, ImageFeatures};

/// More patches than this are no picture that any limit on pixels lets through.
const PATCHES_MAX: u64 = 1 << 22;

/// The vision tower.
#[derive(Debug)]
pub(crate) struct Vision {
    config: VisionConfig,
    patch_embed: Linear,
    blocks: Vec<Block>,
    merger: Merger,
}

#[derive(Debug)]
struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    proj: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

#[derive(Debug)]
struct Merger {
    ln_q: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

/// Queries, keys and values of one head of a picture.
struct Head {
    /// `[patch][head_dim]`.
    queries: Vec<f32>,
    /// `[block][lines]`, see [`super::attention`].
    blocks: Vec<F32Line>,
}

impl Vision {
    pub(crate) fn load(loader: &mut Loader<'_>, config: &ModelConfig) -> Result<Self, Error> {
        let vision = &config.vision;
        let (width, inner, side) = (vision.embed_dim, vision.mlp_dim, vision.patch_size);
        let patch = [vision.channels, vision.temporal_patch_size, side, side];
        let patch_embed = loader.linear(Part::Visual, &[("patch_embed.proj", width)], &patch, false)?;
        let mut blocks = Vec::with_capacity(vision.depth);
        for number in 0..vision.depth {
            let part = Part::Block(number);
            blocks.push(Block {
                norm1: loader.layer_norm(part, "norm1", width)?,
                qkv: loader.linear(part, &[("attn.qkv", 3 * width)], &[width], true)?,
                proj: loader.linear(part, &[("attn.proj", width)], &[width], true)?,
                norm2: loader.layer_norm(part, "norm2", width)?,
                fc1: loader.linear(part, &[("mlp.fc1", inner)], &[width], true)?,
                fc2: loader.linear(part, &[("mlp.fc2", width)], &[inner], true)?,
            });
        }
        let merged = width * vision.merge_size * vision.merge_size;
        let merger = Merger {
            ln_q: loader.layer_norm(Part::Visual, "merger.ln_q", width)?,
            fc1: loader.linear(Part::Visual, &[("merger.mlp.0", merged)], &[merged], true)?,
            fc2: loader.linear(Part::Visual, &[("merger.mlp.2", config.text.hidden_size)], &[merged], true)?,
        };
        Ok(Self { config: vision.clone(), patch_embed, blocks, merger })
    }

    /// Bytes of the packed weights.
    pub(crate) fn bytes(&self) -> u64 {
        let block = |b: &Block| b.qkv.bytes() + b.proj.bytes() + b.fc1.bytes() + b.fc2.bytes();
        let blocks: u64 = self.blocks.iter().map(block).sum();
        self.patch_embed.bytes() + blocks + self.merger.fc1.bytes() + self.merger.fc2.bytes()
    }

    /// The image tokens of a picture; see [`super::Qwen2Vl::encode_image`].
    pub(crate) fn encode(&self, compute: &Compute, patches: &[f32], grid: Grid) -> Result<ImageFeatures, Error> {
        let count = self.check(patches, grid)?;
        let angles = Angles::of_patches(&self.config, grid);
        let mut x = Vec::with_capacity(count * self.config.embed_dim);
        let values = self.config.patch_values();
        for slab in patches.chunks(SLAB_ROWS * values) {
            let slab = compute.rounded(slab.len() / values, values, |row, out| {
                out.copy_from_slice(&slab[row * values..][..values]);
            });
            x.extend(compute.linear(&self.patch_embed, &slab));
        }
        for block in &self.blocks {
            let heads = self.heads(compute, block, &angles, &x);
            let attended = self.attend(compute, &heads, count);
            drop(heads);
            self.project(compute, block, &attended, count, &mut x);
        }
        Ok(self.merge(compute, &x))
    }

    /// The number of patches, if all is as it should be.
    fn check(&self, patches: &[f32], grid: Grid) -> Result<usize, Error> {
        let merge = self.config.merge_size as u32;
        let count = u64::from(grid.t) * u64::from(grid.h) * u64::from(grid.w);
        let values = self.config.patch_values();
        let refuse =
            |allowed: String| Err(Error::Patches { grid: [grid.t, grid.h, grid.w], found: patches.len(), allowed });
        if grid.t != 1 {
            return refuse("one frame is needed: video is not supported".to_owned());
        }
        if count == 0 || count > PATCHES_MAX || ![grid.h, grid.w].iter().all(|side| side.is_multiple_of(merge)) {
            return refuse(format!("rows and columns must be multiples of {merge}, and at most {PATCHES_MAX} patches"));
        }
        if patches.len() as u64 != count * values as u64 {
            return refuse(format!("{values} values a patch make {}", count * values as u64));
        }
        Ok(patches.len() / values)
    }

    /// Norm, queries, keys and values of a block, sorted by head.
    fn heads(&self, compute: &Compute, block: &Block, angles: &Angles, x: &[f32]) -> Vec<Head> {
        let (width, dim) = (self.config.embed_dim, self.config.head_dim);
        let shape = HeadShape::new(dim);
        let lines = shape.block_lines::<F32Line>();
        let count = x.len() / width;
        let mut heads: Vec<Head> = (0..self.config.heads)
            .map(|_| Head {
                queries: vec![0.0; count * dim],
                blocks: vec![F32Line::default(); count.div_ceil(BLOCK_TOKENS) * lines],
            })
            .collect();
        for (number, slab) in x.chunks(SLAB_ROWS * width).enumerate() {
            let h = compute.rounded(slab.len() / width, width, |row, out| {
                block.norm1.apply(&slab[row * width..][..width], out);
            });
            let qkv = compute.linear(&block.qkv, &h);
            let first = number * SLAB_ROWS;
            compute.threads.each(heads.iter_mut().enumerate().collect(), |(head, buffers)| {
                let mut key = vec![0.0; dim];
                for (row, qkv) in qkv.chunks(3 * width).enumerate() {
                    let patch = first + row;
                    let part = |which: usize| &qkv[which * width + head * dim..][..dim];
                    let query = &mut buffers.queries[patch * dim..][..dim];
                    query.copy_from_slice(part(0));
                    angles.turn(patch, query);
                    key.copy_from_slice(part(1));
                    angles.turn(patch, &mut key);
                    let lines = &mut buffers.blocks[patch / BLOCK_TOKENS * lines..][..lines];
                    shape.put(lines, patch % BLOCK_TOKENS, &key, part(2));
                }
            });
        }
        heads
    }

    /// Every patch sees every patch: `[head][patch][head_dim]`.
    fn attend(&self, compute: &Compute, heads: &[Head], count: usize) -> Vec<f32> {
        let dim = self.config.head_dim;
        let shape = HeadShape::new(dim);
        let lines = shape.block_lines::<F32Line>();
        let mut out = vec![0.0; heads.len() * count * dim];
        let outs = out.chunks_mut(count * dim).zip(heads);
        let tasks = outs.flat_map(|(out, head)| {
            let queries = head.queries.chunks(QUERY_ROWS * dim);
            out.chunks_mut(QUERY_ROWS * dim).zip(queries).map(move |(out, queries)| (head, queries, out))
        });
        compute.threads.each(tasks.collect(), |(head, queries, out)| {
            let seen = vec![count; queries.len() / dim];
            let block = |number: usize| &head.blocks[number * lines..][..lines];
            shape.attend(compute.isa, queries, &seen, block, out);
        });
        out
    }

    /// The rest of a block: projection, norm and MLP, both added to `x`.
    fn project(&self, compute: &Compute, block: &Block, attended: &[f32], count: usize, x: &mut [f32]) {
        let (width, dim) = (self.config.embed_dim, self.config.head_dim);
        for (number, x) in x.chunks_mut(SLAB_ROWS * width).enumerate() {
            let rows = x.len() / width;
            let a = compute.rounded(rows, width, |row, out| {
                let patch = number * SLAB_ROWS + row;
                for (head, out) in out.chunks_mut(dim).enumerate() {
                    out.copy_from_slice(&attended[(head * count + patch) * dim..][..dim]);
                }
            });
            compute.add(x, &compute.linear(&block.proj, &a), width);
            let h = compute.rounded(rows, width, |row, out| block.norm2.apply(&x[row * width..][..width], out));
            let inner = compute.linear(&block.fc1, &h);
            let inner_width = block.fc1.outputs();
            let inner = compute.rounded(rows, inner_width, |row, out| {
                out.copy_from_slice(&inner[row * inner_width..][..inner_width]);
                quick_gelu(out);
            });
            compute.add(x, &compute.linear(&block.fc2, &inner), width);
        }
    }

    /// Squares of patches to tokens of the language model's width.
    fn merge(&self, compute: &Compute, x: &[f32]) -> ImageFeatures {
        let merged = self.merger.fc1.inputs();
        let mut rows = Vec::new();
        for slab in x.chunks(SLAB_ROWS * merged) {
            let count = slab.len() / merged;
            let h = compute.rounded(count, merged, |row, out| {
                let patches = slab[row * merged..][..merged].chunks(self.config.embed_dim);
                for (patch, out) in patches.zip(out.chunks_mut(self.config.embed_dim)) {
                    self.merger.ln_q.apply(patch, out);
                }
            });
            let inner = compute.linear(&self.merger.fc1, &h);
            let inner = compute.rounded(count, merged, |row, out| {
                out.copy_from_slice(&inner[row * merged..][..merged]);
                gelu(out);
            });
            rows.extend(compute.linear(&self.merger.fc2, &inner));
        }
        ImageFeatures::new(rows, self.merger.fc2.outputs())
    }
}
