//! What goes between the scheduler and whoever computes: the plan of a step, its outcome, and what it means for the
//! sequences.

use std::ops::Range;
use std::sync::Arc;

use crate::prompt::{ContentHash, Prompt};

/// A sequence, named in the order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceId(pub u64);

/// The work of one step. Without entries there is nothing to do.
#[derive(Debug, Clone, Default)]
pub struct StepPlan {
    /// Pictures whose features are no longer kept. To be forgotten before anything is encoded.
    pub forget: Vec<ContentHash>,
    /// Pictures to run through the vision encoder first.
    pub encode: Vec<EncodeTask>,
    /// The sequences of the step, oldest first.
    pub entries: Vec<StepEntry>,
    /// Sequences that lost their blocks and will compute everything again.
    pub preempted: Vec<SequenceId>,
}

/// One picture to encode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodeTask {
    /// Its name: features are kept under it.
    pub content: ContentHash,
    /// A sequence that has it.
    pub sequence: SequenceId,
    /// Which of that sequence's pictures it is.
    pub image: usize,
}

/// What one sequence computes in a step.
#[derive(Debug, Clone)]
pub struct StepEntry {
    /// The sequence.
    pub id: SequenceId,
    /// Its prompt, for the positions.
    pub prompt: Arc<Prompt>,
    /// Which of its tokens are computed. Keys and values of those before are in the blocks.
    pub range: Range<usize>,
    /// The ids of those tokens.
    pub tokens: Vec<u32>,
    /// Its block table, from token 0 on, at least to the end of `range`.
    pub blocks: Vec<u32>,
    /// Where features of pictures stand in place of embedded tokens.
    pub images: Vec<ImageRows>,
    /// Tokens of the prompt after which the logits are wanted, for `prompt_logprobs`.
    pub prompt_rows: Range<usize>,
    /// Whether the next token is to be drawn after the last one.
    pub sample: bool,
}

/// A run of a picture's features in the tokens of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRows {
    /// The picture.
    pub content: ContentHash,
    /// Where the run begins, counted from the first token of the entry.
    pub at: usize,
    /// Which rows of the features.
    pub rows: Range<usize>,
}

/// What a step computed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepOutput {
    /// The drawn token of each entry that asked for one. An entry that asked and has none here failed.
    pub tokens: Vec<(SequenceId, u32)>,
}

/// What a step means for one sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The sequence.
    pub id: SequenceId,
    /// Its new token; `None` only if it failed.
    pub token: Option<u32>,
    /// Why it ended, if it did. Its blocks are given back already.
    pub finish: Option<Finish>,
}

/// Why a sequence ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// With an end token or a stop id; the id is given for the latter (`stop_reason`).
    Stop(Option<u32>),
    /// It is as long as it may be.
    Length,
    /// Nothing could be drawn.
    Failed,
}
