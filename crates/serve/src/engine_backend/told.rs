//! From what the engine tells to a reply. Small replies are made on the engine's thread as tokens come; where log
//! probabilities have to be put into words, for each token the text of many, that happens on a thread of its own, and no
//! other request's step waits for it. Requests take turns there, and what waits is bounded. It must not know how replies
//! look.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use engine::engine::{EngineEvent, EventSink, TokenEvent};
use engine::sampling::{Logprobs, TokenLogprob};

use super::out::{Out, Reply, failed, refused};
use super::pool::Pool;
use crate::app::Share;
use crate::backend::ReplySink;
use crate::lock::locked;
use crate::validate::ApiError;

/// The most that events may hold of the memory while they wait to become words, all requests together, bytes.
const WAITING_BYTES_MAX: usize = 256 << 20;

/// The thread on which replies with log probabilities are made, one event of a request before the second of any.
pub(super) struct Words {
    pool: Pool<Arc<Told>>,
    waiting_bytes: Arc<AtomicUsize>,
    bytes_max: usize,
}

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

struct Events {
    waiting: VecDeque<EngineEvent>,
    /// What they take of the memory.
    share: Share,
    /// They stand in the line, or a thread is at one of them.
    is_awaited: bool,
    /// They held too much: no more is told.
    is_given_up: bool,
}

impl Words {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system's, if it gives no thread.
    pub(super) fn start() -> std::io::Result<Self> {
        Self::within(WAITING_BYTES_MAX)
    }

    fn within(bytes_max: usize) -> std::io::Result<Self> {
        // A request stands in the line once at most, and requests have a bound.
        let pool = Pool::new("words", 1, usize::MAX, |told: Arc<Told>| told.turn().then_some(told))?;
        Ok(Self { pool, waiting_bytes: Arc::default(), bytes_max })
    }

    /// Whether a request whose events hold so much has to give way: all together hold too much, and it holds its part or
    /// more. So it is not the one with few that pays for the one with many.
    fn is_over(&self, bytes: usize) -> bool {
        let all = self.waiting_bytes.load(Ordering::Relaxed);
        // One may be under way.
        all > self.bytes_max && bytes >= self.bytes_max / (self.pool.waiting() + 1)
    }
}

impl Replying {
    pub(super) fn new(out: Out, reply: Box<dyn Reply>) -> Self {
        Self { out, reply }
    }

    /// Made on the engine's thread.
    pub(super) fn here(self) -> Box<dyn EventSink> {
        Box::new(Here(self))
    }

    /// Made on that thread.
    pub(super) fn elsewhere(self, words: &Arc<Words>) -> Box<dyn EventSink> {
        let client = self.out.client();
        let share = Share::of(&words.waiting_bytes, 0);
        let events = Events { waiting: VecDeque::new(), share, is_awaited: false, is_given_up: false };
        let told = Arc::new(Told { events: Mutex::new(events), replying: Mutex::new(self) });
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
        if events.is_given_up {
            return;
        }
        let bytes = events.share.bytes() + bytes_of(&event);
        events.share.set(bytes);
        events.waiting.push_back(event);
        if self.words.is_over(bytes) {
            events.waiting = VecDeque::new();
            events.share.set(0);
            events.is_given_up = true;
        }
        let is_awaited = std::mem::replace(&mut events.is_awaited, true);
        drop(events);
        if !is_awaited {
            // The line has no bound that could refuse it.
            let _ = self.words.pool.submit(Arc::clone(&self.told));
        }
    }

    fn is_gone(&self) -> bool {
        self.client.is_gone() || locked(&self.told.events).is_given_up
    }
}

