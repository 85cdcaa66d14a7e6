//! The Jinja environment that chat templates expect: Python's methods, `raise_exception`, `tojson` that leaves HTML
//! alone, blocks trimmed. It must not know chats.

use minijinja::value::{Kwargs, Rest};
use minijinja::{Environment, Error, ErrorKind, Value};

use crate::text::python::{Dumps, dumps};

/// Marks words that a template raised, inside an error of the engine.
#[derive(Debug)]
struct Raised(String);

impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

/// An environment with the settings and functions of transformers' `chat_template_utils.py`.
pub(super) fn new() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |message: Value| -> Result<Value, Error> {
        let raised = Raised(message.to_string());
        Err(Error::new(ErrorKind::InvalidOperation, raised.0.clone()).with_source(raised))
    });
    environment.add_filter("tojson", to_json);
    environment
}

/// The words that a template raised, if that is what the error is.
pub(super) fn raised(error: &Error) -> Option<String> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(raised) = error.downcast_ref::<Raised>() {
            return Some(raised.0.clone());
        }
        cause = error.source();
    }
    None
}

/// A template without `{% generation %}` marks: they tell training where the assistant speaks and print nothing.
pub(super) fn without_generation_tags(source: &str) -> String {
    if !source.contains("generation") {
        return source.to_owned();
    }
    let mut rest = source;
    let mut out = String::with_capacity(source.len());
    while let Some(start) = rest.find("{%") {
        // The mark's own `%` does not end it.
        let Some(length) = rest[start + 2..].find("%}") else { break };
        let (before, tag) = (&rest[..start], &rest[start..start + length + 4]);
        out.push_str(before);
        // An `if` that is always true trims the space around it exactly as the mark would.
        match tag[2..tag.len() - 2].trim_matches(['-', '+', ' ', '\n', '\t']) {
            "generation" => out.push_str(&tag.replace("generation", "if true")),
            "endgeneration" => out.push_str(&tag.replace("endgeneration", "endif")),
            _ => out.push_str(tag),
        }
        rest = &rest[start + length + 4..];
    }
    out.push_str(rest);
    out
}

/// `tojson` as transformers defines it: `json.dumps` with `ensure_ascii=False`, no HTML escapes.
fn to_json(value: &Value, arguments: Rest<Value>, named: Kwargs) -> Result<String, Error> {
    let unusable = |error: serde_json::Error| {
        Error::new(ErrorKind::BadSerialization, "value cannot be written as JSON").with_source(error)
    };
    let json = serde_json::to_value(value).map_err(unusable)?;
    let indent: Option<Value> = named.get("indent")?;
    let separators: Option<Vec<String>> = named.get("separators")?;
    let separators = separators.and_then(|both| match <[String; 2]>::try_from(both) {
        Ok([between, colon]) => Some((between, colon)),
        Err(_) => None,
    });
    let ascii = match arguments.first() {
        Some(flag) => flag.is_true(),
        None => named.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
    };
    let settings = Dumps {
        ascii,
        indent: indent.and_then(|indent| usize::try_from(indent).ok()),
        separators,
        sort_keys: named.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
    };
    named.assert_all_used()?;
    Ok(dumps(&json, &settings))
}
