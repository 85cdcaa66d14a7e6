//! What a server says when it refuses: its own words, found in whatever body it sent.

use serde_json::Value;

/// How much of a body that is no known JSON is kept.
const PLAIN_CHARS_MAX: usize = 300;

/// The server's own words, and its machine-readable hints where it gives any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorWords {
    /// The message, as sent.
    pub message: String,
    /// The field that the server blames (`param`), where it names one.
    pub param: Option<String>,
}

/// Finds the words in an error body: OpenAI's `{"error":{"message":…}}`, FastAPI's `{"detail":…}`, the flat
/// `{"object":"error","message":…}` of older vLLM, `{"error":"…"}` of TGI and MindIE, or plain text, cut at 300
/// characters. An empty body gives an empty message.
#[must_use]
pub fn error_words(body: &[u8]) -> ErrorWords {
    match serde_json::from_slice::<Value>(body) {
        Ok(value @ Value::Object(_)) => from_object(&value),
        Ok(Value::String(text)) => ErrorWords { message: text, param: None },
        _ => ErrorWords { message: plain(&String::from_utf8_lossy(body)), param: None },
    }
}

fn from_object(value: &Value) -> ErrorWords {
    let error = value.get("error").filter(|error| !error.is_null());
    let holder = error.filter(|error| error.is_object()).unwrap_or(value);
    let words = ["message", "detail", "error_description", "msg", "error"]
        .iter()
        .find_map(|name| holder.get(name).filter(|words| !words.is_null()))
        .or(error);
    let message = match words {
        Some(Value::String(text)) => text.clone(),
        Some(other) => plain(&other.to_string()),
        None => plain(&value.to_string()),
    };
    ErrorWords { message, param: holder.get("param").and_then(Value::as_str).map(str::to_owned) }
}

/// One line, at most [`PLAIN_CHARS_MAX`] characters.
fn plain(text: &str) -> String {
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((cut, _)) = line.char_indices().nth(PLAIN_CHARS_MAX) {
        line.truncate(cut);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, message: &str, param: Option<&str>) {
        let words = error_words(body.as_bytes());
        assert_eq!((words.message.as_str(), words.param.as_deref()), (message, param), "{body}");
    }

    #[test]
    fn every_form_in_use() {
        check(
            r#"{"error":{"message":"The model `x` does not exist.","type":"NotFoundError","param":"model","code":404}}"#,
            "The model `x` does not exist.",
            Some("model"),
        );
        check(r#"{"detail":"Not Found"}"#, "Not Found", None);
        check(
            r#"{"object":"error","message":"too long","type":"BadRequestError","param":null,"code":400}"#,
            "too long",
            None,
        );
        check(r#"{"error":"overloaded","error_type":"overloaded"}"#, "overloaded", None);
        check(
            r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#,
            r#"[{"loc":["body"],"msg":"field required"}]"#,
            None,
        );
        check("<html>\n<body>502 Bad Gateway</body>", "<html> <body>502 Bad Gateway</body>", None);
        check("", "", None);
        check("{}", "{}", None);
    }

    #[test]
    fn long_bodies_are_cut_between_characters() {
        let words = error_words("图".repeat(1000).as_bytes());
        assert_eq!(words.message.chars().count(), PLAIN_CHARS_MAX + 1);
    }
}