impl Told {
    /// Takes one event; whether more wait.
    fn turn(&self) -> bool {
        let mut replying = locked(&self.replying);
        let mut events = locked(&self.events);
        let (event, is_given_up) = (events.waiting.pop_front(), events.is_given_up);
        let left = events.share.bytes().saturating_sub(event.as_ref().map_or(0, bytes_of));
        events.share.set(left);
        drop(events);
        match event {
            _ if replying.out.is_gone() => {}
            Some(event) => replying.event(event),
            None if is_given_up => replying.out.refuse(&too_slow()),
            None => {}
        }
        let mut events = locked(&self.events);
        events.is_awaited = !events.waiting.is_empty() || events.is_given_up != is_given_up;
        events.is_awaited
    }
}

/// What an event takes of the memory.
fn bytes_of(event: &EngineEvent) -> usize {
    let listed = |list: &Logprobs| size_of::<Logprobs>() + size_of::<TokenLogprob>() * list.top.len();
    let more = match event {
        EngineEvent::Token(token) => {
            let of_prompt = token.prompt_logprobs.iter().flatten().map(listed).sum::<usize>();
            size_of::<TokenEvent>() + token.text.len() + token.logprobs.as_ref().map_or(0, listed) + of_prompt
        }
        _ => 0,
    };
    size_of::<EngineEvent>() + more
}

/// The refusal of a request whose tokens come faster than their words.
fn too_slow() -> ApiError {
    ApiError::busy(
        "log probabilities come faster than they are written and fill the memory for them; ask for fewer of them, or try \
         again later",
    )
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
        let words = Arc::new(Words::start().unwrap());
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
        let words = Arc::new(Words::start().unwrap());
        let ((sink, placed), (told, seen), (open, gate)) = (client(), channel(), channel());
        drop(open);
        let mut sink = Replying::new(Out::new(sink, false), Box::new(Told(told, gate))).elsewhere(&words);
        sink.event(token(1, false));
        assert_eq!(seen.recv().map(|(token, _)| token), Ok(1));
        drop(sink);
        assert!(text(&placed).contains("ended this request before its answer was whole"));
    }

    #[test]
    fn requests_take_turns() {
        let words = Arc::new(Words::start().unwrap());
        let ((told, seen), (open, gate)) = (channel(), channel());
        let (_, never) = channel();
        let ((many, _placed), (few, _also)) = (client(), client());
        let mut many = Replying::new(Out::new(many, false), Box::new(Told(told.clone(), gate))).elsewhere(&words);
        let mut few = Replying::new(Out::new(few, false), Box::new(Told(told, never))).elsewhere(&words);
        (0..100).for_each(|number| many.event(token(number, number == 99)));
        (200..203).for_each(|number| few.event(token(number, number == 202)));
        drop(open);
        let order: Vec<u32> = (0..103).map(|_| seen.recv().unwrap().0).collect();
        assert_eq!(order[..6], [0, 200, 1, 201, 2, 202]);
        assert!(order[6..].iter().copied().eq(3..100));
    }

    #[test]
    fn what_waits_is_bounded_and_the_one_with_the_most_gives_way() {
        let bytes_max = 100 * bytes_of(&token(0, false));
        let words = Arc::new(Words::within(bytes_max).unwrap());
        let ((told, seen), (open, gate), (open_too, gate_too)) = (channel(), channel(), channel::<()>());
        let ((many, placed), (few, also)) = (client(), client());
        let mut few = Replying::new(Out::new(few, false), Box::new(Told(told.clone(), gate_too))).elsewhere(&words);
        let mut many = Replying::new(Out::new(many, false), Box::new(Told(told, gate))).elsewhere(&words);
        few.event(token(200, false));
        for number in 0..1000 {
            many.event(token(number, false));
            let held = words.waiting_bytes.load(Ordering::Relaxed);
            assert!(held <= bytes_max, "{held} of {bytes_max}");
        }
        few.event(token(201, true));
        assert!(many.is_gone() && !few.is_gone());
        drop((open, open_too));
        let answer = text(&placed);
        assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("log probabilities come faster"), "{answer}");
        assert!(text(&also).ends_with("\r\n\r\n201"));
        drop((many, few));
        assert!(seen.iter().all(|(token, _)| token >= 200));
        assert_eq!(words.waiting_bytes.load(Ordering::Relaxed), 0);
    }
}
