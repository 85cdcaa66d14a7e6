//! A stepper without a model: rows of logits come from a function of the prompt and the place in it. For tests of
//! everything that stands around a model.

use std::collections::HashSet;

use super::{LogitRow, PatchSource, RowPlace, RowSink, StepError, Stepper};
use crate::prompt::{ContentHash, Prompt};
use crate::schedule::StepPlan;

/// Fills the row that stands after token `after` of a sequence with this prompt.
pub type RowScript = dyn FnMut(&Prompt, usize, &mut [f32]) + Send;

/// Gives rows from a script, and refuses plans that a model would refuse: pictures that are not there.
pub struct ScriptedStepper {
    script: Box<RowScript>,
    row: Vec<f32>,
    pictures: HashSet<ContentHash>,
}

impl ScriptedStepper {
    /// Rows of `vocab_size` numbers from a function, which finds them all 0.
    #[must_use]
    pub fn new(vocab_size: usize, script: impl FnMut(&Prompt, usize, &mut [f32]) + Send + 'static) -> Self {
        Self { script: Box::new(script), row: vec![0.0; vocab_size], pictures: HashSet::new() }
    }

    /// Every greedy answer consists of these tokens, over and over.
    #[must_use]
    pub fn answering(vocab_size: usize, answer: Vec<u32>) -> Self {
        Self::new(vocab_size, move |prompt, after, row| {
            let place = (after + 1).saturating_sub(prompt.len()) % answer.len().max(1);
            if let Some(logit) = answer.get(place).and_then(|id| row.get_mut(*id as usize)) {
                *logit = 20.0;
            }
        })
    }

    fn row(&mut self, prompt: &Prompt, after: usize) -> &mut [f32] {
        self.row.fill(0.0);
        (self.script)(prompt, after, &mut self.row);
        &mut self.row
    }
}

impl Stepper for ScriptedStepper {
    fn step(&mut self, plan: &StepPlan, patches: &PatchSource<'_>, rows: &mut RowSink<'_>) -> Result<(), StepError> {
        for content in &plan.forget {
            self.pictures.remove(content);
        }
        for task in &plan.encode {
            if patches(task).is_none() {
                return Err(StepError::NoPatches { sequence: task.sequence.0, image: task.image });
            }
            self.pictures.insert(task.content);
        }
        let placed = plan.entries.iter().flat_map(|entry| &entry.images);
        if let Some(missing) = placed.into_iter().find(|image| !self.pictures.contains(&image.content)) {
            let (content, from, to) = (missing.content, missing.rows.start, missing.rows.end);
            return Err(StepError::NoFeatures { content, from, to });
        }
        for entry in &plan.entries {
            for at in entry.prompt_rows.clone() {
                let logits = self.row(&entry.prompt, at);
                rows(LogitRow { sequence: entry.id, place: RowPlace::Prompt(at), logits });
            }
            if entry.sample {
                let logits = self.row(&entry.prompt, entry.range.end - 1);
                rows(LogitRow { sequence: entry.id, place: RowPlace::Next, logits });
            }
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.pictures.clear();
    }
}
