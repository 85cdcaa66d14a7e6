//! The engine's thread around a scripted stepper: what each request is told, and what it leaves behind.

mod checkpoint;
mod rig;
#[path = "../shared/tiny.rs"]
mod tiny;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use engine::engine::{EngineConfig, EngineEvent, EngineHandle, EventSink, FinishReason, StopReason};
use engine::prompt::{Prompt, PromptRules};
use engine::sampling::SamplingRequest;
use engine::stepper::ScriptedStepper;
use engine::text::RefusalKind;

use rig::{IDS, Rig, VOCAB, config, request};

/// Texts of the tokens that the script answers with: 请, 描述, 图片.
const ANSWER: [u32; 3] = IDS;

#[test]
fn an_answer_comes_token_by_token() {
    let rig = Rig::answering(config());
    let told = rig.ask(request(&[1, 2, 3], 5)).all();
    let tokens: Vec<u32> = told.iter().map(|token| token.token).collect();
    assert_eq!(tokens, [ANSWER[0], ANSWER[1], ANSWER[2], ANSWER[0], ANSWER[1]]);
    let text: String = told.iter().map(|token| token.text.as_str()).collect();
    assert_eq!(text, "请描述图片请描述");
    let finishes: Vec<_> = told.into_iter().map(|token| token.finish).collect();
    assert_eq!(finishes, [None, None, None, None, Some(FinishReason::Length)]);
    let stats = rig.idle_stats();
    assert_eq!((stats.prompt_tokens, stats.generation_tokens, stats.finished.length), (3, 5, 1));
    assert_eq!((stats.ttft_s.count(), stats.itl_s.count(), stats.e2e_s.count()), (1, 4, 1));
    assert_eq!(stats.scheduler.blocks_used, 0);
}

#[test]
fn a_stop_string_ends_the_answer_and_gives_back_its_blocks() {
    let rig = Rig::answering(config());
    let asked = SamplingRequest { stop: vec!["述图".into()], max_tokens: Some(100), ..SamplingRequest::default() };
    let told = rig.ask(rig::with(&[1, 2, 3], asked)).all();
    let text: String = told.iter().map(|token| token.text.as_str()).collect();
    assert_eq!(text, "请描");
    let end = told.last().and_then(|token| token.finish.clone());
    assert_eq!(end, Some(FinishReason::Stop(Some(StopReason::Text("述图".into())))));
    assert_eq!(told.len(), 3);
    let stats = rig.idle_stats();
    assert_eq!((stats.finished.stop, stats.scheduler.blocks_used, stats.scheduler.running), (1, 0, 0));
}

#[test]
fn a_stop_id_is_the_reason() {
    let rig = Rig::answering(config());
    let asked = SamplingRequest { stop_token_ids: vec![i64::from(ANSWER[1])], ..SamplingRequest::default() };
    let told = rig.ask(rig::with(&[1], asked)).all();
    let texts: Vec<_> = told.iter().map(|token| token.text.as_str()).collect();
    assert_eq!(texts, ["请", ""]);
    let end = told.last().and_then(|token| token.finish.clone());
    assert_eq!(end, Some(FinishReason::Stop(Some(StopReason::Token(ANSWER[1])))));
}

#[test]
fn probabilities_of_prompt_and_answer() {
    let rig = Rig::answering(config());
    let asked = SamplingRequest {
        max_tokens: Some(2),
        logprobs: Some(1),
        prompt_logprobs: Some(1),
        ..SamplingRequest::default()
    };
    let told = rig.ask(rig::with(&[7, 8, 9], asked)).all();
    // The script gives one token a logit of 20 and all others 0.
    let best = -(1.0 + (VOCAB as f64 - 1.0) * (-20f64).exp()).ln();
    let of_prompt = told[0].prompt_logprobs.as_ref().unwrap();
    let taken: Vec<_> = of_prompt.iter().map(|logprobs| (logprobs.taken.id, logprobs.top[0].id)).collect();
    assert_eq!(taken, [(8, ANSWER[0]), (9, ANSWER[0])]);
    assert!((f64::from(of_prompt[0].taken.logprob) - (best - 20.0)).abs() < 1e-5);
    assert!((f64::from(told[0].logprobs.as_ref().unwrap().taken.logprob) - best).abs() < 1e-9);
    assert!(told[1].prompt_logprobs.is_none());
}

