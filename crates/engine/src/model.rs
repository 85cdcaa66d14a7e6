//! Qwen2-VL on the CPU: a checkpoint folder, pictures as patches and prompts as ids in; logits out.
//! It must not know pixels, text, sampling or who is served.
//!
//! **A row depends on its own sequence alone.** Every sum has one order, whatever else is in the step, however a prompt
//! is cut into chunks, whichever blocks it lies in, and with any number of threads. So a token's logits are equal to the
//! bit alone, in a batch, with chunked prefill and after a hit in a prefix cache.

mod activation;
mod attention;
mod checkpoint;
mod compute;
mod config;
mod error;
mod kernel;
mod kv_cache;
mod language;
mod linear;
mod loader;
mod norm;
mod rope;
mod step;
mod threads;
mod vision;

use std::num::NonZeroUsize;
use std::path::Path;

use geometry::Grid;

pub use attention::BLOCK_TOKENS;
pub use checkpoint::Checkpoint;
pub use compute::Dtype;
pub use config::{ModelConfig, TextConfig, VisionConfig};
pub use error::Error;
pub use kv_cache::KvCache;
pub use loader::Progress;
pub use step::{Chunk, ImageFeatures, Logits, Placed};

use compute::Compute;
use kernel::Isa;
use language::Language;
use loader::Loader;
use threads::Threads;
use vision::Vision;

/// How a model is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadOptions {
    /// The number format of its arithmetic.
    pub dtype: Dtype,
    /// How many threads compute; as many as the process may run on if not given.
    pub threads: Option<NonZeroUsize>,
    /// Which instructions compute.
    pub instructions: Instructions,
}

/// Which instructions compute. The bits of an answer are the same on all machines that compute alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Instructions {
    /// The fastest that the processor has.
    #[default]
    Fastest,
    /// Those that every processor of the architecture has: slower, and the same everywhere.
    Portable,
}

/// A Qwen2-VL model, ready to be asked.
#[derive(Debug)]
pub struct Qwen2Vl {
    config: ModelConfig,
    compute: Compute,
    vision: Vision,
    language: Language,
}

impl Qwen2Vl {
    /// Loads a checkpoint folder: `config.json` and safetensors, in one file or in shards.
    ///
    /// Whether all tensors are there, whole and of the right shape is checked before the first is read.
    ///
    /// # Errors
    /// What is wrong with the folder: any of [`Error`] but [`Error::Patches`] and [`Error::Chunk`].
    pub fn load(folder: &Path, options: &LoadOptions, mut progress: impl FnMut(Progress)) -> Result<Self, Error> {
        let config = ModelConfig::load(folder)?;
        let checkpoint = Checkpoint::open(folder)?;
        checkpoint.check_heads(&config)?;
        checkpoint.check_extent()?;
        let threads = Threads::new(options.threads).map_err(Error::Threads)?;
        let isa = match options.instructions {
            Instructions::Fastest => Isa::detect(),
            Instructions::Portable => Isa::PORTABLE,
        };
        let compute = Compute { isa, threads, dtype: options.dtype };
        let mut loader = Loader::new(&compute, &checkpoint, &config, &mut progress);
        let vision = Vision::load(&mut loader, &config)?;
        let language = Language::load(&mut loader, &config)?;
        Ok(Self { config, compute, vision, language })
    }

    /// What the model is made of.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The number format of its arithmetic.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.compute.dtype
    }

    /// How many threads compute.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.compute.threads.count()
    }

    /// The instructions that it computes with: "AVX2" or "portable".
    #[must_use]
    pub fn instructions(&self) -> &'static str {
        self.compute.isa.name()
    }

    /// Bytes of memory that the weights take.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        self.vision.bytes() + self.language.bytes()
    }

    /// The image tokens of one picture.
    ///
    /// `patches` is `[rows · columns][channels · frames · side · side]` as the image processor of transformers makes it:
    /// normalised, square by square of patches that become one token.
    ///
    /// # Errors
    /// [`Error::Patches`] if they do not fit the grid or the grid does not fit the model.
    pub fn encode_image(&self, patches: &[f32], grid: Grid) -> Result<ImageFeatures, Error> {
        self.vision.encode(&self.compute, patches, grid)
    }

    /// One step: computes the tokens of all chunks, keeps their keys and values in the chunks' blocks, and answers with
    /// the logits that are wanted.
    ///
    /// # Errors
    /// [`Error::Chunk`] if a chunk contradicts itself, the model, the cache or another chunk. Nothing is written then.
    pub fn forward(&self, cache: &mut KvCache, chunks: &[Chunk<'_>]) -> Result<Logits, Error> {
        self.language.forward(&self.compute, cache, chunks)
    }
}
