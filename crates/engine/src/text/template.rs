//! A chat template: from the messages of a chat to the text of a prompt, as transformers 5 renders and vLLM 0.32
//! calls it. It must not know files, clocks, tokens or what a picture shows.

mod content_format;
mod environment;
mod strftime;

use minijinja::{Environment, Value as Jinja};
use serde_json::{Map, Value};

pub use content_format::ContentFormat;

use super::{Chat, Refusal, RefusalKind, SpecialTokens, TextError};

/// What stands in a prompt for one picture of Qwen2-VL; the middle token becomes as many as the picture needs.
pub const IMAGE_PLACEHOLDER: &str = "<|vision_start|><|image_pad|><|vision_end|>";

/// Marks the end of the message that is to be continued; transformers' own, so that a template that looks for it works.
const CONTINUE_TAG: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

/// Name of the one template in its environment.
const NAME: &str = "chat";

/// A template, ready to render.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    detected: ContentFormat,
    format: ContentFormat,
    special_tokens: Map<String, Value>,
}

/// How a chat is to be rendered. The default is vLLM's for a chat.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderOptions {
    /// End with the header of an assistant message.
    pub add_generation_prompt: bool,
    /// End inside the last message, so that the model goes on with it.
    pub continue_final_message: bool,
    /// More variables for the template (`chat_template_kwargs` of a request).
    pub variables: Map<String, Value>,
    /// What `strftime_now` shows, in seconds since 1970 (UTC). Without it a template that asks for the time is refused.
    pub now_unix_s: Option<i64>,
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self { add_generation_prompt: true, continue_final_message: false, variables: Map::new(), now_unix_s: None }
    }
}

impl ChatTemplate {
    /// A template from its text. `special_tokens` are in the template's scope (`eos_token`, …).
    ///
    /// # Errors
    /// [`TextError::Template`] if the text is no Jinja that this server understands.
    pub fn new(source: &str, special_tokens: &SpecialTokens) -> Result<Self, TextError> {
        // Jinja and Python both read any line end as a line feed.
        let source = environment::without_generation_tags(&source.replace("\r\n", "\n").replace('\r', "\n"));
        let mut environment = environment::new();
        environment
            .add_template_owned(NAME, source.clone())
            .map_err(|error| TextError::Template { reason: format!("{error:#}") })?;
        let detected = ContentFormat::detect(&source);
        Ok(Self { environment, source, detected, format: detected, special_tokens: special_tokens.named() })
    }

    /// The same template with a content format that overrules the detected one (`--chat-template-content-format`).
    #[must_use]
    pub fn with_format(self, format: Option<ContentFormat>) -> Self {
        Self { format: format.unwrap_or(self.detected), ..self }
    }

    /// The format in use.
    #[must_use]
    pub fn format(&self) -> ContentFormat {
        self.format
    }

    /// The text of the prompt.
    ///
    /// # Errors
    /// [`RefusalKind::Template`] with the template's own words if it raises an exception, and where transformers
    /// refuses; [`RefusalKind::Content`] if a text holds too many picture placeholders.
    pub fn render(&self, chat: &Chat, options: &RenderOptions) -> Result<String, Refusal> {
        if chat.messages.is_empty() {
            let words = "Cannot apply chat template to an empty conversation. Provide at least one message.";
            return Err(refused(words));
        }
        if let Some(name) = ["chat_template", "tokenize"].iter().find(|name| options.variables.contains_key(**name)) {
            return Err(refused(format!("Found unexpected chat template kwargs from request: {{'{name}'}}")));
        }
        if options.continue_final_message && options.add_generation_prompt {
            return Err(refused(
                "continue_final_message and add_generation_prompt are not compatible. Use continue_final_message when \
                 you want the model to continue the final message, and add_generation_prompt when you want to add a \
                 header that will prompt it to start a new assistant message instead.",
            ));
        }
        let developer_known = self.source.contains("\"developer\"") || self.source.contains("'developer'");
        let mut messages = chat.for_template(self.format, developer_known)?;
        if !options.continue_final_message {
            return self.rendered(messages, options);
        }
        if !self.source.contains("content") {
            return Err(refused(
                "continue_final_message is set to \"content\" but this is not an accepted field in the chat_template",
            ));
        }
        let last = tag_last_message(&mut messages)?;
        cut_at_tag(&self.rendered(messages, options)?, &last)
    }

    fn rendered(&self, messages: Vec<Value>, options: &RenderOptions) -> Result<String, Refusal> {
        let mut scope = self.special_tokens.clone();
        scope.extend(options.variables.clone());
        scope.insert("messages".into(), messages.into());
        scope.insert("add_generation_prompt".into(), options.add_generation_prompt.into());
        for absent in ["tools", "documents"] {
            scope.entry(absent).or_insert(Value::Null);
        }
        let mut scope: Vec<(String, Jinja)> =
            scope.into_iter().map(|(name, value)| (name, Jinja::from_serialize(value))).collect();
        scope.push(("strftime_now".into(), strftime::function(options.now_unix_s)));
        let template = self.environment.get_template(NAME).map_err(|error| template_words(&error))?;
        template.render(scope.into_iter().collect::<Jinja>()).map_err(|error| template_words(&error))
    }
}

fn refused(words: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Template, words)
}

/// What a template says when it raises, else what the engine says of it.
fn template_words(error: &minijinja::Error) -> Refusal {
    refused(match environment::raised(error) {
        Some(words) => words,
        None => error.to_string(),
    })
}

/// Appends the tag to the last text of the last message; gives the text as it was.
fn tag_last_message(messages: &mut [Value]) -> Result<String, Refusal> {
    let missing =
        || refused("continue_final_message is set but we could not find any text to continue in the final message!");
    let content = messages.last_mut().and_then(|message| message.get_mut("content")).ok_or_else(missing)?;
    let text = match content {
        Value::Array(parts) => parts.iter_mut().rev().find_map(|part| part.get_mut("text")).ok_or_else(missing)?,
        text => text,
    };
    let Value::String(text) = text else { return Err(missing()) };
    let before = text.clone();
    text.push_str(CONTINUE_TAG);
    Ok(before)
}

/// Everything before the tag. A template that trims the message trims the tag's space too: then whatever space stands
/// before the tag goes as well.
fn cut_at_tag(rendered: &str, last: &str) -> Result<String, Refusal> {
    let bare = CONTINUE_TAG.trim_end();
    match rendered.rfind(bare) {
        Some(at) if rendered.contains(last.trim()) => {
            let before = &rendered[..at];
            let kept = if rendered[at..].starts_with(CONTINUE_TAG) { before } else { before.trim_end() };
            Ok(kept.to_owned())
        }
        _ => Err(refused(format!(
            "continue_final_message is set but the final message does not appear in the chat after applying the chat \
             template! This can happen if the chat template deletes portions of the final message. Please verify the \
             chat template and final message in your chat to ensure they are compatible.Final message to continue: \
             {}\nRendered chat:\n{rendered}",
            last.trim()
        ))),
    }
}