#[test]
fn a_row_of_the_prompt_that_is_no_number_fails_the_request() {
    for step_tokens in [2048, 2] {
        let mut limits = config();
        (limits.scheduler.max_num_batched_tokens, limits.scheduler.max_num_seqs) = (step_tokens, 2);
        let stepper = ScriptedStepper::new(VOCAB, |prompt, after, row| {
            row[5] = if prompt.len() == 4 && after == 1 { f32::NAN } else { 1.0 };
        });
        let rig = Rig::of(stepper, limits);
        let asked = || SamplingRequest { max_tokens: Some(2), prompt_logprobs: Some(1), ..SamplingRequest::default() };
        let events = rig.ask(rig::with(&[7, 8, 9, 6], asked())).events();
        let is_said = matches!(events.as_slice(), [EngineEvent::Failed(words)] if words.contains("NaN"));
        assert!(is_said, "{step_tokens}: {events:?}");
        assert_eq!(rig.ask(rig::with(&[7, 8, 9], asked())).all()[0].prompt_logprobs.as_ref().unwrap().len(), 2);
        let stats = rig.idle_stats();
        assert_eq!((stats.finished.error, stats.finished.length, stats.scheduler.blocks_used), (1, 1, 0));
    }
}

/// Looks at the figures when it is told something: the request is in the scheduler then, and no step has begun.
struct Watcher(EngineHandle, Sender<usize>);

impl EventSink for Watcher {
    fn event(&mut self, event: EngineEvent) {
        if event == EngineEvent::Accepted {
            let _ = self.1.send(self.0.stats().scheduler.waiting);
        }
    }

    fn is_gone(&self) -> bool {
        false
    }
}

#[test]
fn who_waits_is_counted_all_the_time() {
    let rig = Rig::answering(config());
    let (sender, waiting) = channel();
    rig.handle().submit(request(&[1], 1), Box::new(Watcher(rig.handle(), sender)));
    assert_eq!(waiting.recv(), Ok(1));
    assert_eq!(rig.idle_stats().finished.length, 1);
}

#[test]
fn many_at_once() {
    let rig = Rig::answering(config());
    let asked: Vec<_> = (0..256).map(|number| rig.ask(request(&[number, 5], 20))).collect();
    for answer in asked {
        assert_eq!(answer.all().len(), 20);
    }
    let stats = rig.idle_stats();
    assert_eq!((stats.finished.length, stats.generation_tokens, stats.scheduler.blocks_used), (256, 256 * 20, 0));
}

#[test]
fn a_full_queue_refuses() {
    let (open, gate) = channel::<()>();
    let stepper = ScriptedStepper::new(VOCAB, move |_, _, row| {
        let _ = gate.recv();
        row[5] = 1.0;
    });
    let mut limits = config();
    (limits.queue_max, limits.scheduler.max_num_seqs) = (3, 1);
    let rig = Rig::of(stepper, limits);
    let first = rig.ask(request(&[1], 1));
    rig.until(|stats| stats.scheduler.running == 1);
    let waiting: Vec<_> = (0..3).map(|_| rig.ask(request(&[1], 1))).collect();
    let refusal = rig.ask(request(&[1], 1)).refusal();
    assert_eq!(refusal.kind, RefusalKind::QueueFull);
    assert_eq!(rig.handle().stats().refused_queue_full, 1);
    drop(open);
    for answer in std::iter::once(first).chain(waiting) {
        assert_eq!(answer.all().len(), 1);
    }
    assert_eq!(rig.ask(request(&[1], 1)).all().len(), 1);
}

#[test]
fn a_request_that_is_made_ready_waits_like_any_other() {
    let mut limits = config();
    limits.queue_max = 2;
    let rig = Rig::answering(limits);
    let (first, second) = (rig.handle().place().unwrap(), rig.handle().place().unwrap());
    // Whoever comes now is refused, ready or not; who has a place keeps it.
    assert_eq!(rig.handle().place().unwrap_err().kind, RefusalKind::QueueFull);
    assert_eq!(rig.ask(request(&[1], 1)).refusal().kind, RefusalKind::QueueFull);
    assert_eq!((rig.handle().stats().refused_queue_full, rig.handle().stats().scheduler.waiting), (2, 0));
    drop(first);
    assert_eq!(rig.ask(request(&[1], 1)).all().len(), 1);
    let (sender, waiting) = channel();
    second.submit(request(&[1], 1), Box::new(Watcher(rig.handle(), sender)));
    assert_eq!(waiting.recv(), Ok(1));
    assert_eq!(rig.idle_stats().finished.length, 2);
}

