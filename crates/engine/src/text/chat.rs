//! The messages of a chat as a client sends them, read the way vLLM 0.32 reads them
//! (`vllm/renderers/chat_utils.py`): which parts are text, which are pictures, and what a template gets to see.
//! It must not know what a URL points to, templates or tokens.

use serde_json::{Map, Value, json};

use super::{ContentFormat, IMAGE_PLACEHOLDER, Refusal, RefusalKind};

/// A conversation, checked: every part is text or a picture.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chat {
    /// The messages, oldest first.
    pub messages: Vec<Message>,
}

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// `system`, `user`, `assistant`, or any other word: the template decides.
    pub role: String,
    /// What is said, in order. Empty where the content is missing.
    pub parts: Vec<Part>,
    /// What else the template sees: `name`, `tool_call_id`, `reasoning`.
    pub fields: Map<String, Value>,
}

/// One part of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Text.
    Text {
        /// The text.
        text: String,
        /// Fields that the protocol does not know; a template of the `openai` format sees them.
        extra: Map<String, Value>,
    },
    /// A picture.
    Image {
        /// Where it is: a data, http(s) or file URL.
        url: String,
        /// Fields that the protocol does not know.
        extra: Map<String, Value>,
    },
}

impl Chat {
    /// Reads the `messages` of a request.
    ///
    /// # Errors
    /// [`RefusalKind::Content`] if a message is malformed, [`RefusalKind::Unsupported`] if a part is a video or sound.
    pub fn from_json(messages: &[Value]) -> Result<Self, Refusal> {
        let messages = messages.iter().map(Message::from_json).collect::<Result<_, _>>()?;
        Ok(Self { messages })
    }

    /// A conversation of one user message that is plain text.
    #[must_use]
    pub fn user(text: impl Into<String>) -> Self {
        let part = Part::Text { text: text.into(), extra: Map::new() };
        Self { messages: vec![Message { role: "user".into(), parts: vec![part], fields: Map::new() }] }
    }

    /// The URLs of all pictures, in the order of the conversation: the order of their places in the prompt.
    pub fn images(&self) -> impl Iterator<Item = &str> {
        self.messages.iter().flat_map(|message| &message.parts).filter_map(|part| match part {
            Part::Image { url, .. } => Some(url.as_str()),
            Part::Text { .. } => None,
        })
    }

    /// The messages as a template sees them.
    ///
    /// # Errors
    /// [`RefusalKind::Content`] if a text holds more picture placeholders than its message has pictures.
    pub(super) fn for_template(&self, format: ContentFormat, developer_known: bool) -> Result<Vec<Value>, Refusal> {
        let convert = !developer_known && self.messages.iter().any(|message| message.role == "developer");
        let mut seen = Vec::with_capacity(self.messages.len());
        for message in &self.messages {
            seen.push(message.for_template(format, convert)?);
        }
        Ok(if convert { one_system_message(seen) } else { seen })
    }
}

impl Message {
    fn from_json(message: &Value) -> Result<Self, Refusal> {
        let malformed = |words: &str| Refusal::new(RefusalKind::Content, words).of("messages");
        let Some(object) = message.as_object() else { return Err(malformed("each message must be an object")) };
        let Some(role) = object.get("role").and_then(Value::as_str) else {
            return Err(malformed("each message must have a role, and it must be a string"));
        };
        let parts = match object.get("content") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(text)) => vec![Part::Text { text: text.clone(), extra: Map::new() }],
            Some(Value::Array(parts)) => {
                let parts: Result<Vec<_>, _> = parts.iter().map(Part::from_json).collect();
                parts?.into_iter().flatten().collect()
            }
            Some(_) => return Err(malformed("content must be a string or a list of parts")),
        };
        let mut fields = Map::new();
        if let (Some(Value::String(reasoning)), "assistant") = (object.get("reasoning"), role) {
            fields.insert("reasoning".into(), reasoning.clone().into());
            fields.insert("reasoning_content".into(), reasoning.clone().into());
        }
        if let (Some(id), "tool") = (object.get("tool_call_id"), role) {
            fields.insert("tool_call_id".into(), id.clone());
        }
        if let Some(Value::String(name)) = object.get("name") {
            fields.insert("name".into(), name.clone().into());
        }
        Ok(Self { role: role.to_owned(), parts, fields })
    }

    fn for_template(&self, format: ContentFormat, developer_is_system: bool) -> Result<Value, Refusal> {
        let role = if developer_is_system && self.role == "developer" { "system" } else { &self.role };
        let content = match format {
            ContentFormat::String => Value::String(self.joined()?),
            // Templates take the result of a tool as a string, whatever the format.
            ContentFormat::OpenAi if self.role == "tool" && !self.has_image() => Value::String(self.texts().join("\n")),
            ContentFormat::OpenAi => self.parts.iter().map(Part::for_template).collect(),
        };
        let mut object = Map::new();
        object.insert("role".into(), role.into());
        object.insert("content".into(), content);
        object.extend(self.fields.clone());
        Ok(Value::Object(object))
    }

    /// The content as one string: a placeholder for each picture first, then the texts, joined by line ends. A
    /// placeholder that the text itself holds stands for one of the pictures.
    fn joined(&self) -> Result<String, Refusal> {
        let text = self.texts().join("\n");
        let images = self.parts.len() - self.texts().len();
        let written = if images > 0 { text.matches(IMAGE_PLACEHOLDER).count() } else { 0 };
        let Some(missing) = images.checked_sub(written) else {
            let words = format!(
                "Found more '{IMAGE_PLACEHOLDER}' placeholders in input prompt than actual multimodal data items."
            );
            return Err(Refusal::new(RefusalKind::Content, words).of("messages"));
        };
        let mut lines = vec![IMAGE_PLACEHOLDER; missing];
        if !text.is_empty() || images == 0 {
            lines.push(&text);
        }
        Ok(lines.join("\n"))
    }

    fn texts(&self) -> Vec<&str> {
        let texts = self.parts.iter().filter_map(|part| match part {
            Part::Text { text, .. } => Some(text.as_str()),
            Part::Image { .. } => None,
        });
        texts.collect()
    }

    fn has_image(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Image { .. }))
    }
}

