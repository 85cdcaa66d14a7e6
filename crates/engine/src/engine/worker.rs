//! The engine's thread: requests in, steps, events out, one after the other.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use super::event::EngineEvent;
use super::live::{Live, Then};
use super::stats::EngineStats;
use super::{Picture, Shared, Submission, locked};
use crate::pixels::Patches;
use crate::sampling::mixed;
use crate::schedule::{EncodeTask, NewSequence, Scheduler, SequenceId, StepOutput, StepPlan, StopRules};
use crate::stepper::{LogitRow, StepError, Stepper};
use crate::text::Tokenizer;

/// What the thread owns.
pub(super) struct Worker {
    shared: Arc<Shared>,
    scheduler: Scheduler,
    stepper: Box<dyn Stepper>,
    tokenizer: Arc<Tokenizer>,
    live: HashMap<SequenceId, Live>,
    stats: EngineStats,
    seed: u64,
    requests: u64,
}

/// Whoever waits is told that the engine has ended, even by a panic: sinks that are dropped say so.
struct ClosesAtTheEnd(Arc<Shared>);

impl Drop for ClosesAtTheEnd {
    fn drop(&mut self) {
        let left = {
            let mut inbox = locked(&self.0.inbox);
            inbox.is_closed = true;
            std::mem::take(&mut inbox.submissions)
        };
        drop(left);
    }
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        scheduler: Scheduler,
        stepper: Box<dyn Stepper>,
        tokenizer: Arc<Tokenizer>,
        seed: u64,
    ) -> Self {
        let stats = EngineStats { scheduler: scheduler.stats(), ..EngineStats::default() };
        Self { shared, scheduler, stepper, tokenizer, live: HashMap::new(), stats, seed, requests: 0 }
    }

    /// Until the engine is dropped.
    pub(super) fn run(mut self) {
        let _end = ClosesAtTheEnd(Arc::clone(&self.shared));
        while let Some(submissions) = self.wait() {
            for submission in submissions {
                self.submit(submission);
            }
            self.end_gone();
            let plan = self.scheduler.plan();
            // Before the step too: those that it starts wait no longer.
            self.publish();
            if !plan.entries.is_empty() {
                self.step(&plan);
                self.publish();
            }
        }
    }

    /// What has come; waits only if there is nothing to compute. `None`: it is over.
    fn wait(&self) -> Option<Vec<Submission>> {
        let mut inbox = locked(&self.shared.inbox);
        loop {
            let is_idle = self.scheduler.is_idle() && inbox.submissions.is_empty();
            if inbox.is_closed {
                return None;
            }
            if !is_idle {
                let submissions = std::mem::take(&mut inbox.submissions);
                // Until the next step all of them wait.
                inbox.waiting_inside += submissions.len();
                return Some(submissions);
            }
            inbox = self.shared.wake.wait(inbox).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn submit(&mut self, mut submission: Submission) {
        let sink = &mut submission.sink;
        if sink.is_gone() {
            self.stats.finished.abort += 1;
            return;
        }
        let request = &submission.request;
        let sequence = NewSequence {
            prompt: Arc::clone(&request.prompt),
            stop: StopRules::from(&request.params),
            prompt_logprobs: request.params.prompt_logprobs.is_some(),
            salt: request.salt.clone(),
        };
        match self.scheduler.submit(sequence) {
            Ok(id) => {
                sink.event(EngineEvent::Accepted);
                // A number for each request out of one for all.
                let entropy = mixed(self.seed, self.requests);
                self.requests += 1;
                self.live.insert(id, Live::new(submission, entropy));
            }
            Err(refusal) => sink.event(EngineEvent::Refused(refusal)),
        }
    }

    /// Ends the sequences that nobody waits for.
    fn end_gone(&mut self) {
        let gone: Vec<SequenceId> = self.live.iter().filter(|(_, live)| live.is_gone()).map(|(id, _)| *id).collect();
        for id in gone {
            self.scheduler.end(id);
            self.live.remove(&id);
            self.stats.finished.abort += 1;
        }
    }

    fn step(&mut self, plan: &StepPlan) {
        let now = Instant::now();
        let mut tokens = 0;
        for entry in &plan.entries {
            tokens += entry.range.len();
            if let Some(live) = self.live.get_mut(&entry.id) {
                live.starts(now, &mut self.stats);
            }
        }
        self.stats.step_tokens.observe(tokens as f64, 1);
        if let Err(error) = self.compute(plan) {
            return self.fail_all(&error.to_string());
        }
        let drawn = |id: SequenceId| Some((id, self.live.get(&id)?.drawn()?));
        let wanted = plan.entries.iter().filter(|entry| entry.sample);
        let output = StepOutput { tokens: wanted.filter_map(|entry| drawn(entry.id)).collect() };
        let now = Instant::now();
        for event in self.scheduler.apply(&output) {
            let Some(live) = self.live.get_mut(&event.id) else { continue };
            if live.deliver(event, &self.tokenizer, now, &mut self.stats) == Then::Ends {
                if event.finish.is_none() {
                    self.scheduler.end(event.id);
                }
                self.live.remove(&event.id);
            }
        }
    }

    fn compute(&mut self, plan: &StepPlan) -> Result<(), StepError> {
        let pictures: HashMap<(SequenceId, usize), Arc<Picture>> = plan
            .encode
            .iter()
            .filter_map(|task| {
                let picture = self.live.get(&task.sequence)?.pictures.get(task.image)?;
                Some(((task.sequence, task.image), Arc::clone(picture)))
            })
            .collect();
        let patches = |task: &EncodeTask| -> Option<Arc<Patches>> {
            pictures.get(&(task.sequence, task.image))?.patches().ok().map(Arc::new)
        };
        let live = &mut self.live;
        let mut rows = |row: LogitRow<'_>| {
            if let Some(live) = live.get_mut(&row.sequence) {
                live.row(row);
            }
        };
        self.stepper.step(plan, &patches, &mut rows)
    }

    /// A step failed as a whole: what it left behind cannot be trusted, so that all begin anew without the old.
    fn fail_all(&mut self, words: &str) {
        self.scheduler.reset();
        self.stepper.reset();
        for (_, mut live) in self.live.drain() {
            live.fail(words, &mut self.stats);
        }
    }

    fn publish(&mut self) {
        self.stats.scheduler = self.scheduler.stats();
        let mut inbox = locked(&self.shared.inbox);
        inbox.waiting_inside = self.stats.scheduler.waiting;
        let mut published = locked(&self.shared.stats);
        // Refusals are counted by those who refuse.
        self.stats.refused_queue_full = published.refused_queue_full;
        published.clone_from(&self.stats);
    }
}
