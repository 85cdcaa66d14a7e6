//! 100,000 random steps of arrivals, ends from outside and end tokens, over a simulated memory: every block that a
//! sequence reads must hold what that sequence would have written, whoever wrote it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use engine::prompt::Prompt;
use engine::schedule::{
    NewSequence, ScheduleError, Scheduler, SchedulerConfig, SequenceId, StepOutput, StepPlan, StopRules,
};
use engine::text::RefusalKind;

use crate::machine::{IMAGE_TOKEN, Machine, Random, prompt, random_prompt};

const EOS: u32 = 1;

/// A scheduler in a run of random steps, and what has to hold of it.
struct Run {
    seed: u64,
    random: Random,
    config: SchedulerConfig,
    scheduler: Scheduler,
    machine: Machine,
    /// Sequences that have not ended, with how many tokens each may still draw.
    alive: BTreeMap<SequenceId, usize>,
}

/// One run; gives the greatest number of steps in a row in which the oldest sequence stood still, and the preemptions.
fn run(seed: u64, config: SchedulerConfig, steps: usize) -> (usize, u64) {
    let (scheduler, machine) = (Scheduler::new(config).unwrap(), Machine::new(&config));
    let mut run = Run { seed, random: Random(seed), config, scheduler, machine, alive: BTreeMap::new() };
    let (mut still, mut still_most) = (0, 0);
    for step in 0..steps {
        // Arrivals come in bursts, and stop towards the end.
        if step + 400 < steps && run.random.one_in(3) {
            let count = run.random.below(4).min(QUEUE_MAX.saturating_sub(run.scheduler.stats().waiting));
            (0..count).for_each(|_| run.arrive());
        }
        if let Some(goes_on) = run.step() {
            still = if goes_on { 0 } else { still + 1 };
            still_most = still_most.max(still);
        }
    }
    run.end();
    (still_most, run.scheduler.stats().preemptions)
}

impl Run {
    fn arrive(&mut self) {
        let longest = self.config.max_model_len;
        let prompt = random_prompt(&mut self.random, longest / 3);
        let stop = StopRules {
            eos_token: Some(EOS).filter(|_| self.random.one_in(2)),
            stop_token_ids: vec![],
            max_tokens: 1 + self.random.below(longest / 4),
        };
        let (max_tokens, prompt_logprobs) = (stop.max_tokens, self.random.one_in(10));
        let new = NewSequence { prompt: Arc::clone(&prompt), stop, prompt_logprobs, salt: Vec::new() };
        match self.scheduler.submit(new) {
            Ok(id) => {
                self.machine.arrive(id, &prompt);
                self.alive.insert(id, max_tokens);
            }
            Err(refusal) => assert_eq!(refusal.kind, RefusalKind::ContextLength, "{refusal}"),
        }
    }

    /// One step; whether the oldest sequence was in it, if there is any.
    fn step(&mut self) -> Option<bool> {
        let plan = self.scheduler.plan();
        check_limits(&self.config, &plan);
        self.machine.run(&plan);
        let oldest = self.alive.first_key_value().map(|(id, _)| *id);
        assert!(oldest.is_none() || !plan.entries.is_empty(), "seed {}: sequences wait and nothing runs", self.seed);
        if self.random.one_in(20) {
            self.leave();
        }
        let sampled = plan.entries.iter().filter(|entry| entry.sample);
        let tokens = sampled.map(|entry| (entry.id, 1 + self.random.below(4) as u32)).collect();
        for event in self.scheduler.apply(&StepOutput { tokens }) {
            self.machine.grow(event.id, event.token.unwrap());
            let left = self.alive.get_mut(&event.id).expect("an event of a sequence that has ended");
            *left -= 1;
            assert!(event.finish.is_some() || *left > 0, "longer than max_tokens");
            if event.finish.is_some() {
                self.alive.remove(&event.id);
            }
        }
        let (stats, config) = (self.scheduler.stats(), &self.config);
        assert_eq!(stats.running + stats.waiting, self.alive.len());
        assert!(stats.running <= config.max_num_seqs && stats.waiting <= QUEUE_MAX + config.max_num_seqs);
        oldest.map(|oldest| plan.entries.iter().any(|entry| entry.id == oldest))
    }

