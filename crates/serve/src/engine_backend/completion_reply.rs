//! The reply to a completion, token by token: events, or one body at the end.

use engine::engine::TokenEvent;

use super::answer::{Answer, Word, Words};
use super::out::{Out, Reply};
use crate::shapes::{
    CompletionChoice, CompletionLogprobs, Event, NoPrompt, Pairs, Usage, WholeCompletionChoice, WholeReply, to_json,
};

/// The sink of one completion.
pub(super) struct CompletionReply {
    answer: Answer,
    /// The answer begins with the prompt.
    echoes: bool,
    /// The prompt's text, where it is to be repeated; the first event takes it. Empty where ids tell it.
    echo: String,
    /// The answer is not wanted.
    prompt_only: bool,
    /// In characters, where the next token's text begins.
    offset: usize,
    logprobs: Option<CompletionLogprobs>,
}

impl Reply for CompletionReply {
    fn streams(&self) -> bool {
        self.answer.stream
    }

    fn token(&mut self, event: &TokenEvent, out: &mut Out) {
        let is_first = self.answer.tokens.is_empty();
        let of_prompt = event.prompt_logprobs.as_ref().map(|list| self.answer.prompt_words(list));
        let words = self.answer.add(event);
        let mut new = CompletionLogprobs::default();
        if self.logprobs.is_some() {
            if is_first && self.echoes {
                for word in of_prompt.into_iter().flatten() {
                    self.list(&mut new, word);
                }
            }
            if let Some(words) = words.filter(|_| !self.prompt_only) {
                self.list(&mut new, Ok(words));
            }
        }
        let mut text = if is_first { self.echo.clone() } else { String::new() };
        if !self.prompt_only {
            text.push_str(&event.text);
        }
        if self.answer.stream { self.send(&text, new, out) } else { self.collect(new, out) }
    }
}

impl CompletionReply {
    pub(super) fn new(answer: Answer, echo: Option<String>, prompt_only: bool) -> Self {
        let logprobs = answer.logprobs.map(|_| CompletionLogprobs::default());
        let echoes = echo.is_some();
        // As in vLLM the text of a prompt is left out where its ids are given.
        let echo = echo.filter(|_| !answer.return_token_ids).unwrap_or_default();
        Self { answer, echoes, echo, prompt_only, offset: 0, logprobs }
    }

    fn list(&mut self, list: &mut CompletionLogprobs, words: Result<Words, String>) {
        list.text_offset.push(self.offset);
        let text = match words {
            Ok(Words { taken: Word { text, logprob }, listed }) => {
                list.token_logprobs.push(Some(logprob));
                let top: Pairs<f64> = listed.into_iter().map(|word| (word.text, word.logprob)).collect();
                list.top_logprobs.push(Some(top));
                text
            }
            Err(text) => {
                list.token_logprobs.push(None);
                list.top_logprobs.push(None);
                text
            }
        };
        self.offset += text.chars().count();
        list.tokens.push(text);
    }

    fn send(&self, text: &str, logprobs: CompletionLogprobs, out: &mut Out) {
        let answer = &self.answer;
        let is_first = answer.tokens.len() == 1;
        let last_token = answer.tokens.get(answer.tokens.len().saturating_sub(1)..).unwrap_or_default();
        let choice = CompletionChoice {
            index: 0,
            text,
            logprobs: self.logprobs.as_ref().map(|_| &logprobs),
            finish_reason: answer.finish_name(),
            stop_reason: answer.stop_reason(),
            prompt_token_ids: Some(answer.prompt.ids())
                .filter(|_| is_first && (self.echoes || answer.return_token_ids)),
            token_ids: Some(last_token).filter(|_| answer.return_token_ids),
        };
        let usage = answer.continuous_usage.then(|| answer.counts().plain());
        let last = answer.finish.is_some();
        let mut events = vec![self.framed(&[choice], usage, last && !answer.include_usage)];
        if last && answer.include_usage {
            let usage = Some(answer.counts().plain());
            events.push(self.framed(&[], usage, true));
        }
        out.events(&events, 1, last);
    }

    fn framed(&self, choices: &[CompletionChoice<'_>], usage: Option<Usage>, is_end: bool) -> String {
        let answer = &self.answer;
        to_json(&Event {
            id: &answer.id,
            object: "text_completion",
            created: answer.created,
            model: &answer.model,
            choices,
            usage,
            prompt_token_ids: None,
            prompt_text: None,
            system_fingerprint: is_end.then_some(answer.fingerprint.as_str()),
        })
    }

    /// Keeps what is new for the one body at the end.
    fn collect(&mut self, new: CompletionLogprobs, out: &mut Out) {
        if let Some(all) = &mut self.logprobs {
            all.text_offset.extend(new.text_offset);
            all.token_logprobs.extend(new.token_logprobs);
            all.tokens.extend(new.tokens);
            all.top_logprobs.extend(new.top_logprobs);
        }
        if self.answer.finish.is_some() {
            self.whole(out);
        }
    }

    fn whole(&self, out: &mut Out) {
        let answer = &self.answer;
        let text = if self.prompt_only { self.echo.clone() } else { self.echo.clone() + &answer.text };
        let body = WholeReply {
            id: &answer.id,
            object: "text_completion",
            created: answer.created,
            model: &answer.model,
            choices: [WholeCompletionChoice {
                index: 0,
                text: &text,
                logprobs: self.logprobs.as_ref(),
                finish_reason: answer.finish_name().unwrap_or("stop"),
                stop_reason: answer.stop_reason(),
                token_ids: answer.return_token_ids.then_some(&answer.tokens),
                prompt_logprobs: answer.prompt_logprobs.as_ref(),
                prompt_token_ids: answer.return_token_ids.then(|| answer.prompt.ids()),
                ..WholeCompletionChoice::default()
            }],
            system_fingerprint: &answer.fingerprint,
            usage: answer.counts().whole(),
            prompt: NoPrompt {},
            ..WholeReply::default()
        };
        out.json(200, &body);
    }
}