#[test]
fn who_goes_leaves_no_block_leased() {
    // However slow this thread is: no answer has a third token before its client has gone.
    let gone_to = Arc::new(AtomicU32::new(0));
    let gone = Arc::clone(&gone_to);
    let rig = Rig::of(
        ScriptedStepper::new(VOCAB, move |prompt, after, row| {
            while after > prompt.len() && gone.load(Ordering::SeqCst) <= prompt.ids()[0] {
                std::thread::yield_now();
            }
            row[5] = 1.0;
        }),
        config(),
    );
    for number in 0..100 {
        let answer = rig.ask(request(&[number; 40], 8000));
        if number % 2 == 0 {
            answer.wait_for_one();
        }
        answer.go();
        gone_to.store(number + 1, Ordering::SeqCst);
    }
    let stats = rig.idle_stats();
    assert_eq!((stats.finished.abort, stats.scheduler.blocks_used, stats.scheduler.waiting), (100, 0, 0));
}

#[test]
fn a_prompt_that_came_before_is_found() {
    let rig = Rig::answering(config());
    let ids: Vec<u32> = (0..40).collect();
    rig.ask(request(&ids, 2)).all();
    rig.ask(request(&ids, 2)).all();
    // Two of its blocks are whole.
    let stats = rig.idle_stats();
    assert_eq!((stats.scheduler.prefix_queries_tokens, stats.scheduler.prefix_hits_tokens), (80, 32));
}

#[test]
fn a_failed_step_fails_those_in_it_and_no_other() {
    let rig = Rig::answering(config());
    // A picture in the prompt and none with the request: the stepper does not find its patches.
    let picture = rig::picture();
    let rules = PromptRules { image_token: 9, merge_size: 2 };
    let prompt = Prompt::new(&[1, 9, 2], &[picture.for_prompt()], rules).unwrap();
    let mut broken = request(&[1], 3);
    broken.prompt = prompt.into();
    let events = rig.ask(broken.clone()).events();
    assert!(matches!(events.as_slice(), [EngineEvent::Failed(words)] if words.contains("patches")), "{events:?}");
    broken.pictures = vec![picture];
    assert_eq!(rig.ask(broken).all().len(), 3);
    let stats = rig.idle_stats();
    assert_eq!((stats.finished.error, stats.finished.length, stats.scheduler.blocks_used), (1, 1, 0));
}

#[test]
fn an_engine_that_ends_says_so() {
    let rig = Rig::answering(config());
    let answer = rig.ask(request(&[1, 2], 8000));
    answer.wait_for_one();
    let handle = rig.handle();
    drop(rig);
    assert!(!handle.is_open());
    // Its sink is dropped before its end.
    assert!(answer.events().iter().all(|event| matches!(event, EngineEvent::Token(token) if token.finish.is_none())));
    assert_eq!(rig::ask(&handle, request(&[1], 1)).refusal().kind, RefusalKind::Ending);
}

#[test]
fn a_prompt_over_the_context_is_refused() {
    let rig = Rig::answering(config());
    let mut long = request(&[1], 3);
    long.prompt = rig::prompt(&vec![1; 9000]);
    long.arrived = Instant::now();
    let events = rig.ask(long).events();
    let words = "Input length (9000) exceeds model's maximum context length (8192).";
    assert!(matches!(events.as_slice(), [EngineEvent::Refused(refusal)] if refusal.message == words), "{events:?}");
}

#[test]
fn limits_that_do_not_fit_are_refused_at_the_start() {
    let mut limits: EngineConfig = config();
    limits.scheduler.blocks = 2;
    assert!(Rig::try_of(ScriptedStepper::answering(VOCAB, ANSWER.to_vec()), limits).is_err());
}

#[test]
fn what_came_before_the_engine_got_a_request_is_no_queue() {
    let rig = Rig::answering(config());
    let mut request = request(&[1, 2], 1);
    // Its pictures took ten minutes to read.
    request.arrived -= Duration::from_secs(600);
    rig.ask(request).all();
    let stats = rig.idle_stats();
    assert_eq!((stats.queue_s.count(), stats.ttft_s.count()), (1, 1));
    assert!(stats.queue_s.sum() < 600.0 && stats.ttft_s.sum() >= 600.0, "{stats:?}");
}
