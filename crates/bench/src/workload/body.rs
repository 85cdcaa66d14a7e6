//! The body of a request. It must not know where prompts and pictures come from.

use crate::cli::{MaxTokensField, PartOrder};
use crate::net::BodyParts;
use crate::plan::Plan;
use bytes::Bytes;
use serde_json::Value;
use wire::{ChatRequest, Content, Message, Part, StreamOptions};

/// The body of one request: one user message whose content is the text and the images, as the script sends it.
#[must_use]
pub fn body(plan: &Plan, model: &str, prompt: &str, output_len: u64, urls: &[Bytes]) -> BodyParts {
    // An unlikely word stands for each image's URL in the JSON; the shared buffers take its place. The prompt is the
    // only foreign text: the word is made longer until the prompt does not hold it.
    let mut word = String::from("@@image");
    while prompt.contains(&word) || model.contains(&word) || plan_holds(plan, &word) {
        word.push('@');
    }
    let images = urls.iter().map(|_| Part::image(word.clone()));
    let text = std::iter::once(Part::text(prompt));
    let parts: Vec<Part> = match plan.order {
        PartOrder::TextFirst => text.chain(images).collect(),
        PartOrder::ImageFirst => images.chain(text).collect(),
    };
    let limit = |field: MaxTokensField| (plan.max_tokens_field == field).then_some(output_len);
    let mut request = ChatRequest {
        model: Some(model.to_owned()),
        messages: vec![Message {
            role: "user".into(),
            content: Some(Content::Parts(parts)),
            extra: serde_json::Map::new(),
        }],
        temperature: Some(plan.temperature),
        max_tokens: limit(MaxTokensField::MaxTokens),
        max_completion_tokens: limit(MaxTokensField::MaxCompletionTokens),
        stream: Some(true),
        stream_options: Some(StreamOptions {
            include_usage: Some(true),
            continuous_usage_stats: plan.continuous_usage.then_some(true),
        }),
        ignore_eos: plan.ignore_eos.then_some(true),
        extra: serde_json::Map::new(),
    };
    for (name, value) in &plan.extra_body {
        set_field(&mut request, name, value);
    }
    // A request of our own types always has a JSON form.
    let json = serde_json::to_string(&request).unwrap_or_default();
    let mut out = Vec::new();
    let mut pieces = json.split(word.as_str());
    out.extend(pieces.next().map(|piece| Bytes::from(piece.to_owned())));
    for (piece, url) in pieces.zip(urls) {
        out.push(url.clone());
        out.push(Bytes::from(piece.to_owned()));
    }
    BodyParts::new(out)
}

fn plan_holds(plan: &Plan, word: &str) -> bool {
    plan.extra_body.iter().any(|(name, value)| name.contains(word) || value.to_string().contains(word))
}

/// A field of `--extra-body` replaces the benchmark's own of that name, whatever its type: a server may know others.
/// `null` leaves ours out.
fn set_field(request: &mut ChatRequest, name: &str, value: &Value) {
    let ours = match name {
        "model" => request.model.take().is_some(),
        "temperature" => request.temperature.take().is_some(),
        "max_tokens" => request.max_tokens.take().is_some(),
        "max_completion_tokens" => request.max_completion_tokens.take().is_some(),
        "ignore_eos" => request.ignore_eos.take().is_some(),
        "stream_options" => request.stream_options.take().is_some(),
        _ => false,
    };
    if !(ours && value.is_null()) {
        request.extra.insert(name.to_owned(), value.clone());
    }
}
