//! Counting text tokens after the last request: by a tokenizer at hand, else by the server.

use crate::stop::StopSignal;
use crate::survey::Asker;
use crate::tokens::{Env, Loaded, Source, Spec, TokensError, at_hand, resolve};
use measure::{Outcome, RequestRecord, TextTokens};

/// Distinct texts that the server is asked about at most.
const ASKED_MAX: usize = 256;

/// Who counts.
pub enum Counter<'a> {
    /// A tokenizer on this machine.
    Local(Box<Loaded>),
    /// The server's `/tokenize`.
    Server(&'a Asker, String, &'a StopSignal),
}

/// What the server counted before the load: it may not be there afterwards.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    counts: Vec<Option<u64>>,
}

impl Asked {
    /// Asks the server about the prompts, where no tokenizer is at hand. More texts than it is asked about have no sum:
    /// then it is asked about none.
    #[must_use]
    pub fn of(spec: &Spec, prompts: &[String], asker: &Asker, model: &str, stop: &StopSignal) -> Self {
        if at_hand(spec, &Env::from_process()) || prompts.len() > ASKED_MAX {
            return Self::default();
        }
        let mut counts = Vec::with_capacity(prompts.len());
        for prompt in prompts {
            let count = asker.tokenize(model, prompt, stop);
            counts.push(count);
            if count.is_none() {
                // One unknown term makes the sum unknown.
                break;
            }
        }
        counts.resize(prompts.len(), None);
        Self { counts }
    }
}

impl<'a> Counter<'a> {
    /// The tokenizer that `--tokenizer` or `--model` leads to, else the server. The error of a tokenizer that cannot be
    /// used comes beside it.
    #[must_use]
    pub fn find(spec: &Spec, asker: &'a Asker, model: &str, stop: &'a StopSignal) -> (Self, Option<TokensError>) {
        match resolve(spec, &Env::from_process()) {
            Ok(Some(loaded)) => (Self::Local(Box::new(loaded)), None),
            Ok(None) => (Self::Server(asker, model.to_owned(), stop), None),
            Err(error) => (Self::Server(asker, model.to_owned(), stop), Some(error)),
        }
    }

    fn count(&self, text: &str) -> Option<u64> {
        match self {
            Self::Local(loaded) => loaded.count(text).ok(),
            Self::Server(asker, model, stop) => asker.tokenize(model, text, stop),
        }
    }

    fn asks_the_server(&self) -> bool {
        matches!(self, Self::Server(..))
    }

    fn label(&self, url: &str) -> &'static str {
        match self {
            Self::Local(loaded) => loaded.source().label(),
            Self::Server(..) => Source::ServerTokenize { url: url.to_owned() }.label(),
        }
    }

    /// Tokens of every prompt.
    #[must_use]
    pub fn text_tokens(&self, prompts: &[String], asked: Asked, url: &str) -> TextTokens {
        let counts = match self {
            Self::Local(_) => prompts.iter().map(|prompt| self.count(prompt)).collect(),
            Self::Server(..) => asked.counts,
        };
        let source = counts.iter().any(Option::is_some).then(|| self.label(url).to_owned());
        TextTokens { counts, source }
    }

    /// Counts the answers whose text is at hand, each whole. By the server only where it billed nothing.
    pub fn count_answers(&self, records: &mut [RequestRecord]) {
        let mut asked = 0;
        for record in records.iter_mut().filter(|record| record.outcome == Outcome::Complete) {
            let billed = record.usage.and_then(|usage| usage.completion).is_some();
            if self.asks_the_server() && (billed || asked >= ASKED_MAX) {
                continue;
            }
            let whole = match (&record.reasoning, &record.text) {
                (Some(reasoning), Some(text)) => format!("{reasoning}{text}"),
                (_, Some(text)) => text.clone(),
                _ => continue,
            };
            asked += 1;
            record.retokenised = self.count(&whole);
            if self.asks_the_server() && record.retokenised.is_none() {
                // A server that does not answer once is not asked again: the sum is unknown anyway.
                break;
            }
        }
    }
}
