//! Counting text tokens after the last request: by a tokenizer at hand, else by the server.

use crate::stop::StopSignal;
use crate::survey::Asker;
use crate::tokens::{Env, Loaded, Source, Spec, TokensError, at_hand, resolve};
use crate::workload::Workload;
use measure::{Outcome, RequestRecord, TextTokens};
use std::collections::BTreeSet;

/// Distinct texts that the server is asked about at most.
const ASKED_MAX: usize = 256;

/// Who counts.
pub enum Counter<'a> {
    /// A tokenizer on this machine.
    Local(Box<Loaded>),
    /// The server's `/tokenize`.
    Server(&'a Asker, String, &'a StopSignal),
}

/// What the server counted before the load: it may not be there afterwards. `None`: it was not asked.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    counts: Option<Vec<Option<u64>>>,
}

/// The prompts of a run, and the numbers of those whose tokens are to be known.
pub struct Texts<'a> {
    prompts: &'a [String],
    needed: BTreeSet<u32>,
}

impl<'a> Texts<'a> {
    /// The tokens of the measured requests' prompts enter figures, those of others do not.
    #[must_use]
    pub fn of(workload: &'a Workload) -> Self {
        Self { prompts: &workload.prompts, needed: workload.measured.iter().map(|item| item.prompt).collect() }
    }

    /// One count for each prompt. More texts than the server is asked about have no sum: then it is asked about none.
    fn by_server(&self, asker: &Asker, model: &str, stop: &StopSignal) -> Vec<Option<u64>> {
        let mut counts = vec![None; self.prompts.len()];
        if self.needed.len() > ASKED_MAX {
            return counts;
        }
        for number in self.needed.iter().map(|number| *number as usize) {
            let Some((prompt, count)) = self.prompts.get(number).zip(counts.get_mut(number)) else { continue };
            *count = asker.tokenize(model, prompt, stop);
            if count.is_none() {
                // One unknown term makes the sum unknown.
                break;
            }
        }
        counts
    }
}

impl Asked {
    /// Asks the server, where no tokenizer is at hand.
    #[must_use]
    pub fn of(spec: &Spec, texts: &Texts<'_>, asker: &Asker, model: &str, stop: &StopSignal) -> Self {
        let counts = (!at_hand(spec, &Env::from_process())).then(|| texts.by_server(asker, model, stop));
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

    /// Tokens of every prompt that a figure needs. A server that was not asked before, because a tokenizer seemed to be at hand,
    /// is asked now.
    #[must_use]
    pub fn text_tokens(&self, texts: &Texts<'_>, asked: Asked, url: &str) -> TextTokens {
        let counts = match self {
            Self::Local(_) => texts.prompts.iter().map(|prompt| self.count(prompt)).collect(),
            Self::Server(asker, model, stop) => asked.counts.unwrap_or_else(|| texts.by_server(asker, model, stop)),
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
