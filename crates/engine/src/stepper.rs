//! What carries out a planned step: the model, or a script in tests. It must not know channels, clocks or sampling:
//! rows of logits go to whoever asked for the step.

mod model;
mod scripted;

use std::sync::Arc;

pub use model::ModelStepper;
pub use scripted::{RowScript, ScriptedStepper};

use crate::pixels::Patches;
use crate::prompt::ContentHash;
use crate::schedule::{EncodeTask, SequenceId, StepPlan};

/// Finds the patches of a picture that is to be encoded: picture `task.image` of `task.sequence`.
pub type PatchSource<'a> = dyn Fn(&EncodeTask) -> Option<Arc<Patches>> + 'a;

/// Takes one row of logits.
pub type RowSink<'a> = dyn FnMut(LogitRow<'_>) + 'a;

/// What carries out steps.
///
/// Invariant: the logits of a sequence depend on its own tokens and pictures alone, bit for bit: not on what else is in
/// the step, how its prompt is cut into steps, or whether its first blocks came from another sequence.
pub trait Stepper: Send {
    /// Carries out a plan: forgets and encodes pictures, computes the tokens of each entry, and gives the wanted rows to
    /// `rows`, entry by entry in the order of the plan; in an entry the rows of `prompt_rows` first, then the one of
    /// `sample`.
    ///
    /// A row belongs to the sink, which may change it: the next one is computed anew or lies elsewhere. Few rows are in
    /// memory at a time, however many are wanted.
    ///
    /// # Errors
    /// [`StepError`] if the plan does not fit the model or the cache, or a picture is missing. The step has then failed
    /// as a whole, and no row has been given out: see [`Stepper::reset`].
    fn step(&mut self, plan: &StepPlan, patches: &PatchSource<'_>, rows: &mut RowSink<'_>) -> Result<(), StepError>;

    /// Forgets all pictures, as [`Scheduler::reset`](crate::schedule::Scheduler::reset) does. Keys and values may stay:
    /// no block is read before it is written again.
    fn reset(&mut self);
}

/// One row of logits.
#[derive(Debug)]
pub struct LogitRow<'a> {
    /// The sequence.
    pub sequence: SequenceId,
    /// What the row is for.
    pub place: RowPlace,
    /// One number for each token of the vocabulary.
    pub logits: &'a mut [f32],
}

/// What a row of logits is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowPlace {
    /// The row after this token of the prompt: it says how probable the prompt's token `+ 1` was.
    Prompt(usize),
    /// The row from which the next token is drawn.
    Next,
}

/// A step that cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// A picture is to be encoded, and its patches are not there.
    #[error("picture {image} of sequence {sequence} is to be encoded, and its patches are not there")]
    NoPatches {
        /// The sequence.
        sequence: u64,
        /// Which of its pictures.
        image: usize,
    },
    /// Features of a picture are wanted that were not computed, or not as many.
    #[error("features {from}..{to} of picture {content:?} are wanted and were not computed")]
    NoFeatures {
        /// The picture.
        content: ContentHash,
        /// First row that is wanted.
        from: usize,
        /// One past the last.
        to: usize,
    },
    /// The model refuses a chunk or a picture.
    #[error("{0}")]
    Model(String),
}