    /// A client goes away, at times while a step runs.
    fn leave(&mut self) {
        let ids: Vec<SequenceId> = self.alive.keys().copied().collect();
        if let Some(id) = (!ids.is_empty()).then(|| ids[self.random.below(ids.len())]) {
            assert!(self.scheduler.end(id));
            assert!(!self.scheduler.end(id));
            self.alive.remove(&id);
        }
    }

    /// Steps until all have ended, and looks at what is left.
    fn end(&mut self) {
        while !self.scheduler.is_idle() {
            let plan = self.scheduler.plan();
            assert!(!plan.entries.is_empty());
            self.machine.run(&plan);
            let tokens = plan.entries.iter().filter(|entry| entry.sample).map(|entry| (entry.id, 2)).collect();
            for event in self.scheduler.apply(&StepOutput { tokens }) {
                self.machine.grow(event.id, 2);
            }
        }
        let stats = self.scheduler.stats();
        assert_eq!(stats.blocks_used, 0, "seed {}: blocks are lost", self.seed);
        assert_eq!(stats.prefix_hits_tokens > 0, self.config.prefix_caching);
    }
}

fn check_limits(config: &SchedulerConfig, plan: &StepPlan) {
    assert!(plan.entries.len() <= config.max_num_seqs);
    assert!(plan.entries.iter().map(|entry| entry.range.len()).sum::<usize>() <= config.max_num_batched_tokens);
    assert!(plan.entries.is_sorted_by_key(|entry| entry.id));
    for entry in &plan.entries {
        assert!(!entry.range.is_empty() && entry.tokens.len() == entry.range.len());
        assert!(entry.blocks.len() * config.block_tokens >= entry.range.end);
        assert!(
            entry.prompt_rows.start >= entry.range.start && entry.prompt_rows.end <= entry.range.end
                || entry.prompt_rows.is_empty()
        );
        let distinct: HashSet<u32> = entry.blocks.iter().copied().collect();
        assert_eq!(distinct.len(), entry.blocks.len(), "a block stands twice in one table");
    }
}

const SMALL: SchedulerConfig = SchedulerConfig {
    max_num_seqs: 8,
    max_num_batched_tokens: 24,
    max_model_len: 96,
    block_tokens: 4,
    blocks: 40,
    prefix_caching: true,
    encoder_tokens: 24,
};

/// So many may wait in a run.
const QUEUE_MAX: usize = 30;

#[test]
fn a_hundred_thousand_random_steps() {
    let mut preemptions = 0;
    for seed in 0..20 {
        let config = SchedulerConfig {
            prefix_caching: seed % 4 != 0,
            max_num_batched_tokens: [24, 7, 64, 1][seed as usize / 2 % 4],
            blocks: [40, 24, 120][seed as usize % 3],
            // The largest picture has 16 tokens.
            encoder_tokens: [24, 16, 40][seed as usize / 3 % 3],
            ..SMALL
        };
        let (still, preempted) = run(seed, config, 5_000);
        preemptions += preempted;
        // The oldest waits for blocks never, and for room in the encoder's cache only while younger ones finish
        // pictures that they have begun.
        assert!(still <= 40, "seed {seed}: the oldest stood still for {still} steps");
    }
    assert!(preemptions > 1_000, "{preemptions} preemptions: the test is too easy");
}

#[test]
fn limits_must_fit_together() {
    let check = |config, expected| assert_eq!(Scheduler::new(config).map(|_| ()), Err(expected));
    check(SchedulerConfig { max_num_seqs: 0, ..SMALL }, ScheduleError::Zero { name: "max_num_seqs" });
    check(SchedulerConfig { blocks: 23, ..SMALL }, ScheduleError::CacheTooSmall { tokens: 92, max_model_len: 96 });
}

fn submit(scheduler: &mut Scheduler, tokens: usize, max_tokens: usize) -> SequenceId {
    // Prompts differ in their first token, so that nothing is shared.
    let first = 100 + scheduler.stats().waiting as u32 + 50 * scheduler.stats().running as u32;
    let ids: Vec<u32> = std::iter::once(first).chain(std::iter::repeat(3)).take(tokens).collect();
    let stop = StopRules { eos_token: Some(EOS), stop_token_ids: vec![7], max_tokens };
    let new = NewSequence { prompt: prompt(&ids, &[]), stop, prompt_logprobs: false, salt: Vec::new() };
    scheduler.submit(new).unwrap()
}

