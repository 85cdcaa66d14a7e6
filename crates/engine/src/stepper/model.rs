//! The model as a stepper: plans become chunks, pictures are encoded and kept until the plan forgets them.

use std::collections::HashMap;
use std::ops::Range;

use super::{LogitRow, PatchSource, RowPlace, RowSink, StepError, Stepper};
use crate::model::{Chunk, ImageFeatures, KvCache, Placed, Qwen2Vl};
use crate::prompt::ContentHash;
use crate::schedule::{ImageRows, StepEntry, StepPlan};

/// Rows of logits of a prompt that are computed at a time: 64 rows of 152,000 numbers are 39 MB.
const PROMPT_ROWS_MAX: usize = 64;

/// A model, its cache and the pictures that are in use.
#[derive(Debug)]
pub struct ModelStepper {
    model: Qwen2Vl,
    cache: KvCache,
    pictures: HashMap<ContentHash, ImageFeatures>,
    /// One row, for the sink to change.
    row: Vec<f32>,
}

/// A part of an entry, as the model takes it.
struct Piece<'a> {
    entry: &'a StepEntry,
    /// Which of the entry's tokens.
    tokens: Range<usize>,
    positions: Vec<[u32; 3]>,
    placed: Vec<Placed<'a>>,
    wanted: Vec<usize>,
}

impl ModelStepper {
    /// A model with a cache of so many blocks.
    #[must_use]
    pub fn new(model: Qwen2Vl, blocks: usize) -> Self {
        let cache = KvCache::new(model.config(), blocks, model.dtype());
        Self { model, cache, pictures: HashMap::new(), row: Vec::new() }
    }

    fn encode(&mut self, plan: &StepPlan, patches: &PatchSource<'_>) -> Result<(), StepError> {
        for content in &plan.forget {
            self.pictures.remove(content);
        }
        for task in &plan.encode {
            let missing = StepError::NoPatches { sequence: task.sequence.0, image: task.image };
            let patches = patches(task).ok_or(missing)?;
            let features = self.model.encode_image(&patches.values, patches.geometry.grid).map_err(model_error)?;
            self.pictures.insert(task.content, features);
        }
        Ok(())
    }

    /// Computes pieces of entries in one go and hands out their rows.
    fn forward(&mut self, pieces: &[(&StepEntry, Range<usize>)], rows: &mut RowSink<'_>) -> Result<(), StepError> {
        let pictures = &self.pictures;
        let made = pieces.iter().map(|(entry, tokens)| Piece::new(entry, tokens.clone(), pictures));
        let made = made.collect::<Result<Vec<_>, _>>()?;
        let chunks: Vec<Chunk<'_>> = made.iter().map(Piece::chunk).collect();
        let logits = self.model.forward(&mut self.cache, &chunks).map_err(model_error)?;
        let places = made.iter().flat_map(|piece| piece.wanted.iter().map(move |at| (piece, *at)));
        for (number, (piece, at)) in places.enumerate() {
            let Some(values) = logits.row(number) else { break };
            self.row.clear();
            self.row.extend_from_slice(values);
            rows(LogitRow { sequence: piece.entry.id, place: piece.place(at), logits: &mut self.row });
        }
        Ok(())
    }
}

impl Stepper for ModelStepper {
    fn step(&mut self, plan: &StepPlan, patches: &PatchSource<'_>, rows: &mut RowSink<'_>) -> Result<(), StepError> {
        self.encode(plan, patches)?;
        if plan.entries.iter().all(|entry| entry.prompt_rows.is_empty()) {
            let whole: Vec<_> = plan.entries.iter().map(|entry| (entry, 0..entry.tokens.len())).collect();
            return self.forward(&whole, rows);
        }
        // Rows of whole prompts do not fit into memory: such a step goes entry by entry and piece by piece. The bits
        // are the same.
        for entry in &plan.entries {
            let most = if entry.prompt_rows.is_empty() { entry.tokens.len().max(1) } else { PROMPT_ROWS_MAX };
            for from in (0..entry.tokens.len()).step_by(most) {
                let tokens = from..entry.tokens.len().min(from + most);
                self.forward(&[(entry, tokens)], rows)?;
            }
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.pictures.clear();
    }
}

impl<'a> Piece<'a> {
    fn new(
        entry: &'a StepEntry,
        tokens: Range<usize>,
        pictures: &'a HashMap<ContentHash, ImageFeatures>,
    ) -> Result<Self, StepError> {
        let first = entry.range.start;
        let positions = tokens.clone().map(|at| entry.prompt.positions().at(first + at)).collect();
        let mut placed = Vec::new();
        for image in &entry.images {
            let (content, from, to) = (image.content, image.rows.start, image.rows.end);
            let features = pictures.get(&content).ok_or(StepError::NoFeatures { content, from, to })?;
            placed.extend(within(image, &tokens).into_iter().map(|(at, first)| Placed { at, features, first }));
        }
        let is_wanted = |at: &usize| {
            let token = first + at;
            entry.prompt_rows.contains(&token) || entry.sample && token + 1 == entry.range.end
        };
        let wanted = tokens.clone().filter(is_wanted).map(|at| at - tokens.start).collect();
        Ok(Self { entry, tokens, positions, placed, wanted })
    }

    fn chunk(&self) -> Chunk<'_> {
        Chunk {
            block_table: &self.entry.blocks,
            cached: self.entry.range.start + self.tokens.start,
            ids: self.entry.tokens.get(self.tokens.clone()).unwrap_or_default(),
            positions: &self.positions,
            features: &self.placed,
            wanted: &self.wanted,
        }
    }

    /// What the row after one of the piece's tokens is for.
    fn place(&self, at: usize) -> RowPlace {
        let token = self.entry.range.start + self.tokens.start + at;
        if self.entry.prompt_rows.contains(&token) { RowPlace::Prompt(token) } else { RowPlace::Next }
    }
}

/// The part of a picture's run that lies in a piece: where in the piece, and the picture's row that comes first.
fn within(image: &ImageRows, tokens: &Range<usize>) -> Option<(Range<usize>, usize)> {
    let start = image.at.max(tokens.start);
    let end = (image.at + image.rows.len()).min(tokens.end);
    (start < end).then(|| (start - tokens.start..end - tokens.start, image.rows.start + start - image.at))
}

fn model_error(error: crate::model::Error) -> StepError {
    StepError::Model(error.to_string())
}
