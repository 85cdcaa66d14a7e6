//! From what the engine tells to a reply. Small replies are made on the engine's thread as tokens come; where log
//! probabilities have to be put into words, for each token the text of many, that happens on a thread of its own, and no
//! other request's step waits for it. It must not know how replies look.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use engine::engine::{EngineEvent, EventSink};

use super::out::{Out, Reply, failed, refused};
use super::pool::Pool;
use crate::backend::ReplySink;
use crate::lock::locked;

/// The threads on which replies with log probabilities are made.
pub(super) type Words = Pool<Arc<Told>>;

/// A reply and its way to the client.
pub(super) struct Replying {
    out: Out,
    reply: Box<dyn Reply>,
}

/// The sink of a request whose reply is made on the engine's thread.
pub(super) struct Here(Replying);

/// The sink of one whose reply is made elsewhere, event by event in their order.
pub(super) struct Elsewhere {
    told: Arc<Told>,
    client: ReplySink,
    words: Arc<Words>,
}

/// What a request was told, and the reply that comes of it.
pub(super) struct Told {
    events: Mutex<Events>,
    replying: Mutex<Replying>,
}

#[derive(Default)]
struct Events {
    waiting: VecDeque<EngineEvent>,
    /// A thread is at them, or will be.
    is_awaited: bool,
}

/// Threads that make replies with log probabilities. A request stands in their queue once at most.
///
/// # Errors
/// The system's, if it gives no thread.
pub(super) fn words() -> std::io::Result<Words> {
    Pool::new("words", 1, usize::MAX, |told: Arc<Told>| told.go_on())
}

impl Replying {
    pub(super) fn new(out: Out, reply: Box<dyn Reply>) -> Self {
        Self { out, reply }
    }

    /// Made on the engine's thread.
    pub(super) fn here(self) -> Box<dyn EventSink> {
        Box::new(Here(self))
    }

    /// Made on one of these threads.
    pub(super) fn elsewhere(self, words: &Arc<Words>) -> Box<dyn EventSink> {
        let client = self.out.client();
        let told = Arc::new(Told { events: Mutex::default(), replying: Mutex::new(self) });
        Box::new(Elsewhere { told, client, words: Arc::clone(words) })
    }

    fn event(&mut self, event: EngineEvent) {
        match event {
            EngineEvent::Accepted if self.reply.streams() => self.out.begin(),
            EngineEvent::Accepted => {}
            EngineEvent::Refused(refusal) => self.out.refuse(&refused(&refusal)),
            EngineEvent::Failed(words) => self.out.refuse(&failed(&words)),
            EngineEvent::Token(token) => self.reply.token(&token, &mut self.out),
        }
    }
}

impl EventSink for Here {
    fn event(&mut self, event: EngineEvent) {
        self.0.event(event);
    }

    fn is_gone(&self) -> bool {
        self.0.out.is_gone()
    }
}

impl EventSink for Elsewhere {
    fn event(&mut self, event: EngineEvent) {
        let mut events = locked(&self.told.events);
        events.waiting.push_back(event);
        let is_awaited = std::mem::replace(&mut events.is_awaited, true);
        drop(events);
        if !is_awaited {
            // The queue has no bound of its own: requests have one.
            let _ = self.words.submit(Arc::clone(&self.told));
        }
    }

    fn is_gone(&self) -> bool {
        self.client.is_gone()
    }
}

impl Told {
    /// Takes the events that wait, until there is none.
    fn go_on(&self) {
        let mut replying = locked(&self.replying);
        loop {
            let mut events = locked(&self.events);
            let Some(event) = events.waiting.pop_front() else {
                events.is_awaited = false;
                return;
            };
            drop(events);
            if !replying.out.is_gone() {
                replying.event(event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use engine::engine::{FinishReason, TokenEvent};

    use super::*;
    use crate::backend::{Output, PlacedReply};

    /// Says on which thread it was told of which token, and waits for the gate each time.
    struct Told(Sender<(u32, String)>, Receiver<()>);

    impl Reply for Told {
        fn streams(&self) -> bool {
            false
        }

        fn token(&mut self, token: &TokenEvent, out: &mut Out) {
            let _ = self.1.recv();
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            self.0.send((token.token, name)).unwrap();
            if token.finish.is_some() {
                out.json(200, &token.token);
            }
        }
    }

    fn token(token: u32, last: bool) -> EngineEvent {
        let finish = last.then_some(FinishReason::Length);
        let (text, logprobs, prompt_logprobs) = (String::new(), None, None);
        EngineEvent::Token(Box::new(TokenEvent { token, text, logprobs, prompt_logprobs, finish }))
    }

    fn client() -> (ReplySink, Receiver<PlacedReply>) {
        let (replies, placed) = channel();
        let gone = Arc::new(AtomicBool::new(false));
        (ReplySink { connection: 0, generation: 0, closes: false, gone, replies, wake: Arc::new(|| ()) }, placed)
    }

    fn text(placed: &Receiver<PlacedReply>) -> String {
        match placed.recv().unwrap().pieces.next() {
            Some((_, Output::Bytes { bytes, .. })) => String::from_utf8(bytes).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_engine_s_thread_makes_no_words() {
        let words = Arc::new(words().unwrap());
        let ((sink, placed), (told, seen), (open, gate)) = (client(), channel(), channel());
        let mut sink = Replying::new(Out::new(sink, false), Box::new(Told(told, gate))).elsewhere(&words);
        sink.event(EngineEvent::Accepted);
        // None of these waits, though no reply goes on.
        (0..100).for_each(|number| sink.event(token(number, number == 99)));
        assert!(seen.try_recv().is_err() && !sink.is_gone());
        drop(open);
        for number in 0..100 {
            assert_eq!(seen.recv(), Ok((number, "words".to_owned())));
        }
        assert!(text(&placed).ends_with("\r\n\r\n99"));
    }

    #[test]
    fn a_request_that_is_given_up_is_told_so() {
        let words = Arc::new(words().unwrap());
        let ((sink, placed), (told, seen), (open, gate)) = (client(), channel(), channel());
        drop(open);
        let mut sink = Replying::new(Out::new(sink, false), Box::new(Told(told, gate))).elsewhere(&words);
        sink.event(token(1, false));
        assert_eq!(seen.recv().map(|(token, _)| token), Ok(1));
        drop(sink);
        assert!(text(&placed).contains("ended this request before its answer was whole"));
    }
}
