//! The scheduler. `plan` says what the next step computes, `apply` what came of it; the two alternate.
//!
//! Order is by arrival throughout. A running sequence is older than every waiting one: the youngest loses its blocks
//! first, and goes to the head of the queue. So the oldest sequence computes in every step, and every one becomes the
//! oldest in time.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use super::encoder::{Acquired, EncoderCache};
use super::plan::{EncodeTask, Event, Finish, SequenceId, StepEntry, StepOutput, StepPlan};
use super::pool::{BlockLease, BlockPool};
use super::sequence::{NewSequence, Sequence};
use crate::text::Refusal;

/// Limits of a scheduler. All are at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchedulerConfig {
    /// Most sequences in a step (`--max-num-seqs`).
    pub max_num_seqs: usize,
    /// Most tokens in a step (`--max-num-batched-tokens`); longer prompts are computed in pieces.
    pub max_num_batched_tokens: usize,
    /// Most tokens of a sequence (`--max-model-len`).
    pub max_model_len: usize,
    /// Tokens in a block.
    pub block_tokens: usize,
    /// Blocks of the key-value cache.
    pub blocks: u32,
    /// Share blocks between sequences that begin alike.
    pub prefix_caching: bool,
    /// Most image tokens whose features are kept at a time. No picture may have more.
    pub encoder_tokens: usize,
}

/// Limits that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// A limit is 0.
    #[error("{name} is 0; it must be at least 1")]
    Zero {
        /// The limit.
        name: &'static str,
    },
    /// The cache cannot hold one sequence of full length.
    #[error(
        "the key-value cache holds {tokens} tokens, and a sequence may have {max_model_len}; give it more memory \
         (--kv-cache-gib) or shorten sequences (--max-model-len)"
    )]
    CacheTooSmall {
        /// What the cache holds.
        tokens: usize,
        /// What one sequence may need.
        max_model_len: usize,
    },
}

/// Counters and levels, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SchedulerStats {
    /// Sequences that hold blocks.
    pub running: usize,
    /// Sequences that wait.
    pub waiting: usize,
    /// Blocks that sequences lease.
    pub blocks_used: usize,
    /// All blocks.
    pub blocks: usize,
    /// Image tokens whose features are kept.
    pub encoder_tokens_used: usize,
    /// Tokens that were looked up in the prefix cache, since the start.
    pub prefix_queries_tokens: u64,
    /// Tokens that were found there.
    pub prefix_hits_tokens: u64,
    /// How often a sequence lost its blocks.
    pub preemptions: u64,
}

/// Sequences, blocks and the plan that is being computed.
#[derive(Debug)]
pub struct Scheduler {
    config: SchedulerConfig,
    pool: BlockPool,
    encoder: EncoderCache,
    /// Oldest first.
    running: Vec<Sequence>,
    /// Oldest first.
    waiting: VecDeque<Sequence>,
    /// What the step that is being computed covers.
    pending: Vec<(SequenceId, Range<usize>, bool)>,
    next_id: u64,
    stats: SchedulerStats,
}

/// A plan in the making.
struct Draft {
    budget: usize,
    /// No sequence after one that waits for room in the encoder's cache may take any: small pictures of younger
    /// sequences could keep a large one out for ever, and a younger one that holds a picture could lose its blocks
    /// while an older one waits for that picture, so that nothing would run.
    encoder_open: bool,
    plan: StepPlan,
}

impl Scheduler {
    /// An empty scheduler.
    ///
    /// # Errors
    /// [`ScheduleError`] if the limits do not fit together.
    pub fn new(config: SchedulerConfig) -> Result<Self, ScheduleError> {
        let limits = [
            ("max_num_seqs", config.max_num_seqs),
            ("max_num_batched_tokens", config.max_num_batched_tokens),
            ("max_model_len", config.max_model_len),
            ("block_tokens", config.block_tokens),
        ];
        if let Some((name, _)) = limits.into_iter().find(|(_, limit)| *limit == 0) {
            return Err(ScheduleError::Zero { name });
        }
        let tokens = config.blocks as usize * config.block_tokens;
        if tokens < config.max_model_len {
            return Err(ScheduleError::CacheTooSmall { tokens, max_model_len: config.max_model_len });
        }
        Ok(Self {
            config,
            pool: BlockPool::new(config.blocks, config.prefix_caching),
            encoder: EncoderCache::new(config.encoder_tokens),
            running: Vec::new(),
            waiting: VecDeque::new(),
            pending: Vec::new(),
            next_id: 0,
            stats: SchedulerStats::default(),
        })
    }

