//! An engine around a scripted stepper, and clients of it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use engine::engine::{
    Engine, EngineConfig, EngineError, EngineEvent, EngineHandle, EngineRequest, EngineStats, EventSink, ImageRules,
    Picture, TokenEvent,
};
use engine::pixels::{Normalisation, RgbImage};
use engine::prompt::{Prompt, PromptRules};
use engine::sampling::{GenerationDefaults, SamplingLimits, SamplingRequest};
use engine::schedule::SchedulerConfig;
use engine::stepper::{ScriptedStepper, Stepper};
use engine::text::{Refusal, Tokenizer};
use geometry::{Family, Preprocessor};

pub(crate) const VOCAB: usize = 60_000;
/// 请, 描述, 图片 in Qwen2's vocabulary.
pub(crate) const IDS: [u32; 3] = [14880, 53481, 45930];
const LENGTH: usize = 8192;

pub(crate) struct Rig {
    engine: Engine,
}

/// One request as its client sees it.
pub(crate) struct Answer {
    events: Receiver<EngineEvent>,
    gone: Arc<AtomicBool>,
}

struct Sink {
    events: Sender<EngineEvent>,
    gone: Arc<AtomicBool>,
}

impl EventSink for Sink {
    fn event(&mut self, event: EngineEvent) {
        let _ = self.events.send(event);
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }
}

pub(crate) fn config() -> EngineConfig {
    let scheduler = SchedulerConfig {
        max_num_seqs: 256,
        max_num_batched_tokens: 2048,
        max_model_len: LENGTH,
        block_tokens: 16,
        blocks: 1024,
        prefix_caching: true,
        encoder_tokens: 4096,
    };
    EngineConfig { scheduler, queue_max: 10_000, seed: 0 }
}

pub(crate) fn prompt(ids: &[u32]) -> Arc<Prompt> {
    Arc::new(Prompt::new(ids, &[], PromptRules { image_token: 9, merge_size: 2 }).unwrap())
}

pub(crate) fn with(ids: &[u32], asked: SamplingRequest) -> EngineRequest {
    let limits = SamplingLimits { max_model_len: LENGTH, vocab_size: VOCAB as u32, max_logprobs: 20, eos_token: None };
    let asked = SamplingRequest { temperature: Some(0.0), ..asked };
    let params = asked.resolve(&GenerationDefaults::default(), &limits, ids.len()).unwrap();
    EngineRequest { prompt: prompt(ids), pictures: Vec::new(), params, salt: Vec::new(), arrived: Instant::now() }
}

pub(crate) fn request(ids: &[u32], max_tokens: i64) -> EngineRequest {
    with(ids, SamplingRequest { max_tokens: Some(max_tokens), ..SamplingRequest::default() })
}

pub(crate) fn picture() -> Arc<Picture> {
    let rules = ImageRules { preprocessor: Preprocessor::of(Family::Qwen2Vl), normalisation: Normalisation::CLIP };
    let image = RgbImage { width: 56, height: 56, pixels: vec![7; 56 * 56 * 3] };
    Arc::new(Picture::new(&image, &Arc::new(rules)).unwrap())
}

pub(crate) fn ask(engine: &EngineHandle, request: EngineRequest) -> Answer {
    let (sender, events) = channel();
    let gone = Arc::new(AtomicBool::new(false));
    engine.submit(request, Box::new(Sink { events: sender, gone: Arc::clone(&gone) }));
    Answer { events, gone }
}

impl Rig {
    pub(crate) fn answering(config: EngineConfig) -> Self {
        Self::of(ScriptedStepper::answering(VOCAB, IDS.to_vec()), config)
    }

    pub(crate) fn of(stepper: ScriptedStepper, config: EngineConfig) -> Self {
        Self::try_of(stepper, config).unwrap()
    }

    pub(crate) fn try_of(stepper: ScriptedStepper, config: EngineConfig) -> Result<Self, EngineError> {
        Self::with(Box::new(stepper), config)
    }

    pub(crate) fn with(stepper: Box<dyn Stepper>, config: EngineConfig) -> Result<Self, EngineError> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/tokenizer");
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let tokenizer = Tokenizer::new(&read("tokenizer.json"), Some(&read("tokenizer_config.json"))).unwrap();
        Ok(Self { engine: Engine::start(stepper, Arc::new(tokenizer), config)? })
    }

    pub(crate) fn handle(&self) -> EngineHandle {
        self.engine.handle()
    }

    pub(crate) fn ask(&self, request: EngineRequest) -> Answer {
        ask(&self.handle(), request)
    }

    /// Waits until the engine's figures are as wanted.
    pub(crate) fn until(&self, wanted: impl Fn(&EngineStats) -> bool) -> EngineStats {
        let begun = Instant::now();
        loop {
            let stats = self.handle().stats();
            if wanted(&stats) {
                return stats;
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "{stats:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn idle_stats(&self) -> EngineStats {
        self.until(|stats| stats.scheduler.running == 0 && stats.scheduler.waiting == 0)
    }
}

impl Answer {
    pub(crate) fn events(self) -> Vec<EngineEvent> {
        self.events.iter().filter(|event| *event != EngineEvent::Accepted).collect()
    }

    /// All tokens; whatever else happens is an error of the test.
    pub(crate) fn all(self) -> Vec<TokenEvent> {
        let token = |event| match event {
            EngineEvent::Token(token) => *token,
            other => panic!("{other:?}"),
        };
        self.events().into_iter().map(token).collect()
    }

    /// Why it was refused.
    pub(crate) fn refusal(self) -> Refusal {
        match self.events().pop() {
            Some(EngineEvent::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn wait_for_one(&self) {
        // The first says that it was accepted.
        (0..2).for_each(|_| drop(self.events.recv().unwrap()));
    }

    pub(crate) fn go(self) {
        self.gone.store(true, Ordering::SeqCst);
    }
}