/// The ranges of a plan, by sequence.
fn ranges(plan: &StepPlan) -> Vec<(u64, std::ops::Range<usize>, bool)> {
    plan.entries.iter().map(|entry| (entry.id.0, entry.range.clone(), entry.sample)).collect()
}

fn step(scheduler: &mut Scheduler, token: u32) -> Vec<(u64, std::ops::Range<usize>, bool)> {
    let plan = scheduler.plan();
    let tokens = plan.entries.iter().filter(|entry| entry.sample).map(|entry| (entry.id, token)).collect();
    scheduler.apply(&StepOutput { tokens });
    ranges(&plan)
}

#[test]
fn long_prompts_are_computed_in_pieces_beside_running_sequences() {
    let mut scheduler = Scheduler::new(SMALL).unwrap();
    submit(&mut scheduler, 10, 50);
    submit(&mut scheduler, 40, 50);
    assert_eq!(step(&mut scheduler, 2), [(0, 0..10, true), (1, 0..14, false)]);
    assert_eq!(step(&mut scheduler, 2), [(0, 10..11, true), (1, 14..37, false)]);
    assert_eq!(step(&mut scheduler, 2), [(0, 11..12, true), (1, 37..40, true)]);
    assert_eq!(step(&mut scheduler, 2), [(0, 12..13, true), (1, 40..41, true)]);
}

#[test]
fn the_youngest_gives_way_and_comes_back() {
    // 24 blocks of 4: the two grow until they do not fit.
    let mut scheduler = Scheduler::new(SchedulerConfig { blocks: 24, max_num_batched_tokens: 96, ..SMALL }).unwrap();
    submit(&mut scheduler, 44, 40);
    submit(&mut scheduler, 44, 40);
    assert_eq!(step(&mut scheduler, 2).len(), 2);
    for _ in 0..4 {
        assert_eq!(step(&mut scheduler, 2).len(), 2);
    }
    // 49 tokens each would need 13 blocks each.
    let plan = scheduler.plan();
    assert_eq!((plan.preempted, plan.entries.len()), (vec![SequenceId(1)], 1));
    let events = scheduler.apply(&StepOutput { tokens: vec![(SequenceId(0), EOS)] });
    assert_eq!(events.len(), 1);
    // Its own blocks were found again: all whole ones of 49 tokens but the one that was lost to the older sequence.
    let again = ranges(&scheduler.plan());
    assert_eq!(again, [(1, 44..49, true)]);
}

#[test]
fn a_prefix_is_read_from_the_cache_but_for_the_last_token() {
    let mut scheduler = Scheduler::new(SMALL).unwrap();
    let mut ask = |tokens: usize, salt: &[u8], prompt_logprobs| {
        let stop = StopRules { max_tokens: 1, ..StopRules::default() };
        let prompt = prompt(&vec![3; tokens], &[]);
        scheduler.submit(NewSequence { prompt, stop, prompt_logprobs, salt: salt.to_vec() }).unwrap();
        step(&mut scheduler, 2).into_iter().map(|(_, range, _)| (range.start, range.end)).collect::<Vec<_>>()
    };
    assert_eq!(ask(16, b"", false), [(0, 16)]);
    assert_eq!(ask(16, b"", false), [(12, 16)]);
    assert_eq!(ask(17, b"", false), [(16, 17)]);
    assert_eq!(ask(20, b"", false), [(16, 20)]);
    assert_eq!(ask(16, b"other", false), [(0, 16)]);
    assert_eq!(ask(16, b"", true), [(0, 16)]);
    let stats = scheduler.stats();
    assert_eq!((stats.prefix_queries_tokens, stats.prefix_hits_tokens), (16 + 16 + 17 + 20 + 16, 12 + 16 + 16));
}

#[test]
fn events_say_why_a_sequence_ended() {
    use engine::schedule::Finish;
    let check = |tokens: &[Option<u32>], expected: Option<Finish>| {
        let mut scheduler = Scheduler::new(SMALL).unwrap();
        let id = submit(&mut scheduler, 5, 3);
        let mut finish = None;
        for token in tokens {
            scheduler.plan();
            let output = StepOutput { tokens: token.iter().map(|token| (id, *token)).collect() };
            finish = scheduler.apply(&output)[0].finish;
        }
        assert_eq!(finish, expected);
        assert_eq!(scheduler.is_idle(), expected.is_some());
    };
    check(&[Some(2), Some(2)], None);
    check(&[Some(2), Some(2), Some(2)], Some(Finish::Length));
    check(&[Some(2), Some(2), Some(EOS)], Some(Finish::Stop(None)));
    check(&[Some(7)], Some(Finish::Stop(Some(7))));
    check(&[None], Some(Finish::Failed));
}