    /// Takes a sequence into the queue, which has no bound: whoever submits has one.
    ///
    /// # Errors
    /// [`RefusalKind::ContextLength`](crate::text::RefusalKind::ContextLength) if the prompt leaves no room for an answer;
    /// [`RefusalKind::Content`](crate::text::RefusalKind::Content) if a picture is larger than the encoder's cache.
    pub fn submit(&mut self, new: NewSequence) -> Result<SequenceId, Refusal> {
        // A prompt of exactly the context's length has no room for a token, and the sampling parameters say so.
        new.prompt.check_length(self.config.max_model_len)?;
        new.prompt.check_pictures(self.config.encoder_tokens)?;
        let id = SequenceId(self.next_id);
        self.next_id += 1;
        self.waiting.push_back(Sequence::new(id, new));
        Ok(id)
    }

    /// Ends a sequence from outside: its client is gone, or a stop string was found. `false` if it has ended before.
    pub fn end(&mut self, id: SequenceId) -> bool {
        if let Some(at) = self.running.iter().position(|sequence| sequence.id == id) {
            let sequence = self.running.remove(at);
            self.release(sequence);
            return true;
        }
        match self.waiting.iter().position(|sequence| sequence.id == id) {
            Some(at) => self.waiting.remove(at).is_some(),
            None => false,
        }
    }

    /// Ends everything and forgets all pictures and prefixes, for a step that failed as a whole. Gives the sequences
    /// that were there.
    pub fn reset(&mut self) -> Vec<SequenceId> {
        let ids = self.running.iter().chain(&self.waiting).map(|sequence| sequence.id).collect();
        self.running.clear();
        self.waiting.clear();
        self.pending.clear();
        self.pool = BlockPool::new(self.config.blocks, self.config.prefix_caching);
        self.encoder = EncoderCache::new(self.config.encoder_tokens);
        ids
    }

    /// Whether there is nothing to compute.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }

    /// Counters and levels.
    #[must_use]
    pub fn stats(&self) -> SchedulerStats {
        SchedulerStats {
            running: self.running.len(),
            waiting: self.waiting.len(),
            blocks: self.pool.len(),
            blocks_used: self.pool.len() - self.pool.free(),
            encoder_tokens_used: self.encoder.used_tokens(),
            ..self.stats
        }
    }

    /// Plans the next step. While a plan has not been applied the next one is empty; otherwise it has at least one entry
    /// as long as there is a sequence.
    pub fn plan(&mut self) -> StepPlan {
        if !self.pending.is_empty() {
            return StepPlan::default();
        }
        let mut draft =
            Draft { budget: self.config.max_num_batched_tokens, encoder_open: true, plan: StepPlan::default() };
        let mut at = 0;
        while at < self.running.len() && draft.budget > 0 {
            self.plan_running(at, &mut draft);
            at += 1;
        }
        if draft.plan.preempted.is_empty() {
            while draft.budget > 0 && self.running.len() < self.config.max_num_seqs && self.admit(&mut draft) {}
        }
        let pending = |entry: &StepEntry| (entry.id, entry.range.clone(), entry.sample);
        self.pending = draft.plan.entries.iter().map(pending).collect();
        draft.plan
    }

    /// Takes in what the planned step computed. Sequences that were ended in between are passed over.
    pub fn apply(&mut self, output: &StepOutput) -> Vec<Event> {
        let tokens: HashMap<SequenceId, u32> = output.tokens.iter().copied().collect();
        let mut events = Vec::new();
        for (id, range, sample) in std::mem::take(&mut self.pending) {
            let Some(at) = self.running.iter().position(|sequence| sequence.id == id) else { continue };
            self.advance(at, &range);
            if !sample {
                continue;
            }
            let token = tokens.get(&id).copied();
            let finish = match token {
                Some(token) => self.running[at].push(token, self.config.max_model_len),
                None => Some(Finish::Failed),
            };
            if finish.is_some() {
                let sequence = self.running.remove(at);
                self.release(sequence);
            }
            events.push(Event { id, token, finish });
        }
        events
    }

    /// Plans the next tokens of a running sequence; if blocks are lacking the youngest gives up its own.
    fn plan_running(&mut self, at: usize, draft: &mut Draft) {
        let sequence = &self.running[at];
        let range = sequence.computed..sequence.len().min(sequence.computed + draft.budget);
        let missing = range.end.div_ceil(self.config.block_tokens).saturating_sub(sequence.lease.blocks().len());
        while !self.pool.extend(&mut self.running[at].lease, missing) {
            // Those after `at` are not in the plan yet, so nothing planned is lost.
            let Some(youngest) = self.running.pop() else { return };
            self.preempt(youngest, draft);
            if self.running.len() <= at {
                return;
            }
        }
        let range = self.with_images(at, range, draft);
        self.enter(at, range, draft);
    }

