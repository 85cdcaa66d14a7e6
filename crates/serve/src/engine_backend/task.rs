//! One request on a worker thread: from its body to what the engine takes, or to the whole reply.

use std::time::Instant;

use engine::engine::{EngineRequest, Place};
use serde_json::Value;

use super::answer::Answer;
use super::asked::{Asked, ChatAsked, CompletionAsked};
use super::chat_reply::ChatReply;
use super::completion_reply::CompletionReply;
use super::out::{Out, Reply, failed, refused};
use super::prepare::Unprepared;
use super::served::Served;
use super::tokens;
use super::told::Replying;
use crate::backend::Call;
use crate::shapes::unique;
use crate::validate::ApiError;

/// A request to be prepared.
pub(super) struct Task {
    call: Call,
    out: Out,
    arrived: Instant,
    /// It waits from now on.
    place: Place,
}

/// A request that is prepared.
enum Ready {
    Whole(Value),
    Engine(EngineRequest, Box<dyn Reply>),
}

impl Task {
    pub(super) fn new(call: Call, out: Out, place: Place) -> Self {
        Self { call, out, arrived: Instant::now(), place }
    }

    pub(super) fn refuse(mut self, error: &ApiError) {
        self.out.refuse(error);
    }

    /// Answers, or hands over to the engine. Comes back if it has to wait for other servers and this thread may not.
    pub(super) fn answer(mut self, served: &Served, may_wait: bool) -> Option<Self> {
        if self.out.is_gone() {
            return None;
        }
        match self.prepare(served, may_wait) {
            Ok(Ready::Whole(body)) => self.out.json(200, &body),
            Ok(Ready::Engine(request, reply)) => {
                let has_words = request.params.logprobs.is_some() || request.params.prompt_logprobs.is_some();
                let replying = Replying::new(self.out, reply);
                let sink = if has_words { replying.elsewhere(&served.words) } else { replying.here() };
                self.place.submit(request, sink);
            }
            Err(Unprepared::Refused(error)) => self.out.refuse(&error),
            Err(Unprepared::MustWait) => return Some(self),
        }
        None
    }

    fn prepare(&self, served: &Served, may_wait: bool) -> Result<Ready, Unprepared> {
        let body = self.call.body.as_slice();
        match self.call.path.as_str() {
            "/v1/chat/completions" => self.chat(served, may_wait),
            "/v1/completions" => self.completion(served),
            "/tokenize" => Ok(Ready::Whole(tokens::tokenize(served, body, may_wait)?)),
            "/detokenize" => Ok(Ready::Whole(tokens::detokenize(served, body)?)),
            path => Err(failed(&format!("{path} has no handler")).into()),
        }
    }

    fn chat(&self, served: &Served, may_wait: bool) -> Result<Ready, Unprepared> {
        let asked = ChatAsked::of(&self.call.body)?;
        let model = served.name(asked.common.model.as_deref())?;
        check_length(served, &asked.common)?;
        let prepared = served.chat_prompt(&asked.chat, may_wait)?;
        let request = served.engine_request(&asked.common, &prepared, self.arrived)?;
        let answer = Answer::new(served, self.reply_id("chatcmpl"), model, &asked.common, prepared);
        Ok(Ready::Engine(request, Box::new(ChatReply::new(answer))))
    }

    fn completion(&self, served: &Served) -> Result<Ready, Unprepared> {
        let asked = CompletionAsked::of(&self.call.body)?;
        let model = served.name(asked.common.model.as_deref())?;
        check_length(served, &asked.common)?;
        let prepared = served.completion_prompt(&asked.prompt, asked.add_special_tokens)?;
        let request = served.engine_request(&asked.common, &prepared, self.arrived)?;
        let echo = asked.echo.then(|| prepared.text.clone());
        let answer = Answer::new(served, self.reply_id("cmpl"), model, &asked.common, prepared);
        Ok(Ready::Engine(request, Box::new(CompletionReply::new(answer, echo, asked.prompt_only))))
    }

    /// The name of a reply: as in vLLM the client's own name of the request is in it, if there is one.
    fn reply_id(&self, kind: &str) -> String {
        match &self.call.request_id {
            Some(id) => format!("{kind}-{id}"),
            None => format!("{kind}-{}", unique()),
        }
    }
}

fn check_length(served: &Served, asked: &Asked) -> Result<(), ApiError> {
    asked.sampling.check_output_limit(served.limits.max_model_len).map_err(|refusal| refused(&refusal))
}
