//! A machine that runs step plans on a simulated memory, and random prompts for it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use engine::prompt::{ContentHash, Prompt, PromptImage, PromptRules};
use engine::schedule::{SchedulerConfig, SequenceId, StepEntry, StepPlan};
use geometry::{Family, Preprocessor};

pub(crate) const IMAGE_TOKEN: u32 = 9;
const RULES: PromptRules = PromptRules { image_token: IMAGE_TOKEN, merge_size: 2 };

/// A small generator, so that a failure can be repeated from its seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 29)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(crate) fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }
}

pub(crate) fn prompt(ids: &[u32], pictures: &[(u32, u8)]) -> Arc<Prompt> {
    let images: Vec<PromptImage> = pictures
        .iter()
        .map(|(width, content)| PromptImage {
            geometry: Preprocessor::of(Family::Qwen2Vl).geometry(*width, 56).unwrap(),
            content: ContentHash([*content; 32]),
        })
        .collect();
    Arc::new(Prompt::new(ids, &images, RULES).unwrap())
}

/// A prompt of few different words and pictures, so that many begin alike.
pub(crate) fn random_prompt(random: &mut Random, longest: usize) -> Arc<Prompt> {
    let mut ids = vec![5; random.below(12)];
    let mut pictures = Vec::new();
    for _ in 0..1 + random.below(longest) {
        if random.one_in(8) && pictures.len() < 3 {
            // The content decides the size: a picture of one name has one size.
            let content = random.below(4) as u8;
            pictures.push((56 * (1 + u32::from(content)), content));
            ids.push(IMAGE_TOKEN);
        } else {
            ids.push(2 + random.below(2) as u32);
        }
    }
    prompt(&ids, &pictures)
}

/// What a slot of the memory holds: the chain of all tokens and picture rows up to it.
fn chain(before: u64, token: u32, picture: Option<(ContentHash, usize)>) -> u64 {
    let mut random = Random(before ^ u64::from(token).wrapping_mul(0x1234_5678_9abc_def1));
    let mut all = random.next();
    if let Some((content, row)) = picture {
        all ^= Random(u64::from(content.0[0]) * 1000 + row as u64 + 77).next();
    }
    all
}

/// The machine that a plan runs on.
pub(crate) struct Machine {
    block_tokens: usize,
    slots: Vec<Option<u64>>,
    features: HashMap<ContentHash, usize>,
    encoder_tokens: usize,
    /// What each sequence's tokens make, from its own prompt and outputs alone.
    expected: HashMap<SequenceId, Vec<u64>>,
}

impl Machine {
    pub(crate) fn new(config: &SchedulerConfig) -> Self {
        Self {
            block_tokens: config.block_tokens,
            slots: vec![None; config.blocks as usize * config.block_tokens],
            features: HashMap::new(),
            encoder_tokens: config.encoder_tokens,
            expected: HashMap::new(),
        }
    }

    pub(crate) fn arrive(&mut self, id: SequenceId, prompt: &Prompt) {
        let mut chains: Vec<u64> = Vec::new();
        for (place, token) in prompt.ids().iter().enumerate() {
            let span = prompt.images().iter().find(|span| span.start <= place && place < span.end());
            let picture = span.map(|span| (span.content, place - span.start));
            chains.push(chain(chains.last().copied().unwrap_or(0), *token, picture));
        }
        self.expected.insert(id, chains);
    }

    pub(crate) fn grow(&mut self, id: SequenceId, token: u32) {
        let chains = self.expected.get_mut(&id).unwrap();
        chains.push(chain(chains.last().copied().unwrap_or(0), token, None));
    }

    pub(crate) fn run(&mut self, plan: &StepPlan) {
        for content in &plan.forget {
            assert!(self.features.remove(content).is_some(), "forgets a picture that is not kept");
        }
        for task in &plan.encode {
            let entry = plan.entries.iter().find(|entry| entry.id == task.sequence).expect("encodes for nobody");
            let span = entry.prompt.images()[task.image];
            assert_eq!(span.content, task.content);
            assert!(self.features.insert(task.content, span.len).is_none(), "encodes a picture that is kept");
        }
        assert!(self.features.values().sum::<usize>() <= self.encoder_tokens);
        let mut written = HashSet::new();
        for entry in &plan.entries {
            self.run_entry(entry, &mut written);
        }
    }

    fn run_entry(&mut self, entry: &StepEntry, written: &mut HashSet<usize>) {
        let expected = &self.expected[&entry.id];
        let slot = |token: usize| {
            entry.blocks[token / self.block_tokens] as usize * self.block_tokens + token % self.block_tokens
        };
        for (token, chain) in expected[..entry.range.start].iter().enumerate() {
            assert_eq!(self.slots[slot(token)], Some(*chain), "{:?} reads what is not its own", entry.id);
        }
        // The features in place of tokens.
        let mut rows: HashMap<usize, (ContentHash, usize)> = HashMap::new();
        for image in &entry.images {
            assert!(self.features.contains_key(&image.content), "needs features that are not kept");
            rows.extend(image.rows.clone().enumerate().map(|(at, row)| (image.at + at, (image.content, row))));
        }
        let mut before = entry.range.start.checked_sub(1).map_or(0, |last| expected[last]);
        for (at, token) in entry.range.clone().enumerate() {
            assert!(written.insert(slot(token)), "two write one slot");
            before = chain(before, entry.tokens[at], rows.get(&at).copied());
            assert_eq!(before, expected[token], "{:?} computes the wrong token", entry.id);
            self.slots[slot(token)] = Some(before);
        }
    }
}