#[test]
fn a_failed_step_leaves_nothing_behind() {
    let mut scheduler = Scheduler::new(SMALL).unwrap();
    let ids = [submit(&mut scheduler, 10, 5), submit(&mut scheduler, 40, 5)];
    scheduler.plan();
    assert!(scheduler.plan().entries.is_empty(), "a plan that was not applied is pending");
    assert_eq!(scheduler.reset(), ids);
    assert!(scheduler.is_idle());
    assert_eq!(scheduler.stats().blocks_used, 0);
    submit(&mut scheduler, 10, 5);
    assert_eq!(step(&mut scheduler, 2).len(), 1);
}

#[test]
fn what_cannot_be_served_is_refused() {
    let mut scheduler = Scheduler::new(SMALL).unwrap();
    let mut check = |prompt: Arc<Prompt>, expected: Option<RefusalKind>| {
        let stop = StopRules { max_tokens: 1, ..StopRules::default() };
        let found = scheduler.submit(NewSequence { prompt, stop, prompt_logprobs: false, salt: Vec::new() });
        assert_eq!(found.err().map(|refusal| refusal.kind), expected);
    };
    check(prompt(&[3; 97], &[]), Some(RefusalKind::ContextLength));
    check(prompt(&[IMAGE_TOKEN], &[(56 * 7, 1)]), Some(RefusalKind::Content));
    check(prompt(&[3; 96], &[]), None);
}

#[test]
fn rows_for_prompt_logprobs_are_given_once() {
    let rows = |prompt_logprobs| {
        let mut scheduler = Scheduler::new(SMALL).unwrap();
        let stop = StopRules { max_tokens: 3, ..StopRules::default() };
        let prompt = prompt(&[3; 40], &[]);
        scheduler.submit(NewSequence { prompt, stop, prompt_logprobs, salt: Vec::new() }).unwrap();
        let mut rows = Vec::new();
        for _ in 0..4 {
            let plan = scheduler.plan();
            rows.push((plan.entries[0].prompt_rows.start, plan.entries[0].prompt_rows.end));
            let drawn = plan.entries.iter().filter(|entry| entry.sample).map(|entry| (entry.id, 2)).collect();
            scheduler.apply(&StepOutput { tokens: drawn });
        }
        rows
    };
    // After token 38 the last of the 40 is predicted; what follows token 39 is the answer.
    assert_eq!(rows(true), [(0, 24), (24, 39), (0, 0), (0, 0)]);
    assert_eq!(rows(false), [(0, 0); 4]);
}

#[test]
fn a_picture_is_encoded_once_and_shared() {
    let mut scheduler = Scheduler::new(SMALL).unwrap();
    let mut submit = |ids: &[u32]| {
        let stop = StopRules { max_tokens: 5, ..StopRules::default() };
        let prompt = prompt(ids, &[(56 * 2, 1)]);
        scheduler.submit(NewSequence { prompt, stop, prompt_logprobs: false, salt: Vec::new() }).unwrap()
    };
    // The picture has 8 tokens. The two texts begin differently, so that no block is shared.
    let first = submit(&[4, 4, IMAGE_TOKEN, 3]);
    submit(&[5, IMAGE_TOKEN]);
    let plan = scheduler.plan();
    assert_eq!(plan.encode.iter().map(|task| (task.sequence, task.image)).collect::<Vec<_>>(), [(first, 0)]);
    let runs: Vec<_> =
        plan.entries.iter().flat_map(|entry| &entry.images).map(|run| (run.at, run.rows.len())).collect();
    assert_eq!(runs, [(2, 8), (1, 8)]);
    scheduler.apply(&StepOutput { tokens: plan.entries.iter().map(|entry| (entry.id, 2)).collect() });
    let next = scheduler.plan();
    assert!(next.encode.is_empty() && next.entries.iter().all(|entry| entry.images.is_empty()));
    assert_eq!(scheduler.stats().encoder_tokens_used, 8);
}