impl Part {
    /// `None` for a text part whose text is null: vLLM leaves it out.
    fn from_json(part: &Value) -> Result<Option<Self>, Refusal> {
        let object = match part {
            Value::String(text) => return Ok(Some(Self::Text { text: text.clone(), extra: Map::new() })),
            Value::Object(object) => object,
            _ => return Err(Refusal::new(RefusalKind::Content, "a part must be an object").of("messages")),
        };
        match object.get("type") {
            Some(Value::String(kind)) => Self::of_kind(kind, object),
            None | Some(Value::Null) if object.contains_key("image_url") => Self::image(object).map(Some),
            None | Some(Value::Null) => {
                Err(Refusal::new(RefusalKind::Content, "Missing 'type' field in multimodal part.").of("type"))
            }
            Some(_) => Err(Refusal::new(RefusalKind::Content, "Invalid 'type' field in multimodal part.").of("type")),
        }
    }

    fn of_kind(kind: &str, object: &Map<String, Value>) -> Result<Option<Self>, Refusal> {
        match kind {
            "image_url" | "input_image" => Self::image(object).map(Some),
            "text" | "input_text" | "output_text" => Self::text(object, "text"),
            "thinking" | "refusal" => Self::text(object, kind),
            kind if UNSUPPORTED.iter().any(|unsupported| kind.starts_with(unsupported)) => {
                let words = format!("{kind}: this server takes text and pictures only; leave the part out");
                Err(Refusal::new(RefusalKind::Unsupported, words).of("messages"))
            }
            _ => {
                let words = format!(
                    "Unsupported chat content part type: '{kind}'. Supported types: image_url, input_image, \
                     input_text, output_text, refusal, text, thinking."
                );
                Err(Refusal::new(RefusalKind::Content, words).of("type").given(kind))
            }
        }
    }

    fn text(object: &Map<String, Value>, field: &str) -> Result<Option<Self>, Refusal> {
        match object.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(Self::Text { text: text.clone(), extra: unknown_fields(object) })),
            Some(_) => {
                Err(Refusal::new(RefusalKind::Content, format!("{field} of a part must be a string")).of("messages"))
            }
        }
    }

    /// The URL may stand in an object, as OpenAI has it, or by itself.
    fn image(object: &Map<String, Value>) -> Result<Self, Refusal> {
        let url = match object.get("image_url") {
            Some(Value::Object(inside)) => inside.get("url"),
            other => other,
        };
        match url {
            Some(Value::String(url)) => Ok(Self::Image { url: url.clone(), extra: unknown_fields(object) }),
            _ => {
                let words = "image_url of a part must hold a url, and it must be a string";
                Err(Refusal::new(RefusalKind::Content, words).of("messages"))
            }
        }
    }

    fn for_template(&self) -> Value {
        let (mut object, extra) = match self {
            Self::Text { text, extra } => (json!({"type": "text", "text": text}), extra),
            Self::Image { extra, .. } => (json!({"type": "image"}), extra),
        };
        if let Some(object) = object.as_object_mut() {
            object.extend(extra.clone());
        }
        object
    }
}

/// Parts that vLLM knows and this server does not take, by the first letters of their types.
const UNSUPPORTED: [&str; 7] = ["video", "audio", "input_audio", "image_embeds", "prompt_embeds", "image_pil", "tool_"];

/// Fields of parts that belong to the protocol and are not handed to templates.
const KNOWN_FIELDS: [&str; 18] = [
    "type",
    "text",
    "image_url",
    "prompt_cache_breakpoint",
    "uuid",
    "input_audio",
    "audio_url",
    "video_url",
    "image_embeds",
    "audio_embeds",
    "video_embeds",
    "image_pil",
    "refusal",
    "thinking",
    "closed",
    "file",
    "data",
    "name",
];

fn unknown_fields(object: &Map<String, Value>) -> Map<String, Value> {
    object
        .iter()
        .filter(|(key, _)| !KNOWN_FIELDS.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Some templates want the system message first and only once: all of them become one.
fn one_system_message(messages: Vec<Value>) -> Vec<Value> {
    let is_system = |message: &Value| message["role"] == "system";
    let systems = messages.iter().filter(|message| is_system(message)).count();
    if systems <= 1 && messages.first().is_some_and(is_system) {
        return messages;
    }
    let (system, others): (Vec<Value>, Vec<Value>) = messages.into_iter().partition(is_system);
    let texts: Vec<String> = system
        .iter()
        .map(|message| match &message["content"] {
            Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n"),
            content => content.as_str().unwrap_or_default().to_owned(),
        })
        .filter(|text| !text.is_empty())
        .collect();
    let mut all = vec![json!({"role": "system", "content": texts.join("\n\n")})];
    all.extend(others);
    all
}
