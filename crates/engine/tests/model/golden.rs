//! Cases of the tiny checkpoint as the model takes them.

use std::num::NonZeroUsize;
use std::path::Path;

use engine::model::{
    BLOCK_TOKENS, Chunk, Dtype, ImageFeatures, Instructions, KvCache, LoadOptions, Logits, Placed, Qwen2Vl,
};
use geometry::Grid;

use crate::tiny::IMAGE;
pub(crate) use crate::tiny::{CASES, Goldens, folder};

pub(crate) fn load(folder: &Path, dtype: Dtype, threads: usize) -> Qwen2Vl {
    let options = LoadOptions { dtype, threads: NonZeroUsize::new(threads), instructions: Instructions::Fastest };
    Qwen2Vl::load(folder, &options, |_| ()).unwrap()
}

impl Goldens {
    /// The prompt of a case, with its pictures encoded.
    pub(crate) fn prompt(&self, model: &Qwen2Vl, case: &str) -> Prompt {
        let ids = self.u32s(&format!("{case}/ids"));
        let positions = self.u32s(&format!("{case}/positions"));
        let positions = (0..ids.len()).map(|at| [0, 1, 2].map(|axis| positions[axis * ids.len() + at])).collect();
        let pictures = if self.has(&format!("{case}/grid")) { self.pictures(model, case) } else { Vec::new() };
        let delta = self.i32s(&format!("{case}/delta"))[0];
        Prompt { ids, positions, pictures, delta }
    }

    /// Patches as float values, both frames, and the pictures' grids.
    pub(crate) fn patches(&self, case: &str) -> (Vec<f32>, Vec<Grid>) {
        let levels = self.f32s("levels");
        let patches = self.bytes(&format!("{case}/patches"));
        let mut values = Vec::new();
        for patch in patches.chunks(3 * 196) {
            for (channel, plane) in patch.chunks(196).enumerate() {
                for _frame in 0..2 {
                    values.extend(plane.iter().map(|level| levels[channel * 256 + usize::from(*level)]));
                }
            }
        }
        let grids = self.u32s(&format!("{case}/grid"));
        (values, grids.chunks(3).map(|grid| Grid { t: grid[0], h: grid[1], w: grid[2] }).collect())
    }

    fn pictures(&self, model: &Qwen2Vl, case: &str) -> Vec<ImageFeatures> {
        let (values, grids) = self.patches(case);
        let mut rest = values.as_slice();
        let encode = |grid: &Grid| {
            let (patches, after) = rest.split_at((grid.h * grid.w) as usize * 1176);
            rest = after;
            model.encode_image(patches, *grid).unwrap()
        };
        grids.iter().map(encode).collect()
    }
}

/// A prompt ready for the model.
pub(crate) struct Prompt {
    pub(crate) ids: Vec<u32>,
    pub(crate) positions: Vec<[u32; 3]>,
    pub(crate) pictures: Vec<ImageFeatures>,
    pub(crate) delta: i32,
}

impl Prompt {
    /// The pictures that fall into `from..to`.
    pub(crate) fn placed(&self, from: usize, to: usize) -> Vec<Placed<'_>> {
        let mut starts =
            (0..self.ids.len()).filter(|at| self.ids[*at] == IMAGE && (*at == 0 || self.ids[at - 1] != IMAGE));
        let mut found = Vec::new();
        for features in &self.pictures {
            let start = starts.next().unwrap();
            let (first, last) = (start.max(from), (start + features.tokens()).min(to));
            if first < last {
                found.push(Placed { at: first - from..last - from, features, first: first - start });
            }
        }
        found
    }
}

/// One sequence with its blocks.
pub(crate) struct Sequence<'a> {
    pub(crate) prompt: &'a Prompt,
    pub(crate) table: Vec<u32>,
    pub(crate) cached: usize,
}

impl<'a> Sequence<'a> {
    /// Room for the prompt and `more` tokens in consecutive blocks from `first` on.
    pub(crate) fn new(prompt: &'a Prompt, more: usize, first: u32) -> Self {
        let blocks = (prompt.ids.len() + more).div_ceil(BLOCK_TOKENS) as u32;
        Self { prompt, table: (first..first + blocks).collect(), cached: 0 }
    }

    /// Computes the prompt in chunks of `chunk` tokens and returns the last logits.
    pub(crate) fn prefill(&mut self, model: &Qwen2Vl, cache: &mut KvCache, chunk: usize) -> Vec<f32> {
        let mut last = Vec::new();
        while self.cached < self.prompt.ids.len() {
            let end = (self.cached + chunk).min(self.prompt.ids.len());
            let span = self.cached..end;
            let placed = self.prompt.placed(span.start, span.end);
            let logits = self.step(
                model,
                cache,
                &self.prompt.ids[span.clone()],
                &self.prompt.positions[span.clone()],
                &placed,
                &[span.len() - 1],
            );
            last = logits.row(0).unwrap().to_vec();
            self.cached = end;
        }
        last
    }

    pub(crate) fn step(
        &self,
        model: &Qwen2Vl,
        cache: &mut KvCache,
        ids: &[u32],
        positions: &[[u32; 3]],
        features: &[Placed<'_>],
        wanted: &[usize],
    ) -> Logits {
        let chunk = Chunk { block_table: &self.table, cached: self.cached, ids, positions, features, wanted };
        model.forward(cache, &[chunk]).unwrap()
    }

    /// The position of the token at `place`, after the prompt.
    pub(crate) fn position(&self, place: usize) -> [u32; 3] {
        [u32::try_from(place as i64 + i64::from(self.prompt.delta)).unwrap(); 3]
    }

    /// Gives the model a token and returns the logits after it.
    pub(crate) fn decode(&mut self, model: &Qwen2Vl, cache: &mut KvCache, id: u32) -> Vec<f32> {
        let logits = self.step(model, cache, &[id], &[self.position(self.cached)], &[], &[0]);
        self.cached += 1;
        logits.row(0).unwrap().to_vec()
    }
}

/// The best id: the first of equals.
pub(crate) fn best(logits: &[f32]) -> u32 {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits.iter().position(|logit| *logit == top).unwrap() as u32
}

pub(crate) fn logprobs(logits: &[f32]) -> Vec<f32> {
    let top = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let total: f64 = logits.iter().map(|logit| (f64::from(*logit) - top).exp()).sum();
    logits.iter().map(|logit| (f64::from(*logit) - top - total.ln()) as f32).collect()
}
