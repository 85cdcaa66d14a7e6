//! The reply to a chat, token by token: events, or one body at the end.

use engine::engine::TokenEvent;

use super::answer::{Answer, Word, Words};
use super::out::{Out, Reply};
use crate::shapes::{
    ChatChoice, ChatLogprob, ChatLogprobs, ChatPrompt, Counts, Delta, Event, Message, TopLogprob, Usage,
    WholeChatChoice, WholeReply, to_json,
};

/// The sink of one chat.
pub(super) struct ChatReply {
    answer: Answer,
    logprobs: Option<ChatLogprobs>,
}

impl Reply for ChatReply {
    fn streams(&self) -> bool {
        self.answer.stream
    }

    fn token(&mut self, event: &TokenEvent, out: &mut Out) {
        let words = self.answer.add(event);
        let top = self.answer.logprobs.unwrap_or(0);
        let logprob = words.map(|words| chat_logprob(words, top));
        if !self.answer.stream {
            if let (Some(list), Some(logprob)) = (&mut self.logprobs, logprob) {
                list.content.push(logprob);
            }
            if self.answer.finish.is_some() {
                self.whole(out);
            }
            return;
        }
        let mut events = Vec::new();
        if self.answer.tokens.len() == 1 {
            events.push(self.role_event());
        }
        let logprobs = logprob.map(|logprob| ChatLogprobs { content: vec![logprob] });
        events.push(self.token_event(&event.text, logprobs.as_ref()));
        let last = self.answer.finish.is_some();
        if last && self.answer.include_usage {
            let usage = Some(self.answer.counts().plain());
            events.push(self.framed(&[], usage, None, true));
        }
        out.events(&events, 1, last);
    }
}

impl ChatReply {
    pub(super) fn new(answer: Answer) -> Self {
        let logprobs = answer.logprobs.map(|_| ChatLogprobs::default());
        Self { answer, logprobs }
    }

    fn role_event(&self) -> String {
        let answer = &self.answer;
        let choice = ChatChoice {
            index: 0,
            delta: Delta::ROLE,
            logprobs: None,
            finish_reason: None,
            stop_reason: None,
            token_ids: None,
        };
        let none = Counts { completion: 0, ..answer.counts() };
        let usage = answer.continuous_usage.then(|| none.running());
        let ids = answer.return_token_ids.then(|| answer.prompt.ids());
        self.framed(&[choice], usage, Some(ids), false)
    }

    fn token_event(&self, text: &str, logprobs: Option<&ChatLogprobs>) -> String {
        let answer = &self.answer;
        let last_token = answer.tokens.get(answer.tokens.len().saturating_sub(1)..);
        let choice = ChatChoice {
            index: 0,
            delta: Delta::content(text),
            logprobs,
            finish_reason: answer.finish_name(),
            stop_reason: answer.finish.as_ref().map(|_| answer.stop_reason()),
            token_ids: Some(last_token.filter(|_| answer.return_token_ids)),
        };
        let usage = answer.continuous_usage.then(|| answer.counts().running());
        let is_end = answer.finish.is_some() && !answer.include_usage;
        self.framed(&[choice], usage, None, is_end)
    }

    fn framed(
        &self,
        choices: &[ChatChoice<'_>],
        usage: Option<Usage>,
        prompt: Option<Option<&[u32]>>,
        is_end: bool,
    ) -> String {
        let answer = &self.answer;
        to_json(&Event {
            id: &answer.id,
            object: "chat.completion.chunk",
            created: answer.created,
            model: &answer.model,
            choices,
            usage,
            prompt_token_ids: prompt,
            prompt_text: prompt.map(|_| None),
            system_fingerprint: is_end.then_some(answer.fingerprint.as_str()),
        })
    }

    fn whole(&self, out: &mut Out) {
        let answer = &self.answer;
        let body = WholeReply {
            id: &answer.id,
            object: "chat.completion",
            created: answer.created,
            model: &answer.model,
            choices: [WholeChatChoice {
                index: 0,
                message: Message::of(&answer.text),
                logprobs: self.logprobs.as_ref(),
                finish_reason: answer.finish_name().unwrap_or("stop"),
                stop_reason: answer.stop_reason(),
                token_ids: answer.return_token_ids.then_some(&answer.tokens),
                ..WholeChatChoice::default()
            }],
            system_fingerprint: &answer.fingerprint,
            usage: answer.counts().whole(),
            prompt: ChatPrompt {
                prompt_logprobs: answer.prompt_logprobs.as_ref(),
                prompt_token_ids: answer.return_token_ids.then(|| answer.prompt.ids()),
                ..ChatPrompt::default()
            },
            ..WholeReply::default()
        };
        out.json(200, &body);
    }
}

fn chat_logprob(words: Words, top: usize) -> ChatLogprob {
    let Word { text, logprob } = words.taken;
    let one =
        |word: Word| TopLogprob { bytes: word.text.clone().into_bytes(), token: word.text, logprob: word.logprob };
    ChatLogprob {
        bytes: text.clone().into_bytes(),
        token: text,
        logprob,
        top_logprobs: words.listed.into_iter().take(top).map(one).collect(),
    }
}
