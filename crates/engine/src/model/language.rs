//! The language model: chunks of sequences to logits, over the blocks of a cache. It must not know who owns a block, nor
//! where ids and pictures come from.
//!
//! Mirrors transformers' `Qwen2VLTextModel` with eager attention. All tokens of a step go through the matrices together;
//! each token's result depends on its own sequence alone, to the bit.

use super::activation::swiglu;
use super::attention::{BLOCK_TOKENS, HeadShape, QUERY_ROWS};
use super::checkpoint::Part;
use super::compute::{Compute, SLAB_ROWS};
use super::config::{ModelConfig, TextConfig};
use super::kernel::Line;
use super::kv_cache::{Blocks, CacheShape, KvCache, Store, place};
use super::linear::Linear;
use super::loader::Loader;
use super::norm::rms_norm;
use super::rope::Angles;
use super::step::{Chunk, Logits, check};
use super::{Dtype, Error};

/// The language model.
#[derive(Debug)]
pub(crate) struct Language {
    config: TextConfig,
    cache_shape: CacheShape,
    embedding: Linear,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    /// `None` if the embedding is the output matrix too.
    head: Option<Linear>,
}

#[derive(Debug)]
struct Layer {
    input_norm: Vec<f32>,
    qkv: Linear,
    output: Linear,
    post_norm: Vec<f32>,
    gate_up: Linear,
    down: Linear,
}

impl Language {
    pub(crate) fn load(loader: &mut Loader<'_>, config: &ModelConfig) -> Result<Self, Error> {
        let text = &config.text;
        let (hidden, inner, kv) = (text.hidden_size, text.intermediate_size, text.kv_heads * text.head_dim);
        let embedding = loader.linear(Part::Text, &[("embed_tokens", text.vocab_size)], &[hidden], false)?;
        let mut layers = Vec::with_capacity(text.layers);
        for number in 0..text.layers {
            let part = Part::Layer(number);
            let qkv = [("self_attn.q_proj", hidden), ("self_attn.k_proj", kv), ("self_attn.v_proj", kv)];
            layers.push(Layer {
                input_norm: loader.vector(part, "input_layernorm.weight", hidden)?,
                qkv: loader.linear(part, &qkv, &[hidden], true)?,
                output: loader.linear(part, &[("self_attn.o_proj", hidden)], &[hidden], false)?,
                post_norm: loader.vector(part, "post_attention_layernorm.weight", hidden)?,
                gate_up: loader.linear(part, &[("mlp.gate_proj", inner), ("mlp.up_proj", inner)], &[hidden], false)?,
                down: loader.linear(part, &[("mlp.down_proj", hidden)], &[inner], false)?,
            });
        }
        let norm = loader.vector(Part::Text, "norm.weight", hidden)?;
        let head = if config.tie_word_embeddings {
            None
        } else {
            Some(loader.linear(Part::Root, &[("lm_head", text.vocab_size)], &[hidden], false)?)
        };
        Ok(Self { config: text.clone(), cache_shape: CacheShape::of(config), embedding, layers, norm, head })
    }

    /// Bytes of the packed weights.
    pub(crate) fn bytes(&self) -> u64 {
        let layer = |l: &Layer| l.qkv.bytes() + l.output.bytes() + l.gate_up.bytes() + l.down.bytes();
        let layers: u64 = self.layers.iter().map(layer).sum();
        self.embedding.bytes() + layers + self.head.as_ref().map_or(0, Linear::bytes)
    }

