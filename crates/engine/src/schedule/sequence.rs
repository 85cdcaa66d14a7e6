//! One sequence between arrival and end: its tokens, how many of them are computed, what it holds.

use std::ops::Range;
use std::sync::Arc;

use super::plan::{Finish, ImageRows, SequenceId};
use super::pool::BlockLease;
use crate::prompt::{BlockHash, ImageSpan, Prompt};
use crate::sampling::SamplingParams;

/// A sequence to be computed.
#[derive(Debug, Clone)]
pub struct NewSequence {
    /// Its prompt.
    pub prompt: Arc<Prompt>,
    /// When it ends.
    pub stop: StopRules,
    /// Logits after every token of the prompt are wanted. Then the prefix cache is not read, as in vLLM.
    pub prompt_logprobs: bool,
    /// Sequences of different salt share no blocks (`cache_salt`).
    pub salt: Vec<u8>,
}

/// When a sequence ends by its tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StopRules {
    /// The end token.
    pub eos_token: Option<u32>,
    /// Ids that end it too.
    pub stop_token_ids: Vec<u32>,
    /// Most new tokens, at least 1.
    pub max_tokens: usize,
}

impl From<&SamplingParams> for StopRules {
    fn from(params: &SamplingParams) -> Self {
        Self {
            eos_token: params.eos_token,
            stop_token_ids: params.stop_token_ids.clone(),
            max_tokens: params.max_tokens,
        }
    }
}

/// A sequence in the scheduler.
#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) id: SequenceId,
    pub(super) prompt: Arc<Prompt>,
    pub(super) prompt_logprobs: bool,
    /// Tokens whose keys and values are in the blocks.
    pub(super) computed: usize,
    pub(super) lease: BlockLease,
    /// Pictures whose features it holds, by place in the prompt.
    pub(super) held: Vec<usize>,
    /// It has run before, and lost its blocks.
    pub(super) preempted: bool,
    /// Rows of the prompt whose logits have been given out.
    rows_done: usize,
    output: Vec<u32>,
    stop: StopRules,
    salt: Vec<u8>,
    /// The names of its full blocks.
    names: Vec<BlockHash>,
}

impl Sequence {
    pub(super) fn new(id: SequenceId, new: NewSequence) -> Self {
        Self {
            id,
            prompt: new.prompt,
            prompt_logprobs: new.prompt_logprobs,
            computed: 0,
            lease: BlockLease::default(),
            held: Vec::new(),
            preempted: false,
            rows_done: 0,
            output: Vec::new(),
            stop: new.stop,
            salt: new.salt,
            names: Vec::new(),
        }
    }

    /// Tokens of the prompt and the answer so far.
    pub(super) fn len(&self) -> usize {
        self.prompt.len() + self.output.len()
    }

    pub(super) fn tokens(&self, range: Range<usize>) -> Vec<u32> {
        let prompt = self.prompt.ids();
        let from_prompt = &prompt[range.start.min(prompt.len())..range.end.min(prompt.len())];
        let after = |token: usize| token.saturating_sub(prompt.len());
        let from_output = &self.output[after(range.start)..after(range.end)];
        [from_prompt, from_output].concat()
    }

    /// The names of the blocks that lie whole in the first `tokens` tokens.
    pub(super) fn names(&mut self, tokens: usize, block_tokens: usize) -> &[BlockHash] {
        let wanted = tokens.min(self.len()) / block_tokens;
        while self.names.len() < wanted {
            let start = self.names.len() * block_tokens;
            let tokens = self.tokens(start..start + block_tokens);
            let name = BlockHash::of(self.names.last().copied(), start, &tokens, self.prompt.images(), &self.salt);
            self.names.push(name);
        }
        &self.names[..wanted]
    }

    /// Pictures that have tokens in a range, and their places.
    pub(super) fn images_in(&self, range: &Range<usize>) -> impl Iterator<Item = (usize, ImageSpan)> {
        let range = range.clone();
        let images = self.prompt.images();
        let first = images.partition_point(|image| image.end() <= range.start);
        (first..).zip(images[first..].iter().copied().take_while(move |image| image.start < range.end))
    }

    pub(super) fn image_rows(&self, range: &Range<usize>) -> Vec<ImageRows> {
        let rows = |(_, image): (usize, ImageSpan)| {
            let (start, end) = (image.start.max(range.start), image.end().min(range.end));
            let rows = start - image.start..end - image.start;
            ImageRows { content: image.content, at: start - range.start, rows }
        };
        self.images_in(range).map(rows).collect()
    }

    /// Rows of the prompt in a range whose logits are still wanted. The last token's row belongs to the answer.
    pub(super) fn prompt_rows(&self, range: &Range<usize>) -> Range<usize> {
        let start = range.start.max(self.rows_done);
        let end = range.end.min(self.prompt.len() - 1);
        if self.prompt_logprobs && start < end { start..end } else { 0..0 }
    }

    /// Notes that a range is computed; gives the pictures that are not needed any more.
    pub(super) fn advance(&mut self, range: &Range<usize>) -> Vec<usize> {
        self.rows_done = self.rows_done.max(self.prompt_rows(range).end);
        self.computed = range.end;
        let prompt = Arc::clone(&self.prompt);
        let done = |image: &usize| prompt.images().get(*image).is_none_or(|span| span.end() <= range.end);
        let (done, held) = self.held.iter().partition(|image| done(image));
        self.held = held;
        done
    }

    /// Adds a drawn token; gives the reason if it is the last. The order of the checks is vLLM's.
    pub(super) fn push(&mut self, token: u32, max_model_len: usize) -> Option<Finish> {
        self.output.push(token);
        if self.stop.eos_token == Some(token) {
            Some(Finish::Stop(None))
        } else if self.stop.stop_token_ids.contains(&token) {
            Some(Finish::Stop(Some(token)))
        } else if self.len() >= max_model_len || self.output.len() >= self.stop.max_tokens {
            Some(Finish::Length)
        } else {
            None
        }
    }
}