    /// Starts the sequence that has waited longest; `false` if it cannot start in this step.
    fn admit(&mut self, draft: &mut Draft) -> bool {
        let Some(mut sequence) = self.waiting.pop_front() else { return false };
        let block_tokens = self.config.block_tokens;
        // At least one token is computed, for its logits.
        let reads = self.config.prefix_caching && !sequence.prompt_logprobs;
        let readable = if reads { sequence.len() - 1 } else { 0 };
        let mut lease = self.pool.share(sequence.names(readable, block_tokens));
        let found = lease.blocks().len() * block_tokens;
        let range = found..sequence.len().min(found + draft.budget);
        // Blocks for all its tokens must be free, though only those of this step are taken: a sequence that starts
        // and soon loses its blocks costs more than one that waits.
        let blocks_for = |tokens: usize| tokens.div_ceil(block_tokens) - lease.blocks().len();
        let (all, now) = (blocks_for(sequence.len()), blocks_for(range.end));
        if all > self.pool.free() || !self.pool.extend(&mut lease, now) {
            self.pool.give_back(lease);
            self.waiting.push_front(sequence);
            return false;
        }
        sequence.lease = lease;
        sequence.computed = found;
        let (counts, tokens) = (reads && !sequence.preempted, sequence.len());
        self.running.push(sequence);
        let at = self.running.len() - 1;
        let range = self.with_images(at, range, draft);
        if range.is_empty() {
            if let Some(mut sequence) = self.running.pop() {
                self.pool.give_back(std::mem::take(&mut sequence.lease));
                sequence.computed = 0;
                self.waiting.push_front(sequence);
            }
            return false;
        }
        if counts {
            self.stats.prefix_queries_tokens += tokens as u64;
            self.stats.prefix_hits_tokens += found as u64;
        }
        self.enter(at, range, draft);
        true
    }

    /// The part of a range for which the features of all pictures can be had.
    fn with_images(&mut self, at: usize, range: Range<usize>, draft: &mut Draft) -> Range<usize> {
        let sequence = &mut self.running[at];
        let images: Vec<_> = sequence.images_in(&range).collect();
        for (image, span) in images {
            if sequence.held.contains(&image) {
                continue;
            }
            let acquired = match draft.encoder_open {
                true => self.encoder.acquire(span.content, span.len, &mut draft.plan.forget),
                false => Acquired::NoRoom,
            };
            match acquired {
                Acquired::Present => {}
                Acquired::Encode => {
                    draft.plan.encode.push(EncodeTask { content: span.content, sequence: sequence.id, image });
                }
                Acquired::NoRoom => {
                    draft.encoder_open = false;
                    return range.start..span.start.max(range.start);
                }
            }
            sequence.held.push(image);
        }
        range
    }

    /// Puts a sequence's range into the plan.
    fn enter(&mut self, at: usize, range: Range<usize>, draft: &mut Draft) {
        if range.is_empty() {
            return;
        }
        let sequence = &self.running[at];
        draft.budget -= range.len();
        draft.plan.entries.push(StepEntry {
            id: sequence.id,
            prompt: Arc::clone(&sequence.prompt),
            tokens: sequence.tokens(range.clone()),
            blocks: sequence.lease.blocks().to_vec(),
            images: sequence.image_rows(&range),
            prompt_rows: sequence.prompt_rows(&range),
            sample: range.end == sequence.len(),
            range,
        });
    }

    /// Notes that a range is in the blocks: full blocks get their names, pictures that are done are let go.
    fn advance(&mut self, at: usize, range: &Range<usize>) {
        let block_tokens = self.config.block_tokens;
        let sequence = &mut self.running[at];
        for image in sequence.advance(range) {
            if let Some(span) = sequence.prompt.images().get(image) {
                self.encoder.release(span.content);
            }
        }
        if self.config.prefix_caching {
            let first = range.start / block_tokens;
            let names = sequence.names(range.end, block_tokens).get(first..).unwrap_or_default().to_vec();
            for (block, name) in sequence.lease.blocks()[first..].iter().zip(names) {
                self.pool.name(*block, name);
            }
        }
    }

    fn preempt(&mut self, mut sequence: Sequence, draft: &mut Draft) {
        draft.plan.preempted.push(sequence.id);
        self.stats.preemptions += 1;
        self.let_go(&mut sequence);
        sequence.computed = 0;
        sequence.preempted = true;
        self.waiting.push_front(sequence);
    }

    fn release(&mut self, mut sequence: Sequence) {
        self.let_go(&mut sequence);
    }

    /// Gives back all that a sequence holds.
    fn let_go(&mut self, sequence: &mut Sequence) {
        for image in sequence.held.drain(..) {
            if let Some(span) = sequence.prompt.images().get(image) {
                self.encoder.release(span.content);
            }
        }
        let lease: BlockLease = std::mem::take(&mut sequence.lease);
        self.pool.give_back(lease);
    }
}