    /// One step; see [`super::Qwen2Vl::forward`].
    pub(crate) fn forward(
        &self,
        compute: &Compute,
        cache: &mut KvCache,
        chunks: &[Chunk<'_>],
    ) -> Result<Logits, Error> {
        match (&mut cache.store, compute.dtype) {
            (Store::F32(blocks), Dtype::Float32) => self.step(compute, blocks, chunks),
            (Store::Bf16(blocks), Dtype::BFloat16) => self.step(compute, blocks, chunks),
            _ => Err(foreign_cache()),
        }
    }

    fn step<L: Line>(&self, compute: &Compute, cache: &mut Blocks<L>, chunks: &[Chunk<'_>]) -> Result<Logits, Error> {
        if cache.shape() != self.cache_shape {
            return Err(foreign_cache());
        }
        check(chunks, &self.config, cache)?;
        for chunk in chunks {
            let end = (chunk.cached + chunk.ids.len()).div_ceil(BLOCK_TOKENS);
            chunk
                .block_table
                .iter()
                .take(end)
                .skip(chunk.cached / BLOCK_TOKENS)
                .for_each(|block| cache.reserve(*block));
        }
        let positions = chunks.iter().flat_map(|chunk| chunk.positions.iter().copied());
        let angles = Angles::of_tokens(&self.config, positions);
        let mut x = self.embed(chunks);
        for (number, layer) in self.layers.iter().enumerate() {
            let attended = self.attention(compute, cache, chunks, (number, layer), (&angles, &x));
            compute.add(&mut x, &compute.linear(&layer.output, &attended), self.config.hidden_size);
            self.mlp(compute, layer, &mut x);
        }
        Ok(self.logits(compute, chunks, &x))
    }

    /// `[token][hidden]`: rows of the embedding, or image tokens where there are any.
    fn embed(&self, chunks: &[Chunk<'_>]) -> Vec<f32> {
        let hidden = self.config.hidden_size;
        let tokens: usize = chunks.iter().map(|chunk| chunk.ids.len()).sum();
        let mut x = vec![0.0; tokens * hidden];
        let mut rest = x.as_mut_slice();
        for chunk in chunks {
            let (rows, after) = rest.split_at_mut(chunk.ids.len() * hidden);
            rest = after;
            for (id, row) in chunk.ids.iter().zip(rows.chunks_mut(hidden)) {
                self.embedding.row(*id as usize, row);
            }
            for placed in chunk.features {
                let rows = rows.chunks_mut(hidden).take(placed.at.end).skip(placed.at.start);
                for (token, row) in rows.enumerate() {
                    row.copy_from_slice(placed.features.row(placed.first + token));
                }
            }
        }
        x
    }

    /// The output of the attention heads, `[token][heads * head_dim]`. Puts the chunks' keys and values into the cache.
    fn attention<L: Line>(
        &self,
        compute: &Compute,
        cache: &mut Blocks<L>,
        chunks: &[Chunk<'_>],
        (number, layer): (usize, &Layer),
        (angles, x): (&Angles, &[f32]),
    ) -> Vec<f32> {
        let hidden = self.config.hidden_size;
        let h = compute.rounded(x.len() / hidden, hidden, |row, out| {
            rms_norm(&x[row * hidden..][..hidden], &layer.input_norm, self.config.rms_norm_eps, out);
        });
        let mut qkv = compute.linear(&layer.qkv, &h);
        let (dim, turned) = (self.config.head_dim, self.config.heads + self.config.kv_heads);
        compute.threads.rows(&mut qkv, layer.qkv.outputs(), |row, qkv| {
            qkv.chunks_mut(dim).take(turned).for_each(|head| angles.turn(row, head));
        });
        self.remember(cache, chunks, number, &qkv);
        let attended = self.attend(compute, cache, chunks, number, &qkv);
        compute.rounded(attended.len() / hidden, hidden, |row, out| {
            out.copy_from_slice(&attended[row * hidden..][..hidden]);
        })
    }

    fn remember<L: Line>(&self, cache: &mut Blocks<L>, chunks: &[Chunk<'_>], layer: usize, qkv: &[f32]) {
        let (dim, kv_heads) = (self.config.head_dim, self.config.kv_heads);
        let tokens = chunks
            .iter()
            .flat_map(|chunk| (0..chunk.ids.len()).map(|token| place(chunk.block_table, chunk.cached + token)));
        for (at, qkv) in tokens.zip(qkv.chunks(self.qkv_width())) {
            for head in 0..kv_heads {
                let part = |which: usize| &qkv[self.config.hidden_size + (which * kv_heads + head) * dim..][..dim];
                cache.put((layer, head), at, part(0), part(1));
            }
        }
    }

    fn attend<L: Line>(
        &self,
        compute: &Compute,
        cache: &Blocks<L>,
        chunks: &[Chunk<'_>],
        layer: usize,
        qkv: &[f32],
    ) -> Vec<f32> {
        let mut out = vec![0.0; qkv.len() / self.qkv_width() * self.config.hidden_size];
        let shape = HeadShape::new(self.config.head_dim);
        let tasks = self.attention_tasks(chunks, &mut out);
        compute.threads.each(tasks, |task| {
            let (queries, seen) = self.queries(&task, qkv);
            let mut attended = vec![0.0; queries.len()];
            let block = |number: usize| {
                let block = task.chunk.block_table.get(number).copied().unwrap_or(u32::MAX);
                cache.head(layer, task.head, block)
            };
            shape.attend(compute.isa, &queries, &seen, block, &mut attended);
            let rows = attended.chunks(self.group() * self.config.head_dim);
            task.out.into_iter().zip(rows).for_each(|(out, row)| out.copy_from_slice(row));
        });
        out
    }

    /// A few tokens of a chunk and the query heads that share one key head: so many rows share a pass over the keys.
    fn attention_tasks<'a>(&self, chunks: &'a [Chunk<'a>], out: &'a mut [f32]) -> Vec<AttentionTask<'a>> {
        let at_once = (QUERY_ROWS / self.group()).max(1);
        let mut tasks = Vec::new();
        let mut first_row = 0;
        let mut rows = out.chunks_mut(self.config.hidden_size);
        for chunk in chunks {
            for first in (0..chunk.ids.len()).step_by(at_once) {
                let start = tasks.len();
                tasks.extend((0..self.config.kv_heads).map(|head| AttentionTask {
                    chunk,
                    head,
                    first,
                    row: first_row + first,
                    out: Vec::new(),
                }));
                for row in rows.by_ref().take(at_once.min(chunk.ids.len() - first)) {
                    let heads = row.chunks_mut(self.group() * self.config.head_dim);
                    tasks[start..].iter_mut().zip(heads).for_each(|(task, out)| task.out.push(out));
                }
            }
            first_row += chunk.ids.len();
        }
        // The last tokens of a long chunk see most: begin with them, so that no thread ends with a long task alone.
        tasks.reverse();
        tasks
    }

    /// The queries of a task, `[token][head of the group][head_dim]`, and how many keys each sees.
    fn queries(&self, task: &AttentionTask<'_>, qkv: &[f32]) -> (Vec<f32>, Vec<usize>) {
        let (group, dim, width) = (self.group(), self.config.head_dim, self.qkv_width());
        let tokens = task.out.len();
        let mut queries = Vec::with_capacity(tokens * group * dim);
        let mut seen = Vec::with_capacity(tokens * group);
        for token in 0..tokens {
            queries.extend_from_slice(&qkv[(task.row + token) * width + task.head * group * dim..][..group * dim]);
            seen.extend(std::iter::repeat_n(task.chunk.cached + task.first + token + 1, group));
        }
        (queries, seen)
    }

    fn mlp(&self, compute: &Compute, layer: &Layer, x: &mut [f32]) {
        let (hidden, inner) = (self.config.hidden_size, self.config.intermediate_size);
        for x in x.chunks_mut(SLAB_ROWS * hidden) {
            let rows = x.len() / hidden;
            let h = compute.rounded(rows, hidden, |row, out| {
                rms_norm(&x[row * hidden..][..hidden], &layer.post_norm, self.config.rms_norm_eps, out);
            });
            let both = compute.linear(&layer.gate_up, &h);
            let gated = compute.rounded(rows, inner, |row, out| swiglu(&both[row * 2 * inner..][..2 * inner], out));
            compute.add(x, &compute.linear(&layer.down, &gated), hidden);
        }
    }

    fn logits(&self, compute: &Compute, chunks: &[Chunk<'_>], x: &[f32]) -> Logits {
        let hidden = self.config.hidden_size;
        let mut wanted = Vec::new();
        let mut first = 0;
        for chunk in chunks {
            wanted.extend(chunk.wanted.iter().map(|row| first + row));
            first += chunk.ids.len();
        }
        let h = compute.rounded(wanted.len(), hidden, |row, out| {
            rms_norm(&x[wanted[row] * hidden..][..hidden], &self.norm, self.config.rms_norm_eps, out);
        });
        let head = self.head.as_ref().unwrap_or(&self.embedding);
        Logits::new(compute.linear(head, &h), self.config.vocab_size)
    }

    /// Query heads that share a key head.
    fn group(&self) -> usize {
        self.config.heads / self.config.kv_heads
    }

    /// Values of queries, keys and values of a token.
    fn qkv_width(&self) -> usize {
        self.config.hidden_size + 2 * self.config.kv_heads * self.config.head_dim
    }
}

/// The part of a chunk that one call of the attention takes.
struct AttentionTask<'a> {
    chunk: &'a Chunk<'a>,
    /// The key head.
    head: usize,
    /// The first token, counted in the chunk.
    first: usize,
    /// The first token, counted in the step.
    row: usize,
    /// For each token the values of the group's query heads.
    out: Vec<&'a mut [f32]>,
}

fn foreign_cache() -> Error {
    Error::Chunk { chunk: 0, reason: "the cache was made for another model or number format".to_owned() }
}
